"""A host's pane while a run goes on: drawn by itself, line by line.

A log widget for each host stalls at some hundred lines a second, so a pane draws no more than
the last lines that fit, and only when something has changed.  The widget library's line interface
speaks in the terminal library's segments, which is why that one is imported here.
"""

import textwrap
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from fedwiz.model.events import Found, Verified
from fedwiz.runs.state import RED, HostState
from fedwiz.util.sanitize import sanitize
from screens.widgets.signs import SIGNS

Piece = tuple[str, str]
"""A text, and the name of its style; empty: as usual."""

Row = tuple[Piece, ...]

PANE_STYLES = frozenset(
    f"pane--{name}"
    for name in (
        "head",
        "name",
        "muted",
        "command",
        "success",
        "warning",
        "error",
        "accent",
        "text-muted",
        "found",
    )
)
"""The styles that a row may name, as the widget library wants them declared."""

LOOK = """
    {0} > .pane--head {{ background: $panel; color: $foreground; }}
    {0}:focus > .pane--head {{ background: $primary 35%; }}
    {0} > .pane--name {{ text-style: bold; }}
    {0} > .pane--muted, {0} > .pane--text-muted {{ color: $text-muted; }}
    {0} > .pane--command {{ color: $primary; }}
    {0} > .pane--success {{ color: $success; }}
    {0} > .pane--warning {{ color: $warning; }}
    {0} > .pane--error {{ color: $error; }}
    {0} > .pane--accent {{ color: $accent; }}
    {0} > .pane--found {{ background: $accent; color: $background; }}
"""
"""How they look; the name of the widget belongs into it."""

MIN_COLUMNS = 38
"""Columns that a pane needs."""

MAX_PROBLEMS_PER_HOST = 20
"""Findings and verdicts kept per host that are not good."""

GOOD = frozenset({"ok", "pass"})


@dataclass(slots=True)
class HostNotes:
    """What a run has said of a host beside its steps: findings and verdicts."""

    findings: Counter[str] = field(default_factory=Counter)
    """How many, by level."""

    verdicts: Counter[str] = field(default_factory=Counter)
    bad: deque[str] = field(default_factory=lambda: deque[str](maxlen=MAX_PROBLEMS_PER_HOST))
    """Those that are not good, in one line each."""

    def take(self, event: Found | Verified) -> None:
        """Count it, and keep what is not good."""
        if isinstance(event, Found):
            counts, what, why = self.findings, event.check, event.seen
        else:
            counts, what, why = self.verdicts, event.kind, event.why or event.seen
            what += f" -> {sanitize(event.peer)}" if event.peer else ""
        counts[event.level] += 1
        if event.level not in GOOD:
            self.bad.append(sanitize(" ".join(f"{event.level}: {what}: {why}".split())))

    def void(self) -> None:
        """Hosts will be changed: what was verified before says nothing any more."""
        self.verdicts.clear()
        self.bad.clear()


def counted(counts: Counter[str]) -> str:
    """`12 ok, 1 block`."""
    return ", ".join(f"{count} {level}" for level, count in counts.items())


def fit(text: str, width: int) -> str:
    """The text in exactly so many columns: its end cut off, or blanks after it."""
    missing = width - (len(text) if text.isascii() else cell_len(text))
    if missing >= 0:
        return text + " " * missing
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


def ends(left: str, right: str, width: int, style: str = "", other: str = "muted") -> Row:
    """One text at each end of a row; the right one is whole as long as it fits."""
    right = right[:width]
    return (fit(left, width - len(right) - 1), style), (f" {right}"[:width], other)


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar(done: int, planned: int, width: int) -> str:
    """Progress, drawn with letters: `[####....]`."""
    inside = max(width - 2, 0)
    full = inside * min(done, planned) // planned if planned else 0
    return f"[{'#' * full}{'.' * (inside - full)}]"


