"""The shapes of verification."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TypeAlias

from fedwiz.model.backends import Options
from fedwiz.model.events import Verified

Verdict: TypeAlias = Verified
"""A verdict is told as it is."""


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

    @property
    def lost(self) -> int:
        """Percent."""
        return round(100 * (self.sent - self.received) / self.sent) if self.sent else 100


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the network is meant to be: etcd's word, or the answers' where etcd has none."""

    network: IPv4Network
    backend: str
    device: str
    """flannel's own device on a node; empty: this backend has none."""

    options: Options = field(default_factory=dict)
    """The backend's, by the names that the answers have for them; those left out are default."""


@dataclass(frozen=True, slots=True)
class Path:
    """A way to another node, and how large packets should be that cross it."""

    pod: str
    """The address of the container there."""

    size: int
    """Bytes of a container's largest packet."""

    public: str
    """The address of the node itself that flannel sends to; empty: that is not tried."""

    need: int
    """Bytes of what the backend makes of the largest packet."""
