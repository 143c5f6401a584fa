"""Hosts found in files on the operator's machine.

The files belong to the operator or to libvirt, but a name in them may come from a DHCP client:
entries that are not a valid name or address are skipped.
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
"""Bytes read from one file; ten thousand leases need fewer."""


@dataclass(frozen=True, slots=True)
class Source:
    """The hosts found in some files."""

    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    """What was skipped, and why, in sentences."""


def ssh_config(path: Path) -> Source:
    """The hosts that ssh's configuration names, with their HostName and Port.

    Included files are read too, and `Match` is followed except for `exec`: the operator has not
    chosen these hosts yet, so no command is run for them.
    """
    path = at_home(path)
    try:
        path.open("rb").close()
        named = sshconfig.look([path], "", run=False)
    except OSError as error:
        return Source((), (f"{path}: {error.strerror}",))
    except sshconfig.SshConfigError as error:
        return Source((), (f"ssh can't use {path}: {sanitize(str(error))}",))
    found: list[Target] = []
    notes = [
        f"{match_line.where}: Match exec is not followed here, for it would run a command"
        for match_line in named.unfollowed
    ]
    for name in named.names:
        try:
            config = sshconfig.look([path], name, run=False)
        except (OSError, sshconfig.SshConfigError) as error:
            notes.append(f"{sanitize(name)} was left out: {sanitize(str(error))}")
            continue
        target = _target(config.host, name, "ssh config", config.get("port", "22"))
        if target is not None:
            found.append(target)
    return Source(tuple(found), tuple(notes))


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
