"""From the bytes of an output to its lines, told one by one."""

from typing import Self

from fedwiz.model.actions import OnLine
from fedwiz.util.sanitize import LineReader


class LineSplitter:
    """Tells the lines of one output; each has its own, or they would mix in one line."""

    def __init__(self, on_line: OnLine) -> None:
        self._lines, self._on_line = LineReader(), on_line
        self.count = 0
        """Bytes that have come."""

    def __enter__(self) -> Self:
        return self

    def __call__(self, data: bytes) -> None:
        """Take in what has come."""
        self.count += len(data)
        for line in self._lines.feed(data):
            self._on_line(line)

    def __exit__(self, *_: object) -> None:
        for line in self._lines.end():
            self._on_line(line)
