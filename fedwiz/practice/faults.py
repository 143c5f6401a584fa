"""FAULTS: what can be wrong with a practice cluster, by name."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fedwiz.facts.values import Firewall, Link, Route
from fedwiz.model.events import (
    ActionStarted,
    Connected,
    Event,
    FactsRead,
    Output,
    PlanMade,
    Record,
    RunEnded,
    RunStarted,
    StepStarted,
    to_line,
)
from fedwiz.practice import flanneld, systemd
from fedwiz.practice.generations import MODERN
from fedwiz.practice.keys import EtcdKeys
from fedwiz.practice.machine import MIB, Cluster, Machine, Peer


def _nothing(_: Cluster) -> None:
    """Change nothing: the answers are wrong, or there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    help: str
    ends: int
    """The exit code of `install` with this fault."""

    inject: Callable[[Cluster], None] = _nothing
    """Injects the fault."""

    repair: Callable[[Cluster], None] = _nothing
    """Removes it, as an operator would."""

    sets: tuple[str, ...] = ()
    """Answers that cause it, in the notation of `--set`."""


def _second(cluster: Cluster) -> Machine:
    return cluster.nodes()[1]


def _on_second(**state: object) -> Callable[[Cluster], None]:
    """Set attributes of the second node."""

    def inject(cluster: Cluster) -> None:
        for name, value in state.items():
            setattr(_second(cluster), name, value)

    return inject


def _master(cluster: Cluster) -> Machine:
    return cluster.machines[cluster.answers.master.name]


def _no_etcd(cluster: Cluster) -> None:
    systemd.stop(_master(cluster), "etcd.service")


def _etcd(cluster: Cluster) -> None:
    systemd.start(cluster, _master(cluster), "etcd.service")


def _v2_only(cluster: Cluster) -> None:
    cluster.keys = EtcdKeys("2.3.8", v2=True, v3=False)
    for node in cluster.nodes():
        node.offered = MODERN.flannel


def _both(cluster: Cluster) -> None:
    cluster.keys = EtcdKeys("3.4.23", v2=True)


def _overlap(cluster: Cluster) -> None:
    machine = _second(cluster)
    gateway = next(route.via for route in machine.routes if route.to == "default")
    machine.routes.append(Route(cluster.answers.network.cidr, machine.uplink.name, gateway))


def _no_overlap(cluster: Cluster) -> None:
    machine, cidr = _second(cluster), cluster.answers.network.cidr
    machine.routes = [r for r in machine.routes if r.to != cidr or r.dev != machine.uplink.name]


def _duplicate(cluster: Cluster) -> None:
    _second(cluster).hostname = cluster.nodes()[0].hostname


def _own_name(cluster: Cluster) -> None:
    _second(cluster).hostname = _second(cluster).name


def _nat(cluster: Cluster) -> None:
    for node in cluster.nodes():
        node.routes = [route for route in node.routes if route.to != "default"]
        node.add_link(Link("nat0", "08:00:27:8d:c0:4d", 1500, True, ("10.0.2.15/24",)))
        node.routes.insert(0, Route("default", "nat0", "10.0.2.2"))


def _no_nat(cluster: Cluster) -> None:
    for node in cluster.nodes():
        node.drop_link("nat0")
        cards = [each.name for each in node.links.values() if not each.kind and each.name != "lo"]
        node.routes.insert(0, Route("default", cards[0], "192.168.122.1"))


def _firewalls(cluster: Cluster) -> None:
    for machine in cluster.machines.values():
        ports = frozenset({"2379/tcp"}) if machine.role == "master" else frozenset[str]()
        machine.firewall = Firewall("FedoraServer", ports, ports)


def _no_firewalls(cluster: Cluster) -> None:
    for machine in cluster.machines.values():
        machine.firewall = None


def _damaged(damage: Callable[[Machine], None]) -> Callable[[Cluster], None]:
    """Apply it to the second node now, and again whenever its network is set up."""

    def inject(cluster: Cluster) -> None:
        _second(cluster).damage = damage
        damage(_second(cluster))

    return inject


