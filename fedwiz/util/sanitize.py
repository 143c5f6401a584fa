"""Makes text from a host safe for a terminal.

A host may send anything: escape sequences that retitle the terminal, move its cursor or reverse the
direction of text. All of it is removed before a line is shown or stored.
"""

import re
from collections.abc import Iterator

MAX_LINE_CHARS = 2000
"""Longest line, in characters; a longer one is truncated and ends in an ellipsis."""

_MAX_BUFFER_BYTES = 64 * 1024
"""Limit of the buffer for an unterminated line."""

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"  # OSC, DCS, ...
    "|\x1b[ -/]*[0-~]?"  # the short ones
)
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, width
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def sanitize(line: str) -> str:
    """Strip escape sequences, control characters and tabs from one line.

    Where carriage returns redraw the line, as a progress bar does, the last drawing is kept.
    """
    shown = ""
    for part in line[-_MAX_BUFFER_BYTES:].split("\r"):
        visible = _INVISIBLE.sub("", _ESCAPES.sub("", part).expandtabs(8))
        shown = visible if visible.strip() else shown
    return shown if len(shown) <= MAX_LINE_CHARS else shown[: MAX_LINE_CHARS - 1] + "…"


class LineReader:
    """Splits a stream of bytes into sanitized lines, buffering no more than one of them."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that `data` completes; bytes that are not UTF-8 become U+FFFD."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._append(part)
            yield self._line()
        self._append(rest)

    def end(self) -> Iterator[str]:
        """Yield the last line if the stream ended without a newline."""
        if self._buffer:
            yield self._line()

    def _append(self, part: bytes) -> None:
        line = self._buffer + part
        if len(line) > _MAX_BUFFER_BYTES:
            # A progress bar matters at its end, a merely long line at its beginning.
            drawn = line.rstrip(b"\r").rfind(b"\r") + 1
            line = line[drawn : drawn + _MAX_BUFFER_BYTES]
        self._buffer = line

    def _line(self) -> str:
        line, self._buffer = self._buffer, b""
        return sanitize(line.decode("utf-8", errors="replace"))
