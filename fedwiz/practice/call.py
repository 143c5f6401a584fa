"""One command on a simulated host, while it runs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from fedwiz.model.actions import Run
from fedwiz.practice.machine import Cluster, Machine


class CommandTimeoutError(Exception):
    """The command's time limit has passed."""


@dataclass
class Call:
    """What a command is given, and what it has said so far."""

    cluster: Cluster
    machine: Machine
    run: Run
    on_line: Callable[[str], None]
    spent: float = 0.0
    said: list[str] = field(default_factory=list)
    left: bool = False
    """Whoever sent it has gone; what changes a host goes on there all the same."""

    why: BaseException = field(default_factory=asyncio.CancelledError)
    """What ended whoever sent it."""

    def say(self, *lines: str) -> None:
        """Print lines."""
        for text in lines:
            for line in text.splitlines():
                self.said.append(line)
                if not self.left:
                    self._tell(line)

    def _tell(self, line: str) -> None:
        try:
            self.on_line(line)
        except BaseException as why:
            if not self.run.changes:
                raise
            self.left, self.why = True, why

    async def spend(self, seconds: float) -> None:
        """Let simulated time go by.

        Raises:
            OutOfTime: more than the command has.
        """
        rest = self.run.timeout - self.spent
        self.spent += seconds
        if not self.left:
            try:
                await self.cluster.sleep(min(seconds, rest) * self.cluster.pace)
            except asyncio.CancelledError:
                if not self.run.changes:
                    raise
                self.left = True  # told once the command has ended, which now takes no time
        if seconds > rest:
            raise CommandTimeoutError


Command: TypeAlias = Callable[[Call], Awaitable[int]]
"""Does what the command does, and returns its exit status."""


def strange(run: Run) -> NotImplementedError:
    """The mistake of sending what has no model here."""
    return NotImplementedError(f"no practice host knows `{run.shown[:200]}`")
