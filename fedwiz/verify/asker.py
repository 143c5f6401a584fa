"""Asks many nodes at once."""

import asyncio
from collections.abc import Mapping

from fedwiz.model.actions import Reply, Run, Session, UnreachableError


class Asker:
    """Asks nodes, all at once; who can't be asked any more is noted as lost, and left out."""

    def __init__(self, sessions: Mapping[str, Session], lost: dict[str, str]) -> None:
        """Nobody is asked yet.

        Args:
            sessions: open ones, by host.
            lost: hosts that are not asked, and why; more are added.
        """
        self.sessions = sessions
        self.lost = lost

    async def ask(self, runs: Mapping[str, Run]) -> dict[str, Reply]:
        """The answers, by host, once all of them are there."""
        replies: dict[str, Reply] = {}

        async def one(host: str, run: Run) -> None:
            try:
                replies[host] = await self.sessions[host].ask(run)
            except UnreachableError as why:
                self.lost.setdefault(host, str(why))

        async with asyncio.TaskGroup() as group:
            for host, run in runs.items():
                if host not in self.lost:
                    group.create_task(one(host, run), name=f"ask {host}")
        return replies
