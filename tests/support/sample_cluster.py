"""A healthy cluster as facts, for the tests of everything that judges or plans.

BARE: one master and three nodes of Fedora, docker running, no flannel yet, dnf offers 0.9.0-7.
`on` gives it with a host changed.  DONE: the same cluster after the procedure.
"""

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

from fedwiz.answers.file import Answers, parse
from fedwiz.facts.values import (
    ClusterFacts,
    Endpoint,
    Facts,
    File,
    KubeNode,
    Link,
    Route,
    Stored,
    Tried,
    Unit,
)
from fedwiz.model.actions import Value

MASTER, NODES = "fed-master", ("fed-node1", "fed-node2", "fed-node3")
URL = "http://fed-master:2379"
ADDRESSES = {
    "fed-master": "192.168.122.76",
    "fed-node1": "192.168.122.77",
    "fed-node2": "192.168.122.36",
    "fed-node3": "192.168.122.127",
}
SAID: dict[str, Any] = {
    "version": 1,
    "name": "fedora-lab",
    "host": [
        {"name": name, "address": address, "role": "master" if name == MASTER else "node"}
        for name, address in ADDRESSES.items()
    ],
    "network": {"cidr": "10.16.0.0/16"},
}


def answered(*sets: str) -> Answers:
    """The answers for this cluster, changed as `--set` changes them."""
    return parse(SAID, sets)


ANSWERS = answered()

RUNS = Unit("loaded", "active", "enabled", 700)
STOPPED = Unit("loaded", "inactive", "disabled")
DOCKER_UNIT = """\
# /usr/lib/systemd/system/docker.service
[Unit]
Description=Docker Application Container Engine
After=network.target docker.socket firewalld.service

[Service]
Type=notify
EnvironmentFile=-/etc/sysconfig/docker
EnvironmentFile=-/etc/sysconfig/docker-network
ExecStart=/usr/bin/dockerd --host=fd:// $OPTIONS $DOCKER_NETWORK_OPTIONS
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
FLANNELD_UNIT = """\
# /usr/lib/systemd/system/flanneld.service
[Unit]
Description=Flanneld overlay address etcd agent
After=network-online.target etcd.service
Before=docker.service

[Service]
Type=notify
EnvironmentFile=/etc/sysconfig/flanneld
EnvironmentFile=-/etc/sysconfig/docker-network
ExecStart=/usr/bin/flanneld -etcd-endpoints=${FLANNEL_ETCD_ENDPOINTS} \
-etcd-prefix=${FLANNEL_ETCD_PREFIX} $FLANNEL_OPTIONS
ExecStartPost=/usr/libexec/flannel/mk-docker-opts.sh -k DOCKER_NETWORK_OPTIONS \
-d /run/flannel/docker
Restart=on-failure

