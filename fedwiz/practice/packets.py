"""Whether a ping from a container gets to another one, and whose address is seen there.

Computed hop by hop from the hosts' routes, peers, rules, sysctls and containers.  And whether
the hosts' own cards reach each other, by pings or at a UDP port, which needs nothing of flannel's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fedwiz.facts.values import Link, Route
from fedwiz.model.backends import BACKENDS
from fedwiz.practice.chains import BUILT_IN, PacketHeaders, address_of, network_of
from fedwiz.practice.machine import Cluster, Container, Machine


class PacketLostError(Exception):
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


PING_BYTES = 84
"""Bytes of a ping's packet, unless it is told otherwise."""


def ping(
    cluster: Cluster, machine: Machine, source: str, target: str, times: int, size: int = PING_BYTES
) -> str:
    """Send pings out of a container, and their answers back; `size` bytes and no fragments.

    Returns:
        The address that the other side saw.

    Raises:
        Lost: no answer comes back.
    """
    there = _travel(cluster, machine, PacketHeaders(source, target, times=times), size=size)
    if there.container is not None and there.container.pings is not None:
        counted = there.container.pings
        if there.source in counted:
            counted[there.source] += times
    back = PacketHeaders(target, there.source, answer=True, times=times)
    _travel(cluster, there.machine, back, source if there.hidden else "", size)
    return there.source


