"""How large a packet from each node arrives at every other in one piece, and is that enough?

Containers send packets as large as their MTU; the backend makes them larger, and the network
between the nodes must carry those. If it does not, small pings work and TLS hangs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from fedwiz.etcd.leases import Lease
from fedwiz.model.backends import BACKENDS
from fedwiz.model.events import Judged
from fedwiz.verify.matrix import PairMatrix
from fedwiz.verify.nodes import addresses
from fedwiz.verify.peers import routes_to
from fedwiz.verify.values import Path, Verdict

OVER_IPV4 = {"wireguard": 60}
"""Bytes that a backend adds over IPv4, if its `overhead` is that of IPv6."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """What was measured for one pair, in bytes."""

    over: int
    """The largest packet that passed between the containers."""

    size: int
    """The size that should have passed."""

    under: int
    """The same between the nodes themselves; both are 0 if unknown."""

    need: int

    def __str__(self) -> str:
        """As shown in a verdict."""
        under = f"{self.under} of {self.need}" if self.under else "not known"
        return f"{self.over} of {self.size} bytes; underlay {under}"


def read(seen: str) -> Crossed | None:
    """The measurement in a verdict's text; None: it has none."""
    found = re.fullmatch(r"(\d{1,5}) of (\d{1,5}) bytes(?:; underlay (.*))?", seen)
    if not found:
        return None
    underlay = re.fullmatch(r"(\d{1,5}) of (\d{1,5})", found[3] or "")
    underlay_sizes = (int(underlay[1]), int(underlay[2])) if underlay else (0, 0)
    return Crossed(int(found[1]), int(found[2]), *underlay_sizes)


@dataclass(frozen=True)
class Sizes:
    """All measurements of packet sizes; all mappings are by node."""

    matrix: PairMatrix
    leases: Mapping[str, Lease]
    ping_verdicts: bool = True
    """There are verdicts on the pings as well, which say why a pair can't be measured."""

    crossed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By sender, then by address: the largest packet in bytes that came back; 0: none."""

    failed: Mapping[str, tuple[Judged, str]] = field(default_factory=dict)
    """Level and reason if nothing is known of a node's packets."""

    def paths(self, sender: str) -> tuple[Path, ...]:
        """What a node has to try."""
        return tuple(
            self._path(sender, peer)
            for peer in self.matrix.nodes
            if peer != sender and self.matrix.obstacle(sender, peer)[0] == "pass"
        )

    def source(self, sender: str) -> str:
        """The address from which a node sends flannel's packets; empty: unknown."""
        lease, facts = self.leases.get(sender), self.matrix.known.hosts.get(sender)
        assigned = facts is not None and lease is not None and lease.public_ip in addresses(facts)
        return lease.public_ip if lease and assigned else ""

    def _path(self, sender: str, receiver: str) -> Path:
        size = min(self._mtu(sender), self._mtu(receiver))
        lease, overhead = self.leases.get(receiver), self._overhead(sender, receiver)
        under = bool(lease and self.source(sender)) and overhead is not None
        pod = str(self.matrix.address(receiver))
        if lease is None or overhead is None or not under:
            return Path(pod, size, "", 0)
        return Path(pod, size, lease.public_ip, size + overhead)

    def _mtu(self, host: str) -> int:
        pod = self.matrix.ups[host].pod
        return pod.mtu if pod else 0

    def _overhead(self, sender: str, receiver: str) -> int | None:
        """Bytes that the backend adds; None: unknown, or not added by flannel."""
        net, lease = self.matrix.net, self.leases.get(receiver)
        backend, facts = BACKENDS.get(net.backend), self.matrix.known.hosts.get(sender)
        if backend is None or net.backend == "alloc" or facts is None or lease is None:
            return None
        routes = routes_to(facts, IPv4Network(lease.subnet))
        if routes and all(route.dev != net.device for route in routes):
            return 0  # directly to a node on the same link
        return OVER_IPV4.get(net.backend, backend.overhead)

    def judge(self, sender: str, receiver: str) -> Verdict:
        """The verdict on one pair."""
        if not self.matrix.pinged(sender, receiver):
            if not self.ping_verdicts:
                ping = self.matrix.judge(sender, receiver)
                return Verdict("mtu", sender, receiver, ping.level, "", ping.why)
            why = f"{sender} does not ping {receiver}, so there is nothing to measure"
            return Verdict("mtu", sender, receiver, "skipped", "", why)
        if sender in self.failed:
            level, why = self.failed[sender]
            return Verdict("mtu", sender, receiver, level, "", why)
        path, crossed = self._path(sender, receiver), self.crossed[sender]
        over, under = crossed[path.pod], crossed.get(path.public, 0)
        seen = str(Crossed(over, path.size, under, path.need))
        if not path.public:
            seen = seen.partition(";")[0]
        if under and under < path.need:
            why = self._narrow(sender, receiver, path, under)
        elif over < path.size:
            why = self._cut(sender, receiver, path, over)
        else:
            return Verdict("mtu", sender, receiver, "pass", seen, self._unequal(sender, receiver))
        return Verdict("mtu", sender, receiver, "fail", seen, why)

    def _narrow(self, sender: str, receiver: str, path: Path, under: int) -> str:
        """The network between the nodes is too narrow."""
        net, added = self.matrix.net, path.need - path.size
        made = f", as {net.backend} makes them of {path.size}," if added else ""
        narrow = self._below((sender, receiver), path.need, outer=True)
        why = (
            f"packets of {path.need} bytes{made} do not cross from {sender} to {receiver} whole, "
            f"and those of {under} do{_named(narrow)}: give every interface on the way an MTU of "
            f"{path.need}"
        )
        backend = BACKENDS.get(net.backend)
        if added and backend and backend.option("mtu"):
            # The kernel accepts a few bytes more than an interface's MTU.
            return f"{why}, or set `backend.mtu` to {min([under, *narrow.values()])}"
        return why

    def _cut(self, sender: str, receiver: str, path: Path, over: int) -> str:
        """The nodes' own packets pass, or that is unknown, but the containers' do not."""
        narrow = self._below((sender, receiver), path.size, outer=False)
        why = (
            f"packets of {path.size} bytes do not cross between containers from {sender} to "
            f"{receiver}, and those of {over} do{_named(narrow)}: "
        )
        if narrow:
            return f"{why}`systemctl restart flanneld` there, then docker"
        return f"{why}give every interface on the way an MTU of {max(path.need, path.size)}"

    def _below(self, hosts: tuple[str, str], size: int, *, outer: bool) -> dict[str, int]:
        """Interfaces with too small an MTU: those that flannel's packets leave by, or its own."""
        found = {}
        for host in hosts:
            lease, facts = self.leases.get(host), self.matrix.known.hosts[host]
            for link in facts.links:
                link_addresses = [text.partition("/")[0] for text in link.addresses]
                published = lease is not None and lease.public_ip in link_addresses
                inner = link.name in (self.matrix.net.device, "docker0")
                if link.mtu < size and (published if outer else inner):
                    found[f"{link.name} of {host}"] = link.mtu
        return found

    def _unequal(self, sender: str, receiver: str) -> str:
        one, other = self._mtu(sender), self._mtu(receiver)
        if one == other:
            return ""
        return (
            f"containers on {sender} have an MTU of {one}, and those on {receiver} of {other}, so "
            "large ones are fragmented or refused on the way: give both nodes' interfaces one MTU"
        )


def _named(narrow: Mapping[str, int]) -> str:
    text = ", ".join(f"{name} passes {mtu}" for name, mtu in narrow.items())
    return f" ({text})" if text else ""
