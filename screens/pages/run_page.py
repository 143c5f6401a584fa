"""Base of pages that show a run, live or recorded."""

import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.content import Content
from textual.widget import Widget

from fedwiz.model.events import Found, PlanMade, Record, RunEnded, Sink, Verified
from fedwiz.report import outcome_line
from fedwiz.runs.journal import replay
from fedwiz.runs.state import RED, HostState, State
from fedwiz.util.sanitize import sanitize
from screens.pages.page import Page
from screens.widgets.host_panes import HostNotes, Pane, bar, clock, columns, format_counts
from screens.widgets.host_progress import HostProgress
from screens.widgets.log_view import LogScreen, Read, of_host
from screens.widgets.signs import mark

if TYPE_CHECKING:
    from fedwiz.wizard.draft import Draft
    from fedwiz.wizard.inventory import Inventory

Start = Callable[[Sink], Awaitable[object]]
"""Starts a run and passes every record to the sink: the engine's or a replay's."""

REFRESH_SECONDS = 1 / 5
"""Seconds between redraws; a record may wait that long."""

BUDGET_SECONDS = 0.02
"""Seconds to process records in one go, before keys are handled again."""

MAX_PANES = 9
"""Most hosts shown as panes; more are shown as a table."""

COUNT_ORDER = ("failed", "unknown", "lost", "stopped", "running", "connecting", "waiting", "done")
"""Display order of the counts."""


class Overall(Widget):
    """The progress of the run in one line."""

    DEFAULT_CSS = """
    Overall { height: 1; margin-bottom: 1; }
    """
    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._state, self._now = State(), 0.0

    def show(self, state: State, now: float) -> None:
        """Show new progress."""
        self._state, self._now = state, now
        self.refresh()

    def render(self) -> Content:
        """The line."""
        return overall(self._state, self._now, self.size.width)


def overall(state: State, now: float, width: int) -> Content:
    """The progress of a run: operations, time, hosts by state, findings or verdicts."""
    parts = list[Content | str]()
    if not state.hosts:
        return Content.styled("No host is being worked on.", "$text-muted")
    if state.planned:
        drawn = bar(state.done, state.planned, 14 if width < 100 else 26)
        parts.append(f"{drawn} {state.done}/{state.planned}  ")
    if state.started is not None:
        parts.append(Content.styled(f"{clock(state.elapsed(now))}   ", "bold"))
    words: Counter[str] = Counter(host.word for host in state.hosts.values())
    contents = [mark(word, f"{words[word]} {word}") for word in COUNT_ORDER if words[word]]
    levels: Counter[str] = Counter(it.level for it in state.verdicts)
    if not levels and not state.planned:
        levels = Counter(it.level for it in state.findings)
    if levels:
        kind = "verdicts" if state.verdicts else "findings"
        contents.append(Content.styled(f"{kind}: {format_counts(levels)}", "$text-muted"))
    for each in contents:
        parts += [each, "  "]
    return Content.assemble(*parts)


