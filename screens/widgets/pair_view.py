"""Verdicts on node pairs: a matrix, and the pair under the cursor in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from fedwiz import report
from fedwiz.model.events import Verified
from fedwiz.runs.rounds import Levels
from screens.widgets import sentences
from screens.widgets.matrix import PING_WORDS, Cell, Matrix
from screens.widgets.verdict_table import word


@dataclass(frozen=True, slots=True)
class PairKind:
    """How to show a kind of verdicts."""

    means: tuple[str, str]
    """Legend for pass and fail."""

    figures: bool = False


PAIR_KINDS: Mapping[str, PairKind] = {
    "ping": PairKind(PING_WORDS),
    "peer": PairKind(("knows the way", "does not")),
    "mtu": PairKind(("crosses", "too small"), figures=True),
}
"""By kind of verdict."""


class Pairs(Vertical):
    """A matrix, and below it both directions of the pair under the cursor."""

    DEFAULT_CSS = """
    Pairs > .pair { height: 1fr; min-height: 3; margin-top: 1; }
    """

    def __init__(self, kind: str, id: str, *, opens: bool) -> None:
        super().__init__(id=id)
        self._kind, self._opens = kind, opens
        self._found: Mapping[tuple[str, str], Verified] = {}
        self._verdicts: Sequence[Verified] = ()
        self._history: Mapping[tuple[str, str], Levels] = {}
        self._empty = ""

    def compose(self) -> ComposeResult:
        """The matrix and the text."""
        about = PAIR_KINDS[self._kind]
        yield Matrix(about.means, figures=about.figures, opens=self._opens)
        with VerticalScroll(classes="pair"):
            yield Static("")

    @property
    def matrix(self) -> Matrix:
        """The matrix."""
        return self.query_one(Matrix)

    def show(
        self,
        nodes: Sequence[str],
        verdicts: Sequence[Verified],
        history: Mapping[tuple[str, str], Levels],
        empty: str,
    ) -> None:
        """Show the verdicts of this kind.

        Args:
            nodes: in order.
            verdicts: of all kinds.
            history: of each pair in the last rounds; may be empty.
            empty: text to show if there are no nodes.
        """
        self._verdicts, self._history, self._empty = verdicts, history, empty
        self._found = report.pairs(verdicts, self._kind)
        cells = {pair: cell_of(it) for pair, it in self._found.items()}
        self.matrix.show(nodes, cells)
        self._describe()

    @on(Matrix.Moved)
    def _moved(self) -> None:
        self._describe()
        self.query_one(".pair").scroll_home(animate=False)

    def _describe(self) -> None:
        """Describe the pair under the cursor."""
        pair = self.matrix.pair
        if pair is None:
            content = Content.styled(self._empty, "$text-muted")
        elif pair[0] == pair[1]:
            content = sentences.about(self._verdicts, pair[0])
        else:
            content = sentences.between(self._found, self._history, *pair)
        self.query_one(".pair Static", Static).update(content)

    def to_next(self) -> bool:
        """Move to the next pair that is not a plain pass; returns whether there is one."""
        return self.matrix.to_next(doubtful)

    def to_first(self) -> None:
        """Move to the first problem, unless the operator has moved the cursor already."""
        if self.matrix.nodes and not self.matrix.touched:
            self.matrix.to(0, 0)
            if not self.to_next():
                self.matrix.to(0, 1)


def cell_of(it: Verified) -> Cell:
    """The verdict's cell, with its measurement in short."""
    texts = {"ping": it.seen.partition(",")[0], "mtu": it.seen.partition(" ")[0]}
    return Cell(word(it), texts.get(it.kind, ""))


def doubtful(found: Cell | None) -> bool:
    """Whether the pair needs a look: it is known and not a plain pass."""
    return found is not None and found.word != "pass"
