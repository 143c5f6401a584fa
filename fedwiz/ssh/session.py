"""An open connection to a host, and the commands run over it."""

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
from fedwiz.ssh.channel import LineSplitter, open_channel
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
from fedwiz.util.sanitize import sanitize

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Maximum size of a reply that is held in memory."""

CHUNK_BYTES = 64 * 1024
TIMEOUT_MARGIN_SECONDS = 30
"""Seconds beyond the host's own time limit before a command counts as lost."""

TIMED_OUT = 124
KILLED = 128 + signal.SIGKILL

Sink: TypeAlias = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the session's user may do on the host, and the locale for its commands."""

    root: Root
    password: Secret | None
    locale: str


class SshSession(Session):
    """A host's connection; reconnecting replaces the underlying one."""

    def __init__(
        self,
        name: str,
        conn: asyncssh.SSHClientConnection,
        privileges: Privileges,
        reopen: Reopen,
        patience: float,
    ) -> None:
        """Wrap an open connection.

        Args:
            name: the host's name.
            conn: the connection to it.
            privileges: what its user may do.
            reopen: opens another connection.
            patience: seconds to retry a lost connection during a change.
        """
        self._name = name
        self._patience = patience
        self._conn = conn
        self._privileges = privileges
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
        await self._ensure_connected(self._patience if run.changes else 0, on_line)
        if not run.unit:
            return await self._run_streaming(run, on_line)
        code = await self._follow(run, on_line)
        with suppress(UnreachableError):  # otherwise a later run receives this output, too
            await self._run_on_host(retire(run), ignore, ignore)
        return code

    async def ask(self, run: Run) -> Reply:
        """See `Session.ask`.

        Raises:
            UnreachableError: also if the reply is longer than `MAX_ANSWER_BYTES`.
        """
        out, err = bytearray(), bytearray()

        def limited(buffer: bytearray) -> Sink:
            def sink(data: bytes) -> None:
                if len(out) + len(err) + len(data) > MAX_ANSWER_BYTES:
                    raise _TooMuchOutputError
                buffer.extend(data)

            return sink

        try:
            code = await self._run_on_host(run, limited(out), limited(err))
        except* _TooMuchOutputError:
            raise UnreachableError(
                f"{self._name} answers `{sanitize(run.shown)}` with more than "
                f"{MAX_ANSWER_BYTES >> 20} MiB: look what it says there"
            ) from None
        return Reply(code, out.decode(errors="replace"), err.decode(errors="replace"))

    @asynccontextmanager
    async def forward(self, address: str, port: int) -> AsyncIterator[int]:
        """See `Session.forward`.

        The target is probed once before the port is handed out: a local port accepts every
        connection, and only then finds that nothing answers at the other end.
        """
        await self._ensure_connected(0, ignore)
        conn = self._conn
        try:
            _, writer = await conn.open_connection(address, port, encoding=None)
            writer.close()
            listener = await conn.forward_local_port("127.0.0.1", 0, address, port)
        except asyncssh.ChannelOpenError as error:
            raise UnreachableError(_forward_error(self._name, address, port, error)) from None
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
        root, marker, first = self._root_setup(run)
        # For `timeout`, 0 means no limit.
        sent = wire(
            replace(run, timeout=0), root=root, marker=marker, locale=self._privileges.locale
        )
        return open_channel(self._name, self._conn, sent, first)

    async def close(self) -> None:
        """Close the connection without waiting for an unresponsive host."""
        await close(self._conn)

    async def _run_streaming(self, run: Run, on_line: OnLine) -> int:
        """Run a command and report its output line by line."""
        with LineSplitter(on_line) as out, LineSplitter(on_line) as err:
            return await self._run_on_host(run, out, err)

    async def _follow(self, run: Run, on_line: OnLine) -> int:
        """Run a unit; after a lost connection it is found again by its name."""
        with LineSplitter(on_line) as out, LineSplitter(on_line) as err:
            seen: int | None = None
            starts = 0
            while True:
                starts += seen is None
                try:
                    code = await self._run_on_host(run, out, err, seen)
                except _ConnectionLostError:
                    try:
                        await self._ensure_connected(self._patience, on_line, cut=True)
                    except UnreachableError as error:
                        raise UnreachableError(self._lost_message(run, str(error))) from None
                    seen = out.count
                    continue
                if code != UNIT_ABSENT or seen is None:
                    return code
                if seen or starts > 1:
                    raise UnreachableError(
                        f"{self._name} has restarted in the middle of `{_brief(run)}`: run again, "
                        f"to see what is left to do"
                    )
                seen = None  # it never started, or had no output yet

    async def _ensure_connected(
        self, patience: float, on_line: OnLine, *, cut: bool = False
    ) -> None:
        """Reconnect if the connection is lost, retrying for up to `patience` seconds.

        With `cut` it is lost, whatever the library reports.

        Raises:
            UnreachableError: all attempts failed.
        """
        async with self._opening:
            if not self._conn.is_closed() and not cut:
                return
            if patience:
                on_line(f"fedwiz: the connection is lost; connecting again for up to {patience} s")
            old = self._conn
            self._conn = await reconnect(self._reopen, patience, on_line)
            old.abort()

    async def _run_on_host(self, run: Run, out: Sink, err: Sink, seen: int | None = None) -> int:
        """Run a command and return its exit status; for a unit, skip `seen` bytes of its output."""
        await self._ensure_connected(0, ignore)
        root, marker, first = self._root_setup(run)
        sent = wire(run, root=root, marker=marker, locale=self._privileges.locale, seen=seen)
        await _check_upload(run)
        began = time.monotonic()
        try:
            async with asyncio.timeout(
                run.timeout
                + KILL_GRACE_SECONDS
                + TIMEOUT_MARGIN_SECONDS
                + (ATTACHED if run.unit else 0)
            ):
                code = await run_command(self._conn, sent, Input(first, run), out, err)
        except TimeoutError:
            raise UnreachableError(self._lost_message(run)) from None
        except (OSError, asyncssh.Error) as error:
            if self._conn.is_closed():  # whether it had started is unknown
                raise _ConnectionLostError(self._lost_message(run)) from None
            raise _ConnectionLostError(
                f"{self._name} did not start `{_brief(run)}` ({_reason(error)}): run again"
            ) from None
        if code is None:
            raise _ConnectionLostError(self._lost_message(run))
        # `timeout` exits with 137 if the command ignored TERM and had to be killed.
        late = code == KILLED and time.monotonic() - began >= run.timeout
        return TIMED_OUT if late else code

    def _lost_message(self, run: Run, why: str = "") -> str:
        """The error for a command whose end was not seen; `why` says why reconnecting failed."""
        no_reconnect = f", and there is no other ({why})" if why else ""
        return (
            f"the connection to {self._name} was lost before the end of `{_brief(run)}` was "
            f"seen{no_reconnect}; it may still be running there: `fedwiz resume` takes up its end"
        )

    def _root_setup(self, run: Run) -> tuple[Root, str, bytes]:
        """How a command becomes root, its marker, and the prefix of its input."""
        privileges = self._privileges
        root: Root = privileges.root if run.sudo else ""
        marker = token_hex(16) if root == "ask" else ""
        first = f"{_reveal(privileges.password)}\n{marker}\n".encode() if root == "ask" else b""
        return root, marker, first

    async def _reboot(self, run: Run, on_line: OnLine) -> int:
        boot_id = await self._boot_id()
        try:
            code = await self._run_streaming(run, on_line)
        except UnreachableError:  # a host that goes down takes the connection with it
            code = 0
        if 0 < code <= 128:
            return code
        try:
            async with asyncio.timeout(run.timeout):
                await self._come_back(boot_id)
        except TimeoutError:
            raise UnreachableError(
                f"{self._name} is not back from its reboot after {run.timeout} s (its boot id "
                f"was {boot_id}): look at its console"
            ) from None
        return 0

    async def _come_back(self, boot_id: str) -> None:
        """Reconnect until the host has another boot id."""
        while True:
            await asyncio.sleep(1)
            try:
                await self._ensure_connected(30, ignore, cut=True)
                if await self._boot_id() != boot_id:
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
    """The connection was lost during a command."""


