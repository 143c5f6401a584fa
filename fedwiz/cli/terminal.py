"""A question at the terminal, or to a pipe, which Ctrl+C ends."""

import asyncio
import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from fedwiz.cli.output import say, write

waiting: set["asyncio.Future[None]"] = set()
"""Questions that are open.  While one is, nothing has been changed that could be let end."""

_rest = bytearray()
"""What was read beyond the line that was asked for: a pipe gives several at once."""


async def ask(question: str, *, hidden: bool = False) -> str | None:
    """The line that the operator types, without its end; None at the end of input.

    Not in a thread, as `input` would be: Python waits for its threads, and a thread that waits
    for a line can't be told to stop.

    Args:
        question: written as it is.
        hidden: what is typed at a terminal is not shown.
    """
    loop, place = asyncio.get_running_loop(), sys.stdin.fileno()
    # It holds nothing: asyncio's log of what is slow would show it.
    answer: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        more = b""
        if b"\n" not in _rest:
            with suppress(OSError):  # the terminal has gone, and nothing more will come
                more = os.read(place, 1 << 16)
        _rest.extend(more)
        if not answer.done() and (b"\n" in _rest or not more):
            answer.set_result(None)

    with _silent(place) if hidden and os.isatty(place) else nullcontext():
        write(sys.stderr, question)
        waiting.add(answer)
        try:
            if b"\n" in _rest:
                return _line()
            try:
                loop.add_reader(place, ready)
            except PermissionError:  # a file, or /dev/null: it can always be read
                while not answer.done():
                    ready()
            await answer
            return _line()
        finally:
            waiting.discard(answer)
            loop.remove_reader(place)


def _line() -> str | None:
    """The next line of what was read; what stands before the end of input is one, too."""
    if not _rest:
        return None
    line, _, rest = bytes(_rest).partition(b"\n")
    _rest[:] = rest
    return line.decode("utf-8", "replace").rstrip("\r")


@contextmanager
def _silent(place: int) -> Iterator[None]:
    """What is typed is not shown; what was is, again, whatever happens."""
    before = termios.tcgetattr(place)
    mute = list(before)
    mute[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(place, termios.TCSAFLUSH, mute)
        yield
    finally:
        with suppress(termios.error):  # it has gone
            termios.tcsetattr(place, termios.TCSAFLUSH, before)
        say("")
