"""The list of earlier runs, to look at one or to continue one that failed."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import DataTable, Input, Static

from fedwiz import practice
from fedwiz.answers.file import AnswersError, read
from fedwiz.runs import journal
from fedwiz.runs.interrupted import as_interrupted
from fedwiz.runs.journal import RunSummary
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.start import VERIFY_PAGES
from screens.dialogs.basic import lines
from screens.dialogs.dialog import Dialog
from screens.widgets.frame import StatusLine
from screens.widgets.signs import cell

OUTCOME_WORDS = {"ok": "ok", "failed": "failed", "stopped": "stopped", "unknown": "unknown"}
"""Outcomes with a sign of their own; any other counts as unknown."""

RUN_COLUMNS = ("when", "verb", "outcome", "hosts", "cluster")


def look(run: RunSummary) -> Draft:
    """A draft that shows a run as it was: an install's panes, else its findings."""
    page = "install" if run.verb == "install" else "verify"
    stops = ("install", "verify") if page == "install" else ("verify",)
    return Draft(
        page=page,
        goal="look",
        stops=stops,
        run=run.id,
        practice=_fault(run),
        said={"name": run.cluster},
    )


def go_on(run: RunSummary) -> Draft:
    """A draft that continues a run, with its answers and a new plan for what is left.

    Raises:
        AnswersError: there is nothing to continue, or its answers were not saved.
    """
    if run.verb == "undo" and as_interrupted(run) is not None:
        raise AnswersError(
            {
                run.id: (
                    f"the first page resumes the latest one; `fedwiz resume {run.id}` with this one"
                )
            }
        )
    if run.verb in ("diagnose", "undo"):
        raise AnswersError(
            {
                run.id: (
                    f"this {run.verb} can't be resumed: verify the network, and there go "
                    f"to a pair and "
                    "press Enter"
                )
            }
        )
    if run.verb not in ("install", "verify"):
        raise AnswersError({run.id: f"a {run.verb} changes nothing, so nothing is left of it"})
    if run.outcome == "ok":
        raise AnswersError({run.id: "this run ended well: there is nothing to resume"})
    file = run.path.with_suffix(".toml")
    if not file.is_file():
        raise AnswersError(
            {
                run.id: (
                    "its answers are not kept here: open the answer file that it was "
                    "begun with, and "
                    "only what is left is done"
                )
            }
        )
    draft = Draft.of(read(file))
    if run.practice:
        draft = replace(draft, practice=_fault(run), size=len(run.hosts))
    if run.verb == "verify":
        return replace(draft, page="verify", goal="verify", stops=VERIFY_PAGES)
    return replace(draft, page="review")


def _fault(run: RunSummary) -> str:
    """The run's practice fault, if this version knows it; empty: real hosts."""
    known = run.practice in practice.FAULTS
    return run.practice if known or not run.practice else "healthy"


