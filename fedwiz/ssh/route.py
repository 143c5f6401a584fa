"""Where a name leads: what the operator's ssh_config makes of it."""

import asyncio
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh import sshconfig
from fedwiz.ssh.sshconfig import SYSTEM_CONFIG, Config, ConfigValue, SshConfigError
from fedwiz.util.files import at_home
from fedwiz.util.sanitize import sanitize

SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
MIN_RSA_BITS = 1024
"""What an RSA key must have where nobody says more; ssh's own default."""


@dataclass(frozen=True, slots=True)
class Target:
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
class Route:
    """A host as it is reached."""

    asked: Target
    host: str
    port: int
    user: str
    known_as: str
    """The name in known_hosts: HostKeyAlias, or the host."""

    known_port: int
    """22 where an alias is in use: it is written without a port."""

    hops: tuple[str, ...]
    """ProxyJump, first hop first."""

    proxy: tuple[str, ...]
    """ProxyCommand, as words for the system; empty: none."""

    files: tuple[Path, ...]
    """known_hosts files; a new key goes into the first."""

    identities: tuple[Path, ...] | None
    """Key files that somebody named; None: the usual ones."""

    certificates: tuple[Path, ...]
    identities_only: bool
    agent: str
    """The agent's socket; empty: no agent."""

    card: str
    """That PKCS11Provider is there and its keys are not shown; empty: it is not."""

    accept_new: bool
    """Whether ssh_config takes the key of a host that nobody knows."""

    hide: bool
    """Whether a new name goes into known_hosts hashed."""

    check_ip: bool
    revoked: Path | None
    """A file of keys that are good for nobody."""

    rsa_bits: int
    algorithms: Mapping[str, ConfigValue]
    """Lists of algorithms by their keyword in lower case, as they are written."""

    family: str
    bind: str

    @property
    def at(self) -> str:
        """User, host and port, for sentences."""
        return f"{self.user}@{self.host}" + (f" port {self.port}" if self.port != 22 else "")

    @property
    def alias(self) -> str:
        """HostKeyAlias; empty: none."""
        return self.known_as if self.known_as != self.host else ""


ALGORITHMS = (
    "casignaturealgorithms",
    "ciphers",
    "hostkeyalgorithms",
    "kexalgorithms",
    "macs",
    "pubkeyacceptedalgorithms",
)


def configs(files: Sequence[Path] | None) -> tuple[Path, ...]:
    """The ssh_config files to read, of which the first to say something is right."""
    names = [Path.home() / ".ssh/config", SYSTEM_CONFIG] if files is None else files
    return tuple(names)


def paths(names: Iterable[str]) -> tuple[Path, ...]:
    """File names, with `~` as the shell would have it."""
    return tuple(map(at_home, names))


async def resolve(asked: Target, files: Sequence[Path]) -> Route:
    """Read ssh_config for one host.

    What is said in the answers comes first, as what is said on ssh's command line does.  Passed
    over is what changes nothing here, or would only make less strict: ControlMaster, forwarding,
    terminals, passwords, UpdateHostKeys, VerifyHostKeyDNS, NoHostAuthenticationForLocalhost.

    StrictHostKeyChecking: `accept-new` is `--accept-new-host-keys`.  `no` is the same: a new key
    is taken and a changed one stops, though ssh would go on.  `ask` and `yes` are one here: what
    nobody knows is not taken, unless the operator says so by hand or on the command line.

    Raises:
        Unreachable: a line of it can't be used, or asks for what is not supported.
    """
    try:
        config = await asyncio.to_thread(
            sshconfig.look, files, asked.address, user=asked.user, port=asked.port
        )
        _see_supported(config)
        return _way(asked, config)
    except SshConfigError as error:
        raise UnreachableError(f"{asked.name}: {sanitize(str(error))}") from None
    except OSError as error:
        raise UnreachableError(
            f"{asked.name}: {sanitize(str(error.filename))} can't be read ({error.strerror}): "
            f"make that file yours"
        ) from None


def _way(asked: Target, config: Config) -> Route:
    host = config.host
    user = config.get("user") or asked.default_user or sshconfig.local_user()
    port = int(config.get("port", "22"))
    alias = config.get("hostkeyalias").lower()
    tokens = sshconfig.standard(host, asked.address, str(port), user, alias)
    jump = config.get("proxyjump")
    mine = _files(config, "userknownhostsfile", tokens, USER_KNOWN_HOSTS)
    system = _files(config, "globalknownhostsfile", tokens, SYSTEM_KNOWN_HOSTS)
    known = paths([asked.known_hosts]) if asked.known_hosts else mine
    revoked = config.first("revokedhostkeys")
    return Route(
        asked=asked,
        host=host,
        port=port,
        user=user,
        known_as=alias or host,
        known_port=22 if alias else port,
        hops=_hops(jump, tokens, config),
        proxy=_proxy(config, tokens),
        files=(*known, *system),
        identities=paths(asked.identity) or _identities(config, tokens),
        certificates=_several(config, "certificatefile", tokens) or (),
        identities_only=config.get("identitiesonly") == "yes",
        agent=_agent(config, tokens),
        card=_card(config),
        accept_new=config.get("stricthostkeychecking") in ("accept-new", "no"),
        hide=config.get("hashknownhosts") == "yes",
        check_ip=config.get("checkhostip") == "yes",
        revoked=_file(revoked, tokens) if revoked else None,
        rsa_bits=_number(config, "requiredrsasize", MIN_RSA_BITS),
        algorithms={name: said for name in ALGORITHMS if (said := config.first(name))},
        family=config.get("addressfamily", "any"),
        bind=config.get("bindaddress"),
    )