[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
"""
FILTER = (
    "-P INPUT ACCEPT",
    "-P FORWARD DROP",
    "-P OUTPUT ACCEPT",
    "-N DOCKER",
    "-N DOCKER-USER",
    "-A FORWARD -j DOCKER-USER",
    "-A DOCKER-USER -j RETURN",
)
GIB = 1024 * 1024


def _facts(name: str) -> Facts:
    address = ADDRESSES[name]
    last = int(address.rpartition(".")[2])
    return Facts(
        hostname=name,
        machine_id=f"{last:032x}",
        boot_id=f"00000000-0000-4000-8000-{last:012x}",
        clock=1_700_000_000.0,
        skew=0.01,
        os="fedora",
        os_version="41",
        kernel="6.11.4-301.fc41.x86_64",
        arch="x86_64",
        selinux="Enforcing",
        virt="kvm",
        links=(
            Link("lo", "00:00:00:00:00:00", 65536, True, ("127.0.0.1/8",)),
            Link("eth0", f"52:54:00:00:00:{last:02x}", 1500, True, (f"{address}/24",)),
        ),
        routes=(
            Route("default", "eth0", "192.168.122.1"),
            Route("192.168.122.0/24", "eth0"),
        ),
        sysctls={
            "net.ipv4.ip_forward": "1",
            "net.ipv4.conf.all.rp_filter": "0",
            "net.bridge.bridge-nf-call-iptables": "1",
        },
        modules={
            "br_netfilter": True,
            "vxlan": False,
            "ipip": False,
            "wireguard": False,
            "tun": True,
        },
        rules={
            "filter": ("-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT"),
            "nat": ("-P POSTROUTING ACCEPT",),
            "raw": ("-P PREROUTING ACCEPT",),
        },
        iptables="iptables v1.8.10 (nf_tables)",
        free={"/": 20 * GIB, "/etc": 20 * GIB, "/run": GIB, "/usr": 20 * GIB, "/var": 20 * GIB},
        nameservers=("192.168.122.1",),
        listening=frozenset({"0.0.0.0:22"}),
        etcd={URL: Endpoint("3.4.23", v2=True)},
    )


def _master() -> Facts:
    services = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return replace(
        _facts(MASTER),
        units={f"{name}.service": RUNS for name in services},
        packages={"etcd": "3.4.23-1.fc41"},
        listening=frozenset({"0.0.0.0:22", "0.0.0.0:2379"}),
        kube_nodes=tuple(
            KubeNode(name, (ADDRESSES[name], name), {"name": f"{name}-label"}) for name in NODES
        ),
    )


def _node(name: str) -> Facts:
    bare = _facts(name)
    docker0 = Link("docker0", "02:42:00:00:00:01", 1500, False, ("172.17.0.1/16",), "bridge")
    return replace(
        bare,
        links=(*bare.links, docker0),
        routes=(*bare.routes, Route("172.17.0.0/16", "docker0")),
        units={
            "docker.service": RUNS,
            "docker.socket": RUNS,
            "kubelet.service": RUNS,
            "kube-proxy.service": RUNS,
        },
        packages={"moby-engine": "20.10.24-1.fc41"},
        offered="0.9.0-7.fc32",
        docker_version="Docker version 20.10.24, build 297e128",
        docker_unit=DOCKER_UNIT,
        docker_networks=("172.17.0.0/16",),
        rules={**bare.rules, "filter": FILTER},
    )


BARE = ClusterFacts(
    hosts={MASTER: _master(), **{name: _node(name) for name in NODES}},
    store=Stored(api="v2"),
    udp=Tried(frozenset(permutations(NODES, 2))),
)
NODE = BARE.hosts["fed-node1"]
"""The facts of a bare node."""


def on(host: str, known: ClusterFacts = BARE, **fields: Any) -> ClusterFacts:
    """The cluster with facts of one host changed; `*` stands for every node, `` for all hosts."""
    names = {"*": NODES, "": tuple(known.hosts)}.get(host, (host,))
    changed = {name: replace(known.hosts[name], **fields) for name in names}
    return replace(known, hosts={**known.hosts, **changed})


def stored(known: ClusterFacts = BARE, **fields: Any) -> ClusterFacts:
    """The cluster with something else in etcd."""
    return replace(known, store=replace(known.store, **fields))


def lease(subnet: str, public_ip: str, mac: str = "", *, revision: int = 20) -> Value:
    """A lease as flannel 0.9.0 writes it; `subnet` is like 10.16.29.0/24."""
    data = {"VtepMAC": mac or "46:f1:d0:18:d0:65"}
    said = {"PublicIP": public_ip, "BackendType": "vxlan", "BackendData": data}
    key = f"/coreos.com/network/subnets/{subnet.replace('/', '-')}"
    return Value(key, json.dumps(said), revision, ttl=80_000)


SUBNETS = {"fed-node1": "10.16.29", "fed-node2": "10.16.83", "fed-node3": "10.16.90"}
MACS = {
    "fed-node1": "46:f1:d0:18:d0:65",
    "fed-node2": "ca:38:78:fc:72:29",
    "fed-node3": "92:e2:80:ba:2d:4d",
}


def _done(name: str) -> Facts:
    """A node on which everything was done by hand, as the procedure says it."""
    node, net = BARE.hosts[name], SUBNETS[name]
    peers = {peer: SUBNETS[peer] for peer in NODES if peer != name}
    return replace(
        node,
        links=(
            *node.links[:2],
            Link("flannel.1", MACS[name], 1450, True, (f"{net}.0/32",), "vxlan", 1, 8472),
            Link("docker0", "02:42:00:00:00:01", 1450, True, (f"{net}.1/24",), "bridge"),
        ),
        routes=(
            *node.routes[:2],
            Route(f"{net}.0/24", "docker0"),
            *(Route(f"{each}.0/24", "flannel.1", f"{each}.0") for each in peers.values()),
        ),
        vteps=frozenset(ADDRESSES[peer] for peer in peers),
        units={**node.units, "flanneld.service": RUNS},
        packages={**node.packages, "flannel": "0.9.0-7.fc32"},
        offered="",
        flanneld="/usr/bin/flanneld",
        flanneld_version="v0.9.0",
        flanneld_unit=FLANNELD_UNIT,
        docker_networks=(f"{net}.0/24",),
        subnet_env={
            "FLANNEL_NETWORK": "10.16.0.0/16",
            "FLANNEL_SUBNET": f"{net}.1/24",
            "FLANNEL_MTU": "1450",
            "FLANNEL_IPMASQ": "true",
        },
        files={
            "/etc/sysconfig/flanneld": File(
                f'FLANNEL_ETCD_ENDPOINTS="{URL}"\nFLANNEL_ETCD_PREFIX="/coreos.com/network"\n'
                'FLANNEL_OPTIONS="-ip-masq"\n',
                0o644,
            )
        },
        rules={**node.rules, "nat": ("-A POSTROUTING -s 10.16.0.0/16 -d 10.16.0.0/16 -j RETURN",)},
    )


DONE = replace(
    BARE,
    hosts={MASTER: BARE.hosts[MASTER], **{name: _done(name) for name in NODES}},
    store=Stored(
        api="v2",
        config=Value("/coreos.com/network/config", ANSWERS.config_json(), 7),
        leases=tuple(lease(f"{SUBNETS[name]}.0/24", ADDRESSES[name], MACS[name]) for name in NODES),
    ),
    udp=Tried(in_use=dict.fromkeys(NODES, "")),
)
