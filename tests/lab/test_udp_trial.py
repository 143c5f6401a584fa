"""The backend's UDP port on real hosts, tried before flannel has it and while it has."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedwiz.checks import Finding, judge
from fedwiz.engine import verbs
from fedwiz.engine.verbs import Result
from fedwiz.verify.ports import listen
from tests.lab.fixture import Lab, LabFactory, require_lab
from tests.lab.test_verify import answers_for
from tests.support.diagnosis_faults import cluster
from tests.support.host_snapshot import unchanged
from tests.support.lab_operator import Operator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

N1, N2, N3 = "fed-node1", "fed-node2", "fed-node3"
LEFT = (
    "ls -d /run/udp-fedwiz* /run/systemd/transient/udp-fedwiz* 2>/dev/null; "
    "systemctl list-units --all --plain --no-legend 'udp-fedwiz*'; "
    "pgrep -lx 'dd|systemd-socket-'; ss -Hlun 'sport = :8472'; true"
)


TRIED = "journalctl -q -b -o cat -u 'udp-fedwiz*'"
"""Not empty where the port was listened at since the host has booted."""

Found = list[tuple[str, str, str]]
"""Level, host and words."""


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A cluster that each test leaves as it was."""
    require_lab()
    with Lab.up(request.param, 4) as cluster:
        yield cluster


def found(findings: tuple[Finding, ...]) -> Found:
    """What was found of the port."""
    return [
        (it.level, it.host, f"{it.seen}; {it.remedy}") for it in findings if it.check == "udp-port"
    ]


def left(lab: Lab) -> dict[str, str]:
    return {node: said for node in lab.nodes if (said := lab.ssh(node, LEFT))}


@contextmanager
def changed(lab: Lab, node: str, done: str, undone: str) -> Iterator[None]:
    """Something on a node is different for a while, and then as it was."""
    with unchanged(lab):
        lab.ssh(node, done)
        try:
            yield
        finally:
            lab.ssh(node, undone)


async def check(lab: Lab) -> Result:
    """`fedwiz check`."""
    result = await verbs.check(cluster(lab, answers_for(lab), []))
    assert left(lab) == {}
    return result


def test_healthy_nodes_let_it_through_and_nothing_stays(lab: Lab, tmp_path: Path) -> None:
    said = Operator(lab, tmp_path).fedwiz("check", "--json")
    assert left(lab) == {}
    assert said.code == 0
    [it] = [it for it in said.json["findings"] if it["check"] == "udp-port"]
    assert (it["level"], it["host"], it["remedy"]) == ("ok", "", "")
    assert it["seen"] == "8472/udp gets through between all 3 nodes"
    assert all(lab.ssh(node, TRIED) for node in lab.nodes)


IN = "INPUT -p udp --dport 8472 -j"
TABLE = (
    "nft 'add table inet guard; add chain inet guard in { type filter hook input priority 0; }; "
    "add rule inet guard in udp dport 8472 drop'"
)
WALLS = {
    "drops": (
        N2,
        f"iptables -I {IN} DROP",
        f"iptables -D {IN} DROP",
        "from other nodes; let 8472/udp in there, before the rule `-A INPUT -p udp",
    ),
    "rejects": (
        N2,
        f"iptables -I {IN} REJECT",
        f"iptables -D {IN} REJECT",
        "from other nodes (they hear: Connection refused); let 8472/udp in there, before",
    ),
    "nft drops": (
        N2,
        TABLE,
        "nft delete table inet guard",
        "from other nodes; let 8472/udp in there: see `iptables -S INPUT`, `nft list",
    ),
    "lets nothing out": (
        N1,
        "iptables -I OUTPUT -p udp --dport 8472 -j DROP",
        "iptables -D OUTPUT -p udp --dport 8472 -j DROP",
        "its own packet filter drops what it sends to 8472/udp; let 8472/udp out there, before",
    ),
}


