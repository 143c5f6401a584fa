"""Address arithmetic: what fits into a network, what it overlaps, which one to suggest.

Pure functions over text as people write it; only this module uses `netaddr`. Text that is not an
address or network raises `ValueError` with a sentence that says what would be valid.

The rules on the network's shape are those of flannel 0.10.0 (`subnet/config.go`), applied to every
version: older ones accept networks that they then can't serve.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from netaddr import INET_PTON, AddrFormatError, IPAddress, IPNetwork, IPSet, cidr_merge

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
"""RFC 1918, and the shared address space of RFC 6598."""

UNUSABLE = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
"""This network, loopback, link-local, and 224.0.0.0/3: multicast and the reserved rest."""

MAX_SUBNET_LEN = 30
"""The longest `SubnetLen` that flannel accepts."""


def address(text: str) -> IPAddress:
    """Parse an IPv4 or IPv6 address.

    Raises:
        ValueError: it is not one.
    """
    try:
        return IPAddress(text, flags=INET_PTON)
    except (AddrFormatError, ValueError, TypeError):
        raise ValueError("not an IP address") from None


def is_address(text: str) -> bool:
    """Whether the text is a single IPv4 or IPv6 address."""
    try:
        address(text)
    except ValueError:
        return False
    return True


def network(text: str) -> IPNetwork:
    """Parse an IPv4 network, written `a.b.c.d/len` without host bits.

    Raises:
        ValueError: it is not one; the message suggests what may have been meant.
    """
    base, slash, length = text.partition("/")
    try:
        start = address(base)
    except ValueError:
        raise ValueError("not a network; write it like 10.16.0.0/16") from None
    if start.version != 4:
        raise ValueError("an IPv6 network; flannel's is IPv4, like 10.16.0.0/16")
    if not slash:
        raise ValueError(f"it has no length; did you mean {text}/16?")
    if not (length.isascii() and length.isdigit() and len(length) <= 2 and int(length) <= 32):
        raise ValueError("the length after `/` is a number from 0 to 32, as in 10.16.0.0/16")
    net = IPNetwork(f"{base}/{int(length)}")
    if net.ip != net.network:
        raise ValueError(f"it has host bits; did you mean {net.cidr}?")
    return net


@lru_cache(maxsize=8192)
def _range(text: str) -> IPNetwork:
    """Parse an address or a network as a host reports it; host bits are ignored.

    Cached, since a form checks the same ranges of the same hosts at every keystroke.
    """
    try:
        address(text.partition("/")[0])
        return IPNetwork(text).cidr
    except (AddrFormatError, ValueError, TypeError):
        raise ValueError(f"not a network: {text!r}") from None


def is_private(text: str) -> bool:
    """Whether the whole network lies in RFC 1918 or RFC 6598 space.

    The procedure's own example, 18.16.0.0/16, does not.
    """
    net = _range(text)
    return any(net in IPNetwork(private) for private in PRIVATE)


def is_public(text: str) -> bool:
    """Whether any of the network could be public address space on the internet."""
    net = _range(text)
    return not is_private(text) and not any(net in IPNetwork(block) for block in UNUSABLE)


def inside(text: str, cidr: str) -> bool:
    """Whether an address lies in a network."""
    return address(text) in _range(cidr)


def refuse_network(cidr: str, *, allow_public: bool = False) -> str:
    """Why flannel can't use this network, and what it could use; empty if it can."""
    try:
        net = network(cidr)
    except ValueError as error:
        return str(error)
    unusable = next((block for block in UNUSABLE if _overlap(net, IPNetwork(block))), "")
    if unusable:
        return f"it meets {unusable}, which no container can use; {_private_hint()}"
    if net.prefixlen > MAX_SUBNET_LEN - 2:
        return f"too small for flannel: /{net.prefixlen}; /28 is the smallest, /16 is usual"
    if not is_private(cidr) and not allow_public:
        return (
            f"public addresses: containers could not reach their owners; {_private_hint()}; "
            "or set allow_public = true where they are yours"
        )
    return ""


def _private_hint() -> str:
    return f"take one from {', '.join(PRIVATE[:-1])} or {PRIVATE[-1]}"


def default_subnet_len(cidr: str) -> int:
    """The length that flannel uses when there is no `SubnetLen`."""
    prefix = network(cidr).prefixlen
    return 24 if prefix <= 22 else prefix + 2


