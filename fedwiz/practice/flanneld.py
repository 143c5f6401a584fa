"""A simulated flanneld: reads etcd, leases a subnet, and sets up the paths to its peers."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_interface
from typing import Any
from urllib.parse import urlsplit

from fedwiz.facts.values import Link, Route, version
from fedwiz.facts.versions import LOST_EVENTS, NEEDS_BR_NETFILTER, api_of, parse_version
from fedwiz.model import backends
from fedwiz.model.envfile import values
from fedwiz.practice.machine import Cluster, Daemon, Machine, Peer

FLANNELD_UNIT = "flanneld.service"
SUBNET_ENV = "/run/flannel/subnet.env"
DOCKER_OPTIONS = "/run/flannel/docker"
DAY = 86400


class FlanneldError(Exception):
    """flanneld does not get ready; the message is what it logs."""


@dataclass(frozen=True)
class _Config:
    network: IPv4Network
    length: int
    low: IPv4Network
    high: IPv4Network
    backend: Mapping[str, Any]

    @property
    def type(self) -> str:
        return str(self.backend.get("type", "")).lower()

    def accepts(self, subnet: IPv4Network) -> bool:
        return subnet.prefixlen == self.length and self.low <= subnet <= self.high


def start(cluster: Cluster, machine: Machine) -> bool:
    """Start flanneld; True once it is ready. The journal records what it did."""
    try:
        daemon, masq = _boot(cluster, machine)
    except FlanneldError as error:
        machine.log(FLANNELD_UNIT, *str(error).splitlines())
        return False
    machine.daemon = daemon
    _rules(machine, daemon, masq=masq)
    _exchange_leases(cluster, machine, daemon)
    machine.log(
        FLANNELD_UNIT, f"Lease acquired: {daemon.subnet}", "Started Flanneld overlay address agent."
    )
    return True


def stop(machine: Machine) -> None:
    """Stop flanneld: its devices and rules stay, except a tun or WireGuard device."""
    daemon, machine.daemon = machine.daemon, None
    if daemon and daemon.backend in ("udp", "wireguard"):
        machine.drop_link(daemon.device)
    machine.log(FLANNELD_UNIT, "shutdownHandler sent cancel signal...", "Exiting cleanly...")


def why_no_etcd(cluster: Cluster, machine: Machine, url: str) -> str:
    """Why a host can't reach etcd at an endpoint, as a socket error; empty if it can.

    An endpoint that is not a simulated host counts as an external etcd, which answers.
    """
    name = urlsplit(url).hostname or ""
    local = name in ("127.0.0.1", "localhost", "::1")
    owner = machine if local else cluster.owner(name)
    if owner is None:
        return ""
    if not owner.running("etcd.service"):
        return "connection refused"
    closed = owner.firewall is not None and f"{_port(url)}/tcp" not in owner.firewall.ports
    return "no route to host" if closed and owner is not machine else ""


def _port(url: str) -> int:
    return urlsplit(url).port or 2379


def command_line(machine: Machine) -> list[str]:
    """The command line that systemd would run, with variables from the environment files."""
    text = machine.read(FLANNELD_UNIT)
    env = environment(machine, text)
    starts = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    words = []
    for word in starts[-1].split():
        if word.startswith("$") and not word.startswith("${"):
            words += shlex.split(env.get(word[1:], ""))
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: env.get(found[1], ""), word))
    return words


def environment(machine: Machine, text: str) -> dict[str, str]:
    """The variables of a unit's EnvironmentFiles.

    Raises:
        FlanneldError: a mandatory file is missing.
    """
    env: dict[str, str] = {}
    for path in re.findall(r"^EnvironmentFile=(\S+)$", text, re.MULTILINE):
        file = machine.files.get(path.lstrip("-"))
        if file is None and not path.startswith("-"):
            raise FlanneldError(
                f"Failed to load environment files: {path}: No such file or directory"
            )
        env |= values(file.text) if file else {}
    return env


def _boot(cluster: Cluster, machine: Machine) -> tuple[Daemon, bool]:
    words = command_line(machine)
    program = machine.files.get(words[0])
    if program is None:
        raise FlanneldError(
            f"{words[0]}: No such file or directory\nMain process exited, status=203/EXEC"
        )
    release = parse_version(program.reported or machine.packages.get("flannel", ""))
    flags = dict(word.lstrip("-").partition("=")[::2] for word in words[1:])
    if release >= NEEDS_BR_NETFILTER and not machine.modules.get("br_netfilter"):
        raise FlanneldError(
            "Failed to check br_netfilter: stat /proc/sys/net/bridge/bridge-nf-call-iptables: "
            "no such file or directory"
        )
    api, prefix = api_of(release), flags.get("etcd-prefix", "").rstrip("/")
    dev, public_ip = _interface(machine, flags.get("iface", ""))
    config = _config(cluster, machine, flags, api, prefix)
    subnet = _lease(cluster, machine, config, api, prefix, public_ip)
    device = _device(cluster, machine, config, subnet, dev)
    daemon = Daemon(
        api,
        prefix,
        release,
        str(config.network),
        config.type,
        config.backend,
        str(subnet),
        public_ip,
        dev,
        device,
    )
    _publish(cluster, machine, daemon)
    masq = flags.get("ip-masq", "false") in ("", "true")
    _subnet_env(machine, config, daemon, masq=masq)
    return daemon, masq


def _interface(machine: Machine, wanted: str) -> tuple[str, str]:
    """The requested interface, by name or address; otherwise that of the default route."""
    if not wanted:
        link = machine.uplink
        return link.name, str(ip_interface(link.addresses[0]).ip)
    for link in machine.links.values():
        addresses = [str(ip_interface(text).ip) for text in link.addresses]
        if addresses and wanted in (link.name, *addresses):
            return link.name, wanted if wanted in addresses else addresses[0]
    raise FlanneldError(
        f"Could not find valid interface matching {wanted}: failed to find interface"
    )


def _config(
    cluster: Cluster, machine: Machine, flags: Mapping[str, str], api: str, prefix: str
) -> _Config:
    """The configuration in etcd, checked by the rules of flannel 0.10 and later."""
    urls = [url for url in flags.get("etcd-endpoints", "").split(",") if url]
    lost = [why_no_etcd(cluster, machine, url) for url in urls]
    if machine.cut_off or not urls or all(lost):
        cause = "i/o timeout" if machine.cut_off else [*lost, "no endpoints available"][0]
        netloc = urlsplit(urls[0]).netloc if urls else "?"
        raise FlanneldError(
            "Couldn't fetch network config: client: etcd cluster is unavailable or misconfigured; "
            f"error #0: dial tcp {netloc}: {cause}\ntimed out"
        )
    if not cluster.keys.serves(api):
        raise FlanneldError(
            "Couldn't fetch network config: client: response is invalid json. The endpoint is "
            "probably not valid etcd cluster endpoint.\ntimed out"
        )
    stored = cluster.keys.get(api, f"{prefix}/config")
    if stored is None:
        raise FlanneldError(
            f"Couldn't fetch network config: 100: Key not found ({prefix}) [1]\ntimed out"
            if api == "v2"
            else "Couldn't fetch network config: flannel config not found in etcd store. Did you "
            "create your config using etcdv3 API?\ntimed out"
        )
    try:
        return _read(json.loads(stored.text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FlanneldError(f"Couldn't fetch network config: {error}\ntimed out") from None


def _read(config: Mapping[str, Any]) -> _Config:
    low = {key.lower(): value for key, value in config.items()}
    network = IPv4Network(low["network"], strict=False)
    length = int(low.get("subnetlen", 24 if network.prefixlen <= 22 else network.prefixlen + 2))
    if not network.prefixlen + 2 <= length <= 30:
        raise ValueError("network must be able to accommodate at least four subnets")
    first = network.network_address + (1 << (32 - length))
    last = network.broadcast_address + 1 - (1 << (32 - length))
    backend = {key.lower(): value for key, value in low.get("backend", {"Type": "udp"}).items()}
    if str(backend.get("type", "")).lower() not in backends.BACKENDS:
        raise ValueError(f"unknown backend type: {backend.get('type', '')}")
    return _Config(
        network,
        length,
        IPv4Network(f"{low.get('subnetmin', first)}/{length}"),
        IPv4Network(f"{low.get('subnetmax', last)}/{length}"),
        backend,
    )


def _lease(
    cluster: Cluster, machine: Machine, config: _Config, api: str, prefix: str, public_ip: str
) -> IPv4Network:
    """The subnet that etcd has for this address, or else the previous one, or else a free one."""
    taken: set[IPv4Network] = set()
    for value in cluster.keys.under(api, f"{prefix}/subnets"):
        subnet = IPv4Network(value.key.rpartition("/")[2].replace("-", "/"))
        if json.loads(value.text).get("PublicIP") != public_ip:
            taken.add(subnet)
        elif config.accepts(subnet):
            return subnet
        else:
            del cluster.keys.stored[api][value.key]
            _forget(cluster, machine, api, prefix, str(subnet))
    previous = machine.files.get(SUBNET_ENV)
    before = values(previous.text).get("FLANNEL_SUBNET") if previous else None
    if before:
        subnet = IPv4Network(before, strict=False)
        if config.accepts(subnet) and subnet not in taken:
            return subnet
    size, free = config.low.num_addresses, []
    for start in range(int(config.low.network_address), int(config.high.network_address) + 1, size):
        subnet = IPv4Network((start, config.length))
        if subnet not in taken:
            free.append(subnet)
        if len(free) == 100:
            break
    if not free:
        raise FlanneldError("failed to acquire lease: out of subnets")
    return cluster.dice.choice(free)


def _device(
    cluster: Cluster, machine: Machine, config: _Config, subnet: IPv4Network, dev: str
) -> str:
    """Create flannel's device; one with the same settings is reused, with its MTU and addresses."""
    backend = backends.BACKENDS[config.type]
    options = {
        option.name: config.backend[option.key.lower()]
        for option in backend.options
        if option.key.lower() in config.backend
    }
    name = backend.device(options)
    if not name:
        return ""
    for module in backend.modules:
        if module not in machine.modules:
            raise FlanneldError("Error registering network: operation not supported")
        machine.modules[module] = True
    vxlan, tun = config.type == "vxlan", config.type == "udp"
    wide = tun and version(machine.packages.get("flannel", "")) < (0, 10)
    address = f"{subnet.network_address}/{config.network.prefixlen if wide else 32}"
    mac = ":".join(f"{cluster.dice.randrange(256) & 0xFE | 2:02x}" for _ in range(6))
    port = int(backend.ports(options)[0].partition("/")[0]) if backend.port else None
    kind = {"vxlan": "vxlan", "udp": "tun", "ipip": "ipip", "wireguard": "wireguard"}[config.type]
    made = Link(
        name,
        mac,
        backend.mtu(machine.links[dev].mtu, options),
        True,
        (address,),
        kind,
        int(options.get("vni", 1)) if vxlan else None,
        port,
    )
    old = machine.links.get(name)
    if old and (old.kind, old.vni, old.port) == (made.kind, made.vni, made.port):
        addresses = dict.fromkeys((*old.addresses, *made.addresses))  # a previous address stays
        machine.links[name] = replace(old, addresses=tuple(addresses))
    else:
        machine.drop_link(name)
        machine.add_link(made)
    if tun and not wide:
        _route(machine, Route(str(config.network), name))
    return name


