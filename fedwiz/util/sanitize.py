"""Text from a host, made fit for a terminal.

What a host sends may hold anything: codes that retitle the terminal, move its cursor or turn
the direction of writing.  All of it is taken out before a line is shown or kept.
"""

import re
from collections.abc import Iterator

MAX_LINE_CHARS = 2000
"""Characters of a line that are kept; the end of a longer one is an ellipsis."""

_MAX_HELD_BYTES = 64 * 1024
"""Bytes held of a line that does not end."""

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"  # OSC, DCS, ...
    "|\x1b[ -/]*[0-~]?"  # the short ones
)
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, width
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def sanitize(line: str) -> str:
    """One line without escape codes, control characters and tabs.

    Where a carriage return made a progress bar, what it drew last is what is kept.
    """
    shown = ""
    for part in line[-_MAX_HELD_BYTES:].split("\r"):
        seen = _UNSEEN.sub("", _ESCAPES.sub("", part).expandtabs(8))
        shown = seen if seen.strip() else shown
    return shown if len(shown) <= MAX_LINE_CHARS else shown[: MAX_LINE_CHARS - 1] + "…"


class LineReader:
    """Cuts a stream of bytes into cleaned lines, holding no more than one of them."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that end in `data`; bytes that are not UTF-8 become U+FFFD."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._hold(part)
            yield self._line()
        self._hold(rest)

    def end(self) -> Iterator[str]:
        """The last line, where the stream ended without a newline."""
        if self._held:
            yield self._line()

    def _hold(self, part: bytes) -> None:
        held = self._held + part
        if len(held) > _MAX_HELD_BYTES:
            # Of a progress bar the end matters, of a line that is merely long the beginning.
            drawn = held.rstrip(b"\r").rfind(b"\r") + 1
            held = held[drawn : drawn + _MAX_HELD_BYTES]
        self._held = held

    def _line(self) -> str:
        held, self._held = self._held, b""
        return sanitize(held.decode("utf-8", errors="replace"))
