"""What is right about each node by itself, whatever is in etcd and on it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.facts import Endpoint, Unit
from fedwiz.model.actions import Value
from fedwiz.verify import nodes, ok
from fedwiz.verify.values import Up
from tests.support.measured_cluster import (
    CONFIG,
    N1,
    N2,
    N3,
    NAMES,
    PREFIX,
    THIRD,
    WELL,
    Cluster,
    lease,
    mac,
    matrix,
    pod,
)

ENDPOINT = "http://fed-master:2379"

# Each node by itself: what is changed, whose verdicts fail, and a word of the reason.

RIGHT: Mapping[str, Cluster] = {
    "healthy": WELL,
    "docker off, docker0 gone": WELL.without_link(N1, "docker0").up(
        N1, Up(docker=False, error="x")
    ),
    "docker0 smaller than the subnet": WELL.link(N1, "docker0", addresses=("10.16.29.1/25",)),
    "flannel.1 with flannel 0.6's mask": WELL.link(N1, "flannel.1", addresses=("10.16.29.0/16",)),
    "an old address beside the new": WELL.link(
        N1, "flannel.1", addresses=("10.99.1.0/32", "10.16.29.0/32")
    ),
    "no FLANNEL_NETWORK, as before 0.5.3": WELL.node(
        N1, subnet_env={"FLANNEL_SUBNET": "10.16.29.1/24", "FLANNEL_MTU": "1450"}
    ),
    "a smaller MTU": WELL.env(N1, FLANNEL_MTU="1300").up(N1, pod(N1, mtu=1300)),
    "MAC in capitals": WELL.lease(N1, BackendData={"VtepMAC": mac(N1).upper()}),
    "keys in any case": replace(
        WELL, config=Value("", '{"network":"10.16.0.0/16","backend":{"type":"VxLAN","vni":1}}', 1)
    ),
    "host bits in the config": replace(
        WELL, config=replace(CONFIG, text=CONFIG.text.replace("10.16.0.0", "10.16.5.7"))
    ),
    "a VNI and a port of the operator's": replace(
        WELL.link(N1, "flannel.1", name="flannel.7", vni=7, port=4789)
        .link(N2, "flannel.1", name="flannel.7", vni=7, port=4789)
        .link(N3, "flannel.1", name="flannel.7", vni=7, port=4789),
        config=replace(CONFIG, text=CONFIG.text.replace('"VNI":1', '"VNI":7,"Port":4789')),
    ),
    "a lease that is due": WELL.ttl(N1, 3500),
    "a reservation": WELL.ttl(N1, None),
    "a lease renewed late, as told": WELL.ttl(N1, 700).node(
        N1, flanneld_unit="ExecStart=/usr/bin/flanneld -subnet-lease-renew-margin=20"
    ),
    "an etcd that answers": WELL.node(N1, etcd={ENDPOINT: Endpoint("3.4.23")}),
    "clocks a little apart": WELL.node(N1, clock=1e9, skew=900.0)
    .node(N2, clock=1e9)
    .node(N3, clock=1e9),
    "the operator's clock is wrong": WELL.node(N1, clock=1e9, skew=9000.0)
    .node(N2, clock=1e9, skew=9000.0)
    .node(N3, clock=1e9, skew=9000.0),
    "docker28 itself is no fault of the node's": WELL.node(N1, docker_version="28.5.2"),
}


@pytest.mark.parametrize("cluster", RIGHT.values(), ids=RIGHT)
def test_what_is_right_passes(cluster: Cluster) -> None:
    assert {(it.level, it.why) for it in cluster.judged()} == {("pass", "")}


def hostgw(cluster: Cluster) -> Cluster:
    text = '{"Network":"10.16.0.0/16","Backend":{"Type":"host-gw"}}'
    for name in NAMES:
        cluster = cluster.without_link(name, "flannel.1")
        cluster = cluster.lease(name, BackendType="host-gw", BackendData={})
    return replace(cluster, config=replace(CONFIG, text=text))


def udp(cluster: Cluster) -> Cluster:
    """As flannel's code has it: no backend means udp, whose leases name none."""
    for name in NAMES:
        subnet = f"10.16.{THIRD[name]}.0/16"
        cluster = cluster.link(name, "flannel.1", name="flannel0", addresses=(subnet,), mtu=1472)
        cluster = cluster.lease(name, BackendType="", BackendData={})
    return replace(cluster, config=replace(CONFIG, text='{"Network":"10.16.0.0/16"}'))


@pytest.mark.parametrize("changed", [hostgw, udp])
def test_each_backend_is_judged_by_what_it_has(changed: Callable[[Cluster], Cluster]) -> None:
    assert {(it.level, it.why) for it in changed(WELL).judged()} == {("pass", "")}


