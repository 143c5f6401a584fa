"""Does each node know the way to every other: a route, and with vxlan whose MAC and whose address?

Source: flannel's routes, neighbours and FDB entries as it writes them, tried from 0.5 to 0.21.5.
Before 0.8 it wrote one route of the whole network, and answered the kernel's questions for the
rest as they came (L3 misses): what was learnt that way is not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network
from shlex import quote

from fedwiz.etcd.leases import Lease
from fedwiz.facts import ClusterFacts, Facts, Neighbour, Route
from fedwiz.model.backends import BACKENDS
from fedwiz.model.events import Judged
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.values import Overlay, Verdict

COVERED = ("udp", "wireguard")
"""Backends whose device takes all of the network: no route of a peer's own is needed."""

RESTART_FLANNELD = "`systemctl restart flanneld` there"


@dataclass(frozen=True)
class PeerRoutes:
    """All that is known of the ways between nodes."""

    known: ClusterFacts
    net: Overlay
    leases: Mapping[str, Lease]
    """By node."""

    gone: Mapping[str, str]
    """Nodes that can't be asked, and why: those of them whose facts were not read."""

    def judge(self, host: str, peer: str) -> Verdict:
        """The verdict on what one node knows of another."""
        level, why = self._obstacle(host, peer)
        if level != "pass":
            return Verdict("peer", host, peer, level, "", why)
        facts, lease = self.known.hosts[host], self.leases[peer]
        routes = leading(facts, IPv4Network(lease.subnet))
        wrong = self._route(host, peer, routes)
        shown, doubt = [text_of(route) for route in routes], ""
        if not wrong and has_entries(self.net, routes[0]):
            more, wrong, doubt = self._entries(host, peer, routes[0])
            shown += more
        seen = "\n".join(shown)
        return Verdict("peer", host, peer, "fail" if wrong else "pass", seen, wrong or doubt)

    def _obstacle(self, host: str, peer: str) -> tuple[Judged, str]:
        facts = self.known.hosts.get(host)
        if facts is None:
            return "fail", f"{host} could not be reached: {self.gone.get(host, 'nobody asked it')}"
        kind = self.net.backend
        if kind not in BACKENDS or kind == "alloc":
            return "skipped", f"{kind or 'this backend'} is not known to write ways to other nodes"
        if self.known.store.error:
            return "fail", (
                f"etcd could not be read, so nobody knows what {host} must know of {peer}: "
                f"{self.known.store.error}"
            )
        lease = self.leases.get(peer)
        if lease is None:
            return "fail", (
                f"{peer} has no lease, so {host} can't know a way to it: see `journalctl -u "
                f"flanneld` on {peer}"
            )
        if lease.backend and lease.backend != kind:
            return "fail", (
                f"{peer}'s lease is for {lease.backend}, and the network is {kind}, so {host} "
                f"passes it over: `systemctl restart flanneld` on {peer}"
            )
        own = subnet_of(facts)
        if own and own.network.overlaps(IPv4Network(lease.subnet)):
            return "fail", (
                f"{host} has {own.network} itself, and {peer}'s lease is {lease.subnet}: on one of "
                "them, stop flanneld, `rm /run/flannel/subnet.env`, start it, restart docker"
            )
        return "pass", ""

    # Each gives what is wrong and one thing to do; empty: all is right.

    def _route(self, host: str, peer: str, routes: Sequence[Route]) -> str:
        lease = self.leases[peer]
        wrong = [route for route in routes if not is_right(self.net, lease, route)]
        exact = [route for route in routes if route.to == lease.subnet]
        if not exact and (wrong or not routes):
            other = f", and `{text_of(wrong[0])}` has it" if wrong else ""
            return f"{host} has no route to {lease.subnet} on {peer}{other}: {RESTART_FLANNELD}"
        if len(routes) > 1:
            said = " and ".join(f"`{text_of(route)}`" for route in routes)
            return (
                f"{host} has {len(routes)} routes to {lease.subnet} on {peer}, {said}, and takes "
                f"one of them: `ip route delete {text_of((wrong or routes)[-1])}` there"
            )
        if wrong:
            return (
                f"{host} sends what is for {lease.subnet} on {peer} by `{text_of(wrong[0])}`, and "
                f"{self.net.backend} by {self._right(lease)}: `ip route delete "
                f"{text_of(wrong[0])}` there, then `systemctl restart flanneld`"
            )
        return ""

    def _right(self, lease: Lease) -> str:
        """The way as it should be, for people."""
        kind, device = self.net.backend, self.net.device
        gateway = {"vxlan": first(lease), "ipip": lease.public_ip, "host-gw": lease.public_ip}
        via = f"via {gateway[kind]}" if kind in gateway else ""
        said = " ".join(part for part in (via, f"dev {device}" if device else "") if part)
        if self.net.options.get("direct_routing", False):
            return f"`{said}`, or on one link `via {lease.public_ip}`"
        return f"`{said}`"

    def _entries(self, host: str, peer: str, route: Route) -> tuple[list[str], str, str]:
        """The neighbour and the FDB entry: as they are, what is wrong, and what is in doubt."""
        facts, lease, device = self.known.hosts[host], self.leases[peer], self.net.device
        if facts.neighbours is None or facts.fdb is None:
            what, ask = (
                ("FDB", "bridge fdb show") if facts.neighbours else ("neighbours", "ip neigh")
            )
            return [], "", f"the {what} of {device} could not be read: see `{ask}` on {host}"
        met, sent = entries(facts, device, route.via, lease.mac)
        shown = [f"{it.address} lladdr {it.mac or '?'} {it.state}".rstrip() for it in met]
        shown += [f"{lease.mac} dst {dst}" for dst in sent]
        macs = [each.mac for each in met if each.mac]
        if not lease.mac:
            return shown, f"{peer}'s lease has no VtepMAC: `systemctl restart flanneld` on it", ""
        if lease.mac not in macs:
            has = f"takes {macs[0]} for" if macs else f"has no entry of {device} that tells"
            return (
                shown,
                (
                    f"{host} {has} the MAC of {route.via} on {peer}, which is {lease.mac}: "
                    f"{RESTART_FLANNELD}"
                ),
                "",
            )
        if lease.public_ip not in sent:
            has = f"sends to {' and '.join(sent)}" if sent else f"has no FDB entry of {device} for"
            return (
                shown,
                (
                    f"{host} {has} what is for {lease.mac} of {peer}, which is at "
                    f"{lease.public_ip}: "
                    f"{RESTART_FLANNELD}"
                ),
                "",
            )
        several = f"{len(sent)} FDB entries of {device} for {lease.mac} of {peer}"
        doubt = f"{host} has {several}: {RESTART_FLANNELD}"
        return shown, "", doubt if len(sent) > 1 else ""


