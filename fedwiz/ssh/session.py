"""One open connection to a host, and what is done over it."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import TypeAlias

import asyncssh

from fedwiz.model.actions import Channel, OnLine, Reply, Run, Secret, Session, UnreachableError
from fedwiz.ssh.channel import open_channel
from fedwiz.ssh.command_line import (
    ATTACHED,
    BOOT_ID,
    KILL_GRACE_SECONDS,
    UNIT_ABSENT,
    Root,
    retire,
    wire,
)
from fedwiz.ssh.known_hosts import KeyRefusedError
from fedwiz.ssh.reconnect import Reopen, reconnect
from fedwiz.ssh.telling import LineSplitter
from fedwiz.util.sanitize import sanitize

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Bytes that the answer to a question may have; more would be kept in memory."""

CHUNK_BYTES = 64 * 1024
TIMEOUT_MARGIN_SECONDS = 30
"""Seconds more than the host's own time limit before a command counts as lost."""

TIMED_OUT = 124
KILLED = 128 + signal.SIGKILL

Sink: TypeAlias = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the session's user may do on the host, and in which locale it is answered."""

    root: Root
    password: Secret | None
    locale: str


class SshSession(Session):
    """A host's connection; after a reboot, the one that took its place."""

    def __init__(
        self,
        name: str,
        conn: asyncssh.SSHClientConnection,
        standing: Privileges,
        reopen: Reopen,
        patience: float,
    ) -> None:
        """It is open.

        Args:
            name: the host's.
            conn: the connection to it.
            standing: what its user may do.
            reopen: gives another connection.
            patience: seconds for which a lost one is sought again, in the middle of a change.
        """
        self._name = name
        self._patience = patience
        self._conn = conn
        self._standing = standing
        self._reopen = reopen
        self._opening = asyncio.Lock()

    @property
    def name(self) -> str:
        """The host's name in the answers."""
        return self._name

    async def run(self, run: Run, on_line: OnLine) -> int:
        """See `Session.run`."""
        if run.reboots:
            return await self._reboot(run, on_line)
        await self._alive(self._patience if run.changes else 0, on_line)
        if not run.unit:
            return await self._tell(run, on_line)
        code = await self._follow(run, on_line)
        with suppress(UnreachableError):  # then a later run is told of that end, too
            await self._carry(retire(run), _unheard, _unheard)
        return code

    async def ask(self, run: Run) -> Reply:
        """See `Session.ask`.

        Raises:
            Unreachable: also where the answer is longer than `MAX_ANSWER_BYTES`.
        """
        out, err = bytearray(), bytearray()

        def keep(kept: bytearray) -> Sink:
            def sink(data: bytes) -> None:
                if len(out) + len(err) + len(data) > MAX_ANSWER_BYTES:
                    raise _TooMuchOutputError
                kept.extend(data)

            return sink

        try:
            code = await self._carry(run, keep(out), keep(err))
        except* _TooMuchOutputError:
            raise UnreachableError(
                f"{self._name} answers `{sanitize(run.shown)}` with more than "
                f"{MAX_ANSWER_BYTES >> 20} MiB: look what it says there"
            ) from None
        return Reply(code, out.decode(errors="replace"), err.decode(errors="replace"))

    @asynccontextmanager
    async def forward(self, address: str, port: int) -> AsyncIterator[int]:
        """See `Session.forward`.

        The way is tried once before the port is given away: a local port takes every
        connection, and only then finds that there is no other end.
        """
        await self._alive(0, _unheard)
        conn = self._conn
        try:
            _, writer = await conn.open_connection(address, port, encoding=None)
            writer.close()
            listener = await conn.forward_local_port("127.0.0.1", 0, address, port)
        except asyncssh.ChannelOpenError as error:
            raise UnreachableError(_unforwarded(self._name, address, port, error)) from None
        except (OSError, asyncssh.Error) as error:
            raise UnreachableError(
                f"the connection to {self._name} is gone ({error}): run again"
            ) from None
        try:
            yield listener.get_port()
        finally:
            listener.close()
            await listener.wait_closed()

    def hold(self, run: Run) -> AbstractAsyncContextManager[Channel]:
        """See `Session.hold`."""
        root, marker, first = self._rooted(run)
        # For `timeout` 0 is no limit.
        sent = wire(replace(run, timeout=0), root=root, marker=marker, locale=self._standing.locale)
        return open_channel(self._name, self._conn, sent, first)

    async def close(self) -> None:
        """End the connection; a host that does not answer is not waited for."""
        await close(self._conn)

    async def _tell(self, run: Run, on_line: OnLine) -> int:
        """Run a command and tell its lines."""
        with LineSplitter(on_line) as out, LineSplitter(on_line) as err:
            return await self._carry(run, out, err)

    async def _follow(self, run: Run, on_line: OnLine) -> int:
        """The same of a unit, which is found again by its name where the connection is lost."""
        with LineSplitter(on_line) as out, LineSplitter(on_line) as err:
            seen: int | None = None
            begun = 0
            while True:
                begun += seen is None
                try:
                    code = await self._carry(run, out, err, seen)
                except _ConnectionLostError:
                    try:
                        await self._alive(self._patience, on_line, cut=True)
                    except UnreachableError as why:
                        raise UnreachableError(self._unseen(run, str(why))) from None
                    seen = out.count
                    continue
                if code != UNIT_ABSENT or seen is None:
                    return code
                if seen or begun > 1:
                    raise UnreachableError(
                        f"{self._name} has restarted in the middle of `{_brief(run)}`: run again, "
                        f"to see what is left to do"
                    )
                seen = None  # it never began, or had said nothing yet

    async def _alive(self, patience: float, on_line: OnLine, *, cut: bool = False) -> None:
        """Connect anew where the connection has gone, for as many seconds as `patience` says.

        With `cut` it has gone, whatever the library thinks.

        Raises:
            Unreachable: it can't be had again.
        """
        async with self._opening:
            if not self._conn.is_closed() and not cut:
                return
            if patience:
                on_line(f"fedwiz: the connection is lost; connecting again for up to {patience} s")
            old = self._conn
            self._conn = await reconnect(self._reopen, patience, on_line)
            old.abort()

    async def _carry(self, run: Run, out: Sink, err: Sink, seen: int | None = None) -> int:
        """Run a command and return its exit status; of a unit, `seen` bytes were told already."""
        await self._alive(0, _unheard)
        root, marker, first = self._rooted(run)
        sent = wire(run, root=root, marker=marker, locale=self._standing.locale, seen=seen)
        await _readable(run)
        began = time.monotonic()
        try:
            async with asyncio.timeout(
                run.timeout
                + KILL_GRACE_SECONDS
                + TIMEOUT_MARGIN_SECONDS
                + (ATTACHED if run.unit else 0)
            ):
                code = await carry(self._conn, sent, Input(first, run), out, err)
        except TimeoutError:
            raise UnreachableError(self._unseen(run)) from None
        except (OSError, asyncssh.Error) as error:
            if self._conn.is_closed():  # before or after it was told to start, nobody knows
                raise _ConnectionLostError(self._unseen(run)) from None
            raise _ConnectionLostError(
                f"{self._name} did not start `{_brief(run)}` ({_reason(error)}): run again"
            ) from None
        if code is None:
            raise _ConnectionLostError(self._unseen(run))
        # `timeout` ends with 137 where the command outlived TERM and had to be killed.
        late = code == KILLED and time.monotonic() - began >= run.timeout
        return TIMED_OUT if late else code

    def _unseen(self, run: Run, why: str = "") -> str:
        """What became of the command; with `why` there is no other connection."""
        again = f", and there is no other ({why})" if why else ""
        return (
            f"the connection to {self._name} was lost before the end of `{_brief(run)}` was "
            f"seen{again}; it may still be running there: `fedwiz resume` takes up its end"
        )

    def _rooted(self, run: Run) -> tuple[Root, str, bytes]:
        """How a command becomes root, the marker for it, and what its input begins with."""
        standing = self._standing
        root: Root = standing.root if run.sudo else ""
        marker = token_hex(16) if root == "ask" else ""
        first = f"{_reveal(standing.password)}\n{marker}\n".encode() if root == "ask" else b""
        return root, marker, first

    async def _reboot(self, run: Run, on_line: OnLine) -> int:
        before = await self._boot_id()
        try:
            code = await self._tell(run, on_line)
        except UnreachableError:  # a host that goes down takes the connection with it
            code = 0
        if 0 < code <= 128:
            return code
        try:
            async with asyncio.timeout(run.timeout):
                await self._come_back(before)
        except TimeoutError:
            raise UnreachableError(
                f"{self._name} is not back from its reboot after {run.timeout} s (its boot id "
                f"was {before}): look at its console"
            ) from None
        return 0

    async def _come_back(self, before: str) -> None:
        """Connect again until the host has another boot id."""
        while True:
            await asyncio.sleep(1)
            try:
                await self._alive(30, _unheard, cut=True)
                if await self._boot_id() != before:
                    return
            except KeyRefusedError:
                raise
            except UnreachableError:
                continue

    async def _boot_id(self) -> str:
        reply = await self.ask(Run(BOOT_ID, changes=False, sudo=False, timeout=10))
        if reply.code or not reply.out.strip():
            raise UnreachableError(f"{self._name} does not tell its boot id: look at its /proc")
        return sanitize(reply.out.strip())


