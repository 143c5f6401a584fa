"""The shapes of facts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_interface

from fedwiz.model.actions import Secret, Value

Version = tuple[int, ...]


def version(text: str) -> Version:
    """The first dotted number of a text: `Docker version 28.5.2, build x` is (28, 5, 2).

    Lenient on purpose: distributions print their own strings.  Empty where there is none.
    """
    found = re.search(r"(?<!\d)\d+(?:\.\d+)+", text)
    return tuple(int(part[:9]) for part in found.group().split(".")) if found else ()


def _brief(text: str) -> str:
    """The number of a text that a program prints of its version; where it has none, the text."""
    return ".".join(map(str, version(text))) or text


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    name: str
    mac: str
    mtu: int
    up: bool
    addresses: tuple[str, ...]
    """IPv4, as `address/prefix`."""

    kind: str = ""
    """`vxlan`, `bridge`, `tun`, ...; empty for hardware."""

    vni: int | None = None
    port: int | None = None
    """A vxlan device's UDP port."""


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv4 route of the main table."""

    to: str
    """A network in CIDR form, or `default`."""

    dev: str
    via: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An IPv4 neighbour of a flannel device: whose MAC a frame for an address gets."""

    address: str
    dev: str
    mac: str = ""
    """Lower case; empty where the kernel has found none."""

    state: str = ""
    """`PERMANENT` where flannel wrote it, `REACHABLE`, `STALE`, `FAILED`, ..."""


