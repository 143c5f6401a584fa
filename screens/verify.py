"""The page Verify: what the procedure tells an operator to look at, as it is and judged."""

import asyncio
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from fedwiz import report, verbs
from fedwiz.answers import Refused
from fedwiz.clean import clean
from fedwiz.draft import Draft, forget
from fedwiz.events import Record, Verified
from fedwiz.journal import read, runs_path
from fedwiz.site import Site
from fedwiz.state import State
from screens import told
from screens.dialogs import Confirm
from screens.matrix import Matrix
from screens.page import Page
from screens.proving import answers_of, fits, journal_of, prove
from screens.save import save_report, short
from screens.signs import mark
from screens.tabs import Tabs
from screens.verdicts import Verdicts, word

TABS = {
    "ping": "Matrix", "address": "Addresses", "lease": "Subnets", "subnet_env": "subnet.env",
    "": "Findings",
}  # fmt: skip
"""By the kind of their verdicts."""

ROOMY = 30
"""Rows of a terminal from which on there are blank lines between the parts."""

REFRESH = 1 / 8
"""Seconds between two looks at what has come in."""


class VerifyPage(Page):
    """Shows the verdicts of the install before it, of a run of before, or of one of its own."""

    STEP = "verify"
    QUESTION = "Does the network work?"
    HELP: ClassVar[str | None] = (
        "Here is what the procedure tells you to look at when flannel is set up, as the hosts and "
        "etcd have it, each with a verdict.\n\n"
        "Matrix: a container on every node pings one on every other node, both ways; a row "
        "sends, a column receives.  Go to a pair with the arrows to see what came back and, "
        "where it does not ping, why and one thing to do.  A warning beside a ping means that it "
        "arrives, but not as Kubernetes wants it, such as under another address (NAT).\n\n"
        "Addresses: `ip -4 a | grep inet` of each node; flannel.1 and docker0 belong to one "
        "network.  Subnets: one lease in etcd for each node.  subnet.env: what flannel tells "
        "docker.  Findings: all that is wrong or doubtful, in sentences.\n\n"
        "Verifying again changes nothing on the hosts: its containers are taken away, and end by "
        "themselves within little more than a minute should fedwiz be killed."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "next", "Finish"),
        Binding("r,f5", "again", "Verify again", key_display="r"),
        Binding("f", "fault", "Next fault"),
        Binding("w", "write", "Save report"),
        *(
            Binding(str(number), f"tab({number - 1})", f"Tab {title}", show=False)
            for number, title in enumerate(TABS.values(), 1)
        ),
    ]
    DEFAULT_CSS = """
    VerifyPage.-low > #body { padding-top: 0; }
    VerifyPage.-low Tabs { margin-bottom: 0; }
    VerifyPage #headline { height: auto; max-height: 3; }
    VerifyPage.-low #headline { max-height: 2; }
    VerifyPage #headline.-trouble { max-height: 60%; }
    VerifyPage ContentSwitcher { height: 1fr; }
    VerifyPage ContentSwitcher > * { height: 1fr; }
    VerifyPage #pair { height: 1fr; min-height: 3; margin-top: 1; }
    """

    def __init__(self, draft: Draft, site: Site) -> None:
        super().__init__(draft, site)
        self._inbox = deque[Record]()
        self._seen = State()
        self._told_run = ""
        self._at = 0
        self._trouble = ""
        self._proving = False
        self._installed: State | None = None
        self._pings: Mapping[tuple[str, str], Verified] = {}

    def content(self) -> ComposeResult:
        """The headline, the tabs, and what is in them."""
        yield Static("", id="headline")
        yield Tabs(tuple(TABS.values()))
        with ContentSwitcher(initial="tab-0"):
            with Vertical(id="tab-0"):
                yield Matrix()
                with VerticalScroll(id="pair"):
                    yield Static("")
            for number, kind in enumerate(TABS):
                if kind not in ("ping", ""):
                    yield Verdicts(kind, id=f"tab-{number}")
            with VerticalScroll(id=f"tab-{len(TABS) - 1}"):
                yield Static("", id="sentences")

    def on_mount(self) -> None:
        """Show what there is, or find it out."""
        self.query_one(Matrix).focus()
        self.set_interval(REFRESH, self.drain)
        self.app.theme_changed_signal.subscribe(self, self._themed)
        state = self.wizard.state
        if state is not None and fits(self.draft, state) and not self._outdone():
            self._show(state, self.draft.run)
        else:
            self.run_worker(self._begin(), group="prove", exclusive=True)

    def on_resize(self, event: events.Resize) -> None:
        """Leave blank lines out where there is no room for them."""
        self.set_class(event.size.height < ROOMY, "-low")

    def _themed(self, _theme: Theme) -> None:
        self._draw()

    # Where the verdicts come from.

    def _outdone(self) -> bool:
        """Whether there was a verification after the draft's run: its verdicts are old then."""
        return self.wizard.proved == self.draft.run and self.draft.goal == "install"

    async def _begin(self) -> None:
        """What was recorded of the draft's run, if it tells enough; else a verification."""
        look = self.draft.goal == "look"
        path = journal_of(self.draft.run)
        if self.draft.run and self.draft.goal != "verify":
            try:
                state = State.of(await asyncio.to_thread(read, path))
            except ValueError as wrong:
                self._trouble = str(wrong) if look else ""
            else:
                self._installed = None if look else state
                if look or (fits(self.draft, state) and not self._outdone()):
                    self._show(state, self.draft.run)
                    return
        if look:
            self._draw()
        else:
            await self._prove()

    async def _prove(self) -> None:
        """Verify.  It changes nothing, so a page that goes takes it along."""
        self._trouble, self._seen, self._told_run = "", State(), ""
        self._inbox.clear()
        self._proving = True
        self._draw()
        # What is cut off here has proven nothing.
        self.wizard.code, self.wizard.proved = verbs.INTERRUPTED, self.draft.run
        try:
            answers, accepted = self.draft.answers(), self.draft.accepted
            result = await prove(self.site, answers, accepted, self._inbox.append, self._begun)
        except Refused as refused:
            self._trouble = f"the answers can't be used: {refused}"
        except OSError as wrong:
            self._trouble = (
                f"no journal can be kept in {runs_path()} ({wrong.strerror or wrong}): make room "
                "there, or make that directory yours; then press r"
            )
        else:
            self._take(result)
        finally:
            self._proving = False
        self.drain()
        self._draw()
        self._tell()

    def _begun(self, run: str) -> None:
        self._told_run = run

    def _take(self, result: verbs.Result) -> None:
        """Make it what the wizard leaves with."""
        self.drain()
        self.wizard.state, self.wizard.code = self._seen, result.code
        before = self._installed
        if result.code == verbs.OK and before is not None and before.red:
            # The network works, and yet a host did not get through the install.
            self.wizard.code = before.code or verbs.FAILED

    def _show(self, state: State, run: str) -> None:
        """Show a run that has ended."""
        self._seen, self._told_run = state, run
        if self.draft.goal == "install":
            self._installed = state
            self.wizard.state = state
            self.wizard.code = verbs.INTERRUPTED if state.code is None else state.code
        self._draw()
        if not state.verdicts:
            self.action_tab(len(TABS) - 1)
        self._to_first_fault()
        self._tell()

    def drain(self) -> None:
        """Show what has come in since the last time."""
        if not self._inbox:
            return
        while self._inbox:
            self._seen.apply(self._inbox.popleft())
        self._draw()
        if self._seen.outcome:
            self._to_first_fault()

    # What is shown.

    def _proven_nodes(self) -> list[str]:
        """All that there is a verdict on, or that there will be one on."""
        found = dict.fromkeys(
            name for it in self._seen.verdicts for name in (it.host, it.peer) if name
        )
        if not found and self._proving:
            return [it.name for it in self.draft.chosen if it.role != "master"]
        order = [name for name in self._seen.hosts if name in found]
        return order + [name for name in found if name not in self._seen.hosts]

    def _draw(self) -> None:
        state, nodes = self._seen, self._proven_nodes()
        self._head(len(nodes))
        worst = told.worst(state.verdicts)
        self.query_one(Tabs).draw(self._at, [worst.get(kind, "") for kind in TABS])
        if self._at == 0:
            self._pings = report.pairs(state.verdicts)
            cells = {pair: told.cell(it) for pair, it in self._pings.items()}
            self.query_one(Matrix).show(nodes, cells)
            self._tell_pair()
        elif self._at < len(TABS) - 1:
            self.query_one(f"#tab-{self._at}", Verdicts).show(state.verdicts)
        else:
            said = told.sentences(state, self._files())
            if self._trouble:
                said = Content.assemble(mark("block", self._clean_trouble()), "\n\n", said)
            self.query_one("#sentences", Static).update(said)

    def _clean_trouble(self) -> str:
        return "\n".join(map(clean, self._trouble.splitlines()))

    def _head(self, nodes: int) -> None:
        state = self._seen
        if self._trouble:
            said = mark("block", self._clean_trouble())
        elif self._proving:
            said = mark("running", told.phase(state, nodes))
        elif not state.verb:
            said = mark("waiting", "nothing was verified yet: press r")
        else:
            good = report.ok(state)
            warned = sum(word(it) == "warn" for it in state.verdicts)
            more = f"; {warned} of the verdicts with a warning" if warned else ""
            level = ("warn" if warned else "ok") if good else "block"
            said = mark(level, report.gist(state) + more)
        headline = self.query_one("#headline", Static)
        headline.set_class(bool(self._trouble), "-trouble")
        headline.update(said)

    @on(Matrix.Moved)
    def _tell_pair(self) -> None:
        """What is known of the pair under the cursor."""
        pair, box = self.query_one(Matrix).pair, self.query_one("#pair", VerticalScroll)
        if pair is None:
            empty = "" if self._proving else self._seen.why or "No node was verified."
            said = Content.styled(empty, "$text-muted")
        elif pair[0] == pair[1]:
            said = told.about(self._seen.verdicts, pair[0])
        else:
            said = told.between(self._pings, *pair)
        box.query_one(Static).update(said)
        box.scroll_home(animate=False)

    def _to_first_fault(self) -> None:
        """To what needs a look, unless the operator is looking at something already."""
        matrix = self.query_one(Matrix)
        if self._at == 0 and matrix.nodes and not matrix.touched:
            matrix.to(0, 0)
            if not matrix.to_next(told.doubtful):
                matrix.to(0, 1)

    def _tell(self) -> None:
        """Where the answers are that repeat this, and what would help most."""
        keys = self.site.unknown
        if keys and not self._proving:
            self.say(
                f"{len(keys)} host key{'s' * (len(keys) > 1)} unknown: go back to Hosts with Esc, "
                "compare and accept there.", "block",
            )  # fmt: skip
            return
        path = answers_of(self._told_run)
        if self.draft.goal == "look":
            self.say(f"This is how the run {self._told_run} ended; nothing is asked of the hosts.")
        elif self._told_run and path.is_file():
            self.say(f"To do the same again: {short(path)}")

    def _files(self) -> dict[str, Path]:
        """What was written of this run."""
        if not self._told_run:
            return {}
        found = {
            "The answers that repeat this run": answers_of(self._told_run),
            "Its journal": journal_of(self._told_run),
        }
        return {what: path for what, path in found.items() if path.is_file()}

    # What the keys do.

    @on(Tabs.Turned)
    def _turned(self, event: Tabs.Turned) -> None:
        self._turn(event.at)

    def action_tab(self, at: int) -> None:
        """To that tab, and into it."""
        self._turn(at)
        view = self.query_one(f"#tab-{at}", Widget)
        inside = (it for it in view.walk_children(Widget) if it.focusable)
        next(inside, view).focus()

    def _turn(self, at: int) -> None:
        self._at = at
        self.query_one(ContentSwitcher).current = f"tab-{at}"
        self._draw()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run of before can't be verified again from here; findings are one text."""
        if action == "again":
            return self.draft.goal != "look"
        return action != "fault" or self._at < len(TABS) - 1

    def action_again(self) -> None:
        """Verify again."""
        if not self._proving:
            self.run_worker(self._prove(), group="prove", exclusive=True)

    def action_fault(self) -> None:
        """To the next thing that needs a look."""
        found = False
        if self._at == 0:
            found = self.query_one(Matrix).to_next(told.doubtful)
        elif self._at < len(TABS) - 1:
            found = self.query_one(f"#tab-{self._at}", Verdicts).to_next()
        if not found:
            self.say("There is nothing here but what passed.")

    def action_write(self) -> None:
        """Save the report."""
        self.run_worker(self._write(), group="ask", exclusive=True)

    async def _write(self) -> None:
        if self._seen.outcome:
            await save_report(self, self._seen, self._told_run)
        else:
            self.say("There is nothing to save yet: the verification has not ended.", "warn")

    def action_next(self) -> None:
        """Leave for good; what was said is done with, and is not kept any more."""
        self.run_worker(self._finish(), group="ask", exclusive=True)

    async def _finish(self) -> None:
        if self.draft.goal == "look":
            self.dismiss("first")
            return
        if doubt := self._doubt():
            text = (
                f"{doubt}\n\nWhat you said is then forgotten.  To keep it, leave with Ctrl+Q: "
                "`fedwiz` goes on from here."
            )
            if not await self.wizard.push_screen_wait(
                Confirm("Leave all the same?", text, "Yes, leave")
            ):
                return
            # It may have been proven while the question stood there.
            self.wizard.code = self.wizard.code or (verbs.NOT_PROVEN if self._doubt() else verbs.OK)
        await asyncio.to_thread(forget, self.draft.practice)
        self.dismiss("quit")

    def _doubt(self) -> str:
        """Why one would not leave yet; empty: the network is proven."""
        if self._proving:
            return "The verification has not ended yet."
        if self._trouble or not self._seen.outcome:
            return "The network is not verified."
        if not report.ok(self._seen):
            return report.gist(self._seen)
        return "" if self.wizard.code == verbs.OK else "The install did not get through on a host."