def _publish(cluster: Cluster, machine: Machine, daemon: Daemon) -> None:
    """Write the lease in the format of this flannel version."""
    new = daemon.version >= (0, 17)
    lease: dict[str, Any] = {"PublicIP": daemon.public_ip} | ({"PublicIPv6": None} if new else {})
    if daemon.backend not in ("udp", "alloc"):
        lease["BackendType"] = daemon.backend
    if daemon.backend == "vxlan":
        link = machine.links[daemon.device]
        lease["BackendData"] = ({"VNI": link.vni} if new else {}) | {"VtepMAC": link.mac}
    elif daemon.backend == "wireguard":
        lease["BackendData"] = {"PublicKey": f"{machine.name}=", "Port": 51820}
    key = f"{daemon.prefix}/subnets/{daemon.subnet.replace('/', '-')}"
    cluster.keys.set(daemon.api, key, json.dumps(lease, separators=(",", ":")), DAY)


def _subnet_env(machine: Machine, config: _Config, daemon: Daemon, *, masq: bool) -> None:
    """Write subnet.env, and the docker options that the unit derives from it."""
    own = IPv4Network(daemon.subnet)
    bip = f"{own.network_address + 1}/{own.prefixlen}"
    uplink = machine.links[daemon.dev].mtu
    backend = backends.BACKENDS[daemon.backend]
    options = {
        o.name: daemon.options[o.key.lower()]
        for o in backend.options
        if o.key.lower() in daemon.options
    }
    mtu = backend.mtu(uplink, options)
    machine.put(
        SUBNET_ENV,
        f"FLANNEL_NETWORK={config.network}\nFLANNEL_SUBNET={bip}\nFLANNEL_MTU={mtu}\n"
        f"FLANNEL_IPMASQ={str(masq).lower()}\n",
    )
    for post in re.findall(r"^ExecStartPost=(\S+)", machine.read(FLANNELD_UNIT), re.MULTILINE):
        if post not in machine.files:
            raise FlanneldError(
                f"{post}: No such file or directory\nControl process exited, 203/EXEC"
            )
        docker_options = f" --bip={bip} --ip-masq={str(not masq).lower()} --mtu={mtu}"
        machine.put(DOCKER_OPTIONS, f'DOCKER_NETWORK_OPTIONS="{docker_options}"\n')


