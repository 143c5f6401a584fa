"""A host's pane during a run, drawn line by line.

A log widget per host stalls at a few hundred lines a second.  A pane therefore draws only the
last lines that fit, and only when something has changed.  Textual's line API uses Rich's
segments, which is why Rich is imported here.
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
from fedwiz.runs.describe import subject
from fedwiz.runs.state import RED, HostState
from fedwiz.util.sanitize import sanitize
from screens.widgets.signs import SIGNS

Piece = tuple[str, str]
"""A text and the name of its style; empty: the default style."""

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
"""The style names that a row may use, as Textual's component classes."""

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
"""The CSS of these styles; format it with the widget's name."""

MIN_COLUMNS = 38
"""Columns that a pane needs."""

MAX_PROBLEMS_PER_HOST = 20
"""Findings and verdicts other than ok and pass kept per host."""

GOOD = frozenset({"ok", "pass"})


@dataclass(slots=True)
class HostNotes:
    """Findings and verdicts on a host, beside its steps."""

    findings: Counter[str] = field(default_factory=Counter)
    """Number of findings by level."""

    verdicts: Counter[str] = field(default_factory=Counter)
    bad: deque[str] = field(default_factory=lambda: deque[str](maxlen=MAX_PROBLEMS_PER_HOST))
    """Problems, one line each."""

    def take(self, event: Found | Verified) -> None:
        """Count a finding or verdict, and keep it if it is a problem."""
        if isinstance(event, Found):
            counts, why = self.findings, event.seen
        else:
            counts, why = self.verdicts, event.why or event.seen
        counts[event.level] += 1
        if event.level not in GOOD:
            text = f"{event.level}: {subject(event)}: {why}"
            self.bad.append(sanitize(" ".join(text.split())))

    def void(self) -> None:
        """Forget the verdicts and all problems: hosts are about to change."""
        self.verdicts.clear()
        self.bad.clear()


def format_counts(counts: Counter[str]) -> str:
    """Format counts: `12 ok, 1 block`."""
    return ", ".join(f"{count} {level}" for level, count in counts.items())


def fit(text: str, width: int) -> str:
    """Cut or pad a text to exactly this many columns."""
    missing = width - (len(text) if text.isascii() else cell_len(text))
    if missing >= 0:
        return text + " " * missing
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


def two_ends(left: str, right: str, width: int, style: str = "", other: str = "muted") -> Row:
    """A row with a text at each end; the right one is kept whole if it fits."""
    right = right[:width]
    return (fit(left, width - len(right) - 1), style), (f" {right}"[:width], other)


def clock(seconds: float) -> str:
    """Format a duration: `0:07`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar(done: int, planned: int, width: int) -> str:
    """A progress bar in ASCII: `[####....]`."""
    inside = max(width - 2, 0)
    full = inside * min(done, planned) // planned if planned else 0
    return f"[{'#' * full}{'.' * (inside - full)}]"


def columns(count: int, width: int) -> tuple[int, int]:
    """Columns and rows of a grid of panes: as few rows as possible, filled evenly."""
    most = min(max(width // (MIN_COLUMNS + 2), 1), 3)
    lines = -(-max(count, 1) // most)
    return -(-max(count, 1) // lines), lines


def state_label(host: HostState) -> Piece:
    """The host's state with its sign, and the style for both."""
    sign, colour = SIGNS[host.word]
    return f"{sign} {host.word}", colour


def current_step(host: HostState, notes: HostNotes) -> str:
    """The host's current step, or its result."""
    if notes.verdicts and not host.step:
        return f"verified: {format_counts(notes.verdicts)}"
    if notes.findings and not host.steps:
        return f"checks: {format_counts(notes.findings)}"
    return host.title or _BEFORE_FIRST_STEP.get(host.word, "")


_BEFORE_FIRST_STEP = {
    "connecting": "connecting",
    "waiting": "waits for its turn",
    "done": "nothing to do",
    "stopped": "not started",
}


