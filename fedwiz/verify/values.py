"""The shapes of verification."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, TypeAlias

from fedwiz.events import Judged

Kind: TypeAlias = Literal["address", "lease", "subnet_env", "ping"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is so on the finished network, and whether that is right."""

    kind: Kind
    host: str
    """Empty: no host that the answers know."""

    peer: str
    """The host that was pinged; empty with the other kinds."""

    level: Judged
    seen: str
    """As the host or etcd has it; may be several lines."""

    why: str = ""
    """What is wrong, and one thing to do.  Beside a `pass`: a warning."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A container that was started for this verification."""

    pid: int
    netns: str
    """Names its network namespace, so that a number used again is noticed: `net:[4026532]`."""

    address: IPv4Address
    mtu: int


@dataclass(frozen=True, slots=True)
class Up:
    """What a node said when it was asked for a container."""

    inet: str = ""
    """`ip -4 address`, its lines with an address."""

    docker: bool = True
    """docker runs there."""

    pod: Pod | None = None
    error: str = ""
    """Why there is no container."""


@dataclass(frozen=True, slots=True)
class Ping:
    """What one ping said."""

    sent: int
    received: int
    rtt: str = ""
    """Milliseconds, `min/avg/max`; empty where nothing came back."""

    note: str = ""
    """The first trouble it told of: `From 10.16.29.1 icmp_seq=1 Destination Host Unreachable`."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the network is meant to be: etcd's word, or the answers' where etcd has none."""

    network: IPv4Network
    backend: str
    device: str
    """flannel's own device on a node; empty: this backend has none."""
