"""Jump hosts: one connection to each, shared by all hosts behind it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import asyncssh

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh.config import SshConfig
from fedwiz.ssh.route import Route, hop, resolve
from fedwiz.ssh.session import close

LogIn: TypeAlias = Callable[
    [Route, asyncssh.SSHClientConnection | None], Awaitable[asyncssh.SSHClientConnection]
]
REFUSAL_SECONDS = 3
"""Seconds after a refusal before a bastion is tried again: many hosts wait for it, and sshd
penalizes frequent attempts."""


@dataclass(slots=True)
class _Bastion:
    """The connection to a hop, and the state of opening it."""

    depth: int
    """The number of hops before it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    conn: asyncssh.SSHClientConnection | None = None
    refused: UnreachableError | None = None
    until: float = 0
    """Monotonic time at which the refusal expires."""


class Bastions:
    """The open hops by route: two names for the same bastion share one connection."""

    def __init__(self, config: SshConfig, log_in: LogIn) -> None:
        self._config = config
        self._log_in = log_in
        self._all: dict[object, _Bastion] = {}

    async def to(
        self, hops: tuple[str, ...], trail: tuple[str, ...]
    ) -> asyncssh.SSHClientConnection:
        """The connection to the last hop; concurrent callers wait for the same connection.

        Args:
            hops: as in ProxyJump, first hop first.
            trail: the hosts that are reached through these hops.

        Raises:
            UnreachableError: a hop can't be reached; the message says why.
        """
        route = await resolve(hop(hops[-1]), self._config)
        before = hops[:-1] or route.hops
        loop = next((name for name in (hops[-1], *before[-1:]) if name in trail), "")
        if loop:
            raise UnreachableError(
                f"ProxyJump leads back to {loop}: set `ProxyJump none` for it in ~/.ssh/config"
            )
        trail = (*trail, hops[-1])
        key = (route.user, route.host, route.port, before, route.proxy)
        bastion = self._all.setdefault(key, _Bastion(len(trail)))
        async with bastion.lock:
            if bastion.conn is not None and not bastion.conn.is_closed():
                return bastion.conn
            if bastion.refused is not None and time.monotonic() < bastion.until:
                raise bastion.refused
            try:
                tunnel = await self.to(before, trail) if before else None
                bastion.conn = await self._log_in(replace(route, hops=()), tunnel)
            except UnreachableError as why:
                bastion.refused, bastion.until = why, time.monotonic() + REFUSAL_SECONDS
                raise
            return bastion.conn

    def forget(self) -> None:
        """Forget refusals, because the operator has corrected something."""
        for bastion in self._all.values():
            bastion.refused = None

    async def close(self) -> None:
        """Close all hops, the last one first, because it runs through the others."""
        bastions = sorted(self._all.values(), key=lambda it: it.depth)
        self._all.clear()
        for bastion in bastions:
            if bastion.conn is not None:
                await close(bastion.conn)
