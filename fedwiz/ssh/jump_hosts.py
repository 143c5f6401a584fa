"""The hosts on the way to others: one connection each, for all that lie behind."""

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
"""Seconds after a refusal during which a bastion is not asked again: many hosts wait for it, and
sshd bars who knocks often."""


@dataclass(slots=True)
class _Bastion:
    """A hop's connection, and how it is getting one."""

    depth: int
    """Hops before it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    conn: asyncssh.SSHClientConnection | None = None
    refused: UnreachableError | None = None
    until: float = 0
    """By the monotonic clock, when the refusal is forgotten."""


class Bastions:
    """The open hops, by where they lead and how: two names of one bastion are one bastion."""

    def __init__(self, config: SshConfig, log_in: LogIn) -> None:
        self._config = config
        self._log_in = log_in
        self._all: dict[object, _Bastion] = {}

    async def to(
        self, hops: tuple[str, ...], trail: tuple[str, ...]
    ) -> asyncssh.SSHClientConnection:
        """The connection to the last of the hops; who comes while it is being opened waits for it.

        Args:
            hops: as ProxyJump has them, first hop first.
            trail: the hosts that these are on the way to.

        Raises:
            Unreachable: why there is none.
        """
        way = await resolve(hop(hops[-1]), self._config)
        before = hops[:-1] or way.hops
        back = next((name for name in (hops[-1], *before[-1:]) if name in trail), "")
        if back:
            raise UnreachableError(
                f"ProxyJump leads back to {back}: set `ProxyJump none` for it in ~/.ssh/config"
            )
        trail = (*trail, hops[-1])
        key = (way.user, way.host, way.port, before, way.proxy)
        bastion = self._all.setdefault(key, _Bastion(len(trail)))
        async with bastion.lock:
            if bastion.conn is not None and not bastion.conn.is_closed():
                return bastion.conn
            if bastion.refused is not None and time.monotonic() < bastion.until:
                raise bastion.refused
            try:
                tunnel = await self.to(before, trail) if before else None
                bastion.conn = await self._log_in(replace(way, hops=()), tunnel)
            except UnreachableError as why:
                bastion.refused, bastion.until = why, time.monotonic() + REFUSAL_SECONDS
                raise
            return bastion.conn

    def forget(self) -> None:
        """Ask anew also where a hop has just refused: the operator has put something right."""
        for bastion in self._all.values():
            bastion.refused = None

    async def close(self) -> None:
        """Close them all, the last hop first: it lives inside the ones before it."""
        bastions = sorted(self._all.values(), key=lambda it: it.depth)
        self._all.clear()
        for bastion in bastions:
            if bastion.conn is not None:
                await close(bastion.conn)
