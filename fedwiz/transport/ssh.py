"""Opening connections: as the operator's ssh would, to hosts that are the ones they say."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import asyncssh

from fedwiz import hostkeys
from fedwiz.actions import Secret, Session, Transport, Unreachable
from fedwiz.hostkeys import Entry, Trust, UnknownKey
from fedwiz.transport.door import Door, Limits, refused
from fedwiz.transport.keys import AskPassphrase, Keys, missing, public, usual
from fedwiz.transport.session import SshSession, close
from fedwiz.transport.way import Asked, Way, configs, hop, paths, resolve
from fedwiz.transport.welcome import Sudo, welcome

KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
"""The quick ones: a group exchange costs half a second, during which nothing else happens."""

HOST_KEYS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Types of host keys as known_hosts names them, and what to ask a host for; in ssh's order."""

CERTIFICATES = tuple(
    f"{kind}-cert-v01@openssh.com"
    for kind in ("ssh-ed25519", *list(HOST_KEYS)[1:4], "rsa-sha2-512")
)
AFTER_REBOOT = Limits(connect=5, login=10)
DEFAULT_USER, DEFAULT_PORT, DEFAULT_KNOWN_HOSTS = "root", 22, "~/.ssh/known_hosts"

# What the library has to say is in the errors that it raises.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())
logging.getLogger("asyncssh").propagate = False


