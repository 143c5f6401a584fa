"""Two nodes as read and measured in; causes in flannel's ways, their sentences and commands out."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fedwiz.diagnose import Diagnosis, causes
from fedwiz.diagnose.trace import HOPS, RECEIVES, SENDS, outer
from fedwiz.diagnose.values import Case, Hop, Look
from fedwiz.facts import Fdb, Link, Neighbour, Route
from fedwiz.model.actions import Run, Value
from fedwiz.verify import Verdict
from fedwiz.verify.nodes import overlay
from tests.support.measured_cluster import (
    ANSWERS,
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

AT = {name: f"10.16.{THIRD[name]}.0" for name in NAMES}
NET = {name: f"{AT[name]}/24" for name in NAMES}
IS = {name: ANSWERS.named(name).address for name in NAMES}


def _unread() -> Cluster:
    """The same, where neighbours and FDB could not be read."""
    cluster = WELL
    for name in NAMES:
        cluster = cluster.node(name, neighbours=None, fdb=None)
    return cluster


def _plain() -> Cluster:
    """The same with plain routes."""
    config = {"Network": "10.16.0.0/16", "Backend": {"Type": "host-gw"}}
    cluster = replace(
        WELL,
        config=Value("/coreos.com/network/config", json.dumps(config), 7),
        leases=tuple(lease(name, BackendType="host-gw", BackendData=None) for name in NAMES),
    )
    for name in NAMES:
        kept = [it for it in cluster.facts[name].routes if it.dev != "flannel.1"]
        routes = (Route(NET[peer], "eth0", IS[peer]) for peer in NAMES if peer != name)
        cluster = cluster.without_link(name, "flannel.1").node(name, routes=(*kept, *routes))
    return cluster


PLAIN = _plain()


def case(
    cluster: Cluster = WELL,
    lost: str = "",
    *,
    pair: tuple[str, str] = (N1, N2),
    **more: Any,
) -> Case:
    """The two nodes; `lost` is like `there wrapping`, empty where all pings come back."""
    known = cluster.known
    net = overlay(ANSWERS, known)
    hops: list[Hop] = []
    left = 3
    for way, one, other in (("there", *pair), ("back", *pair[::-1])):
        for host, names in ((one, SENDS), (other, RECEIVES)):
            for name in names:
                if not outer(net) and HOPS[name][0] == "outer":
                    continue
                left = 0 if f"{way} {name}" == lost else left
                hops.append(Hop(way, host, name, left))  # type: ignore[arg-type]
    return Case(
        ANSWERS, known, net, *pair, cluster.ups, hops=tuple(hops), sent=3, answered=left, **more
    )


def found(it: Case) -> list[Diagnosis]:
    return [each for each in causes(it) if each.cause != "unknown"]


def names(it: Case) -> list[tuple[str, str, bool]]:
    return [(each.cause, each.host, each.explains) for each in found(it)]


def shown(one: Diagnosis) -> tuple[list[str], list[str]]:
    """What is done, and what takes it back."""
    do, back = [], []
    for each in one.fixes:
        assert isinstance(each.do, Run)
        assert each.do.back is not None
        do.append(f"{each.do.brief} {each.do.input()}".strip())
        back.append(f"{each.do.back.brief} {each.do.back.input()}".strip())
    return do, back


def without(host: str, cluster: Cluster = WELL, peer: str = N2, **but: bool) -> Cluster:
    """A node that lacks something of a peer."""
    facts = cluster.facts[host]
    kept: dict[str, Any] = {}
    if but.get("route"):
        kept["routes"] = tuple(it for it in facts.routes if it.to != NET[peer])
    if but.get("neighbour"):
        kept["neighbours"] = tuple(it for it in facts.neighbours or () if it.address != AT[peer])
    if but.get("fdb"):
        kept["fdb"] = tuple(it for it in facts.fdb or () if it.mac != mac(peer))
    return cluster.node(host, **kept)


def plus(host: str, cluster: Cluster = WELL, **more: Any) -> Cluster:
    """A node with one more route, neighbour or entry."""
    facts = cluster.facts[host]
    return cluster.node(host, **{key: (*getattr(facts, key), it) for key, it in more.items()})


@pytest.mark.parametrize("cluster", [_unread(), WELL, PLAIN], ids=["unread", "vxlan", "host-gw"])
def test_nothing_is_named_where_all_is_laid(cluster: Cluster) -> None:
    assert names(case(cluster)) == []
    assert names(case(cluster, pair=(N3, N1))) == []


def test_a_narrower_route_by_flannels_own_way_is_no_fault() -> None:
    same = Route("10.16.83.2/32", "flannel.1", AT[N2])
    assert names(case(plus(N1, routes=same))) == []


def test_one_route_for_all_is_no_fault_of_an_old_flannel() -> None:
    cluster = WELL
    for name in NAMES:
        routes = [it for it in cluster.facts[name].routes if it.dev != "flannel.1"]
        routes.append(Route("10.16.0.0/16", "flannel.1"))
        cluster = cluster.node(
            name, routes=tuple(routes), neighbours=(), fdb=(), flanneld_version="0.7.1"
        )
    assert names(case(cluster)) == []


ROUTE = f"{NET[N2]} via {AT[N2]} dev flannel.1 onlink"
NEIGHBOUR = f"{AT[N2]} lladdr {mac(N2)} dev flannel.1 nud permanent"
FDB = f"{mac(N2)} dev flannel.1 dst {IS[N2]} self permanent"
BACK = f"{mac(N1)} dev flannel.1 dst {IS[N1]} self permanent"
VIA = f"{NET[N2]} via {IS[N2]} dev eth0"
ODD = f"unreachable {NET[N2]} proto static metric 20"
GAPS: Mapping[str, tuple[Cluster, str, str, list[str], list[str]]] = {
    "route": (
        without(N1, route=True),
        "there wrapping",
        "missing-route",
        [f"ip route replace {ROUTE}"],
        [f"ip route delete {ROUTE}"],
    ),
    "route, no default": (
        without(N1, route=True),
        "there routing",
        "missing-route",
        [f"ip route replace {ROUTE}"],
        [f"ip route delete {ROUTE}"],
    ),
    "host-gw": (
        without(N1, PLAIN, route=True),
        "there unwrapping",
        "missing-route",
        [f"ip route replace {VIA}"],
        [f"ip route delete {VIA}"],
    ),
    "an old flannel's route": (
        without(N1, route=True).node(N1, flanneld_version="0.7.1"),
        "there wrapping",
        "missing-route",
        ["ip route replace 10.16.0.0/16 dev flannel.1"],
        ["ip route delete 10.16.0.0/16 dev flannel.1"],
    ),
    "a route by another device": (
        plus(N1, without(N1, route=True), routes=Route(NET[N2], "eth0", "192.168.122.9")),
        "there wrapping",
        "missing-route",
        [f"ip route delete {NET[N2]} via 192.168.122.9 dev eth0", f"ip route replace {ROUTE}"],
        [f"ip route add {NET[N2]} via 192.168.122.9 dev eth0", f"ip route delete {ROUTE}"],
    ),
    "a route of another kind": (
        plus(N1, without(N1, route=True), routes=Route(NET[N2], "")),
        "there routing",
        "missing-route",
        [f"ip route delete {ODD}", f"ip route replace {ROUTE}"],
        [f"ip route add {ODD}", f"ip route delete {ROUTE}"],
    ),
    "a narrower route": (
        plus(N1, routes=Route("10.16.83.2/32", "eth0")),
        "there wrapping",
        "missing-route",
        ["ip route delete 10.16.83.2/32 dev eth0"],
        ["ip route add 10.16.83.2/32 dev eth0"],
    ),
    "neighbour": (
        without(N1, neighbour=True),
        "there wrapping",
        "missing-neighbour",
        [f"ip neighbour replace {NEIGHBOUR}"],
        [f"ip neighbour delete {AT[N2]} dev flannel.1"],
    ),
    "a neighbour that failed": (
        plus(
            N1, without(N1, neighbour=True), neighbours=Neighbour(AT[N2], "flannel.1", "", "FAILED")
        ),
        "there wrapping",
        "missing-neighbour",
        [f"ip neighbour replace {NEIGHBOUR}"],
        [f"ip neighbour delete {AT[N2]} dev flannel.1"],
    ),
    "a neighbour's MAC": (
        plus(
            N1,
            without(N1, neighbour=True),
            neighbours=Neighbour(AT[N2], "flannel.1", "02:00:00:00:00:01", "STALE"),
        ),
        "there unwrapping",
        "missing-neighbour",
        [f"ip neighbour replace {NEIGHBOUR}"],
        [f"ip neighbour replace {AT[N2]} lladdr 02:00:00:00:00:01 dev flannel.1 nud stale"],
    ),
    "fdb": (
        without(N1, fdb=True),
        "there wrapping",
        "missing-fdb",
        [f"bridge fdb replace {FDB}"],
        [f"bridge fdb delete {FDB}"],
    ),
    "an FDB entry's address": (
        plus(N1, without(N1, fdb=True), fdb=Fdb(mac(N2), "192.0.2.7", "flannel.1")),
        "there wrapping",
        "missing-fdb",
        [f"bridge fdb replace {FDB}"],
        [f"bridge fdb replace {mac(N2)} dev flannel.1 dst 192.0.2.7 self permanent"],
    ),
    "all three": (
        without(N1, route=True, neighbour=True, fdb=True),
        "there wrapping",
        "missing-route",
        [
            f"ip route replace {ROUTE}",
            f"ip neighbour replace {NEIGHBOUR}",
            f"bridge fdb replace {FDB}",
        ],
        [
            f"ip route delete {ROUTE}",
            f"ip neighbour delete {AT[N2]} dev flannel.1",
            f"bridge fdb delete {FDB}",
        ],
    ),
}


@pytest.mark.parametrize("gap", GAPS)
def test_a_way_that_is_not_there_is_named_and_laid_again(gap: str) -> None:
    cluster, lost, cause, do, back = GAPS[gap]
    looks = {N1: Look(routes=("default via 192.168.122.1 dev eth0", f"{ODD} linkdown"))}
    it = case(cluster, lost, looks=looks)
    assert names(it) == [(cause, N1, True)]
    (one,) = found(it)
    assert shown(one) == (do, back)
    assert all(f"`{each}`" in one.remedy for each in do)
    hop = lost.partition(" ")[2]
    assert f"none to `{hop}` of {N2 if hop in RECEIVES else N1}" in one.seen


@pytest.mark.parametrize("gap", GAPS)
def test_such_a_way_does_not_explain_what_is_lost_elsewhere(gap: str) -> None:
    cluster, _, cause, _, _ = GAPS[gap]
    for lost in ("there container", "there forwarding-in", "back wrapping"):
        assert names(case(cluster, lost)) == [(cause, N1, False)]


def test_what_the_answer_lacks_is_named_too() -> None:
    it = case(without(N2, peer=N1, fdb=True), "back wrapping")
    assert names(it) == [("missing-fdb", N2, True)]
    assert shown(found(it)[0])[0] == [f"bridge fdb replace {BACK}"]
    assert f"3 answers came to `forwarding` of {N2}" in found(it)[0].seen


def test_a_strict_filter_drops_what_has_no_way_back() -> None:
    cluster = without(N2, peer=N1, route=True)
    strict = {N2: Look(rp_filter={"all": 0, "flannel.1": 1})}
    assert names(case(cluster, "there routing-in", looks=strict)) == [("missing-route", N2, True)]
    assert names(case(cluster, "there routing-in")) == [("missing-route", N2, False)]


def test_a_flannel_that_loses_events_is_named() -> None:
    gone = without(N1, route=True, neighbour=True, fdb=True)
    cluster = gone.node(N1, flanneld_version="v0.20.2")
    (one,) = found(case(cluster, "there wrapping"))
    assert "0.20.2 loses events" in one.remedy


def test_no_way_is_judged_where_flannel_is_not_at_work() -> None:
    gone = WELL.without_link(N1, "flannel.1").node(N1, routes=(), neighbours=(), fdb=())
    assert names(case(gone, "there wrapping")) == []
    no_lease = replace(without(N1, route=True), leases=())
    told = names(case(no_lease, "there wrapping"))
    assert [name for name, _, _ in told if name != "lease-missing"] == []
    others = replace(without(N1, route=True), leases=(lease(N1), lease(N2, BackendType="udp")))
    assert names(case(others, "there wrapping")) == []


def test_plain_routes_need_one_link() -> None:
    cluster = without(N1, PLAIN, route=True)
    links = (replace(it, addresses=("192.168.122.77/32",)) for it in cluster.facts[N1].links[1:2])
    (one,) = found(case(cluster.node(N1, links=tuple(links)), "there routing"))
    assert (one.cause, one.fixes) == ("missing-route", ())
    assert f"put {N1} and {N2} on one link" in one.remedy


OTHER = "02:00:00:00:00:07"


def batch(own: str, *peers: str) -> str:
    lines = [f"link set dev flannel.1 address {own}"]
    lines += (
        f"neighbour replace {AT[it]} lladdr {mac(it)} dev flannel.1 nud permanent" for it in peers
    )
    return f"ip -batch - {chr(10).join(lines)}"


def test_another_mac_than_the_lease_has() -> None:
    """The kernel has forgotten the neighbours with the MAC; they come back with it."""
    cluster = WELL.node(N2, neighbours=()).link(N2, "flannel.1", mac=OTHER)
    for lost in ("there unwrapping", "back wrapping"):
        it = case(cluster, lost)
        assert names(it) == [("stale-vtep-mac", N2, True)]
        assert shown(found(it)[0]) == ([batch(mac(N2), N1, N3)], [batch(OTHER)])
        assert "50-flannel.link" in found(it)[0].remedy
    assert names(case(cluster, "there arriving")) == [("stale-vtep-mac", N2, False)]


def test_another_mac_with_the_neighbours_written_after_it() -> None:
    it = case(WELL.link(N2, "flannel.1", mac=OTHER), "there unwrapping")
    assert names(it) == [("stale-vtep-mac", N2, True)]
    assert shown(found(it)[0])[1] == [batch(OTHER, N1, N3)]


def test_a_lease_that_nobody_goes_by() -> None:
    """All have the device's MAC, so the lease alone is wrong: it is written anew."""
    old = tuple(lease(it, BackendData={"VtepMAC": OTHER if it == N2 else mac(it)}) for it in NAMES)
    it = case(replace(WELL, leases=old))
    assert names(it) == [("stale-vtep-mac", N2, False)]
    assert (found(it)[0].fixes, "disable flanneld" in found(it)[0].remedy) == ((), True)


