"""The data types of verification."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TypeAlias

from fedwiz.model.backends import Options
from fedwiz.model.events import Verified

Verdict: TypeAlias = Verified
"""The journal's event serves as the verdict."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A container that was started for this verification."""

    pid: int
    netns: str
    """Identifies its network namespace, so that a reused PID is noticed: `net:[4026532]`."""

    address: IPv4Address
    mtu: int


@dataclass(frozen=True, slots=True)
class Up:
    """A node's reply to the request for a container."""

    inet: str = ""
    """The lines of `ip -4 address` with an address."""

    docker: bool = True
    """docker is running there."""

    pod: Pod | None = None
    error: str = ""
    """Why there is no container."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The result of one ping."""

    sent: int
    received: int
    rtt: str = ""
    """Milliseconds, `min/avg/max`; empty if nothing came back."""

    note: str = ""
    """Its first error message: `From 10.16.29.1 icmp_seq=1 Destination Host Unreachable`."""

    @property
    def lost(self) -> int:
        """In percent."""
        return round(100 * (self.sent - self.received) / self.sent) if self.sent else 100


@dataclass(frozen=True, slots=True)
class Overlay:
    """The network's intended settings: from etcd, or from the answers if etcd has none."""

    network: IPv4Network
    backend: str
    device: str
    """flannel's own device on a node; empty: this backend has none."""

    options: Options = field(default_factory=dict)
    """The backend's options, by their names in the answers; the others have their defaults."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path to another node, and how large the packets that take it should be."""

    pod: str
    """The address of the container there."""

    size: int
    """Size of a container's largest packet in bytes."""

    public: str
    """The address of the node itself that flannel sends to; empty: not tried."""

    need: int
    """Size in bytes that the backend gives to the largest packet."""