class RunPage(Page):
    """Shows a run: a pane for each host, or a table of hosts with one open pane."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "log", "Full log"),
        Binding("f", "red_first", "Red first"),
        Binding("up", "move(0,-1)", "Up", show=False),
        Binding("down", "move(0,1)", "Down", show=False),
        Binding("left", "move(-1,0)", "Left", show=False),
        Binding("right", "move(1,0)", "Right", show=False),
    ]
    DEFAULT_CSS = """
    RunPage #panes { grid-gutter: 0 2; }
    RunPage #many > Pane { height: 42%; margin-top: 1; }
    """

    def __init__(self, draft: "Draft", inventory: "Inventory") -> None:
        super().__init__(draft, inventory)
        self.state = State()
        self.speed = 1.0
        """How fast the run's clock advances; 0: it stands still."""

        self._inbox: deque[Record] = deque()
        self._notes: dict[str, HostNotes] = {}
        self._number = -1
        self._seen = time.monotonic()
        self._second = -1
        self._order: list[str] = []
        self._laid_out, self._columns = -1, 1
        self._red_first = False
        self.shown_end = False
        """The run has ended and everything is shown."""

        self._full_log: LogScreen | None = None

    def content(self) -> ComposeResult:
        """The progress line, and both views of the hosts; only one is displayed."""
        yield Overall()
        with Grid(id="panes"):
            for _ in range(MAX_PANES):
                yield Pane()
        with Vertical(id="many"):
            yield HostProgress()
            yield Pane(can_focus=False)

    def on_mount(self) -> None:
        """Start the redraw timer."""
        self.query_one("#body").styles.padding = (
            0,
            1,
        )  # room for one more line per host
        for widget in self.query("#panes Pane, #many"):
            widget.display = False
        self.set_interval(REFRESH_SECONDS, self.drain)

    @property
    def sink(self) -> Sink:
        """Takes the records of the run."""
        return self._inbox.append

    def clear(self) -> None:
        """Forget the run shown, because another one starts."""
        self.state, self._inbox, self._notes = State(), deque(), {}
        self._number, self._second, self.shown_end = -1, -1, False
        self._laid_out = -1  # forces a new layout and so enables the log key again
        self._seen = time.monotonic()
        self.wizard.state = self.state

    @property
    def runs(self) -> bool:
        """Whether the run continues; after its last record it still closes connections."""
        return False

    @property
    def pending(self) -> int:
        """Number of records that have arrived but are not shown yet."""
        return len(self._inbox)

    @property
    def now(self) -> float:
        """The run's own time, in seconds since 1970."""
        if self.state.latest is None:
            return 0.0
        return self.state.latest + (time.monotonic() - self._seen) * self.speed

    # Receiving records.

    def drain(self) -> None:
        """Process the records that have arrived since the last call, and redraw."""
        until, touched, records = time.monotonic() + BUDGET_SECONDS, set[str](), list[Record]()
        while self._inbox and time.monotonic() < until:
            record = self._inbox.popleft()
            touched |= self._take(record)
            records.append(record)
        if records:
            self._seen = time.monotonic()
            if self._full_log is not None:
                self._full_log.follow(records)
        if self.is_current or self._full_log is None:
            self._show(touched)
        if self._inbox:
            self.call_later(self.drain)
        elif self.state.outcome and not self.shown_end and not self.runs:
            self.shown_end = True
            self.ended()
            self.refresh_bindings()

    def _take(self, record: Record) -> set[str]:
        """Process one record; returns the hosts whose panes change."""
        event = record.event
        self.state.apply(record)
        self._number = record.number
        if isinstance(event, Found | Verified) and event.host:
            self._notes.setdefault(event.host, HostNotes()).take(event)
        if isinstance(event, PlanMade):
            for notes in self._notes.values():
                notes.void()
        host = getattr(event, "host", "")
        return {host} if host else set(self.state.hosts)

    def ended(self) -> None:
        """Called after the run's last event is shown."""

    # Displaying.

    def _show(self, touched: set[str]) -> None:
        """Redraw what has changed, and elapsed times once a second."""
        now = self.now
        if int(now) != self._second:
            self._second = int(now)
            touched |= {it.name for it in self.state.hosts.values() if it.word == "running"}
        elif not touched:
            return
        self.query_one(Overall).show(self.state, now)
        hosts = self._arranged()
        if len(hosts) > MAX_PANES:
            self._show_table(hosts, touched, now)
            return
        for pane, host in zip(self._panes, hosts, strict=False):
            if host.name in touched or pane.host is not host:
                pane.show(host, self._notes.get(host.name, HostNotes()), now)

    def _show_table(self, hosts: Sequence[HostState], touched: set[str], now: float) -> None:
        table = self.query_one(HostProgress)
        names = [host.name for host in hosts]
        if names != self._order or len(touched) > len(hosts) // 2:
            self._order = names
            table.show(hosts, self._notes, now)
        else:
            table.changed(touched, now)
        if table.cursor in touched:
            self._open()

    def _open(self) -> None:
        """Show the host under the cursor in the open pane."""
        host = self.state.hosts.get(self.query_one(HostProgress).cursor)
        if host is not None:
            notes = self._notes.get(host.name, HostNotes())
            self.query_one("#many > Pane", Pane).show(host, notes, self.now)

    def _arranged(self) -> list[HostState]:
        """The hosts in display order; rebuilds the layout if their number has changed."""
        hosts = list(self.state.hosts.values())
        if self._red_first:
            hosts.sort(key=lambda host: host.word not in RED)
        if len(hosts) != self._laid_out:
            self._lay_out(len(hosts))
        return hosts

    @property
    def _panes(self) -> list[Pane]:
        """The grid's panes in use."""
        return [pane for pane in self.query("#panes > Pane").results(Pane) if pane.display]

    def _lay_out(self, count: int) -> None:
        """Lay out panes for this many hosts, in columns that fill the rows evenly."""
        self._laid_out, many = count, count > MAX_PANES
        self.query_one("#many").display = many
        grid = self.query_one("#panes", Grid)
        grid.display = not many
        for at, pane in enumerate(self.query("#panes > Pane").results(Pane)):
            pane.display = not many and at < count
            pane.host = None
        self._columns, lines = columns(count, self.size.width)
        grid.styles.grid_size_columns, grid.styles.grid_size_rows = self._columns, lines
        self._order = []
        first: Widget | None = (
            self.query_one(HostProgress) if many else next(iter(self._panes), None)
        )
        if first is not None and (self.focused is None or not self.focused.display or many):
            first.focus()
        self.refresh_bindings()

    def show_all(self) -> None:
        """Redraw everything."""
        if self.is_mounted:
            self._order = []
            for pane in self._panes:
                pane.host = None
            self._show(set(self.state.hosts))

    def on_resize(self, event: events.Resize) -> None:
        """Lay out again, since the number of columns may change."""
        del event  # Page.on_resize handles it as well
        if self.state.hosts:
            self._lay_out(len(self.state.hosts))
            self.call_after_refresh(self.show_all)

    def on_screen_resume(self) -> None:
        """Redraw what has changed meanwhile."""
        self._full_log = None
        self.show_all()

    def on_host_progress_moved(self) -> None:
        """Open the host under the cursor."""
        self._open()

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable sorting only for a table, and the log only if there are hosts."""
        del parameters
        if action == "red_first":
            return len(self.state.hosts) > MAX_PANES
        return bool(self.state.hosts) if action == "log" else True

    def action_move(self, right: int, down: int) -> None:
        """Focus the neighbouring pane."""
        panes = self._panes
        here = next((at for at, pane in enumerate(panes) if pane.has_focus), -1)
        to = here + right + down * self._columns
        same_row = here // self._columns == to // self._columns
        if here >= 0 and 0 <= to < len(panes) and (down or same_row):
            panes[to].focus()

    def action_red_first(self) -> None:
        """Toggle between failed hosts first and the order of the answers."""
        self._red_first = not self._red_first
        self.say("red hosts come first" if self._red_first else "in the order of the answers")
        self.show_all()

    def action_log(self) -> None:
        """Open the full log of the focused host."""
        if len(self.state.hosts) > MAX_PANES:
            name = self.query_one(HostProgress).cursor
        else:
            host = next((pane.host for pane in self._panes if pane.has_focus), None)
            name = host.name if host else next(iter(self.state.hosts), "")
        if name:
            self._full_log = LogScreen(name, self.reader(name, self._number))
            self.app.push_screen(self._full_log)

    def reader(self, host: str, upto: int) -> Read:
        """A function that reads a host's log up to the number of a record."""
        del host, upto
        return lambda: ()


