"""Which pairs of nodes are called right, and the whole over sessions that answer as nodes do."""

import shlex
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from fedwiz.facts import File, Route
from fedwiz.model.actions import Channel, OnLine, Reply, Run, Session, UnreachableError
from fedwiz.model.events import Event, Verified
from fedwiz.verify import KINDS, Verdict, ok, pods, verify
from fedwiz.verify.matrix import PairMatrix
from fedwiz.verify.values import Ping, Up
from tests.support.measured_cluster import (
    ANSWERS,
    IPUTILS,
    LINKS,
    N1,
    N2,
    N3,
    NAMES,
    THIRD,
    WELL,
    Cluster,
    b64,
    facts,
    matrix,
    pod,
    up_said,
)


def by_pair(made: PairMatrix) -> dict[tuple[str, str], Verdict]:
    return {(it.host, it.peer): it for it in made.verdicts()}


def test_every_ordered_pair_is_judged() -> None:
    found = by_pair(matrix())
    assert set(found) == {(a, b) for a in NAMES for b in NAMES if a != b}
    assert found[N1, N2] == Verdict(
        "ping", N1, N2, "pass", "3/3, 0.31/0.35/0.42 ms, seen as 10.16.29.2"
    )
    assert ok(found.values())


def lossy(received: int, note: str = "") -> dict[str, Mapping[str, Ping | None]]:
    bad = Ping(3, received, "", note)
    return {**matrix().pings, N1: {"10.16.83.2": bad, "10.16.90.2": Ping(3, 3, "1/1/1")}}


@pytest.mark.parametrize("received", [0, 1, 2])
def test_any_loss_fails(received: int) -> None:
    found = by_pair(matrix(pings=lossy(received, "From 10.16.29.1 Destination Host Unreachable")))
    assert [pair for pair, it in found.items() if it.level == "fail"] == [(N1, N2)]
    share = {0: "", 1: ", 67 % lost", 2: ", 33 % lost"}[received]
    assert (
        found[N1, N2].seen == f"{received}/3{share}, From 10.16.29.1 Destination Host Unreachable"
    )
    assert f"{3 - received} of 3 pings lost" in found[N1, N2].why
    assert ("it loses packets" in found[N1, N2].why) == bool(received)


DIRECT = File('{"allow-direct-routing": true}', 0o644)
LIKELY: Mapping[str, tuple[Cluster, str]] = {
    "forwarding off": (
        WELL.node(N2, sysctls={"net.ipv4.ip_forward": "0"}),
        "fed-node2 forwards nothing",
    ),
    "no route": (
        WELL.node(N1, routes=(Route("default", "eth0"), Route("10.16.90.0/24", "flannel.1"))),
        "fed-node1 has no route to 10.16.83.0/24",
    ),
    "one route for the network is one": (
        WELL.node(N1, routes=(Route("10.16.0.0/16", "flannel0"),)),
        "do not tell why",
    ),
    "policy": (
        WELL.node(N2, rules={"filter": ("-P FORWARD DROP", "-A FORWARD -i eth0 -j ACCEPT")}),
        "FORWARD policy on fed-node2 is DROP",
    ),
    "policy ACCEPT needs no rules": (
        WELL.node(N2, rules={"filter": ("-P FORWARD ACCEPT",)}),
        "do not tell why",
    ),
    "docker 28": (WELL.node(N2, docker_version="28.5.2"), '"allow-direct-routing": true'),
    "docker 28, half of it done": (
        WELL.node(N2, docker_version="28.5.2", files={"/etc/docker/daemon.json": DIRECT}),
        "iptables -I DOCKER-USER -s 10.16.0.0/16",
    ),
    "docker 28, both done": (
        WELL.node(
            N2,
            docker_version="28.5.2",
            files={"/etc/docker/daemon.json": DIRECT},
            rules={"filter": ("-A DOCKER-USER -s 10.16.0.0/16 -d 10.16.0.0/16 -j ACCEPT",)},
        ),
        "do not tell why",
    ),
    "nothing": (WELL, "do not tell why"),
}


@pytest.mark.parametrize(("cluster", "why"), LIKELY.values(), ids=LIKELY)
def test_a_failing_pair_gets_a_first_word_on_why(cluster: Cluster, why: str) -> None:
    assert why in by_pair(matrix(cluster, pings=lossy(0)))[N1, N2].why