def test_another_vni() -> None:
    cluster = WELL.link(N2, "flannel.1", vni=7, name="flannel.7")
    for field in ("routes", "neighbours", "fdb"):
        moved = tuple(
            replace(it, dev="flannel.7") if it.dev == "flannel.1" else it
            for it in getattr(cluster.facts[N2], field)
        )
        cluster = cluster.node(N2, **{field: moved})
    for lost in ("there unwrapping", "there firewall", "back wrapping", "back unwrapping"):
        it = case(cluster, lost)
        assert names(it) == [("other-vni", N2, True)]
        assert shown(found(it)[0]) == (
            ["sh vtep.sh flannel.7 flannel.1 1 8472 again"],
            ["sh vtep.sh flannel.1 flannel.7 7 8472"],
        )
    assert names(case(cluster, "there arriving")) == [("other-vni", N2, False)]
    left = plus(
        N2, cluster, links=Link("flannel.1", OTHER, 1450, True, (f"{AT[N2]}/32",), "vxlan", 1)
    )
    (one,) = found(case(left, "there unwrapping"))
    assert (one.cause, one.fixes) == ("other-vni", ())
    assert "disable flanneld" in one.remedy


def test_another_port() -> None:
    cluster = WELL.link(N1, "flannel.1", port=4789)
    it = case(cluster, "there wrapping")
    assert names(it) == [("other-port", N1, True)]
    assert shown(found(it)[0]) == (
        ["sh vtep.sh flannel.1 flannel.1 1 8472 again"],
        ["sh vtep.sh flannel.1 flannel.1 1 4789"],
    )
    assert "UDP port 4789, and the network 8472" in found(it)[0].why