STEAL = replace(lease(N1, PublicIP="192.168.122.200", BackendData={"VtepMAC": "aa:aa"}))
Case: TypeAlias = tuple[Cluster, set[tuple[str, str]], str]
WRONG: Mapping[str, Case] = {
    "no device": (WELL.without_link(N1, "flannel.1"), {("address", N1)}, "no flannel.1"),
    "device down": (WELL.link(N1, "flannel.1", up=False), {("address", N1)}, "is down"),
    "device bare": (WELL.link(N1, "flannel.1", addresses=()), {("address", N1)}, "no address"),
    "device elsewhere": (
        WELL.link(N1, "flannel.1", addresses=("10.99.1.0/32",)),
        {("address", N1)},
        "outside",
    ),
    "another VNI": (
        replace(WELL, config=replace(CONFIG, text=CONFIG.text.replace('"VNI":1', '"VNI":2'))),
        {("address", name) for name in NAMES},
        "no flannel.2",
    ),
    "another VNI on one node": (
        WELL.link(N1, "flannel.1", vni=5),
        {("address", N1)},
        "flannel.1 has VNI 5, and the network has 1",
    ),
    "another port on one node": (
        WELL.link(N1, "flannel.1", port=4789),
        {("address", N1)},
        "flannel.1 uses 4789/udp, and the network 8472/udp",
    ),
    "docker0 as docker makes it": (
        WELL.link(N1, "docker0", addresses=("172.17.0.1/16",)),
        {("address", N1)},
        "docker has not taken",
    ),
    "docker0 of the whole network": (
        WELL.link(N1, "docker0", addresses=("10.16.29.1/16",)),
        {("address", N1)},
        "docker has not taken",
    ),
    "no docker0": (WELL.without_link(N1, "docker0"), {("address", N1)}, "no docker0"),
    "no subnet.env": (
        WELL.node(N1, subnet_env=None),
        {("address", N1), ("subnet_env", N1)},
        "no /run/flannel/subnet.env",
    ),
    "empty subnet.env": (
        WELL.node(N1, subnet_env={}),
        {("address", N1), ("subnet_env", N1)},
        "no FLANNEL_SUBNET",
    ),
    "subnet of another network": (
        WELL.env(N1, FLANNEL_NETWORK="10.99.0.0/16"),
        {("subnet_env", N1)},
        "FLANNEL_NETWORK is 10.99.0.0/16",
    ),
    "subnet that is not the lease's": (
        WELL.env(N1, FLANNEL_SUBNET="10.16.30.1/24"),
        {("address", N1), ("lease", N1), ("subnet_env", N1)},
        "not in the lease 10.16.29.0/24",
    ),
    "subnet outside": (
        WELL.env(N1, FLANNEL_SUBNET="10.99.29.1/24"),
        {("address", N1), ("lease", N1), ("subnet_env", N1)},
        "outside of the network",
    ),
    "no MTU": (WELL.env(N1, FLANNEL_MTU="x"), {("subnet_env", N1)}, "no FLANNEL_MTU"),
    "MTU above the device's": (
        WELL.env(N1, FLANNEL_MTU="1451"),
        {("subnet_env", N1)},
        "passes 1450",
    ),
    "MTU above the link's": (
        WELL.link(N1, "eth0", mtu=1400),
        {("subnet_env", N1)},
        "leaves 1350",
    ),
    "containers' MTU": (
        WELL.up(N1, pod(N1, mtu=1500)),
        {("subnet_env", N1)},
        "containers get an MTU of 1500",
    ),
    "no lease": (
        replace(WELL, leases=WELL.leases[1:]),
        {("lease", N1)},
        "no lease under /coreos.com/network/subnets in etcd's v2",
    ),
    "no lease at all": (
        replace(WELL, leases=(), config=None),
        {("lease", name) for name in NAMES},
        "this prefix",
    ),
    "lease taken over": (
        replace(WELL, leases=(STEAL, *WELL.leases[1:])),
        {("lease", N1)},
        "not an address of fed-node1's",
    ),
    "VtepMAC of another device": (
        WELL.lease(N1, BackendData={"VtepMAC": "aa:bb:cc:dd:ee:ff"}),
        {("lease", N1)},
        "VtepMAC is aa:bb",
    ),
    "no VtepMAC": (WELL.lease(N1, BackendData=None), {("lease", N1)}, "VtepMAC is missing"),
    "another backend's lease": (
        WELL.lease(N1, BackendType="host-gw"),
        {("lease", N1)},
        "pass it over",
    ),
    "two leases": (
        replace(WELL, leases=(*WELL.leases, replace(lease(N1), key=f"{PREFIX}/10.16.7.0-24"))),
        {("lease", N1)},
        "two leases",
    ),
    "one public address on two": (
        WELL.link(N2, "eth0", addresses=("192.168.122.36/24", "192.168.122.77/24")),
        {("lease", N1)},
        "an address of fed-node2's, too",
    ),
    "flanneld down": (
        WELL.unit(N1, "failed"),
        {("lease", N1)},
        (
            "flanneld does not run on fed-node1 (failed), so nobody renews its lease, which runs "
            "out in 23 h 53 min: `systemctl start flanneld` there"
        ),
    ),
    "flanneld down, and no lease": (
        replace(WELL.unit(N1, "inactive"), leases=WELL.leases[1:]),
        {("lease", N1)},
        "(inactive), so nobody renews its lease: ",
    ),
    "flanneld starts over and over": (
        WELL.unit(N1, "activating"),
        {("lease", N1)},
        "is starting and not ready, so nobody renews its lease, which runs out in 23 h 53 min",
    ),
    "not renewed": (
        WELL.ttl(N1, 1500),
        {("lease", N1)},
        "runs out in 0 h 25 min, and flanneld, which runs on fed-node1, was to renew it 60 min",
    ),
    "not renewed in time of its own": (
        WELL.ttl(N1, 3500).node(
            N1, flanneld_unit="# -subnet-lease-renew-margin=1\n-subnet-lease-renew-margin 120"
        ),
        {("lease", N1)},
        "was to renew it 120 min before",
    ),
    "etcd out of reach from one node": (
        WELL.node(N1, etcd={ENDPOINT: Endpoint(error="curl: (7) Connection refused")}),
        {("lease", N1)},
        (
            "fed-node1 does not reach etcd at http://fed-master:2379 (curl: (7) Connection "
            "refused), so its lease is not renewed: see that etcd runs, and that its port is open; "
            "try `curl http://fed-master:2379/version` on fed-node1"
        ),
    ),
    "a clock ahead": (
        WELL.node(N1, clock=1e9, skew=7260.0).node(N2, clock=1e9).node(N3, clock=1e9),
        {("lease", N1)},
        "the clock of fed-node1 is 2 h 1 min ahead of the others",
    ),
    "a clock behind": (
        WELL.node(N1, clock=1e9, skew=-1860.0).node(N2, clock=1e9).node(N3, clock=1e9),
        {("lease", N1)},
        "0 h 31 min behind the others",
    ),
    "etcd silent": (
        replace(WELL, error="gave no answer within 10 s"),
        {("lease", name) for name in NAMES},
        "could not be read: gave no answer",
    ),
}


