"""Causes in a node's vxlan device: another MAC than its lease says, another VNI, another port."""

import re
from collections.abc import Iterator
from ipaddress import ip_interface

from fedwiz.answers.rules import interface
from fedwiz.diagnose.cause import counted, loses
from fedwiz.diagnose.values import Case, Diagnosis, Fix
from fedwiz.etcd.leases import Lease, parse_leases
from fedwiz.facts import Link
from fedwiz.facts.parse import MAC
from fedwiz.model.actions import Run
from fedwiz.model.backends import BACKENDS, KERNEL_VXLAN_PORT
from fedwiz.steps.make import run_script
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.peers import entries, first

FIXED_AT_CREATION = ("vni", "port")
"""What a vxlan device is made with, and can't be given later."""

KEEPS_DOCKER = (
    "`systemctl disable flanneld`, `systemctl restart flanneld`, `systemctl enable flanneld` "
    "(while it is enabled its restart takes docker along)"
)


def device_of(case: Case, host: str) -> Link | None:
    """The vxlan device that a node lives by, whatever its VNI; None: it has none.

    After a change of the VNI there may be two with the node's address: the lease tells which.
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
    """The device and the lease of a node whose MACs are not the same."""
    device, lease = device_of(case, host), case.lease(host)
    if device is None or lease is None or not re.fullmatch(MAC, lease.mac):
        return None
    same = device.mac.lower() == lease.mac or not re.fullmatch(MAC, device.mac.lower())
    return None if same else (device, lease)


def stale_vtep_mac(case: Case) -> Iterator[Diagnosis]:
    """A node's device has another MAC than its lease, by which the others address it.

    What comes in for a MAC that is not the device's is dropped before iptables sees it.
    Changing the MAC makes the kernel forget the device's neighbours, so these are written, too.
    """
    for host in case.ends:
        found = stale(case, host)
        if found is None:
            continue
        device, lease = found
        peer, mac = case.peer(host), device.mac.lower()
        told, _ = entries(case.facts(peer), _name(case, peer), first(lease), "")
        why = f"{device.name} on {host} has another MAC than {host}'s lease, which the others use"
        seen = f"{device.name} has {mac}, and the lease's VtepMAC is {lease.mac}"
        if any(it.mac == mac for it in told):
            # The lease alone is wrong: the others know the MAC that the device has.
            yield Diagnosis(
                "stale-vtep-mac",
                host,
                f"{host}'s lease has another MAC than {device.name} on it",
                f"{seen}; {peer} sends to {mac}",
                f"on {host} {KEEPS_DOCKER}: flanneld writes its lease anew",
                explains=False,
            )
            continue
        gone = not any(it.mac for it in case.facts(host).neighbours or () if it.dev == device.name)
        yield Diagnosis(
            "stale-vtep-mac",
            host,
            why,
            "\n".join(filter(None, (seen, counted(case)))),
            f"`ip link set dev {device.name} address {lease.mac}` on {host}, and its peers' "
            "neighbour entries again; something gave the device a MAC of its own, as systemd "
            "does: `MACAddressPolicy=none` for flannel* in /etc/systemd/network/50-flannel.link "
            "keeps it off",
            (Fix(host, _mac(case, host, device, lease)),),
            explains=loses(case, peer, peers=("unwrapping",))
            or (gone and loses(case, host, own=("wrapping",))),
        )


def _name(case: Case, host: str) -> str:
    device = device_of(case, host)
    return device.name if device else case.net.device


def _mac(case: Case, host: str, device: Link, lease: Lease) -> Run:
    """Set the MAC, and then the neighbours, in one go; `ip -batch` ends at what fails."""
    peers = {
        first(it): it.mac
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


def _batch(do: str, back: str) -> Run:
    argv, undo = ("ip", "-batch", "-"), "the same with what there was"
    return Run(argv, stdin=(do,), undo=undo, back=Run(argv, stdin=(back,)))


def _lines(device: str, mac: str, neighbours: dict[str, str]) -> str:
    lines = [f"link set dev {device} address {mac}"]
    lines += (
        f"neighbour replace {address} lladdr {each} dev {device} nud permanent"
        for address, each in neighbours.items()
    )
    return "".join(f"{line}\n" for line in lines)


def other_vni(case: Case) -> Iterator[Diagnosis]:
    """A node's device has another VNI than etcd says: no other node takes its packets."""
    yield from _other(case, 0)


def other_port(case: Case) -> Iterator[Diagnosis]:
    """A node's device uses another UDP port than etcd says: neither side hears the other."""
    yield from _other(case, 1)


def _wanted(case: Case) -> tuple[int, int]:
    made = BACKENDS["vxlan"].complete(case.net.options)
    return int(made["vni"]), int(made["port"]) or KERNEL_VXLAN_PORT


def _made(case: Case, host: str) -> tuple[int, int] | None:
    device = device_of(case, host)
    if device is None or device.vni is None or device.port is None:
        return None
    return device.vni, device.port


def _other(case: Case, which: int) -> Iterator[Diagnosis]:
    if case.net.backend != "vxlan":
        return
    wanted, word = _wanted(case), ("VNI", "UDP port")[which]
    for host in case.ends:
        device, made = device_of(case, host), _made(case, host)
        theirs = _made(case, case.peer(host))
        if device is None or made is None or made[which] == wanted[which]:
            continue
        seen = f"{device.name} on {host}: {word} {made[which]}; etcd: {wanted[which]}"
        why = f"{device.name} on {host} has {word} {made[which]}, and the network {wanted[which]}"
        name = ("other-vni", "other-port")[which]
        if theirs is not None and theirs[which] == made[which]:
            yield Diagnosis(
                name,
                host,
                f"{why}: it was made before a change, as {case.peer(host)}'s was",
                seen,
                f"on every node, one after the other, {KEEPS_DOCKER}",
                explains=False,
            )
            continue
        mends = _anew(case, host, device, made, wanted, which)
        how = f"on {host} {KEEPS_DOCKER}: flanneld makes its device anew, as etcd says"
        if mends:
            how = (
                f"make {device.name} on {host} anew with {word} {wanted[which]} and all else as it "
                "is (vtep.sh), then have flanneld look again"
            )
        yield Diagnosis(
            name,
            host,
            why,
            "\n".join(filter(None, (seen, counted(case)))),
            how,
            mends,
            explains=loses(case, host, own=("wrapping",), peers=("firewall", "unwrapping"))
            or loses(case, case.peer(host), peers=("firewall", "unwrapping")),
        )


def _anew(
    case: Case, host: str, device: Link, made: tuple[int, int], wanted: tuple[int, int], which: int
) -> tuple[Fix, ...]:
    """Make the device anew; nothing where its name is another device's."""
    # One thing at a time: the other word stays what it is.
    to = (wanted[0], made[1]) if which == 0 else (made[0], wanted[1])
    name = case.net.device if which == 0 else device.name
    if name != device.name and case.facts(host).link(name) is not None:
        return ()
    more = {"timeout": 150, "unit": "fedwiz-vtep"}
    back = run_script("vtep", name, device.name, *map(str, made), **more)
    do = run_script(
        "vtep", device.name, name, *map(str, to), "again", **more, back=back, undo=back.brief
    )
    return (Fix(host, do),)
