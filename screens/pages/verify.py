"""The verify page: what the manual procedure says to look at, with verdicts."""

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
from fedwiz.engine.recorded import Work
from fedwiz.model.events import Record
from fedwiz.runs.journal import answers_path, read
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import count
from fedwiz.wizard.draft import Draft, forget
from fedwiz.wizard.inventory import Inventory
from screens.dialogs.basic import Confirm
from screens.pages.diagnosis import DiagnosisPage
from screens.pages.page import Page
from screens.pages.save import save_report, short
from screens.recorded_run import Job, fits, journal_of, no_journal, run_job, verify
from screens.widgets import sentences
from screens.widgets.live_run import LiveRun
from screens.widgets.matrix import Matrix
from screens.widgets.signs import mark
from screens.widgets.verdict_tabs import LAST_TAB, TABS, VerdictTabs

TALL_ROWS = 30
"""Terminal rows from which on blank lines separate the parts."""

REFRESH_SECONDS = 1 / 8
"""Seconds between two redraws."""

ROUND_SECONDS = 5.0
"""Seconds between two rounds; simulated seconds on a practice cluster."""


class VerifyPage(Page):
    """Shows the verdicts of the install just done, of an earlier run, or of a new verification."""

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
        "the cause is named, and what can be fixed from here is, once you approve.\n\n"
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

    def __init__(self, draft: Draft, inventory: Inventory) -> None:
        super().__init__(draft, inventory)
        self._inbox = deque[Record]()
        self._live = LiveRun()
        self._run_id = ""
        self._trouble = ""
        self._verifying: object = None
        """Identifies the verification in progress; None: none is."""

        self._stop: asyncio.Event | None = None
        """Set it to end the rounds; None: no rounds are running."""

        self._installed: State | None = None
        self._fixes: list[tuple[str, tuple[Record, ...]]] = []
        """Runs that applied a fix and were not undone."""

    def content(self) -> ComposeResult:
        """The headline, and the tabs with their views."""
        yield Static("", id="headline")
        yield VerdictTabs(opens=self.draft.goal != "look")

    @property
    def _state(self) -> State:
        return self._live.state

    @property
    def _tabs(self) -> VerdictTabs:
        return self.query_one(VerdictTabs)

    def on_mount(self) -> None:
        """Show the verdicts at hand, or verify."""
        self.query_one(Matrix).focus()
        self.set_interval(REFRESH_SECONDS, self.drain)
        self.app.theme_changed_signal.subscribe(self, self._themed)
        state = self.wizard.state
        if state is not None and fits(self.draft, state) and not self._outdated():
            self._show(state, self.draft.run)
        else:
            self.run_worker(self._begin(), group="prove", exclusive=True)

    def on_resize(self, event: events.Resize) -> None:
        """Drop the blank lines on a low terminal."""
        for it in (self, self._tabs):
            it.set_class(event.size.height < TALL_ROWS, "-low")

    def _themed(self, _theme: Theme) -> None:
        self._draw()

    # Where the verdicts come from.

    def _outdated(self) -> bool:
        """Whether the network was verified again after the draft's run: its verdicts are old."""
        return self.wizard.verified_after == self.draft.run and self.draft.goal == "install"

    async def _begin(self) -> None:
        """Show what the draft's run recorded, if it is enough; else verify."""
        look = self.draft.goal == "look"
        path = journal_of(self.draft.run)
        if self.draft.run and self.draft.goal != "verify":
            try:
                state = State.of(await asyncio.to_thread(read, path))
            except ValueError as wrong:
                self._trouble = str(wrong) if look else ""
            else:
                self._installed = None if look else state
                if look or (fits(self.draft, state) and not self._outdated()):
                    self._show(state, self.draft.run)
                    return
        if look:
            self._draw()
        else:
            await self._verify()

    async def _verify(self, work: Work = verify) -> None:
        """Verify.  It changes nothing, so leaving the page cancels it."""
        self._trouble, self._live, self._run_id = "", LiveRun(), ""
        # A new inbox, so that the last records of a cancelled verification do not show up here.
        self._inbox, this = deque[Record](), object()
        self._verifying = this
        self._draw()
        # A cancelled verification has verified nothing.
        self.wizard.code, self.wizard.verified_after = verbs.INTERRUPTED, self.draft.run
        try:
            answers, accepted = self.draft.answers(), self.draft.accepted
            stop, sink = self._stop or asyncio.Event(), self._inbox.append
            result = await run_job(
                Job(answers, work), self.inventory, accepted, stop, sink, self._run_started
            )
            if result.known is not None:
                self.inventory.cache(answers, result.known)
        except AnswersError as refused:
            self._trouble = f"the answers can't be used: {refused}"
        except OSError as wrong:
            self._trouble = no_journal(wrong)
        else:
            self._take(result)
        finally:
            if self._verifying is this:
                self._verifying = None
        self.drain()
        self._draw()
        self._say_next()

    async def _watch(self) -> None:
        """Verify in rounds until told to stop."""
        self._stop = asyncio.Event()
        every = ROUND_SECONDS * (self.draft.pace if self.draft.practice else 1)
        self.say(f"It is verified again {every:g} s after each round; l ends that.")
        try:
            await self._verify(lambda cluster, stop: verbs.watch(cluster, every, stop))
        finally:
            self._stop = None

    def _run_started(self, run: str) -> None:
        self._run_id = run

    def _take(self, result: verbs.Result) -> None:
        """Make the result the wizard's exit code and report."""
        self.drain()
        self.wizard.state, self.wizard.code = self._state, result.code
        before = self._installed
        if result.code == verbs.OK and before is not None and before.red:
            # The network works, but the install failed on a host.
            self.wizard.code = before.code or verbs.FAILED

    def _show(self, state: State, run: str) -> None:
        """Show a run that has ended."""
        self._live, self._run_id = LiveRun(state), run
        if self.draft.goal == "install":
            self._installed = state
            self.wizard.state = state
            self.wizard.code = verbs.INTERRUPTED if state.code is None else state.code
        self._draw()
        if not state.verdicts:
            self.action_tab(LAST_TAB)
        self._tabs.to_first()
        self._say_next()

    def drain(self) -> None:
        """Show the records that have arrived since the last call."""
        if not self._inbox:
            return
        while self._inbox:
            self._live.apply(self._inbox.popleft())
        self._draw()
        if self._state.outcome or self._live.between:
            self._tabs.to_first()

    # Displaying.

    def _verified_nodes(self) -> list[str]:
        """The nodes that have verdicts, or will have."""
        found = dict.fromkeys(
            name for it in self._live.verdicts for name in (it.host, it.peer) if name
        )
        if not found and self._verifying:
            return [it.name for it in self.draft.chosen if it.role != "master"]
        order = [name for name in self._state.hosts if name in found]
        return order + [name for name in found if name not in self._state.hosts]

    def _draw(self) -> None:
        live, nodes = self._live, self._verified_nodes()
        trouble = mark("block", self._clean_trouble()) if self._trouble else None
        headline = self.query_one("#headline", Static)
        headline.set_class(bool(trouble), "-trouble")
        headline.update(
            trouble or sentences.headline(live, len(nodes), going=self._verifying is not None)
        )
        self._tabs.show(
            live.state,
            live.verdicts,
            nodes,
            live.history,
            self._files(),
            trouble,
            going=self._verifying is not None,
        )

    def _clean_trouble(self) -> str:
        return "\n".join(map(sanitize, self._trouble.splitlines()))

    def _say_next(self) -> None:
        """Say where the saved answers are, or which host keys must be accepted first."""
        keys = self.inventory.unknown
        if keys and not self._verifying:
            self.say(
                f"{count(len(keys), 'host key')} unknown: go back to Hosts with Esc, "
                "compare and accept there.",
                "block",
            )
            return
        path = answers_path(self._run_id)
        if self.draft.goal == "look":
            self.say(f"This is how the run {self._run_id} ended; nothing is asked of the hosts.")
        elif self._run_id and path.is_file():
            self.say(f"To do the same again: {short(path)}")

    def _files(self) -> dict[str, Path]:
        """The files that this run has written."""
        if not self._run_id:
            return {}
        found = {
            "The answers that repeat this run": answers_path(self._run_id),
            "Its journal": journal_of(self._run_id),
        }
        return {what: path for what, path in found.items() if path.is_file()}

    # Keys.

    @on(VerdictTabs.Turned)
    def _turned(self) -> None:
        self._draw()
        self.refresh_bindings()

    def action_tab(self, at: int) -> None:
        """Open a tab and focus its view."""
        self._tabs.enter(at)
        self._turned()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable verifying again for an earlier run; the findings tab has no next fault."""
        if action in ("again", "live"):
            return self.draft.goal != "look"
        return action != "fault" or self._tabs.at < LAST_TAB

    def action_again(self) -> None:
        """Verify again."""
        if not self._verifying:
            self.run_worker(self._verify(), group="prove", exclusive=True)

    def action_live(self) -> None:
        """Start or stop verifying in rounds."""
        if self._stop is None:
            self.run_worker(self._watch(), group="prove", exclusive=True)
        else:
            self._stop.set()
            self.say("The round that goes on is the last one.")

    @on(Matrix.Opened)
    def _opened(self, event: Matrix.Opened) -> None:
        self.run_worker(self._diagnose(event.pair), group="ask", exclusive=True)

    async def _diagnose(self, pair: tuple[str, str]) -> None:
        """Diagnose a pair; if the diagnosis changed hosts, verify again."""
        if pair[0] == pair[1]:
            self.say("A node and itself are not a pair: go to two nodes with the arrows.", "warn")
            return
        try:
            answers = self.draft.answers()
        except AnswersError as refused:
            self.say(f"The answers can't be used: {refused}", "block")
            return
        dialog = DiagnosisPage(self.inventory, answers, self.draft.accepted, pair, self._fixes)
        if await self.wizard.push_screen_wait(dialog) and self._stop is None:
            self.run_worker(self._verify(), group="prove", exclusive=True)

    def action_fault(self) -> None:
        """Go to the next problem."""
        if not self._tabs.to_next():
            self.say("There is nothing here but what passed.")

    def action_write(self) -> None:
        """Save the report."""
        self.run_worker(self._write(), group="ask", exclusive=True)

    async def _write(self) -> None:
        if self._state.outcome:
            await save_report(self, self._state, self._run_id)
        else:
            self.say("There is nothing to save yet: the verification has not ended.", "warn")

    def action_next(self) -> None:
        """Finish: quit and delete the saved draft."""
        self.run_worker(self._finish(), group="ask", exclusive=True)

    async def _finish(self) -> None:
        if self.draft.goal == "look":
            self.dismiss("first")
            return
        if doubt := self._doubt():
            text = (
                f"{doubt}\n\nWhat you said is then forgotten.  To keep it, leave with Ctrl+Q: "
                "`fedwiz` continues from here."
            )
            if not await self.wizard.push_screen_wait(
                Confirm("Leave all the same?", text, "Yes, leave")
            ):
                return
            # The verification may have ended while the question was open.
            self.wizard.code = self.wizard.code or (verbs.NOT_PROVEN if self._doubt() else verbs.OK)
        await asyncio.to_thread(forget, self.draft.practice)
        self.dismiss("quit")

    def _doubt(self) -> str:
        """Why one might not want to leave yet; empty: the network is verified."""
        if self._verifying:
            return "The verification has not ended yet."
        if self._trouble or not self._state.outcome:
            return "The network is not verified."
        if not report.ok(self._state):
            return report.outcome_line(self._state)
        return "" if self.wizard.code == verbs.OK else "The install failed on a host."
