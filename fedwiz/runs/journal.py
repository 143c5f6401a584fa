"""The events of a run on disk: written before anyone is told, and read back strictly.

A journal is a file of JSON lines, one record a line, in `runs/` of fedwiz's state directory
(`$XDG_STATE_HOME/fedwiz`, else `~/.local/state/fedwiz`).  Only its owner can read it.  Plans
that were made are kept beside it in `plans/`, as text that this module does not look into.
"""

import asyncio
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from platformdirs import user_state_path

from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Event,
    HostLost,
    PlanMade,
    Record,
    RoundStarted,
    RunEnded,
    RunStarted,
    Sink,
    StepStarted,
    from_line,
    to_line,
)
from fedwiz.util.files import at_home, create, make, sync_directory, write, write_all

_SYNCED = (RunStarted, PlanMade, ActionStarted, ActionEnded, HostLost, RunEnded)
"""The events that `emit` waits for until they are on the disk itself: what is about to be done
to a host, and how it ended.  Every other event is written at once too (so a killed fedwiz loses
none) and reaches the disk with the next of these: a power cut may cost lines of output and
readings, which can be had again.  Waiting for each of those would stop every lane, since a
package manager's output comes by the thousand lines and a sync takes milliseconds."""

_AHEAD = (RunStarted, PlanMade, StepStarted, ActionStarted)
"""The events that announce something, which must not be done when they can't be written."""

MAX_ROUNDS_BYTES = 8 << 20
"""Bytes of a verification's rounds that a journal holds before those are left out that are past."""

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_DIGEST = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")

MAX_GAP_SECONDS = 5.0
"""Seconds that a replay waits between two records at most."""

_TAIL_BYTES = 1 << 16
"""Bytes at a journal's end that are looked at for its last record."""


class JournalError(OSError):
    """The journal can't take what is about to be done, so it must not be done."""


def runs_path() -> Path:
    """Where the journals are; it may not exist yet."""
    return user_state_path("fedwiz") / "runs"


def plans_path() -> Path:
    """Where the plans are kept; it may not exist yet."""
    return user_state_path("fedwiz") / "plans"


def answers_of(run: str) -> Path:
    """Where the answers are that do a run again."""
    return runs_path() / f"{run}.toml"


class Journal:
    """The events of one run: numbered, stamped, written, and then told to the sinks.

    A verification that goes on for days does not fill the disk: once its rounds are more than
    `MAX_ROUNDS_BYTES` bytes, the file goes on, with the next round, from where the first one began.
    So it has the run's beginning and its last rounds, each of them whole, and its numbers no gap.

    Args:
        where: the file to make, when its name ends in `.jsonl`; else the directory in which a
            file is made and named after the time.  Default: `runs_path()`.
        clock: seconds since 1970.

    Raises:
        OSError: the file can't be made.
    """

    def __init__(self, where: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sinks: list[Sink] = []
        self._next = 0
        self._size = 0
        self._first_round: tuple[int, int] | None = None
        """The number and the place in the file of the first round's beginning."""

        self.broken = ""
        """Why the journal has ended early, for people; empty while it is whole."""

        where = runs_path() if where is None else where
        if where.suffix == ".jsonl":
            make(where.parent)
            self.path, self._file = where, create(where)
        else:
            make(where)
            self.path, self._file = self._named(where)
        sync_directory(self.path.parent)

    def _named(self, directory: Path) -> tuple[Path, int]:
        """A new file named so that names sort by time: UTC, and four digits against twins."""
        while True:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock()))
            path = directory / f"{stamp}-{secrets.token_hex(2)}.jsonl"
            with suppress(FileExistsError):
                return path, create(path)

    @property
    def id(self) -> str:
        """The run's name, as `fedwiz runs` lists it."""
        return self.path.stem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; nothing can be emitted afterwards."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def subscribe(self, sink: Sink) -> None:
        """Tell this callable every record from now on."""
        self._sinks.append(sink)

    def emit(self, event: Event) -> Record:
        """Write the event down, then tell the sinks.

        When the disk does not take it (it is full, it is gone), the journal ends at the last
        whole record and stays `broken`.  An event that announces something then raises, before
        any sink is told, so nothing more is begun; one that says what has happened is still
        told, so that an action in flight can end and be seen to.

        A sink that raises is a bug, and is let through: after the record is written and every
        other sink was told.

        Raises:
            Unwritten: the journal can't take it, and it is about something yet to be done.
        """
        if isinstance(event, RoundStarted) and not self.broken:
            self._leave_out()
        record = Record(self._next, self._clock(), event)
        if not self.broken:
            self._write(record)
        if self.broken and isinstance(event, _AHEAD):
            raise JournalError(self.broken)
        self._next += 1
        with ExitStack() as told:
            for sink in reversed(self._sinks):
                told.callback(sink, record)
        return record

    def _leave_out(self) -> None:
        """Before a round begins: take out those that are past, where they are too much."""
        if self._first_round is None:
            self._first_round = self._next, self._size
        number, place = self._first_round
        if self._size - place > MAX_ROUNDS_BYTES:
            with suppress(OSError):  # then it is longer than it need be, and as whole
                os.ftruncate(self._file, place)
                self._next, self._size = number, place

    def _write(self, record: Record) -> None:
        if self._file < 0:
            raise ValueError(f"{self.path}: the journal is closed")
        line = to_line(record).encode("ascii") + b"\n"
        try:
            write_all(self._file, line)
            if isinstance(record.event, _SYNCED):
                os.fsync(self._file)
        except OSError as wrong:
            self.broken = (
                f"nothing new is started: the journal {self.path} can't be written: "
                f"{wrong.strerror or wrong}"
            )
            with suppress(OSError):  # the piece of a line is of no use, and tolerated if it stays
                os.truncate(self._file, self._size)
        else:
            self._size += len(line)


