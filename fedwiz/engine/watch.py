"""The verb `watch`: what another operator's run tells, read from beside the cluster's lock."""

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
"""Bytes that are read at once."""

MAX_RECORD_BYTES = 1 << 20
"""Bytes of one record; a longer one is none of fedwiz's."""

POLL_SECONDS = 1.0
"""Seconds between two looks, where there was nothing new."""


@dataclass(frozen=True, slots=True)
class FeedPart:
    """One look at the lock."""

    held: bool
    holder: Holder | None
    """Who has it, or had it last; None where nobody is known to."""

    told: bytes = b""
    """What the run told, from the asked place on."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of the run that was watched."""

    ended: RunEnded | None
    why: str
    """Why there is no end; what to say where nothing was watched."""


async def look(session: Session, token: str = "", offset: int = 0) -> FeedPart:
    """Look who has the lock, and what the run of that token told from an offset on.

    Raises:
        Unreachable: the master can't be asked, or does not say what it should.
    """
    reply = await session.ask(
        question("lock-look", token, str(offset), str(CHUNK_BYTES), timeout=30)
    )
    try:
        return _seen(reply.out)
    except ValueError:
        said = sanitize((reply.err or reply.out).strip().partition("\n")[0])[:200]
        raise UnreachableError(
            f"{session.name} does not say who has the cluster's lock ({said or 'nothing'}, exit "
            f"status {reply.code})"
        ) from None


def _seen(text: str) -> FeedPart:
    """Raises ValueError where it is no answer."""
    said = dict[str, str]()
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name not in ("lock", "who", "told") or name in said:
            raise ValueError(name)
        said[name] = value
    if said.get("lock") not in ("held", "free"):
        raise ValueError("lock")
    holder = None
    with suppress(ValueError):
        holder = parse(_bytes(said.get("who", "")).decode("ascii"))
    return FeedPart(said["lock"] == "held", holder, _bytes(said.get("told", "")))


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as wrong:
        raise ValueError(str(wrong)) from None


class Records:
    """Cuts what a run told into records; of what is none it is told how much there was."""

    def __init__(self) -> None:
        self._line = bytearray()
        self.skipped = 0
        """Lines that are no records."""

    def feed(self, data: bytes) -> list[Record]:
        """The records that end in these bytes."""
        found = list[Record]()
        for at, piece in enumerate(data.split(b"\n")):
            if at and self._line:  # an empty one is a sign of life
                try:
                    found.append(from_line(self._line.decode("ascii")))
                except ValueError:
                    self.skipped += 1
            if at:
                self._line.clear()
            self._line += piece[
                : MAX_RECORD_BYTES - len(self._line)
            ]  # what is cut is no JSON any more
        return found


async def _holder(session: Session, every: float) -> Holder | None:
    """Who has the lock; None: nobody."""
    while (seen := await look(session)).held:
        if seen.holder is not None:
            return seen.holder
        await asyncio.sleep(every)  # it was only just taken
    return None


async def follow(
    session: Session,
    tell: Sink,
    note: Callable[[str], None],
    *,
    limits: LockTimes | None = None,
    every: float = POLL_SECONDS,
) -> Followed:
    """Tell what the run that has the lock tells, from its beginning to its end.

    Args:
        session: with the master.
        tell: gets each record.
        note: gets sentences about the watching itself.
        limits: as the run has them.
        every: seconds between two looks.

    Raises:
        Unreachable: the master can't be asked, or not any more.
    """
    limits = limits or LockTimes()
    holder = await _holder(session, every)
    if holder is None:
        return Followed(None, "nobody is changing this cluster")
    note(str(holder))
    records, offset, free = Records(), 0, 0.0
    while True:
        seen = await look(session, holder.token, offset)
        offset += len(seen.told)
        before = records.skipped
        for record in records.feed(seen.told):
            tell(record)
            if isinstance(record.event, RunEnded):
                return Followed(record.event, "")
        if records.skipped > before:
            note(f"{records.skipped - before} lines that are no records were left out")
        if seen.told:
            continue
        if seen.holder is not None and seen.holder.token != holder.token:
            return Followed(None, f"that run was cut off, and its end is not known; {seen.holder}")
        if seen.held:
            free = 0.0
        elif not free:
            free = time.monotonic()
            note(f"the connection of {holder.who} is gone; waiting for it to come back")
        elif time.monotonic() - free > limits.patience:
            return Followed(None, "that run was cut off, and its end is not known")
        await asyncio.sleep(every)
