"""The events of a run on disk: written before any subscriber sees them, and parsed strictly.

A journal is a file of JSON lines, one record each, in `runs/` of fedwiz's state directory
(`$XDG_STATE_HOME/fedwiz`, otherwise `~/.local/state/fedwiz`). Only its owner can read it.
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
from fedwiz.util.files import at_home, create, make, sync_directory, write_all

_SYNCED = (RunStarted, PlanMade, ActionStarted, ActionEnded, HostLost, RunEnded)
"""The events that `emit` flushes to disk before it returns: what is about to be done to a host, and
how it ended. All other events are written at once too (so killing fedwiz loses none) and reach the
disk with the next flush: a power cut may lose lines of output and readings, which can be obtained
again. Flushing each of those would stall every host, since a package manager writes thousands of
lines and a sync takes milliseconds."""

_ANNOUNCING = (RunStarted, PlanMade, StepStarted, ActionStarted)
"""The events that announce something, which must not be done if they can't be written."""

MAX_ROUNDS_BYTES = 8 << 20
"""Maximum size, in bytes, of a verification's rounds in a journal; beyond it, past rounds are
dropped."""

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")

MAX_GAP_SECONDS = 5.0
"""The longest pause between two records of a replay, in seconds."""

_TAIL_BYTES = 1 << 16
"""Bytes at the end of a journal that are searched for its last record."""


class JournalError(OSError):
    """The journal can't record what is about to be done, so it must not be done."""


def runs_path() -> Path:
    """The directory of the journals; it may not exist yet."""
    return user_state_path("fedwiz") / "runs"


def answers_path(run: str) -> Path:
    """The file with the answers that repeat a run."""
    return runs_path() / f"{run}.toml"


class Journal:
    """The events of one run: numbered, stamped, written, and then passed to the sinks.

    A verification that runs for days does not fill the disk: once its rounds exceed
    `MAX_ROUNDS_BYTES`, the next round overwrites them, starting where the first one began. The file
    then holds the start of the run and its last rounds, each of them complete, and its numbers have
    no gap.

    Args:
        where: the file to create if its name ends in `.jsonl`; otherwise the directory for a
            file that is named after the time. Default: `runs_path()`.
        clock: seconds since 1970.

    Raises:
        OSError: the file can't be created.
    """

    def __init__(self, where: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sinks: list[Sink] = []
        self._next_number = 0
        self._size = 0
        self._first_round: tuple[int, int] | None = None
        """The first round's record number and its offset in the file."""

        self.broken = ""
        """Why recording stopped early, for the operator; empty if it did not."""

        where = runs_path() if where is None else where
        if where.suffix == ".jsonl":
            make(where.parent)
            self.path, self._file = where, create(where)
        else:
            make(where)
            self.path, self._file = self._named(where)
        sync_directory(self.path.parent)

    def _named(self, directory: Path) -> tuple[Path, int]:
        """Create a file whose name sorts by time: UTC, and four hex digits against collisions."""
        while True:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock()))
            path = directory / f"{stamp}-{secrets.token_hex(2)}.jsonl"
            with suppress(FileExistsError):
                return path, create(path)

    @property
    def id(self) -> str:
        """The run's id, as `fedwiz runs` lists it."""
        return self.path.stem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be emitted afterwards."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def subscribe(self, sink: Sink) -> None:
        """Pass every record from now on to this callable."""
        self._sinks.append(sink)

    def emit(self, event: Event) -> Record:
        """Write the event, then pass it to the sinks.

        If the disk fails (it is full, or gone), the journal ends at the last complete record and
        stays `broken`. An event that announces something then raises before any sink sees it, so
        that nothing new starts; one that reports what has happened still reaches the sinks, so that
        a running action can end and be shown.

        A sink that raises is a bug. Its exception propagates, after the record is written and all
        other sinks have seen it.

        Raises:
            JournalError: the event can't be written, and it announces something.
        """
        if isinstance(event, RoundStarted) and not self.broken:
            self._drop_past_rounds()
        record = Record(self._next_number, self._clock(), event)
        if not self.broken:
            self._write(record)
        if self.broken and isinstance(event, _ANNOUNCING):
            raise JournalError(self.broken)
        self._next_number += 1
        with ExitStack() as sinks:
            for sink in reversed(self._sinks):
                sinks.callback(sink, record)
        return record

    def _drop_past_rounds(self) -> None:
        """Before a new round, drop the past ones if they take up too much space."""
        if self._first_round is None:
            self._first_round = self._next_number, self._size
        number, offset = self._first_round
        if self._size - offset > MAX_ROUNDS_BYTES:
            with suppress(OSError):  # otherwise the file is longer than necessary, but complete
                os.ftruncate(self._file, offset)
                self._next_number, self._size = number, offset

    def _write(self, record: Record) -> None:
        if self._file < 0:
            raise ValueError(f"{self.path}: the journal is closed")
        line = to_line(record).encode("ascii") + b"\n"
        try:
            write_all(self._file, line)
            if isinstance(record.event, _SYNCED):
                os.fsync(self._file)
        except OSError as error:
            self.broken = (
                f"nothing new is started: the journal {self.path} can't be written: "
                f"{error.strerror or error}"
            )
            with suppress(OSError):  # the fragment of a line is useless, and tolerated if it stays
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

    An unterminated last line is skipped: the process was stopped while writing it.

    Raises:
        ValueError: the file is unreadable or not a journal; with its path and line number.
    """
    try:
        *lines, _torn = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror or error}") from None
    records = list[Record]()
    for number, line in enumerate(lines):
        try:
            records.append(_record(line, number))
        except ValueError as error:
            raise ValueError(f"{path}:{number + 1}: {error}") from None
    return tuple(records)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summary of a recorded run."""

    id: str
    path: Path
    verb: str
    cluster: str
    hosts: tuple[str, ...]
    started: float
    """Seconds since 1970."""

    outcome: str
    """That of `RunEnded`; `interrupted` if the journal has none."""

    practice: str = ""