def _record(line: bytes, number: int) -> Record:
    record = from_line(line.decode("ascii"))
    if record.number != number:
        raise ValueError(f"record {record.number} where {number} belongs")
    return record


def read(path: Path) -> tuple[Record, ...]:
    """All records of a journal.

    A last line without its end is left out: its writer was stopped in the middle of it.

    Raises:
        ValueError: the file can't be read, or is no journal; with its path and line number.
    """
    try:
        *lines, _torn = path.read_bytes().split(b"\n")
    except OSError as wrong:
        raise ValueError(f"{path}: can't be read: {wrong.strerror or wrong}") from None
    records = list[Record]()
    for number, line in enumerate(lines):
        try:
            records.append(_record(line, number))
        except ValueError as wrong:
            raise ValueError(f"{path}:{number + 1}: {wrong}") from None
    return tuple(records)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A recorded run in one line."""

    id: str
    path: Path
    verb: str
    cluster: str
    hosts: tuple[str, ...]
    started: float
    """Seconds since 1970."""

    outcome: str
    """That of `RunEnded`; `interrupted` where the journal does not get there."""

    practice: str = ""


def summary(path: Path) -> RunSummary | None:
    """What a journal's two ends say; None for a file that is none."""
    try:
        with path.open("rb") as file:
            first = from_line(file.readline(_TAIL_BYTES).decode("ascii"))
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            ends = file.read(_TAIL_BYTES).split(b"\n")
    except (OSError, ValueError):
        return None
    begun, outcome = first.event, "interrupted"
    if not isinstance(begun, RunStarted):
        return None
    with suppress(ValueError, IndexError):
        last = from_line(ends[-2].decode("ascii")).event
        outcome = last.outcome if isinstance(last, RunEnded) else outcome
    return RunSummary(
        path.stem, path, begun.verb, begun.cluster, begun.hosts, first.at, outcome, begun.practice
    )


def _journals(directory: Path | None) -> list[Path]:
    directory = runs_path() if directory is None else directory
    found = directory.glob("*.jsonl")
    return [path for path in found if _ID.fullmatch(path.stem) and path.is_file()]


def runs(directory: Path | None = None) -> tuple[RunSummary, ...]:
    """The recorded runs, newest first; files that are none, and damaged ones, are passed over."""
    found = [run for path in _journals(directory) if (run := summary(path)) is not None]
    return tuple(sorted(found, key=lambda run: (run.started, run.id), reverse=True))


def find(name: str, directory: Path | None = None) -> Path:
    """The journal of a run, by its id, by the beginning of its id, or by a path.

    Raises:
        ValueError: there is none, or there are several; in the user's words.
    """
    if "/" in name or name.endswith(".jsonl"):
        path = at_home(name)
        if not path.is_file():
            raise ValueError(f"{name}: there is no such file")
        return path
    found = sorted(path for path in _journals(directory) if path.stem.startswith(name))
    if not name or not found:
        raise ValueError(f"no run is called {name!r}; `fedwiz runs` lists them")
    if len(found) > 1:
        some = ", ".join(path.stem for path in found[:5]) + (", ..." if len(found) > 5 else "")
        raise ValueError(f"{len(found)} runs begin with {name!r}: {some}")
    return found[0]


async def replay(
    records: Iterable[Record],
    sink: Sink,
    speed: float = 1.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Tell a sink the records again, as far apart as they were divided by `speed`.

    Never waits longer than `MAX_GAP_SECONDS` seconds at once; with speed 0 not at all, but others
    get their turn between any two records all the same.

    Raises:
        ValueError: the speed is below 0.
    """
    if speed < 0:
        raise ValueError(f"a replay's speed is 0 or more, not {speed}")
    before: float | None = None
    for record in records:
        gap = record.at - before if before is not None and speed else 0.0
        await sleep(min(max(gap, 0.0) / (speed or 1.0), MAX_GAP_SECONDS))
        before = record.at
        sink(record)


def _plan(digest: str) -> Path:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a plan's digest")
    return plans_path() / f"{digest}.json"


def keep_plan(digest: str, text: str) -> Path:
    """Keep a plan's text under its digest, whole or not at all; an older one is replaced.

    Raises:
        ValueError: the digest can't be a file's name.
        OSError: the file can't be written.
    """
    path = _plan(digest)
    write(path, text)
    return path


def kept_plan(digest: str) -> str | None:
    """The text that was kept under a digest; None where there is none that can be read.

    Raises:
        ValueError: the digest can't be one.
    """
    try:
        return _plan(digest).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
