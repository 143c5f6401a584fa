"""Whether nodes meet, on real hosts that know nothing of flannel."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import pytest

from fedwiz import etcd
from fedwiz.answers import file as forms
from fedwiz.answers.file import Answers
from fedwiz.engine.connections import connect_all, read_facts
from fedwiz.model.actions import Session
from fedwiz.ssh.transport import Ssh
from fedwiz.verify import Verdict
from fedwiz.verify.node_pings import ping_nodes
from tests.lab.fixture import Lab, require_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

N1, N2, N3 = "fed-node1", "fed-node2", "fed-node3"
PAIRS = set(permutations((N1, N2, N3), 2))
Found = Mapping[tuple[str, str], Verdict]


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    require_lab()
    with Lab.up(request.param, 4) as cluster:
        yield cluster


def answers_for(lab: Lab, interfaces: Mapping[str, str], ssh: Mapping[str, str]) -> Answers:
    hosts = [
        {"name": name, "address": lab.address(name), "role": "node" if number else "master"}
        | ({"interface": interfaces[name]} if name in interfaces else {})
        for number, name in enumerate(lab.hosts)
    ]
    way = {"identity": [str(lab.key)], "known_hosts": str(lab.known_hosts()), "user": lab.user}
    base: dict[str, Any] = {"version": 1, "name": "lab", "network": {"cidr": "10.16.0.0/16"}}
    return forms.parse(base | {"host": hosts, "ssh": way | dict(ssh)})


async def met(
    lab: Lab, interfaces: Mapping[str, str] | None = None, ssh: Mapping[str, str] | None = None
) -> tuple[Found, float]:
    """The verdicts, and the seconds that they took."""
    answers = answers_for(lab, interfaces or {}, ssh or {})

    def opener(session: Session, api: str) -> Any:  # noqa: ANN401 - a context manager
        return etcd.store(session, answers.etcd, api)

    way = Ssh(answers.ssh, answers.host, config=())
    async with connect_all(answers, way, opener, lambda _: None) as ways:
        known = await read_facts(ways)
        began = time.monotonic()
        found = await ping_nodes(answers, ways.sessions, known, lambda _: None)
        return {(it.host, it.peer): it for it in found}, time.monotonic() - began


def levels(found: Found, level: str) -> set[tuple[str, str]]:
    return {pair for pair, it in found.items() if it.level == level}


def pairs_of(name: str) -> set[tuple[str, str]]:
    return {pair for pair in PAIRS if name in pair}


@contextmanager
def changed(lab: Lab, node: str, done: str, undone: str) -> Iterator[None]:
    lab.ssh(node, done)
    try:
        yield
    finally:
        lab.ssh(node, undone)


@pytest.mark.parametrize("ssh", [{}, {"user": "ops", "sudo": "nopasswd"}], ids=["root", "sudo"])
async def test_healthy_nodes_meet(lab: Lab, ssh: dict[str, str]) -> None:
    found, _ = await met(lab, ssh=ssh)
    assert levels(found, "pass") == PAIRS
    assert {it.why for it in found.values()} == {""}
    assert all(it.seen.startswith("3/3, ") for it in found.values())


ECHO = "INPUT -p icmp --icmp-type echo-request -j DROP"
ICMP = "INPUT -p icmp -j DROP"


async def test_a_node_that_answers_no_ping_is_told_from_one_that_is_not_there(lab: Lab) -> None:
    _, healthy = await met(lab)
    with changed(lab, N2, f"iptables -I {ECHO}", f"iptables -D {ECHO}"):
        found, waited = await met(lab)
    assert healthy < waited, "who has all answers waits for none"
    assert levels(found, "fail") == {(N1, N2), (N3, N2)}
    assert levels(found, "pass") == PAIRS - levels(found, "fail")
    assert found[N1, N2].seen == "0/3"
    assert "fed-node2's own to fed-node1 come back: there is a way" in found[N1, N2].why
    assert "--icmp-type 8 -j DROP` on fed-node2" in found[N1, N2].why
    with changed(lab, N2, f"iptables -I {ICMP}", f"iptables -D {ICMP}"):
        found, _ = await met(lab)
    assert levels(found, "fail") == pairs_of(N2)
    assert "though it is there, on one wire with eth0 of fed-node1" in found[N1, N2].why


UPLINK = "ip link add eth1 type veth peer name far; ip address add 10.77.0.2/24 dev eth1"


async def test_an_interface_that_leads_nowhere_fails_for_its_node_alone(lab: Lab) -> None:
    with changed(lab, N2, UPLINK, "ip link delete eth1"):
        down, _ = await met(lab, {N2: "eth1"})
        lab.ssh(N2, "ip link set eth1 up; ip link set far up")
        elsewhere, _ = await met(lab, {N2: "eth1"})
        lab.ssh(N2, f"ip address add {lab.address(N1)}/32 dev eth1")
        twin, _ = await met(lab, {N2: lab.address(N1)})
    for found in (down, elsewhere):
        assert levels(found, "fail") == pairs_of(N2)
        assert levels(found, "pass") == PAIRS - pairs_of(N2)
    assert "eth1 of fed-node2, which has 10.77.0.2, is down" in down[N1, N2].why
    assert "nobody has that address on the wire that eth1" in elsewhere[N2, N1].why
    assert "which is on 10.77.0.0/24" in elsewhere[N1, N2].why
    assert levels(twin, "fail") == PAIRS
    assert "fed-node1 and fed-node2 would both publish" in twin[N2, N1].why
    assert levels((await met(lab))[0], "pass") == PAIRS


async def test_a_node_without_a_ping_is_skipped_and_still_pinged(lab: Lab) -> None:
    tools = "for it in /bin/ping /usr/bin/ping /bin/busybox /usr/bin/busybox; do"
    away = f"{tools} [ ! -e $it ] || mv $it $it.away; done"
    back = f"{tools} [ ! -e $it.away ] || mv $it.away $it; done"
    with changed(lab, N3, away, back):
        found, _ = await met(lab)
    assert levels(found, "skipped") == {(N3, N1), (N3, N2)}
    assert "fed-node3 has no ping" in found[N3, N1].why
    assert levels(found, "pass") == PAIRS - levels(found, "skipped")