BEFORE = pod(N1, address=IPv4Address("172.17.0.2"))


def test_containers_that_are_not_on_flannels_subnet_are_not_pinged() -> None:
    made = matrix(WELL.up(N1, BEFORE).up(N2, pod(N2, address=IPv4Address("172.17.0.2"))))
    assert made.targets(N1) == made.targets(N2) == made.targets(N3) == ()
    found = by_pair(made)
    assert {it.level for it in found.values()} == {"fail"}
    assert "get 172.17.0.2, which is not in its subnet 10.16.29.0/24" in found[N1, N2].why
    assert "fed-node2 get 172.17.0.2" in found[N3, N2].why


def test_one_subnet_on_two_nodes_is_no_success() -> None:
    """A cloned subnet.env: each container would ping itself."""
    twin = WELL.env(N2, FLANNEL_SUBNET="10.16.29.1/24").up(N2, pod(N1))
    found = by_pair(matrix(twin))
    assert "the same addresses on both" in found[N1, N2].why
    assert found[N1, N2].level == found[N2, N1].level == "fail"
    assert found[N1, N3].level == "pass"


NAT: Mapping[str, tuple[dict[str, int], str]] = {
    "flannel's device": ({"10.16.29.0": 3}, "10.16.29.0 (NAT)"),
    "the node": ({"192.168.122.77": 3}, "192.168.122.77 (NAT)"),
    "docker0": ({"10.16.29.1": 3}, "10.16.29.1 (NAT)"),
    "the receiver's own": ({"10.16.83.1": 3}, "10.16.83.1 (NAT)"),
}


@pytest.mark.parametrize(("counts", "seen"), NAT.values(), ids=NAT)
def test_nat_is_a_warning_that_names_the_address(counts: dict[str, int], seen: str) -> None:
    verdict = by_pair(matrix(counts={N2: counts}))[N1, N2]
    assert verdict.level == "pass"
    assert verdict.seen == f"3/3, 0.31/0.35/0.42 ms, seen as {seen}"
    assert "-ip-masq" in verdict.why


def test_what_was_not_counted_is_said() -> None:
    verdict = by_pair(matrix(counts={}))[N1, N2]
    assert (verdict.level, verdict.seen) == ("pass", "3/3, 0.31/0.35/0.42 ms")
    assert "could not tell whose address" in verdict.why


def test_an_address_that_two_nodes_have_names_neither() -> None:
    twins = WELL.link(N1, "eth0", addresses=("10.0.2.15/24",))
    twins = twins.link(N3, "eth0", addresses=("10.0.2.15/24",))
    assert matrix(twins, counts={N2: {"10.0.2.15": 3}}).seen_as(N1, N2) == ""


def test_a_node_without_docker_is_skipped_and_that_is_not_well() -> None:
    found = by_pair(matrix(WELL.up(N2, Up(docker=False, error="no address"))))
    assert {pair for pair, it in found.items() if it.level == "skipped"} == {
        (N1, N2),
        (N2, N1),
        (N2, N3),
        (N3, N2),
    }
    assert "docker does not run on fed-node2" in found[N1, N2].why
    assert not ok(found.values())


def test_a_stand_in_for_a_container_is_said() -> None:
    up = replace(pod(N2), docker=False)
    found = by_pair(matrix(WELL.up(N2, up)))
    assert found[N1, N2].level == found[N2, N1].level == "pass"
    assert "a bare namespace stood in" in found[N1, N2].why
    assert not found[N1, N3].why


def test_a_docker_that_can_run_nothing_is_a_failure() -> None:
    found = by_pair(matrix(WELL.up(N2, Up(error="no space left on device"))))
    assert found[N1, N2].level == "fail"
    assert "no space left on device" in found[N1, N2].why
    assert found[N1, N3].level == "pass"


def test_all_pairs_with_a_lost_node_fail() -> None:
    found = by_pair(matrix(lost={N3: "no route to host"}))
    assert {pair for pair, it in found.items() if it.level == "fail"} == {
        (N1, N3),
        (N3, N1),
        (N2, N3),
        (N3, N2),
    }
    assert found[N1, N3].why == "fed-node3 could not be reached: no route to host"


RTT = "rtt min/avg/max/mdev = 0.31/0.35/0.42/0.04 ms"


