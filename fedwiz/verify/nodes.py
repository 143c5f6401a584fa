"""Verdicts on each node by itself: its addresses and its subnet.env."""

import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface, IPv4Network, ip_interface
from typing import Any

from fedwiz.answers.file import Answers, Host
from fedwiz.etcd.leases import Lease, parse_leases
from fedwiz.facts import ClusterFacts, Facts, Link
from fedwiz.model.actions import Value
from fedwiz.model.addresses import MAX_SUBNET_LEN
from fedwiz.model.backends import BACKENDS, Backend
from fedwiz.verify.pods import tidy
from fedwiz.verify.values import Overlay, Up, Verdict

SUBNET_ENV = "/run/flannel/subnet.env"


def overlay(answers: Answers, known: ClusterFacts) -> Overlay:
    """The network's settings from etcd; whatever etcd does not have comes from the answers."""
    config = _object(known.store.config)
    configured = answers.backend.backend.name, answers.backend.options
    network = _network(str(config.get("network", ""))) or IPv4Network(answers.network.cidr)
    if "network" not in config:
        return Overlay(
            network, configured[0], answers.backend.backend.device(configured[1]), configured[1]
        )
    raw = config.get("backend", {"Type": "udp"})  # flannel's default if no type is given
    backend_fields = (
        {key.lower(): value for key, value in raw.items()} if isinstance(raw, dict) else {}
    )
    kind = str(backend_fields.get("type", "")).lower()
    backend = BACKENDS.get(kind)
    options = _options(backend, backend_fields) if backend else {}
    return Overlay(network, kind, backend.device(options) if backend else "", options)


def _options(backend: Backend, fields: Mapping[str, Any]) -> dict[str, int | bool | str]:
    """The valid options; flannel ignores the case of their names."""
    return {
        option.name: fields[option.key.lower()]
        for option in backend.options
        if option.key.lower() in fields and not option.refuse(fields[option.key.lower()])
    }


def _object(value: Value | None) -> dict[str, Any]:
    try:
        parsed = json.loads(value.text) if value else {}
    except (ValueError, RecursionError):
        return {}
    return {key.lower(): part for key, part in parsed.items()} if isinstance(parsed, dict) else {}


def _network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        return None


def subnet_of(facts: Facts) -> IPv4Interface | None:
    """The node's subnet according to subnet.env: docker0's address and prefix length."""
    try:
        return IPv4Interface((facts.subnet_env or {}).get("FLANNEL_SUBNET", ""))
    except ValueError:
        return None


def mtu_of(facts: Facts) -> int | None:
    """The packet size for containers in bytes, according to subnet.env."""
    text = (facts.subnet_env or {}).get("FLANNEL_MTU", "")
    return int(text) if re.fullmatch(r"[1-9][0-9]{2,4}", text) else None


def stand_in(facts: Facts) -> tuple[str, int] | None:
    """Address and MTU of a namespace in place of a container: the address docker would use last."""
    subnet, mtu = subnet_of(facts), mtu_of(facts)
    if subnet is None or mtu is None or subnet.network.prefixlen > MAX_SUBNET_LEN:
        return None
    return str(subnet.network[-2]), mtu


def addresses(facts: Facts) -> frozenset[str]:
    """The host's own IPv4 addresses."""
    return frozenset(
        str(ip_interface(text).ip)
        for link in facts.links
        for text in link.addresses
        if link.name not in ("lo", "docker0") and not link.name.startswith("flannel")
    )


def judge(answers: Answers, known: ClusterFacts, host: Host, up: Up | None) -> Iterator[Verdict]:
    """Verdicts on the addresses and the subnet.env of a node that could be read."""
    facts, net = known.hosts[host.name], overlay(answers, known)
    inet = up.inet if up and up.inet else _inet(facts)
    yield _verdict("address", host, inet, _address(net, facts, up))
    env = facts.subnet_env
    shown = "" if env is None else tidy("\n".join(f"{key}={value}" for key, value in env.items()))
    yield _verdict("subnet_env", host, shown, _subnet_env(known, host, net, up))


def _verdict(kind: Any, host: Host, seen: str, problem: str) -> Verdict:  # noqa: ANN401 - a Kind
    return Verdict(kind, host.name, "", "fail" if problem else "pass", seen, problem)


def _inet(facts: Facts) -> str:
    return tidy(
        "\n".join(f"inet {text} {link.name}" for link in facts.links for text in link.addresses)
    )


# Each of these returns a problem and one remedy; empty: no problem.