class SshAnswers(Protocol):
    """The part of the answers that says how to connect."""

    @property
    def user(self) -> str: ...  # noqa: D102
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def identity(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def known_hosts(self) -> str: ...  # noqa: D102
    @property
    def sudo(self) -> Literal["no", "nopasswd", "ask"]: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102


class HostAnswers(Protocol):
    """The part of the answers that says which host."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def address(self) -> str: ...  # noqa: D102
    @property
    def host_key(self) -> str: ...  # noqa: D102


@dataclass(slots=True)
class _Bastion:
    """A hop's connection, one for all the hosts behind it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    conn: asyncssh.SSHClientConnection | None = None


class Ssh(Transport):
    """The hosts of the answers, over SSH."""

    def __init__(
        self,
        ssh: SshAnswers,
        hosts: Sequence[HostAnswers],
        *,
        accept_new: bool = False,
        sudo_password: Secret | None = None,
        passphrase: AskPassphrase | None = None,
        limits: Limits | None = None,
        config: Sequence[Path] | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            ssh: how to connect; what equals its default is left to ssh_config.
            hosts: the hosts that `connect` knows.
            accept_new: take the key of a host that nobody knows, and write it down.
            sudo_password: for `sudo = "ask"`.
            passphrase: asks for a locked key's passphrase, once per key.
            limits: how long to wait for a host.
            config: ssh_config files instead of the user's and the system's.
        """
        self._ssh = ssh
        self._hosts = {host.name: host for host in hosts}
        self._accept_new = accept_new
        self._sudo = Sudo("" if ssh.sudo == "no" else ssh.sudo, sudo_password)
        self._keys = Keys(passphrase)
        self._limits = limits or Limits()
        self._config = configs(config)
        self._width = asyncio.Semaphore(ssh.width)
        self._bastions: dict[tuple[str, ...], _Bastion] = {}
        self._entries: dict[tuple[Path, ...], tuple[Entry, ...]] = {}
        self._users = 0

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        """See `Transport.connect`."""
        self._users += 1
        try:
            session = await self._session(name)
            try:
                yield session
            finally:
                await session.close()
        finally:
            self._users -= 1
            if not self._users:
                await self._close_bastions()

    async def accept(self, key: UnknownKey) -> None:
        """Write down a key that the operator has compared and found right.

        Raises:
            Unreachable: known_hosts can't be written.
        """
        asked = self._asked(key.host) if key.host in self._hosts else hop(key.host)
        self._remember(await resolve(asked, self._config), key.kind, key.blob)

    async def _session(self, name: str) -> SshSession:
        way = await resolve(self._asked(name), self._config)
        missing(paths(way.asked.identity))
        async with self._width:
            conn = await self._open(way, self._limits)
            try:
                standing = await welcome(name, way.user, conn, self._sudo)
            except BaseException:
                conn.abort()
                raise
        return SshSession(name, conn, standing, partial(self._open, way, AFTER_REBOOT))

    def _asked(self, name: str) -> Asked:
        host, ssh = self._hosts[name], self._ssh
        return Asked(
            name=name,
            address=host.address,
            user="" if ssh.user == DEFAULT_USER else ssh.user,
            port=0 if ssh.port == DEFAULT_PORT else ssh.port,
            identity=ssh.identity,
            known_hosts="" if ssh.known_hosts == DEFAULT_KNOWN_HOSTS else ssh.known_hosts,
            default_user=DEFAULT_USER,
            pin=host.host_key,
        )

    async def _open(
        self, way: Way, limits: Limits, tunnel: asyncssh.SSHClientConnection | None = None
    ) -> asyncssh.SSHClientConnection:
        """Log in, by way of the bastions if there are any.

        Raises:
            Unreachable: why not, and what to do about it.
        """
        if tunnel is None and way.hops:
            tunnel = await self._through(way.hops, (way.asked.address,))
        trust = self._trust(way)
        own = way.identities or usual()
        plain = await self._keys.plain(own)
        try:
            async with asyncio.timeout(limits.connect) as limit:
                door = Door(trust, self._keys, self._keys.locked(own), limit, limits)
                conn = await asyncssh.connect(
                    way.asked.address,
                    way.port,
                    tunnel=tunnel,
                    config=self._config,
                    client_factory=lambda: door,
                    username=way.user,
                    client_keys=plain,
                    agent_identities=public(own) if way.identities_only else (),
                    known_hosts=([], _keys(trust.known.authorities), _keys(trust.known.revoked)),
                    server_host_key_algs=() if way.host_key_algorithms else _wanted(trust),
                    kex_algs=KEX,
                    password_auth=False,
                    kbdint_auth=False,
                    connect_timeout=None,
                    login_timeout=0,
                    keepalive_interval=15,
                    keepalive_count_max=3,
                    agent_forwarding=False,
                    x11_forwarding=False,
                    command=None,
                    request_pty=False,
                    env=None,
                    send_env=None,
                )
        except (OSError, ValueError, asyncssh.Error) as error:
            raise refused(way, error, door, limits) from None
        if door.shown[1] and not trust.pin and not trust.knows(door.shown[1]):
            self._remember(way, *door.shown)
        return conn

    def _trust(self, way: Way) -> Trust:
        if way.files not in self._entries:
            self._entries[way.files] = hostkeys.read(way.files)
        entries = self._entries[way.files]
        known = hostkeys.known(entries, way.known_as, way.known_port)
        bare = hostkeys.known(entries, way.known_as)
        return Trust(way.asked.name, known, bare, way.asked.pin, self._accept_new)

    def _remember(self, way: Way, kind: str, blob: str) -> None:
        file = way.files[0] if way.files else Path("/dev/null")
        self._entries.pop(way.files, None)
        if str(file) == "/dev/null":
            return
        try:
            hostkeys.remember(
                file, way.known_as, kind, blob, port=way.known_port, hide=_hides(self._config)
            )
        except OSError as error:
            raise Unreachable(
                f"{way.asked.name}'s host key can't be written into {file} ({error.strerror}): "
                f"make that file yours"
            ) from None

    async def _through(
        self, hops: tuple[str, ...], trail: tuple[str, ...]
    ) -> asyncssh.SSHClientConnection:
        """The connection to the last of the hops, opened once for all the hosts behind it."""
        if hops[-1] in trail:
            raise Unreachable(
                f"ProxyJump leads back to {hops[-1]}: set `ProxyJump none` for it in ~/.ssh/config"
            )
        bastion = self._bastions.setdefault(hops, _Bastion())
        async with bastion.lock:
            if bastion.conn is None or bastion.conn.is_closed():
                asked = hop(hops[-1])
                way = await resolve(asked, self._config)
                before = hops[:-1] or way.hops
                tunnel = await self._through(before, (*trail, hops[-1])) if before else None
                bastion.conn = await self._open(replace(way, hops=()), self._limits, tunnel)
            return bastion.conn

    async def _close_bastions(self) -> None:
        # The last hop first: it lives inside the ones before it.
        for hops in sorted(self._bastions, key=len, reverse=True):
            if (conn := self._bastions.pop(hops).conn) is not None:
                await close(conn)


def _wanted(trust: Trust) -> list[str]:
    """Types of host keys to ask for: those that are known first, or the host shows another."""
    pinned = [e.kind for e in trust.known.keys if hostkeys.fingerprint(e.blob) == trust.pin]
    kinds = dict.fromkeys((*pinned, *trust.known.kinds, *trust.bare.kinds, *HOST_KEYS))
    plain = [algorithm for kind in kinds for algorithm in HOST_KEYS.get(kind, ())]
    return [*CERTIFICATES, *plain] if trust.known.authorities else plain


def _keys(entries: Sequence[Entry]) -> list[asyncssh.SSHKey]:
    """The entries' keys as the library wants them; of a type it does not know: none."""
    found = []
    for entry in entries:
        try:
            found.append(asyncssh.import_public_key(f"{entry.kind} {entry.blob}"))
        except asyncssh.KeyImportError:
            continue
    return found


def _hides(files: Sequence[str]) -> bool:
    """Whether ssh_config says HashKnownHosts somewhere; one name hashed too many is no harm."""
    for file in files:
        for line in Path(file).read_text(errors="replace").splitlines():
            if line.lower().replace("=", " ").split()[:2] == ["hashknownhosts", "yes"]:
                return True
    return False
