"""The diagnosis dialog: why a pair of nodes does not ping, with the packets' path and a fix."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from fedwiz.answers.file import Answers, AnswersError
from fedwiz.diagnose import Diagnosis as Cause
from fedwiz.engine import fix, verbs
from fedwiz.engine.approval import within_plan
from fedwiz.engine.plan import Plan
from fedwiz.engine.recorded import Work
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.events import Record
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import arrow
from fedwiz.wizard.inventory import Inventory
from screens.dialogs import cause
from screens.dialogs.approve import agreed
from screens.dialogs.dialog import Dialog
from screens.recorded_run import Job, no_journal, run_job
from screens.widgets import sentences
from screens.widgets.frame import StatusLine
from screens.widgets.signs import mark
from screens.widgets.verdict_table import word

if TYPE_CHECKING:
    from screens.wizard import Wizard

REFRESH_SECONDS = 1 / 8
"""Seconds between two redraws."""

DONE, PATH, VERDICTS = "done", "way", "verdicts"
"""Keys of the list's items that are not causes."""


class Items(OptionList):
    """The list of items to read."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Read on")]


class Text(VerticalScroll, can_focus=True):
    """The text of the item under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "screen.text", "To the list")]


class DiagnosisPage(Dialog[bool]):
    """Diagnoses a pair of nodes and offers the fix.  Returns whether hosts were changed."""

    STEP: ClassVar[str] = "verify"
    HELP: ClassVar[str | None] = (
        "The two nodes are verified, then a container on the one pings a container on the other "
        "while both nodes count its packets on their way: out of the container, through each "
        "node's rules, over the wire, and back.  Nothing of that stays on them.\n\n"
        "From the counts and from what the nodes say of themselves comes the cause, with what "
        "says so, and one thing to do.  What stops this ping stands first; something that is "
        "wrong besides is marked by !.\n\n"
        "a shows how fedwiz would fix the cause under the cursor, as a plan: every command, "
        "which containers stop, and how it is undone.  Nothing is changed before you approve.  "
        "Then the two are verified again.  u undoes a fix, in the same way.\n\n"
        "Enter leads from the list into its text, to scroll there, and back."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back"),
        Binding("a", "apply", "Fix", tooltip="Show the fix, and run it once approved"),
        Binding("u", "undo", "Undo", tooltip="Undo the last fix, once approved"),
        Binding("r,f5", "again", "Again", key_display="r", tooltip="Diagnose again"),
        Binding("f1,question_mark", "app.help", "Help", key_display="F1"),
    ]
    DEFAULT_CSS = """
    DiagnosisPage > #dialog { width: 100%; max-width: 100%; height: 96%; max-height: 96%; }
    DiagnosisPage #headline { height: auto; max-height: 4; margin-bottom: 1; }
    DiagnosisPage #items { height: auto; max-height: 6; }
    DiagnosisPage #items { text-wrap: nowrap; text-overflow: ellipsis; }
    DiagnosisPage #text { height: 1fr; margin-top: 1; }
    DiagnosisPage #text:focus { background: $panel; }
    """

    def __init__(
        self,
        inventory: Inventory,
        answers: Answers,
        accepted: tuple[str, ...],
        pair: tuple[str, str],
        fixes: list[tuple[str, tuple[Record, ...]]],
    ) -> None:
        """Create the dialog; the diagnosis starts when it is mounted.

        Args:
            inventory: the inventory.
            answers: the cluster's answers.
            accepted: checks whose blocks count as warnings.
            pair: the node that pings, and the node that should answer.
            fixes: id and records of each run that applied a fix, latest last; this dialog appends
                new ones and removes those it has undone.
        """
        super().__init__(arrow(*pair))
        self._inventory, self._answers = inventory, answers
        self._accepted, self._pair = accepted, pair
        self._fixes = fixes
        self._state, self._records, self._drawn = State(), list[Record](), -1
        self._run = ""
        self._result: Result | None = None
        self._stop: asyncio.Event | None = None
        """Set it to stop the current work; None: nothing runs."""

        self._changing = self._changed = False
        self._outcome: Content | None = None
        """The result of the last fix or undo."""

        self._trouble = ""
        self._keys: list[str] = []

    @property
    def wizard(self) -> "Wizard":
        """The app."""
        return cast("Wizard", self.app)

    def content(self) -> ComposeResult:
        """The headline, the list, and the text of the item under the cursor."""
        yield Static("", id="headline")
        yield Items(id="items")
        with Text(id="text"):
            yield Static("", id="shown")
        yield StatusLine(id="said")

    def on_mount(self) -> None:
        """Start the diagnosis."""
        self.query_one(OptionList).focus()
        self.set_interval(REFRESH_SECONDS, self._drain)
        self.action_again()

    # Working.

    def action_again(self) -> None:
        """Diagnose again."""
        if self._stop is not None:
            return
        self._result = self._outcome = None

        async def ask(cluster: RunContext, stop: asyncio.Event) -> Result:
            return await fix.diagnose(cluster, self._pair, stop)

        # The app's worker, since it must run to its end if the dialog closes: it cleans up the
        # nodes.
        self.app.run_worker(self._work(ask), group="diagnose")

    async def _work(self, do: Work) -> Result | None:
        """Run a verb with a journal and show its result; None: it could not start."""
        self._stop = stop = asyncio.Event()
        self._trouble = ""
        self._state, self._records, self._drawn = State(), [], -1
        self._list()
        result = None
        try:
            result = await run_job(
                Job(self._answers, do),
                self._inventory,
                self._accepted,
                stop,
                self._records.append,
                self._run_started,
            )
            if result.known is not None:
                self._inventory.cache(self._answers, result.known)
        except AnswersError as refused:
            self._trouble = f"the answers can't be used: {refused}"
        except OSError as wrong:
            self._trouble = no_journal(wrong)
        finally:
            self._stop = None
        self._drain()
        if not self._changing:
            self._result = result
            self._list()
        return result

    def _run_started(self, run: str) -> None:
        self._run = run

    def _drain(self) -> None:
        """Show the records that have arrived since the last call."""
        if self._drawn == len(self._records):
            return
        for record in self._records[max(self._drawn, 0) :]:
            self._state.apply(record)
        self._drawn = len(self._records)
        if self.is_attached:
            self._head()
            if self._key() == DONE:
                self._show_text()
                self.query_one("#text").scroll_end(animate=False)

    # Displaying.

    def _head(self) -> None:
        if self._trouble:
            headline = mark("block", "\n".join(map(sanitize, self._trouble.splitlines())))
        elif self._stop is not None:
            headline = mark("running", sentences.diagnosing(self._state))
        elif self._outcome is not None:
            headline = self._outcome
        elif self._result is not None:
            headline = cause.verdict(self._result)
        else:
            headline = Content("")
        self.query_one("#headline", Static).update(headline)

    def _list(self) -> None:
        """Fill the list and select its first item."""
        if not self.is_attached:
            return
        listed = list[tuple[str, Content]]()
        result = self._result
        if self._changing or self._outcome is not None:
            listed.append((DONE, Content("  What was sent to the nodes")))
        elif result is not None:
            listed += [(str(at), cause.line(it)) for at, it in enumerate(result.diagnoses)]
            if result.case is not None:
                listed.append((PATH, cause.path_line(result.case)))
            if result.verdicts:
                bad = sum(word(it) != "pass" for it in result.verdicts)
                level = "warn" if bad else "ok"
                listed.append((VERDICTS, mark(level, f"Verdicts on the two  {bad} to look at")))
        self._keys = [key for key, _ in listed]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(line) for _, line in listed)
        options.highlighted = 0 if listed else None
        self._head()
        self._show_text()
        self._hint()
        self.refresh_bindings()

    def _key(self) -> str:
        at = self.query_one(OptionList).highlighted
        return self._keys[at] if at is not None and at < len(self._keys) else ""

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self._show_text()
        self.query_one("#text").scroll_home(animate=False)
        self.refresh_bindings()

    def _show_text(self) -> None:
        """Show the text of the item under the cursor."""
        self.query_one("#shown", Static).update(self._text(self._key()))

    def _text(self, key: str) -> Content:
        result = self._result
        if key == DONE:
            return cause.done(self._state)
        if result is None or not key:
            return Content("")
        if key == PATH and result.case is not None:
            return cause.path(result.case)
        return cause.verdicts(result) if key == VERDICTS else cause.cause(self._causes[int(key)])

    def _hint(self) -> None:
        chosen = self._chosen()
        if self._stop is None and chosen is not None and chosen.fixes and self._outcome is None:
            self._say(f"a shows how fedwiz would fix {chosen.cause}; nothing is changed yet.")
        elif self._stop is None and self._fixes and self._fixes[-1][0] == self._run:
            by_hand = "" if self._inventory.practice else f", and so does `fedwiz undo {self._run}`"
            self._say(f"u undoes it{by_hand}.")
        else:
            self._say("")

    def _say(self, text: str, level: str = "") -> None:
        self.query_one("#said", StatusLine).say(text, level)

    @property
    def _causes(self) -> tuple[Cause, ...]:
        return self._result.diagnoses if self._result is not None else ()

    def _chosen(self) -> Cause | None:
        """The cause under the cursor, else the first that fedwiz can fix, else the first."""
        key = self._key()
        if key.isdigit():
            return self._causes[int(key)]
        return next((it for it in self._causes if it.fixes), next(iter(self._causes), None))

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable only the actions that are possible now."""
        rests = self._stop is None and not self._changing
        if action == "apply":
            return rests and self._outcome is None and bool(self._causes)
        if action == "undo":
            return rests and bool(self._fixes)
        return rests if action == "again" else super().check_action(action, parameters)

    def action_text(self) -> None:
        """Switch the focus between the list and its text."""
        text, options = self.query_one("#text"), self.query_one(OptionList)
        (options if text.has_focus else text).focus()

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self.action_text()

    def action_close(self) -> None:
        """Close.  A diagnosis ends by itself; a change must stop gracefully first."""
        if self._stop is not None:
            self._stop.set()
            if self._changing:
                self._say(
                    "The running step is finished, no other is started; then Esc leaves.", "warn"
                )
                return
        if self.is_current:
            self.dismiss(self._changed)

    def action_apply(self) -> None:
        """Show the fix as a plan, and apply it after approval."""
        chosen, result = self._chosen(), self._result
        if chosen is None or result is None:
            return
        if not chosen.fixes:
            self._say(f"{chosen.cause} is not for fedwiz to fix: {sanitize(chosen.remedy)}", "warn")
            return
        plan = fix.plan_of(self._answers, chosen)

        async def do(cluster: RunContext, stop: asyncio.Event) -> Result:
            return await fix.diagnose(
                cluster,
                self._pair,
                stop,
                approve=within_plan(plan),
                cause=chosen.cause,
                host=chosen.host,
            )

        self.run_worker(
            self._approve_and_run(plan, chosen.remedy, do, self._fix_result),
            group="ask",
            exclusive=True,
        )

    def action_undo(self) -> None:
        """Show the plan that undoes the last fix, and apply it after approval."""
        _, records = self._fixes[-1]
        plan = fix.undo_plan(self._answers, records)

        async def do(cluster: RunContext, stop: asyncio.Event) -> Result:
            return await fix.undo_fix(cluster, records, within_plan(plan), stop)

        about = "The last fix is undone."
        self.run_worker(
            self._approve_and_run(plan, about, do, self._undo_result), group="ask", exclusive=True
        )

    async def _approve_and_run(
        self, plan: Plan, about: str, do: Work, ended: Callable[[Result], Content]
    ) -> None:
        """Ask for approval, then do it."""
        known = self._result.known if self._result is not None else None
        if not await agreed(self.wizard, self._answers.name, plan, known, about):
            self._say("Not approved; nothing was changed.")
            return
        # The app's worker: closing the dialog must not cancel it.
        self.app.run_worker(self._change(do, ended), group="mend")

    async def _change(self, do: Work, ended: Callable[[Result], Content]) -> None:
        self._changing, self._outcome = True, None
        self.wizard.stop = self._ask_to_stop
        try:
            result = await self._work(do)
        finally:
            self._changing, self.wizard.stop = False, None
        self._changed = True
        self._outcome = ended(result) if result is not None else Content("")
        if fix.undo_actions(self._records):
            self._fixes.append((self._run, tuple(self._records)))
        self._list()

    def _ask_to_stop(self) -> None:
        if self._stop is not None:
            self._stop.set()
        if self.is_attached:
            self._say("Stopping: the running step is finished, no other is started.", "warn")

    def _fix_result(self, result: Result) -> Content:
        pair = arrow(*self._pair)
        why = sanitize(result.why)
        if result.applied is None:
            return mark("warn", f"Nothing was changed: {why}.  r diagnoses again.")
        if result.code == verbs.OK:
            return mark("ok", f"Fixed: {pair} was verified again, and all of it passes.")
        if result.applied.lost:
            return mark("block", f"The fix failed: {why}")
        return mark(
            "block", f"It is done, and {pair} is still not right: {why}.  r diagnoses again."
        )

    def _undo_result(self, result: Result) -> Content:
        if result.code != verbs.OK:
            return mark("block", f"Not all is taken back: {sanitize(result.why)}")
        self._fixes.pop()
        return mark("ok", "Taken back: the hosts are as they were before.  r diagnoses again.")
