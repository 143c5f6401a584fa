"""Hosts found in files on the operator's machine.

The files belong to the operator or to libvirt, but a name in them may come from a DHCP client:
entries that are not a valid name or address are skipped.
"""

import glob
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from fedwiz.answers import rules
from fedwiz.discover.targets import SSH_PORT, Target
from fedwiz.ssh import known_hosts as hostkeys
from fedwiz.ssh.config import SIDE_BY_SIDE, SshConfig, SshConfigError
from fedwiz.util.files import at_home
from fedwiz.util.sanitize import sanitize

LIBVIRT = Path("/var/lib/libvirt/dnsmasq")
MAX_FILE_BYTES = 4 << 20
"""Bytes read from one file; ten thousand leases need fewer."""

MAX_INCLUDE_DEPTH = 16
MAX_PATH_CHARS = 4096
"""Linux has no longer ones."""

MAX_NAMED = 3
"""Hosts that one sentence names."""


@dataclass(frozen=True, slots=True)
class Source:
    """The hosts found in some files."""

    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    """What was skipped, and why, in sentences."""


def ssh_config(path: Path) -> Source:
    """The hosts that ssh's configuration names, with their HostName and Port.

    ssh is asked about each, but for the commands of `Match exec`: nobody has said yet that these
    hosts are wanted, so none is run for them.
    """
    path = at_home(path)
    try:
        path.open("rb").close()
    except OSError as error:
        return Source((), (f"{path}: {error.strerror}",))
    names, commands = host_names(path)
    notes = [
        f"{it}: Match exec is not followed here, for it would run a command" for it in commands
    ]
    config = SshConfig([path], run=False, tell=notes.append)
    found: list[Target] = []
    refused: dict[str, list[str]] = {}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        asked = {name: pool.submit(config.ask, name) for name in names}
    for name, said in asked.items():
        try:
            host = said.result()
        except SshConfigError as error:
            refused.setdefault(str(error), []).append(name)
            continue
        target = _target(host.host, name, "ssh config", str(host.port))
        if target is not None:
            found.append(target)
    for reason, hosts in refused.items():
        more = f" and {len(hosts) - MAX_NAMED} more" if len(hosts) > MAX_NAMED else ""
        notes.append(sanitize(f"{reason} (left out: {', '.join(hosts[:MAX_NAMED])}{more})"))
    return Source(tuple(found), tuple(dict.fromkeys(notes)))


def host_names(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What `Host` lines name without a pattern; and where a `Match exec` stands.

    What is included is read, too, be its lines about these hosts or not.
    """
    names: dict[str, None] = {}
    commands: list[str] = []
    seen: set[Path] = set()

    def take(file: Path, depth: int) -> None:
        if depth > MAX_INCLUDE_DEPTH or file in seen or not file.is_file():
            return
        seen.add(file)
        for number, line in enumerate(_read(file)[0].split("\n"), 1):
            keyword, words = _words(line)
            if keyword == "host":
                names.update(dict.fromkeys(it for it in words if it and not set(it) & set("*?!")))
            elif keyword == "match" and re.search(r"\bexec\b", line, re.IGNORECASE):
                commands.append(f"line {number} of {file}")
            elif keyword == "include":
                for word in words:
                    for found in _included(word):
                        take(found, depth + 1)

    take(path, 0)
    return tuple(names), tuple(commands)


def _words(line: str) -> tuple[str, list[str]]:
    """A line's keyword in lower case, and its words."""
    found = re.match(r"""[ \t\r]*"?(host|match|include)"?[ \t=]+(.*)""", line, re.IGNORECASE)
    if found is None:
        return "", []
    try:
        return found[1].lower(), shlex.split(found[2], comments=True)
    except ValueError:
        return found[1].lower(), []


def _included(word: str) -> Iterator[Path]:
    """The files that a word of Include names, as ssh looks for them in a user's file."""
    word = re.sub(r"\$\{([^}]*)\}", lambda name: os.environ.get(name[1], name[0]), word)
    pattern = str(at_home("~/.ssh") / at_home(word))
    if len(pattern) <= MAX_PATH_CHARS and "\0" not in pattern:
        yield from map(Path, sorted(glob.glob(pattern)))  # noqa: PTH207 - it begins with /


def known_hosts(path: Path) -> Source:
    """The hosts whose keys are stored by name or address; hashed entries are only counted."""
    text, notes = _read(path)
    targets: list[Target] = []
    hashed = 0
    for entry in hostkeys.parse(text, str(path)):
        if entry.names.startswith("|"):
            hashed += 1
            continue
        if entry.marker:  # an authority is not a host, and a revoked key belongs to nobody
            continue
        names, addresses = _split_names(entry.names.split(","))
        name = names[0][0] if names else ""
        for address, port in addresses or names:
            if (target := _target(address, name, "known_hosts", port)) is not None:
                targets.append(target)
    if hashed:
        notes += (f"{path}: {hashed} hashed entries don't say whose they are",)
    return Source(tuple(dict.fromkeys(targets)), notes)


def _split_names(written: Iterable[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Names and IPv4 addresses of one entry, each with its port."""
    names: list[tuple[str, str]] = []
    addresses: list[tuple[str, str]] = []
    for text in written:
        bracketed = re.fullmatch(r"\[(.+)\]:([0-9]+)", text)
        where = (bracketed[1], bracketed[2]) if bracketed else (text, str(SSH_PORT))
        (addresses if _is_ipv4(where[0]) else names).append(where)
    return names, addresses


def libvirt(directory: Path = LIBVIRT) -> Source:
    """The guests that libvirt's dnsmasq has given addresses to.

    Source: `<bridge>.status`, JSON: [{"ip-address", "mac-address", "hostname"?, ...}]; and
    dnsmasq's `<network>.leases`, lines of: expiry, MAC, address, name or `*`, client id.
    """
    found: list[Target] = []
    notes: tuple[str, ...] = ()
    try:
        files = sorted(directory.iterdir())
    except OSError as error:
        return Source(
            (), (f"{directory}: {error.strerror}; is libvirt's network on this machine?",)
        )
    for path in files:
        if path.suffix not in (".status", ".leases"):
            continue
        text, more = _read(path)
        notes += more
        if path.suffix == ".leases":
            pairs = [tuple(line.split()[2:4]) for line in text.splitlines()]
            leases = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
        else:
            leases = list(_status(text))
        for address, name in leases:
            host = name if _is_name(name) else ""
            if _is_ipv4(address):
                found.append(Target(address, SSH_PORT, host, "libvirt"))
    return Source(tuple(dict.fromkeys(found)), notes)


def _status(text: str) -> Iterator[tuple[str, str]]:
    try:
        parsed = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return
    for lease in parsed if isinstance(parsed, list) else ():
        match lease:
            case {"ip-address": str(address), **rest}:
                yield address, str(rest.get("hostname", ""))


def _target(address: str, name: str, source: str, port: str) -> Target | None:
    if not (_is_ipv4(address) or _is_name(address)):
        return None
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        return None
    return Target(address, int(port), name if _is_name(name) else "", source)


def _is_ipv4(text: str) -> bool:
    try:
        return bool(str(IPv4Address(text)))
    except ValueError:
        return False


def _is_name(text: str) -> bool:
    try:
        return bool(rules.host_name(text)) and not _is_ipv4(text)
    except ValueError:
        return False


def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """A file's text, and a note if it can't be read."""
    try:
        with at_home(path).open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode(errors="replace"), ()
    except OSError as error:
        return "", (f"{path}: {error.strerror}",)
