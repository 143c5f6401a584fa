"""On simulated hosts a diagnosis finds what is wrong, mends it and takes the remedy back."""

import asyncio
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from fedwiz.engine import fix, verbs
from fedwiz.engine.approval import approve_all
from fedwiz.engine.verbs import Result
from fedwiz.model.actions import Run
from fedwiz.model.events import ActionEnded, Event, Record, Verified
from fedwiz.practice import CLASSIC, FAULTS, MODERN, Generation, Practice, practice_answers
from fedwiz.practice.chains import BUILT_IN
from fedwiz.practice.machine import Machine

GENERATIONS = {"classic": CLASSIC, "modern": MODERN}
PAIR = ("fed-node1", "fed-node2")


class Asked:
    """A practice cluster that somebody has set up, and what was said of it."""

    def __init__(self, fault: str = "", generation: Generation = MODERN, *sets: str) -> None:
        self.answers = practice_answers(4, sets)
        self.practice = Practice(self.answers, fault, generation=generation, installed=True)
        self.records: list[Record] = []

    def cluster(self) -> verbs.RunContext:
        def tell(event: Event) -> None:
            self.records.append(Record(len(self.records), 0.0, event))

        return verbs.RunContext(
            self.answers, self.practice, self.practice.open_store, tell, "run", practice="practice"
        )

    async def diagnose(self, pair: tuple[str, str] = PAIR, *, apply: bool = False) -> Result:
        return await fix.diagnose(
            self.cluster(), pair, asyncio.Event(), approve=approve_all if apply else None
        )

    async def undo(self) -> Result:
        return await fix.undo_fix(self.cluster(), list(self.records), approve_all, asyncio.Event())

    def node(self, number: int) -> Machine:
        return self.practice.cluster.nodes()[number - 1]


FOUND: Mapping[str, tuple[str, str, str]] = {
    "forward-drop": ("forward-rule", "fed-node2", "there forwarding-in"),
    "no-forwarding": ("ip-forward", "fed-node2", "there routing-in"),
    "port-closed": ("port-closed", "fed-node2", "there firewall"),
    "stale-mac": ("missing-neighbour", "fed-node2", "back unwrapping"),
    "missing-route": ("missing-route", "fed-node2", "back wrapping"),
    "firewalld": ("port-closed", "fed-node2", "there firewall"),
}
"""By fault: the cause, the host that is to be mended, and where packets are lost."""


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("fault", FOUND)
async def test_a_fault_is_found_where_the_packets_are_lost(fault: str, generation: str) -> None:
    result = await Asked(fault, GENERATIONS[generation]).diagnose()
    assert result.code == verbs.NOT_PROVEN
    first = result.diagnoses[0]
    lost = result.case.lost if result.case else None
    assert lost is not None
    assert (first.cause, first.host, f"{lost.direction} {lost.name}") == FOUND[fault]


def test_all_faults_that_a_verification_finds_are_diagnosed() -> None:
    assert {name for name, fault in FAULTS.items() if fault.ends == 7} <= set(FOUND)


@pytest.mark.parametrize("fault", ["no-forwarding", "forward-drop"])
async def test_no_cause_is_named_for_a_pair_without_the_node(fault: str) -> None:
    result = await Asked(fault).diagnose(("fed-node3", "fed-node1"))
    assert (result.code, result.diagnoses) == (0, ())


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["vxlan", "host-gw", "udp"])
async def test_every_hop_of_a_healthy_pair_counts_every_ping(generation: str, kind: str) -> None:
    asked = Asked("", GENERATIONS[generation], f"backend.type={kind}")
    result = await asked.diagnose()
    assert result.case is not None
    assert result.case.hops
    assert {hop.count for hop in result.case.hops} == {3}
    assert (result.case.sent, result.case.answered) == (3, 3)


