"""Causes in a node's vxlan device: its MAC differs from its lease, or its VNI or port is wrong."""

import re
from collections.abc import Iterator
from ipaddress import ip_interface

from fedwiz.answers.rules import interface
from fedwiz.diagnose.values import Case, Diagnosis, Fix, is_lost, loss_summary
from fedwiz.etcd.leases import Lease, parse_leases
from fedwiz.facts import Link
from fedwiz.facts.parse import MAC
from fedwiz.model.actions import Run
from fedwiz.model.backends import BACKENDS, KERNEL_VXLAN_PORT
from fedwiz.steps.make import run_script
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.peers import entries, overlay_address

KEEPS_DOCKER = (
    "`systemctl disable flanneld`, `systemctl restart flanneld`, `systemctl enable flanneld` "
    "(while it is enabled its restart takes docker along)"
)


def device_of(case: Case, host: str) -> Link | None:
    """The vxlan device that a node uses, whatever its VNI; None: it has none.

    After a change of the VNI there may be two devices with the node's address: the lease decides.
    """
    if case.net.backend != "vxlan":
        return None
    facts, lease = case.facts(host), case.lease(host)
    subnet = subnet_of(facts)
    found = [
        link
        for link in facts.flannel_links
        if link.kind == "vxlan"
        and subnet
        and _named(link.name)
        and any(ip_interface(text).ip in subnet.network for text in link.addresses)
    ]
    mac = lease.mac if lease else ""
    found.sort(key=lambda link: (link.mac.lower() != mac, link.name != case.net.device))
    return next(iter(found), None)


def _named(name: str) -> bool:
    try:
        return interface(name) == name
    except ValueError:
        return False


def stale(case: Case, host: str) -> tuple[Link, Lease] | None:
    """The device and the lease of a node whose MACs differ."""
    device, lease = device_of(case, host), case.lease(host)
    if device is None or lease is None or not re.fullmatch(MAC, lease.mac):
        return None
    same = device.mac.lower() == lease.mac or not re.fullmatch(MAC, device.mac.lower())
    return None if same else (device, lease)


def stale_vtep_mac(case: Case) -> Iterator[Diagnosis]:
    """A node's device has another MAC than its lease, which the other nodes send to.

    Packets for a MAC that is not the device's are dropped before iptables sees them. Changing the
    MAC makes the kernel forget the device's neighbours, so these are written again.
    """
    for host in case.ends:
        found = stale(case, host)
        if found is None:
            continue
        device, lease = found
        peer, mac = case.peer(host), device.mac.lower()
        peer_neighbours, _ = entries(
            case.facts(peer), _name(case, peer), overlay_address(lease), ""
        )
        why = f"{device.name} on {host} has another MAC than {host}'s lease, which the others use"
        seen = f"{device.name} has {mac}, and the lease's VtepMAC is {lease.mac}"
        if any(it.mac == mac for it in peer_neighbours):
            # Only the lease is wrong: the other nodes know the device's real MAC.
            yield Diagnosis(
                "stale-vtep-mac",
                host,
                f"{host}'s lease has another MAC than {device.name} on it",
                f"{seen}; {peer} sends to {mac}",
                f"on {host} {KEEPS_DOCKER}: flanneld writes its lease again",
                explains=False,
            )
            continue
        no_neighbours = not any(
            it.mac for it in case.facts(host).neighbours or () if it.dev == device.name
        )
        yield Diagnosis(
            "stale-vtep-mac",
            host,
            why,
            "\n".join(filter(None, (seen, loss_summary(case)))),
            f"`ip link set dev {device.name} address {lease.mac}` on {host}, and its peers' "
            "neighbour entries again; something gave the device a MAC of its own, as systemd "
            "does: `MACAddressPolicy=none` for flannel* in /etc/systemd/network/50-flannel.link "
            "keeps it off",
            (Fix(host, _set_mac(case, host, device, lease)),),
            explains=is_lost(case, peer, peer_hops=("unwrapping",))
            or (no_neighbours and is_lost(case, host, own_hops=("wrapping",))),
        )


def _name(case: Case, host: str) -> str:
    device = device_of(case, host)
    return device.name if device else case.net.device