def is_right(net: Overlay, lease: Lease, route: Route) -> bool:
    """Whether a route that is taken for a peer's subnet is one of this network's own."""
    exact = route.to == lease.subnet
    if net.device and route.dev == net.device:
        if not route.via:
            return net.backend in ("vxlan", *COVERED)
        gateway = {"vxlan": first(lease), "ipip": lease.public_ip}.get(net.backend)
        return exact and route.via == gateway
    plain = net.backend == "host-gw" or net.options.get("direct_routing", False)
    elsewhere = not route.dev.startswith(("flannel", "docker"))
    return bool(plain) and elsewhere and exact and route.via == lease.public_ip


def has_entries(net: Overlay, route: Route) -> bool:
    """There must be entries for the peer, since flannel writes them with such a route."""
    return net.backend == "vxlan" and route.dev == net.device and bool(route.via)


def entries(
    facts: Facts, device: str, address: str, mac: str
) -> tuple[tuple[Neighbour, ...], tuple[str, ...]]:
    """What a device has for an address, and where it sends what is for a MAC."""
    met = (each for each in facts.neighbours or () if (each.dev, each.address) == (device, address))
    sent = (each.dst for each in facts.fdb or () if (each.dev, each.mac) == (device, mac))
    return tuple(met), tuple(sent)


def leading(facts: Facts, subnet: IPv4Network) -> tuple[Route, ...]:
    """The routes that the kernel has for all of a subnet: the narrowest, and not the default."""
    found: dict[int, list[Route]] = {}
    for route in facts.routes:
        to = _network(route.to)
        if to.prefixlen and subnet.subnet_of(to):
            found.setdefault(to.prefixlen, []).append(route)
    return tuple(found[max(found)]) if found else ()


@lru_cache(maxsize=8192)
def _network(to: str) -> IPv4Network:
    """Remembered: each pair of nodes has all routes looked through."""
    return IPv4Network("0.0.0.0/0" if to == "default" else to)


def first(lease: Lease) -> str:
    """A peer's own address in the network."""
    return lease.subnet.partition("/")[0]


def text_of(route: Route) -> str:
    """As `ip route` shows it, and a shell may be given it."""
    via = f" via {quote(sanitize(route.via))}" if route.via else ""
    return f"{route.to}{via} dev {quote(sanitize(route.dev))}"
