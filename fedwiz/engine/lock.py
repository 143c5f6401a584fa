"""The cluster's lock: one run at a time changes it, and others can see who, and watch.

The lock is a file on the master that a shell there has locked for as long as it hears from the
run, so it is free as soon as the run's connection is gone, however that came to be.  What the run
tells is sent over the same channel, and kept beside the lock for those who watch.
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
"""Bytes of what a run tells that are kept on the master; of its output half as much."""

WATCH_HINT = "; wait, or watch it with `fedwiz watch -a FILE`"
"""What the command line is told of somebody else's run, and a page has a key for."""

CHUNK_BYTES = 32 * 1024
SEND_SECONDS = 0.3
"""Seconds between two pieces: the master starts a process for each."""


@dataclass(frozen=True, slots=True)
class LockTimes:
    """Seconds."""

    silence: float = 60
    """After so many without a word the master takes the run for dead, and the lock is free."""

    beat: float = 5
    """A word is sent at least so often."""

    patience: float = 180
    """So long a lock that was lost is sought again."""

    pause: float = 2
    """Between two tries of that."""

    @property
    def fresh(self) -> float:
        """Nothing is begun where the master's last answer is to a word that is older."""
        return self.beat * 3

    @property
    def lost(self) -> float:
        """After so many without an answer the lock is lost; the master still keeps it then."""
        return self.silence * 0.75


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock, as the file beside it says."""

    token: str
    """Of the run; it is the same when a lost lock was had again."""

    who: str
    """The operator's user and machine."""

    address: str
    """From where, as the master sees it; empty: it can't tell."""

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
    """What the file beside the lock says.

    Raises:
        ValueError: it is not one that fedwiz wrote.
    """
    if len(text) > _MAX_LINE_BYTES:
        raise ValueError("it is too long")
    said: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        name, _, value = line.partition(" ")
        if name in said or name not in _RULES or not _RULES[name].fullmatch(value):
            raise ValueError(f"not a line of it: {sanitize(line)[:80]!r}")
        said[name] = value
    if missing := _RULES.keys() - said.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    address = "" if said["from"] == "-" else str(ip_address(said["from"]))
    return Holder(
        said["token"],
        said["who"],
        address,
        float(said["since"]),
        said["verb"],
        said["run"],
        sanitize(said["cluster"]),
    )


