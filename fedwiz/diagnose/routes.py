"""Causes in what flannel writes for a peer: a missing or wrong route, neighbour or FDB entry.

`fedwiz.verify.peers` defines what is right.  flannel writes the three together, so the fix for one
of them includes whatever else is missing for that peer.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network

from fedwiz.diagnose.trace import outer
from fedwiz.diagnose.values import (
    Case,
    Diagnosis,
    Fix,
    fix_command,
    is_lost,
    loss_summary,
)
from fedwiz.diagnose.vtep import device_of, stale
from fedwiz.etcd.leases import Lease
from fedwiz.facts import Facts, Link, Route, version
from fedwiz.facts.parse import MAC
from fedwiz.facts.versions import LOST_EVENTS
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.peers import (
    COVERED,
    entries,
    has_entries,
    is_expected,
    overlay_address,
    routes_to,
)
from fedwiz.verify.values import Overlay

PER_PEER = (0, 8)
"""flannel's first version with entries for each peer; earlier ones had one route for all."""

TRACED_BACKENDS = ("vxlan", "host-gw", "ipip", *COVERED)
TYPES = ("blackhole", "unreachable", "prohibit", "throw")
NO_WORDS = ("linkdown", "dead", "offload", "trap")
"""Words that `ip route show` prints and `ip route add` does not accept."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One entry for a peer that is missing or wrong on a node."""

    cause: str
    why: str
    seen: str
    fixes: tuple[Fix, ...]
    """Empty: flannel could not write it either."""

    had: bool
    """Whether there is a wrong entry in its place."""


@dataclass(frozen=True, slots=True)
class PeerPath:
    """A node's path to the other one."""

    case: Case
    host: str
    net: Overlay
    """With the device that this node uses, whatever its VNI."""

    lease: Lease
    """The other node's lease."""

    @property
    def facts(self) -> Facts:
        """The node's facts."""
        return self.case.facts(self.host)

    @property
    def peer(self) -> str:
        """The other node."""
        return self.case.peer(self.host)

    def gaps(self) -> Iterator[Gap]:
        """Everything that is missing."""
        route_words = self.wanted()
        right, wrong = self.routes()
        if wrong or not right:
            yield self._route(route_words, right, wrong)
        if right and not has_entries(self.net, right[0]):
            return
        if not right and (self.net.backend != "vxlan" or "onlink" not in route_words):
            return
        yield from self._entries()

    def routes(self) -> tuple[list[Route], list[Route]]:
        """The right routes, and the wrong ones that the kernel prefers, or might prefer."""
        subnet, up = IPv4Network(self.lease.subnet), self.case.ups.get(self.peer)
        right, wrong = [], []
        for route in self.facts.routes:
            if up and up.pod and route.to not in ("default", self.lease.subnet):
                to = IPv4Network(route.to)
                expected = is_expected(self.net, self.lease, replace(route, to=self.lease.subnet))
                if to.subnet_of(subnet) and up.pod.address in to and not expected:
                    wrong.append(route)
        for route in routes_to(self.facts, subnet):
            if is_expected(self.net, self.lease, route):
                right.append(route)
            elif route.to == self.lease.subnet:
                wrong.append(route)
        return right, wrong

    def wanted(self) -> tuple[str, ...]:
        """The route as flannel writes it, as arguments of `ip route`; empty: it can't write one."""
        kind, lease, device = self.net.backend, self.lease, self.net.device
        release = version(self.facts.flanneld_version)
        if kind in COVERED or (kind == "vxlan" and release and release < PER_PEER):
            return str(self.net.network), "dev", device
        direct_link = _direct_link(self.facts, lease.public_ip)
        if direct_link and (kind == "host-gw" or self.net.options.get("direct_routing", False)):
            return lease.subnet, "via", lease.public_ip, "dev", direct_link.name
        if kind == "host-gw":
            return ()
        via = overlay_address(lease) if kind == "vxlan" else lease.public_ip
        return lease.subnet, "via", via, "dev", device, "onlink"

    def _route(self, words: tuple[str, ...], right: list[Route], wrong: list[Route]) -> Gap:
        """Delete the wrong routes, and add the right one."""
        host, target = self.host, f"{self.lease.subnet}, the containers of {self.peer}"
        lines = [_line(self.case, host, route) for route in wrong]
        fixes = [
            fix_command(host, ("ip", "route", "delete", *line), ("ip", "route", "add", *line))
            for line in lines
        ]
        if not right:
            replacement = ("ip", "route", "replace", *words)
            fixes.append(fix_command(host, replacement, ("ip", "route", "delete", *words)))
        why = f"{host} has no route to {target}"
        seen = f"`ip route show {self.lease.subnet}` on {host} shows nothing"
        if wrong:
            why = f"{host} sends what is for {target}, where flannel does not"
            seen = "\n".join(f"`{shlex.join(line)}` on {host}" for line in lines)
        if not words and not right:
            why += f", and {self.lease.public_ip} is on no link of its own"
            fixes = []
        return Gap("missing-route", why, seen, tuple(fixes), had=bool(wrong))

    def _entries(self) -> Iterator[Gap]:
        """The neighbour and FDB entry of a peer that should have them."""
        facts, device, lease = self.facts, self.net.device, self.lease
        if facts.neighbours is None or facts.fdb is None or not re.fullmatch(MAC, lease.mac):
            return
        peer_address = overlay_address(lease)
        neighbours, destinations = entries(facts, device, peer_address, lease.mac)
        target = f"{peer_address}, {self.peer}"
        if lease.mac not in [it.mac for it in neighbours]:
            had = next((it for it in neighbours if it.mac), None)
            add = _neighbour(peer_address, lease.mac, device, "permanent")
            undo: tuple[str, ...] = ("ip", "neighbour", "delete", peer_address, "dev", device)
            why = f"{self.host} has no neighbour entry for {target}"
            seen = f"{device} has no MAC for {peer_address}; the lease's VtepMAC is {lease.mac}"
            if had:
                undo = _neighbour(peer_address, had.mac, device, had.state.lower())
                why = f"{self.host} has a wrong MAC for {target}"
                seen = (
                    f"{device} has {had.mac} for {peer_address}; the lease's VtepMAC is {lease.mac}"
                )
            fixes = (fix_command(self.host, add, undo),)
            yield Gap("missing-neighbour", why, seen, fixes, had=had is not None)
        if lease.public_ip not in destinations:
            add = _fdb("replace", lease.mac, device, lease.public_ip)
            undo = _fdb("delete", lease.mac, device, lease.public_ip)
            why = f"{self.host} has no FDB entry for {lease.mac} of {self.peer}"
            seen = f"the FDB of {device} has no address for {lease.mac}; the lease's is "
            if destinations:
                undo = _fdb("replace", lease.mac, device, destinations[0])
                why = f"{self.host} sends what is for {lease.mac} of {self.peer} to another address"
                seen = (
                    f"the FDB of {device} sends it to {' and '.join(destinations)}; the lease's is "
                )
            seen += lease.public_ip
            fixes = (fix_command(self.host, add, undo),)
            yield Gap("missing-fdb", why, seen, fixes, had=bool(destinations))