def test_two_that_were_made_before_a_change_still_talk() -> None:
    it = case(WELL.link(N1, "flannel.1", port=4789).link(N2, "flannel.1", port=4789))
    assert names(it) == [("other-port", N1, False), ("other-port", N2, False)]
    assert [each.fixes for each in found(it)] == [(), ()]


def narrow(seen: str = "1350 of 1450 bytes; underlay 1400 of 1500") -> tuple[Verdict, ...]:
    return tuple(Verdict("mtu", *pair, "fail", seen, "?") for pair in ((N1, N2), (N2, N1)))


def test_an_interface_that_passes_less_than_flannel_was_set_up_for() -> None:
    it = case(WELL.link(N2, "eth0", mtu=1400), verdicts=narrow())
    assert names(it) == [("mtu", N2, True)]
    (one,) = found(it)
    assert shown(one) == (["ip link set dev eth0 mtu 1500"], ["ip link set dev eth0 mtu 1400"])
    assert "1350 of 1450 bytes between containers, 1400 of 1500 between the nodes" in one.seen
    assert names(case(WELL.link(N2, "eth0", mtu=1400), "there wrapping")) == [("mtu", N2, False)]
    assert names(case(WELL.link(N2, "eth0", mtu=9000))) == []


def test_flannels_own_device_that_passes_less() -> None:
    it = case(
        WELL.link(N1, "flannel.1", mtu=1400),
        verdicts=narrow("1400 of 1450 bytes; underlay not known"),
    )
    assert names(it) == [("mtu", N1, True)]
    assert shown(found(it)[0])[0] == ["ip link set dev flannel.1 mtu 1450"]


