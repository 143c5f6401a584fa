"""The cluster's lock: one run at a time changes the cluster, and others can watch it.

The lock is a file on the master, locked by a shell there for as long as it hears from the run, so
it is released whenever the run's connection ends, for whatever reason. The run's events are sent
over the same channel and stored beside the lock for those who watch.
"""

import asyncio
import getpass
import re
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from secrets import token_hex

from fedwiz.model.actions import Channel, Run, Transport, UnreachableError
from fedwiz.model.events import Emit, Event, LockMoved, Output, Record, RunEnded, to_line
from fedwiz.scripts import script
from fedwiz.util.sanitize import sanitize

MAX_FEED_BYTES = 4 << 20
"""Limit, in bytes, on the events stored on the master; command output gets half of it."""

WATCH_HINT = "; wait, or watch it with `fedwiz watch -a FILE`"
"""Appended on the command line to the report of another operator's run; a page has a key for it."""

CHUNK_BYTES = 32 * 1024
SEND_SECONDS = 0.3
"""Seconds between two chunks: the master starts a process for each."""


@dataclass(frozen=True, slots=True)
class LockTimes:
    """Timeouts in seconds."""

    silence: float = 60
    """Without a message for so long, the master considers the run dead and releases the lock."""

    beat: float = 5
    """The longest time between two messages."""

    patience: float = 180
    """How long to try to reacquire a lost lock."""

    pause: float = 2
    """The pause between two attempts."""

    @property
    def fresh(self) -> float:
        """No step starts if the message that the master last acknowledged is older than this."""
        return self.beat * 3

    @property
    def lost(self) -> float:
        """After so long without an acknowledgement the lock is lost; the master still holds it."""
        return self.silence * 0.75


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of the lock, according to the file beside it."""

    token: str
    """Identifies the run; it stays the same when a lost lock is reacquired."""

    who: str
    """The operator's user and machine."""

    address: str
    """The address as seen from the master; empty: unknown."""

    since: float
    """Seconds since 1970, by the master's clock."""

    verb: str
    run: str
    cluster: str

    def __str__(self) -> str:
        at = "%H:%M UTC" if abs(time.time() - self.since) < 43200 else "%Y-%m-%d %H:%M UTC"
        where = f" ({self.address})" if self.address else ""
        since = time.strftime(at, time.gmtime(self.since))
        run = f", run {self.run}" if self.run else ""
        return f"{self.who}{where} has been changing this cluster since {since} ({self.verb}{run})"


_MAX_LINE_BYTES = 2048
_RULES: dict[str, re.Pattern[str]] = {
    "token": re.compile(r"[0-9a-f]{16}"),
    "who": re.compile(r"[A-Za-z0-9._+-]{1,60}@[A-Za-z0-9._+-]{1,60}"),
    "from": re.compile(r"-|[0-9A-Za-z:.%_-]{2,64}"),
    "since": re.compile(r"[0-9]{1,11}"),
    "verb": re.compile(r"[a-z]{1,20}"),
    "run": re.compile(r"[A-Za-z0-9._-]{0,80}"),
    "cluster": re.compile(r".{0,200}"),
}


def parse(text: str) -> Holder:
    """Parse the file beside the lock.

    Raises:
        ValueError: fedwiz did not write it.
    """
    if len(text) > _MAX_LINE_BYTES:
        raise ValueError("it is too long")
    values: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        name, _, value = line.partition(" ")
        if name in values or name not in _RULES or not _RULES[name].fullmatch(value):
            raise ValueError(f"not a line of it: {sanitize(line)[:80]!r}")
        values[name] = value
    if missing := _RULES.keys() - values.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    address = "" if values["from"] == "-" else str(ip_address(values["from"]))
    return Holder(
        values["token"],
        values["who"],
        address,
        float(values["since"]),
        values["verb"],
        values["run"],
        sanitize(values["cluster"]),
    )