def _neighbour(address: str, mac: str, device: str, state: str) -> tuple[str, ...]:
    words = address, "lladdr", mac, "dev", device, "nud", state
    return ("ip", "neighbour", "replace", *words)


def _fdb(verb: str, mac: str, device: str, to: str) -> tuple[str, ...]:
    return ("bridge", "fdb", verb, mac, "dev", device, "dst", to, "self", "permanent")


def _direct_link(facts: Facts, address: str) -> Link | None:
    """The interface whose network directly contains an address."""
    for link in facts.links:
        networks = [IPv4Interface(text).network for text in link.addresses]
        if link.name != "docker0" and any(address_in(address, net) for net in networks):
            return link
    return None


def address_in(address: str, network: IPv4Network) -> bool:
    """Whether the network contains the address."""
    return IPv4Network(address).subnet_of(network)


def _line(case: Case, host: str, route: Route) -> tuple[str, ...]:
    """The complete route as the host printed it, for `ip route` to delete and add again."""
    to, safe = route.to.removesuffix("/32"), re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
    for line in case.look(host).routes:
        words = [word for word in line.split() if word not in NO_WORDS]
        route_words = words[1:] if words[:1] and words[0] in TYPES else words
        dev = route_words[route_words.index("dev") + 1] if "dev" in route_words[:-1] else ""
        via = route_words[route_words.index("via") + 1] if "via" in route_words[:-1] else ""
        same = route_words[:1] == [to] and (dev, via) == (route.dev, route.via)
        if same and all(safe.fullmatch(word) for word in words):
            return tuple(words)
    words = [route.to, *(("via", route.via) if route.via else ())]
    return (*words, *(("dev", route.dev) if route.dev else ()))


