"""The route to a host, as the operator's ssh_config describes it."""

import os
import pwd
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh.config import SYSTEM_CONFIG, HostConfig, SshConfig, SshConfigError, local_user
from fedwiz.util.files import at_home
from fedwiz.util.sanitize import sanitize

SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
MIN_RSA_BITS = 1024
"""The minimum size of an RSA key unless RequiredRSASize is larger; ssh's own default."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host as the answers name it; empty fields are left to ssh_config."""

    name: str
    """Its name in messages."""

    address: str
    """As typed after `ssh`."""

    user: str = ""
    port: int = 0
    identity: tuple[str, ...] = ()
    known_hosts: str = ""
    pin: str = ""
    """Fingerprint of its key."""

    default_user: str = ""
    """The user if ssh_config sets none; empty: the user who runs fedwiz, as in ssh."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a host is reached."""

    asked: Target
    host: str
    port: int
    user: str
    known_as: str
    """The name in known_hosts: HostKeyAlias, or the host."""

    known_port: int
    """22 if there is an alias: known_hosts has aliases without a port."""

    hops: tuple[str, ...]
    """ProxyJump, first hop first."""

    proxy: tuple[str, ...]
    """ProxyCommand, as words for the system; empty: none."""

    files: tuple[Path, ...]
    """known_hosts files; a new key goes into the first."""

    identities: tuple[Path, ...] | None
    """Configured key files; None: the default ones."""

    certificates: tuple[Path, ...]
    identities_only: bool
    agent: str
    """The agent's socket; empty: no agent."""

    card: str
    """The hint that keys of PKCS11Provider are not offered; empty: it is not set."""

    accept_new: bool
    """Whether ssh_config accepts unknown host keys."""

    hide: bool
    """Whether names are hashed in known_hosts."""

    check_ip: bool
    revoked: Path | None
    """A file of revoked keys."""

    rsa_bits: int
    algorithms: Mapping[str, str]
    """Configured lists of algorithms by lower-case keyword."""

    family: str
    bind: str

    @property
    def at(self) -> str:
        """User, host and port, for messages."""
        return f"{self.user}@{self.host}" + (f" port {self.port}" if self.port != 22 else "")

    @property
    def alias(self) -> str:
        """HostKeyAlias; empty: none."""
        return self.known_as if self.known_as != self.host else ""


KEYWORDS = {
    keyword.lower(): keyword
    for keyword in (
        "BindInterface",
        "CASignatureAlgorithms",
        "CertificateFile",
        "Ciphers",
        "GlobalKnownHostsFile",
        "HostKeyAlgorithms",
        "IdentityAgent",
        "IdentityFile",
        "KexAlgorithms",
        "KnownHostsCommand",
        "MACs",
        "PKCS11Provider",
        "PreferredAuthentications",
        "ProxyCommand",
        "ProxyJump",
        "ProxyUseFdpass",
        "PubkeyAcceptedAlgorithms",
        "PubkeyAuthentication",
        "RefuseConnection",
        "RequiredRSASize",
        "RevokedHostKeys",
    )
}
"""Keywords as ssh_config(5) spells them, for messages."""

ALGORITHMS = (
    "casignaturealgorithms",
    "ciphers",
    "hostkeyalgorithms",
    "kexalgorithms",
    "macs",
    "pubkeyacceptedalgorithms",
)


def config_files(files: Sequence[Path] | None) -> tuple[Path, ...]:
    """The ssh_config files to read; the first that sets an option wins."""
    names = [Path.home() / ".ssh/config", SYSTEM_CONFIG] if files is None else files
    return tuple(names)


def paths(names: Iterable[str]) -> tuple[Path, ...]:
    """File names with `~` expanded as in a shell."""
    return tuple(map(at_home, names))


async def resolve(asked: Target, config: SshConfig) -> Route:
    """Work out the route to a host.

    Answers override ssh_config, as ssh's command line does. Ignored options: those without effect
    here, and those that would only weaken security: ControlMaster, forwarding, terminals,
    passwords, UpdateHostKeys, VerifyHostKeyDNS, NoHostAuthenticationForLocalhost.

    StrictHostKeyChecking: `accept-new` acts like `--accept-new-host-keys`. So does `no`: a new key
    is accepted, but a changed key stops fedwiz, although ssh would continue. `ask` and `yes` are
    the same: an unknown key is accepted only by the operator, in person or on the command line.

    Raises:
        UnreachableError: ssh refuses its configuration, or an option in it is not supported.
    """
    try:
        said = await config.about(
            asked.address, user=asked.user, port=asked.port, default_user=asked.default_user
        )
        return route(asked, said)
    except SshConfigError as error:
        raise UnreachableError(f"{asked.name}: {sanitize(str(error))}") from None


