"""More hosts than there is room for panes: one line each, and one of them opened below."""

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
    doing,
    fit,
    marked,
)

MAX_NAME_COLUMNS = 24


def line(
    host: HostState, told: HostNotes, now: float, width: int, name: int, *, here: bool = False
) -> Row:
    """A host in one row.

    Args:
        host: which.
        told: what was found on it.
        now: seconds since 1970.
        width: columns of the row.
        name: columns of its name.
        here: the cursor is on it.
    """
    word, colour = marked(host)
    count = f"{host.done}/{host.planned}" if host.planned else ""
    took = clock(host.elapsed(now)) if host.started is not None else ""
    title = min(22, max(width - name - 32, 0) // 2)
    red = host.word in RED
    last = host.why if red or host.word == "stopped" else next(reversed(host.lines), "")
    left = max(width - name - title - 33, 0)
    return (
        (f"{'*' if here else ' '}{word:<12} ", colour),
        (f"{fit(sanitize(host.name), name)} ", ""),
        (f"{fit(doing(host, told), title)} ", ""),
        (f"{count:>7} {took:>7}  ", "muted"),
        (fit(last, left), "error" if red else "muted"),
    )


def heading(width: int, name: int) -> Row:
    """Over the columns."""
    title = min(22, max(width - name - 32, 0) // 2)
    said = f" {'state':<12} {'host':<{name}} {'step':<{title}} {'done':>7} {'time':>7}  last line"
    return ((fit(said, width), "muted"),)


class HostProgress(Drawn, ScrollView, can_focus=True, inherit_bindings=False):
    """All hosts, with a cursor that stays on its host whatever becomes of the order."""

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
    """The name of the host that the cursor is on."""

    class Moved(Message):
        """The cursor is on another host."""

    def __init__(self) -> None:
        super().__init__()
        self._hosts: Sequence[HostState] = ()
        self._told: dict[str, HostNotes] = {}
        self._now = 0.0
        self._place: dict[str, int] = {}
        self._wide = 4

    def show(self, hosts: Sequence[HostState], told: dict[str, HostNotes], now: float) -> None:
        """Show these hosts, in this order."""
        names = [host.name for host in hosts]
        if names != list(self._place):
            stayed = self.cursor in self._place
            self._place = {name: at for at, name in enumerate(names)}
            longest = max((len(sanitize(name)) for name in names), default=4)
            self._wide = max(4, min(longest, MAX_NAME_COLUMNS))
            self.virtual_size = Size(0, len(names) + 1)
            if stayed and self.cursor in self._place:
                self._reveal()
        self._hosts, self._told, self._now = hosts, told, now
        if self.cursor not in self._place and names:
            self.cursor = names[0]
        self.refresh()

    def changed(self, names: set[str], now: float) -> None:
        """Draw these hosts' lines again, as far as they can be seen."""
        self._now = now
        top = round(self.scroll_offset.y)
        for name in names:
            y = self._place.get(name, -1) - top + 1
            if 0 < y < self.size.height:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One row; the heading stays on top."""
        width = self.size.width
        if y == 0:
            return self.strip_of(heading(width, self._wide), width)
        at = round(self.scroll_offset.y) + y - 1
        if at >= len(self._hosts):
            return Strip.blank(width, self.style_of())
        host = self._hosts[at]
        here, told = host.name == self.cursor, self._told.get(host.name, HostNotes())
        row = line(host, told, self._now, width, self._wide, here=here)
        return self.strip_of(row, width, "head" if here else "")

    def watch_cursor(self) -> None:
        """Tell, and keep it in sight."""
        self.refresh()
        if self.is_mounted:
            self._reveal()
            self.post_message(self.Moved())

    def _reveal(self) -> None:
        at, rows = self._place.get(self.cursor, 0), max(self.size.height - 1, 1)
        top = round(self.scroll_offset.y)
        if at < top:
            self.scroll_to(y=at, animate=False, immediate=True)
        elif at >= top + rows:
            self.scroll_to(y=at - rows + 1, animate=False, immediate=True)

    def on_resize(self) -> None:
        """The cursor stays in sight."""
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        """The cursor goes to the line."""
        at = round(self.scroll_offset.y) + event.y - 1
        if event.y > 0 and at < len(self._hosts):
            self.cursor = self._hosts[at].name

    def action_go(self, by: int) -> None:
        """Some lines up or down."""
        if self._hosts:
            at = self._place.get(self.cursor, 0) + by
            self.cursor = self._hosts[min(max(at, 0), len(self._hosts) - 1)].name

    def action_page(self, by: int) -> None:
        """As many lines as there are."""
        self.action_go(by * max(self.size.height - 2, 1))
