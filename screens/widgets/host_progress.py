"""A list of hosts during a run, one line each, for runs with too many hosts for panes."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fedwiz.runs.state import RED, HostState
from fedwiz.util.sanitize import sanitize
from screens.widgets.host_panes import (
    LOOK,
    PANE_STYLES,
    Drawn,
    HostNotes,
    Row,
    clock,
    current_step,
    fit,
    state_label,
)

MAX_NAME_COLUMNS = 24


def line(
    host: HostState, notes: HostNotes, now: float, width: int, name: int, *, here: bool = False
) -> Row:
    """A host's row.

    Args:
        host: the host to show.
        notes: its findings and verdicts.
        now: seconds since 1970.
        width: columns of the row.
        name: columns of the host name.
        here: the cursor is on this row.
    """
    word, colour = state_label(host)
    count = f"{host.done}/{host.planned}" if host.planned else ""
    took = clock(host.elapsed(now)) if host.started is not None else ""
    title = min(22, max(width - name - 32, 0) // 2)
    red = host.word in RED
    last = host.why if red or host.word == "stopped" else next(reversed(host.lines), "")
    room = max(width - name - title - 33, 0)
    return (
        (f"{'*' if here else ' '}{word:<12} ", colour),
        (f"{fit(sanitize(host.name), name)} ", ""),
        (f"{fit(current_step(host, notes), title)} ", ""),
        (f"{count:>7} {took:>7}  ", "muted"),
        (fit(last, room), "error" if red else "muted"),
    )


def heading(width: int, name: int) -> Row:
    """The row of column titles."""
    title = min(22, max(width - name - 32, 0) // 2)
    text = f" {'state':<12} {'host':<{name}} {'step':<{title}} {'done':>7} {'time':>7}  last line"
    return ((fit(text, width), "muted"),)


class HostProgress(Drawn, ScrollView, can_focus=True, inherit_bindings=False):
    """All hosts, with a cursor that stays on its host when the order changes."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(PANE_STYLES)
    DEFAULT_CSS = """
    HostProgress { height: 1fr; overflow-x: hidden; }
    """ + LOOK.format("HostProgress")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "go(-1)", "Up", show=False),
        Binding("down", "go(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "go(-1000000)", "First", show=False),
        Binding("end", "go(1000000)", "Last", show=False),
    ]

    cursor: reactive[str] = reactive("", repaint=False)
    """Name of the host under the cursor."""

    class Moved(Message):
        """The cursor has moved to another host."""

    def __init__(self) -> None:
        super().__init__()
        self._hosts: Sequence[HostState] = ()
        self._notes: dict[str, HostNotes] = {}
        self._now = 0.0
        self._indexes: dict[str, int] = {}
        self._name_columns = 4

    def show(self, hosts: Sequence[HostState], notes: dict[str, HostNotes], now: float) -> None:
        """Show these hosts in this order."""
        names = [host.name for host in hosts]
        if names != list(self._indexes):
            stayed = self.cursor in self._indexes
            self._indexes = {name: at for at, name in enumerate(names)}
            longest = max((len(sanitize(name)) for name in names), default=4)
            self._name_columns = max(4, min(longest, MAX_NAME_COLUMNS))
            self.virtual_size = Size(0, len(names) + 1)
            if stayed and self.cursor in self._indexes:
                self._reveal()
        self._hosts, self._notes, self._now = hosts, notes, now
        if self.cursor not in self._indexes and names:
            self.cursor = names[0]
        self.refresh()

    def changed(self, names: set[str], now: float) -> None:
        """Redraw these hosts' lines if they are visible."""
        self._now = now
        top = round(self.scroll_offset.y)
        for name in names:
            y = self._indexes.get(name, -1) - top + 1
            if 0 < y < self.size.height:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One row; the heading stays at the top."""
        width = self.size.width
        if y == 0:
            return self.strip_of(heading(width, self._name_columns), width)
        at = round(self.scroll_offset.y) + y - 1
        if at >= len(self._hosts):
            return Strip.blank(width, self.style_of())
        host = self._hosts[at]
        here, notes = host.name == self.cursor, self._notes.get(host.name, HostNotes())
        row = line(host, notes, self._now, width, self._name_columns, here=here)
        return self.strip_of(row, width, "head" if here else "")

    def watch_cursor(self) -> None:
        """Report the move and scroll the cursor into view."""
        self.refresh()
        if self.is_mounted:
            self._reveal()
            self.post_message(self.Moved())

    def _reveal(self) -> None:
        at, rows = self._indexes.get(self.cursor, 0), max(self.size.height - 1, 1)
        top = round(self.scroll_offset.y)
        if at < top:
            self.scroll_to(y=at, animate=False, immediate=True)
        elif at >= top + rows:
            self.scroll_to(y=at - rows + 1, animate=False, immediate=True)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked line."""
        at = round(self.scroll_offset.y) + event.y - 1
        if event.y > 0 and at < len(self._hosts):
            self.cursor = self._hosts[at].name

    def action_go(self, by: int) -> None:
        """Move the cursor by some lines."""
        if self._hosts:
            at = self._indexes.get(self.cursor, 0) + by
            self.cursor = self._hosts[min(max(at, 0), len(self._hosts) - 1)].name

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self.action_go(by * max(self.size.height - 2, 1))