@dataclass
class Node(Session):
    """A node that answers; `lost_at` is the question at which its connection goes."""

    host: str
    lost_at: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.host

    async def run(self, run: Run, on_line: OnLine) -> int:
        raise AssertionError(run)

    def hold(self, run: Run) -> AbstractAsyncContextManager[Channel]:
        raise AssertionError(run)

    def forward(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        raise AssertionError(address, port)

    async def ask(self, run: Run) -> Reply:
        what, *words = run.argv[3:]
        self.asked.append(what)
        if what == self.lost_at:
            raise UnreachableError("the connection is gone")
        if what == "pod-up.sh":
            links = LINKS.replace("10.16.29.", f"10.16.{THIRD[self.host]}.")
            return Reply(0, up_said(links=links))
        if what == "pod-ping.sh":
            said = b64(IPUTILS.format(n=3, loss=0, rtt=RTT))
            return Reply(0, "".join(f"ping {ip} {said}\n" for ip in words[2:]) + "end\n")
        if what == "pod-mtu.sh":
            asked = zip(words[3::2], words[4::2], strict=True)
            return Reply(0, "".join(f"size {ip} {size}\n" for ip, size in asked) + "end\n")
        rule = "[3:9] -A INPUT -s 10.16.{}.2/32 -p icmp -m icmp --icmp-type 8\n"
        return Reply(0, "".join(rule.format(third) for third in THIRD.values()) + "end\n")


async def run_on(*sessions: Node, cluster: Cluster = WELL, **more: Any) -> list[Verdict]:
    told: list[Event] = []
    by_name = {node.host: node for node in sessions}
    verdicts = await verify(ANSWERS, by_name, cluster.known, told.append, **more)
    events = [event for event in told if isinstance(event, Verified)]
    assert [(it.kind, it.host, it.peer, it.level) for it in events] == [
        (it.kind, it.host, it.peer, it.level) for it in verdicts
    ]
    return list(verdicts)


async def test_a_healthy_cluster_passes_with_five_questions_to_each_node() -> None:
    sessions = [Node(name) for name in NAMES]
    verdicts = await run_on(*sessions)
    assert {(it.level, it.why) for it in verdicts} == {("pass", "")}
    assert len(verdicts) == 3 * 3 + 3 * 6
    assert list(dict.fromkeys(it.kind for it in verdicts)) == list(KINDS)
    for node in sessions:
        *before, one, other, last = node.asked
        assert (before, last) == (["pod-up.sh", "pod-count.sh"], "pod-down.sh")
        assert {one, other} == {"pod-ping.sh", "pod-mtu.sh"}, "in any order: at the same time"


async def test_what_needs_no_container_starts_none() -> None:
    sessions = [Node(name) for name in NAMES]
    verdicts = await run_on(*sessions, only=("lease", "subnet_env"))
    assert {(it.kind, it.host) for it in verdicts} == {
        (kind, name) for kind in ("lease", "subnet_env") for name in NAMES
    }
    assert not any(node.asked for node in sessions)


async def test_a_pair_is_judged_alone_and_nothing_is_started_elsewhere() -> None:
    sessions = [Node(name) for name in NAMES]
    verdicts = await run_on(*sessions, pair=(N3, N1))
    assert {(it.host, it.peer) for it in verdicts} == {(N1, ""), (N3, ""), (N1, N3), (N3, N1)}
    assert [bool(node.asked) for node in sessions] == [True, False, True]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"only": ("lease", "leaze")}, "leaze: nothing of that name"),
        ({"pair": (N1, "fed-master")}, "fed-node1 and fed-master are not two nodes"),
        ({"pair": (N1, N1)}, "are not two nodes"),
    ],
)
async def test_what_is_no_kind_and_no_pair_is_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        await run_on(*map(Node, NAMES), **more)


@pytest.mark.parametrize("lost_at", ["pod-up.sh", "pod-count.sh", "pod-ping.sh", "pod-mtu.sh"])
async def test_a_node_that_goes_fails_its_pairs_and_no_others(lost_at: str) -> None:
    last = Node(N3, lost_at)
    verdicts = await run_on(Node(N1), Node(N2), last)
    assert {(it.host, it.peer) for it in verdicts if it.level == "fail"} == {
        (N1, N3),
        (N3, N1),
        (N2, N3),
        (N3, N2),
    }
    assert lost_at in last.asked
    assert "pod-down.sh" not in last.asked
    skipped = {(it.kind, it.host, it.peer) for it in verdicts if it.level == "skipped"}
    assert skipped == {("mtu", it.host, it.peer) for it in verdicts if it.level == "fail"}