def operator() -> str:
    """The user and the machine that fedwiz runs as and on, in letters that any terminal shows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "somebody"
    return "@".join(
        re.sub(r"[^A-Za-z0-9._+-]", "_", part)[:60] or "_" for part in (user, socket.gethostname())
    )


def age(then: tuple[float, float], now: tuple[float, float]) -> float:
    """Seconds between two readings of both clocks, by the one that says more.

    The first one stands still while a laptop sleeps; the second can be set back.

    Args:
        then: the monotonic clock and the time of day, in seconds.
        now: the same, later.
    """
    return max(late - early for early, late in zip(then, now, strict=True))


def _now() -> tuple[float, float]:
    return time.monotonic(), time.time()


class _DoneSendingError(Exception):
    """The run is over."""


class Lock:
    """The lock of one run.

    What is emitted through it is kept on the master, as far as there is room.
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
        """Nothing is taken yet.

        Args:
            verb: what the run does.
            run: its id.
            cluster: its name.
            transport: the way to the host.
            host: the master.
            emit: told when the lock is lost, and had again.
            limits: how long to wait.
        """
        self._words = (verb, run, cluster)
        self._transport, self._host, self._emit, self._limits = transport, host, emit, limits
        self._token = token_hex(8)
        self._told, self._sent = bytearray(), 0
        self._said = deque[tuple[int, float, float]]()
        """Where each piece that was sent ends, and when that was, by both clocks."""

        self._news, self._closing = asyncio.Event(), asyncio.Event()
        self._held = self._had = False
        self._heard = 0.0, 0.0
        """When the last word was sent that the master has answered, by both clocks."""

        self._moved = asyncio.Event()
        self.gone = ""
        """Why nothing may be begun; empty while the lock is had, or is sought."""

        self.taken = False
        """Somebody else has it."""

    def emit(self, event: Event) -> object:
        """Emit it, and have its record sent when there is time, as far as there is room."""
        record = self._emit(event)
        room = MAX_FEED_BYTES // 2 if isinstance(event, Output) else MAX_FEED_BYTES
        if isinstance(record, Record) and (len(self._told) < room or isinstance(event, RunEnded)):
            self._told += to_line(record).encode("ascii") + b"\n"
            self._news.set()
        return record

    @asynccontextmanager
    async def sought(self) -> AsyncIterator[None]:
        """Have the lock while the context lasts, or know from `gone` and `taken` why not.

        At the end what is left to be told is sent, for no longer than 5 seconds.
        """
        wrong: Exception | None = None
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._seek(), name="lock")
            try:
                while not (self._held or self.gone):
                    await self._wait()
                yield
            except Exception as why:  # noqa: BLE001 - raised below, and not as one of a group
                wrong = why
            finally:
                self._closing.set()
                self._news.set()
                await asyncio.wait([task], timeout=5 if self._held else 0)
                task.cancel()
        if wrong is not None:
            raise wrong

    def bar(self, why: str) -> None:
        """It can't be had."""
        self.gone, self._held = why, False
        self._moved.set()

    async def may_begin(self, stop: asyncio.Event) -> str:
        """Wait until the lock is had for certain; gives why nothing may be begun, or nothing."""
        while not self.gone and not self._fresh():
            if stop.is_set():
                return "the run was stopped while the cluster's lock was lost"
            await self._wait()
        return self.gone

    async def _wait(self) -> None:
        self._moved.clear()
        await set_within(self._moved, 1)

    def _fresh(self) -> bool:
        """Whether the master has answered lately."""
        return self._held and age(self._heard, _now()) < self._limits.fresh

    def _hear(self, size: int) -> None:
        """The master has so many bytes of what was sent."""
        while self._said and self._said[0][0] <= size:
            _, *when = self._said.popleft()
            self._heard = when[0], when[1]
        self._moved.set()

    # What goes on beside the run.

    async def _seek(self) -> None:
        """Have the lock, and have it again each time that it was lost, until it can't be had."""
        lost = 0.0
        while not (self.gone or self._closing.is_set()):
            why = ""
            try:
                async with (
                    self._transport.connect(self._host) as session,
                    session.hold(self._command()) as held,
                ):
                    why = await self._answered(held)
                    if self._held:
                        await self._converse(held)
                        lost = time.monotonic()
                        self._lose()
            except UnreachableError as gone:
                why = str(gone)
            if self._closing.is_set() or self.gone:
                return
            if not self._had:
                self.bar(f"the cluster's lock can't be had on {self._host}: {why}")
                return
            if why and time.monotonic() - lost > self._limits.patience:
                self.bar(
                    f"the cluster's lock was lost and could not be had again within "
                    f"{self._limits.patience:g} s: {why}"
                )
                return
            await set_within(self._closing, self._limits.pause)

    def _lose(self) -> None:
        """Its connection is gone, unless the run is over; closing it may still take a while."""
        if not self._closing.is_set():
            self._held = False
            gone = f"the connection to {self._host} that holds it is gone"
            self.emit(LockMoved(held=False, why=gone))

    def _command(self) -> Run:
        silence = f"{self._limits.silence:g}"
        words = ("lock.sh", self._token, silence, operator(), *self._words)
        return Run(("sh", "-c", script("lock"), *words))

    async def _answered(self, held: Channel) -> str:
        """Take in the answer to who wants the lock; gives why it is not had."""
        asked = _now()
        first = await _line(held, self._limits.silence)
        words = first.split()
        if words[:1] == ["held"] and len(words) == 3 and words[2].isdecimal():
            if self._had and words[1] != "again":
                self.bar(
                    "the cluster's lock was lost, and somebody else has had it since, or "
                    f"{self._host} has booted: make a new plan"
                )
                return self.gone
            # What has not arrived there is sent again.
            self._sent = min(int(words[2][:12]), len(self._told))
            self._said.clear()
            self._heard = asked
            if self._had:
                self.emit(LockMoved(held=True))
            self._held = self._had = True
            self._moved.set()
            return ""
        if words != ["taken"]:
            return sanitize(first)[:300] or "it says nothing"
        holder = await _holder(held, self._limits.silence)
        if holder is not None and holder.token == self._token:
            return f"{self._host} has not missed the lost connection yet"
        self.taken = True
        who = str(holder) if holder else "somebody else is changing this cluster"
        lost = "the cluster's lock was lost, and " if self._had else ""
        self.bar(f"{lost}{who}; wait, or watch it with `fedwiz watch -a FILE`")
        return self.gone

    async def _converse(self, held: Channel) -> None:
        """Tell and hear until the run is over, or nothing is heard any more."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(held))
                group.create_task(self._tell(held))
        except* (UnreachableError, _DoneSendingError):
            pass

    async def _listen(self, held: Channel) -> None:
        while True:
            size = (await _line(held, self._limits.lost)).strip()
            if size.isdecimal():
                self._hear(int(size[:12]))

    async def _tell(self, held: Channel) -> None:
        """Send what was told, and in times of silence an empty line, until all is said."""
        while not (self._closing.is_set() and self._sent == len(self._told)):
            if self._sent == len(self._told):
                self._news.clear()
                if not await set_within(self._news, self._limits.beat):
                    self._told += b"\n"
            piece = bytes(self._told[self._sent : self._sent + CHUNK_BYTES])
            self._sent += len(piece)
            self._said.append((self._sent, *_now()))
            await held.send(piece)
            await set_within(self._closing, SEND_SECONDS)
        raise _DoneSendingError


async def _line(held: Channel, seconds: float) -> str:
    """The next line.

    Raises:
        Unreachable: there is none within these seconds, or no more at all.
    """
    try:
        async with asyncio.timeout(seconds):
            line = await held.line()
    except TimeoutError:
        raise UnreachableError(f"no answer within {seconds:g} s") from None
    if line is None:
        raise UnreachableError("it has ended without an answer")
    return line or " "


async def _holder(held: Channel, seconds: float) -> Holder | None:
    """Who has it, as a `taken` goes on; None where that can't be read."""
    lines = list[str]()
    with suppress(UnreachableError):
        while len(lines) < 2 * len(_RULES):
            lines.append(await _line(held, seconds))
    try:
        return parse("\n".join(lines))
    except ValueError:
        return None


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, no longer than these seconds; gives whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # Python 3.11's `wait_for` may lose a cancellation
            await event.wait()
    return event.is_set()