def _set_mac(case: Case, host: str, device: Link, lease: Lease) -> Run:
    """Set the MAC and then the neighbours in one batch; `ip -batch` stops at the first failure."""
    peers = {
        overlay_address(it): it.mac
        for it in parse_leases(case.known.store.leases)
        if not it.error
        and it.subnet != lease.subnet
        and it.backend == "vxlan"
        and re.fullmatch(MAC, it.mac)
    }
    before = {
        it.address: it.mac
        for it in case.facts(host).neighbours or ()
        if it.dev == device.name and it.mac and it.state == "PERMANENT"
    }
    return _batch(
        _lines(device.name, lease.mac, {**before, **peers}),
        _lines(device.name, device.mac.lower(), before),
    )


def _batch(do: str, undo_lines: str) -> Run:
    argv, undo_text = ("ip", "-batch", "-"), "the same with what there was"
    return Run(argv, stdin=(do,), undo=undo_text, back=Run(argv, stdin=(undo_lines,)))


def _lines(device: str, mac: str, neighbours: dict[str, str]) -> str:
    lines = [f"link set dev {device} address {mac}"]
    lines += (
        f"neighbour replace {address} lladdr {each} dev {device} nud permanent"
        for address, each in neighbours.items()
    )
    return "".join(f"{line}\n" for line in lines)


def other_vni(case: Case) -> Iterator[Diagnosis]:
    """A node's device has another VNI than etcd says: no other node accepts its packets."""
    yield from _other(case, 0)


def other_port(case: Case) -> Iterator[Diagnosis]:
    """A node's device uses another UDP port than etcd says: neither side hears the other."""
    yield from _other(case, 1)


def _expected(case: Case) -> tuple[int, int]:
    made = BACKENDS["vxlan"].complete(case.net.options)
    return int(made["vni"]), int(made["port"]) or KERNEL_VXLAN_PORT


def _created_with(case: Case, host: str) -> tuple[int, int] | None:
    device = device_of(case, host)
    if device is None or device.vni is None or device.port is None:
        return None
    return device.vni, device.port


def _other(case: Case, index: int) -> Iterator[Diagnosis]:
    if case.net.backend != "vxlan":
        return
    wanted, word = _expected(case), ("VNI", "UDP port")[index]
    for host in case.ends:
        device, actual = device_of(case, host), _created_with(case, host)
        peer_values = _created_with(case, case.peer(host))
        if device is None or actual is None or actual[index] == wanted[index]:
            continue
        seen = f"{device.name} on {host}: {word} {actual[index]}; etcd: {wanted[index]}"
        why = f"{device.name} on {host} has {word} {actual[index]}, and the network {wanted[index]}"
        name = ("other-vni", "other-port")[index]
        if peer_values is not None and peer_values[index] == actual[index]:
            yield Diagnosis(
                name,
                host,
                f"{why}: it was made before a change, as {case.peer(host)}'s was",
                seen,
                f"on every node, one after the other, {KEEPS_DOCKER}",
                explains=False,
            )
            continue
        fixes = _recreate(case, host, device, actual, wanted, index)
        remedy = f"on {host} {KEEPS_DOCKER}: flanneld creates its device again, as etcd says"
        if fixes:
            remedy = (
                f"create {device.name} on {host} again with {word} {wanted[index]} and "
                f"all else as it "
                "is (vtep.sh), then have flanneld look again"
            )
        yield Diagnosis(
            name,
            host,
            why,
            "\n".join(filter(None, (seen, loss_summary(case)))),
            remedy,
            fixes,
            explains=is_lost(
                case, host, own_hops=("wrapping",), peer_hops=("firewall", "unwrapping")
            )
            or is_lost(case, case.peer(host), peer_hops=("firewall", "unwrapping")),
        )


def _recreate(
    case: Case,
    host: str,
    device: Link,
    actual: tuple[int, int],
    expected: tuple[int, int],
    index: int,
) -> tuple[Fix, ...]:
    """Recreate the device; nothing if another device has its name."""
    # Change one property at a time: the other one stays as it is.
    target = (expected[0], actual[1]) if index == 0 else (actual[0], expected[1])
    name = case.net.device if index == 0 else device.name
    if name != device.name and case.facts(host).link(name) is not None:
        return ()
    options = {"timeout": 150, "unit": "fedwiz-vtep"}
    undo_run = run_script("vtep", name, device.name, *map(str, actual), **options)
    do = run_script(
        "vtep",
        device.name,
        name,
        *map(str, target),
        "again",
        **options,
        back=undo_run,
        undo=undo_run.brief,
    )
    return (Fix(host, do),)