def _see_supported(config: Config) -> None:
    """See that nothing is asked for that is not done.

    Raises:
        BadConfig: it is; with its line and what to do.
    """
    refused = (
        ("knownhostscommand", "write the key into known_hosts, or the answers as `host_key`"),
        ("bindinterface", "say `BindAddress` and an address of that interface"),
        ("refuseconnection", "take it out for this host"),
    )
    for keyword, remedy in refused:
        if (said := config.first(keyword)) and said.words[0].lower() != "none":
            raise SshConfigError(f"{said.where}: {said.keyword} is not supported: {remedy}")
    if (said := config.first("proxyusefdpass")) and said.words[0] == "yes":
        raise SshConfigError(f"{said.where}: ProxyUseFdpass is not supported: use `ProxyJump`")
    if (said := config.first("pubkeyauthentication")) and said.words[0] == "no":
        raise SshConfigError(
            f"{said.where}: PubkeyAuthentication no leaves no way in, for only keys are "
            f"supported: say `yes` for this host"
        )
    methods = config.first("preferredauthentications")
    if methods and "publickey" not in methods.words[0].split(","):
        raise SshConfigError(
            f"{methods.where}: PreferredAuthentications leaves no way in, for only keys are "
            f"supported: add `publickey`"
        )


def _several(config: Config, keyword: str, tokens: Mapping[str, str]) -> tuple[Path, ...] | None:
    """Files that add up; `none` in the first place means none; None: nobody says."""
    found = config.said.get(keyword)
    if found is None:
        return None
    if found[0].words[0].lower() == "none":
        return ()
    return tuple(_file(said, tokens) for said in found)


def _identities(config: Config, tokens: Mapping[str, str]) -> tuple[Path, ...] | None:
    return _several(config, "identityfile", tokens)


def _files(
    config: Config, keyword: str, tokens: Mapping[str, str], usual: Sequence[str]
) -> tuple[Path, ...]:
    said = config.first(keyword)
    if said is None:
        return paths(usual)
    if said.words[0].lower() == "none":
        return ()
    return tuple(Path(sshconfig.expanded(word, tokens, said)) for word in said.words)


def _file(said: ConfigValue, tokens: Mapping[str, str]) -> Path:
    return Path(sshconfig.expanded(said.words[0], tokens, said))


def _agent(config: Config, tokens: Mapping[str, str]) -> str:
    """The agent's socket: a file, a variable that names one, or none."""
    said = config.first("identityagent")
    if said is None or said.words[0] == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    word = said.words[0]
    if word.lower() == "none":
        return ""
    if word.startswith("$") and not word.startswith("${"):
        return os.environ.get(word[1:], "")
    return sshconfig.expanded(word, tokens, said)


def _card(config: Config) -> str:
    said = config.first("pkcs11provider")
    if said is None or said.words[0].lower() == "none":
        return ""
    return (
        f"{said.where}: {said.keyword} is not supported, but the agent is: "
        f"`ssh-add -s {said.words[0]}`"
    )


def _hops(jump: str, tokens: Mapping[str, str], config: Config) -> tuple[str, ...]:
    said = config.first("proxyjump")
    if said is None or jump.lower() == "none":
        return ()
    few = {name: tokens[name] for name in "hnpr"}
    return tuple(
        sshconfig.percents(hop.strip(), few, said) for hop in jump.split(",") if hop.strip()
    )


def _proxy(config: Config, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """ProxyCommand by the operator's shell, which its last command takes the place of.

    What it says on stderr is not heard: the library would take it for the host's words.  It is
    kept open all the same, for the library takes its end for the end of the connection.
    """
    said = config.first("proxycommand")
    if said is None or said.words[0].lower() == "none":
        return ()
    few = {name: tokens[name] for name in "hnpr"}
    command = sshconfig.percents(said.words[0], few, said)
    shell = os.environ.get("SHELL") or "/bin/sh"
    return ("/bin/sh", "-c", 'exec 9>&2 2>/dev/null; exec "$0" -c "$1"', shell, f"exec {command}")


def _number(config: Config, keyword: str, default: int) -> int:
    said = config.first(keyword)
    if said is None:
        return default
    if not re.fullmatch("[0-9]{1,9}", said.words[0]):
        raise SshConfigError(f"{said.where}: {said.keyword} wants a number: correct it")
    return max(int(said.words[0]), default)


def hop(text: str) -> Target:
    """One hop of ProxyJump: `[user@]host[:port]`, or an ssh:// address.

    Raises:
        Unreachable: its port is not a number.
    """
    said = text
    text = text.removeprefix("ssh://").rstrip("/")
    user, _, place = text.rpartition("@")
    host, _, port = (
        place.rpartition(":") if place.count(":") == 1 or "]:" in place else (place, "", "")
    )
    if port and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise UnreachableError(
            f"ProxyJump {sanitize(said)}: {sanitize(port)} is no port; write host:22"
        )
    return Target(text, host.strip("[]"), user, int(port or 0))
