"""The welcome page: asks for a goal.  Shown before anything heavy is loaded."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from fedwiz.runs.interrupted import InterruptedRun
from fedwiz.wizard.goals import GOALS, LEFT_ALONE, What
from screens.dialogs.basic import Options
from screens.widgets.frame import KeyBar, Small, StatusLine, too_small


@dataclass(frozen=True, slots=True)
class GoalChosen:
    """The operator's goal."""

    what: What
    before: InterruptedRun | None = None
    """The run to resume."""


WIDTH_COLUMNS = 64
"""Columns of the list."""


class WelcomePage(Screen[GoalChosen]):
    """Asks for a goal."""

    HELP: ClassVar[str | None] = (
        "fedwiz installs a flannel overlay network on Fedora machines: one Kubernetes master with "
        "etcd, and two or more nodes with docker. Then it verifies that the network works.\n\n"
        "Nothing is changed on any machine before you have seen the whole plan and approved it. "
        "What you type is kept as you go: leave with Ctrl+Q and start fedwiz again, and you are "
        "where you were.\n\n"
        "An interrupted run is offered first. Resuming it makes a plan of what is left and "
        "carries it out as far as you approved it then; you are asked for anything more. To leave "
        "it, choose something else: it stays under Earlier runs, and for `fedwiz resume`.\n\n"
        "New to it?  Take the practice cluster: the same pages, on simulated machines."
    )
    LAYERS = ("default", "over")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "choose('resume')", "Resume the interrupted run", show=False),
        *(
            Binding(str(number), f"choose('{what}')", title, show=False)
            for number, (what, (title, _)) in enumerate(GOALS.items(), 1)
        ),
    ]
    DEFAULT_CSS = """
    WelcomePage #page { height: 1fr; align: center middle; }
    WelcomePage #welcome { width: 64; height: auto; max-height: 100%; }
    WelcomePage #name { text-style: bold; color: $primary; }
    WelcomePage #about { color: $text-muted; margin-bottom: 1; }
    WelcomePage OptionList { height: auto; }
    """

    def __init__(self, before: InterruptedRun | None = None) -> None:
        """Create the page.

        Args:
            before: an interrupted run that can be resumed; None: there is none.
        """
        super().__init__()
        self._before = before

    def compose(self) -> ComposeResult:
        """The name, what fedwiz does, and the list."""
        with Vertical(id="page"), Vertical(id="welcome"):
            yield Static("fedwiz", id="name")
            yield Static("A flannel overlay network on Fedora hosts, verified to work.", id="about")
            yield Options(*self._options())
        yield StatusLine(id="said")
        yield KeyBar()
        yield Small()

    def _options(self) -> Iterator[Option]:
        if self._before is not None:
            about = f"It stopped at {self._before.where}.\n{LEFT_ALONE}"
            yield _option("g", "resume", f"Resume: {self._before.name}", about)
        for number, (what, (title, more)) in enumerate(GOALS.items(), 1):
            yield _option(str(number), what, title, more)

    def say(self, text: str, level: str = "") -> None:
        """Show a sentence above the keys."""
        self.query_one("#said", StatusLine).say(text, level)

    def on_resize(self, event: events.Resize) -> None:
        """Cover the page if it does not fit the terminal."""
        self.set_class(too_small(*event.size), "-small")

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Close with the choice."""
        for what in ("resume", *GOALS):
            if what == event.option_id:
                self.action_choose(what)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable `resume` only if a run was interrupted."""
        if action == "choose" and parameters == ("resume",):
            return self._before is not None
        return super().check_action(action, parameters)

    def action_choose(self, what: What) -> None:
        """Choose by number."""
        self.dismiss(GoalChosen(what, self._before if what == "resume" else None))


def _option(key: str, what: str, title: str, more: str) -> Option:
    """An option: its key, its title and a few lines of description."""
    lines = "\n   ".join(
        it for line in more.splitlines() for it in textwrap.wrap(line, WIDTH_COLUMNS - 7)
    )
    return Option(
        Content.assemble(
            Content.styled(f"{key}  ", "$text-muted"),
            Content.styled(title, "bold"),
            "\n   ",
            Content.styled(lines, "$text-muted"),
        ),
        id=what,
    )
