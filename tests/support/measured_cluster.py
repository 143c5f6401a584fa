"""A healthy cluster of three nodes as it was read and measured, and ways to change it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any

from fedwiz.answers import file as forms
from fedwiz.answers.file import Answers
from fedwiz.facts import ClusterFacts, Facts, Fdb, Link, Neighbour, Route, Stored, Unit
from fedwiz.model.actions import Value
from fedwiz.verify import Verdict, leases, nodes
from fedwiz.verify.matrix import PairMatrix
from fedwiz.verify.peers import PeerRoutes
from fedwiz.verify.values import Ping, Pod, Up

NAMES = ("fed-node1", "fed-node2", "fed-node3")
ANSWERS: Answers = forms.parse(
    {
        "version": 1,
        "name": "lab",
        "network": {"cidr": "10.16.0.0/16"},
        "host": [
            {"name": "fed-master", "address": "192.168.122.76", "role": "master"},
            {"name": "fed-node1", "address": "192.168.122.77", "role": "node"},
            {"name": "fed-node2", "address": "192.168.122.36", "role": "node"},
            {"name": "fed-node3", "address": "192.168.122.127", "role": "node"},
        ],
    }
)
THIRD = {"fed-node1": 29, "fed-node2": 83, "fed-node3": 90}
PREFIX = "/coreos.com/network/subnets"


def mac(name: str) -> str:
    return f"46:f1:d0:18:d0:{THIRD[name]:02x}"


def facts(name: str) -> Facts:
    third = THIRD[name]
    others = {number: peer for peer, number in THIRD.items() if peer != name}
    return Facts(
        links=(
            Link("lo", "", 65536, True, ("127.0.0.1/8",)),
            Link("eth0", "52:54:00:00:00:01", 1500, True, (f"{ANSWERS.named(name).address}/24",)),
            Link("flannel.1", mac(name), 1450, True, (f"10.16.{third}.0/32",), "vxlan", 1, 8472),
            Link("docker0", "02:42:00:00:00:01", 1450, True, (f"10.16.{third}.1/24",), "bridge"),
        ),
        routes=(
            Route("default", "eth0", "192.168.122.1"),
            Route("192.168.122.0/24", "eth0"),
            Route(f"10.16.{third}.0/24", "docker0"),
            *(Route(f"10.16.{each}.0/24", "flannel.1", f"10.16.{each}.0") for each in others),
        ),
        neighbours=tuple(
            Neighbour(f"10.16.{each}.0", "flannel.1", mac(peer), "PERMANENT")
            for each, peer in others.items()
        ),
        fdb=tuple(
            Fdb(mac(peer), ANSWERS.named(peer).address, "flannel.1") for peer in others.values()
        ),
        units={
            "docker.service": Unit("loaded", "active"),
            "flanneld.service": Unit("loaded", "active"),
        },
        sysctls={"net.ipv4.ip_forward": "1"},
        docker_version="Docker version 20.10.24, build 297e128",
        rules={"filter": ("-P FORWARD DROP", "-A FORWARD -s 10.16.0.0/16 -j ACCEPT")},
        subnet_env={
            "FLANNEL_NETWORK": "10.16.0.0/16",
            "FLANNEL_SUBNET": f"10.16.{third}.1/24",
            "FLANNEL_MTU": "1450",
            "FLANNEL_IPMASQ": "true",
        },
    )


def lease(name: str, **more: Any) -> Value:
    text = {
        "PublicIP": ANSWERS.named(name).address,
        "BackendType": "vxlan",
        "BackendData": {"VtepMAC": mac(name)},
    }
    return Value(f"{PREFIX}/10.16.{THIRD[name]}.0-24", json.dumps(text | more), 7, 86000)


CONFIG = Value(
    "/coreos.com/network/config",
    '{"Network":"10.16.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan","VNI":1}}',
    3,
)


def pod(name: str, **more: Any) -> Up:
    address = IPv4Address(f"10.16.{THIRD[name]}.2")
    return Up(
        "inet 127.0.0.1/8 scope host lo", True, replace(Pod(77, "net:[4]", address, 1450), **more)
    )


@dataclass(frozen=True)
class Cluster:
    """A cluster as it was read; healthy unless changed."""

    facts: Mapping[str, Facts] = field(default_factory=lambda: {n: facts(n) for n in NAMES})
    config: Value | None = CONFIG
    leases: tuple[Value, ...] = field(default_factory=lambda: tuple(map(lease, NAMES)))
    ups: Mapping[str, Up] = field(default_factory=lambda: {n: pod(n) for n in NAMES})
    error: str = ""

    @property
    def known(self) -> ClusterFacts:
        return ClusterFacts(self.facts, Stored("v2", self.config, self.leases, "", self.error))

    def node(self, host: str, **more: Any) -> "Cluster":
        """With one node's facts changed."""
        return replace(self, facts={**self.facts, host: replace(self.facts[host], **more)})

    def link(self, host: str, link: str, **more: Any) -> "Cluster":
        """With one link of one node's changed."""
        held = self.facts[host].links
        return self.node(
            host, links=tuple(replace(one, **more) if one.name == link else one for one in held)
        )

    def without_link(self, name: str, link: str) -> "Cluster":
        held = self.facts[name].links
        return self.node(name, links=tuple(one for one in held if one.name != link))

    def env(self, name: str, **more: str) -> "Cluster":
        return self.node(name, subnet_env={**(self.facts[name].subnet_env or {}), **more})

    def lease(self, name: str, **more: Any) -> "Cluster":
        """With one node's lease changed."""
        rest = tuple(one for one in self.leases if one.key != lease(name).key)
        return replace(self, leases=(*rest, lease(name, **more)))

    def ttl(self, name: str, seconds: int | None) -> "Cluster":
        """With one node's lease to end then."""
        return replace(
            self,
            leases=tuple(
                replace(one, ttl=seconds) if one.key == lease(name).key else one
                for one in self.leases
            ),
        )

    def unit(self, name: str, flanneld: str) -> "Cluster":
        """With flanneld in that state on one node."""
        units = {**self.facts[name].units, "flanneld.service": Unit("loaded", flanneld)}
        return self.node(name, units=units)

    def up(self, name: str, up: Up) -> "Cluster":
        return replace(self, ups={**self.ups, name: up})

    def judged(self) -> list[Verdict]:
        """Each node's own, by kind as they are told, then the strangers' leases."""
        found = []
        for host in ANSWERS.nodes:
            address, env = nodes.judge(ANSWERS, self.known, host, self.ups.get(host.name))
            found += [address, leases.judge(ANSWERS, self.known, host), env]
        return found + list(leases.foreign_leases(ANSWERS, self.known))

    def peer_routes(self, **gone: str) -> PeerRoutes:
        net, held = nodes.overlay(ANSWERS, self.known), leases.leases_of(ANSWERS, self.known)
        return PeerRoutes(self.known, net, held, gone)