@pytest.mark.parametrize(("node", "done", "undone", "words"), WALLS.values(), ids=WALLS)
async def test_a_wall_is_found_before_anything_is_changed(
    lab: Lab, node: str, done: str, undone: str, words: str
) -> None:
    with changed(lab, node, done, undone):
        result = await check(lab)
    ((level, host, why),) = found(result.findings)
    assert (level, host) == ("block", node)
    assert words in why
    assert result.code == 3
    assert result.known is not None
    accepted = judge(answers_for(lab), result.known, ["udp-port"])
    assert verbs.standing(accepted, result.known)[0] == 0


async def test_one_sender_that_one_node_drops_is_named(lab: Lab) -> None:
    rule = f"INPUT -s {lab.address(N1)} -p udp --dport 8472 -j DROP"
    with changed(lab, N3, f"iptables -I {rule}", f"iptables -D {rule}"):
        ((level, host, words),) = found((await check(lab)).findings)
    assert (level, host) == ("block", N3)
    assert words.startswith(f"nothing arrives at 8472/udp from {N1}; let 8472/udp in there, before")


async def test_a_port_that_somebody_else_has_is_found(lab: Lab) -> None:
    unit = "systemd-run -q --collect --unit=other systemd-socket-activate -d -l 8472 cat"
    wait = "until ss -Hlun 'sport = :8472' | grep -q .; do sleep 0.1; done"
    with changed(lab, N2, f"{unit}; {wait}", "systemctl stop other"):
        result = await verbs.check(cluster(lab, answers_for(lab), []))
    ((level, host, words),) = found(result.findings)
    assert (level, host) == ("block", N2)
    assert "systemd-socket- (pid " in words
    assert "has 8472/udp, so flannel could not" in words


def listening(lab: Lab, *, life: int) -> None:
    """A listener whose asker has gone, as by a connection that was cut."""
    words = list(listen("udp-fedwiz-orphan", 8472, 2).argv)
    words[6] = str(life)
    assert lab.ssh(N1, shlex.join(words)) == "ready\n"


def test_a_listener_whose_asker_has_gone_ends_by_itself(lab: Lab) -> None:
    listening(lab, life=3)
    lab.ssh(N1, f'for i in $(seq 3000); do [ "$({LEFT})" ] || exit 0; sleep 0.1; done')
    assert left(lab) == {}


async def test_another_check_s_listener_is_none_that_blocks(lab: Lab) -> None:
    listening(lab, life=200)
    result = await verbs.check(cluster(lab, answers_for(lab), []))
    lab.ssh(N1, "systemctl stop udp-fedwiz-orphan")
    ((level, host, words),) = found(result.findings)
    assert (level, host) == ("warn", N1)
    assert "another check is trying the port" in words
    assert result.code == 0
    assert left(lab) == {}


async def test_where_firewalld_keeps_it_shut_the_install_opens_it(lab: Lab) -> None:
    """The last on each cluster: firewalld takes docker's rules with it."""
    lab.ssh(N2, "systemctl start firewalld")
    shut = await check(lab)
    lab.ssh(N2, "firewall-cmd -q --add-port=8472/udp")
    opened = await check(lab)
    ((level, _, words),) = found(shut.findings)
    assert level == "ok"
    assert words.startswith(
        f"8472/udp gets through to {N1}, {N3}; the install opens 8472/udp on {N2}"
    )
    assert found(opened.findings) == [("ok", "", "8472/udp gets through between all 3 nodes; ")]


async def test_where_flannel_runs_it_is_in_use_and_not_tried(lab_factory: LabFactory) -> None:
    lab = lab_factory("modern", 3, installed=True)
    result = await verbs.check(cluster(lab, answers_for(lab), []))
    assert result.code == 0
    ((level, _, words),) = found(result.findings)
    assert level == "ok"
    assert words.startswith(f"8472/udp is in use on {N1}, {N2}, where")
    assert [lab.ssh(node, TRIED) for node in lab.nodes] == ["", ""]