def route(asked: Target, config: HostConfig) -> Route:
    """The route to a host with this configuration.

    Raises:
        SshConfigError: an option is not supported; the message names it, and what to do.
    """
    _see_supported(config)
    alias = config.get("hostkeyalias").lower()
    tokens = _tokens(asked.address, alias, config)
    known = paths([asked.known_hosts]) if asked.known_hosts else _user_known_hosts(config)
    revoked = config.get("revokedhostkeys")
    return Route(
        asked=asked,
        host=config.host,
        port=config.port,
        user=config.user,
        known_as=alias or config.host,
        known_port=22 if alias else config.port,
        hops=_hops(config, tokens),
        proxy=_proxy(config, tokens),
        files=(*known, *_system_known_hosts(config, tokens)),
        identities=paths(asked.identity) or _several(config, "identityfile", tokens),
        certificates=_several(config, "certificatefile", tokens) or (),
        identities_only=config.get("identitiesonly") == "yes",
        agent=_agent(config, tokens),
        card=_card(config),
        accept_new=config.get("stricthostkeychecking") in ("accept-new", "no", "off", "false"),
        hide=config.get("hashknownhosts") == "yes",
        check_ip=config.get("checkhostip") == "yes",
        revoked=_own(_expanded(revoked, tokens, "revokedhostkeys")) if revoked else None,
        rsa_bits=_number(config, "requiredrsasize", MIN_RSA_BITS),
        algorithms={name: said for name in ALGORITHMS if (said := config.get(name))},
        family=config.get("addressfamily", "any"),
        bind=config.get("bindaddress"),
    )


def _see_supported(config: HostConfig) -> None:
    """Check that no unsupported option is set.

    Raises:
        SshConfigError: one is; the message says what to do.
    """
    refused = (
        ("knownhostscommand", "write the key into known_hosts, or the answers as `host_key`"),
        ("bindinterface", "say `BindAddress` and an address of that interface"),
        ("refuseconnection", "take it out for this host"),
    )
    for keyword, remedy in refused:
        if config.get(keyword, "none").lower() != "none":
            raise SshConfigError(f"{in_config(keyword)} is not supported: {remedy}")
    if config.get("proxyusefdpass") == "yes":
        raise SshConfigError(f"{in_config('proxyusefdpass')} is not supported: use `ProxyJump`")
    if config.get("pubkeyauthentication") in ("no", "false"):
        raise SshConfigError(
            f"{in_config('pubkeyauthentication')} is `no` and leaves no way in, for only keys are "
            f"supported: say `yes` for this host"
        )
    methods = config.get("preferredauthentications")
    if methods and "publickey" not in methods.split(","):
        raise SshConfigError(
            f"{in_config('preferredauthentications')} leaves no way in, for only keys are "
            f"supported: add `publickey`"
        )


def in_config(keyword: str) -> str:
    """A keyword as messages name it."""
    return f"{KEYWORDS[keyword]} in ssh_config"


def _tokens(original: str, alias: str, config: HostConfig) -> dict[str, str]:
    """The values of the tokens in file names and commands, except `%C` and `%j`."""
    local = os.uname().nodename
    return {
        "d": str(Path.home()),
        "h": config.host,
        "i": str(os.getuid()),
        "k": alias or config.host,
        "L": local.split(".")[0],
        "l": local,
        "n": original,
        "p": str(config.port),
        "r": config.user,
        "u": local_user(),
    }


