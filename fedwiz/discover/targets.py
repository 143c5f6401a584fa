"""The addresses and names to scan, from what the operator typed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from fedwiz.answers import rules
from fedwiz.util.sanitize import sanitize

SSH_PORT = 22

MAX_ADDRESSES = 4096
"""Maximum number of addresses of one scan: a /20, about a minute if nobody answers."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address to scan."""

    address: str
    """An IPv4 address, or a name to resolve."""

    port: int = SSH_PORT
    name: str = ""
    source: str = ""
    """Its source, e.g. `known_hosts`; empty: typed by the operator."""


def expand(lines: Iterable[str]) -> tuple[Target, ...]:
    """The targets of some words or lines, without duplicates, in their order.

    Accepts `192.168.122.0/24`, `192.168.122.10-40`, `192.168.122.10-192.168.122.40`, an address or
    a name, each with `:port` if it isn't 22, and lines as in /etc/hosts.

    Raises:
        ValueError: names everything that is invalid, and what would be valid.
    """
    found: dict[tuple[str, int], Target] = {}
    errors: list[str] = []
    for text in lines:
        try:
            for target in _targets(text.partition("#")[0].strip()):
                existing = found.setdefault((target.address, target.port), target)
                if target.name and not existing.name:
                    found[target.address, target.port] = target
        except ValueError as error:
            errors.append(f"{sanitize(text.strip())[:80]!r}: {error}")
    if len(found) > MAX_ADDRESSES:
        errors.append(
            f"{len(found)} addresses in all: at most {MAX_ADDRESSES} are looked at in one go"
        )
    if errors:
        raise ValueError("\n".join(errors))
    return tuple(found.values())


def _targets(text: str) -> Iterator[Target]:
    words = text.split()
    if len(words) > 1:  # as in /etc/hosts: an address and its names
        yield Target(str(_ipv4(words[0])), name=rules.host_name(words[1]), source="hosts")
        return
    if not words:
        return
    where, port = _port(text)
    if "@" in where:
        raise ValueError("a user isn't part of a search: leave out what is before the `@`")
    if "/" in where:
        yield from (Target(address, port) for address in _network(where))
    elif match := re.fullmatch(r"(\d+\.\d+\.\d+\.)(\d+)-(?:(\d+\.\d+\.\d+\.\d+)|(\d+))", where):
        first = _ipv4(match[1] + match[2])
        last = _ipv4(match[3] or match[1] + match[4])
        yield from (Target(address, port) for address in _range(first, last))
    elif re.fullmatch(r"[0-9.]+", where):
        yield Target(str(_ipv4(where)), port)
    else:
        yield Target(rules.host_name(where), port, name=where)


def _port(text: str) -> tuple[str, int]:
    where, colon, digits = text.rpartition(":")
    if not colon:
        return text, SSH_PORT
    if ":" in where:
        raise ValueError("only IPv4 is looked at, such as 192.168.122.0/24; flannel's nodes use it")
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 0 < int(digits) < 65536:
        raise ValueError("after the `:` comes a port from 1 to 65535")
    return where, int(digits)


def _ipv4(text: str) -> IPv4Address:
    if ":" in text:
        raise ValueError("only IPv4 is looked at, such as 192.168.122.76; flannel's nodes use it")
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError(
            f"{sanitize(text)[:40]} is not an IPv4 address, such as 192.168.122.76"
        ) from None


def _network(text: str) -> Iterator[str]:
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("not an IPv4 network, such as 192.168.122.0/24") from None
    if network.num_addresses > MAX_ADDRESSES:
        raise ValueError(
            f"{network.num_addresses} addresses; at most {MAX_ADDRESSES}, such as {network[0]}/20"
        )
    return (str(address) for address in network.hosts())


def _range(first: IPv4Address, last: IPv4Address) -> Iterator[str]:
    size = int(last) - int(first) + 1
    if size < 1:
        raise ValueError("the range ends before it begins, unlike 192.168.122.10-40")
    if size > MAX_ADDRESSES:
        raise ValueError(f"{size} addresses; at most {MAX_ADDRESSES}")
    return (str(first + step) for step in range(size))