def _travel(
    cluster: Cluster,
    machine: Machine,
    packet: PacketHeaders,
    for_whom: str = "",
    size: int = PING_BYTES,
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
        raise PacketLostError
    _arriving(machine, replace(packet, into=first))
    route = machine.route_to(packet.target)
    if route is None:
        raise PacketLostError(f"From {_own(machine)} icmp_seq=1 Destination Net Unreachable")
    _forward(machine, replace(packet, into=first, out=route.dev))
    source = packet.source
    leaving = replace(packet, out=route.dev)
    if not packet.answer and machine.chains.fate("nat", "POSTROUTING", leaving) == "MASQUERADE":
        source = str(address_of(machine.links[route.dev].addresses[0]))
    peer = _carry(cluster, machine, route, packet)
    _fits(machine, peer, route.dev, size)
    if size > machine.links[first].mtu:
        raise PacketLostError
    return _arrive(
        peer, replace(packet, source=source), route.dev, for_whom, hidden=source != packet.source
    )


def _own(machine: Machine) -> str:
    return str(address_of(machine.uplink.addresses[0]))


HOOKS: Mapping[str, tuple[str, ...]] = {
    chain: tuple(
        table for table in ("raw", "mangle", "filter", "security") if chain in BUILT_IN[table]
    )
    for chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT")
}
"""By chain, the tables that are asked, in the kernel's order; nat's only once a packet passes."""


def _through(machine: Machine, chain: str, packet: PacketHeaders) -> str:
    """What becomes of a packet in all tables' chain of that name."""
    fates = (machine.chains.fate(table, chain, packet) for table in HOOKS[chain])
    return next((fate for fate in fates if fate != "ACCEPT"), "ACCEPT")


def _arriving(machine: Machine, packet: PacketHeaders) -> None:
    if _through(machine, "PREROUTING", packet) != "ACCEPT":
        raise PacketLostError


def _forward(machine: Machine, packet: PacketHeaders) -> None:
    if machine.sysctls["net.ipv4.ip_forward"] != "1":
        raise PacketLostError
    fate = _through(machine, "FORWARD", packet)
    if fate == "REJECT":
        raise PacketLostError(f"From {_own(machine)} icmp_seq=1 Destination Host Prohibited")
    if fate != "ACCEPT":
        raise PacketLostError


def _carry(cluster: Cluster, machine: Machine, route: Route, packet: PacketHeaders) -> Machine:
    """The host that a packet gets to over the wire, or through a tunnel."""
    link = machine.links[route.dev]
    if not link.kind:  # a network card
        peer = cluster.owner(route.via or packet.target)
        if peer is None or peer is machine:
            raise PacketLostError
        return peer
    ways = machine.peers.get(link.name, {})
    at = address_of(packet.target)
    way = next((peer for net, peer in ways.items() if at in network_of(net)), None)
    if way is None or (link.kind == "tun" and machine.daemon is None):
        raise PacketLostError
    if link.kind == "vxlan" and not way.mac == way.fdb_mac != "":
        raise PacketLostError  # no neighbour, or the FDB does not say where it is
    peer = _send(cluster, machine, _wrapped(machine, link, way.address, packet.times))
    theirs = peer.links.get(link.name)
    if theirs is None or (theirs.vni, theirs.port) != (link.vni, link.port):
        raise PacketLostError
    if link.kind == "vxlan" and way.mac != theirs.mac:
        raise PacketLostError
    if link.kind == "tun" and peer.daemon is None:
        raise PacketLostError  # flanneld itself carries the packets
    return peer


def _wrapped(machine: Machine, link: Link, target: str, times: int) -> PacketHeaders:
    """What a tunnel makes of a packet."""
    route = machine.route_to(target)
    dev = machine.daemon.dev if machine.daemon else route.dev if route else machine.uplink.name
    source = str(address_of(machine.links[dev].addresses[0]))
    number = "" if link.port else "4"
    return PacketHeaders(source, target, "", dev, port=link.port or 0, number=number, times=times)


def _send(cluster: Cluster, machine: Machine, packet: PacketHeaders) -> Machine:
    """From a host itself to another one itself; the host that takes it."""
    peer = cluster.owner(packet.target)
    if _through(machine, "OUTPUT", packet) != "ACCEPT" or peer is None:
        raise PacketLostError
    come = replace(packet, into=peer.uplink.name, out="")
    _arriving(peer, come)
    wanted = f"{packet.port}/udp" if packet.port else packet.number
    if peer.firewall is not None and wanted not in peer.firewall.ports:
        raise PacketLostError
    if _through(peer, "INPUT", come) != "ACCEPT":
        raise PacketLostError
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
        raise PacketLostError


def _card(machine: Machine, name: str) -> Link:
    return machine.links.get(name) or machine.uplink


def _arrive(
    machine: Machine, packet: PacketHeaders, into: str, for_whom: str, *, hidden: bool
) -> Arrived:
    """From the wire to a container, or to the host itself."""
    arriving = into if into in machine.links else machine.uplink.name
    _arriving(machine, replace(packet, into=arriving))
    if for_whom and packet.target in machine.addresses():
        packet = replace(packet, target=for_whom)
    elif packet.target in machine.addresses():
        return Arrived(machine, None, packet.source, hidden)
    route = machine.route_to(packet.target)
    if route is None or (machine.links[route.dev].kind not in ("bridge", "veth")):
        raise PacketLostError
    _forward(machine, replace(packet, into=arriving, out=route.dev))
    for container in machine.containers:
        if (container.address, container.link) == (packet.target, route.dev):
            return Arrived(machine, container, packet.source, hidden)
    raise PacketLostError(f"From {_own(machine)} icmp_seq=1 Destination Host Unreachable")


def cross(
    cluster: Cluster, machine: Machine, source: str, dev: str, target: str, size: int = PING_BYTES
) -> None:
    """Ping from an address of a host's own, out by one of its interfaces.

    Raises:
        Lost: no answer comes back.
    """
    if target in machine.addresses():
        return  # it has pinged itself
    request, answer = (
        PacketHeaders(source, target, "", dev),
        PacketHeaders(target, source, dev, "", answer=True),
    )
    if machine.chains.fate("filter", "OUTPUT", request) != "ACCEPT":
        raise PacketLostError
    met = _over_wire(cluster, machine, dev, target)
    if met is None:
        raise PacketLostError
    peer, card = met
    if size > min(machine.links[dev].mtu, card.mtu):
        raise PacketLostError
    _let_in(peer, PacketHeaders(source, target, card.name))
    back = peer.route_to(source)  # an answer leaves as the table says
    home = _over_wire(cluster, peer, back.dev, source) if back else None
    if source in peer.addresses() or home is None or home[0] is not machine:
        raise PacketLostError
    _let_in(machine, answer)


def datagram(cluster: Cluster, machine: Machine, target: str, port: int) -> Machine:
    """Send a datagram to a UDP port of another host; who gets it.

    Raises:
        Lost: it does not arrive; the message is what the sender's kernel says of it.
    """
    route = machine.route_to(target)
    if route is None:
        raise PacketLostError("Network is unreachable")
    source = str(address_of(machine.links[route.dev].addresses[0]))
    if machine.chains.fate(
        "filter", "OUTPUT", PacketHeaders(source, target, "", route.dev, port=port)
    ) != ("ACCEPT"):
        raise PacketLostError("Operation not permitted")
    met = _over_wire(cluster, machine, route.dev, target)
    if met is None:
        raise PacketLostError
    peer, card = met
    _let_in(peer, PacketHeaders(source, target, card.name, port=port))
    if peer.firewall is not None and f"{port}/udp" not in peer.firewall.ports:
        raise PacketLostError("No route to host")
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
    start = f"{target}/"
    for peer in cluster.machines.values():
        for card in peer.links.values():
            if card.kind or not card.up:
                continue
            for held in card.addresses:
                if not held.startswith(start):
                    continue
                routed = any(each.via and each.dev == card.name for each in peer.routes)
                if routed if route and route.via else network_of(held) in wires:
                    return peer, card
    return None


def _let_in(machine: Machine, packet: PacketHeaders) -> None:
    _arriving(machine, packet)
    if _through(machine, "INPUT", packet) != "ACCEPT":
        raise PacketLostError