def columns(count: int, width: int) -> tuple[int, int]:
    """In how many columns, and rows, so many panes stand: as few rows as fit, and even ones."""
    most = min(max(width // (MIN_COLUMNS + 2), 1), 3)
    lines = -(-max(count, 1) // most)
    return -(-max(count, 1) // lines), lines


def marked(host: HostState) -> Piece:
    """The host's state: sign, word, and the style that both are drawn in."""
    sign, colour = SIGNS[host.word]
    return f"{sign} {host.word}", colour


def doing(host: HostState, told: HostNotes) -> str:
    """What is being done on the host, or what came of it."""
    if told.verdicts and not host.step:
        return f"verified: {counted(told.verdicts)}"
    if told.findings and not host.steps:
        return f"checks: {counted(told.findings)}"
    return host.title or _UNBEGUN.get(host.word, "")


_UNBEGUN = {
    "connecting": "connecting",
    "waiting": "waits for its turn",
    "done": "nothing to do",
    "stopped": "not begun",
}


def rows(
    host: HostState, told: HostNotes, now: float, width: int, height: int, *, focus: bool = False
) -> list[Row]:
    """A pane.

    Args:
        host: whose.
        told: what was found on it.
        now: seconds since 1970, for the time that it takes.
        width: columns.
        height: rows; with few of them, progress and time share a line.
        focus: keys go to it, which is marked by a sign too.
    """
    word, colour = marked(host)
    name = fit(f"{'*' if focus else ' '}{sanitize(host.name)}", width - len(word) - 2)
    said: list[Row] = [((name, "head name"), (f" {word} ", f"head {colour}"))]
    took = clock(host.elapsed(now)) if host.started is not None else ""
    count = f"{host.done}/{host.planned}" if host.planned else ""
    if height < 6:
        right = f"{count:>5}  {took:>5}" if count else took
        said.append(ends(f" {doing(host, told)}", right, width))
    else:
        said.append(ends(f" {doing(host, told)}", took, width))
        if count:
            drawn = f" {bar(host.done, host.planned, min(width - len(count) - 3, 26))}"
            said.append(ends(drawn, count, width, "muted", ""))
    said += body(host, told, width, height - len(said))
    return said[:height]


def body(host: HostState, told: HostNotes, width: int, height: int) -> Iterator[Row]:
    """Why the host is where it is, what is wrong on it, and its last lines, as they fit."""
    why = list[Row]()
    if host.why and (host.word in RED or host.word == "stopped"):
        style = "error" if host.word in RED else "warning"
        # A line of output says less than the reason does, so that comes first, and whole.
        why = [((line, style),) for line in wrapped(host.why, width, height)]
    elif told.bad and not host.step:
        why = [((fit(f" {line}", width), "warning"),) for line in list(told.bad)[-height:]]
    yield from why
    left = height - len(why)
    for line in list(host.lines)[-left:] if left > 0 else ():
        yield ((fit(f" {line}", width), "command" if line.startswith("$ ") else "muted"),)


def wrapped(text: str, width: int, height: int) -> list[str]:
    """A long sentence in lines, no more than there is room for."""
    if height <= 0:
        return []
    lines = textwrap.wrap(text, max(width - 2, 1))
    if len(lines) > height:
        lines = [*lines[: height - 1], f"{lines[height - 1]} …"]
    return [fit(f" {line}", width) for line in lines]


if TYPE_CHECKING:
    _Base = Widget
else:
    _Base = object  # of two widgets only the first one's look is taken over


class Drawn(_Base):
    """Turns rows into what the terminal gets; for widgets that draw line by line."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self) -> None:
        self._styles_made: dict[str, Style] = {}
        """By the names of what they are made of; making one takes longer than drawing a row."""

        super().__init__()

    def notify_style_update(self) -> None:
        """Another theme, or another focus."""
        self._styles_made = {}
        super().notify_style_update()

    def style_of(self, names: str = "") -> Style:
        """The style of a piece, by the names of what it is made of."""
        made = self._styles_made.get(names)
        if made is None:
            made = self.rich_style
            for name in names.split():
                # What lies under a row is a thin colour, which has to be mixed with the background.
                partial = name != "head"
                made += self.get_component_rich_style(f"pane--{name}", partial=partial)
            self._styles_made[names] = made
        return made

    def strip_of(self, row: Row, width: int, under: str = "") -> Strip:
        """What the terminal gets of a row, on the background of the style `under`."""
        pieces = [Segment(text, self.style_of(f"{under} {name}")) for text, name in row]
        return Strip(pieces).adjust_cell_length(width, self.style_of(under))


class Pane(Drawn, Widget, can_focus=True):
    """One host."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(PANE_STYLES)

    DEFAULT_CSS = "Pane { height: 1fr; min-height: 3; }" + LOOK.format("Pane")

    def __init__(self, *, can_focus: bool = True) -> None:
        super().__init__()
        self.can_focus = can_focus
        self.host: HostState | None = None
        """Who is shown."""

        self._told, self._now = HostNotes(), 0.0
        self._rows: Sequence[Row] | None = None

    def show(self, host: HostState, told: HostNotes, now: float) -> None:
        """Show a host as it is now."""
        self.host, self._told, self._now = host, told, now
        self.set_class(host.word in RED, "-red")
        self._rows = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row; all of them are made when the first is asked for."""
        width, height = self.size
        if self._rows is None or y == 0:
            told, now, focus = self._told, self._now, self.has_focus
            self._rows = rows(self.host, told, now, width, height, focus=focus) if self.host else ()
        if y >= len(self._rows):
            return Strip.blank(width, self.style_of())
        return self.strip_of(self._rows[y], width)
