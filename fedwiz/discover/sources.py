"""Hosts that files on the operator's machine already know of.

The files are the operator's own or libvirt's, yet a name in them may have come from a DHCP
client: what is no name or address is left out.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from fedwiz.answers import rules
from fedwiz.discover.targets import SSH_PORT, Target
from fedwiz.ssh import known_hosts as hostkeys
from fedwiz.ssh import sshconfig
from fedwiz.util.files import at_home
from fedwiz.util.sanitize import sanitize

LIBVIRT = Path("/var/lib/libvirt/dnsmasq")
MAX_FILE_BYTES = 4 << 20
"""Bytes read of one file; ten thousand leases have fewer."""


@dataclass(frozen=True, slots=True)
class Source:
    """What some files know."""

    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    """What was not used, and why, in sentences."""


def ssh_config(path: Path) -> Source:
    """The hosts that ssh's configuration names, with their HostName and Port.

    What it includes is read, too, and `Match` is followed but for `exec`: nobody has said yet
    that these hosts are wanted, so no command is run for them.
    """
    path = at_home(path)
    try:
        path.open("rb").close()
        named = sshconfig.look([path], "", run=False)
    except OSError as error:
        return Source((), (f"{path}: {error.strerror}",))
    except sshconfig.SshConfigError as why:
        return Source((), (f"ssh can't use {path}: {sanitize(str(why))}",))
    found: list[Target] = []
    notes = [
        f"{said.where}: Match exec is not followed here, for it would run a command"
        for said in named.unfollowed
    ]
    for name in named.names:
        try:
            config = sshconfig.look([path], name, run=False)
        except (OSError, sshconfig.SshConfigError) as why:
            notes.append(f"{sanitize(name)} was left out: {sanitize(str(why))}")
            continue
        target = _target(config.host, name, "ssh config", config.get("port", "22"))
        if target is not None:
            found.append(target)
    return Source(tuple(found), tuple(notes))


def known_hosts(path: Path) -> Source:
    """The hosts whose keys are known by name or address; of hashed ones the number only."""
    text, notes = _read(path)
    found: list[Target] = []
    hashed = 0
    for entry in hostkeys.parse(text, str(path)):
        if entry.names.startswith("|"):
            hashed += 1
            continue
        if entry.marker:  # an authority is no host, and a revoked key is nobody's
            continue
        names, addresses = _sorted(entry.names.split(","))
        name = names[0][0] if names else ""
        for address, port in addresses or names:
            if (target := _target(address, name, "known_hosts", port)) is not None:
                found.append(target)
    if hashed:
        notes += (f"{path}: {hashed} hashed entries don't say whose they are",)
    return Source(tuple(dict.fromkeys(found)), notes)


def _sorted(written: Iterable[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Names and IPv4 addresses of one entry, each with its port."""
    names: list[tuple[str, str]] = []
    addresses: list[tuple[str, str]] = []
    for text in written:
        bracketed = re.fullmatch(r"\[(.+)\]:([0-9]+)", text)
        where = (bracketed[1], bracketed[2]) if bracketed else (text, str(SSH_PORT))
        (addresses if _is_ipv4(where[0]) else names).append(where)
    return names, addresses


def libvirt(directory: Path = LIBVIRT) -> Source:
    """The guests that libvirt's dnsmasq gave addresses to.

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
        said = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return
    for lease in said if isinstance(said, list) else ():
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
    """A file's text, and a note where it can't be read."""
    try:
        with at_home(path).open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode(errors="replace"), ()
    except OSError as error:
        return "", (f"{path}: {error.strerror}",)
