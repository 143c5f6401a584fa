"""Whether a ping from a container gets to another one, and whose address is seen there.

Computed hop by hop from the hosts' routes, peers, rules, sysctls and containers.  And whether
the hosts' own cards reach each other, by pings or at a UDP port, which needs nothing of flannel's.
"""

from dataclasses import dataclass

from fedwiz.backends import BACKENDS
from fedwiz.facts.values import Link, Route
from fedwiz.practice.chains import Packet, address_of, network_of
from fedwiz.practice.machine import Cluster, Container, Machine


class Lost(Exception):  # noqa: N818 - it reads well in `except`
    """The packet does not arrive; the message is what the sender hears, or nothing."""


@dataclass(frozen=True)
class Arrived:
    """Where a packet came out."""

    machine: Machine
    container: Container | None
    """None: it is for the host itself."""

    source: str
    """The address that is seen there."""

    hidden: bool
    """The source was changed on the way."""


SMALL = 84
"""Bytes of a ping's packet, unless it is told otherwise."""


def ping(
    cluster: Cluster, machine: Machine, source: str, target: str, times: int, size: int = SMALL
) -> str:
    """Send pings out of a container, and their answers back; `size` bytes and no fragments.

    Returns:
        The address that the other side saw.

    Raises:
        Lost: no answer comes back.
    """
    there = _travel(cluster, machine, Packet(source, target), size=size)
    if there.container is not None and there.container.pings is not None:
        counted = there.container.pings
        if there.source in counted:
            counted[there.source] += times
    back = Packet(target, there.source, answer=True)
    _travel(cluster, there.machine, back, source if there.hidden else "", size)
    return there.source


def _travel(
    cluster: Cluster, machine: Machine, packet: Packet, for_whom: str = "", size: int = SMALL
) -> Arrived:
    """From a container of one host to where the packet ends.

    Args:
        cluster: all hosts.
        machine: the sender's.
        packet: as the container sends it.
        for_whom: for an answer to an address that stands for a container's: that container.
        size: bytes that must fit through all links, and what a backend makes of them too.
    """
    first = next((c.link for c in machine.containers if c.address == packet.source), "")
    if first not in machine.links:
        raise Lost
    _raw(machine, packet, first)
    route = machine.route_to(packet.target)
    if route is None:
        raise Lost(f"From {_own(machine)} icmp_seq=1 Destination Net Unreachable")
    _forward(machine, packet, first, route.dev)
    source = packet.source
    leaving = Packet(packet.source, packet.target, "", route.dev, packet.answer)
    if not packet.answer and machine.chains.fate("nat", "POSTROUTING", leaving) == "MASQUERADE":
        source = str(address_of(machine.links[route.dev].addresses[0]))
    peer = _carry(cluster, machine, route, packet.target)
    _fits(machine, peer, route.dev, size)
    if size > machine.links[first].mtu:
        raise Lost
    return _arrive(peer, Packet(source, packet.target, answer=packet.answer), route.dev,
                   for_whom, hidden=source != packet.source)  # fmt: skip


def _own(machine: Machine) -> str:
    return str(address_of(machine.uplink.addresses[0]))


def _raw(machine: Machine, packet: Packet, into: str) -> None:
    seen = Packet(packet.source, packet.target, into, "", packet.answer)
    if machine.chains.fate("raw", "PREROUTING", seen) == "DROP":
        raise Lost


def _forward(machine: Machine, packet: Packet, into: str, out: str) -> None:
    if machine.sysctls["net.ipv4.ip_forward"] != "1":
        raise Lost
    seen = Packet(packet.source, packet.target, into, out, packet.answer)
    fate = machine.chains.fate("filter", "FORWARD", seen)
    if fate == "REJECT":
        raise Lost(f"From {_own(machine)} icmp_seq=1 Destination Host Prohibited")
    if fate != "ACCEPT":
        raise Lost


def _carry(cluster: Cluster, machine: Machine, route: Route, target: str) -> Machine:
    """The host that a packet gets to over the wire, or through a tunnel."""
    link = machine.links[route.dev]
    if not link.kind:  # a network card
        peer = cluster.owner(route.via or target)
        if peer is None or peer is machine:
            raise Lost
        return peer
    ways = machine.peers.get(link.name, {})
    at = address_of(target)
    way = next((peer for net, peer in ways.items() if at in network_of(net)), None)
    peer = cluster.owner(way.address) if way else None
    if way is None or peer is None:
        raise Lost
    theirs = peer.links.get(link.name)
    if theirs is None or (theirs.vni, theirs.port) != (link.vni, link.port):
        raise Lost
    if link.kind == "vxlan" and not (way.mac == way.fdb_mac == theirs.mac):
        raise Lost
    if link.kind == "tun" and not (machine.daemon and peer.daemon):
        raise Lost  # flanneld itself carries the packets
    wanted = f"{theirs.port}/udp" if theirs.port else "4"
    if peer.firewall is not None and wanted not in peer.firewall.ports:
        raise Lost
    return peer


