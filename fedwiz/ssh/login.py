"""One attempt to log in, and what its failure means."""

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
from fedwiz.ssh.route import Route
from fedwiz.util.sanitize import sanitize

Judge: TypeAlias = Callable[[str, str, str], KeyRefusedError | None]
"""Says of a key's type and base64, and the host's address, why it is not to be trusted."""


@dataclass(frozen=True, slots=True)
class LoginTimes:
    """Seconds."""

    connect: float = 10
    """Until the port answers."""

    login: float = 20
    """From there until the login is through; typing a passphrase does not count."""

    words: float = 30
    """For the shell's first answer."""

    sudo: float = 30
    """For sudo's."""


class LoginClient(asyncssh.SSHClient):
    """Judges the host's key, hands out locked keys, and watches the time."""

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
        """Type and base64 of the key that the host showed."""

        self.why: UnreachableError | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The port answers; from now on it is the login that takes time."""
        self.answered = True
        self._allow(self._limits.login)

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Judge every key by known_hosts and the pins, rather than by the library's idea of it."""
        kind, blob = key.export_public_key().decode().split()[:2]
        self.shown = (kind, blob)
        self.why = self._judge(kind, blob, addr)
        return self.why is None

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Say whether an authority may sign this host's certificate."""
        kind, blob = key.export_public_key().decode().split()[:2]
        return self._authority(kind, blob)

    async def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
        """All keys that are open; when they were all refused, one behind a passphrase."""
        if self._ring.open:
            found, self._ring.open = self._ring.open, []
            return found
        while self._ring.locked:
            path = self._ring.locked.pop(0)
            self._limit.reschedule(None)
            try:
                found = await self._keys.unlock(path, self._ring)
            except UnreachableError as why:
                self.why = why
                return None
            finally:
                self._allow(self._limits.login)
            if found:
                return found
        return None

    @property
    def agent(self) -> str:
        """What is wrong with the agent; empty: nothing."""
        return self._ring.agent

    def _allow(self, seconds: float) -> None:
        if not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)


def refused(
    way: Route, error: Exception, door: LoginClient, limits: LoginTimes
) -> UnreachableError:
    """An error of the network's or the library's, in the operator's words."""
    name, place = way.asked.name, f"{way.host} port {way.port}"
    said = sanitize(str(error)) or type(error).__name__
    if door.why is not None:
        return door.why
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return KeyRefusedError(
            f"{name}'s host key is not to be trusted ({said}): see the lines about it in "
            f"{', '.join(map(str, way.files)) or 'known_hosts'}"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        causes = "; ".join(filter(None, (door.agent, sanitize(way.card))))
        wrong = f" ({causes})" if causes else ""
        return LoginRefusedError(
            f"{name} refuses the keys of {way.user}{wrong}: "
            f"`ssh-copy-id -p {way.port} {way.user}@{way.host}`, or name another key in "
            f"`ssh.identity`"
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return UnreachableError(
            f"{name} and this program share no way to talk ({said}): update its sshd"
        )
    if isinstance(error, asyncssh.DisconnectError) and "Too many auth" in said:
        return UnreachableError(
            f"{name} was offered too many keys: name one in `ssh.identity`, or set "
            f"`IdentitiesOnly yes` in ~/.ssh/config"
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        bastion = sanitize(way.hops[-1]) if way.hops else ""
        return UnreachableError(
            f"{name}: the bastion {bastion} does not get through to {place} ({said}): "
            f"see that it may forward, and that the host is up"
        )
    if isinstance(error, TimeoutError):
        if not door.answered:
            return UnreachableError(
                f"{name}: {place} does not answer within {limits.connect:g} s: see that the host "
                f"is up and its firewall lets SSH in"
            )
        return UnreachableError(
            f"{name}: {place} takes the connection, but no login within {limits.login:g} s: "
            f"see that sshd is what listens there, and how busy the host is"
        )
    return _network(way, error, said)


def _network(way: Route, error: Exception, said: str) -> UnreachableError:
    name, place = way.asked.name, f"{way.host} port {way.port}"
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"{name}: there is no host {way.host} ({error.strerror}): correct its `address`"
        )
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"{name}: nothing listens at {place}: start sshd there (`systemctl start sshd`), or "
            f"correct `ssh.port`"
        )
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return UnreachableError(f"{name}: there is no route to {way.host}: correct its `address`")
    if isinstance(error, ConnectionResetError | asyncssh.DisconnectError):
        lists = [it for key, it in way.algorithms.items() if key != "casignaturealgorithms"]
        if lists:
            return UnreachableError(
                f"{name}: {place} ended the connection before the login ({said}); perhaps it has "
                f"no algorithm that {lists[0].where} names: see what `ssh {way.asked.address}` says"
            )
        return UnreachableError(
            f"{name}: {place} ended the connection before the login ({said}): sshd may bar this "
            f"machine for a while after failed logins; wait a minute and run again"
        )
    return UnreachableError(
        f"{name}: no connection to {place} ({said}): try `ssh {way.asked.address}`"
    )
