"""Opening connections: as the operator's ssh would, to hosts that are the ones they say."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import asyncssh

from fedwiz.model.actions import Secret, Session, Transport, UnreachableError
from fedwiz.ssh import algorithms
from fedwiz.ssh import known_hosts as hostkeys
from fedwiz.ssh.command_line import Root
from fedwiz.ssh.config import SshConfig
from fedwiz.ssh.handshake import Sudo, handshake
from fedwiz.ssh.identities import AskPassphrase, Identities, missing, usual
from fedwiz.ssh.jump_hosts import Bastions
from fedwiz.ssh.known_hosts import Entry, KeyRefusedError, Trust, UnknownKeyError
from fedwiz.ssh.login import LoginClient, LoginTimes, login_error
from fedwiz.ssh.route import Route, Target, config_files, hop, paths, resolve
from fedwiz.ssh.session import SshSession
from fedwiz.util.sanitize import sanitize

FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
AFTER_REBOOT = LoginTimes(connect=5, login=10)
DEFAULT_USER, DEFAULT_PORT, DEFAULT_KNOWN_HOSTS = "root", 22, "~/.ssh/known_hosts"

# What the library has to say is in the errors that it raises.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())
logging.getLogger("asyncssh").propagate = False


class SshAnswers(Protocol):
    """The part of the answers that says how to connect."""

    @property
    def user(self) -> str:
        """The user who logs in."""

    @property
    def port(self) -> int:
        """The TCP port of sshd."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Paths of private keys; empty: ssh_config's and the agent's."""

    @property
    def known_hosts(self) -> str:
        """Path of the known_hosts file."""

    @property
    def sudo(self) -> Literal["no", "nopasswd", "ask"]:
        """How the user becomes root."""

    @property
    def width(self) -> int:
        """Hosts at once, at most."""

    @property
    def confirm_within(self) -> int:
        """Seconds for which a lost connection is retried."""


