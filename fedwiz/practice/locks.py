"""The lock of a practice cluster."""

import asyncio
import base64
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fedwiz.model.actions import Channel, UnreachableError


class PracticeHeld(Channel):
    """What lock.sh is to the run that started it."""

    def __init__(self, first: Sequence[str], told: bytearray | None = None) -> None:
        """Nothing is answered yet.

        Args:
            first: the lines that it begins with.
            told: what the run tells goes there; None: it ends with its first lines.
        """
        self._lines = asyncio.Queue[str | None]()
        for line in first:
            self._lines.put_nowait(line)
        self._told = told
        if told is None:
            self.cut()

    def cut(self) -> None:
        """End it, as where its connection is lost."""
        self._told = None
        self._lines.put_nowait(None)

    async def line(self) -> str | None:
        """See `Channel.line`."""
        return await self._lines.get()

    async def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        if self._told is None:
            raise UnreachableError("the connection is gone")
        self._told.extend(data)
        self._lines.put_nowait(str(len(self._told)))


class Locks:
    """Who has the lock, and what that run has told."""

    def __init__(self) -> None:
        self._who = ""
        self._told: dict[str, bytearray] = {}
        self.held: PracticeHeld | None = None
        """The run that has it, where it is one of this process; None: it is another, or none."""

        self.locked = False

    def take(self, token: str, who: str, verb: str, run: str, cluster: str) -> None:
        """Have it taken."""
        self._who = (
            f"token {token}\nwho {who}\nfrom 192.168.122.1\nsince {int(time.time())}\n"
            f"verb {verb}\nrun {run}\ncluster {cluster}\n"
        )
        self._told = {token: self._told.get(token, bytearray())}
        self.locked = True

    @property
    def told(self) -> bytes:
        """What the run that has it, or had it last, told."""
        return b"".join(self._told.values())

    def tell(self, data: bytes) -> None:
        """Tell this in the name of the run that has it."""
        for told in self._told.values():
            told.extend(data)

    def free(self) -> None:
        """Whoever has it has gone."""
        self.locked, self.held = False, None

    @contextmanager
    def asked(self, words: Sequence[str]) -> Iterator[PracticeHeld]:
        """See scripts/lock.sh."""
        token, _, who, verb, run, cluster = words
        if self.locked:
            yield PracticeHeld(["taken", *self._who.splitlines()])
            return
        again = "again" if token in self._told else "new"
        self.take(token, who, verb, run, cluster)
        told = self._told[token]
        held = self.held = PracticeHeld([f"held {again} {len(told)}"], told)
        try:
            yield held
        finally:
            if self.held is held:
                self.free()

    def look(self, token: str, offset: int, most: int) -> list[str]:
        """See scripts/lock-look.sh."""
        who = base64.b64encode(self._who.encode()).decode()
        piece = base64.b64encode(self._told.get(token, b"")[offset : offset + most]).decode()
        return [f"lock {'held' if self.locked else 'free'}", f"who {who}", f"told {piece}"]
