"""The data types of facts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_interface

from fedwiz.model.actions import Secret, Value

Version = tuple[int, ...]


def version(text: str) -> Version:
    """The first dotted number in a text: `Docker version 28.5.2, build x` is (28, 5, 2).

    Lenient on purpose, since distributions print strings of their own.  Empty if there is none.
    """
    found = re.search(r"(?<!\d)\d+(?:\.\d+)+", text)
    return tuple(int(part[:9]) for part in found.group().split(".")) if found else ()


def _brief(text: str) -> str:
    """The version number in a program's version output, or the whole text if it has none."""
    return ".".join(map(str, version(text))) or text


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    name: str
    mac: str
    mtu: int
    up: bool
    addresses: tuple[str, ...]
    """IPv4, in the form `address/prefix`."""

    kind: str = ""
    """`vxlan`, `bridge`, `tun`, ...; empty for hardware."""

    vni: int | None = None
    port: int | None = None
    """UDP port of a vxlan device."""


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv4 route of the main table."""

    to: str
    """A network in CIDR form, or `default`."""

    dev: str
    via: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An IPv4 neighbour of a flannel device: the MAC address that frames for an IP address get."""

    address: str
    dev: str
    mac: str = ""
    """Lower case; empty if the kernel has not resolved it."""

    state: str = ""
    """`PERMANENT` if flannel wrote it, `REACHABLE`, `STALE`, `FAILED`, ..."""


@dataclass(frozen=True, slots=True)
class Fdb:
    """An entry of a vxlan device's forwarding database: the node that receives frames for a MAC."""

    mac: str
    """Lower case."""

    dst: str
    """The address of the receiving node."""

    dev: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit, as `systemctl show` reports it."""

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
        """It is active or starting."""
        return self.active in ("active", "activating", "reloading")


@dataclass(frozen=True, slots=True)
class File:
    """An existing file."""

    text: str
    mode: int
    owner: str = "root:root"


@dataclass(frozen=True, slots=True)
class Firewall:
    """A running firewalld: what it accepts, now and after a reload."""

    zone: str = ""
    """The zone of flannel's interface; the default zone unless somebody assigned another."""

    ports: frozenset[str] = frozenset()
    """Open now in that zone, in the form `8472/udp`; protocols in the form `esp`."""

    permanent: frozenset[str] = frozenset()
    trusted: frozenset[str] = frozenset()
    """Sources that the zone `trusted` has now."""

    trusted_permanent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An etcd endpoint as seen from one host."""

    version: str = ""
    """Version of the server; empty if it did not answer within 3 s."""

    v2: bool = False
    """It serves the v2 keys API."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class KubeNode:
    """A node as Kubernetes knows it."""

    name: str
    addresses: tuple[str, ...]
    labels: Mapping[str, str]


ICMP = r"-p icmp\b"
"""A regular expression for rules that may match ICMP."""