class HostAnswers(Protocol):
    """The part of the answers that says which host."""

    @property
    def name(self) -> str:
        """The host's name."""

    @property
    def address(self) -> str:
        """Its IP address, or a name."""

    @property
    def host_key(self) -> str:
        """The fingerprint of its host key; empty: known_hosts decides."""


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
        limits: LoginTimes | None = None,
        config: Sequence[Path] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            ssh: how to connect; what equals its default is left to ssh_config.
            hosts: the hosts that `connect` can reach.
            accept_new: accept unknown host keys, and add them to known_hosts.
            sudo_password: for `sudo = "ask"`.
            passphrase: asks for a locked key's passphrase, once per key.
            limits: timeouts.
            config: ssh_config files instead of the user's and the system's.
            tell: called once if ssh_config can't be evaluated, because there is no ssh.
        """
        self._ssh = ssh
        self._hosts = {host.name: host for host in hosts}
        self._accept_new = accept_new
        self._limits = limits or LoginTimes()
        root: Root = "" if ssh.sudo == "no" else ssh.sudo
        self._sudo = Sudo(root, sudo_password, self._limits.sudo)
        self._keys = Identities(passphrase)
        self._config = SshConfig(config_files(config), tell=tell)
        self._width = asyncio.Semaphore(ssh.width)
        self._bastions = Bastions(
            self._config, lambda route, tunnel: self._open(route, self._limits, tunnel)
        )
        self._entries: dict[tuple[Path, ...], tuple[Entry, ...]] = {}
        self._taken: list[Entry] = []
        """Keys accepted so far: they must not change, even if no file stores them."""

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
                await self._bastions.close()

    async def accept(self, key: UnknownKeyError) -> None:
        """Add a key that the operator has compared and accepted to known_hosts.

        Raises:
            UnreachableError: known_hosts can't be written.
        """
        asked = self._asked(key.host) if key.host in self._hosts else hop(key.host)
        self._remember(await resolve(asked, self._config), key.kind, key.blob)
        self._bastions.forget()

    async def _session(self, name: str) -> SshSession:
        route = await resolve(self._asked(name), self._config)
        missing(paths(route.asked.identity))
        async with self._width:
            conn = await self._open(route, self._limits)
            try:
                privileges = await handshake(name, route.user, conn, self._sudo, self._limits.words)
            except BaseException:
                conn.abort()
                raise
        again = partial(self._open, route, AFTER_REBOOT)
        return SshSession(name, conn, privileges, again, self._ssh.confirm_within)

    def _asked(self, name: str) -> Target:
        host, ssh = self._hosts[name], self._ssh
        return Target(
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
        self, route: Route, limits: LoginTimes, tunnel: asyncssh.SSHClientConnection | None = None
    ) -> asyncssh.SSHClientConnection:
        """Log in, through the bastions if there are any.

        An invalid certificate does not make the key wrong: fedwiz then asks the host for its plain
        key, as ssh does.

        Raises:
            UnreachableError: why it failed, and what to do about it.
        """
        if tunnel is not None or not route.hops:
            return await self._by(route, limits, tunnel)
        tunnel = await self._bastions.to(route.hops, (route.asked.address,))
        try:
            return await self._by(route, limits, tunnel)
        except UnreachableError:
            if not tunnel.is_closed():
                raise
        # The bastion's connection was lost: reopen it, once for all hosts behind it.
        return await self._by(
            route, limits, await self._bastions.to(route.hops, (route.asked.address,))
        )

    async def _by(
        self, route: Route, limits: LoginTimes, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        trust = self._trust(route)
        try:
            return await self._log_in(route, limits, tunnel, trust)
        except _CertificateError as why:
            return await self._log_in(route, limits, tunnel, replace(trust, plain=str(why)))

    async def _log_in(
        self,
        route: Route,
        limits: LoginTimes,
        tunnel: asyncssh.SSHClientConnection | None,
        trust: Trust,
    ) -> asyncssh.SSHClientConnection:
        direct = tunnel is None and not route.proxy
        signs = algorithms.authorities(route.algorithms)

        def judge(kind: str, blob: str, address: str) -> KeyRefusedError | None:
            return trust.refusal(kind, blob) or (
                self._moved(route, kind, blob, address) if route.check_ip and direct else None
            )

        def authority(kind: str, blob: str) -> bool:
            return kind in signs and any(it.blob == blob for it in trust.authorities)

        own = usual() if route.identities is None else route.identities
        ring = self._keys.ring(own, route.certificates, route.agent, only=route.identities_only)
        async with ring as shown:
            try:
                async with asyncio.timeout(limits.connect) as limit:
                    client = LoginClient(judge, authority, self._keys, shown, limit, limits)
                    conn = await asyncssh.connect(
                        route.host,
                        route.port,
                        tunnel=tunnel,
                        proxy_command=() if tunnel else route.proxy,
                        family=FAMILIES[route.family],
                        local_addr=(route.bind, 0) if route.bind else None,
                        config=None,
                        client_factory=lambda: client,
                        username=route.user,
                        client_keys=None,
                        host_key_alias=route.alias or None,
                        known_hosts=([], [], _keys(trust.revoked) if trust.authorities else []),
                        password_auth=False,
                        kbdint_auth=False,
                        host_based_auth=False,
                        gss_host=None,
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
                        **algorithms.offers(route.algorithms, trust),
                    )
            except (OSError, ValueError, asyncssh.Error) as error:
                said = sanitize(str(error))
                judged = isinstance(error, asyncssh.HostKeyNotVerifiable) and not client.why
                if judged and trust.authorities and "CA key is revoked" not in said:
                    raise _CertificateError(said) from None
                raise login_error(route, error, client, limits) from None
        if client.shown[1] and not trust.pin and not trust.knows(client.shown[1]):
            try:
                self._remember(route, *client.shown)
            except UnreachableError:
                conn.abort()
                raise
        return conn

    def _trust(self, route: Route) -> Trust:
        entries = self._lines(route)
        known = hostkeys.host_entries(entries, route.known_as, route.known_port)
        bare = hostkeys.host_entries(entries, route.known_as)
        accept_new = self._accept_new or route.accept_new
        revoked = hostkeys.revoked(route.revoked) if route.revoked else ()
        known = replace(known, revoked=(*known.revoked, *revoked))
        return Trust(
            route.asked.name, known, bare, route.asked.pin, accept_new, rsa_bits=route.rsa_bits
        )

    def _lines(self, route: Route) -> tuple[Entry, ...]:
        if route.files not in self._entries:
            self._entries[route.files] = hostkeys.read(route.files)
        return (*self._entries[route.files], *self._taken)

    def _moved(self, route: Route, kind: str, blob: str, address: str) -> KeyRefusedError | None:
        """CheckHostIP: why the address does not fit the key; None: it does."""
        by_address = hostkeys.host_entries(self._lines(route), address, route.known_port)
        if by_address.key_status(blob)[0] in ("known", "unknown"):
            return None
        return Trust(f"{route.asked.name} ({address})", by_address).refusal(kind, blob)

    def _remember(self, route: Route, kind: str, blob: str) -> None:
        file = route.files[0] if route.files else Path("/dev/null")
        self._entries.pop(route.files, None)
        try:
            if str(file) != "/dev/null":
                hostkeys.append_key(
                    file, route.known_as, kind, blob, port=route.known_port, hide=route.hide
                )
        except OSError as error:
            raise UnreachableError(
                f"{route.asked.name}'s host key can't be written into {file} ({error.strerror}): "
                f"make that file yours"
            ) from None
        name = hostkeys.host_notation(route.known_as, route.known_port)
        self._taken.append(Entry("", 0, "", name, kind, blob))


class _CertificateError(Exception):
    """The host's certificate is not valid for it; the message says why."""


def _keys(entries: Sequence[Entry]) -> list[asyncssh.SSHKey]:
    """The keys of the entries for asyncssh, without types that it does not know."""
    found = []
    for entry in entries:
        try:
            found.append(asyncssh.import_public_key(f"{entry.kind} {entry.blob}"))
        except asyncssh.KeyImportError:
            continue
    return found
