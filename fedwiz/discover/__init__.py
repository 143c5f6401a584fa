"""Finds hosts: who answers as SSH among the addresses and names that the operator gives.

Each host gets one connection, which says its banner and its key and ends before any login:
OpenSSH 9.8 and later count such visits, and shut out for a while who comes too often.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, TypeAlias

from fedwiz.discover.sources import Source, known_hosts, libvirt, ssh_config
from fedwiz.discover.targets import Target, expand
from fedwiz.util.sanitize import sanitize

if TYPE_CHECKING:
    import asyncssh

__all__ = [
    "ScanLimits",
    "Sighting",
    "Source",
    "Target",
    "discover",
    "expand",
    "known_hosts",
    "libvirt",
    "ssh_config",
]

QUICK_KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
"""The quick ones; a group exchange costs half a second of CPU for each host."""

KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""In ssh's order, so that the key seen here is the one that ssh will store."""


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Seconds."""

    reach: float = 1
    """For a connection; on the operator's own networks it takes milliseconds."""

    greet: float = 3
    """For the banner and the key; a busy sshd takes tenths."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A host that answered as SSH."""

    address: str
    port: int
    name: str
    """As the target or its source calls it; empty: nothing does."""

    banner: str
    """E.g. `SSH-2.0-OpenSSH_9.6`, cleaned."""

    key_type: str
    """E.g. `ssh-ed25519`; empty, like the fingerprint, where no key was agreed on."""

    fingerprint: str
    """As `ssh-keygen -l` says it: `SHA256:` and 43 characters."""

    source: str


OnProgress: TypeAlias = Callable[[int, int, Sighting | None], None]
"""Called after each address: how many are done, of how many, and who answered there."""


async def discover(
    targets: Iterable[Target],
    *,
    width: int = 64,
    on_progress: OnProgress | None = None,
    limits: ScanLimits | None = None,
) -> tuple[Sighting, ...]:
    """Look at every target once, at most `width` at a time.

    Returns:
        Who answered as SSH, by address.
    """
    # Loaded off the loop, where screens run: it takes a fifth of a second.
    options, patience = await asyncio.to_thread(_options), limits or ScanLimits()
    places = await _resolved(tuple(targets), width)
    waiting = iter(places)
    found: list[Sighting] = []
    done = 0

    async def look() -> None:
        nonlocal done
        for target in waiting:  # shared: each target goes to one of the lookers
            seen = await _greet(target, options, patience) if target.address else None
            done += 1
            if seen:
                found.append(seen)
            if on_progress:
                on_progress(done, len(places), seen)

    async with asyncio.TaskGroup() as lookers:
        for _ in range(min(width, len(places))):
            lookers.create_task(look())
    return tuple(sorted(found, key=lambda seen: (IPv4Address(seen.address), seen.port)))


async def _resolved(targets: tuple[Target, ...], width: int) -> tuple[Target, ...]:
    """The targets by address, one for each: a host gets one visit, whatever its names.

    A name that doesn't resolve keeps its place, with an empty address.
    """
    loop, slots = asyncio.get_running_loop(), asyncio.Semaphore(width)

    async def address(target: Target) -> Target:
        with suppress(ValueError):
            return replace(target, address=str(IPv4Address(target.address)))
        async with slots:
            try:
                found = await loop.getaddrinfo(target.address, target.port, family=socket.AF_INET)
            except (OSError, UnicodeError):
                return replace(target, address="")
        return replace(target, address=str(found[0][4][0]), name=target.name or target.address)

    async with asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(address(target)) for target in targets]
    merged: dict[tuple[str, int], Target] = {}
    for target in (task.result() for task in tasks):
        key = (target.address or f"?{target.name}", target.port)
        known = merged.setdefault(key, target)
        if target.name and not known.name:
            merged[key] = target
    return tuple(merged.values())


def _options() -> "asyncssh.SSHClientConnectionOptions":
    import asyncssh

    return asyncssh.SSHClientConnectionOptions(
        config=None,  # nothing of the operator's has a part in this: no key, agent or proxy
        known_hosts=([], [], []),
        username="nobody",
        client_keys=None,
        agent_path=None,
        kex_algs=QUICK_KEX,
        server_host_key_algs=KEY_TYPES,
    )


async def _greet(
    target: Target, options: "asyncssh.SSHClientConnectionOptions", limits: ScanLimits
) -> Sighting | None:
    """Connect, hear banner and key, and leave; None: nobody there, or nobody who speaks SSH."""
    import asyncssh

    class Visitor(asyncssh.SSHClient):
        conn: asyncssh.SSHClientConnection | None = None
        key: asyncssh.SSHKey | None = None

        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            self.conn = conn

        def validate_host_public_key(
            self, host: str, addr: str, port: int, key: asyncssh.SSHKey
        ) -> bool:
            self.key = key
            return False  # which ends the visit

    plug, visitor = await _plugged(target, limits.reach), Visitor()
    if plug is None:
        return None
    try:
        # Any error: whoever is there may send anything, and one of them must not end the search.
        with suppress(Exception):
            async with asyncio.timeout(limits.greet):
                await asyncssh.connect(
                    target.address,
                    target.port,
                    sock=plug,
                    client_factory=lambda: visitor,
                    options=options,
                )
    finally:
        if visitor.conn is None:  # asyncssh makes the socket its own late
            plug.close()
        else:
            visitor.conn.abort()
            await visitor.conn.wait_closed()
    said = visitor.conn.get_extra_info("server_version") if visitor.conn else None
    if not said:
        return None
    return Sighting(
        address=target.address,
        port=target.port,
        name=target.name,
        banner=sanitize(str(said))[:100],
        key_type=visitor.key.get_algorithm() if visitor.key else "",
        fingerprint=visitor.key.get_fingerprint() if visitor.key else "",
        source=target.source,
    )


async def _plugged(target: Target, patience: float) -> socket.socket | None:
    """A connected socket, if somebody is there within the time it takes on a local network."""
    plug = socket.socket()
    plug.setblocking(False)
    try:
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(plug, (target.address, target.port))
    except OSError:
        plug.close()
        return None
    except asyncio.CancelledError:
        plug.close()
        raise
    return plug