def _undamaged(repair: Callable[[Machine], None]) -> Callable[[Cluster], None]:
    """Stop applying it, and revert it."""

    def undo(cluster: Cluster) -> None:
        _second(cluster).damage = None
        repair(_second(cluster))

    return undo


def _hardened(machine: Machine) -> None:
    forward = machine.chains.chain("filter", "FORWARD")
    forward[:] = [systemd.REFUSAL, *(rule for rule in forward if rule != systemd.REFUSAL)]


def _softened(machine: Machine) -> None:
    machine.chains.delete("filter", "FORWARD", systemd.REFUSAL)


def _not_forwarding(machine: Machine) -> None:
    machine.sysctls["net.ipv4.ip_forward"] = "0"


def _forwarding(machine: Machine) -> None:
    machine.sysctls["net.ipv4.ip_forward"] = "1"


CLOSED = "-p udp -m udp --dport {port} -j DROP"


def _closed(machine: Machine) -> None:
    for port in _ports(machine):
        machine.chains.insert("filter", "INPUT", CLOSED.format(port=port))


def _opened(machine: Machine) -> None:
    for port in _ports(machine):
        machine.chains.delete("filter", "INPUT", CLOSED.format(port=port))


def _ports(machine: Machine) -> list[int]:
    return [link.port for link in machine.links.values() if link.port]


def _first_peer(machine: Machine) -> tuple[str, str, Peer] | None:
    """Flannel's device, its first peer's subnet, and that peer; None if there is none."""
    for dev, peers in machine.peers.items():
        for subnet in sorted(peers, key=lambda net: peers[net].address):
            return dev, subnet, peers[subnet]
    return None


OLD_MAC = "5e:00:00:c0:ff:ee"


def _stale(machine: Machine) -> None:
    if peer_found := _first_peer(machine):
        dev, subnet, peer = peer_found
        machine.peers[dev][subnet] = Peer(peer.address, OLD_MAC)


def _routeless(machine: Machine) -> None:
    if peer_found := _first_peer(machine):
        dev, subnet, _ = peer_found
        machine.routes = [each for each in machine.routes if (each.to, each.dev) != (subnet, dev)]


def _relearned(cluster: Cluster) -> None:
    """Restart flanneld, which then configures what the leases say."""
    machine = _second(cluster)
    machine.damage = None
    if machine.daemon is not None:
        flanneld.stop(machine)
        flanneld.start(cluster, machine)


def _no_package(cluster: Cluster) -> None:
    for node in cluster.nodes():
        node.offered = ""


def _package(cluster: Cluster) -> None:
    for node in cluster.nodes():
        node.offered = node.generation.flannel


def _taken_lock(cluster: Cluster) -> None:
    cluster.locks.grant("0123456789abcdef", "bob@laptop", "install", "", cluster.answers.name)
    hosts, first = tuple(cluster.machines), cluster.nodes()[0].name
    install = "dnf -y install flannel"
    _record(
        cluster,
        RunStarted("install", cluster.answers.name, hosts, "locked"),
        *(Connected(host) for host in hosts),
        *(FactsRead(host, 0.2) for host in hosts),
        PlanMade("0123456789ab", {node.name: 3 for node in cluster.nodes()}),
        StepStarted(first, "package", "Install flannel", 1),
        ActionStarted(first, "package", install),
        Output(first, "package", "Installing: flannel"),
    )


def _record(cluster: Cluster, *events: Event) -> None:
    """Record events in the name of the lock's holder."""
    before = cluster.locks.records.count(b"\n")
    for number, event in enumerate(events, before):
        cluster.locks.record(to_line(Record(number, time.time(), event)).encode() + b"\n")


def _free(cluster: Cluster) -> None:
    _record(cluster, RunEnded("stopped", 130, "stopped by the operator"))
    cluster.locks.release()


def _unreachable(template: str) -> Callable[[Cluster], None]:
    def inject(cluster: Cluster) -> None:
        machine = _second(cluster)
        machine.login_failure = template.format(name=machine.name, address=machine.address)

    return inject