def test_the_side_that_others_do_not_get_large_packets_through_is_named() -> None:
    third = IS[N3]
    it = case(verdicts=narrow(), underlay={N1: {third: 1500}, N2: {third: 1400}})
    assert names(it) == [("mtu", N2, True)]
    (one,) = found(it)
    assert shown(one) == (
        ["sh mtu.sh eth0 1400 flannel.1 1350 -- 10.16.0.0/16 45"],
        ["sh mtu.sh eth0 1500 flannel.1 1450 -- 10.16.0.0/16 45"],
    )
    docker = ANSWERS.docker.model_copy(update={"ready_within": 600})
    slow = replace(it, answers=ANSWERS.model_copy(update={"docker": docker}))
    do = found(slow)[0].fixes[0].do
    assert isinstance(do, Run)
    assert do.argv[-1] == "600"
    assert do.timeout > 600
    assert all(isinstance(each.do, Run) and each.do.interrupts for each in one.fixes)
    assert f"from {N2} to {third} cross 1400 of 1500 bytes" in one.seen


@pytest.mark.parametrize(
    "beyond",
    [
        {},
        {N1: {IS[N3]: 1400}, N2: {IS[N3]: 1400}},
        {N1: {IS[N3]: 0}},
    ],
)
def test_what_is_between_all_is_for_people_to_mend(beyond: dict[str, dict[str, int]]) -> None:
    (one,) = found(case(verdicts=narrow(), underlay=beyond))
    assert (one.cause, one.fixes, one.explains) == ("mtu", (), True)
    assert "an MTU of 1500" in one.remedy