async def test_nothing_that_counted_is_left() -> None:
    asked = Asked("port-closed")
    before = {node.name: _rules(node) for node in asked.practice.cluster.nodes()}
    await asked.diagnose()
    assert {node.name: _rules(node) for node in asked.practice.cluster.nodes()} == before


def _rules(node: Machine) -> list[str]:
    return [line for table in BUILT_IN for line in node.chains.shown(table)]


async def test_a_rule_that_drops_is_counted_and_named() -> None:
    result = await Asked("port-closed").diagnose()
    assert result.case is not None
    [dropped] = result.case.look("fed-node2").dropped
    assert (dropped.table, dropped.packets) == ("filter", 3)
    assert "--dport 8472 -j DROP" in dropped.rule


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.ends == 7])
async def test_a_remedy_mends_and_is_taken_back(fault: str, generation: str) -> None:
    asked = Asked(fault, GENERATIONS[generation])
    result = await asked.diagnose(apply=True)
    assert (result.code, result.why) == (0, "")
    assert (await asked.undo()).code == 0
    again = await asked.diagnose()
    assert again.code == verbs.NOT_PROVEN
    assert again.diagnoses[0].cause == FOUND[fault][0]


SETTLED: dict[str, tuple[int, int, int]] = {
    "at once": (0, 1, 0),
    "after the first look": (1, 2, 0),
    "after the second one": (2, 3, 0),
    "never": (9, 3, verbs.NOT_PROVEN),
}
"""How often the pair still fails, how often it is verified, and the exit code."""


@pytest.mark.parametrize(("fails", "looks", "code"), SETTLED.values(), ids=SETTLED)
async def test_a_remedy_is_verified_until_peers_have_heard_of_it(
    fails: int, looks: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fix, "SETTLE_SECONDS", (0.0, 0.0))
    asked = Asked("no-forwarding")
    seen = await _settling(asked, fails, lambda: None)
    assert seen == (looks, code)


async def test_nothing_more_is_verified_once_it_is_to_stop() -> None:
    asked, stop = Asked("no-forwarding"), asyncio.Event()
    assert await _settling(asked, 9, stop.set, stop) == (1, verbs.NOT_PROVEN)


async def _settling(
    asked: Asked, fails: int, first: Callable[[], None], stop: asyncio.Event | None = None
) -> tuple[int, int]:
    """Apply a remedy where a peer is late; how often the pair is verified then, and the exit code.

    Args:
        asked: what is mended.
        fails: how many verifications find that the peer is late.
        first: done when the first one has found it.
        stop: ends it.
    """
    cluster, late, looks = asked.cluster(), FAULTS["stale-mac"], 0

    def tell(event: Event) -> None:
        nonlocal looks
        if isinstance(event, ActionEnded) and fails:
            late.inject(asked.practice.cluster)
        if isinstance(event, Verified) and (event.host, event.peer) == PAIR and remedied():
            looks += event.kind == "ping"
            if looks == 1:
                first()
            if looks == fails:
                late.repair(asked.practice.cluster)
        asked.records.append(Record(len(asked.records), 0.0, event))

    def remedied() -> bool:
        return any(isinstance(it.event, ActionEnded) for it in asked.records)

    result = await fix.diagnose(
        replace(cluster, emit=tell), PAIR, stop or asyncio.Event(), approve=approve_all
    )
    return looks, result.code


async def test_what_firewalld_was_told_is_taken_back() -> None:
    asked = Asked("firewalld")
    before = asked.node(2).firewall
    await asked.diagnose(apply=True)
    now = asked.node(2).firewall
    assert now is not None
    assert now.ports == now.permanent >= {"8472/udp"}
    assert (await asked.undo()).code == 0
    assert asked.node(2).firewall == before


async def test_a_node_that_is_not_there_is_said() -> None:
    result = await Asked("unreachable").diagnose()
    assert result.code == verbs.NOT_PROVEN
    assert "does not answer on port 22" in result.diagnoses[0].seen


# What a remedy may send, and what takes it back.

