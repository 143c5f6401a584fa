"""The state of a simulated host and of the cluster: plain data that commands change."""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import Firewall, Link, Route, Unit, version
from fedwiz.practice.chains import Chains, address_of, network_of
from fedwiz.practice.generations import (
    LOCAL_UNITS,
    MODERN,
    OS_RELEASE,
    UNIT_FOLDER,
    Generation,
    docker_unit,
    plain_unit,
)
from fedwiz.practice.keys import EtcdKeys
from fedwiz.practice.locks import Locks

MASTER_UNITS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_UNITS = ("docker", "kubelet", "kube-proxy")
MIB = 1024


@dataclass
class SimulatedFile:
    """A file."""

    text: str
    mode: int = 0o644
    sha256: str = ""
    reported: str = ""
    """The version that an uploaded program or package reports."""

    def hash(self) -> str:
        """Its SHA-256."""
        return self.sha256 or hashlib.sha256(self.text.encode()).hexdigest()


@dataclass
class Container:
    """A container on docker's bridge, or a network namespace standing in for one."""

    name: str
    pid: int
    address: str = ""
    link: str = "docker0"
    """The host's interface that leads to it."""

    pings: dict[str, int] | None = None
    """Incoming pings, by source address; None: not counted."""

    @property
    def netns(self) -> str:
        """The name of its network namespace."""
        return f"net:[{4026532000 + self.pid}]"


@dataclass(frozen=True)
class Peer:
    """Where flanneld sends packets for a peer's subnet."""

    address: str
    mac: str = ""
    """From the neighbour table; empty: no entry."""

    fdb: str | None = None
    """The MAC that the FDB maps to the address; None: the same one; empty: no entry."""

    @property
    def fdb_mac(self) -> str:
        """The MAC of the FDB entry; empty: there is none."""
        return self.mac if self.fdb is None else self.fdb


@dataclass(frozen=True)
class Daemon:
    """A running flanneld: the configuration it read, and its lease."""

    api: str
    prefix: str
    version: tuple[int, ...]
    network: str
    backend: str
    options: Mapping[str, Any]
    """flannel's Backend object, with keys in lower case."""

    subnet: str
    public_ip: str
    dev: str
    """The interface that carries its packets."""

    device: str = ""
    """Its own network device."""


@dataclass
class Machine:
    """One simulated host."""

    name: str
    role: str
    address: str
    """The address that the operator uses."""

    hostname: str
    generation: Generation
    label: str = ""
    links: dict[str, Link] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    peers: dict[str, dict[str, Peer]] = field(default_factory=dict)
    """By tunnel device and the peer's subnet."""

    files: dict[str, SimulatedFile] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    """State by unit; whether a unit exists depends on `files`."""

    loaded: dict[str, str] = field(default_factory=dict)
    """Unit texts as systemd has loaded them, until `daemon-reload`."""

    journal: dict[str, list[str]] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    offered: str = ""
    sysctls: dict[str, str] = field(default_factory=dict)
    modules: dict[str, bool] = field(default_factory=dict)
    chains: Chains = field(default_factory=Chains)
    firewall: Firewall | None = None
    containers: list[Container] = field(default_factory=list)
    daemon: Daemon | None = None
    free: int = 20 * 1024 * MIB
    """KiB on each file system."""

    boot_id: str = ""
    machine_id: str = ""
    pids: int = 1000
    dnf_busy: float = 0.0
    """Simulated seconds for which another dnf holds the lock."""

    refuses_bip: bool = False
    """docker remembers a network that it does not list, and which overlaps flannel's."""

    cut_off: bool = False
    """Packets from flanneld to etcd are lost."""

    damage: "Callable[[Machine], None] | None" = None
    """Damage applied whenever docker has started or flanneld has learned of a peer."""

    cuts: str = ""
    """The connection is lost, once, during a command that contains this word."""

    armed: dict[str, int] = field(default_factory=dict)
    """Steps that await confirmation, and their timeouts in seconds."""

    unseen_units: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    """Transient units whose end nobody saw: their output and exit status."""

    listeners: dict[int, tuple[str, set[str]]] = field(default_factory=dict)
    """By UDP port: the name of the trial, and the lines received."""

    login_failure: str = ""
    """Why logging in fails; empty: it works."""

    def pid(self) -> int:
        """A process id that was not used before."""
        self.pids += 7
        return self.pids

    def unit(self, name: str) -> Unit:
        """A unit's state."""
        exists = f"{UNIT_FOLDER}/{name}" in self.files or f"{LOCAL_UNITS}/{name}" in self.files
        if not exists:
            return Unit()
        return self.units.get(name, Unit("loaded", "inactive", "disabled"))

    def running(self, name: str) -> bool:
        """Whether the unit is active."""
        return self.unit(name).active == "active"

    def cat(self, name: str) -> str:
        """The output of `systemctl cat`: the unit's file, then its drop-ins; empty: no unit."""
        paths = [f"{place}/{name}" for place in (LOCAL_UNITS, UNIT_FOLDER)]
        own = next((path for path in paths if path in self.files), "")
        if not own:
            return ""
        inside = tuple(f"{path}.d/" for path in paths)
        more = {
            path.rpartition("/")[2]: path
            for path in sorted(self.files, reverse=True)
            if path.startswith(inside)
        }
        shown = [own, *(more[file] for file in sorted(more))]
        return "\n".join(f"# {path}\n{self.files[path].text}" for path in shown)

    def read(self, name: str) -> str:
        """The unit's text as loaded by systemd."""
        if name not in self.loaded:
            self.loaded[name] = self.cat(name)
        return self.loaded[name]

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file."""
        self.files[path] = SimulatedFile(text, mode)

    def log(self, unit: str, *lines: str) -> None:
        """Append to the journal."""
        self.journal.setdefault(unit, []).extend(lines)

    def addresses(self) -> set[str]:
        """All its IPv4 addresses."""
        return {a.partition("/")[0] for link in self.links.values() for a in link.addresses}

    def add_link(self, link: Link) -> None:
        """Add an interface, with the routes to its own networks."""
        self.links[link.name] = link
        for text in link.addresses:
            net = network_of(text)
            if net.prefixlen < 32:
                self.routes.append(Route(str(net), link.name))

    def drop_link(self, name: str) -> None:
        """Remove an interface, with its routes and peers."""
        self.links.pop(name, None)
        self.peers.pop(name, None)
        self.routes = [route for route in self.routes if route.dev != name]

    def route_to(self, address: str, dev: str = "") -> Route | None:
        """The most specific route to an address, optionally only through one interface."""

        def width(route: Route) -> int:
            return 0 if route.to == "default" else network_of(route.to).prefixlen

        ip = address_of(address)
        routes = [route for route in self.routes if dev in ("", route.dev)]
        fit = [r for r in routes if r.to == "default" or ip in network_of(r.to)]
        return max(fit, key=width, default=None)

    @property
    def uplink(self) -> Link:
        """The interface of the default route."""
        dev = next(route.dev for route in self.routes if route.to == "default")
        return self.links[dev]

    @property
    def docker_version(self) -> tuple[int, ...]:
        """Docker's version as numbers."""
        return version(self.generation.docker)


