"""Causes in the ways that flannel lays: a peer's route, neighbour or FDB entry that is not there.

What is right is judged as `fedwiz.verify.peers` does.  flannel writes the three together, so
where one is named, whatever else is missing for that peer is in its remedy.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network

from fedwiz.diagnose.cause import counted, loses, mend
from fedwiz.diagnose.trace import outer
from fedwiz.diagnose.values import Case, Diagnosis, Fix
from fedwiz.diagnose.vtep import device_of, stale
from fedwiz.etcd.leases import Lease
from fedwiz.facts import Facts, Link, Route, version
from fedwiz.facts.parse import MAC
from fedwiz.facts.versions import LOST_EVENTS
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.peers import COVERED, entries, first, has_entries, is_right, leading
from fedwiz.verify.values import Overlay

PER_PEER = (0, 8)
"""flannel's first version with entries for each peer; before, it had one route for all."""

TRACED_BACKENDS = ("vxlan", "host-gw", "ipip", *COVERED)
TYPES = ("blackhole", "unreachable", "prohibit", "throw")
NO_WORDS = ("linkdown", "dead", "offload", "trap")
"""What `ip route show` tells and `ip route add` does not take."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that a node does not know of a peer, or knows wrongly."""

    cause: str
    why: str
    seen: str
    mends: tuple[Fix, ...]
    """Empty: flannel could not do it either."""

    had: bool
    """There is a wrong one in its place."""


