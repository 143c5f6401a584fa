"""Where a name leads: what the operator's ssh_config makes of it."""

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
    algorithms: Mapping[str, str]
    """Lists of algorithms by their keyword in lower case, where somebody named some."""

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
"""As ssh_config(5) writes them, for sentences."""

ALGORITHMS = (
    "casignaturealgorithms",
    "ciphers",
    "hostkeyalgorithms",
    "kexalgorithms",
    "macs",
    "pubkeyacceptedalgorithms",
)


def config_files(files: Sequence[Path] | None) -> tuple[Path, ...]:
    """The ssh_config files to read, of which the first to say something is right."""
    names = [Path.home() / ".ssh/config", SYSTEM_CONFIG] if files is None else files
    return tuple(names)


def paths(names: Iterable[str]) -> tuple[Path, ...]:
    """File names, with `~` as the shell would have it."""
    return tuple(map(at_home, names))


async def resolve(asked: Target, config: SshConfig) -> Route:
    """Ask ssh about one host.

    What is said in the answers comes first, as what is said on ssh's command line does.  Passed
    over is what changes nothing here, or would only make less strict: ControlMaster, forwarding,
    terminals, passwords, UpdateHostKeys, VerifyHostKeyDNS, NoHostAuthenticationForLocalhost.

    StrictHostKeyChecking: `accept-new` is `--accept-new-host-keys`.  `no` is the same: a new key
    is taken and a changed one stops, though ssh would go on.  `ask` and `yes` are one here: what
    nobody knows is not taken, unless the operator says so by hand or on the command line.

    Raises:
        Unreachable: ssh refuses a line of it, or it asks for what is not supported.
    """
    try:
        said = await config.about(
            asked.address, user=asked.user, port=asked.port, default_user=asked.default_user
        )
        return route(asked, said)
    except SshConfigError as error:
        raise UnreachableError(f"{asked.name}: {sanitize(str(error))}") from None


def route(asked: Target, config: HostConfig) -> Route:
    """How a host is reached, by what ssh makes of its configuration.

    Raises:
        SshConfigError: it asks for what is not supported; names that, and what to do.
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
    """See that nothing is asked for that is not done.

    Raises:
        SshConfigError: it is; with what to do.
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
    """A keyword as sentences have it."""
    return f"{KEYWORDS[keyword]} in ssh_config"


def _tokens(original: str, alias: str, config: HostConfig) -> dict[str, str]:
    """What the tokens of file names and commands stand for, but `%C` and `%j`."""
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
    """The text with its `%` tokens put in, where `ssh -G` leaves them.

    Raises:
        SshConfigError: a token that this option does not have.
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
    """A file's name with `~`, its tokens and `${VARIABLES}` put in, where `ssh -G` leaves them.

    Raises:
        SshConfigError: a token or a variable that there is not.
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
    """A file's name that ssh has put `~` into, with the home that fedwiz goes by.

    ssh takes it from the passwd database, fedwiz from $HOME; almost always they are the same.
    """
    home = pwd.getpwuid(os.getuid()).pw_dir.rstrip("/")
    return (
        Path.home() / path.removeprefix(f"{home}/") if path.startswith(f"{home}/") else Path(path)
    )


def _several(
    config: HostConfig, keyword: str, tokens: Mapping[str, str]
) -> tuple[Path, ...] | None:
    """Files that add up; `none` in the first place means none; None: nobody says."""
    found = config.options.get(keyword)
    if found is None:
        return None
    if found[0].lower() == "none":
        return ()
    return tuple(Path(_expanded(it, tokens, keyword)) for it in found)


def _files(value: str) -> list[str]:
    """File names in one line: `ssh -G` quotes none, so another begins where a path does."""
    return [] if value.lower() == "none" else re.split(r" (?=[/~$%])", value)


def _user_known_hosts(config: HostConfig) -> tuple[Path, ...]:
    value = config.get("userknownhostsfile")
    return tuple(map(_own, _files(value))) if value else paths(USER_KNOWN_HOSTS)


def _system_known_hosts(config: HostConfig, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    names = _files(config.get("globalknownhostsfile", " ".join(SYSTEM_KNOWN_HOSTS)))
    return tuple(Path(_expanded(it, tokens, "globalknownhostsfile")) for it in names)


def _agent(config: HostConfig, tokens: Mapping[str, str]) -> str:
    """The agent's socket: a file, a variable that names one, or none."""
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
    """ProxyJump; `ssh -G` puts brackets around a host with a port, which only IPv6 needs."""
    jump = config.get("proxyjump", "none")
    if jump.lower() == "none":
        return ()
    few = {name: tokens[name] for name in "hnpr"}
    hops = [re.sub(r"\[([^][:]*)\]", r"\1", hop.strip()) for hop in jump.split(",")]
    return tuple(_percents(hop, few, "proxyjump") for hop in hops if hop)


def _proxy(config: HostConfig, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """ProxyCommand by the operator's shell, which its last command takes the place of.

    What it says on stderr is not heard: the library would take it for the host's words.  It is
    kept open all the same, for the library takes its end for the end of the connection.
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
            f"ProxyJump {sanitize(said)}: {sanitize(port)} is not a valid port; write host:22"
        )
    return Target(text, host.strip("[]"), user, int(port or 0))
