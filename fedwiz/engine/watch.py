"""The verb `watch`: follows another operator's run through the records beside the lock."""

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fedwiz.engine.lock import Holder, LockTimes, parse
from fedwiz.model.actions import Session, UnreachableError
from fedwiz.model.events import Record, RunEnded, Sink, from_line
from fedwiz.scripts import question
from fedwiz.util.sanitize import sanitize

CHUNK_BYTES = 256 * 1024
"""Bytes read at once."""

MAX_RECORD_BYTES = 1 << 20
"""Maximum size of a record; fedwiz writes none that is longer."""

POLL_SECONDS = 1.0
"""Seconds between two polls if there was nothing new."""


@dataclass(frozen=True, slots=True)
class FeedPart:
    """The state of the lock, and a part of the run's records."""

    locked: bool
    holder: Holder | None
    """The current or last holder; None if unknown."""

    data: bytes = b""
    """The run's records from the requested offset on, as bytes."""


@dataclass(frozen=True, slots=True)
class Followed:
    """How the watched run ended."""

    ended: RunEnded | None
    why: str
    """Why its end is not known, or why no run was watched."""


async def look(session: Session, token: str = "", offset: int = 0) -> FeedPart:
    """Read the holder of the lock, and the records of the run with that token from an offset on.

    Raises:
        UnreachableError: the master can't be asked, or its reply is invalid.
    """
    reply = await session.ask(
        question("lock-look", token, str(offset), str(CHUNK_BYTES), timeout=30)
    )
    try:
        return _parse_reply(reply.out)
    except ValueError:
        message = sanitize((reply.err or reply.out).strip().partition("\n")[0])[:200]
        raise UnreachableError(
            f"{session.name} does not say who has the cluster's lock ({message or 'nothing'}, exit "
            f"status {reply.code})"
        ) from None


def _parse_reply(text: str) -> FeedPart:
    """Raises ValueError if the reply is invalid."""
    values = dict[str, str]()
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name not in ("lock", "who", "told") or name in values:
            raise ValueError(name)
        values[name] = value
    if values.get("lock") not in ("held", "free"):
        raise ValueError("lock")
    holder = None
    with suppress(ValueError):
        holder = parse(_bytes(values.get("who", "")).decode("ascii"))
    return FeedPart(values["lock"] == "held", holder, _bytes(values.get("told", "")))


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


class Records:
    """Splits a run's bytes into records, and counts the lines that are not records."""

    def __init__(self) -> None:
        self._line = bytearray()
        self.skipped = 0
        """Lines that are not records."""

    def feed(self, data: bytes) -> list[Record]:
        """The records that these bytes complete."""
        records = list[Record]()
        for index, piece in enumerate(data.split(b"\n")):
            if index and self._line:  # an empty line is a keepalive
                try:
                    records.append(from_line(self._line.decode("ascii")))
                except ValueError:
                    self.skipped += 1
            if index:
                self._line.clear()
            # A truncated line is not valid JSON, so it is skipped.
            self._line += piece[: MAX_RECORD_BYTES - len(self._line)]
        return records


async def _holder(session: Session, every: float) -> Holder | None:
    """The holder of the lock; None if it is free."""
    while (part := await look(session)).locked:
        if part.holder is not None:
            return part.holder
        await asyncio.sleep(every)  # it was acquired a moment ago
    return None


async def follow(
    session: Session,
    on_record: Sink,
    note: Callable[[str], None],
    *,
    limits: LockTimes | None = None,
    every: float = POLL_SECONDS,
) -> Followed:
    """Pass on all records of the run that holds the lock, from its start to its end.

    Args:
        session: with the master.
        on_record: gets each record.
        note: gets messages about the watching itself.
        limits: those of the watched run.
        every: seconds between two polls.

    Raises:
        UnreachableError: the master can't be asked, or is lost.
    """
    limits = limits or LockTimes()
    holder = await _holder(session, every)
    if holder is None:
        return Followed(None, "nobody is changing this cluster")
    note(str(holder))
    records, offset, free = Records(), 0, 0.0
    while True:
        part = await look(session, holder.token, offset)
        offset += len(part.data)
        before = records.skipped
        for record in records.feed(part.data):
            on_record(record)
            if isinstance(record.event, RunEnded):
                return Followed(record.event, "")
        if records.skipped > before:
            note(f"{records.skipped - before} lines that are not records were left out")
        if part.data:
            continue
        if part.holder is not None and part.holder.token != holder.token:
            return Followed(
                None, f"that run was interrupted, and its end is not known; {part.holder}"
            )
        if part.locked:
            free = 0.0
        elif not free:
            free = time.monotonic()
            note(f"the connection of {holder.who} is gone; waiting for it to come back")
        elif time.monotonic() - free > limits.patience:
            return Followed(None, "that run was interrupted, and its end is not known")
        await asyncio.sleep(every)