def _rules(machine: Machine, daemon: Daemon, *, masq: bool) -> None:
    """iptables: before 0.9.1 only what `-ip-masq` needs; later also rules for forwarding."""
    net, chains = daemon.network, machine.chains
    if daemon.version >= (0, 20):
        chains.append("filter", "FORWARD", '-m comment --comment "flanneld forward" -j FLANNEL-FWD')
    if daemon.version >= (0, 9, 1):
        chain = "FLANNEL-FWD" if daemon.version >= (0, 20) else "FORWARD"
        chains.append("filter", chain, f"-s {net} -j ACCEPT")
        chains.append("filter", chain, f"-d {net} -j ACCEPT")
    if masq:
        for rule in (
            f"-s {net} -d {net} -j RETURN",
            f"-s {net} ! -d 224.0.0.0/4 -j MASQUERADE",
            f"! -s {net} -d {daemon.subnet} -j RETURN",
            f"! -s {net} -d {net} -j MASQUERADE",
        ):
            chains.append("nat", "POSTROUTING", rule)


def _exchange_leases(cluster: Cluster, machine: Machine, daemon: Daemon) -> None:
    """Read all leases, and announce the own lease to the running peers."""
    leases = cluster.keys.under(daemon.api, f"{daemon.prefix}/subnets")
    own_lease = {}
    for value in leases:
        subnet = value.key.rpartition("/")[2].replace("-", "/")
        if subnet == daemon.subnet:
            own_lease = json.loads(value.text)
        else:
            _learn(machine, daemon, subnet, json.loads(value.text))
    if machine.damage is not None:
        machine.damage(machine)
    if LOST_EVENTS[0] <= daemon.version <= LOST_EVENTS[1]:
        return
    for other in cluster.nodes():
        other_daemon = other.daemon
        same = other_daemon and (other_daemon.api, other_daemon.prefix) == (
            daemon.api,
            daemon.prefix,
        )
        if other_daemon and same and other is not machine:
            _learn(other, other_daemon, daemon.subnet, own_lease)
            if other.damage is not None:
                other.damage(other)