def refuse_length(cidr: str, subnet_len: int) -> str:
    """Why a node can't get a `/subnet_len` of the network; empty if it can."""
    low = network(cidr).prefixlen + 2
    if low <= subnet_len <= MAX_SUBNET_LEN:
        return ""
    return (
        f"flannel wants room for four subnets at least in {cidr}: "
        f"a number from {low} to {MAX_SUBNET_LEN}, such as {max(default_subnet_len(cidr), low)}"
    )


def refuse_bound(cidr: str, subnet_len: int, bound: str) -> str:
    """Why no subnet starts at this address (`SubnetMin`, `SubnetMax`); empty if one does."""
    try:
        start = address(bound)
    except ValueError:
        start = None
    if start is None or start.version != 4:
        return "it is a subnet's IPv4 address, without a length, or empty"
    if start not in network(cidr):
        return f"it is not in {cidr}"
    aligned = IPNetwork(f"{bound}/{subnet_len}").network
    if aligned != start:
        return f"no /{subnet_len} begins there; did you mean {aligned}?"
    return ""


def capacity(cidr: str, subnet_len: int, subnet_min: str = "", subnet_max: str = "") -> int:
    """How many nodes can get a subnet; 0 or less if `subnet_max` is below `subnet_min`.

    flannel skips the network's first subnet unless `subnet_min` names it.
    """
    net, size = network(cidr), 1 << (32 - subnet_len)
    first = int(address(subnet_min)) if subnet_min else net.first + size
    last = int(address(subnet_max)) if subnet_max else net.last + 1 - size
    return (last - first) // size + 1


@dataclass(frozen=True, slots=True)
class Length:
    """What a given `SubnetLen` provides."""

    subnet_len: int
    subnets: int
    """How many nodes can get one."""

    addresses: int
    """Addresses for containers on each node: excludes the network, the broadcast and docker0's
    own."""


def lengths(cidr: str) -> tuple[Length, ...]:
    """Every `SubnetLen` that the network allows, shortest first."""
    low = network(cidr).prefixlen + 2
    return tuple(
        Length(size, capacity(cidr, size), (1 << (32 - size)) - 3)
        for size in range(low, MAX_SUBNET_LEN + 1)
    )


def shortest_for(cidr: str, nodes: int) -> int | None:
    """The `SubnetLen` that gives so many nodes the most addresses each; None: they don't fit."""
    return next((row.subnet_len for row in lengths(cidr) if row.subnets >= nodes), None)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one in other or other in one


@dataclass(frozen=True, slots=True)
class Overlap:
    """A range that overlaps a network."""

    cidr: str
    source: str
    """Where the range is in use: `route on fed-node1`."""

    def __str__(self) -> str:
        return f"{self.cidr} ({self.source})"


def overlaps(cidr: str, used: Mapping[str, Iterable[str]]) -> tuple[Overlap, ...]:
    """The ranges in use that overlap the network.

    Args:
        cidr: flannel's network.
        used: addresses and networks, by where they are in use. A default route's `0.0.0.0/0` is
            not a range in use, and IPv6 can't overlap; both are skipped.
    """
    net = network(cidr)
    found = []
    for source, texts in used.items():
        ranges = {_range(text) for text in texts}
        found += [
            Overlap(str(other), source)
            for other in sorted(ranges)
            if other.version == 4 and other.prefixlen and _overlap(net, other)
        ]
    return tuple(found)


def _candidates() -> Iterable[IPNetwork]:
    yield IPNetwork("10.16.0.0/16")
    yield from IPNetwork("10.0.0.0/8").subnet(16)
    yield from IPNetwork("172.16.0.0/12").subnet(16)
    yield from IPNetwork("192.168.0.0/16").subnet(20)


def propose(used: Iterable[str]) -> str:
    """Suggest a free network, always the same for the same used ranges; empty if there is none.

    10.16.0.0/16 if it is free, then another /16 of 10/8 or 172.16/12, then a /20 of 192.168/16.
    """
    ranges = (_range(text) for text in used)
    used_ranges = IPSet(cidr_merge([net for net in ranges if net.version == 4 and net.prefixlen]))
    return next((str(net) for net in _candidates() if used_ranges.isdisjoint(IPSet([net]))), "")
