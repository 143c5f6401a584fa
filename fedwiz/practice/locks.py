"""The lock of a practice cluster."""

import asyncio
import base64
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fedwiz.model.actions import Channel, UnreachableError


class PracticeChannel(Channel):
    """The channel to lock.sh, as the run that started it sees it."""

    def __init__(self, first: Sequence[str], outbox: bytearray | None = None) -> None:
        """Answers nothing yet.

        Args:
            first: the first lines of output.
            outbox: receives the run's records; None: the command ends after its first lines.
        """
        self._lines = asyncio.Queue[str | None]()
        for line in first:
            self._lines.put_nowait(line)
        self._outboxes = outbox
        if outbox is None:
            self.cut()

    def cut(self) -> None:
        """End it, as a lost connection does."""
        self._outboxes = None
        self._lines.put_nowait(None)

    async def line(self) -> str | None:
        """See `Channel.line`."""
        return await self._lines.get()

    async def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        if self._outboxes is None:
            raise UnreachableError("the connection is gone")
        self._outboxes.extend(data)
        self._lines.put_nowait(str(len(self._outboxes)))


class Locks:
    """The holder of the lock, and the records of its run."""

    def __init__(self) -> None:
        self._holder = ""
        self._outboxes: dict[str, bytearray] = {}
        self.channel: PracticeChannel | None = None
        """The channel of the run that holds it; None: a run outside this process, or nobody."""

        self.locked = False

    def grant(self, token: str, who: str, verb: str, run: str, cluster: str) -> None:
        """Give the lock to a run."""
        self._holder = (
            f"token {token}\nwho {who}\nfrom 192.168.122.1\nsince {int(time.time())}\n"
            f"verb {verb}\nrun {run}\ncluster {cluster}\n"
        )
        self._outboxes = {token: self._outboxes.get(token, bytearray())}
        self.locked = True

    @property
    def records(self) -> bytes:
        """The records of the current or last holder."""
        return b"".join(self._outboxes.values())

    def record(self, data: bytes) -> None:
        """Record data in the name of the holder."""
        for outbox in self._outboxes.values():
            outbox.extend(data)

    def release(self) -> None:
        """Release the lock."""
        self.locked, self.channel = False, None

    @contextmanager
    def request(self, words: Sequence[str]) -> Iterator[PracticeChannel]:
        """See scripts/lock.sh."""
        token, _, who, verb, run, cluster = words
        if self.locked:
            yield PracticeChannel(["taken", *self._holder.splitlines()])
            return
        seen_before = "again" if token in self._outboxes else "new"
        self.grant(token, who, verb, run, cluster)
        outbox = self._outboxes[token]
        channel = self.channel = PracticeChannel([f"held {seen_before} {len(outbox)}"], outbox)
        try:
            yield channel
        finally:
            if self.channel is channel:
                self.release()

    def look(self, token: str, offset: int, most: int) -> list[str]:
        """See scripts/lock-look.sh."""
        who = base64.b64encode(self._holder.encode()).decode()
        piece = base64.b64encode(self._outboxes.get(token, b"")[offset : offset + most]).decode()
        return [f"lock {'held' if self.locked else 'free'}", f"who {who}", f"told {piece}"]