class PlayPage(RunPage):
    """Plays back a recorded run."""

    STEP = "install"
    QUESTION = "A recorded run, played back"
    HELP: ClassVar[str | None] = (
        "This run was recorded, and is played back as it went. Nothing is touched.\n\n"
        "Each host has a pane: its state, the step that goes on, how many operations are done, "
        "and the last lines that it said. With more than nine hosts there is a table, and the "
        "host under the cursor is open below it. Enter shows the whole log of a host."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Close"),
        Binding("ctrl+n", "next", "Close", show=False),
    ]

    def __init__(
        self, draft: "Draft", inventory: "Inventory", records: Sequence[Record], speed: float
    ) -> None:
        """Create the page; the playback starts when it is mounted.

        Args:
            draft: for the cluster's name.
            inventory: unused.
            records: the run's records.
            speed: as a multiple of the original; 0: all at once.
        """
        super().__init__(draft, inventory)
        self.speed = speed
        self._records = records

    def on_mount(self) -> None:
        """Start the playback."""
        self.clear()
        self.run_worker(self._play(), group="play")

    async def _play(self) -> None:
        await replay(self._records, self.sink, self.speed)
        if self._records and not isinstance(self._records[-1].event, RunEnded):
            self.say("The run was interrupted here: its end is not recorded.", "warn")

    def ended(self) -> None:
        """Show the result."""
        self.say(
            sanitize(outcome_line(self.state)), "ok" if self.state.outcome == "ok" else "block"
        )

    def reader(self, host: str, upto: int) -> Read:
        """Read from the records up to this point."""
        return of_host(self._records, host, upto)