@dataclass(frozen=True, slots=True)
class PeerPath:
    """How a node gets to the other one."""

    case: Case
    host: str
    net: Overlay
    """With the device that this node lives by, whatever its VNI."""

    lease: Lease
    """The other one's."""

    @property
    def facts(self) -> Facts:
        """Of the node."""
        return self.case.facts(self.host)

    @property
    def peer(self) -> str:
        """The other one."""
        return self.case.peer(self.host)

    def gaps(self) -> Iterator[Gap]:
        """All that is missing."""
        words = self.wanted()
        right, wrong = self.routes()
        if wrong or not right:
            yield self._route(words, right, wrong)
        if right and not has_entries(self.net, right[0]):
            return
        if not right and (self.net.backend != "vxlan" or "onlink" not in words):
            return
        yield from self._entries()

    def routes(self) -> tuple[list[Route], list[Route]]:
        """The routes that are right, and those that the kernel takes before them, or might."""
        subnet, up = IPv4Network(self.lease.subnet), self.case.ups.get(self.peer)
        right, wrong = [], []
        for route in self.facts.routes:
            if up and up.pod and route.to not in ("default", self.lease.subnet):
                to = IPv4Network(route.to)
                alike = is_right(self.net, self.lease, replace(route, to=self.lease.subnet))
                if to.subnet_of(subnet) and up.pod.address in to and not alike:
                    wrong.append(route)
        for route in leading(self.facts, subnet):
            if is_right(self.net, self.lease, route):
                right.append(route)
            elif route.to == self.lease.subnet:
                wrong.append(route)
        return right, wrong

    def wanted(self) -> tuple[str, ...]:
        """The route as flannel writes it, in `ip route`'s words; empty: it could not."""
        kind, lease, device = self.net.backend, self.lease, self.net.device
        made = version(self.facts.flanneld_version)
        if kind in COVERED or (kind == "vxlan" and made and made < PER_PEER):
            return str(self.net.network), "dev", device
        near = _near(self.facts, lease.public_ip)
        if near and (kind == "host-gw" or self.net.options.get("direct_routing", False)):
            return lease.subnet, "via", lease.public_ip, "dev", near.name
        if kind == "host-gw":
            return ()
        via = first(lease) if kind == "vxlan" else lease.public_ip
        return lease.subnet, "via", via, "dev", device, "onlink"

    def _route(self, words: tuple[str, ...], right: list[Route], wrong: list[Route]) -> Gap:
        """The wrong ones go, and the right one comes."""
        host, there = self.host, f"{self.lease.subnet}, the containers of {self.peer}"
        lines = [_line(self.case, host, route) for route in wrong]
        mends = [
            mend(host, ("ip", "route", "delete", *line), ("ip", "route", "add", *line))
            for line in lines
        ]
        if not right:
            do = ("ip", "route", "replace", *words)
            mends.append(mend(host, do, ("ip", "route", "delete", *words)))
        why = f"{host} has no route to {there}"
        seen = f"`ip route show {self.lease.subnet}` on {host} shows nothing"
        if wrong:
            why = f"{host} sends what is for {there}, where flannel does not"
            seen = "\n".join(f"`{shlex.join(line)}` on {host}" for line in lines)
        if not words and not right:
            why += f", and {self.lease.public_ip} is on no link of its own"
            mends = []
        return Gap("missing-route", why, seen, tuple(mends), had=bool(wrong))

    def _entries(self) -> Iterator[Gap]:
        """The neighbour and the FDB entry of a peer that has such."""
        facts, device, lease = self.facts, self.net.device, self.lease
        if facts.neighbours is None or facts.fdb is None or not re.fullmatch(MAC, lease.mac):
            return
        at = first(lease)
        met, sent = entries(facts, device, at, lease.mac)
        there = f"{at}, {self.peer}"
        if lease.mac not in [it.mac for it in met]:
            had = next((it for it in met if it.mac), None)
            do = _neighbour(at, lease.mac, device, "permanent")
            back: tuple[str, ...] = ("ip", "neighbour", "delete", at, "dev", device)
            why = f"{self.host} has no neighbour entry for {there}"
            seen = f"{device} has no MAC for {at}; the lease's VtepMAC is {lease.mac}"
            if had:
                back = _neighbour(at, had.mac, device, had.state.lower())
                why = f"{self.host} has a wrong MAC for {there}"
                seen = f"{device} has {had.mac} for {at}; the lease's VtepMAC is {lease.mac}"
            mends = (mend(self.host, do, back),)
            yield Gap("missing-neighbour", why, seen, mends, had=had is not None)
        if lease.public_ip not in sent:
            do = _fdb("replace", lease.mac, device, lease.public_ip)
            back = _fdb("delete", lease.mac, device, lease.public_ip)
            why = f"{self.host} has no FDB entry for {lease.mac} of {self.peer}"
            seen = f"the FDB of {device} has no address for {lease.mac}; the lease's is "
            if sent:
                back = _fdb("replace", lease.mac, device, sent[0])
                why = f"{self.host} sends what is for {lease.mac} of {self.peer} to another address"
                seen = f"the FDB of {device} sends it to {' and '.join(sent)}; the lease's is "
            seen += lease.public_ip
            mends = (mend(self.host, do, back),)
            yield Gap("missing-fdb", why, seen, mends, had=bool(sent))


def _neighbour(address: str, mac: str, device: str, state: str) -> tuple[str, ...]:
    words = address, "lladdr", mac, "dev", device, "nud", state
    return ("ip", "neighbour", "replace", *words)


def _fdb(verb: str, mac: str, device: str, to: str) -> tuple[str, ...]:
    return ("bridge", "fdb", verb, mac, "dev", device, "dst", to, "self", "permanent")


def _near(facts: Facts, address: str) -> Link | None:
    """The interface that an address is on a link of."""
    for link in facts.links:
        held = [IPv4Interface(text).network for text in link.addresses]
        if link.name != "docker0" and any(address_in(address, net) for net in held):
            return link
    return None


def address_in(address: str, network: IPv4Network) -> bool:
    """Whether the network has the address."""
    return IPv4Network(address).subnet_of(network)


def _line(case: Case, host: str, route: Route) -> tuple[str, ...]:
    """All that the host said of a route, for `ip route` to delete and to add again."""
    to, plain = route.to.removesuffix("/32"), re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
    for line in case.look(host).routes:
        words = [word for word in line.split() if word not in NO_WORDS]
        own = words[1:] if words[:1] and words[0] in TYPES else words
        dev = own[own.index("dev") + 1] if "dev" in own[:-1] else ""
        via = own[own.index("via") + 1] if "via" in own[:-1] else ""
        same = own[:1] == [to] and (dev, via) == (route.dev, route.via)
        if same and all(plain.fullmatch(word) for word in words):
            return tuple(words)
    words = [route.to, *(("via", route.via) if route.via else ())]
    return (*words, *(("dev", route.dev) if route.dev else ()))