def summary(path: Path) -> RunSummary | None:
    """Summarize a journal from its first and last record; None if it is not a journal."""
    try:
        with path.open("rb") as file:
            first = from_line(file.readline(_TAIL_BYTES).decode("ascii"))
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            tail = file.read(_TAIL_BYTES).split(b"\n")
    except (OSError, ValueError):
        return None
    start, outcome = first.event, "interrupted"
    if not isinstance(start, RunStarted):
        return None
    with suppress(ValueError, IndexError):
        last = from_line(tail[-2].decode("ascii")).event
        outcome = last.outcome if isinstance(last, RunEnded) else outcome
    return RunSummary(
        path.stem, path, start.verb, start.cluster, start.hosts, first.at, outcome, start.practice
    )


def _journals(directory: Path | None) -> list[Path]:
    directory = runs_path() if directory is None else directory
    found = directory.glob("*.jsonl")
    return [path for path in found if _ID.fullmatch(path.stem) and path.is_file()]


def runs(directory: Path | None = None) -> tuple[RunSummary, ...]:
    """The recorded runs, newest first; other files and damaged journals are skipped."""
    found = [run for path in _journals(directory) if (run := summary(path)) is not None]
    return tuple(sorted(found, key=lambda run: (run.started, run.id), reverse=True))


def find(name: str, directory: Path | None = None) -> Path:
    """Find a run's journal by its id, by a prefix of its id, or by a path.

    Raises:
        ValueError: no run or several runs match; the message is for the operator.
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
        shown = ", ".join(path.stem for path in found[:5]) + (", ..." if len(found) > 5 else "")
        raise ValueError(f"{len(found)} runs begin with {name!r}: {shown}")
    return found[0]


async def replay(
    records: Iterable[Record],
    sink: Sink,
    speed: float = 1.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Play back records into a sink, at their original intervals divided by `speed`.

    No single pause exceeds `MAX_GAP_SECONDS`. Speed 0 does not pause at all, but still yields to
    other tasks between records.

    Raises:
        ValueError: the speed is negative.
    """
    if speed < 0:
        raise ValueError(f"a replay's speed is 0 or more, not {speed}")
    previous: float | None = None
    for record in records:
        gap = record.at - previous if previous is not None and speed else 0.0
        await sleep(min(max(gap, 0.0) / (speed or 1.0), MAX_GAP_SECONDS))
        previous = record.at
        sink(record)
