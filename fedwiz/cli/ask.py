"""A question at the terminal, which Ctrl+C ends."""

import asyncio
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

waiting: set["asyncio.Future[str]"] = set()
"""Questions that are open.  While one is, nothing has been changed that could be let end."""


async def ask(question: str, *, hidden: bool = False) -> str:
    """The line that the operator types, without its end; empty at the end of input.

    Not in a thread, as `input` would be: Python waits for its threads, and a thread that waits
    for a line can't be told to stop.
    """
    loop, place = asyncio.get_running_loop(), sys.stdin.fileno()
    answer: asyncio.Future[str] = loop.create_future()

    def ready() -> None:
        loop.remove_reader(place)
        if not answer.done():
            answer.set_result(sys.stdin.readline())

    with _silent(place) if hidden else nullcontext():
        sys.stderr.write(question)
        sys.stderr.flush()
        loop.add_reader(place, ready)
        waiting.add(answer)
        try:
            return (await answer).rstrip("\n")
        finally:
            waiting.discard(answer)
            loop.remove_reader(place)


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
        termios.tcsetattr(place, termios.TCSAFLUSH, before)
        sys.stderr.write("\n")