KEY_CHANGED = (
    "the host key of {name} ({address}) is not the one in known_hosts: somebody may be in between; "
    "if it was reinstalled, remove the old key with `ssh-keygen -R {address}`"
)
SILENT = "{name} ({address}) does not answer on port 22: is it up, and is there a route to it?"

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "no-etcd": Fault(
            "etcd on the master does not run; a check stops the install.", 3, _no_etcd, _etcd
        ),
        "v2-only": Fault(
            "etcd serves the v2 API alone, and dnf offers a flannel that reads v3; a "
            "check stops the install.",
            3,
            _v2_only,
            _both,
        ),
        "public-cidr": Fault(
            "The answers give the containers a public network, as the procedure's "
            "example does; the answers are refused.",
            2,
            sets=("network.cidr=18.16.0.0/16",),
        ),
        "overlap": Fault(
            "The second node has a route into the containers' network; a check stops the install.",
            3,
            _overlap,
            _no_overlap,
        ),
        "duplicate-name": Fault(
            "Two nodes are clones with one host name; a check stops the install.",
            3,
            _duplicate,
            _own_name,
        ),
        "nat-twins": Fault(
            "Every node's default route leads through a VirtualBox NAT, where each is "
            "10.0.2.15; a check stops the install.",
            3,
            _nat,
            _no_nat,
        ),
        "firewalld": Fault(
            "firewalld runs on all hosts; the install opens what is needed and succeeds.",
            0,
            _firewalls,
            _no_firewalls,
        ),
        "forward-drop": Fault(
            "A hardening script on the second node refuses all that is forwarded, "
            "each time docker has started; the verification fails.",
            7,
            _damaged(_hardened),
            _undamaged(_softened),
        ),
        "no-forwarding": Fault(
            "Something on the second node turns ip_forward off each time docker "
            "has started; the verification fails.",
            7,
            _damaged(_not_forwarding),
            _undamaged(_forwarding),
        ),
        "port-closed": Fault(
            "A rule on the second node drops what comes to flannel's UDP port; the "
            "verification fails.",
            7,
            _damaged(_closed),
            _undamaged(_opened),
        ),
        "stale-mac": Fault(
            "The second node still has the MAC of a peer's old device; the verification fails.",
            7,
            _damaged(_stale),
            _relearned,
        ),
        "missing-route": Fault(
            "Something on the second node takes away the route to a peer's subnet; "
            "the verification fails.",
            7,
            _damaged(_routeless),
            _relearned,
        ),
        "dnf-locked": Fault(
            "Another dnf works on the second node; the install waits for it and succeeds.",
            0,
            _on_second(dnf_busy=20.0),
            _on_second(dnf_busy=0.0),
        ),
        "flaky-ssh": Fault(
            "The connection to the second node is lost while dnf works; the next run "
            "continues from there.",
            5,
            _on_second(cuts="dnf"),
            _on_second(cuts=""),
        ),
        "docker-refuses": Fault(
            "docker on the second node does not start on flannel's subnet, which "
            "a forgotten network of its own overlaps; it is taken back to what "
            "it was.",
            5,
            _on_second(refuses_bip=True),
            _on_second(refuses_bip=False),
        ),
        "no-package": Fault(
            "No repository has a flannel package; a check stops the install.",
            3,
            _no_package,
            _package,
        ),
        "disk-full": Fault(
            "The second node's disk is full; a check stops the install.",
            3,
            _on_second(free=3 * MIB),
            _on_second(free=20 * 1024 * MIB),
        ),
        "never-ready": Fault(
            "What flanneld on the second node sends to etcd is lost, so it never gets "
            "ready; docker is taken back to what it was.",
            5,
            _on_second(cut_off=True),
            _on_second(cut_off=False),
        ),
        "locked": Fault("Another operator's install runs; nothing is done.", 8, _taken_lock, _free),
        "changed-key": Fault(
            "The second node shows another host key than before; nothing is done.",
            4,
            _unreachable(KEY_CHANGED),
            _on_second(login_failure=""),
        ),
        "unreachable": Fault(
            "The second node does not answer; nothing is done.",
            4,
            _unreachable(SILENT),
            _on_second(login_failure=""),
        ),
    }
)
"""By name; the help texts say how `install` ends."""