@dataclass
class Cluster:
    """All simulated hosts, and the etcd on the master."""

    answers: Answers
    machines: dict[str, Machine]
    keys: EtcdKeys
    pace: float = 0.0
    """Real seconds for each simulated one."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    locks: Locks = field(default_factory=Locks)
    dice: random.Random = field(default_factory=lambda: random.Random(18))  # noqa: S311 - not a secret

    def nodes(self) -> list[Machine]:
        """All nodes."""
        return [machine for machine in self.machines.values() if machine.role == "node"]

    def owner(self, address: str) -> Machine | None:
        """The host with this name or this address on a network card."""
        for machine in self.machines.values():
            if address in (machine.name, machine.address):
                return machine
            cards = (link for link in machine.links.values() if not link.kind)
            if any(text.startswith(f"{address}/") for link in cards for text in link.addresses):
                return machine
        return None


def build(answers: Answers, generation: Generation = MODERN) -> Cluster:
    """Hosts as the procedure finds them: Fedora, etcd and docker run, flannel is not installed."""
    machines = {
        host.name: _machine(host, number, generation) for number, host in enumerate(answers.host)
    }
    return Cluster(answers, machines, EtcdKeys(generation.etcd, generation.etcd_v2))


def new_id(name: str, what: str) -> str:
    """A host's id, the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{what}.{name}.practice.fedwiz"))


def _machine(host: Host, number: int, generation: Generation) -> Machine:
    machine = Machine(
        host.name,
        host.role,
        host.address,
        host.name,
        generation,
        host.label,
        boot_id=new_id(host.name, "boot 1"),
        machine_id=new_id(host.name, "machine").replace("-", ""),
        sysctls={"net.ipv4.ip_forward": "0", "net.ipv4.conf.all.rp_filter": "2"},
        modules=dict.fromkeys(("br_netfilter", "vxlan", "ipip", "wireguard", "tun"), False),
    )
    machine.add_link(Link("lo", "00:00:00:00:00:00", 65536, True, ("127.0.0.1/8",)))
    machine.routes.clear()  # those of lo are in another table
    _wire(machine, host, number)
    machine.put("/etc/os-release", OS_RELEASE.format(generation.fedora))
    names = MASTER_UNITS if host.role == "master" else NODE_UNITS
    for name in (*names, "NetworkManager"):
        unit = docker_unit(generation.docker) if name == "docker" else plain_unit(name)
        machine.put(f"{UNIT_FOLDER}/{name}.service", unit)
        active = "inactive" if name == "docker" else "active"  # it creates docker0 when it starts
        machine.units[f"{name}.service"] = Unit("loaded", active, "enabled", machine.pid())
    if host.role == "master":
        machine.packages["etcd"] = f"{generation.etcd}-1.fc{generation.fedora}"
        return machine
    machine.put(f"{UNIT_FOLDER}/docker.socket", "[Socket]\nListenStream=/run/docker.sock\n")
    machine.units["docker.socket"] = Unit("loaded", "active", "enabled")
    package = "docker-ce" if generation.docker.startswith("28") else "moby-engine"
    machine.packages[package] = f"{generation.docker}-1.fc{generation.fedora}"
    machine.offered = generation.flannel
    machine.containers = [Container("coredns", machine.pid()), Container("web", machine.pid())]
    return machine


def _wire(machine: Machine, host: Host, number: int) -> None:
    """Its network cards: one, or a second one if the answers' interface has another address."""
    spare = f"192.168.122.{76 + number}"
    primary = host.address if _is_ipv4(host.address) else spare
    name = host.interface if host.interface and not _is_ipv4(host.interface) else "eth0"
    cards = [(name, primary)]
    if _is_ipv4(host.interface) and host.interface != primary:
        cards.append(("eth1", host.interface))
    for card, (dev, address) in enumerate(cards):
        mac = f"52:54:00:{card:02x}:{number >> 8:02x}:{number & 255:02x}"
        machine.add_link(Link(dev, mac, 1500, True, (f"{address}/24",)))
    gateway = network_of(f"{primary}/24").network_address + 1
    machine.routes.insert(0, Route("default", name, str(gateway)))


def _is_ipv4(text: str) -> bool:
    try:
        return bool(address_of(text))
    except ValueError:
        return False
