"""A matrix of node pairs: a row for each sender, a column for each receiver.

It draws its own lines: a table of fifty by fifty widgets or cells is too slow, and the first row
and column stay fixed while the rest scrolls.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size, clamp
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from fedwiz.util.sanitize import sanitize
from screens.widgets.signs import SIGNS

MAX_NAME_CHARS = 24
"""Characters of a row's name; the full name is shown elsewhere."""

PING_WORDS = ("pings", "does not ping")
"""Legend for pass and fail."""

ITSELF = "."


@dataclass(frozen=True, slots=True)
class Cell:
    """The verdict on a pair."""

    word: str
    """`pass`, `warn` (a pass with a warning), `fail` or `skipped`."""

    text: str = ""
    """A short detail, shown if there is room."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The layout for a given widget size."""

    digits: int
    name: int
    """Columns of a row's name."""

    cell: int
    """Columns of a cell."""

    across: int
    """Visible cells in a row."""

    down: int
    """Visible rows of cells."""

    named: bool
    """Column heads show names."""

    detailed: bool
    """Cells show their detail."""

    partial: bool
    """The matrix does not fit and scrolls."""

    @property
    def stub(self) -> int:
        """Columns before the first cell."""
        return self.digits + self.name + 3


class Matrix(Widget, can_focus=True):
    """The matrix; arrow keys move between pairs, Enter opens one."""

    class Moved(Message):
        """The cursor has moved to another pair."""

    class Opened(Message):
        """The operator wants to open a pair."""

        def __init__(self, pair: tuple[str, str]) -> None:
            super().__init__()
            self.pair = pair

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "matrix--head",
        "matrix--here",
        "matrix--pass",
        "matrix--warn",
        "matrix--fail",
        "matrix--skipped",
        "matrix--unknown",
        "matrix--cursor",
        "matrix--blurred",
    }
    DEFAULT_CSS = """
    Matrix { height: auto; max-height: 75%; }
    Matrix > .matrix--head { color: $text-muted; }
    Matrix > .matrix--here { color: $foreground; text-style: bold; }
    Matrix > .matrix--pass { color: $success; }
    Matrix > .matrix--warn { color: $warning; }
    Matrix > .matrix--fail { color: $error; text-style: bold; }
    Matrix > .matrix--skipped { color: $text-muted; }
    Matrix > .matrix--unknown { color: $warning; }
    Matrix > .matrix--cursor { background: $primary 25%; }
    Matrix > .matrix--blurred { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Diagnose"),
        Binding("up", "move(-1, 0)", "The sender above", show=False),
        Binding("down", "move(1, 0)", "The sender below", show=False),
        Binding("left", "move(0, -1)", "The receiver before", show=False),
        Binding("right", "move(0, 1)", "The receiver after", show=False),
        Binding("pageup", "page(-1)", "A screen up", show=False),
        Binding("pagedown", "page(1)", "A screen down", show=False),
        Binding("home", "edge(0)", "The first receiver", show=False),
        Binding("end", "edge(1)", "The last receiver", show=False),
    ]

    def __init__(
        self, means: tuple[str, str] = PING_WORDS, *, figures: bool = False, opens: bool = False
    ) -> None:
        """Create an empty matrix.

        Args:
            means: legend for pass and fail.
            figures: the details are the point, so show them wherever there is room.
            opens: Enter opens a pair.
        """
        super().__init__()
        self._means, self._figures, self._opens = means, figures, opens
        self._widest = 0
        self.nodes: tuple[str, ...] = ()
        self.touched = False
        """The operator has moved the cursor."""

        self._names: tuple[str, ...] = ()
        self._cells: Mapping[tuple[str, str], Cell] = {}
        self._row, self._column = 0, 1
        self._top = self._left = 0
        self._measure: tuple[object, Shape] | None = None

    @property
    def pair(self) -> tuple[str, str] | None:
        """Sender and receiver under the cursor; None: there are no nodes."""
        if not self.nodes:
            return None
        return self.nodes[self._row], self.nodes[self._column]

    def show(self, nodes: Sequence[str], cells: Mapping[tuple[str, str], Cell]) -> None:
        """Show these nodes and cells.

        Args:
            nodes: in order.
            cells: by sender and receiver; a missing cell is unknown.
        """
        more = tuple(nodes) != self.nodes
        self.nodes, self._cells = tuple(nodes), cells
        widest = max((len(it.text) for it in cells.values()), default=0) if self._figures else 0
        if widest != self._widest:
            self._widest, self._measure = widest, None
        if more:
            self._names = tuple(map(sanitize, nodes))
            last = max(len(nodes) - 1, 0)
            self._row, self._column = min(self._row, last), min(self._column, last)
        self.refresh(layout=more)

    # Moving the cursor.

    def to(self, row: int, column: int) -> None:
        """Move the cursor to a pair and scroll it into view."""
        last = max(len(self.nodes) - 1, 0)
        self._row, self._column = clamp(row, 0, last), clamp(column, 0, last)
        self.refresh()
        self.post_message(self.Moved())

    def to_next(self, wanted: Callable[[Cell | None], bool]) -> bool:
        """Move to the next pair that is wanted, wrapping around; returns whether there is one."""
        count = len(self.nodes)
        here = self._row * count + self._column
        for step in range(1, count * count + 1):
            row, column = divmod((here + step) % (count * count), count)
            pair = self.nodes[row], self.nodes[column]
            if row != column and wanted(self._cells.get(pair)):
                self.to(row, column)
                return True
        return False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable `open` in a matrix that does not open."""
        return action != "open" or self._opens

    def action_open(self) -> None:
        """Open the pair under the cursor."""
        if self.pair is not None:
            self.touched = True
            self.post_message(self.Opened(self.pair))

    def action_move(self, down: int, right: int) -> None:
        """Move the cursor by one cell."""
        self.touched = True
        self.to(self._row + down, self._column + right)

    def action_page(self, down: int) -> None:
        """Move the cursor by a page."""
        self.action_move(down * self._shape().down, 0)

    def action_edge(self, last: int) -> None:
        """Move the cursor to an end of the row."""
        self.action_move(0, len(self.nodes) if last else -len(self.nodes))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked pair."""
        shape = self._shape()
        row, column = event.y - 1, (event.x - shape.stub) // shape.cell
        if 0 <= row < shape.down and 0 <= column < shape.across and self.nodes:
            self.touched = True
            self.to(self._top + row, self._left + column)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move the cursor down."""
        event.stop()
        self.action_move(1, 0)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move the cursor up."""
        event.stop()
        self.action_move(-1, 0)

    def _follow(self, shape: Shape) -> None:
        """Scroll the cursor into view, but not beyond the ends."""
        count = len(self.nodes)
        self._top = clamp(self._top, self._row - shape.down + 1, self._row)
        self._left = clamp(self._left, self._column - shape.across + 1, self._column)
        self._top = clamp(self._top, 0, max(count - shape.down, 0))
        self._left = clamp(self._left, 0, max(count - shape.across, 0))

    # Drawing.

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """All rows, the column heads and the legend."""
        if not self.nodes:
            return 1
        return len(self.nodes) + 2 + self._measured(width, len(self.nodes) + 2).partial

    def _shape(self) -> Shape:
        """The layout for the current size; cached, since every line asks for it."""
        key = (self.size, self._names)
        if self._measure is None or self._measure[0] != key:
            self._measure = key, self._measured(*self.size)
        return self._measure[1]

    def _measured(self, width: int, height: int) -> Shape:
        count = len(self.nodes)
        digits = len(str(count))
        name = min(max([len(it) for it in self._names] + [8]), MAX_NAME_CHARS)
        room = max(width - digits - name - 3, 1)
        cell = max(digits + name + 3, 9)
        named = cell * count <= room and all(len(it) <= name for it in self._names)
        figures = not named and self._widest > 0 and (self._widest + 3) * count <= room
        if not named:
            cell = max(digits + 1, 3, self._widest + 3 if figures else 0)
        across = min(max(room // cell, 1), max(count, 1))
        partial = across < count or height - 2 < count
        down = max(height - 2 - partial, 1)
        detailed = named or figures
        return Shape(digits, name, cell, across, min(down, max(count, 1)), named, detailed, partial)

    def render_line(self, y: int) -> Strip:
        """The column heads, a sender's row, or the legend."""
        width = self.size.width
        parts = list(self._line(y)) if self.nodes else []
        # Merge neighbouring cells of the same style into one segment.
        segments = list(Segment.simplify(parts))
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _line(self, y: int) -> Iterator[Segment]:
        shape = self._shape()
        self._follow(shape)
        if y == 0:
            yield from self._heads(shape)
        elif y <= shape.down:
            yield from self._cells_of(self._top + y - 1, shape)
        elif shape.partial and y == shape.down + 1:
            bottom, right = self._top + shape.down, self._left + shape.across
            yield self._segment(
                f" of {len(self.nodes)} nodes: senders {self._top + 1} to {bottom}, "
                f"receivers {self._left + 1} to {right}"
            )
        elif y == shape.down + 1 + shape.partial:
            yield from self._legend()

    def _segment(self, text: str, kind: str = "head") -> Segment:
        # Textual caches this style; `rich_style` would be rebuilt for each cell.
        return Segment(text, self.get_component_rich_style(f"matrix--{kind}"))

    def _heads(self, shape: Shape) -> Iterator[Segment]:
        yield self._segment(f" {'from, to':<{shape.stub - 1}}")
        for column in range(self._left, self._left + shape.across):
            kind = "here" if column == self._column else "head"
            if shape.named:
                text = f" {column + 1} {self._names[column]}".ljust(shape.cell)
            else:
                text = f"{column + 1:^{shape.cell}}"
            yield self._segment(text, kind)

    def _cells_of(self, row: int, shape: Shape) -> Iterator[Segment]:
        name = self._names[row]
        name = name if len(name) <= shape.name else name[: shape.name - 1] + "~"
        text = f" {row + 1:>{shape.digits}} {set_cell_size(name, shape.name)} "
        yield self._segment(text, "here" if row == self._row else "head")
        for column in range(self._left, self._left + shape.across):
            yield self._cell(row, column, shape)

    def _cell(self, row: int, column: int, shape: Shape) -> Segment:
        found = self._cells.get((self.nodes[row], self.nodes[column]))
        word = found.word if found else "unknown"
        text = SIGNS[word][0]
        if row == column:
            word, text = "head", ITSELF
        elif found and shape.named:
            text += f" {sanitize(found.text)}"[: shape.cell - 4]
        elif found and shape.detailed:
            text += sanitize(found.text)
        here = (row, column) == (self._row, self._column)
        # The brackets mark the cursor on terminals without colours.
        open_, close = "[]" if here else "  "
        text = f"{open_}{text}{close}"
        text = text.ljust(shape.cell) if shape.named else f"{text:^{shape.cell}}"
        if not here:
            return self._segment(text, word)
        mark = "matrix--cursor" if self.has_focus else "matrix--blurred"
        # Not partial: only then Textual blends its colour with the background.
        style = self.get_component_rich_style(mark)
        style += self.get_component_rich_style(f"matrix--{word}", partial=True)
        return Segment(text, style + Style(bold=True))

    def _legend(self) -> Iterator[Segment]:
        good, bad = self._means
        legend = {
            "pass": good,
            "warn": "warning",
            "fail": bad,
            "skipped": "not tried",
            "unknown": "not known",
        }
        for word, about in legend.items():
            yield self._segment(f" {SIGNS[word][0]}", word)
            yield self._segment(f" {about} ")
        yield self._segment(f" {ITSELF} itself")