@pytest.mark.parametrize(("cluster", "failed", "why"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_fails_there_and_nowhere_else(
    cluster: Cluster, failed: set[tuple[str, str]], why: str
) -> None:
    verdicts = cluster.judged()
    assert {(it.kind, it.host) for it in verdicts if it.level == "fail"} == failed
    assert any(why in it.why for it in verdicts)
    assert not ok(verdicts)


def test_a_flanneld_of_nobodys_is_a_warning() -> None:
    found = WELL.node(N1, units={"docker.service": Unit("loaded", "active")}).judged()
    told = [(it.kind, it.host, it.level) for it in found if it.why]
    assert told == [("lease", N1, "pass")]
    assert ok(found)


def test_a_lease_of_no_known_host_is_told_and_is_no_failure() -> None:
    stray = Value(f"{PREFIX}/10.16.5.0-24", '{"PublicIP":"192.168.122.99"}', 1, 7260)
    odd = Value(f"{PREFIX}/here", "\x1b[2J\nnonsense", 1)
    told = [it for it in replace(WELL, leases=(*WELL.leases, stray, odd)).judged() if it.why]
    assert [(it.kind, it.host, it.level) for it in told] == [("lease", "", "skipped")] * 2
    assert "192.168.122.99 is not a host of the answers" in told[0].why
    assert "2 h 1 min" in told[0].why
    assert told[1].seen.splitlines() == [f"{PREFIX}/here", "nonsense"]
    assert ok(told)


def test_a_node_is_shown_as_the_procedure_shows_it() -> None:
    address, leased, env = WELL.judged()[:3]
    assert address.seen == "inet 127.0.0.1/8 scope host lo"
    assert leased.seen.startswith(f'{PREFIX}/10.16.29.0-24 {{"PublicIP": "192.168.122.77"')
    assert "FLANNEL_SUBNET=10.16.29.1/24" in env.seen.splitlines()


TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["10.16.29.1/32", "0.0.0.0/0", "1450"]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Network", "Backend", "Type", "VNI", "PublicIP"]), inner)
    ),
    max_leaves=8,
)


@given(
    env=st.dictionaries(
        st.sampled_from(["FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_NETWORK"]), TEXTS
    ),
    config=st.one_of(st.text(), JSON.map(json.dumps)),
    held=st.one_of(st.text(), JSON.map(json.dumps)),
)
def test_whatever_is_in_etcd_and_on_a_node_can_be_judged(
    env: dict[str, str], config: str, held: str
) -> None:
    cluster = replace(
        WELL.node(N1, subnet_env=env),
        config=replace(CONFIG, text=config),
        leases=(*WELL.leases[1:], replace(lease(N1), text=held)),
    )
    assert cluster.judged()
    made = matrix(cluster)
    assert len(list(made.verdicts())) == 6
    assert made.sources()
    nodes.stand_in(cluster.facts[N1])
