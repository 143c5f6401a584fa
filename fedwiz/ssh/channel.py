"""The output of a channel as lines, and commands that keep running on a channel of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import asyncssh

from fedwiz.model.actions import Channel, OnLine, UnreachableError
from fedwiz.util.sanitize import LineReader, sanitize

MAX_LINE_BYTES = 64 * 1024
"""Bytes of a line; what it has more than these is dropped."""

CLOSE_SECONDS = 3
"""Seconds that it has to end by itself, once its input has."""


class LineSplitter:
    """Splits an output into lines and passes them on.  Each output needs its own splitter."""

    def __init__(self, on_line: OnLine) -> None:
        self._lines, self._on_line = LineReader(), on_line
        self.count = 0
        """Bytes received."""

    def __enter__(self) -> Self:
        return self

    def __call__(self, data: bytes) -> None:
        """Take in more of the output."""
        self.count += len(data)
        for line in self._lines.feed(data):
            self._on_line(line)

    def __exit__(self, *_: object) -> None:
        for line in self._lines.end():
            self._on_line(line)


class SshChannel(Channel):
    """A process at the other end of a channel."""

    def __init__(self, name: str, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._name = name
        self._process = process
        self._rest = b""

    async def line(self) -> str | None:
        """See `Channel.line`."""
        while b"\n" not in self._rest:
            try:
                data = await self._process.stdout.read(MAX_LINE_BYTES)
            except (OSError, asyncssh.Error):
                return None
            if not data:
                return None
            self._rest += data
            if b"\n" not in data:
                self._rest = self._rest[:MAX_LINE_BYTES]
        line, _, self._rest = self._rest.partition(b"\n")
        return line[:MAX_LINE_BYTES].decode(errors="replace")

    async def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (OSError, asyncssh.Error) as error:
            raise UnreachableError(f"the connection to {self._name} is gone ({error})") from None

    async def let_go(self) -> None:
        """End its input, and see it end; not for long."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if not self._process.stdin.is_closing():
                    self._process.stdin.write_eof()
                while await self.line() is not None:
                    pass
        except (OSError, asyncssh.Error, TimeoutError):
            pass
        self._process.close()


@asynccontextmanager
async def open_channel(
    name: str, conn: asyncssh.SSHClientConnection, sent: str, first: bytes
) -> AsyncIterator[Channel]:
    """Start a command that stays on; what it writes on stderr is dropped.

    Args:
        name: the host's.
        conn: the connection to it.
        sent: the command line.
        first: what its input begins with.

    Raises:
        Unreachable: it did not start.
    """
    try:
        process = await conn.create_process(sent, encoding=None, stderr=asyncssh.DEVNULL)
    except (OSError, asyncssh.Error) as error:
        why = sanitize(str(error)) or type(error).__name__
        raise UnreachableError(
            f"{name} did not start what is to stay on ({why}): run again"
        ) from None
    it = SshChannel(name, process)
    try:
        await it.send(first)
        yield it
    finally:
        await it.let_go()
