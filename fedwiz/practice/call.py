"""One command on a simulated host, while it runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from fedwiz.actions import Run
from fedwiz.practice.machine import Cluster, Machine


class OutOfTime(Exception):  # noqa: N818 - it reads well in `except`
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

    def say(self, *lines: str) -> None:
        """Print lines."""
        for text in lines:
            for line in text.splitlines():
                self.said.append(line)
                self.on_line(line)

    async def spend(self, seconds: float) -> None:
        """Let simulated time go by.

        Raises:
            OutOfTime: more than the command has.
        """
        left = self.run.timeout - self.spent
        self.spent += seconds
        await self.cluster.sleep(min(seconds, left) * self.cluster.pace)
        if seconds > left:
            raise OutOfTime


Command: TypeAlias = Callable[[Call], Awaitable[int]]
"""Does what the command does, and returns its exit status."""
