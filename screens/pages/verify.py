"""The page Verify: what the procedure tells an operator to look at, as it is and judged."""

import asyncio
from collections import deque
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.theme import Theme
from textual.widgets import Static

from fedwiz import report
from fedwiz.answers.file import AnswersError
from fedwiz.engine import verbs
from fedwiz.model.events import Record
from fedwiz.runs.journal import answers_of, read
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard.draft import Draft, forget
from fedwiz.wizard.inventory import Inventory
from screens.dialogs.basic import Confirm
from screens.pages.diagnosis import DiagnosisPage
from screens.pages.page import Page
from screens.pages.save import save_report, short
from screens.recorded_run import Work, fits, journal_of, proved, unkept
from screens.widgets import sentences
from screens.widgets.live_run import LiveRun
from screens.widgets.matrix import Matrix
from screens.widgets.signs import mark
from screens.widgets.verdict_tabs import LAST_TAB, TABS, VerdictTabs

TALL_ROWS = 30
"""Rows of a terminal from which on there are blank lines between the parts."""

REFRESH_SECONDS = 1 / 8
"""Seconds between two looks at what has come in."""

ROUND_SECONDS = 5.0
"""Seconds between two rounds; on a practice cluster simulated ones."""


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
        "Enter asks why: the two nodes ping once more while both count the packets on their way, "
        "the cause is named, and what can be mended from here is, once you approve.\n\n"
        "Addresses: `ip -4 a | grep inet` of each node; flannel.1 and docker0 belong to one "
        "network.  Subnets: one lease in etcd for each node.  subnet.env: what flannel tells "
        "docker.  Peers: whether a node knows the way to each other one, by route, neighbour and "
        "forwarding database.  Size: the largest packets that cross, in bytes.  Findings: all "
        "that is wrong or doubtful, in sentences.\n\n"
        "l verifies again every 5 seconds, until l is pressed once more; below a pair stand its "
        "last rounds.\n\n"
        "Verifying again changes nothing on the hosts: its containers are taken away, and end by "
        "themselves within little more than a minute should fedwiz be killed."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "next", "Finish"),
        Binding("r,f5", "again", "Again", key_display="r", tooltip="Verify again"),
        Binding("f", "fault", "Fault", tooltip="Next fault"),
        Binding("l", "live", "Live", tooltip="Verify again and again"),
        Binding("w", "write", "Save", tooltip="Save report"),
        *(
            Binding(str(number), f"tab({number - 1})", f"Tab {title}", show=False)
            for number, title in enumerate(TABS.values(), 1)
        ),
    ]
    DEFAULT_CSS = """
    VerifyPage.-low > #body { padding-top: 0; }
    VerifyPage #headline { height: auto; max-height: 3; }
    VerifyPage.-low #headline { max-height: 2; }
    VerifyPage #headline.-trouble { max-height: 60%; }
    """

    def __init__(self, draft: Draft, site: Inventory) -> None:
        super().__init__(draft, site)
        self._inbox = deque[Record]()
        self._live = LiveRun()
        self._told_run = ""
        self._trouble = ""
        self._proving: object = None
        """The verification that goes on."""

        self._stop: asyncio.Event | None = None
        """Set, it ends the rounds; None: there are no rounds."""

        self._installed: State | None = None
        self._mended: list[tuple[str, tuple[Record, ...]]] = []
        """Runs that have carried a remedy out, and that were not taken back."""

    def content(self) -> ComposeResult:
        """The headline, the tabs, and what is in them."""
        yield Static("", id="headline")
        yield VerdictTabs(opens=self.draft.goal != "look")

    @property
    def _seen(self) -> State:
        return self._live.state

    @property
    def _proof(self) -> VerdictTabs:
        return self.query_one(VerdictTabs)

    def on_mount(self) -> None:
        """Show what there is, or find it out."""
        self.query_one(Matrix).focus()
        self.set_interval(REFRESH_SECONDS, self.drain)
        self.app.theme_changed_signal.subscribe(self, self._themed)
        state = self.wizard.state
        if state is not None and fits(self.draft, state) and not self._outdone():
            self._show(state, self.draft.run)
        else:
            self.run_worker(self._begin(), group="prove", exclusive=True)

    def on_resize(self, event: events.Resize) -> None:
        """Leave blank lines out where there is no room for them."""
        for it in (self, self._proof):
            it.set_class(event.size.height < TALL_ROWS, "-low")

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

    async def _prove(self, work: Work = verbs.verify) -> None:
        """Verify.  It changes nothing, so a page that goes takes it along."""
        self._trouble, self._live, self._told_run = "", LiveRun(), ""
        # Its own, so that one which is cut off tells nobody any more that it was.
        self._inbox, this = deque[Record](), object()
        self._proving = this
        self._draw()
        # What is cut off here has proven nothing.
        self.wizard.code, self.wizard.proved = verbs.INTERRUPTED, self.draft.run
        try:
            answers, accepted = self.draft.answers(), self.draft.accepted
            told = self._inbox.append
            result = await proved(self.site, answers, accepted, told, self._begun, work)
        except AnswersError as refused:
            self._trouble = f"the answers can't be used: {refused}"
        except OSError as wrong:
            self._trouble = unkept(wrong)
        else:
            self._take(result)
        finally:
            if self._proving is this:
                self._proving = None
        self.drain()
        self._draw()
        self._tell()

    async def _watch(self) -> None:
        """Verify again and again, until that is enough."""
        self._stop = stop = asyncio.Event()
        every = ROUND_SECONDS * (self.draft.pace if self.draft.practice else 1)
        self.say(f"It is verified again {every:g} s after each round; l ends that.")
        try:
            await self._prove(lambda cluster: verbs.watch(cluster, every, stop))
        finally:
            self._stop = None

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
        self._live, self._told_run = LiveRun(state), run
        if self.draft.goal == "install":
            self._installed = state
            self.wizard.state = state
            self.wizard.code = verbs.INTERRUPTED if state.code is None else state.code
        self._draw()
        if not state.verdicts:
            self.action_tab(LAST_TAB)
        self._proof.to_first()
        self._tell()

    def drain(self) -> None:
        """Show what has come in since the last time."""
        if not self._inbox:
            return
        while self._inbox:
            self._live.apply(self._inbox.popleft())
        self._draw()
        if self._seen.outcome or self._live.between:
            self._proof.to_first()

    # What is shown.

    def _proven_nodes(self) -> list[str]:
        """All that there is a verdict on, or that there will be one on."""
        found = dict.fromkeys(
            name for it in self._live.verdicts for name in (it.host, it.peer) if name
        )
        if not found and self._proving:
            return [it.name for it in self.draft.chosen if it.role != "master"]
        order = [name for name in self._seen.hosts if name in found]
        return order + [name for name in found if name not in self._seen.hosts]

    def _draw(self) -> None:
        live, nodes = self._live, self._proven_nodes()
        trouble = mark("block", self._clean_trouble()) if self._trouble else None
        headline = self.query_one("#headline", Static)
        headline.set_class(bool(trouble), "-trouble")
        headline.update(
            trouble or sentences.headline(live, len(nodes), going=self._proving is not None)
        )
        self._proof.show(
            live.state,
            live.verdicts,
            nodes,
            live.history,
            self._files(),
            trouble,
            going=self._proving is not None,
        )

    def _clean_trouble(self) -> str:
        return "\n".join(map(sanitize, self._trouble.splitlines()))

    def _tell(self) -> None:
        """Where the answers are that repeat this, and what would help most."""
        keys = self.site.unknown
        if keys and not self._proving:
            self.say(
                f"{len(keys)} host key{'s' * (len(keys) > 1)} unknown: go back to Hosts with Esc, "
                "compare and accept there.",
                "block",
            )
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

    @on(VerdictTabs.Turned)
    def _turned(self) -> None:
        self._draw()
        self.refresh_bindings()

    def action_tab(self, at: int) -> None:
        """To that tab, and into it."""
        self._proof.enter(at)
        self._turned()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run of before can't be verified again from here; findings are one text."""
        if action in ("again", "live"):
            return self.draft.goal != "look"
        return action != "fault" or self._proof.at < LAST_TAB

    def action_again(self) -> None:
        """Verify again."""
        if not self._proving:
            self.run_worker(self._prove(), group="prove", exclusive=True)

    def action_live(self) -> None:
        """Verify again and again, or no more."""
        if self._stop is None:
            self.run_worker(self._watch(), group="prove", exclusive=True)
        else:
            self._stop.set()
            self.say("The round that goes on is the last one.")

    @on(Matrix.Opened)
    def _opened(self, event: Matrix.Opened) -> None:
        self.run_worker(self._diagnose(event.pair), group="ask", exclusive=True)

    async def _diagnose(self, pair: tuple[str, str]) -> None:
        """Ask why a pair does not ping; what was changed meanwhile is verified."""
        if pair[0] == pair[1]:
            self.say("A node and itself are no pair: go to two nodes with the arrows.", "warn")
            return
        try:
            answers = self.draft.answers()
        except AnswersError as refused:
            self.say(f"The answers can't be used: {refused}", "block")
            return
        dialog = DiagnosisPage(self.site, answers, self.draft.accepted, pair, self._mended)
        if await self.wizard.push_screen_wait(dialog) and self._stop is None:
            self.run_worker(self._prove(), group="prove", exclusive=True)

    def action_fault(self) -> None:
        """To the next thing that needs a look."""
        if not self._proof.to_next():
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
            return report.outcome_line(self._seen)
        return "" if self.wizard.code == verbs.OK else "The install did not get through on a host."