@dataclass(frozen=True, slots=True)
class Fdb:
    """An entry of a vxlan device's forwarding database: to whom a frame for a MAC is sent."""

    mac: str
    """Lower case."""

    dst: str
    """The address of the node that gets it."""

    dev: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit, as `systemctl show` has it."""

    load: str = "not-found"
    active: str = "inactive"
    enabled: str = ""
    pid: int = 0

    @property
    def there(self) -> bool:
        """The unit exists."""
        return self.load not in ("not-found", "")

    @property
    def running(self) -> bool:
        """It is active, or on its way there."""
        return self.active in ("active", "activating", "reloading")


@dataclass(frozen=True, slots=True)
class File:
    """A file that is there."""

    text: str
    mode: int
    owner: str = "root:root"


@dataclass(frozen=True, slots=True)
class Firewall:
    """firewalld, where it runs: what is let in, now and after a reload."""

    zone: str = ""
    """That of flannel's interface, which is the default one where nobody chose another."""

    ports: frozenset[str] = frozenset()
    """Open now in that zone, as `8472/udp`; protocols as `esp`."""

    permanent: frozenset[str] = frozenset()
    trusted: frozenset[str] = frozenset()
    """Sources of zone `trusted` now."""

    trusted_permanent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An etcd endpoint as seen from one host."""

    version: str = ""
    """Of the server; empty where it did not answer in 3 s."""

    v2: bool = False
    """It serves the v2 keys API."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class KubeNode:
    """A node as Kubernetes knows it."""

    name: str
    addresses: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What one host said of itself."""

    hostname: str = ""
    machine_id: str = ""
    boot_id: str = ""
    clock: float = 0.0
    """Seconds since 1970 by the host's clock when it was asked."""

    skew: float = 0.0
    """Seconds that the host's clock is ahead of the operator's; good to the round trip's time."""

    os: str = ""
    """os-release's ID, e.g. `fedora`."""

    os_version: str = ""
    kernel: str = ""
    arch: str = ""
    selinux: str = ""
    virt: str = ""
    """What systemd takes the machine for: `none`, `kvm`, `vmware`, ..."""

    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    vteps: frozenset[str] = frozenset()
    """Addresses of peers in the forwarding database of vxlan devices."""

    neighbours: tuple[Neighbour, ...] | None = None
    """Of flannel's devices; None: they could not be read."""

    fdb: tuple[Fdb, ...] | None = None
    """Of flannel's devices, IPv4 alone; None: it could not be read."""

    units: Mapping[str, Unit] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of files that may be large or secret, by path."""

    sysctls: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, bool] = field(default_factory=dict)
    """Kernel modules that are there (True: in use now; False: can be loaded)."""

    packages: Mapping[str, str] = field(default_factory=dict)
    """Installed RPMs that matter, by name: `version-release`."""

    offered: str = ""
    """flannel's `version-release` that dnf would install; asked only where it is not installed."""

    offered_why: str = ""
    """What dnf said where it offers none."""

    flanneld: str = ""
    """Path of the flanneld that is there."""

    flanneld_version: str = ""
    flanneld_unit: str = ""
    """`systemctl cat flanneld.service`."""

    docker_version: str = ""
    docker_unit: str = ""
    """`systemctl cat docker.service`."""

    containers: int = 0
    """Running now."""

    docker_networks: tuple[str, ...] = ()
    """Subnets in CIDR form of docker's networks, docker0's among them."""

    subnet_env: Mapping[str, str] | None = None
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """iptables by table, each as `iptables -S` prints them; a table is missing where it failed."""

    iptables: str = ""
    """`iptables --version`; empty where there is none that works."""

    firewall: Firewall | None = None
    """None: firewalld does not run."""

    free: Mapping[str, int] = field(default_factory=dict)
    """KiB free on the file systems of /, /etc, /run, /usr and /var, by that path."""

    read_only: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    listening: frozenset[str] = frozenset()
    """TCP listeners, as `0.0.0.0:2379`."""

    etcd: Mapping[str, Endpoint] = field(default_factory=dict)
    """By endpoint URL."""

    etcd_configs: Mapping[str, str] = field(default_factory=dict)
    """flannel's config by API, `v2` or `v3`, as the master reads it; its beginning."""

    in_flight: tuple[str, ...] = ()
    """Units of fedwiz's own that run now."""

    kube_nodes: tuple[KubeNode, ...] = ()
    dnf_lock: str = ""
    """Who holds dnf's lock: `PID command`."""

    kept: "Backup | None" = None
    """Before fedwiz first changed this host; None: nothing was kept."""

    @property
    def versions(self) -> dict[str, str]:
        """What runs here, by name; what is not known is missing."""
        etcd = {end.version for end in self.etcd.values()}
        found = {
            "os": f"{self.os} {self.os_version}",
            "kernel": self.kernel,
            "docker": _brief(self.docker_version),
            "flannel": _brief(self.flanneld_version),
            "etcd": ", ".join(sorted(etcd - {""})),
        }
        return {name: text.strip() for name, text in found.items() if text.strip()}

    def link(self, name: str) -> Link | None:
        """The interface of that name."""
        return next((link for link in self.links if link.name == name), None)

    def unit(self, name: str) -> Unit:
        """A unit's state; `not-found` for one that was not there."""
        return self.units.get(name, Unit())

    @property
    def default_link(self) -> Link | None:
        """The interface of the default route."""
        dev = next((route.dev for route in self.routes if route.to == "default"), None)
        return self.link(dev) if dev is not None else None

    @property
    def flannel_links(self) -> tuple[Link, ...]:
        """The devices that some flannel made here."""
        return tuple(link for link in self.links if link.name.startswith("flannel"))

    def shut(self, port: str) -> bool:
        """Whether firewalld lets nothing in at a port, as `8472/udp`; the install opens it."""
        return self.firewall is not None and port not in self.firewall.ports

    def uplink(self, interface: str) -> Link | None:
        """The interface that flannel is to use: by name or address, else the default route's."""
        if not interface:
            return self.default_link
        for link in self.links:
            held = (str(ip_interface(address).ip) for address in link.addresses)
            if link.name == interface or interface in held:
                return link
        return None

    def public_ip(self, interface: str) -> str:
        """The address that flannel publishes for this host; empty where there is none."""
        try:
            return str(IPv4Address(interface))
        except ValueError:
            link = self.uplink(interface)
        return str(ip_interface(link.addresses[0]).ip) if link and link.addresses else ""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a host was like before fedwiz first changed it."""

    was: Facts
    """Of its facts those that an install changes; the others are empty."""

    asked: frozenset[str]
    """Paths of the files that were looked at: those that `was` does not have were not there."""

    api: str = ""
    """On the master: the API by which etcd was read; empty: it was not."""

    config: str | None = None
    """flannel's config of then; None: there was none."""

    leases: frozenset[str] = frozenset()
    """Keys of the leases of then."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What etcd holds for flannel, through the API that flannel reads."""

    api: str = ""
    """`v2` or `v3`; empty where it could not be told."""

    config: Value | None = None
    leases: tuple[Value, ...] = ()
    other: str = ""
    """The config's value in the other API, where one was left there."""

    error: str = ""
    """Why etcd could not be read; empty: it was."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of datagrams to the backend's UDP port, which nodes sent each other."""

    arrived: frozenset[tuple[str, str]] = frozenset()
    """Pairs of sender and receiver."""

    lost: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Such pairs, and what the sender's kernel said of it (`Connection refused`), if anything."""

    held: Mapping[str, str] = field(default_factory=dict)
    """Nodes where something has the port, and what: `python3 (pid 77)`; empty: the kernel."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Nodes that could not listen, or not send, and why."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """All that was read before a plan is made."""

    hosts: Mapping[str, Facts]
    store: Stored = field(default_factory=Stored)
    supplied: Mapping[str, str] = field(default_factory=dict)
    """By host: the version of the flannel that the operator supplies as a file."""

    etcd_password: Secret | None = None
    """Of `etcd.user`."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Hosts that could not be asked, and why."""

    udp: Tried | None = None
    """None: the backend's port was not tried."""