def _learn(machine: Machine, daemon: Daemon, subnet: str, lease: Mapping[str, Any]) -> None:
    """Set up the path to a peer's subnet, unless it uses another backend or is this host's own."""
    peer, kind = str(lease["PublicIP"]), daemon.backend
    if subnet == daemon.subnet or kind == "alloc":
        return
    if kind != "udp" and lease.get("BackendType") != kind:
        machine.log(FLANNELD_UNIT, f"ignoring non-{kind} subnet: type={lease.get('BackendType')}")
        return
    mac = str((lease.get("BackendData") or {}).get("VtepMAC", ""))
    direct = machine.route_to(peer)
    if kind == "host-gw" or (daemon.options.get("directrouting") and direct and not direct.via):
        _route(machine, Route(subnet, daemon.dev, peer))
        return
    if kind != "wireguard" or peer:
        machine.peers.setdefault(daemon.device, {})[subnet] = Peer(peer, mac)
    if kind == "vxlan":
        _route(machine, Route(subnet, daemon.device, subnet.partition("/")[0]))
    elif kind == "ipip":
        _route(machine, Route(subnet, daemon.device, peer))
    elif kind == "wireguard":
        _route(machine, Route(subnet, daemon.device))


def _forget(cluster: Cluster, machine: Machine, api: str, prefix: str, subnet: str) -> None:
    """Tell the other nodes that a lease is gone."""
    for other in cluster.nodes():
        daemon = other.daemon
        if daemon and other is not machine and (daemon.api, daemon.prefix) == (api, prefix):
            other.peers.get(daemon.device, {}).pop(subnet, None)
            devices = (daemon.device, daemon.dev)
            other.routes = [r for r in other.routes if r.to != subnet or r.dev not in devices]


def _route(machine: Machine, route: Route) -> None:
    machine.routes = [r for r in machine.routes if r.to != route.to] + [route]