class _ConnectionLostError(UnreachableError):
    """The connection went in the middle of a command."""


class _TooMuchOutputError(Exception):
    """More was said than is kept."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a command gets on standard input: `first`, then the run's text or file."""

    first: bytes
    run: Run | None = None

    async def pour(self, stdin: asyncssh.SSHWriter[bytes]) -> None:
        """Write it all, and its end: a command that reads must not wait for ever."""
        try:
            stdin.write(self.first)
            if self.run and self.run.upload:
                await self._file(stdin, Path(self.run.upload))
            elif self.run:
                stdin.write(self.run.input(reveal=True).encode())
            await stdin.drain()
            stdin.write_eof()
        except (OSError, asyncssh.Error):
            return  # it ended without reading all; its exit status says what that means

    @staticmethod
    async def _file(stdin: asyncssh.SSHWriter[bytes], path: Path) -> None:
        with await asyncio.to_thread(path.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                stdin.write(chunk)
                await stdin.drain()


async def carry(
    conn: asyncssh.SSHClientConnection,
    command: str,
    given: Input,
    out: Sink,
    err: Sink,
) -> int | None:
    """Run a command line; None: the connection went before its end was seen.

    Bytes, not text: one that is not UTF-8 would end the whole connection.
    """
    process = await conn.create_process(command, encoding=None)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(given.pour(process.stdin))
            group.create_task(_drain(process.stdout, out))
            group.create_task(_drain(process.stderr, err))
        await process.wait_closed()
    finally:
        # Not waited for: sshd keeps what it runs open until that ends, which may be never.
        process.close()
    if process.exit_signal:
        number = getattr(signal, f"SIG{process.exit_signal[0]}", 127)
        return 128 + int(number)
    return process.exit_status


async def _drain(reader: asyncssh.SSHReader[bytes], sink: Sink) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            sink(data)
    except (OSError, asyncssh.Error):
        return  # the missing exit status says so


async def close(conn: asyncssh.SSHClientConnection) -> None:
    """Say goodbye, and wait no longer than two seconds for it to be heard."""
    conn.close()
    try:
        async with asyncio.timeout(2):
            await conn.wait_closed()
    except TimeoutError:
        conn.abort()


async def _readable(run: Run) -> None:
    """See that the file to upload can be read, before anything starts that waits for it."""
    try:
        if run.upload:
            (await asyncio.to_thread(Path(run.upload).open, "rb")).close()
    except OSError as error:
        raise UnreachableError(
            f"{sanitize(run.upload)} can't be read here ({error.strerror}): put the file there"
        ) from None


def _unheard(_said: object) -> None:
    """What nobody wants to hear."""


def _reveal(password: Secret | None) -> str:
    return password.reveal() if password else ""


def _brief(run: Run) -> str:
    shown = sanitize(run.brief) or run.unit
    return shown if len(shown) <= 80 else shown[:79] + "…"


def _reason(error: Exception) -> str:
    return sanitize(str(error)) or type(error).__name__


def _unforwarded(name: str, address: str, port: int, error: asyncssh.ChannelOpenError) -> str:
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return (
            f"{name}'s sshd forwards no connection to {address}:{port}: "
            f"set `AllowTcpForwarding yes` (or `local`) in its sshd_config"
        )
    return (
        f"from {name}, nothing answers at {address}:{port} ({_reason(error)}): "
        f"see that the service runs and listens there"
    )