def rows(
    host: HostState, notes: HostNotes, now: float, width: int, height: int, *, focus: bool = False
) -> list[Row]:
    """The rows of a pane.

    Args:
        host: the host to show.
        notes: its findings and verdicts.
        now: seconds since 1970, for the elapsed time.
        width: columns.
        height: rows; if there are few, progress and time share a line.
        focus: the pane has the focus, which a sign shows as well.
    """
    word, colour = state_label(host)
    name = fit(f"{'*' if focus else ' '}{sanitize(host.name)}", width - len(word) - 2)
    drawn_rows: list[Row] = [((name, "head name"), (f" {word} ", f"head {colour}"))]
    took = clock(host.elapsed(now)) if host.started is not None else ""
    count = f"{host.done}/{host.planned}" if host.planned else ""
    if height < 6:
        right = f"{count:>5}  {took:>5}" if count else took
        drawn_rows.append(two_ends(f" {current_step(host, notes)}", right, width))
    else:
        drawn_rows.append(two_ends(f" {current_step(host, notes)}", took, width))
        if count:
            drawn = f" {bar(host.done, host.planned, min(width - len(count) - 3, 26))}"
            drawn_rows.append(two_ends(drawn, count, width, "muted", ""))
    drawn_rows += body(host, notes, width, height - len(drawn_rows))
    return drawn_rows[:height]


def body(host: HostState, notes: HostNotes, width: int, height: int) -> Iterator[Row]:
    """The reason for the host's state, its problems and its last output lines, as they fit."""
    why = list[Row]()
    if host.why and (host.word in RED or host.word == "stopped"):
        style = "error" if host.word in RED else "warning"
        # The reason says more than a line of output, so it comes first and in full.
        why = [((line, style),) for line in wrapped(host.why, width, height)]
    elif notes.bad and not host.step:
        why = [((fit(f" {line}", width), "warning"),) for line in list(notes.bad)[-height:]]
    yield from why
    room = height - len(why)
    for line in list(host.lines)[-room:] if room > 0 else ():
        yield ((fit(f" {line}", width), "command" if line.startswith("$ ") else "muted"),)


def wrapped(text: str, width: int, height: int) -> list[str]:
    """Wrap a long sentence to the space available."""
    if height <= 0:
        return []
    lines = textwrap.wrap(text, max(width - 2, 1))
    if len(lines) > height:
        lines = [*lines[: height - 1], f"{lines[height - 1]} …"]
    return [fit(f" {line}", width) for line in lines]


if TYPE_CHECKING:
    _Base = Widget
else:
    _Base = object  # of two base widgets, Textual inherits only the first one's CSS


class Drawn(_Base):
    """Turns rows into strips, for widgets that draw line by line."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self) -> None:
        self._styles_made: dict[str, Style] = {}
        """Cache of styles by their combined names; building one takes longer than drawing a row."""

        super().__init__()

    def notify_style_update(self) -> None:
        """Clear the cache on a change of theme or focus."""
        self._styles_made = {}
        super().notify_style_update()

    def style_of(self, names: str = "") -> Style:
        """The style for a combination of names."""
        made = self._styles_made.get(names)
        if made is None:
            made = self.rich_style
            for name in names.split():
                # A row's background is semi-transparent and must be blended with the one below.
                partial = name != "head"
                made += self.get_component_rich_style(f"pane--{name}", partial=partial)
            self._styles_made[names] = made
        return made

    def strip_of(self, row: Row, width: int, under: str = "") -> Strip:
        """Render a row as a strip, on the background of the style `under`."""
        pieces = [Segment(text, self.style_of(f"{under} {name}")) for text, name in row]
        return Strip(pieces).adjust_cell_length(width, self.style_of(under))


class Pane(Drawn, Widget, can_focus=True):
    """A pane for one host."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(PANE_STYLES)

    DEFAULT_CSS = "Pane { height: 1fr; min-height: 3; }" + LOOK.format("Pane")

    def __init__(self, *, can_focus: bool = True) -> None:
        super().__init__()
        self.can_focus = can_focus
        self.host: HostState | None = None
        """The host shown."""

        self._notes, self._now = HostNotes(), 0.0
        self._rows: Sequence[Row] | None = None

    def show(self, host: HostState, notes: HostNotes, now: float) -> None:
        """Show a host's current state."""
        self.host, self._notes, self._now = host, notes, now
        self.set_class(host.word in RED, "-red")
        self._rows = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row; the first request renders all of them."""
        width, height = self.size
        if self._rows is None or y == 0:
            notes, now, focus = self._notes, self._now, self.has_focus
            self._rows = (
                rows(self.host, notes, now, width, height, focus=focus) if self.host else ()
            )
        if y >= len(self._rows):
            return Strip.blank(width, self.style_of())
        return self.strip_of(self._rows[y], width)
