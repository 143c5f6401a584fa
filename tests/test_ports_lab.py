"""The backend's UDP port on real hosts, tried before flannel has it and while it has."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedwiz.verify.ports import listen
from tests.lab.fixture import Lab, LabFactory, require_lab
from tests.operator import Operator, Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

N1, N2, N3 = "fed-node1", "fed-node2", "fed-node3"
LEFT = (
    "ls -d /run/udp-fedwiz* /run/systemd/transient/udp-fedwiz* 2>/dev/null; "
    "systemctl list-units --all --plain --no-legend 'udp-fedwiz*'; "
    "pgrep -lx 'dd|systemd-socket-'; ss -Hlun 'sport = :8472'; true"
)


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    require_lab()
    with Lab.up(request.param, 4) as cluster:
        yield cluster


def said_of(said: Said) -> list[tuple[str, str, str]]:
    """Level, host and words of what was found."""
    return [
        (it["level"], it["host"], f"{it['seen']}; {it['remedy']}")
        for it in said.json["findings"]
        if it["check"] == "udp-port"
    ]


def left(lab: Lab) -> dict[str, str]:
    return {node: said for node in lab.nodes if (said := lab.ssh(node, LEFT))}


@contextmanager
def changed(lab: Lab, node: str, done: str, undone: str) -> Iterator[None]:
    lab.ssh(node, done)
    try:
        yield
    finally:
        lab.ssh(node, undone)


def check(lab: Lab, home: Path, *words: str) -> Said:
    said = Operator(lab, home).fedwiz("check", "--json", *words)
    assert left(lab) == {}
    return said


def test_healthy_nodes_let_it_through_and_nothing_stays(lab: Lab, tmp_path: Path) -> None:
    said = check(lab, tmp_path)
    assert said.code == 0
    assert said_of(said) == [("ok", "", "8472/udp gets through between all 3 nodes; ")]


IN = "INPUT -p udp --dport 8472 -j"
TABLE = (
    "nft 'add table inet guard; add chain inet guard in { type filter hook input priority 0; }; "
    "add rule inet guard in udp dport 8472 drop'"
)
WALLS = {
    "drops": (N2, f"iptables -I {IN} DROP", f"iptables -D {IN} DROP",
              "from other nodes; let 8472/udp in there, before the rule `-A INPUT -p udp"),
    "rejects": (N2, f"iptables -I {IN} REJECT", f"iptables -D {IN} REJECT",
                "from other nodes (they hear: Connection refused); let 8472/udp in there, before"),
    "nft drops": (N2, TABLE, "nft delete table inet guard",
                  "from other nodes; let 8472/udp in there: see `iptables -S INPUT`, `nft list"),
    "lets nothing out": (
        N1, "iptables -I OUTPUT -p udp --dport 8472 -j DROP",
        "iptables -D OUTPUT -p udp --dport 8472 -j DROP",
        "its own packet filter drops what it sends to 8472/udp; let 8472/udp out there, before",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("node", "done", "undone", "words"), WALLS.values(), ids=WALLS)
def test_a_wall_is_found_before_anything_is_changed(
    lab: Lab, tmp_path: Path, node: str, done: str, undone: str, words: str
) -> None:
    with changed(lab, node, done, undone):
        said = check(lab, tmp_path)
        accepted = check(lab, tmp_path, "--accept", "udp-port")
    (finding,) = said_of(said)
    assert finding[:2] == ("block", node)
    assert words in finding[2]
    assert said.code == 3
    assert accepted.code == 0


def test_one_sender_that_one_node_drops_is_named(lab: Lab, tmp_path: Path) -> None:
    rule = f"INPUT -s {lab.address(N1)} -p udp --dport 8472 -j DROP"
    with changed(lab, N3, f"iptables -I {rule}", f"iptables -D {rule}"):
        ((level, host, words),) = said_of(check(lab, tmp_path))
    assert (level, host) == ("block", N3)
    assert words.startswith(f"nothing arrives at 8472/udp from {N1}; let 8472/udp in there, before")


def test_a_port_that_somebody_else_has_is_found(lab: Lab, tmp_path: Path) -> None:
    unit = "systemd-run -q --collect --unit=other systemd-socket-activate -d -l 8472 cat"
    wait = "until ss -Hlun 'sport = :8472' | grep -q .; do sleep 0.1; done"
    with changed(lab, N2, f"{unit}; {wait}", "systemctl stop other"):
        said = Operator(lab, tmp_path).fedwiz("check", "--json")
    ((level, host, words),) = said_of(said)
    assert (level, host) == ("block", N2)
    assert "systemd-socket- (pid " in words
    assert "has 8472/udp, so flannel could not" in words


def listening(lab: Lab, *, life: int) -> None:
    """A listener whose asker has gone, as by a connection that was cut."""
    words = list(listen("udp-fedwiz-orphan", 8472, 2).argv)
    words[6] = str(life)
    assert lab.ssh(N1, shlex.join(words)) == "ready\n"
    assert left(lab)


def test_a_listener_whose_asker_has_gone_ends_by_itself(lab: Lab) -> None:
    listening(lab, life=3)
    lab.ssh(N1, "timeout 60 sh -c 'while systemctl -q is-active udp-fedwiz-orphan; "
            "do sleep 0.1; done'")  # fmt: skip
    assert left(lab) == {}


def test_another_check_s_listener_is_none_that_blocks(lab: Lab, tmp_path: Path) -> None:
    listening(lab, life=200)
    said = Operator(lab, tmp_path).fedwiz("check", "--json")
    lab.ssh(N1, "systemctl stop udp-fedwiz-orphan")
    ((level, host, words),) = said_of(said)
    assert (level, host) == ("warn", N1)
    assert "another check is trying the port" in words
    assert said.code == 0
    assert left(lab) == {}


def test_where_firewalld_keeps_it_shut_the_install_opens_it(lab: Lab, tmp_path: Path) -> None:
    with changed(lab, N2, "systemctl start firewalld", "systemctl stop firewalld"):
        said = check(lab, tmp_path)
        lab.ssh(N2, "firewall-cmd -q --add-port=8472/udp")
        opened = check(lab, tmp_path)
    ((level, _, words),) = said_of(said)
    assert level == "ok"
    assert words.startswith(
        f"8472/udp gets through to {N1}, {N3}; the install opens 8472/udp on {N2}"
    )
    assert said_of(opened) == [("ok", "", "8472/udp gets through between all 3 nodes; ")]


def test_where_flannel_runs_it_is_in_use(lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory("modern", 4)
    operator = Operator(lab, tmp_path)
    assert operator.install().code == 0
    began = time.monotonic()
    said = operator.fedwiz("check", "--json")
    assert time.monotonic() - began < 30
    assert said.code == 0
    ((level, _, words),) = said_of(said)
    assert level == "ok"
    assert words.startswith(f"8472/udp is in use on {N1}, {N2}, {N3}")