def peer_path(case: Case, host: str) -> PeerPath | None:
    """A node's path to the other one; None if it can't be judged, or flannel writes no entries."""
    facts, lease, device = case.facts(host), case.lease(case.peer(host)), device_of(case, host)
    net = replace(case.net, device=device.name) if device else case.net
    own, link = subnet_of(facts), facts.link(net.device)
    if lease is None or own is None or net.backend not in TRACED_BACKENDS or not facts.links:
        return None
    if lease.backend and lease.backend != net.backend:
        return None
    if own.network.overlaps(IPv4Network(lease.subnet)):
        return None
    if net.device and (link is None or not link.up):
        return None  # then its entries are gone as well
    if stale(case, host) or stale(case, case.peer(host)):
        return None  # consequences of a changed MAC are reported with it
    return PeerPath(case, host, net, lease)


def _paths_with_gaps(case: Case) -> Iterator[tuple[PeerPath, Sequence[Gap]]]:
    for host in case.ends:
        path = peer_path(case, host)
        gaps = list(path.gaps()) if path else []
        if path and gaps:
            yield path, gaps


def _diagnoses_of(case: Case, cause: str) -> Iterator[Diagnosis]:
    for path, gaps in _paths_with_gaps(case):
        if gaps[0].cause == cause:
            yield _diagnosis(path, gaps)


def _diagnosis(path: PeerPath, gaps: Sequence[Gap]) -> Diagnosis:
    first, fixes = gaps[0], tuple(it for gap in gaps for it in gap.fixes)
    why = "; ".join([first.why, *(gap.why.removeprefix(f"{path.host} ") for gap in gaps[1:])])
    seen = "\n".join(filter(None, [*(gap.seen for gap in gaps), loss_summary(path.case)]))
    remedy = f"put {path.host} and {path.peer} on one link, or take another backend than host-gw"
    if first.fixes:
        commands = ", ".join(f"`{it.do.shown}`" for it in fixes)
        remedy = f"{commands} on {path.host}; {_permanence(path, gaps)}"
    return Diagnosis(first.cause, path.host, why, seen, remedy, fixes, _explains(path, gaps))


def _permanence(path: PeerPath, gaps: Sequence[Gap]) -> str:
    """How the entry stays as it should be.

    Source: flannel's `route_network.go`, which checks only routes, every 10 seconds.
    """
    release = version(path.facts.flanneld_version)
    if gaps[0].had:
        return "and see what wrote the other, which would write it again"
    if len(gaps) > 1 and LOST_EVENTS[0] <= release[:3] <= LOST_EVENTS[1]:
        return f"flannel {'.'.join(map(str, release))} loses events, and from 0.21.3 on it does not"
    if path.net.backend == "host-gw":
        return "flanneld looks after its routes by itself, so see whether it runs"
    return "flanneld writes it when it starts and not again, so see what took it away"


def _explains(path: PeerPath, gaps: Sequence[Gap]) -> bool:
    """Whether the node's packets get lost where such a gap would lose them."""
    case, host = path.case, path.host
    for gap in gaps:
        if gap.cause == "missing-route":
            # Not encapsulated, and so sent through another interface, or nowhere.
            peer_hops = () if outer(case.net) else ("unwrapping",)
            if is_lost(
                case, host, own_hops=("routing", "forwarding", "wrapping"), peer_hops=peer_hops
            ):
                return True
            rp_filter = case.look(host).rp_filter
            strict = 1 in (rp_filter.get("all"), rp_filter.get(path.net.device))
            # No return path through that device: a strict filter drops what the peer sends, too.
            if strict and is_lost(case, path.peer, peer_hops=("routing-in",)):
                return True
        elif is_lost(case, host, own_hops=("wrapping",), peer_hops=("unwrapping",)):
            return True
    return False


def missing_route(case: Case) -> Iterator[Diagnosis]:
    """A node has no route to the other one's containers, or a route that leads elsewhere."""
    yield from _diagnoses_of(case, "missing-route")


def missing_neighbour(case: Case) -> Iterator[Diagnosis]:
    """A node does not know the other one's MAC, or has a wrong one."""
    yield from _diagnoses_of(case, "missing-neighbour")


def missing_fdb(case: Case) -> Iterator[Diagnosis]:
    """A node does not know the location of the other one's MAC, or has a wrong one."""
    yield from _diagnoses_of(case, "missing-fdb")
