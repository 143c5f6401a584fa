"""One running command on a simulated host."""

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
    """A command's environment, and its output so far."""

    cluster: Cluster
    machine: Machine
    run: Run
    on_line: Callable[[str], None]
    spent: float = 0.0
    lines: list[str] = field(default_factory=list)
    sender_gone: bool = False
    """The sender is gone; a command that changes the host continues all the same."""

    sender_error: BaseException = field(default_factory=asyncio.CancelledError)
    """The exception that ended the sender."""

    def write(self, *lines: str) -> None:
        """Print lines."""
        for text in lines:
            for line in text.splitlines():
                self.lines.append(line)
                if not self.sender_gone:
                    self._deliver(line)

    def _deliver(self, line: str) -> None:
        try:
            self.on_line(line)
        except BaseException as error:
            if not self.run.changes:
                raise
            self.sender_gone, self.sender_error = True, error

    async def spend(self, seconds: float) -> None:
        """Let simulated time pass.

        Raises:
            CommandTimeoutError: the command's time limit is exceeded.
        """
        remaining = self.run.timeout - self.spent
        self.spent += seconds
        if not self.sender_gone:
            try:
                await self.cluster.sleep(min(seconds, remaining) * self.cluster.pace)
            except asyncio.CancelledError:
                if not self.run.changes:
                    raise
                self.sender_gone = (
                    True  # raised again once the command has ended, which now takes no time
                )
        if seconds > remaining:
            raise CommandTimeoutError


Command: TypeAlias = Callable[[Call], Awaitable[int]]
"""Does what the command does, and returns its exit status."""


def unmodelled(run: Run) -> NotImplementedError:
    """The error for a command that has no model here."""
    return NotImplementedError(f"no practice host knows `{run.shown[:200]}`")
