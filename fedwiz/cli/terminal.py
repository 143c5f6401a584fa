"""Prompts on a terminal or a pipe that Ctrl+C interrupts."""

import asyncio
import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from fedwiz.cli.output import say, write

waiting: set["asyncio.Future[None]"] = set()
"""Open prompts.  While one is open, no change is in progress, so Ctrl+C can quit at once."""

_buffer = bytearray()
"""Bytes read past the line that was asked for: a pipe delivers several lines at once."""


async def ask(question: str, *, hidden: bool = False) -> str | None:
    """Prompt for a line; returns it without the newline, or None at the end of input.

    Does not call `input` in a thread: Python waits for its threads at exit, and a thread that
    waits for input cannot be interrupted.

    Args:
        question: printed verbatim.
        hidden: do not echo input at a terminal.
    """
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
    # Its result stays empty: asyncio's slow-callback log would show it.
    answer: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        data = b""
        if b"\n" not in _buffer:
            with suppress(OSError):  # the terminal has gone; no more input will come
                data = os.read(fd, 1 << 16)
        _buffer.extend(data)
        if not answer.done() and (b"\n" in _buffer or not data):
            answer.set_result(None)

    with _echo_off(fd) if hidden and os.isatty(fd) else nullcontext():
        write(sys.stderr, question)
        waiting.add(answer)
        try:
            if b"\n" in _buffer:
                return _line()
            try:
                loop.add_reader(fd, ready)
            except PermissionError:  # a regular file or /dev/null: always readable
                while not answer.done():
                    ready()
            await answer
            return _line()
        finally:
            waiting.discard(answer)
            loop.remove_reader(fd)


def _line() -> str | None:
    """Take the next line from the buffer; an unterminated last line counts."""
    if not _buffer:
        return None
    line, _, rest = bytes(_buffer).partition(b"\n")
    _buffer[:] = rest
    return line.decode("utf-8", "replace").rstrip("\r")


@contextmanager
def _echo_off(fd: int) -> Iterator[None]:
    """Turn echo off in this context, and always restore it."""
    before = termios.tcgetattr(fd)
    mute = list(before)
    mute[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(fd, termios.TCSAFLUSH, mute)
        yield
    finally:
        with suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)
        say("")
