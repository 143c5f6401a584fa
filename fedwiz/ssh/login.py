"""A single login attempt, and what its failure means."""

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import asyncssh

from fedwiz.model.actions import LoginRefusedError, UnreachableError
from fedwiz.ssh.identities import Identities, Ring
from fedwiz.ssh.known_hosts import KeyRefusedError
from fedwiz.ssh.route import Route, in_config
from fedwiz.util.sanitize import sanitize

Judge: TypeAlias = Callable[[str, str, str], KeyRefusedError | None]
"""Judges a key by its type, its base64 and the host's address; returns why it is not trusted."""


@dataclass(frozen=True, slots=True)
class LoginTimes:
    """Timeouts in seconds."""

    connect: float = 10
    """Until the port answers."""

    login: float = 20
    """From then until the login completes; typing a passphrase does not count."""

    words: float = 30
    """For the shell's first reply."""

    sudo: float = 30
    """For sudo's reply."""


class LoginClient(asyncssh.SSHClient):
    """Checks the host's key, supplies locked keys, and enforces the timeouts."""

    def __init__(
        self,
        judge: Judge,
        authority: Callable[[str, str], bool],
        keys: Identities,
        ring: Ring,
        limit: asyncio.Timeout,
        limits: LoginTimes,
    ) -> None:
        self._judge = judge
        self._authority = authority
        self._keys = keys
        self._ring = ring
        self._limit = limit
        self._limits = limits
        self.answered = False
        self.shown = ("", "")
        """Type and base64 of the key that the host presented."""

        self.why: UnreachableError | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The port answers; from here on the login timeout applies."""
        self.answered = True
        self._allow(self._limits.login)

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Check every key against known_hosts and the pins, instead of the library's own check."""
        kind, blob = key.export_public_key().decode().split()[:2]
        self.shown = (kind, blob)
        self.why = self._judge(kind, blob, addr)
        return self.why is None

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether a CA may sign this host's certificate."""
        kind, blob = key.export_public_key().decode().split()[:2]
        return self._authority(kind, blob)

    async def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
        """All unlocked keys first; once they are refused, one behind a passphrase at a time."""
        if self._ring.open:
            keys, self._ring.open = self._ring.open, []
            return keys
        while self._ring.locked:
            path = self._ring.locked.pop(0)
            self._limit.reschedule(None)
            try:
                keys = await self._keys.unlock(path, self._ring)
            except UnreachableError as error:
                self.why = error
                return None
            finally:
                self._allow(self._limits.login)
            if keys:
                return keys
        return None

    @property
    def agent(self) -> str:
        """What is wrong with the agent; empty: nothing."""
        return self._ring.agent

    def _allow(self, seconds: float) -> None:
        if not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)


def login_error(
    route: Route, error: Exception, client: LoginClient, limits: LoginTimes
) -> UnreachableError:
    """Translate a network or library error for the operator."""
    name, place = route.asked.name, f"{route.host} port {route.port}"
    text = sanitize(str(error)) or type(error).__name__
    if client.why is not None:
        return client.why
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return KeyRefusedError(
            f"{name}'s host key is not to be trusted ({text}): see the lines about it in "
            f"{', '.join(map(str, route.files)) or 'known_hosts'}"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        causes = "; ".join(filter(None, (client.agent, sanitize(route.card))))
        hint = f" ({causes})" if causes else ""
        return LoginRefusedError(
            f"{name} refuses the keys of {route.user}{hint}: "
            f"`ssh-copy-id -p {route.port} {route.user}@{route.host}`, or name another key in "
            f"`ssh.identity`"
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return UnreachableError(
            f"{name} and this program share no way to talk ({text}): update its sshd"
        )
    if isinstance(error, asyncssh.DisconnectError) and "Too many auth" in text:
        return UnreachableError(
            f"{name} was offered too many keys: name one in `ssh.identity`, or set "
            f"`IdentitiesOnly yes` in ~/.ssh/config"
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        bastion = sanitize(route.hops[-1]) if route.hops else ""
        return UnreachableError(
            f"{name}: the bastion {bastion} does not get through to {place} ({text}): "
            f"see that it may forward, and that the host is up"
        )
    if isinstance(error, TimeoutError):
        if not client.answered:
            return UnreachableError(
                f"{name}: {place} does not answer within {limits.connect:g} s: see that the host "
                f"is up and its firewall lets SSH in"
            )
        return UnreachableError(
            f"{name}: {place} takes the connection, but no login within {limits.login:g} s: "
            f"see that sshd is what listens there, and how busy the host is"
        )
    return _network_error(route, error, text)


def _network_error(route: Route, error: Exception, text: str) -> UnreachableError:
    name, place = route.asked.name, f"{route.host} port {route.port}"
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"{name}: there is no host {route.host} ({error.strerror}): correct its `address`"
        )
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"{name}: nothing listens at {place}: start sshd there (`systemctl start sshd`), or "
            f"correct `ssh.port`"
        )
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return UnreachableError(f"{name}: there is no route to {route.host}: correct its `address`")
    if isinstance(error, ConnectionResetError | asyncssh.DisconnectError):
        lists = [it for it in route.algorithms if it != "casignaturealgorithms"]
        if lists:
            return UnreachableError(
                f"{name}: {place} ended the connection before the login ({text}); perhaps it has "
                f"no algorithm that {in_config(lists[0])} names: see what "
                f"`ssh {route.asked.address}` says"
            )
        return UnreachableError(
            f"{name}: {place} ended the connection before the login ({text}): sshd may bar this "
            f"machine for a while after failed logins; wait a minute and run again"
        )
    return UnreachableError(
        f"{name}: no connection to {place} ({text}): try `ssh {route.asked.address}`"
    )
