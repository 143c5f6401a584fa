"""What each node knows of the ways to the others: its routes, neighbours and FDB entries."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from fedwiz.facts import Fdb, Neighbour, Route
from fedwiz.verify import Verdict, ok
from tests.support.measured_cluster import (
    ANSWERS,
    CONFIG,
    N1,
    N2,
    N3,
    NAMES,
    THIRD,
    WELL,
    Cluster,
    lease,
    mac,
)

PAIRS = [(one, other) for one in NAMES for other in NAMES if one != other]
HOME = (Route("default", "eth0", "192.168.122.1"), Route("192.168.122.0/24", "eth0"))


def judged(cluster: Cluster) -> dict[tuple[str, str], Verdict]:
    ways = cluster.peer_routes()
    return {pair: ways.judge(*pair) for pair in PAIRS}


def subnet(name: str) -> str:
    return f"10.16.{THIRD[name]}.0/24"


def at(name: str) -> str:
    return ANSWERS.named(name).address


def backend(
    text: str, way: Callable[[str], Route | None], *, kind: str = "", cluster: Cluster = WELL
) -> Cluster:
    """A cluster of that backend, whose nodes have these routes to their peers, and no entries."""
    for name in NAMES:
        routes = {route for peer in NAMES if peer != name and (route := way(peer))}
        own = Route(subnet(name), "docker0")
        cluster = cluster.node(name, routes=(*HOME, own, *routes), neighbours=(), fdb=())
        cluster = cluster.lease(name, BackendType=kind, BackendData={})
    return replace(cluster, config=replace(CONFIG, text=text))


def config(backend: str) -> str:
    return f'{{"Network":"10.16.0.0/16","Backend":{{{backend}}}}}'


DIRECT = config('"Type":"vxlan","DirectRouting":true')
RIGHT: Mapping[str, Cluster] = {
    "vxlan": WELL,
    "flannel 0.7: one route, and what is missed is asked for": backend(
        CONFIG.text, lambda _: Route("10.16.0.0/16", "flannel.1"), kind="vxlan"
    ),
    "vxlan, straight to those on one link": backend(
        DIRECT, lambda peer: Route(subnet(peer), "eth0", at(peer)), kind="vxlan"
    ),
    "vxlan, wrapped all the same": replace(WELL, config=replace(CONFIG, text=DIRECT)),
    "host-gw": backend(
        config('"Type":"host-gw"'),
        lambda peer: Route(subnet(peer), "eth0", at(peer)),
        kind="host-gw",
    ),
    "udp": backend(config('"Type":"udp"'), lambda _: Route("10.16.0.0/16", "flannel0")),
    "wireguard": backend(
        config('"Type":"wireguard"'),
        lambda peer: Route(subnet(peer), "flannel-wg"),
        kind="wireguard",
    ),
    "ipip": backend(
        config('"Type":"ipip"'),
        lambda peer: Route(subnet(peer), "flannel.ipip", at(peer)),
        kind="ipip",
    ),
    "ipip, straight": backend(
        config('"Type":"ipip","DirectRouting":true'),
        lambda peer: Route(subnet(peer), "eth0", at(peer)),
        kind="ipip",
    ),
    "entries of others": WELL.node(
        N1,
        neighbours=(
            *(WELL.facts[N1].neighbours or ()),
            Neighbour("10.16.7.0", "flannel.1", "", "FAILED"),
        ),
        fdb=(
            *(WELL.facts[N1].fdb or ()),
            Fdb("00:00:00:00:00:00", "239.1.1.1", "flannel.1"),
            Fdb(mac(N2), "192.168.122.200", "flannel.9"),
        ),
    ),
    "a lease of a stranger's": replace(
        WELL, leases=(*WELL.leases, replace(lease(N1, PublicIP="192.0.2.9"), key="/s/10.16.5.0-24"))
    ),
    "MAC in capitals": WELL.lease(N2, BackendData={"VtepMAC": mac(N2).upper()}),
}


@pytest.mark.parametrize("cluster", RIGHT.values(), ids=RIGHT)
def test_a_way_as_the_backend_makes_it_passes(cluster: Cluster) -> None:
    assert {(it.level, it.why) for it in judged(cluster).values()} == {("pass", "")}


def test_a_way_is_shown_as_the_node_has_it() -> None:
    assert judged(WELL)[N1, N2].seen.splitlines() == [
        "10.16.83.0/24 via 10.16.83.0 dev flannel.1",
        f"10.16.83.0 lladdr {mac(N2)} PERMANENT",
        f"{mac(N2)} dst 192.168.122.36",
    ]


def with_routes(*routes: Route) -> Cluster:
    """Its first node has these routes to the second, and is right about the third."""
    return WELL.node(N1, routes=(*HOME, *routes, Route(subnet(N3), "flannel.1", "10.16.90.0")))


def entries(*, met: str = mac(N2), sent: tuple[str, ...] = ("192.168.122.36",)) -> Cluster:
    """Its first node has these entries for the second."""
    told = WELL.facts[N1]
    return WELL.node(
        N1,
        neighbours=(
            *(Neighbour("10.16.83.0", "flannel.1", met, "PERMANENT") for _ in range(bool(met))),
            *(each for each in told.neighbours or () if each.address != "10.16.83.0"),
        ),
        fdb=(
            *(Fdb(mac(N2), dst, "flannel.1") for dst in sent),
            *(each for each in told.fdb or () if each.mac != mac(N2)),
        ),
    )


THERE = Route(subnet(N2), "flannel.1", "10.16.83.0")
WRONG: Mapping[str, tuple[Cluster, str]] = {
    "no route": (
        with_routes(),
        "fed-node1 has no route to 10.16.83.0/24 on fed-node2: `systemctl restart flanneld` there",
    ),
    "a route of the whole network elsewhere": (
        with_routes(Route("10.16.0.0/16", "docker0")),
        "no route to 10.16.83.0/24 on fed-node2, and `10.16.0.0/16 dev docker0` has it",
    ),
    "two routes": (
        with_routes(THERE, Route(subnet(N2), "eth0", "192.168.122.36")),
        (
            "has 2 routes to 10.16.83.0/24 on fed-node2, `10.16.83.0/24 via 10.16.83.0 dev "
            "flannel.1` and `10.16.83.0/24 via 192.168.122.36 dev eth0`, and takes one of them: "
            "`ip route delete 10.16.83.0/24 via 192.168.122.36 dev eth0` there"
        ),
    ),
    "as host-gw left it": (
        with_routes(Route(subnet(N2), "eth0", "192.168.122.36")),
        (
            "sends what is for 10.16.83.0/24 on fed-node2 by `10.16.83.0/24 via 192.168.122.36 "
            "dev eth0`, and vxlan by `via 10.16.83.0 dev flannel.1`: `ip route delete "
            "10.16.83.0/24 via 192.168.122.36 dev eth0` there, then `systemctl restart flanneld`"
        ),
    ),
    "by an old device": (
        with_routes(Route(subnet(N2), "flannel.2", "10.16.83.0")),
        "dev flannel.2`, and",
    ),
    "by another gateway": (
        with_routes(Route(subnet(N2), "flannel.1", "10.16.7.0")),
        "via 10.16.7.0",
    ),
    "a name that a shell would obey": (
        with_routes(Route(subnet(N2), "a;reboot", "10.16.83.0")),
        "`ip route delete 10.16.83.0/24 via 10.16.83.0 dev 'a;reboot'` there",
    ),
    "no neighbour": (
        entries(met=""),
        (
            "fed-node1 has no entry of flannel.1 that tells the MAC of 10.16.83.0 on fed-node2, "
            f"which is {mac(N2)}: `systemctl restart flanneld` there"
        ),
    ),
    "another MAC": (
        entries(met="02:00:00:00:00:01"),
        f"takes 02:00:00:00:00:01 for the MAC of 10.16.83.0 on fed-node2, which is {mac(N2)}: `s",
    ),
    "no FDB entry": (
        entries(sent=()),
        (
            f"fed-node1 has no FDB entry of flannel.1 for what is for {mac(N2)} of fed-node2, "
            "which is at 192.168.122.36: `systemctl restart flanneld` there"
        ),
    ),
    "another node's address": (
        entries(sent=("192.168.122.127",)),
        f"sends to 192.168.122.127 what is for {mac(N2)} of fed-node2, which is at 192.168.122.36",
    ),
}


@pytest.mark.parametrize(("cluster", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_way_fails_for_that_peer_alone(cluster: Cluster, why: str) -> None:
    found = judged(cluster)
    assert [pair for pair, it in found.items() if it.level != "pass"] == [(N1, N2)]
    assert found[N1, N2].level == "fail"
    assert why in found[N1, N2].why
    assert not ok(found.values())


ALL = {
    "host-gw by another node": (
        backend(
            config('"Type":"host-gw"'),
            lambda peer: Route(subnet(peer), "eth0", "192.168.122.1"),
            kind="host-gw",
        ),
        "and host-gw by `via 192.168.122.",
    ),
    "udp without its route": (backend(config('"Type":"udp"'), lambda _: None), "has no route to"),
    "wireguard by a card": (
        backend(
            config('"Type":"wireguard"'),
            lambda peer: Route(subnet(peer), "eth0", at(peer)),
            kind="wireguard",
        ),
        "and wireguard by `dev flannel-wg`",
    ),
    "direct routes by nobody": (
        backend(DIRECT, lambda peer: Route(subnet(peer), "eth0", "192.168.122.1"), kind="vxlan"),
        "or on one link `via 192.168.122.",
    ),
    "another backend's leases": (
        backend(CONFIG.text, lambda peer: Route(subnet(peer), "eth0", at(peer)), kind="host-gw"),
        "lease is for host-gw, and the network is vxlan",
    ),
    "no leases": (replace(WELL, leases=()), "has no lease, so fed-node"),
    "etcd silent": (replace(WELL, error="gave no answer"), "etcd could not be read"),
    "no VtepMAC": (
        replace(WELL, leases=tuple(lease(name, BackendData={}) for name in NAMES)),
        "lease has no VtepMAC",
    ),
    "one subnet for all": (
        replace(
            WELL,
            facts={
                name: replace(it, subnet_env={"FLANNEL_SUBNET": "10.16.1.1/16"})
                for name, it in WELL.facts.items()
            },
        ),
        "has 10.16.0.0/16 itself, and fed-node",
    ),
}


@pytest.mark.parametrize(("cluster", "why"), ALL.values(), ids=ALL)
def test_what_is_wrong_everywhere_fails_everywhere(cluster: Cluster, why: str) -> None:
    found = judged(cluster).values()
    assert {it.level for it in found} == {"fail"}
    assert all(why in it.why for it in found)


DOUBTS = {
    "two places for a MAC": (
        entries(sent=("192.168.122.36", "192.168.122.127")),
        "has 2 FDB entries of flannel.1",
    ),
    "neighbours not read": (WELL.node(N1, neighbours=None), "see `ip neigh` on fed-node1"),
    "FDB not read": (WELL.node(N1, fdb=None), "see `bridge fdb show` on fed-node1"),
}


@pytest.mark.parametrize(("cluster", "why"), DOUBTS.values(), ids=DOUBTS)
def test_what_is_in_doubt_is_a_warning(cluster: Cluster, why: str) -> None:
    it = judged(cluster)[N1, N2]
    assert it.level == "pass"
    assert why in it.why


def test_a_node_that_could_not_be_asked_fails_and_the_others_know_the_way_to_it() -> None:
    gone = replace(WELL, facts={name: WELL.facts[name] for name in (N1, N2)})
    made = gone.peer_routes(**{N3: "no route to host"})
    assert made.judge(N3, N1).why == "fed-node3 could not be reached: no route to host"
    assert made.judge(N3, N1).level == "fail"
    assert (made.judge(N1, N3).level, made.judge(N1, N3).why) == ("pass", "")


@pytest.mark.parametrize("kind", ["alloc", "extension", ""])
def test_a_backend_that_writes_no_ways_is_skipped(kind: str) -> None:
    cluster = replace(WELL, config=replace(CONFIG, text=config(f'"Type":"{kind}"')))
    found = judged(cluster).values()
    assert {it.level for it in found} == {"skipped"}
    assert all("is not known to write ways" in it.why for it in found)
    assert ok(found)
