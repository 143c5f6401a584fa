"""Simulates whether a ping between containers arrives, and which source address is seen.

Computed hop by hop from the hosts' routes, peers, rules, sysctls and containers. Also simulates
whether the hosts' own cards reach each other, by ping or UDP, which does not involve flannel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fedwiz.facts.values import Link, Route
from fedwiz.model.backends import BACKENDS
from fedwiz.practice.chains import BUILT_IN, PacketHeaders, address_of, network_of
from fedwiz.practice.machine import Cluster, Container, Machine


class PacketLostError(Exception):
    """The packet does not arrive; the message is the error that the sender gets, or empty."""


@dataclass(frozen=True)
class Arrived:
    """Where a packet arrived."""

    machine: Machine
    container: Container | None
    """None: it is for the host itself."""

    source: str
    """The source address seen there."""

    hidden: bool
    """The source address was translated on the path."""


PING_BYTES = 84
"""Default size of a ping's packet, in bytes."""


def ping(
    cluster: Cluster, machine: Machine, source: str, target: str, times: int, size: int = PING_BYTES
) -> str:
    """Send pings from a container and their replies back; `size` bytes, not fragmented.

    Returns:
        The source address that the receiver saw.

    Raises:
        PacketLostError: no reply comes back.
    """
    arrived = _travel(cluster, machine, PacketHeaders(source, target, times=times), size=size)
    if arrived.container is not None and arrived.container.pings is not None:
        counted = arrived.container.pings
        if arrived.source in counted:
            counted[arrived.source] += times
    reply = PacketHeaders(target, arrived.source, answer=True, times=times)
    _travel(cluster, arrived.machine, reply, source if arrived.hidden else "", size)
    return arrived.source


def _travel(
    cluster: Cluster,
    machine: Machine,
    packet: PacketHeaders,
    for_whom: str = "",
    size: int = PING_BYTES,
) -> Arrived:
    """Follow a packet from a host's container to where it ends.

    Args:
        cluster: all hosts.
        machine: the sender's host.
        packet: as sent by the container.
        for_whom: for a reply to a translated address: the container it stands for.
        size: bytes that must fit through all links, including the backend's overhead.
    """
    ingress = next((c.link for c in machine.containers if c.address == packet.source), "")
    if ingress not in machine.links:
        raise PacketLostError
    _arriving(machine, replace(packet, into=ingress))
    route = machine.route_to(packet.target)
    if route is None:
        raise PacketLostError(f"From {_own(machine)} icmp_seq=1 Destination Net Unreachable")
    _forward(machine, replace(packet, into=ingress, out=route.dev))
    source = packet.source
    leaving = replace(packet, out=route.dev)
    if not packet.answer and machine.chains.fate("nat", "POSTROUTING", leaving) == "MASQUERADE":
        source = str(address_of(machine.links[route.dev].addresses[0]))
    peer = _carry(cluster, machine, route, packet)
    _check_size(machine, peer, route.dev, size)
    if size > machine.links[ingress].mtu:
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
"""By chain, the tables in the kernel's order; nat's are consulted only for packets that pass."""


def _through(machine: Machine, chain: str, packet: PacketHeaders) -> str:
    """The verdict of all tables' chains of that name."""
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
    """The host that a packet reaches over the wire, or through a tunnel."""
    link = machine.links[route.dev]
    if not link.kind:  # a network card
        peer = cluster.owner(route.via or packet.target)
        if peer is None or peer is machine:
            raise PacketLostError
        return peer
    peer_entries = machine.peers.get(link.name, {})
    ip = address_of(packet.target)
    peer_entry = next((peer for net, peer in peer_entries.items() if ip in network_of(net)), None)
    if peer_entry is None or (link.kind == "tun" and machine.daemon is None):
        raise PacketLostError
    if link.kind == "vxlan" and not peer_entry.mac == peer_entry.fdb_mac != "":
        raise PacketLostError  # no neighbour entry, or none in the FDB for its MAC
    peer = _send(cluster, machine, _wrapped(machine, link, peer_entry.address, packet.times))
    peer_link = peer.links.get(link.name)
    if peer_link is None or (peer_link.vni, peer_link.port) != (link.vni, link.port):
        raise PacketLostError
    if link.kind == "vxlan" and peer_entry.mac != peer_link.mac:
        raise PacketLostError
    if link.kind == "tun" and peer.daemon is None:
        raise PacketLostError  # flanneld itself carries the packets
    return peer


def _wrapped(machine: Machine, link: Link, target: str, times: int) -> PacketHeaders:
    """The outer packet of a tunnel."""
    route = machine.route_to(target)
    dev = machine.daemon.dev if machine.daemon else route.dev if route else machine.uplink.name
    source = str(address_of(machine.links[dev].addresses[0]))
    number = "" if link.port else "4"
    return PacketHeaders(source, target, "", dev, port=link.port or 0, number=number, times=times)


