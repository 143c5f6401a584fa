"""All verdicts of a run in tabs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from fedwiz.model.events import Verified
from fedwiz.runs.rounds import Rounds
from fedwiz.runs.state import State
from screens.widgets import sentences
from screens.widgets.pair_view import PAIR_KINDS, Pairs
from screens.widgets.tab_bar import Tabs
from screens.widgets.verdict_table import Verdicts

TABS = {
    "ping": "Matrix",
    "address": "Addresses",
    "lease": "Subnets",
    "subnet_env": "subnet.env",
    "peer": "Peers",
    "mtu": "Size",
    "": "Findings",
}
"""By kind of verdict."""

LAST_TAB = len(TABS) - 1


class VerdictTabs(Vertical):
    """The tab bar and its views."""

    class Turned(Message):
        """Another tab was opened."""

    DEFAULT_CSS = """
    VerdictTabs { height: 1fr; }
    VerdictTabs.-low Tabs { margin-bottom: 0; }
    VerdictTabs ContentSwitcher { height: 1fr; }
    VerdictTabs ContentSwitcher > * { height: 1fr; }
    """

    def __init__(self, *, opens: bool) -> None:
        """Create the tabs without verdicts.

        Args:
            opens: Enter opens a pair, which `Matrix.Opened` reports.
        """
        super().__init__()
        self._opens = opens
        self.at = 0
        """Index of the open tab."""

    def compose(self) -> ComposeResult:
        """The tab bar and a view per tab."""
        yield Tabs(tuple(TABS.values()))
        with ContentSwitcher(initial="tab-0"):
            for number, kind in enumerate(TABS):
                if kind in PAIR_KINDS:
                    yield Pairs(kind, f"tab-{number}", opens=self._opens)
                elif kind:
                    yield Verdicts(kind, id=f"tab-{number}")
            with VerticalScroll(id=f"tab-{LAST_TAB}"):
                yield Static("", id="sentences")

    @property
    def _view(self) -> Widget:
        return self.query_one(f"#tab-{self.at}", Widget)

    def show(
        self,
        state: State,
        verdicts: Sequence[Verified],
        nodes: Sequence[str],
        history: Rounds,
        files: Mapping[str, Path],
        trouble: Content | None = None,
        *,
        going: bool = False,
    ) -> None:
        """Show the verdicts in the open tab.

        Args:
            state: the run's state.
            verdicts: the current verdicts.
            nodes: the nodes they are about, in order.
            history: of the last rounds.
            files: files written by the run, by their role.
            trouble: why verifying is not possible.
            going: the run has not ended.
        """
        worst = sentences.worst(verdicts)
        self.query_one(Tabs).draw(self.at, [worst.get(kind, "") for kind in TABS])
        view = self._view
        if isinstance(view, Pairs):
            kind = list(TABS)[self.at]
            empty = "" if going else state.why or "No node was verified."
            rounds = history.pairs(kind) if history.rounds > 1 else {}
            view.show(nodes, verdicts, rounds, empty)
        elif isinstance(view, Verdicts):
            view.show(verdicts)
        else:
            content = sentences.sentences(state, verdicts, files)
            if trouble:
                content = Content.assemble(trouble, "\n\n", content)
            self.query_one("#sentences", Static).update(content)

    @on(Tabs.Turned)
    def _turned(self, event: Tabs.Turned) -> None:
        event.stop()
        self.turn(event.at)

    def turn(self, at: int) -> None:
        """Open a tab without moving the focus."""
        self.at = at
        self.query_one(ContentSwitcher).current = f"tab-{at}"
        self.post_message(self.Turned())

    def enter(self, at: int) -> None:
        """Open a tab and focus its view."""
        self.turn(at)
        inside = (it for it in self._view.walk_children(Widget) if it.focusable)
        next(inside, self._view).focus()

    def to_next(self) -> bool:
        """Move to this tab's next verdict that is no plain pass; returns whether there is one."""
        view = self._view
        return isinstance(view, Pairs | Verdicts) and view.to_next()

    def to_first(self) -> None:
        """Move to the first problem, unless the operator has moved the cursor already."""
        if isinstance(self._view, Pairs):
            self._view.to_first()
