"""Where a name leads: what the operator's ssh_config makes of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import asyncssh

from fedwiz.actions import Unreachable
from fedwiz.clean import clean

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")


@dataclass(frozen=True, slots=True)
class Asked:
    """A host as it was asked for; what is empty is left to ssh_config."""

    name: str
    """How sentences call it."""

    address: str
    """What one would type after `ssh`."""

    user: str = ""
    port: int = 0
    identity: tuple[str, ...] = ()
    known_hosts: str = ""
    pin: str = ""
    """Fingerprint of its key."""

    default_user: str = ""
    """Who it is where nobody says so; empty: whoever runs this, as in ssh."""


@dataclass(frozen=True, slots=True)
class Way:
    """A host as it is reached."""

    asked: Asked
    host: str
    port: int
    user: str
    known_as: str
    """The name in known_hosts: HostKeyAlias, or the host."""

    known_port: int
    """22 where an alias is in use: it is written without a port."""

    hops: tuple[str, ...]
    """ProxyJump, first hop first."""

    files: tuple[Path, ...]
    """known_hosts files; a new key goes into the first."""

    identities: tuple[Path, ...]
    """Key files that somebody named; empty: the usual ones."""

    identities_only: bool
    host_key_algorithms: bool
    """Whether ssh_config says which types of host keys to ask for."""

    @property
    def at(self) -> str:
        """User, host and port, for sentences."""
        return f"{self.user}@{self.host}" + (f" port {self.port}" if self.port != 22 else "")


def configs(files: Sequence[Path] | None) -> list[str]:
    """The ssh_config files to read, of which the first to say something is right."""
    names = [Path.home() / ".ssh/config", SYSTEM_CONFIG] if files is None else files
    return [str(path) for path in names if path.is_file()]


def paths(names: Iterable[str]) -> tuple[Path, ...]:
    """File names, with `~` as the shell would have it."""
    return tuple(Path(name).expanduser() for name in names)


async def resolve(asked: Asked, files: list[str]) -> Way:
    """Read ssh_config for one host.

    Raises:
        Unreachable: a line of it can't be used.
    """
    try:
        options = await asyncssh.SSHClientConnectionOptions.construct(
            config=files,
            host=asked.address,
            port=asked.port or (),
            username=asked.user or (),
            client_keys=None,
            known_hosts=None,
            server_host_key_algs="default",
        )
    except (OSError, ValueError, asyncssh.Error) as error:
        raise Unreachable(
            f"{asked.name}: ssh_config can't be used ({clean(str(error))}): correct that line"
        ) from None
    config = options.config
    user = asked.user or cast("str", config.get("User", asked.default_user or options.username))
    alias = options.host_key_alias
    jump = options.tunnel if isinstance(options.tunnel, str) else ""
    mine = cast("list[str] | None", config.get("UserKnownHostsFile"))
    known = [asked.known_hosts] if asked.known_hosts else list(USER_KNOWN_HOSTS)
    known = known if mine is None or asked.known_hosts else mine
    system = cast("list[str]", config.get("GlobalKnownHostsFile", list(SYSTEM_KNOWN_HOSTS)))
    named = asked.identity or tuple(cast("list[str]", config.get("IdentityFile", [])))
    return Way(
        asked=asked,
        host=options.host,
        port=options.port,
        user=user,
        known_as=alias or options.host,
        known_port=22 if alias else options.port,
        hops=tuple(hop.strip() for hop in jump.split(",") if hop.strip()),
        files=paths((*known, *system)),
        identities=paths(named),
        identities_only=bool(config.get("IdentitiesOnly")),
        host_key_algorithms=config.get("HostKeyAlgorithms") is not None,
    )


def hop(text: str) -> Asked:
    """One hop of ProxyJump: `[user@]host[:port]`, or an ssh:// address.

    Raises:
        Unreachable: its port is not a number.
    """
    text = text.removeprefix("ssh://").rstrip("/")
    user, _, place = text.rpartition("@")
    host, _, port = (
        place.rpartition(":") if place.count(":") == 1 or "]:" in place else (place, "", "")
    )
    if port and not port.isdecimal():
        raise Unreachable(f"ProxyJump {clean(text)}: {clean(port)} is no port; write host:22")
    return Asked(text, host.strip("[]"), user, int(port or 0))