async def test_a_node_that_goes_after_its_pings_has_been_measured() -> None:
    verdicts = await run_on(Node(N1), Node(N2), Node(N3, "pod-down.sh"))
    assert {it.level for it in verdicts} == {"pass"}
    assert {(it.host, it.peer) for it in verdicts if it.why} == {(N1, N3), (N2, N3)}


async def test_a_node_that_was_never_reached_fails_in_everything() -> None:
    verdicts = await run_on(Node(N1), Node(N2), lost={N3: "no route to host"})
    assert {it.kind for it in verdicts if it.level == "fail"} == {"ping"}  # its facts were read
    gone = replace(WELL, facts={name: facts(name) for name in (N1, N2)})
    verdicts = await run_on(Node(N1), Node(N2), cluster=gone, lost={N3: "no route to host"})
    failed = [it for it in verdicts if it.host == N3 and it.kind != "mtu"]
    assert {it.level for it in failed} == {"fail"}
    assert {it.kind for it in failed} == {"address", "lease", "subnet_env", "peer", "ping"}
    assert all("no route to host" in it.why for it in failed)


async def test_a_container_that_ended_before_is_what_its_lost_pings_are_told_of() -> None:
    """A node that took too long: what others ping is not there any more."""

    @dataclass
    class Late(Node):
        """Others' pings to the third node are lost, and the third node has nothing to ping from."""

        async def ask(self, run: Run) -> Reply:
            reply = await super().ask(run)
            what = run.argv[3]
            if self.host == N3 and what in ("pod-ping.sh", "pod-mtu.sh"):
                return Reply(1, "the container is gone\n")
            if self.host == N3 and what == "pod-down.sh":
                return Reply(0, "gone\nend\n")
            if what == "pod-ping.sh":
                said = b64(IPUTILS.format(n=0, loss=100, rtt=""))
                kept = [line for line in reply.out.splitlines() if "10.16.90.2" not in line]
                return Reply(0, "\n".join([f"ping 10.16.90.2 {said}", *kept, ""]))
            return reply

    verdicts = await run_on(Late(N1), Late(N2), Late(N3))
    pings = {(it.host, it.peer): it for it in verdicts if it.kind == "ping"}
    failed = {pair for pair, it in pings.items() if it.level == "fail"}
    assert failed == {(N1, N3), (N3, N1), (N2, N3), (N3, N2)}
    assert all("the container on fed-node3 is gone" in pings[pair].why for pair in failed)


async def test_a_ping_that_is_too_simple_for_large_packets_is_skipped_and_well() -> None:
    @dataclass
    class Busybox(Node):
        async def ask(self, run: Run) -> Reply:
            large = run.argv[3] == "pod-mtu.sh"
            return Reply(0, "nodf\n") if large else await super().ask(run)

    verdicts = await run_on(Busybox(N1), Node(N2), Node(N3))
    skipped = {(it.kind, it.host, it.peer) for it in verdicts if it.level == "skipped"}
    assert skipped == {("mtu", N1, N2), ("mtu", N1, N3)}
    why = next(it.why for it in verdicts if it.level == "skipped")
    assert why == "the ping of fed-node1 can't forbid fragments: `dnf install iputils` there"
    assert ok(verdicts)


async def test_no_answer_at_all_is_a_failure_with_what_was_said() -> None:
    @dataclass
    class Odd(Node):
        async def ask(self, run: Run) -> Reply:
            self.asked.append(run.argv[3])
            return Reply(127, "", "sh: \x1b[31mnsenter: not found")

    odd = Odd(N3)
    verdicts = await run_on(Node(N1), Node(N2), odd)
    why = next(it.why for it in verdicts if it.kind == "ping" and it.level == "fail")
    assert "exit status 127, sh: nsenter: not found" in why
    assert odd.asked[-1] == "pod-down.sh"


def test_scripts_are_what_is_sent() -> None:
    script = pods.up("n", "i").argv[2]
    assert script.startswith("# Start an idle container")
    assert shlex.split(pods.up("n", "i").shown)[2] == script