def udp_rule(port: int) -> str:
    """A regular expression for rules that may match this UDP port: none for another port only."""
    return rf"-p udp\b(?!.*--dport (?!{port}\b))"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read from one host."""

    hostname: str = ""
    machine_id: str = ""
    boot_id: str = ""
    clock: float = 0.0
    """The host's clock when it was read, in seconds since 1970."""

    skew: float = 0.0
    """Seconds by which the host's clock is ahead of the operator's; accurate to the round-trip
    time."""

    os: str = ""
    """ID of os-release, e.g. `fedora`."""

    os_version: str = ""
    kernel: str = ""
    arch: str = ""
    selinux: str = ""
    virt: str = ""
    """The virtualization that systemd detects: `none`, `kvm`, `vmware`, ..."""

    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    vteps: frozenset[str] = frozenset()
    """Addresses of peers in the forwarding database of vxlan devices."""

    neighbours: tuple[Neighbour, ...] | None = None
    """Of flannel's devices; None if they could not be read."""

    fdb: tuple[Fdb, ...] | None = None
    """Of flannel's devices, IPv4 only; None if it could not be read."""

    units: Mapping[str, Unit] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of files that may be large or secret, by path."""

    sysctls: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, bool] = field(default_factory=dict)
    """Available kernel modules (True: loaded or built in; False: can be loaded)."""

    packages: Mapping[str, str] = field(default_factory=dict)
    """Relevant installed RPMs, by name: `version-release`."""

    offered: str = ""
    """flannel's `version-release` that dnf would install; read only if it is not installed."""

    offered_why: str = ""
    """dnf's message if it offers none."""

    flanneld: str = ""
    """Path of the installed flanneld."""

    flanneld_version: str = ""
    flanneld_unit: str = ""
    """`systemctl cat flanneld.service`."""

    docker_version: str = ""
    docker_unit: str = ""
    """`systemctl cat docker.service`."""

    containers: int = 0
    """Number of running containers."""

    docker_networks: tuple[str, ...] = ()
    """Subnets of docker's networks in CIDR form, including docker0's."""

    subnet_env: Mapping[str, str] | None = None
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """iptables rules by table, as `iptables -S` prints them; unreadable tables are left out."""

    iptables: str = ""
    """`iptables --version`; empty if there is no working iptables."""

    firewall: Firewall | None = None
    """None: firewalld is not running."""

    free: Mapping[str, int] = field(default_factory=dict)
    """KiB free on the file systems of /, /etc, /run, /usr and /var, by that path."""

    read_only: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    listening: frozenset[str] = frozenset()
    """TCP listeners, in the form `0.0.0.0:2379`."""

    etcd: Mapping[str, Endpoint] = field(default_factory=dict)
    """By endpoint URL."""

    etcd_configs: Mapping[str, str] = field(default_factory=dict)
    """flannel's config as the master reads it, by API (`v2` or `v3`); truncated."""

    in_flight: tuple[str, ...] = ()
    """fedwiz's own units that are running."""

    kube_nodes: tuple[KubeNode, ...] = ()
    dnf_lock: str = ""
    """The process that holds dnf's lock: `PID command`."""

    backup: "Backup | None" = None
    """The state before fedwiz first changed this host; None: there is no backup."""

    @property
    def versions(self) -> dict[str, str]:
        """The versions of what runs here, by name; unknown ones are left out."""
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
        """The interface with this name, if there is one."""
        return next((link for link in self.links if link.name == name), None)

    def unit(self, name: str) -> Unit:
        """A unit's state; a unit that was not read counts as `not-found`."""
        return self.units.get(name, Unit())

    @property
    def default_link(self) -> Link | None:
        """The interface of the default route."""
        dev = next((route.dev for route in self.routes if route.to == "default"), None)
        return self.link(dev) if dev is not None else None

    @property
    def flannel_links(self) -> tuple[Link, ...]:
        """The devices that flannel has created here."""
        return tuple(link for link in self.links if link.name.startswith("flannel"))

    def firewall_blocks(self, port: str) -> bool:
        """Whether firewalld blocks a port, e.g. `8472/udp`; the install opens it."""
        return self.firewall is not None and port not in self.firewall.ports

    def suspect(self, chain: str, subject: str) -> str:
        """The first rule that may refuse a packet; empty if none can be identified.

        Args:
            chain: `INPUT` or `OUTPUT`, of the table `filter`.
            subject: `ICMP`, or `udp_rule(PORT)`: a regular expression.
        """
        refusal = rf"-P {chain} DROP|-A {chain} (?:.*{subject}.* )?-j (?:DROP|REJECT)\b.*"
        rules = self.rules.get("filter", ())
        return next((rule for rule in rules if re.fullmatch(refusal, rule)), "")

    def uplink(self, interface: str) -> Link | None:
        """The interface for flannel to use: by name or address, else the default route's."""
        if not interface:
            return self.default_link
        for link in self.links:
            link_addresses = (str(ip_interface(address).ip) for address in link.addresses)
            if link.name == interface or interface in link_addresses:
                return link
        return None

    def public_ip(self, interface: str) -> str:
        """The address that flannel publishes for this host; empty if there is none."""
        try:
            return str(IPv4Address(interface))
        except ValueError:
            link = self.uplink(interface)
        return str(ip_interface(link.addresses[0]).ip) if link and link.addresses else ""


@dataclass(frozen=True, slots=True)
class Backup:
    """The state of a host before fedwiz first changed it."""

    was: Facts
    """The facts that an install changes; all others are empty."""

    asked: frozenset[str]
    """Paths of the files that were looked for: those missing from `was` did not exist."""

    api: str = ""
    """On the master: the API through which etcd was read; empty: etcd was not read."""

    config: str | None = None
    """flannel's config at that time; None: there was none."""

    leases: frozenset[str] = frozenset()
    """Keys of the leases at that time."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What etcd stores for flannel, through the API that flannel reads."""

    api: str = ""
    """`v2` or `v3`; empty if it could not be determined."""

    config: Value | None = None
    leases: tuple[Value, ...] = ()
    other: str = ""
    """The config's value in the other API, if it has one."""

    error: str = ""
    """Why etcd could not be read; empty if it could."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Result of the UDP trial: datagrams that nodes sent to each other's backend port."""

    arrived: frozenset[tuple[str, str]] = frozenset()
    """Pairs of sender and receiver."""

    lost: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Pairs whose datagrams were lost, with the error of the sender's kernel, if any (`Connection
    refused`)."""

    in_use: Mapping[str, str] = field(default_factory=dict)
    """Nodes whose port is in use, and by what: `python3 (pid 77)`; empty: by the kernel."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Nodes that could not listen or could not send, and why."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Everything that is read before a plan is made."""

    hosts: Mapping[str, Facts]
    store: Stored = field(default_factory=Stored)
    supplied: Mapping[str, str] = field(default_factory=dict)
    """By host: the version of the flannel that the operator supplies as a file."""

    etcd_password: Secret | None = None
    """Password of `etcd.user`."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Hosts that could not be read, and why."""

    udp: Tried | None = None
    """None: the backend's port was not tried."""