class Runs(Dialog[Draft]):
    """Lists the runs, newest first.  Returns a draft to look at one or to continue it."""

    HELP: ClassVar[str | None] = (
        "Every run of fedwiz writes down what it does, as it does it; here they are, the newest "
        "first.\n\n"
        "Enter shows one as it went: an install's hosts and lines, and what was verified.  "
        "Nothing is asked of any host.\n\n"
        "g resumes one that failed: its answers are taken, the hosts are read "
        "again, and you see a plan of what is left before anything is done."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("enter", "look", "Look at it", priority=True),
        Binding("g", "go_on", "Resume it"),
        Binding("slash", "filter", "Filter", key_display="/"),
    ]
    DEFAULT_CSS = """
    Runs > #dialog { width: 110; height: 90%; }
    Runs DataTable { height: 1fr; background: $surface; }
    Runs #filter { display: none; }
    Runs #filter.-open { display: block; }
    Runs #about { height: auto; max-height: 3; color: $text-muted; padding: 0 1; }
    Runs #empty { height: 1fr; color: $text-muted; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__("Earlier runs")
        self._all: Sequence[RunSummary] = ()
        self._listed: list[RunSummary] = []

    def content(self) -> ComposeResult:
        """The filter, the table, and the run under the cursor."""
        yield Input(placeholder="part of a name, a day or an outcome", id="filter", compact=True)
        yield DataTable[Text](cursor_type="row")
        yield Static("reading the runs", id="empty", markup=False)
        yield Static("", id="about")
        yield StatusLine(id="said")

    def on_mount(self) -> None:
        """Read the runs in a thread."""
        table = self.query_one(DataTable)
        for title in RUN_COLUMNS:
            table.add_column(Text(title, justify="right" if title == "hosts" else "left"))
        table.display = False
        table.focus()
        self.run_worker(self._read(), group="read")

    async def _read(self) -> None:
        self._all = await asyncio.to_thread(journal.runs)
        self._list()

    def _list(self) -> None:
        """List the runs that match the filter."""
        self._listed = matching(self._all, self.query_one("#filter", Input).value)
        table = self.query_one(DataTable)
        table.clear()
        for run in self._listed:
            table.add_row(*self._cells(run))
        table.display = bool(self._listed)
        empty = self.query_one("#empty", Static)
        empty.display = not self._listed
        empty.update(
            Content(
                "No run has this in it.  Esc takes the filter away."
                if self._all
                else f"No run is recorded yet in {journal.runs_path()}.  The first install "
                f"or verification "
                "will be."
            )
        )
        self._show_details()
        if not self.query_one("#filter").has_focus:
            table.focus()

    def _cells(self, run: RunSummary) -> tuple[Text, ...]:
        where = " (practice)" if run.practice else ""
        return (
            Text(_when(run)),
            Text(sanitize(run.verb)),
            cell(self.app, OUTCOME_WORDS.get(run.outcome, "unknown"), sanitize(run.outcome)),
            Text(str(len(run.hosts)), justify="right"),
            Text(sanitize(run.cluster + where)),
        )

    @property
    def run(self) -> RunSummary | None:
        """The run under the cursor; None: the table is empty."""
        at = self.query_one(DataTable).cursor_row
        return self._listed[at] if 0 <= at < len(self._listed) else None

    @on(DataTable.RowHighlighted)
    def _show_details(self) -> None:
        run = self.run
        text = ""
        if run is not None:
            fault = f"practice: {sanitize(run.practice)}  " if run.practice else ""
            text = f"{run.id}  {fault}{', '.join(map(sanitize, run.hosts))}"
        self.query_one("#about", Static).update(Content(text))
        self.query_one("#said", StatusLine).say("")

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self._list()

    def action_filter(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-open")
        field.focus()

    def action_close(self) -> None:
        """Close the filter; if it is closed, close the dialog."""
        field = self.query_one("#filter", Input)
        if not field.has_class("-open"):
            self.dismiss(None)
            return
        field.remove_class("-open")
        self.query_one(DataTable).focus()
        field.value = ""

    def action_look(self) -> None:
        """Show the run; in the filter, move to the list."""
        if self.query_one("#filter").has_focus:
            self.query_one(DataTable).focus()
        elif self.run is not None:
            self.dismiss(look(self.run))

    def action_go_on(self) -> None:
        """Continue the run."""
        if self.run is not None:
            self.run_worker(self._go_on(self.run), group="go on", exclusive=True)

    async def _go_on(self, run: RunSummary) -> None:
        try:
            draft = await asyncio.to_thread(go_on, run)
        except AnswersError as refused:
            why = "; ".join(refused.why.values())
            self.query_one("#said", StatusLine).say(lines(why), "warn")
        else:
            if self.is_current:
                self.dismiss(draft)


def matching(every: Sequence[RunSummary], typed: str) -> list[RunSummary]:
    """The runs that match all words typed, in any of the texts shown."""
    words = typed.lower().split()
    return [run for run in every if all(word in _searchable(run) for word in words)]


def _when(run: RunSummary) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))


def _searchable(run: RunSummary) -> str:
    """The text that the filter searches."""
    words = (run.id, _when(run), run.verb, run.outcome, run.cluster, run.practice, *run.hosts)
    return " ".join(words).lower()