WELL = Cluster()
N1, N2, N3 = NAMES


def matrix(cluster: Cluster = WELL, **more: Any) -> PairMatrix:
    made = PairMatrix(NAMES, cluster.known, nodes.overlay(ANSWERS, cluster.known), {}, cluster.ups)
    good = Ping(3, 3, "0.31/0.35/0.42")
    own = {f"10.16.{THIRD[name]}.2": 3 for name in NAMES}
    measured: dict[str, Any] = {
        "pings": {name: dict.fromkeys(made.targets(name), good) for name in NAMES},
        "counts": dict.fromkeys(NAMES, own),
    }
    return replace(made, **(measured | more))


IPUTILS = """\
PING 10.16.83.2 (10.16.83.2) 56(84) bytes of data.
64 bytes from 10.16.83.2: icmp_seq=1 ttl=62 time=0.275 ms

--- 10.16.83.2 ping statistics ---
3 packets transmitted, {n} received, {loss}% packet loss, time 402ms
{rtt}"""


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LINKS = json.dumps(
    [
        {
            "ifname": "lo",
            "address": "00:00",
            "mtu": 65536,
            "flags": ["UP"],
            "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}],
        },
        {
            "ifname": "eth0",
            "address": "02:42:0a:10:1d:02",
            "mtu": 1450,
            "flags": ["UP"],
            "addr_info": [{"family": "inet", "local": "10.16.29.2", "prefixlen": 24}],
        },
    ]
)


def up_said(**parts: str) -> str:
    good = {"inet": "inet 1.2.3.4/8 lo\n", "docker": "yes\n", "pid": "4711", "netns": "net:[4026]"}
    lines = [f"{key} {b64(text)}" for key, text in (good | {"links": LINKS} | parts).items()]
    return "\n".join([*lines, "end \n"])