def operator() -> str:
    """The user and machine that fedwiz runs as and on, in characters that any terminal shows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "somebody"
    return "@".join(
        re.sub(r"[^A-Za-z0-9._+-]", "_", part)[:60] or "_" for part in (user, socket.gethostname())
    )


def age(then: tuple[float, float], now: tuple[float, float]) -> float:
    """Seconds between two readings of both clocks; the larger difference counts.

    The first clock stops while a laptop sleeps; the second can be set back.

    Args:
        then: the monotonic clock and the time of day, in seconds.
        now: the same, later.
    """
    return max(late - early for early, late in zip(then, now, strict=True))


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()


class _DoneSendingError(Exception):
    """The run is over, and everything was sent."""


class Lock:
    """The lock of one run.

    Events emitted through it are also stored on the master, as far as there is room.
    """

    def __init__(
        self,
        verb: str,
        run: str,
        cluster: str,
        transport: Transport,
        host: str,
        emit: Emit,
        limits: LockTimes,
    ) -> None:
        """Acquires nothing yet.

        Args:
            verb: what the run does.
            run: its id.
            cluster: its name.
            transport: connects to the host.
            host: the master.
            emit: receives the events of losing and reacquiring the lock.
            limits: how long to wait.
        """
        self._subject = (verb, run, cluster)
        self._transport, self._host, self._emit, self._limits = transport, host, emit, limits
        self._token = token_hex(8)
        self._outbox, self._sent = bytearray(), 0
        self._chunks = deque[tuple[int, float, float]]()
        """Where each chunk ends, and when it was sent, by both clocks."""

        self._has_news, self._closing = asyncio.Event(), asyncio.Event()
        self._held = self._was_held = False
        self._acknowledged = 0.0, 0.0
        """When the last acknowledged chunk was sent, by both clocks."""

        self._changed = asyncio.Event()
        self.gone = ""
        """Why no step may start; empty while the lock is held or being acquired."""

        self.taken = False
        """Another run holds it."""

    def emit(self, event: Event) -> object:
        """Emit an event, and queue its record for the master if there is room."""
        record = self._emit(event)
        room = MAX_FEED_BYTES // 2 if isinstance(event, Output) else MAX_FEED_BYTES
        if isinstance(record, Record) and (len(self._outbox) < room or isinstance(event, RunEnded)):
            self._outbox += to_line(record).encode("ascii") + b"\n"
            self._has_news.set()
        return record

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[None]:
        """Hold the lock for the duration of the context; `gone` and `taken` say why it is not held.

        At the end, the remaining records are sent, for up to 5 seconds.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._acquire_until_gone(), name="lock")
            try:
                while not (self._held or self.gone):
                    await self._wait()
                yield
            except Exception as error:  # noqa: BLE001 - raised below, outside the task group
                failure = error
            finally:
                self._closing.set()
                self._has_news.set()
                await asyncio.wait([task], timeout=5 if self._held else 0)
                task.cancel()
        if failure is not None:
            raise failure

    def give_up(self, why: str) -> None:
        """Give up on the lock."""
        self.gone, self._held = why, False
        self._changed.set()

    async def may_begin(self, stop: asyncio.Event) -> str:
        """Wait until the lock is certainly held; returns why no step may start, or empty."""
        while not self.gone and not self._fresh():
            if stop.is_set():
                return "the run was stopped while the cluster's lock was lost"
            await self._wait()
        return self.gone

    async def _wait(self) -> None:
        self._changed.clear()
        await set_within(self._changed, 1)

    def _fresh(self) -> bool:
        """Whether the master has acknowledged a recent message."""
        return self._held and age(self._acknowledged, _clocks()) < self._limits.fresh

    def _acknowledge(self, size: int) -> None:
        """The master acknowledges that many bytes."""
        while self._chunks and self._chunks[0][0] <= size:
            _, *sent = self._chunks.popleft()
            self._acknowledged = sent[0], sent[1]
        self._changed.set()

    # Runs in the background of the run.

    async def _acquire_until_gone(self) -> None:
        """Acquire the lock, and reacquire it whenever it is lost, until that fails for good."""
        lost = 0.0
        while not (self.gone or self._closing.is_set()):
            why = ""
            try:
                async with (
                    self._transport.connect(self._host) as session,
                    session.hold(self._command()) as channel,
                ):
                    why = await self._read_reply(channel)
                    if self._held:
                        await self._converse(channel)
                        lost = time.monotonic()
                        self._lose()
            except UnreachableError as error:
                why = str(error)
            if self._closing.is_set() or self.gone:
                return
            if not self._was_held:
                self.give_up(f"the cluster's lock can't be acquired on {self._host}: {why}")
                return
            if why and time.monotonic() - lost > self._limits.patience:
                self.give_up(
                    f"the cluster's lock was lost and could not be reacquired within "
                    f"{self._limits.patience:g} s: {why}"
                )
                return
            await set_within(self._closing, self._limits.pause)

    def _lose(self) -> None:
        """The connection is lost; if the run is over, closing it may merely take a while."""
        if not self._closing.is_set():
            self._held = False
            reason = f"the connection to {self._host} that holds it is gone"
            self.emit(LockMoved(held=False, why=reason))

    def _command(self) -> Run:
        silence = f"{self._limits.silence:g}"
        words = ("lock.sh", self._token, silence, operator(), *self._subject)
        return Run(("sh", "-c", script("lock"), *words))

    async def _read_reply(self, channel: Channel) -> str:
        """Process the reply to a lock request; returns why the lock is not acquired, or empty."""
        requested = _clocks()
        reply = await _line(channel, self._limits.silence)
        words = reply.split()
        if words[:1] == ["held"] and len(words) == 3 and words[2].isdecimal():
            if self._was_held and words[1] != "again":
                self.give_up(
                    "the cluster's lock was lost, and somebody else has acquired it since, or "
                    f"{self._host} has booted: make a new plan"
                )
                return self.gone
            # Resend what has not arrived there.
            self._sent = min(int(words[2][:12]), len(self._outbox))
            self._chunks.clear()
            self._acknowledged = requested
            if self._was_held:
                self.emit(LockMoved(held=True))
            self._held = self._was_held = True
            self._changed.set()
            return ""
        if words != ["taken"]:
            return sanitize(reply)[:300] or "it says nothing"
        holder = await _holder(channel, self._limits.silence)
        if holder is not None and holder.token == self._token:
            return f"{self._host} has not missed the lost connection yet"
        self.taken = True
        owner = str(holder) if holder else "somebody else is changing this cluster"
        lost = "the cluster's lock was lost, and " if self._was_held else ""
        self.give_up(f"{lost}{owner}; wait, or watch it with `fedwiz watch -a FILE`")
        return self.gone

    async def _converse(self, channel: Channel) -> None:
        """Exchange messages until the run is over, or the master stops answering."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(channel))
                group.create_task(self._send(channel))
        except* (UnreachableError, _DoneSendingError):
            pass

    async def _listen(self, channel: Channel) -> None:
        while True:
            size = (await _line(channel, self._limits.lost)).strip()
            if size.isdecimal():
                self._acknowledge(int(size[:12]))

    async def _send(self, channel: Channel) -> None:
        """Send the records, and an empty line when idle, until everything is sent."""
        while not (self._closing.is_set() and self._sent == len(self._outbox)):
            if self._sent == len(self._outbox):
                self._has_news.clear()
                if not await set_within(self._has_news, self._limits.beat):
                    self._outbox += b"\n"
            piece = bytes(self._outbox[self._sent : self._sent + CHUNK_BYTES])
            self._sent += len(piece)
            self._chunks.append((self._sent, *_clocks()))
            await channel.send(piece)
            await set_within(self._closing, SEND_SECONDS)
        raise _DoneSendingError


async def _line(channel: Channel, seconds: float) -> str:
    """The next line of output.

    Raises:
        UnreachableError: none within the time limit, or the command has ended.
    """
    try:
        async with asyncio.timeout(seconds):
            line = await channel.line()
    except TimeoutError:
        raise UnreachableError(f"no answer within {seconds:g} s") from None
    if line is None:
        raise UnreachableError("it has ended without an answer")
    return line or " "


async def _holder(channel: Channel, seconds: float) -> Holder | None:
    """The holder, sent after `taken`; None if it can't be parsed."""
    lines = list[str]()
    with suppress(UnreachableError):
        while len(lines) < 2 * len(_RULES):
            lines.append(await _line(channel, seconds))
    try:
        return parse("\n".join(lines))
    except ValueError:
        return None


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event with a timeout; returns whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # Python 3.11's `wait_for` may lose a cancellation
            await event.wait()
    return event.is_set()