def _send(cluster: Cluster, machine: Machine, packet: PacketHeaders) -> Machine:
    """Send a packet from one host to another; returns the receiving host."""
    peer = cluster.owner(packet.target)
    if _through(machine, "OUTPUT", packet) != "ACCEPT" or peer is None:
        raise PacketLostError
    received = replace(packet, into=peer.uplink.name, out="")
    _arriving(peer, received)
    wanted = f"{packet.port}/udp" if packet.port else packet.number
    if peer.firewall is not None and wanted not in peer.firewall.ports:
        raise PacketLostError
    if _through(peer, "INPUT", received) != "ACCEPT":
        raise PacketLostError
    return peer


def _check_size(machine: Machine, peer: Machine, dev: str, size: int) -> None:
    """Check that the devices and cards of both ends pass a packet of this size."""
    link, daemon = machine.links[dev], machine.daemon
    outer = size
    if link.kind and daemon:
        outer += BACKENDS[daemon.backend].overhead
    peer_link = peer.links.get(dev, link) if link.kind else link
    cards = [_card(each, daemon.dev if daemon else dev).mtu for each in (machine, peer)]
    if size > min(link.mtu, peer_link.mtu) or outer > min(cards):
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
    """Ping from one of a host's own addresses, out through one of its interfaces.

    Raises:
        PacketLostError: no reply comes back.
    """
    if target in machine.addresses():
        return  # it has pinged itself
    request, answer = (
        PacketHeaders(source, target, "", dev),
        PacketHeaders(target, source, dev, "", answer=True),
    )
    if machine.chains.fate("filter", "OUTPUT", request) != "ACCEPT":
        raise PacketLostError
    receiver = _over_wire(cluster, machine, dev, target)
    if receiver is None:
        raise PacketLostError
    peer, card = receiver
    if size > min(machine.links[dev].mtu, card.mtu):
        raise PacketLostError
    _let_in(peer, PacketHeaders(source, target, card.name))
    reply_route = peer.route_to(source)  # the reply follows the routing table
    home = _over_wire(cluster, peer, reply_route.dev, source) if reply_route else None
    if source in peer.addresses() or home is None or home[0] is not machine:
        raise PacketLostError
    _let_in(machine, answer)


def datagram(cluster: Cluster, machine: Machine, target: str, port: int) -> Machine:
    """Send a datagram to a UDP port of another host; returns the receiving host.

    Raises:
        PacketLostError: it does not arrive; the message is the error of the sender's kernel.
    """
    route = machine.route_to(target)
    if route is None:
        raise PacketLostError("Network is unreachable")
    source = str(address_of(machine.links[route.dev].addresses[0]))
    if machine.chains.fate(
        "filter", "OUTPUT", PacketHeaders(source, target, "", route.dev, port=port)
    ) != ("ACCEPT"):
        raise PacketLostError("Operation not permitted")
    receiver = _over_wire(cluster, machine, route.dev, target)
    if receiver is None:
        raise PacketLostError
    peer, card = receiver
    _let_in(peer, PacketHeaders(source, target, card.name, port=port))
    if peer.firewall is not None and f"{port}/udp" not in peer.firewall.ports:
        raise PacketLostError("No route to host")
    return peer


def neighbour(cluster: Cluster, machine: Machine, dev: str, target: str) -> str:
    """The kernel's neighbour state of an address on an interface's own wire; `none`: no entry."""
    route = machine.route_to(target, dev)
    if (route and route.via) or target in machine.addresses():
        return "none"
    return "REACHABLE" if _over_wire(cluster, machine, dev, target) else "FAILED"


def _over_wire(
    cluster: Cluster, machine: Machine, dev: str, target: str
) -> tuple[Machine, Link] | None:
    """The host and card that receive packets for an address sent through an interface, if any.

    Without a route, the kernel assumes that the address is on the wire itself. Routers know the
    networks of those that send through them.
    """
    route = machine.route_to(target, dev)
    wires = {network_of(text) for text in machine.links[dev].addresses}
    start = f"{target}/"
    for peer in cluster.machines.values():
        for card in peer.links.values():
            if card.kind or not card.up:
                continue
            for address in card.addresses:
                if not address.startswith(start):
                    continue
                routed = any(each.via and each.dev == card.name for each in peer.routes)
                if routed if route and route.via else network_of(address) in wires:
                    return peer, card
    return None


def _let_in(machine: Machine, packet: PacketHeaders) -> None:
    _arriving(machine, packet)
    if _through(machine, "INPUT", packet) != "ACCEPT":
        raise PacketLostError