DROP = "-p udp -m udp --dport 8472 -j DROP"
MENDS: Mapping[str, tuple[str, str, str]] = {
    "a rule is taken away": (
        "port-closed",
        f"iptables -w 5 -D INPUT {DROP}",
        f"iptables -w 5 -I INPUT 1 {DROP}",
    ),
    "a rule is put before it": (
        "port-closed",
        "iptables -I INPUT -p udp --dport 8472 -j ACCEPT",
        "iptables -D INPUT -p udp --dport 8472 -j ACCEPT",
    ),
    "a rule lets it pass": (
        "forward-drop",
        "iptables -w 5 -t filter -I FORWARD -s 10.16.0.0/16 -j ACCEPT",
        "iptables -w 5 -t filter -D FORWARD -s 10.16.0.0/16 -j ACCEPT",
    ),
    "forwarding is turned on": (
        "no-forwarding",
        "sysctl -w net.ipv4.ip_forward=1",
        "sysctl -w net.ipv4.ip_forward=0",
    ),
    "a route is put back": (
        "missing-route",
        "ip route replace {net} via {net0} dev flannel.1 onlink",
        "ip route del {net} dev flannel.1",
    ),
}


@pytest.mark.parametrize("name", MENDS)
async def test_a_command_mends_and_its_way_back_brings_the_fault_back(name: str) -> None:
    fault, do, back = MENDS[name]
    asked = Asked(fault)
    daemon = asked.node(1).daemon
    assert daemon is not None
    named = {"net": daemon.subnet, "net0": daemon.subnet.partition("/")[0]}
    before = (await asked.diagnose()).code
    await _typed(asked, do.format(**named))
    assert (await asked.diagnose()).code == 0
    await _typed(asked, back.format(**named))
    assert (await asked.diagnose()).code == before == verbs.NOT_PROVEN


async def test_a_neighbour_and_its_fdb_entry_are_put_right() -> None:
    asked = Asked("stale-mac")
    node, other = asked.node(2), asked.node(1)
    [(subnet, peer)] = [
        (net, it) for net, it in node.peers["flannel.1"].items() if it.address == other.address
    ]
    mac, at = other.links["flannel.1"].mac, subnet.partition("/")[0]
    entries = {
        peer.mac: f"bridge fdb {{}} {peer.mac} dev flannel.1 dst {peer.address} self permanent",
        mac: f"bridge fdb {{}} {mac} dev flannel.1 dst {peer.address} self permanent",
    }
    for word, entry in (("replace", mac), ("del", mac), ("replace", mac)):
        await _typed(asked, entries[entry].format(word))
        assert (await asked.diagnose()).code == verbs.NOT_PROVEN
    await _typed(asked, f"ip neighbour replace {at} lladdr {mac} dev flannel.1 nud permanent")
    assert (await asked.diagnose()).code == 0
    await _typed(asked, f"ip neighbour replace {at} lladdr {peer.mac} dev flannel.1 nud permanent")
    assert (await asked.diagnose()).code == verbs.NOT_PROVEN


@pytest.mark.parametrize(
    "words",
    [
        "iptables -D INPUT -j DROP",
        "iptables -D INPUT 4",
        "iptables -I NOWHERE -j DROP",
        "ip route del 10.99.0.0/24",
        "ip route add 10.99.0.0/24 dev nowhere",
        "ip link set nowhere up",
        "ip neighbour replace 10.99.0.0 lladdr x dev flannel.1",
        "bridge fdb del aa:aa:aa:aa:aa:aa dev flannel.1",
    ],
)
async def test_what_can_not_be_done_fails(words: str) -> None:
    asked = Asked()
    assert await _run(asked, words) != 0


async def _run(asked: Asked, words: str) -> int:
    async with asked.practice.connect("fed-node2") as session:
        return await session.run(Run(tuple(shlex.split(words))), lambda line: None)


async def _typed(asked: Asked, words: str) -> None:
    assert await _run(asked, words) == 0, words
