"""Does each node know how to reach every other: the route, and with vxlan the MAC and its node?

Source: flannel's routes, neighbours and FDB entries as it writes them, tried from 0.5 to 0.21.5.
Before 0.8 it wrote one route for the whole network and answered the kernel's queries for the rest
on demand (L3 misses): entries learnt that way are not judged.
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
"""Backends whose device takes the whole network: peers need no routes of their own."""

RESTART_FLANNELD = "`systemctl restart flanneld` there"


@dataclass(frozen=True)
class PeerRoutes:
    """Everything known about the routes between nodes."""

    known: ClusterFacts
    net: Overlay
    leases: Mapping[str, Lease]
    """By node."""

    gone: Mapping[str, str]
    """Nodes that can't be reached, and why: those of them whose facts were not read."""

    def judge(self, host: str, peer: str) -> Verdict:
        """The verdict on one node's entries for another."""
        level, why = self._obstacle(host, peer)
        if level != "pass":
            return Verdict("peer", host, peer, level, "", why)
        facts, lease = self.known.hosts[host], self.leases[peer]
        routes = routes_to(facts, IPv4Network(lease.subnet))
        problem = self._route(host, peer, routes)
        shown, warning = [route_text(route) for route in routes], ""
        if not problem and has_entries(self.net, routes[0]):
            more, problem, warning = self._entries(host, peer, routes[0])
            shown += more
        seen = "\n".join(shown)
        return Verdict("peer", host, peer, "fail" if problem else "pass", seen, problem or warning)

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

    # Each of these returns a problem and one remedy; empty: no problem.

    def _route(self, host: str, peer: str, routes: Sequence[Route]) -> str:
        lease = self.leases[peer]
        odd = [route for route in routes if not is_expected(self.net, lease, route)]
        exact = [route for route in routes if route.to == lease.subnet]
        if not exact and (odd or not routes):
            other = f", and `{route_text(odd[0])}` has it" if odd else ""
            return f"{host} has no route to {lease.subnet} on {peer}{other}: {RESTART_FLANNELD}"
        if len(routes) > 1:
            text = " and ".join(f"`{route_text(route)}`" for route in routes)
            return (
                f"{host} has {len(routes)} routes to {lease.subnet} on {peer}, {text}, and takes "
                f"one of them: `ip route delete {route_text((odd or routes)[-1])}` there"
            )
        if odd:
            return (
                f"{host} sends what is for {lease.subnet} on {peer} by `{route_text(odd[0])}`, and "
                f"{self.net.backend} by {self._expected(lease)}: `ip route delete "
                f"{route_text(odd[0])}` there, then `systemctl restart flanneld`"
            )
        return ""

    def _expected(self, lease: Lease) -> str:
        """The expected route, for people."""
        kind, device = self.net.backend, self.net.device
        gateway = {
            "vxlan": overlay_address(lease),
            "ipip": lease.public_ip,
            "host-gw": lease.public_ip,
        }
        via = f"via {gateway[kind]}" if kind in gateway else ""
        words = " ".join(part for part in (via, f"dev {device}" if device else "") if part)
        if self.net.options.get("direct_routing", False):
            return f"`{words}`, or on one link `via {lease.public_ip}`"
        return f"`{words}`"

    def _entries(self, host: str, peer: str, route: Route) -> tuple[list[str], str, str]:
        """The neighbour and FDB entries, a problem with them, and a warning about them."""
        facts, lease, device = self.known.hosts[host], self.leases[peer], self.net.device
        if facts.neighbours is None or facts.fdb is None:
            what, command = (
                ("FDB", "bridge fdb show") if facts.neighbours else ("neighbours", "ip neigh")
            )
            return [], "", f"the {what} of {device} could not be read: see `{command}` on {host}"
        neighbours, destinations = entries(facts, device, route.via, lease.mac)
        shown = [f"{it.address} lladdr {it.mac or '?'} {it.state}".rstrip() for it in neighbours]
        shown += [f"{lease.mac} dst {dst}" for dst in destinations]
        macs = [each.mac for each in neighbours if each.mac]
        if not lease.mac:
            return shown, f"{peer}'s lease has no VtepMAC: `systemctl restart flanneld` on it", ""
        if lease.mac not in macs:
            phrase = f"takes {macs[0]} for" if macs else f"has no entry of {device} that tells"
            return (
                shown,
                (
                    f"{host} {phrase} the MAC of {route.via} on {peer}, which is {lease.mac}: "
                    f"{RESTART_FLANNELD}"
                ),
                "",
            )
        if lease.public_ip not in destinations:
            phrase = (
                f"sends to {' and '.join(destinations)}"
                if destinations
                else f"has no FDB entry of {device} for"
            )
            return (
                shown,
                (
                    f"{host} {phrase} what is for {lease.mac} of {peer}, which is at "
                    f"{lease.public_ip}: "
                    f"{RESTART_FLANNELD}"
                ),
                "",
            )
        several = f"{len(destinations)} FDB entries of {device} for {lease.mac} of {peer}"
        warning = f"{host} has {several}: {RESTART_FLANNELD}"
        return shown, "", warning if len(destinations) > 1 else ""


def is_expected(net: Overlay, lease: Lease, route: Route) -> bool:
    """Whether a route used for a peer's subnet is one of this network's own."""
    exact = route.to == lease.subnet
    if net.device and route.dev == net.device:
        if not route.via:
            return net.backend in ("vxlan", *COVERED)
        gateway = {"vxlan": overlay_address(lease), "ipip": lease.public_ip}.get(net.backend)
        return exact and route.via == gateway
    plain = net.backend == "host-gw" or net.options.get("direct_routing", False)
    elsewhere = not route.dev.startswith(("flannel", "docker"))
    return bool(plain) and elsewhere and exact and route.via == lease.public_ip


def has_entries(net: Overlay, route: Route) -> bool:
    """Whether there must be entries for the peer, which flannel writes along with such a route."""
    return net.backend == "vxlan" and route.dev == net.device and bool(route.via)


def entries(
    facts: Facts, device: str, address: str, mac: str
) -> tuple[tuple[Neighbour, ...], tuple[str, ...]]:
    """A device's neighbours for an address, and the destinations of its FDB entries for a MAC."""
    neighbours = (
        each for each in facts.neighbours or () if (each.dev, each.address) == (device, address)
    )
    destinations = (each.dst for each in facts.fdb or () if (each.dev, each.mac) == (device, mac))
    return tuple(neighbours), tuple(destinations)


def routes_to(facts: Facts, subnet: IPv4Network) -> tuple[Route, ...]:
    """The kernel's most specific routes that cover a whole subnet, except the default route."""
    found: dict[int, list[Route]] = {}
    for route in facts.routes:
        to = _network(route.to)
        if to.prefixlen and subnet.subnet_of(to):
            found.setdefault(to.prefixlen, []).append(route)
    return tuple(found[max(found)]) if found else ()


@lru_cache(maxsize=8192)
def _network(to: str) -> IPv4Network:
    """Cached: each pair of nodes looks through all routes."""
    return IPv4Network("0.0.0.0/0" if to == "default" else to)


def overlay_address(lease: Lease) -> str:
    """A peer's own address in the overlay."""
    return lease.subnet.partition("/")[0]


def route_text(route: Route) -> str:
    """As `ip route` shows it, safe to paste into a shell."""
    via = f" via {quote(sanitize(route.via))}" if route.via else ""
    return f"{route.to}{via} dev {quote(sanitize(route.dev))}"