def _percents(text: str, tokens: Mapping[str, str], keyword: str) -> str:
    """Expand the `%` tokens that `ssh -G` leaves in place.

    Raises:
        SshConfigError: the option does not have such a token.
    """

    def token(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in tokens:
            raise SshConfigError(
                f"%{found[1]} is not supported in {in_config(keyword)}: write it out"
            )
        return tokens[found[1]]

    return re.sub(r"%(.?)", token, text)


def _expanded(text: str, tokens: Mapping[str, str], keyword: str) -> str:
    """Expand `~`, tokens and `${VARIABLES}` in a file name, where `ssh -G` leaves them in place.

    Raises:
        SshConfigError: there is no such token or variable.
    """

    def variable(name: str) -> str:
        if name not in os.environ:
            raise SshConfigError(
                f"{in_config(keyword)} names a variable {name} that the environment has not: "
                f"set it, or write it out"
            )
        return os.environ[name]

    parts = re.split(r"(\$\{[^}]*\})", str(at_home(text)))
    return "".join(
        variable(part[2:-1]) if part.startswith("${") else _percents(part, tokens, keyword)
        for part in parts
    )


def _own(path: str) -> Path:
    """A file name in which ssh expanded `~`, moved to the home directory that fedwiz uses.

    ssh takes the home from the passwd database, fedwiz from $HOME; they almost always agree.
    """
    home = pwd.getpwuid(os.getuid()).pw_dir.rstrip("/")
    return (
        Path.home() / path.removeprefix(f"{home}/") if path.startswith(f"{home}/") else Path(path)
    )


def _several(
    config: HostConfig, keyword: str, tokens: Mapping[str, str]
) -> tuple[Path, ...] | None:
    """The files of an option that may be repeated; a first `none` means none; None: not set."""
    found = config.options.get(keyword)
    if found is None:
        return None
    if found[0].lower() == "none":
        return ()
    return tuple(Path(_expanded(it, tokens, keyword)) for it in found)


def _files(value: str) -> list[str]:
    """Split a line of file names: `ssh -G` does not quote, so a name starts where a path does."""
    return [] if value.lower() == "none" else re.split(r" (?=[/~$%])", value)


def _user_known_hosts(config: HostConfig) -> tuple[Path, ...]:
    value = config.get("userknownhostsfile")
    return tuple(map(_own, _files(value))) if value else paths(USER_KNOWN_HOSTS)


def _system_known_hosts(config: HostConfig, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    names = _files(config.get("globalknownhostsfile", " ".join(SYSTEM_KNOWN_HOSTS)))
    return tuple(Path(_expanded(it, tokens, "globalknownhostsfile")) for it in names)


def _agent(config: HostConfig, tokens: Mapping[str, str]) -> str:
    """The agent's socket: a path, a variable with one, or none."""
    word = config.get("identityagent", "SSH_AUTH_SOCK")
    if word.lower() == "none":
        return ""
    if word == "SSH_AUTH_SOCK" or (word.startswith("$") and not word.startswith("${")):
        return os.environ.get(word.removeprefix("$"), "")
    return str(_own(word if word.startswith("/") else _expanded(word, tokens, "identityagent")))


def _card(config: HostConfig) -> str:
    provider = config.get("pkcs11provider", "none")
    if provider.lower() == "none":
        return ""
    return (
        f"{in_config('pkcs11provider')} is not supported, but the agent is: `ssh-add -s {provider}`"
    )


def _hops(config: HostConfig, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """ProxyJump. `ssh -G` puts every host with a port in brackets, which only IPv6 needs."""
    jump = config.get("proxyjump", "none")
    if jump.lower() == "none":
        return ()
    few = {name: tokens[name] for name in "hnpr"}
    hops = [re.sub(r"\[([^][:]*)\]", r"\1", hop.strip()) for hop in jump.split(",")]
    return tuple(_percents(hop, few, "proxyjump") for hop in hops if hop)


def _proxy(config: HostConfig, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """ProxyCommand, run by the operator's shell, which `exec` replaces with the command.

    Its stderr is discarded, because asyncssh would take it for output of the host; but it is kept
    open, because asyncssh takes its end for the end of the connection.
    """
    said = config.get("proxycommand", "none")
    if said.lower() == "none" or config.get("proxyjump"):
        return ()
    few = {name: tokens[name] for name in "hnpr"}
    command = _percents(said, few, "proxycommand")
    shell = os.environ.get("SHELL") or "/bin/sh"
    return ("/bin/sh", "-c", 'exec 9>&2 2>/dev/null; exec "$0" -c "$1"', shell, f"exec {command}")


def _number(config: HostConfig, keyword: str, default: int) -> int:
    said = config.get(keyword, str(default))
    if not re.fullmatch("[0-9]{1,9}", said):
        raise SshConfigError(f"{in_config(keyword)} wants a number: correct it")
    return max(int(said), default)


def hop(text: str) -> Target:
    """Parse one hop of ProxyJump: `[user@]host[:port]`, or an ssh:// URI.

    Raises:
        UnreachableError: its port is not valid.
    """
    said = text
    text = text.removeprefix("ssh://").rstrip("/")
    user, _, place = text.rpartition("@")
    host, _, port = (
        place.rpartition(":") if place.count(":") == 1 or "]:" in place else (place, "", "")
    )
    if port and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise UnreachableError(
            f"ProxyJump {sanitize(said)}: {sanitize(port)} is not a valid port; write host:22"
        )
    return Target(text, host.strip("[]"), user, int(port or 0))
