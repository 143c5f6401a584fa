"""Host discovery: which of the operator's addresses and names answer as SSH.

Each host gets one connection, which reads its banner and key and closes before any login: OpenSSH
9.8 and later penalizes such connections and blocks clients that make too many.
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
"""Only fast methods; a group exchange costs half a second of CPU per host."""

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
    """Timeouts in seconds."""

    connect_seconds: float = 1
    """For the connection; on the operator's own networks it takes milliseconds."""

    handshake_seconds: float = 3
    """For the banner and the key; a busy sshd needs a few tenths."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A host that answered as SSH."""

    address: str
    port: int
    name: str
    """The name from the target or its source; empty: none."""

    banner: str
    """E.g. `SSH-2.0-OpenSSH_9.6`, sanitized."""

    key_type: str
    """E.g. `ssh-ed25519`; empty, like the fingerprint, if no key was negotiated."""

    fingerprint: str
    """As `ssh-keygen -l` prints it: `SHA256:` and 43 characters."""

    source: str


OnProgress: TypeAlias = Callable[[int, int, Sighting | None], None]
"""Called after each address: how many are done, the total, and the host that answered, if any."""


async def discover(
    targets: Iterable[Target],
    *,
    width: int = 64,
    on_progress: OnProgress | None = None,
    limits: ScanLimits | None = None,
) -> tuple[Sighting, ...]:
    """Scan every target once, at most `width` at a time.

    Returns:
        The hosts that answered as SSH, sorted by address.
    """
    # Loading it takes a fifth of a second, so keep that off the event loop, where screens run.
    options, scan_limits = await asyncio.to_thread(_options), limits or ScanLimits()
    addresses = await _resolved(tuple(targets), width)
    waiting = iter(addresses)
    found: list[Sighting] = []
    done = 0

    async def scan() -> None:
        nonlocal done
        for target in waiting:  # shared: each target goes to one scanner
            sighting = await _greet(target, options, scan_limits) if target.address else None
            done += 1
            if sighting:
                found.append(sighting)
            if on_progress:
                on_progress(done, len(addresses), sighting)

    async with asyncio.TaskGroup() as scanners:
        for _ in range(min(width, len(addresses))):
            scanners.create_task(scan())
    return tuple(sorted(found, key=lambda sighting: (IPv4Address(sighting.address), sighting.port)))


async def _resolved(targets: tuple[Target, ...], width: int) -> tuple[Target, ...]:
    """The targets by address, without duplicates: one connection per host, whatever its names.

    A name that doesn't resolve is kept, with an empty address.
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

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(address(target)) for target in targets]
    merged: dict[tuple[str, int], Target] = {}
    for target in (task.result() for task in tasks):
        key = (target.address or f"?{target.name}", target.port)
        first = merged.setdefault(key, target)
        if target.name and not first.name:
            merged[key] = target
    return tuple(merged.values())


def _options() -> "asyncssh.SSHClientConnectionOptions":
    import asyncssh

    return asyncssh.SSHClientConnectionOptions(
        config=None,  # nothing of the operator's is used here: no key, agent or proxy
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
    """Connect, read banner and key, and disconnect; None: nothing there that speaks SSH."""
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
            return False  # ends the connection

    sock, visitor = await _connected_socket(target, limits.connect_seconds), Visitor()
    if sock is None:
        return None
    try:
        # Any error: the server may send anything, and one server must not end the whole scan.
        with suppress(Exception):
            async with asyncio.timeout(limits.handshake_seconds):
                await asyncssh.connect(
                    target.address,
                    target.port,
                    sock=sock,
                    client_factory=lambda: visitor,
                    options=options,
                )
    finally:
        if visitor.conn is None:  # asyncssh takes over the socket late
            sock.close()
        else:
            visitor.conn.abort()
            await visitor.conn.wait_closed()
    banner = visitor.conn.get_extra_info("server_version") if visitor.conn else None
    if not banner:
        return None
    return Sighting(
        address=target.address,
        port=target.port,
        name=target.name,
        banner=sanitize(str(banner))[:100],
        key_type=visitor.key.get_algorithm() if visitor.key else "",
        fingerprint=visitor.key.get_fingerprint() if visitor.key else "",
        source=target.source,
    )


async def _connected_socket(target: Target, patience: float) -> socket.socket | None:
    """A connected socket, if the host answers in the time that a local network needs."""
    sock = socket.socket()
    sock.setblocking(False)
    try:
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(sock, (target.address, target.port))
    except OSError:
        sock.close()
        return None
    except asyncio.CancelledError:
        sock.close()
        raise
    return sock