def _address(net: Overlay, facts: Facts, up: Up | None) -> str:
    subnet = subnet_of(facts)
    if net.device:
        link = facts.link(net.device)
        if link is None:
            return (
                f"there is no {net.device}: flanneld has not set up its {net.backend} network; "
                "see `journalctl -u flanneld`, then `systemctl restart flanneld`"
            )
        if not link.up:
            return f"{net.device} is down: `systemctl restart flanneld`"
        link_addresses = [ip_interface(text).ip for text in link.addresses]
        if subnet and link_addresses and not any(ip in subnet.network for ip in link_addresses):
            return (
                f"{net.device} has {link_addresses[0]}, outside of this node's {subnet.network}: "
                f"`ip link delete {net.device}`, then `systemctl restart flanneld`"
            )
        if not link_addresses:
            return f"{net.device} has no address: `systemctl restart flanneld`"
        if problem := _vxlan(net, link):
            return problem
    if not (up.docker if up else facts.unit("docker.service").running):
        return ""  # then flannel only has to be started; no container has a wrong address
    docker0 = facts.link("docker0")
    if docker0 is None or not docker0.addresses:
        return "docker runs and has no docker0: take `--bridge` from its options, and restart it"
    if subnet is None:
        return (
            f"docker0 has {docker0.addresses[0]}, and there is no FLANNEL_SUBNET to compare it "
            "with: `systemctl restart flanneld`"
        )
    bridge = IPv4Interface(docker0.addresses[0])
    if not bridge.network.subnet_of(subnet.network):
        return (
            f"docker0 has {bridge}, not {subnet}: docker has not taken flannel's subnet; stop "
            "docker, `ip link delete docker0`, start docker"
        )
    return ""


def _vxlan(net: Overlay, link: Link) -> str:
    """The VNI or port differs from the network's, so other nodes ignore what it sends."""
    if net.backend != "vxlan" or link.vni is None:
        return ""
    backend = BACKENDS["vxlan"]
    vni, port = backend.complete(net.options)["vni"], backend.ports(net.options)[0]
    actual = f"{link.port}/udp"
    if link.vni != vni:
        return (
            f"{link.name} has VNI {link.vni}, and the network has {vni}, so the other nodes take "
            "nothing of what it sends: `systemctl restart flanneld`"
        )
    if link.port is not None and actual != port:
        return (
            f"{link.name} uses {actual}, and the network {port}, so it neither reaches the other "
            "nodes nor hears them: `systemctl restart flanneld`"
        )
    return ""


def _subnet_env(known: ClusterFacts, host: Host, net: Overlay, up: Up | None) -> str:
    facts = known.hosts[host.name]
    if facts.subnet_env is None:
        return f"there is no {SUBNET_ENV}: flanneld has no subnet yet; see `journalctl -u flanneld`"
    restart = "`systemctl restart flanneld`"
    subnet, network = subnet_of(facts), facts.subnet_env.get("FLANNEL_NETWORK", "")
    if subnet is None:
        return f"{SUBNET_ENV} has no FLANNEL_SUBNET that is one: {restart}"
    # flannel before 0.5.3 wrote no FLANNEL_NETWORK.
    if network and _network(network) != net.network:
        return (
            f"FLANNEL_NETWORK is {tidy(network)}, and the network is {net.network}: flanneld "
            f"started before that was set; {restart}, then docker"
        )
    if not subnet.network.subnet_of(net.network):
        return f"{subnet.network} is outside of the network {net.network}: {restart}, then docker"
    host_addresses = addresses(facts) | {host.address}
    leases = [
        lease for lease in parse_leases(known.store.leases) if lease.public_ip in host_addresses
    ]
    if leases and not any(_inside(subnet.network, lease) for lease in leases):
        return f"{subnet.network} is not in the lease {leases[0].subnet}: {restart}, then docker"
    return _mtu(facts, net, up, leases)


def _inside(subnet: IPv4Network, lease: Lease) -> bool:
    leased = _network(lease.subnet)
    return leased is not None and subnet.subnet_of(leased)


def _mtu(facts: Facts, net: Overlay, up: Up | None, leases: list[Lease]) -> str:
    """Sizes only have to fit: one that is smaller than necessary is the operator's choice."""
    mtu = mtu_of(facts)
    if mtu is None:
        return f"{SUBNET_ENV} has no FLANNEL_MTU that is one: `systemctl restart flanneld`"
    device = facts.link(net.device)
    if device and mtu > device.mtu:
        return (
            f"FLANNEL_MTU is {mtu}, and {device.name} passes {device.mtu} bytes: "
            f"`ip link delete {device.name}`, then `systemctl restart flanneld`"
        )
    backend = BACKENDS.get(net.backend)
    published = {lease.public_ip for lease in leases}
    for link in facts.links:
        own = {str(ip_interface(text).ip) for text in link.addresses}
        if backend and own & published and mtu > link.mtu - backend.overhead:
            return (
                f"FLANNEL_MTU is {mtu}, and with {net.backend} {link.name} ({link.mtu}) leaves "
                f"{link.mtu - backend.overhead} bytes: `systemctl restart flanneld`, then docker"
            )
    if up and up.pod and up.pod.mtu > mtu:
        return (
            f"containers get an MTU of {up.pod.mtu}, and {mtu} is what passes: docker must "
            "start with flannel's options; see `systemctl cat docker`"
        )
    return ""