def peer_path(case: Case, host: str) -> PeerPath | None:
    """How a node gets to the other one; None where that can't be judged, or flannel lays none."""
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
        return None  # then its ways have gone with it
    if stale(case, host) or stale(case, case.peer(host)):
        return None  # what follows from another MAC is named with that
    return PeerPath(case, host, net, lease)


def _found(case: Case) -> Iterator[tuple[PeerPath, Sequence[Gap]]]:
    for host in case.ends:
        here = peer_path(case, host)
        gaps = list(here.gaps()) if here else []
        if here and gaps:
            yield here, gaps


def _named(case: Case, cause: str) -> Iterator[Diagnosis]:
    for here, gaps in _found(case):
        if gaps[0].cause == cause:
            yield _diagnosis(here, gaps)


def _diagnosis(here: PeerPath, gaps: Sequence[Gap]) -> Diagnosis:
    one, mends = gaps[0], tuple(it for gap in gaps for it in gap.mends)
    why = "; ".join([one.why, *(gap.why.removeprefix(f"{here.host} ") for gap in gaps[1:])])
    seen = "\n".join(filter(None, [*(gap.seen for gap in gaps), counted(here.case)]))
    remedy = f"put {here.host} and {here.peer} on one link, or take another backend than host-gw"
    if one.mends:
        commands = ", ".join(f"`{it.do.shown}`" for it in mends)
        remedy = f"{commands} on {here.host}; {_kept(here, gaps)}"
    return Diagnosis(one.cause, here.host, why, seen, remedy, mends, _explains(here, gaps))


def _kept(here: PeerPath, gaps: Sequence[Gap]) -> str:
    """How it stays as it should be.

    Source: flannel's `route_network.go`, which looks after routes alone, every 10 seconds.
    """
    made = version(here.facts.flanneld_version)
    if gaps[0].had:
        return "and see what wrote the other, which would write it again"
    if len(gaps) > 1 and LOST_EVENTS[0] <= made[:3] <= LOST_EVENTS[1]:
        return f"flannel {'.'.join(map(str, made))} loses events, and from 0.21.3 on it does not"
    if here.net.backend == "host-gw":
        return "flanneld looks after its routes by itself, so see whether it runs"
    return "flanneld writes it when it starts and not again, so see what took it away"


def _explains(here: PeerPath, gaps: Sequence[Gap]) -> bool:
    """Whether what the node sends is lost where such a thing loses it."""
    case, host = here.case, here.host
    for gap in gaps:
        if gap.cause == "missing-route":
            # Unwrapped, and so sent out by another interface, or nowhere.
            elsewhere = () if outer(case.net) else ("unwrapping",)
            if loses(case, host, own=("routing", "forwarding", "wrapping"), peers=elsewhere):
                return True
            rp = case.look(host).rp_filter
            strict = 1 in (rp.get("all"), rp.get(here.net.device))
            # No way back by that device: a strict filter drops what the peer sends, too.
            if strict and loses(case, here.peer, peers=("routing-in",)):
                return True
        elif loses(case, host, own=("wrapping",), peers=("unwrapping",)):
            return True
    return False


def missing_route(case: Case) -> Iterator[Diagnosis]:
    """A node has no route to the other one's containers, or one that leads elsewhere."""
    yield from _named(case, "missing-route")


def missing_neighbour(case: Case) -> Iterator[Diagnosis]:
    """A node does not know the other one's MAC, or a wrong one."""
    yield from _named(case, "missing-neighbour")


def missing_fdb(case: Case) -> Iterator[Diagnosis]:
    """A node does not know where the other one's MAC is, or sends it elsewhere."""
    yield from _named(case, "missing-fdb")