def _fits(machine: Machine, peer: Machine, dev: str, size: int) -> None:
    """The largest packets that both ends' devices and cards pass."""
    link, daemon = machine.links[dev], machine.daemon
    outer = size
    if link.kind and daemon:
        outer += BACKENDS[daemon.backend].overhead
    theirs = peer.links.get(dev, link) if link.kind else link
    cards = [_card(each, daemon.dev if daemon else dev).mtu for each in (machine, peer)]
    if size > min(link.mtu, theirs.mtu) or outer > min(cards):
        raise Lost


def _card(machine: Machine, name: str) -> Link:
    return machine.links.get(name) or machine.uplink


def _arrive(machine: Machine, packet: Packet, into: str, for_whom: str, *, hidden: bool) -> Arrived:
    """From the wire to a container, or to the host itself."""
    arriving = into if into in machine.links else machine.uplink.name
    _raw(machine, packet, arriving)
    if for_whom and packet.target in machine.addresses():
        packet = Packet(packet.source, for_whom, answer=True)
    elif packet.target in machine.addresses():
        return Arrived(machine, None, packet.source, hidden)
    route = machine.route_to(packet.target)
    if route is None or (machine.links[route.dev].kind not in ("bridge", "veth")):
        raise Lost
    _forward(machine, packet, arriving, route.dev)
    for container in machine.containers:
        if (container.address, container.link) == (packet.target, route.dev):
            return Arrived(machine, container, packet.source, hidden)
    raise Lost(f"From {_own(machine)} icmp_seq=1 Destination Host Unreachable")


def cross(
    cluster: Cluster, machine: Machine, source: str, dev: str, target: str, size: int = SMALL
) -> None:
    """Ping from an address of a host's own, out by one of its interfaces.

    Raises:
        Lost: no answer comes back.
    """
    if target in machine.addresses():
        return  # it has pinged itself
    request, answer = Packet(source, target, "", dev), Packet(target, source, dev, "", answer=True)
    if machine.chains.fate("filter", "OUTPUT", request) != "ACCEPT":
        raise Lost
    met = _over_wire(cluster, machine, dev, target)
    if met is None:
        raise Lost
    peer, card = met
    if size > min(machine.links[dev].mtu, card.mtu):
        raise Lost
    _let_in(peer, Packet(source, target, card.name))
    back = peer.route_to(source)  # an answer leaves as the table says
    home = _over_wire(cluster, peer, back.dev, source) if back else None
    if source in peer.addresses() or home is None or home[0] is not machine:
        raise Lost
    _let_in(machine, answer)


def datagram(cluster: Cluster, machine: Machine, target: str, port: int) -> Machine:
    """Send a datagram to a UDP port of another host; who gets it.

    Raises:
        Lost: it does not arrive; the message is what the sender's kernel says of it.
    """
    route = machine.route_to(target)
    if route is None:
        raise Lost("Network is unreachable")
    source = str(address_of(machine.links[route.dev].addresses[0]))
    if machine.chains.fate(
        "filter", "OUTPUT", Packet(source, target, "", route.dev, port=port)
    ) != ("ACCEPT"):
        raise Lost("Operation not permitted")
    met = _over_wire(cluster, machine, route.dev, target)
    if met is None:
        raise Lost
    peer, card = met
    _let_in(peer, Packet(source, target, card.name, port=port))
    if peer.firewall is not None and f"{port}/udp" not in peer.firewall.ports:
        raise Lost("No route to host")
    return peer


def neighbour(cluster: Cluster, machine: Machine, dev: str, target: str) -> str:
    """What the kernel says of an address on an interface's own wire; `none`: it is not there."""
    route = machine.route_to(target, dev)
    if (route and route.via) or target in machine.addresses():
        return "none"
    return "REACHABLE" if _over_wire(cluster, machine, dev, target) else "FAILED"


def _over_wire(
    cluster: Cluster, machine: Machine, dev: str, target: str
) -> tuple[Machine, Link] | None:
    """The host and its card that get what leaves by an interface for an address, if any do.

    Without a route there the kernel takes the address for one on the wire itself.  Routers know
    the networks of those that send through them.
    """
    route = machine.route_to(target, dev)
    wires = {network_of(text) for text in machine.links[dev].addresses}
    for peer in cluster.machines.values():
        for card in peer.links.values():
            held = next((text for text in card.addresses if text.startswith(f"{target}/")), "")
            if card.kind or not held or not card.up:
                continue
            routed = any(each.via and each.dev == card.name for each in peer.routes)
            if routed if route and route.via else network_of(held) in wires:
                return peer, card
    return None


def _let_in(machine: Machine, packet: Packet) -> None:
    _raw(machine, packet, packet.into)
    if machine.chains.fate("filter", "INPUT", packet) != "ACCEPT":
        raise Lost
