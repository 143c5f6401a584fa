"""The install page."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.worker import Worker

from fedwiz.answers.file import AnswersError
from fedwiz.engine import verbs
from fedwiz.engine.approval import NOT_APPROVED, Refusal
from fedwiz.engine.plan import Plan
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import UnreachableError
from fedwiz.model.events import Record
from fedwiz.runs.journal import JournalError
from fedwiz.util.sanitize import sanitize
from screens.dialogs.approve import agreed
from screens.pages.outcome import (
    Sentence,
    end_unknown,
    load_run,
    onward,
    outcome,
    outcome_of_another,
    reason,
)
from screens.pages.run_page import RunPage
from screens.recorded_run import Job, installing, journal_of, resuming, run_job, watched
from screens.widgets.log_view import Read, of_file, of_host

if TYPE_CHECKING:
    from fedwiz.wizard.draft import Draft
    from fedwiz.wizard.inventory import Inventory

HINT = "Ctrl+C finishes the running step and starts no other.  Enter: a host's full log."
STOPPING = (
    "Stopping: the running step is finished, no other is started.  Press Ctrl+C again to quit now."
)
WATCH_CHOICE = "watch"


class InstallPage(RunPage):
    """Carries out the approved plan and shows its progress."""

    STEP = "install"
    QUESTION = "Installing"
    HELP: ClassVar[str | None] = (
        "The plan that you approved is carried out, on all hosts side by side, and nothing that "
        "was not in it. Each host has a pane: its state, the step that goes on, how many "
        "operations are done, and the last lines that it said. With more than nine hosts there is "
        "a table; the host under the cursor is open below it.\n\n"
        "If another operator changes the cluster just now, nothing is started, and w shows that "
        "run as it goes; leaving it does not end it.\n\n"
        "A host that fails does not keep the others from going on. When all have ended, r tries "
        "again what is left.\n\n"
        "Ctrl+C once: the running step is finished, and no other is started. Twice: fedwiz quits "
        "now; what was sent to a host may still run there, and the next run finds out what came of "
        "it. Nothing is lost either way: start fedwiz again, and it offers to resume this run, "
        "within what you approved."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "Try again what is left"),
        Binding("w", "watch", "Watch", tooltip="Watch the run that has the cluster's lock"),
    ]

    def __init__(self, draft: "Draft", inventory: "Inventory") -> None:
        super().__init__(draft, inventory)
        self._stop: asyncio.Event | None = None
        """Set, it has nothing new begun; None: no run goes on."""

        self._job: Job | None = None
        """What `r` retries from an interrupted run; None: the approved plan."""

        self._worker: Worker[None] | None = None
        self._retried = False
        self._loading = False
        self._cut_off = ""
        self._watched: list[Record] | None = None
        """Records of another operator's run being watched; None: none is."""

    @property
    def question(self) -> str:
        """The page's title."""
        return "Taking the install back" if self._undoes else self.QUESTION

    @property
    def _retry_job(self) -> Job | None:
        """What `r` retries; None: nothing was approved in this session."""
        approved = self.inventory.approved
        return self._job or (installing(approved) if approved else None)

    @property
    def _undoes(self) -> bool:
        return self.draft.goal == "undo"

    def on_mount(self) -> None:
        """Start the approved plan, or show the last run."""
        approved = self.inventory.approved
        before, self.wizard.resuming = self.wizard.resuming, None
        if before is not None:
            self._retried = True
            self._job = resuming(before, self.draft.answers(), self._approve_more)
            self._begin(self._job)
        elif approved is not None and approved is not self.wizard.started_with:
            self._begin(installing(approved))
        elif self.draft.run:
            self.speed = 0.0
            self.run_worker(self._show_recorded(self.draft.run), group="recall")
        else:
            self.clear()
            self.say("No plan is approved yet.  Ctrl+N leads to Review.")

    # An earlier run.

    async def _show_recorded(self, run: str) -> None:
        """Show a recorded run, all at once."""
        self.say("reading the journal of the run")
        self.clear()
        self._loading = True
        before = await asyncio.to_thread(load_run, journal_of(run))
        self._loading, self._cut_off = bool(before.records), before.cut_off
        if before.trouble is not None:
            self.say(*before.trouble)
        for record in before.records:
            self.sink(record)

    # The current run.

    @property
    def runs(self) -> bool:
        """Whether an install is in progress."""
        return self._stop is not None

    def _begin(self, job: Job) -> None:
        """Start working, in a worker of the app: a page's own workers are cancelled with it."""
        self.workers.cancel_group(self, WATCH_CHOICE)
        self.clear()
        self.speed, self._cut_off, self._watched = 1.0, "", None
        self.wizard.started_with = self.inventory.approved
        self._stop = asyncio.Event()
        self.wizard.stop = self._ask_to_stop
        self.say(HINT)
        self.refresh_bindings()
        self._worker = self.wizard.run_worker(
            self._run(job, self.draft.accepted, self._stop), group="install", exit_on_error=True
        )

    async def _approve_more(self, plan: Plan, known: ClusterFacts | None) -> Refusal | None:
        """Handle a plan that exceeds the approved one: an undo asks here, an install at Review."""
        if self._undoes:
            text = "More is left to take back than you approved then."
            yes = await agreed(self.wizard, self.draft.name, plan, known, text)
            return None if yes else NOT_APPROVED
        return Refusal("more is left to do than you approved then", stale=True)

    async def _run(self, job: Job, accepted: tuple[str, ...], stop: asyncio.Event) -> None:
        wrong = ""
        try:
            result = await run_job(
                job, self.inventory, accepted, stop, self.sink, self._run_started
            )
            self.wizard.code = result.code
        except JournalError:  # the last record says so
            self.wizard.code = verbs.INTERNAL
        except AnswersError as refused:
            wrong = f"Nothing was started: {refused}"
            self.wizard.code = verbs.USAGE
        except OSError as full:
            wrong = f"Nothing was started: the journal can't be written: {full.strerror or full}"
            self.wizard.code = verbs.INTERNAL
        finally:
            self._stop = self._worker = None
            self.wizard.stop = None
        if wrong:
            self.say(" ".join(wrong.split()), "block")
            self.refresh_bindings()

    def _run_started(self, run: str) -> None:
        self.keep(replace(self.draft, run=run))

    def _ask_to_stop(self) -> None:
        """Ctrl+C: stop gracefully; again: close now."""
        if self._stop is None:
            return
        if not self._stop.is_set():
            self._stop.set()
            self.say(STOPPING, "warn")
            return
        self.say("Closing.  What was sent to a host may still run there.", "warn")
        self.wizard.code, self.wizard.leaving = verbs.INTERRUPTED, True
        if self._worker is not None:
            self._worker.cancel()

    # The end of a run.

    def ended(self) -> None:
        """Show the result and what to do next."""
        self._loading = False
        if self._watched is not None:
            self.say(*outcome_of_another(self.state))
        elif self._cut_off:
            self.say(f"{self._cut_off}.  r: look what is left, at Review.", "warn")
        elif self.state.code == verbs.STALE and self._retried:
            # The plan differs from the approved one: the operator must see it.
            self.wizard.notify(
                f"Look at the plan again: {reason(self.state)}.",
                severity="warning",
                markup=False,
                timeout=10,
            )
            self.dismiss("back")
        else:
            self.say(*outcome(self.state, undoes=self._undoes))

    # Another operator's run.

    def action_watch(self) -> None:
        """Follow the run that holds the cluster's lock; leaving does not end it."""
        self.clear()
        self.wizard.state = None  # nobody's report
        self.speed, self._watched = 1.0, []
        self.run_worker(self._watch(self._watched), group=WATCH_CHOICE, exclusive=True)
        self.refresh_bindings()

    async def _watch(self, records: list[Record]) -> None:
        show = self.sink

        def take(record: Record) -> None:
            records.append(record)
            show(record)

        def note(text: str) -> None:
            self.say(f"{sanitize(text)}.  Esc: leave it to itself; it goes on.")

        note("looking who has the cluster's lock")
        try:
            followed = await watched(self.inventory, self.draft.answers(), take, note)
        except (AnswersError, UnreachableError) as wrong:
            self.say(f"It can't be watched: {sanitize(str(wrong))}.  r: try yours again.", "block")
        else:
            if followed.ended is None:
                self.say(*end_unknown(followed.why))

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable `retry` only if something is left to do."""
        if action == "watch":
            return self._watched is None and self.state.code == verbs.LOCKED and not self.runs
        if action == "retry" and self._watched is not None:
            return True
        if action == "retry":
            well = self.state.code in (verbs.OK, verbs.NOT_PROVEN)
            return not (self.runs or well or self.draft.goal == "look")
        return super().check_action(action, parameters)

    def action_retry(self) -> None:
        """Make a plan of what is left, and carry it out within the approval."""
        if self.runs:
            return
        stale = self.state.code == verbs.STALE and self._watched is None
        job = self._retry_job
        if job is None or stale or self._cut_off:
            self.dismiss("back")
            return
        self._retried = True
        self._begin(job)

    def action_back(self) -> None:
        """Go back to Review, unless hosts are being changed."""
        if self.runs:
            self.say(
                "The install is running.  Ctrl+C finishes the running step and starts no other.",
                "warn",
            )
        else:
            self.dismiss("first" if self._undoes else "back")

    def action_next(self) -> None:
        """Go to the verification, or to what must be done before it."""
        if self._loading:
            return  # it will be there in a moment and then say where to go
        if self.runs:
            self.say("The install is running: the verification comes when it has ended.", "warn")
        else:
            another, retryable = self._watched is not None, self._retry_job is not None
            to = onward(self.state, self.draft.goal, another=another, retryable=retryable)
            if isinstance(to, Sentence):
                self.say(*to)
            else:
                self.dismiss(to)

    def reader(self, host: str, upto: int) -> Read:
        """Read from the journal, or from the run being watched."""
        if self._watched is not None:
            return of_host(tuple(self._watched), host, upto)
        return of_file(journal_of(self.draft.run), host, upto)