class _TooMuchOutputError(Exception):
    """The output is too large to hold in memory."""


@dataclass(frozen=True, slots=True)
class Input:
    """A command's standard input: `first`, then the run's text or file."""

    first: bytes
    run: Run | None = None

    async def pour(self, stdin: asyncssh.SSHWriter[bytes]) -> None:
        """Write everything and close, so that a command that reads does not hang."""
        try:
            stdin.write(self.first)
            if self.run and self.run.upload:
                await self._file(stdin, Path(self.run.upload))
            elif self.run:
                stdin.write(self.run.input(reveal=True).encode())
            await stdin.drain()
            stdin.write_eof()
        except (OSError, asyncssh.Error):
            return  # it ended without reading everything; its exit status tells

    @staticmethod
    async def _file(stdin: asyncssh.SSHWriter[bytes], path: Path) -> None:
        with await asyncio.to_thread(path.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                stdin.write(chunk)
                await stdin.drain()


async def run_command(
    conn: asyncssh.SSHClientConnection,
    command: str,
    stdin: Input,
    out: Sink,
    err: Sink,
) -> int | None:
    """Run a command line; None: the connection was lost before it ended.

    Bytes, not text: a byte that is not UTF-8 would close the whole connection.
    """
    process = await conn.create_process(command, encoding=None)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(stdin.pour(process.stdin))
            group.create_task(_drain(process.stdout, out))
            group.create_task(_drain(process.stderr, err))
        await process.wait_closed()
    finally:
        # Not awaited: sshd keeps the channel open until the command ends, which may be never.
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
        return  # the missing exit status reports it


async def close(conn: asyncssh.SSHClientConnection) -> None:
    """Close the connection, waiting up to two seconds for the peer."""
    conn.close()
    try:
        async with asyncio.timeout(2):
            await conn.wait_closed()
    except TimeoutError:
        conn.abort()


async def _check_upload(run: Run) -> None:
    """Check that the file to upload is readable before anything starts that waits for it."""
    try:
        if run.upload:
            (await asyncio.to_thread(Path(run.upload).open, "rb")).close()
    except OSError as error:
        raise UnreachableError(
            f"{sanitize(run.upload)} can't be read here ({error.strerror}): put the file there"
        ) from None


def ignore(_data: object) -> None:
    """A sink that discards its input."""


def _reveal(password: Secret | None) -> str:
    return password.reveal() if password else ""


def _brief(run: Run) -> str:
    shown = sanitize(run.brief) or run.unit
    return shown if len(shown) <= 80 else shown[:79] + "…"


def _reason(error: Exception) -> str:
    return sanitize(str(error)) or type(error).__name__


def _forward_error(name: str, address: str, port: int, error: asyncssh.ChannelOpenError) -> str:
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return (
            f"{name}'s sshd forwards no connection to {address}:{port}: "
            f"set `AllowTcpForwarding yes` (or `local`) in its sshd_config"
        )
    return (
        f"from {name}, nothing answers at {address}:{port} ({_reason(error)}): "
        f"see that the service runs and listens there"
    )
