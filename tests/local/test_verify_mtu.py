"""How large packets must be that cross between two nodes, and what is said where they do not."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from fedwiz.facts import Route
from fedwiz.verify import Verdict, leases, ok, pods
from fedwiz.verify.mtu import Crossed, Sizes, read
from fedwiz.verify.values import Path as Way
from fedwiz.verify.values import Ping, Pod
from tests.support.measured_cluster import (
    ANSWERS,
    CONFIG,
    N1,
    N2,
    N3,
    NAMES,
    WELL,
    Cluster,
    matrix,
    pod,
)
from tests.support.patience import GIVE_UP

PAIRS = [(one, other) for one in NAMES for other in NAMES if one != other]


def sizes(cluster: Cluster = WELL, *, told: bool = True, **more: Any) -> Sizes:
    """All that was to cross did."""
    made = Sizes(matrix(cluster, **more), leases.leases_of(ANSWERS, cluster.known), told)
    crossed = {
        name: {each.pod: each.size for each in made.paths(name)}
        | {each.public: each.need for each in made.paths(name) if each.public}
        for name in NAMES
    }
    return replace(made, crossed=crossed)


def but(made: Sizes, **crossed: int) -> Sizes:
    """But from the first node to the second: `pod` or `public` bytes did."""
    at = {"pod": "10.16.83.2", "public": "192.168.122.36"}
    less = {at[what]: size for what, size in crossed.items()}
    return replace(made, crossed={**made.crossed, N1: {**made.crossed[N1], **less}})


def judged(made: Sizes) -> dict[tuple[str, str], Verdict]:
    return {pair: made.judge(*pair) for pair in PAIRS}


def test_packets_of_full_size_are_sent_and_what_the_backend_makes_of_them() -> None:
    made = sizes()
    assert made.source(N1) == "192.168.122.77"
    assert made.paths(N1) == (
        Way("10.16.83.2", 1450, "192.168.122.36", 1500),
        Way("10.16.90.2", 1450, "192.168.122.127", 1500),
    )


def config(backend: str) -> Cluster:
    text = f'{{"Network":"10.16.0.0/16","Backend":{{{backend}}}}}'
    return replace(WELL, config=replace(CONFIG, text=text))


DIRECT = Route("10.16.83.0/24", "eth0", "192.168.122.36")
NEEDS: Mapping[str, tuple[Cluster, tuple[str, int]]] = {
    "vxlan": (WELL, ("192.168.122.36", 1500)),
    "the smaller end": (WELL.up(N2, pod(N2, mtu=1350)), ("192.168.122.36", 1400)),
    "straight": (WELL.node(N1, routes=(DIRECT,)), ("192.168.122.36", 1450)),
    "wireguard over IPv4": (config('"Type":"wireguard"'), ("192.168.122.36", 1510)),
    "flannel moves nothing": (config('"Type":"alloc"'), ("", 0)),
    "not known": (config('"Type":"extension"'), ("", 0)),
    "no lease": (replace(WELL, leases=(WELL.leases[0], WELL.leases[2])), ("", 0)),
    "behind a NAT": (WELL.lease(N1, PublicIP="203.0.113.7"), ("", 0)),
}


@pytest.mark.parametrize(("cluster", "need"), NEEDS.values(), ids=NEEDS)
def test_what_the_way_between_nodes_must_carry(cluster: Cluster, need: tuple[str, int]) -> None:
    if "wireguard" in str(cluster.config):
        cluster = cluster.node(N1, routes=(Route("10.16.83.0/24", "flannel-wg"),))
    first = sizes(cluster).paths(N1)[0]
    assert (first.public, first.need) == need


def test_what_crosses_whole_passes() -> None:
    found = judged(sizes())
    assert {(it.level, it.why) for it in found.values()} == {("pass", "")}
    assert {it.seen for it in found.values()} == {"1450 of 1450 bytes; underlay 1500 of 1500"}


NARROW = (
    "packets of 1500 bytes, as vxlan makes them of 1450, do not cross from fed-node1 to fed-node2 "
    "whole, and those of {} do{}: give every interface on the way an MTU of 1500, or set "
    "`backend.mtu` to {}"
)
CUT = (
    "packets of 1450 bytes do not cross between containers from fed-node1 to fed-node2, and those "
    "of 1354 do{}: {}"
)
SMALL_ETH0 = WELL.link(N2, "eth0", mtu=1400)
WRONG: Mapping[str, tuple[Sizes, str, str]] = {
    "a narrow router": (
        but(sizes(), pod=1350, public=1400),
        "1350 of 1450 bytes; underlay 1400 of 1500",
        NARROW.format(1400, "", 1400),
    ),
    "outer packets in fragments": (
        but(sizes(), public=1480),
        "1450 of 1450 bytes; underlay 1480 of 1500",
        NARROW.format(1480, "", 1480),
    ),
    "an interface": (
        but(sizes(SMALL_ETH0), pod=1354, public=1404),
        "1354 of 1450 bytes; underlay 1404 of 1500",
        NARROW.format(1404, " (eth0 of fed-node2 passes 1400)", 1400),
    ),
    "flannel's device": (
        but(sizes(WELL.link(N1, "flannel.1", mtu=1354)), pod=1354),
        "1354 of 1450 bytes; underlay 1500 of 1500",
        CUT.format(
            " (flannel.1 of fed-node1 passes 1354)",
            "`systemctl restart flanneld` there, then docker",
        ),
    ),
    "ICMP is blocked between the nodes": (
        but(sizes(), pod=1354, public=0),
        "1354 of 1450 bytes; underlay not known",
        CUT.format("", "give every interface on the way an MTU of 1500"),
    ),
    "nothing of flannel's on the way": (
        but(sizes(config('"Type":"alloc"')), pod=1354),
        "1354 of 1450 bytes",
        CUT.format("", "give every interface on the way an MTU of 1450"),
    ),
    "straight": (
        but(sizes(WELL.node(N1, routes=(DIRECT,))), pod=1354, public=1354),
        "1354 of 1450 bytes; underlay 1354 of 1450",
        (
            "packets of 1450 bytes do not cross from fed-node1 to fed-node2 whole, and those of "
            "1354 do: give every interface on the way an MTU of 1450"
        ),
    ),
}


@pytest.mark.parametrize(("made", "seen", "why"), WRONG.values(), ids=WRONG)
def test_what_does_not_cross_whole_fails(made: Sizes, seen: str, why: str) -> None:
    found = judged(made)
    assert [pair for pair, it in found.items() if it.level != "pass"] == [(N1, N2)]
    assert found[N1, N2] == Verdict("mtu", N1, N2, "fail", seen, why)
    assert not ok(found.values())


def test_an_underlay_that_answers_no_ping_is_no_failure() -> None:
    it = judged(but(sizes(), public=0))[N1, N2]
    assert (it.level, it.why) == ("pass", "")
    assert it.seen == "1450 of 1450 bytes; underlay not known"


def test_two_sizes_are_a_warning() -> None:
    found = judged(sizes(WELL.up(N2, pod(N2, mtu=1350))))
    assert {it.level for it in found.values()} == {"pass"}
    assert found[N1, N2].seen == "1350 of 1350 bytes; underlay 1400 of 1400"
    assert "have an MTU of 1450, and those on fed-node2 of 1350" in found[N1, N2].why
    assert not found[N1, N3].why


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ("1350 of 1450 bytes; underlay 1400 of 1500", Crossed(1350, 1450, 1400, 1500)),
        ("1450 of 1450 bytes; underlay not known", Crossed(1450, 1450, 0, 0)),
        ("1450 of 1450 bytes", Crossed(1450, 1450, 0, 0)),
        ("", None),
        ("123456 of 1450 bytes", None),
    ],
)
def test_what_a_verdict_shows_is_read_again(seen: str, said: Crossed | None) -> None:
    assert read(seen) == said
    assert said is None or str(said).startswith(seen)


LOST: dict[str, Mapping[str, Ping | None]] = {
    **matrix().pings,
    N1: {"10.16.83.2": Ping(3, 0), "10.16.90.2": Ping(3, 3, "1/1/1")},
}


def test_a_pair_that_does_not_ping_is_skipped_and_its_ping_tells_why() -> None:
    it = judged(sizes(pings=LOST))[N1, N2]
    assert (it.level, it.why) == (
        "skipped",
        "fed-node1 does not ping fed-node2, so there is nothing to measure",
    )
    assert ok([it])


def test_where_no_ping_is_judged_the_size_itself_fails() -> None:
    it = judged(sizes(told=False, pings=LOST))[N1, N2]
    assert it.level == "fail"
    assert "3 of 3 pings lost" in it.why


def test_a_ping_that_can_not_forbid_fragments_is_no_failure() -> None:
    made = replace(sizes(), crossed={}, failed=dict.fromkeys(NAMES, ("skipped", "no iputils")))
    found = judged(made)
    assert {(it.level, it.why) for it in found.values()} == {("skipped", "no iputils")}
    assert ok(found.values())


# The script itself, with a ping that passes what it is told to.

PING = """#!/bin/sh
[ "$1" != -V ] || { echo "ping from iputils 20240905"; exit; }
from=pod; [ "$1" != -I ] || { from=$2; shift 2; }
while [ $# -gt 1 ]; do [ "$1" != -s ] || size=$(($2 + 28)); shift; done
echo "$from $1 $size" >>"$LOG"
passes=$(sed -n "s/^$1 //p" "$WAYS")
if [ "$size" -le "${passes%% *}" ]; then echo "$size bytes from $1: icmp_seq=1"; exit; fi
case $passes in *' '*) echo "ping: local error: message too long, mtu=${passes##* }" ;; esac
exit 1
"""


def measured(folder: Path, ways: str, paths: tuple[Way, ...]) -> tuple[dict[str, int], list[str]]:
    """What the script finds where ways pass so many bytes, and the sizes that it tried."""
    tools = {"ping": PING, "nsenter": '#!/bin/sh\nshift 3; exec "$@"\n'}
    for name, text in tools.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "ways").write_text(ways)
    netns = str(Path("/proc/self/ns/net").readlink())
    made = Pod(os.getpid(), netns, IPv4Address("10.16.29.2"), 1450)
    env = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "LOG": f"{folder}/log",
        "WAYS": f"{folder}/ways",
    }
    said = subprocess.run(
        pods.sizes(made, "192.0.2.1", paths).argv,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=GIVE_UP,
    )
    tried = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return pods.read_sizes(said.stdout, paths), tried


BOTH = (Way("10.16.83.2", 1450, "192.0.2.2", 1500),)
FOUND = {
    "all of it": ("10.16.83.2 1450\n192.0.2.2 1500\n", (1450, 1500)),
    "the kernel says it": ("10.16.83.2 1350 1350\n192.0.2.2 1400 1400\n", (1350, 1400)),
    "nobody says it": ("10.16.83.2 1354\n192.0.2.2 1404\n", (1354, 1404)),
    "the kernel is wrong": ("10.16.83.2 1300 1400\n192.0.2.2 1500 9000\n", (1300, 1500)),
    "one byte less": ("10.16.83.2 1449\n192.0.2.2 84\n", (1449, 84)),
    "no answer": ("10.16.83.2 1450\n192.0.2.2 0\n", (1450, 0)),
}


@pytest.mark.parametrize(("ways", "sizes"), FOUND.values(), ids=FOUND)
def test_the_largest_packet_is_found(tmp_path: Path, ways: str, sizes: tuple[int, int]) -> None:
    found, tried = measured(tmp_path, ways, BOTH)
    assert (found["10.16.83.2"], found["192.0.2.2"]) == sizes
    assert len(tried) <= 2 * 13
    assert all(line.startswith(("pod 10.16.83.2 ", "192.0.2.1 192.0.2.2 ")) for line in tried)


def test_where_all_crosses_each_way_is_tried_once(tmp_path: Path) -> None:
    _, tried = measured(tmp_path, "10.16.83.2 1450\n192.0.2.2 1500\n", BOTH)
    assert sorted(tried) == ["192.0.2.1 192.0.2.2 1500", "pod 10.16.83.2 1450"]


def test_where_the_kernel_tells_little_is_tried(tmp_path: Path) -> None:
    _, tried = measured(tmp_path, "10.16.83.2 1350 1350\n", (Way("10.16.83.2", 1450, "", 0),))
    assert tried == ["pod 10.16.83.2 1450", "pod 10.16.83.2 84", "pod 10.16.83.2 1350"]
