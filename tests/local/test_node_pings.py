"""Whether the addresses that flannel is to publish reach each other, before it is there."""

import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.answers.file import Answers
from fedwiz.engine.connections import connect_all, read_facts
from fedwiz.facts import ClusterFacts, Link
from fedwiz.model.actions import Channel, OnLine, Reply, Run, Session, UnreachableError
from fedwiz.model.events import Event
from fedwiz.practice import Practice, practice_answers
from fedwiz.practice.machine import Machine
from fedwiz.verify import Verdict
from fedwiz.verify.node_pings import NodeEnd, NodePings, PeerResult, ask, ping_nodes, read
from fedwiz.verify.values import Ping
from tests.support.measured_cluster import IPUTILS, b64
from tests.support.patience import GIVE_UP
from tests.support.sample_cluster import ADDRESSES, BARE, NODES, answered, on

N1, N2, N3 = NODES
A1, A2, A3 = (ADDRESSES[name] for name in NODES)
PAIRS = set(permutations(NODES, 2))
GOOD = PeerResult(Ping(3, 3, "0.31/0.35/0.42"), "REACHABLE", "")
ETH1 = Link("eth1", "52:54:00:01:00:01", 1500, True, ("10.77.0.2/24",))


def meeting(known: ClusterFacts = BARE, *sets: str) -> NodePings:
    return NodePings({host.name: host for host in answered(*sets).nodes}, known)


def heard(made: NodePings, **more: PeerResult) -> NodePings:
    """All is well but for some pairs, named as `n1n2`."""
    said = {one: dict.fromkeys(made.peers(one), GOOD) for one in NODES}
    for pair, it in more.items():
        one, other = NODES[int(pair[1]) - 1], NODES[int(pair[3]) - 1]
        said[one][made.ends[other].address] = it
    return replace(made, replies=said)


def links(name: str, *more: Link, up: bool = True, addresses: Sequence[str] = ()) -> ClusterFacts:
    """The cluster with eth0 of a node changed, and links added to it."""
    lo, eth0, docker0 = BARE.hosts[name].links
    eth0 = replace(eth0, up=up, addresses=tuple(addresses) or eth0.addresses)
    return on(name, links=(lo, eth0, docker0, *more))


# What keeps a pair from being pinged.

OBSTACLES: Mapping[str, tuple[NodePings, str, str]] = {
    "lost": (
        meeting(replace(BARE, lost={N2: "no route to host"})),
        "skipped",
        "fed-node2 could not be reached: no route to host",
    ),
    "not asked": (
        meeting(replace(BARE, hosts={N1: BARE.hosts[N1], N3: BARE.hosts[N3]})),
        "skipped",
        "there is no connection to it",
    ),
    "links unread": (meeting(on(N2, links=())), "skipped", "could not be read"),
    "no such interface": (
        meeting(BARE, f"host.{N2}.interface=eth7"),
        "skipped",
        "fed-node2 has no interface eth7: set `interface` of fed-node2",
    ),
    "no such address": (
        meeting(BARE, f"host.{N2}.interface=10.9.9.9"),
        "skipped",
        "fed-node2 has no interface 10.9.9.9",
    ),
    "no default route": (meeting(on(N2, routes=())), "skipped", "no default route"),
    "no address": (
        meeting(links(N2, replace(ETH1, addresses=())), f"host.{N2}.interface=eth1"),
        "skipped",
        "eth1 of fed-node2 has no IPv4 address",
    ),
    "down": (
        meeting(links(N2, up=False)),
        "fail",
        f"eth0 of fed-node2, which has {A2}, is down: `ip link set eth0 up` there",
    ),
    "docker's own": (
        meeting(BARE, f"host.{N2}.interface=docker0"),
        "fail",
        "docker0 of fed-node2, which has",
    ),
    "what the others have, too": (
        meeting(
            links(N2, replace(ETH1, addresses=("172.17.0.1/16",))), f"host.{N2}.interface=eth1"
        ),
        "fail",
        "fed-node2 would publish 172.17.0.1, which fed-node",
    ),
    "loopback": (meeting(BARE, f"host.{N2}.interface=lo"), "fail", "127.0.0.1, which fed-node"),
}


@pytest.mark.parametrize(("made", "level", "why"), OBSTACLES.values(), ids=OBSTACLES)
def test_pairs_with_such_a_node_are_not_pinged_and_others_are(
    made: NodePings, level: str, why: str
) -> None:
    assert made.peers(N2) == ()
    assert (made.peers(N1), made.peers(N3)) == ((A3,), (A1,))
    for pair in PAIRS:
        verdict = heard(made).judge(*pair)
        assert verdict.level == (level if N2 in pair else "pass")
        assert (why in verdict.why) is (N2 in pair)


def test_nodes_with_one_address_would_ping_themselves_and_nobody_knows_which_answers() -> None:
    made = meeting(links(N2, addresses=(f"{A1}/24",)))
    assert [made.peers(name) for name in NODES] == [(), (), ()]
    found = {pair: made.judge(*pair) for pair in PAIRS}
    assert {it.level for it in found.values()} == {"fail"}
    assert found[N1, N2].why == (
        f"fed-node1 and fed-node2 would both publish {A1}, so nobody could tell them apart: set "
        "`interface` of each to the one with an address of its own"
    )
    assert {it.why for it in found.values()} == {found[N1, N2].why}


def test_a_name_that_is_no_word_of_a_command_is_not_sent() -> None:
    odd = "\ud800\x1b[2J"
    known = on(
        N2, links=(replace(ETH1, name=odd),), routes=(replace(BARE.hosts[N2].routes[0], dev=odd),)
    )
    verdict = meeting(known).judge(N2, N1)
    assert verdict.level == "skipped"
    assert verdict.why.startswith(" of fed-node2 is not a valid interface name")


# What is made of the answers.

LOST = PeerResult(Ping(3, 0), "none", "")
FAR = meeting(links(N2, ETH1), f"host.{N2}.interface=eth1")
DROPS = ("-P INPUT ACCEPT", "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP")
JUDGED: Mapping[str, tuple[NodePings, tuple[str, str], str, str]] = {
    "well": (heard(meeting()), ("pass", "3/3, 0.31/0.35/0.42 ms"), "", ""),
    "some lost": (
        heard(meeting(), n1n2=PeerResult(Ping(3, 1, "1/1/1"), "none", "")),
        ("pass", "1/3, 1/1/1 ms"),
        f"2 of 3 pings between {A1} and {A2} were lost",
        "ip -s link",
    ),
    "one way only": (
        heard(meeting(), n1n2=LOST),
        ("fail", "0/3"),
        "but fed-node2's own to fed-node1 come back: there is a way",
        "see `iptables -S INPUT` on fed-node2",
    ),
    "no neighbour": (
        heard(meeting(), n1n2=replace(LOST, neighbour="FAILED"), n2n1=LOST),
        ("fail", "0/3"),
        "nobody has that address on the wire that eth0 of fed-node1 is on",
        "set `interface` of both",
    ),
    "a neighbour that answers no ping": (
        heard(meeting(), n1n2=replace(LOST, neighbour="REACHABLE"), n2n1=LOST),
        ("fail", "0/3"),
        "though it is there, on one wire with eth0 of fed-node1: ICMP may be",
        "blocked, and flannel needs none; see `iptables -S INPUT` on fed-node2",
    ),
    "a neighbour that was there while it was pinged": (
        heard(meeting(), n1n2=replace(LOST, neighbour="STALE"), n2n1=LOST),
        ("fail", "0/3"),
        "though it is there, on one wire with eth0 of fed-node1: ICMP may be",
        "blocked, and flannel needs none; see `iptables -S INPUT` on fed-node2",
    ),
    "a rule may": (
        heard(meeting(on(N2, rules={"filter": DROPS})), n1n2=LOST, n2n1=LOST),
        ("fail", "0/3"),
        "or ICMP is blocked",
        f"see the rule `{DROPS[1]}` on fed-node2",
    ),
    "a policy may": (
        heard(meeting(on(N2, rules={"filter": ("-P INPUT DROP",)})), n1n2=LOST, n2n1=LOST),
        ("fail", "0/3"),
        "or ICMP is blocked",
        "see the rule `-P INPUT DROP` on fed-node2",
    ),
    "a rule of its own may": (
        heard(meeting(on(N1, rules={"filter": DROPS})), n1n2=LOST, n2n1=LOST),
        ("fail", "0/3"),
        "or ICMP is blocked",
        f"see the rule `{DROPS[1]}` on fed-node1",
    ),
    "rules on other things may not": (
        heard(
            meeting(
                on(
                    N2,
                    rules={
                        "filter": (
                            "-P FORWARD DROP",
                            "-A INPUT -p tcp -j DROP",
                            "-A INPUT -s 10.9.9.9/32 -j DROP",
                        )
                    },
                )
            ),
            n1n2=LOST,
            n2n1=LOST,
        ),
        ("fail", "0/3"),
        f"there is no way from {A1} (eth0 of fed-node1) to it, or ICMP is",
        "see `iptables -S INPUT` on fed-node2",
    ),
    "two networks": (
        heard(FAR, n1n2=LOST, n2n1=LOST),
        ("fail", "0/3"),
        "no ping came back from 10.77.0.2 (eth1 of fed-node2), which is on 10.",
        "and eth0 of fed-node1 on 192.168.122.0/24: no router leads there, or ICMP is blocked",
    ),
    "a word on why": (
        heard(meeting(), n1n2=replace(LOST, ping=Ping(3, 0, "", "From 9.9.9.9 Prohibited"))),
        ("fail", "0/3, From 9.9.9.9 Prohibited"),
        "",
        "",
    ),
    "no figures": (
        heard(
            meeting(), n1n2=PeerResult(None, "none", "ping: bind: Cannot assign requested address")
        ),
        ("skipped", ""),
        "fed-node1 could not ping",
        f"try `ping -I {A1} {A2}` there",
    ),
    "nothing sent": (
        heard(meeting(), n1n2=PeerResult(Ping(0, 0), "none", "")),
        ("skipped", ""),
        "it said nothing",
        f"try `ping -I {A1} {A2}` there",
    ),
    "no answer": (
        replace(heard(meeting()), failed={N1: "fed-node1 has no ping"}),
        ("skipped", ""),
        "fed-node1 has no ping",
        "",
    ),
}


@pytest.mark.parametrize(("made", "verdict", "why", "remedy"), JUDGED.values(), ids=JUDGED)
def test_what_is_made_of_the_answers(
    made: NodePings, verdict: tuple[str, str], why: str, remedy: str
) -> None:
    found = made.judge(N1, N2)
    assert (found.kind, found.host, found.peer) == ("meet", N1, N2)
    assert (found.level, found.seen) == verdict
    assert why in found.why
    assert remedy in found.why
    assert bool(found.why) is (verdict != ("pass", "3/3, 0.31/0.35/0.42 ms"))


# What nodes are asked, and how their answers are read.

RTT = "rtt min/avg/max/mdev = 0.31/0.35/0.42/0.04 ms\n"
SAID = {3: IPUTILS.format(n=3, loss=0, rtt=RTT), 0: IPUTILS.format(n=0, loss=100, rtt="\n")}


def met(address: str, received: int = 3, state: str = "REACHABLE") -> str:
    return f"met {address} {state} {b64(SAID[received])}\n"


def test_a_question_is_one_command_with_a_limit_and_words_stay_words() -> None:
    run = ask(NodeEnd("eth0", IPv4Interface(f"{A1}/24")), [A2, A3])
    assert run.argv[:2] == ("sh", "-c")
    assert run.argv[3:] == ("meet.sh", A1, "eth0", A2, A3)
    assert not run.changes
    assert 9 < run.timeout < 30


def test_an_answer_is_read() -> None:
    said = met(A2) + f"met {A3} none {b64('ping: SO_BINDTODEVICE' + chr(27) + '[1m eth7')}\nend\n"
    found = read(said, [A2, A3])
    assert (found[A2].ping, found[A2].neighbour) == (Ping(3, 3, "0.31/0.35/0.42"), "REACHABLE")
    assert found[A3] == PeerResult(None, "none", "ping: SO_BINDTODEVICE eth7")


NO_ANSWER = {
    "empty": "",
    "cut off": met(A2) + met(A3),
    "something after": met(A2) + met(A3) + "end\nmore\n",
    "one is missing": met(A2) + "end\n",
    "one twice": met(A2) + met(A3) + met(A3) + "end\n",
    "one that was not pinged": met(A2) + met(A3) + met("9.9.9.9") + "end\n",
    "no base64": met(A2) + f"met {A3} none x\nend\n",
    "more after its padding": met(A2) + f"met {A3} none eA==eA==\nend\n",
    "no state": met(A2) + f"met {A3} $(reboot) {b64('')}\nend\n",
    "garbage": "\x1b[2J\x00\nend\n",
}


@pytest.mark.parametrize("said", NO_ANSWER.values(), ids=NO_ANSWER)
def test_an_answer_is_believed_only_whole(said: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(said, [A2, A3])


WORDS = st.sampled_from(
    [
        "end",
        "end\n",
        "\n",
        " ",
        "met ",
        f"met {A2} none ",
        f"met {A3} FAILED ",
        A2,
        "none",
        "=",
        b64(SAID[3]),
        b64(SAID[0]),
        b64("\udcff".encode("utf-8", "surrogateescape").hex()),
        "gICA",
        "٣",
    ]
)


@given(said=st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=9))).map("".join)))
def test_reading_raises_nothing_but_value_error(said: str) -> None:
    with suppress(ValueError):
        assert set(read(said, [A2, A3])) == {A2, A3}


# The whole, over sessions that answer as nodes do.


Say = Callable[[Run], Awaitable[Reply]]


@dataclass
class Node(Session):
    """A node that answers as `say` does."""

    host: str
    say: Say
    asked: list[Run] = field(default_factory=list)

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
        self.asked.append(run)
        return await self.say(run)


async def well(run: Run) -> Reply:
    return Reply(0, "".join(met(peer) for peer in run.argv[6:]) + "end\n")


async def gone(run: Run) -> Reply:
    raise UnreachableError("the connection is gone")


def reply(code: int, out: str, err: str = "") -> Say:
    async def say(_run: Run) -> Reply:
        return Reply(code, out, err)

    return say


async def found_by(
    sessions: Mapping[str, Session], known: ClusterFacts = BARE, answers: Answers | None = None
) -> dict[tuple[str, str], Verdict]:
    told: list[Event] = []
    made = answers or answered()
    verdicts = await ping_nodes(made, sessions, known, told.append)
    assert told == list(verdicts)
    names = [host.name for host in made.nodes]
    assert [(it.host, it.peer) for it in verdicts] == list(permutations(names, 2))
    return {(it.host, it.peer): it for it in verdicts}


async def test_each_node_gets_one_command() -> None:
    sessions = {name: Node(name, well) for name in NODES}
    found = await found_by(sessions)
    assert {(it.level, it.seen, it.why) for it in found.values()} == {
        ("pass", "3/3, 0.31/0.35/0.42 ms", "")
    }
    assert [len(node.asked) for node in sessions.values()] == [1, 1, 1]
    assert sessions[N1].asked[0].argv[4:] == (A1, "eth0", A2, A3)


NO_WORD: Mapping[str, tuple[Say | None, str]] = {
    "gone": (gone, "fed-node3 could not be asked: the connection is gone"),
    "never there": (None, "fed-node3 could not be asked: there is no connection to it"),
    "no ping": (reply(0, "noping\n"), "fed-node3 has no ping, so nothing is known: `dnf install"),
    "garbage": (
        reply(127, "", "sh: \x1b[31mtail: not\nfound"),
        "the answer is not whole; exit status 127, sh: tail: not found): try ping",
    ),
    "silence": (reply(124, ""), "exit status 124, it said nothing"),
    "lies": (reply(0, met("9.9.9.9") + "end\n"), "not about those that were pinged"),
}


@pytest.mark.parametrize(("say", "why"), NO_WORD.values(), ids=NO_WORD)
async def test_a_node_that_tells_nothing_is_still_pinged(say: Say | None, why: str) -> None:
    sessions = {name: Node(name, well) for name in (N1, N2)}
    found = await found_by(sessions | ({N3: Node(N3, say)} if say else {}))
    assert {pair for pair, it in found.items() if it.level == "skipped"} == {(N3, N1), (N3, N2)}
    assert why in found[N3, N1].why
    assert found[N1, N3].level == "pass"


# The script itself, with tools of ours.

PING = """\
#!/bin/sh
for peer; do :; done
printf '%s\\n' "$*" >>"$HOME/log"
# No ping ends before all have begun.
: >"$HOME/begun.$peer"
until set -- "$HOME"/begun.*; [ $# -ge 3 ]; do sleep 0.02; done
echo "PING $peer 56(84) bytes of data." >&2
[ "$peer" = 192.0.2.3 ] || { echo "3 packets transmitted, 0 received, 100% packet loss"; exit 1; }
printf '3 packets transmitted, 3 received\\nrtt min/avg/max/mdev = 1/2/3/0.1 ms\\n'
"""
IP = """\
#!/bin/sh
case "$*" in
  "-4 neighbour show to 192.0.2.3 dev e;t*") echo "192.0.2.3 lladdr 52:54:00:00:00:03 REACHABLE " ;;
  *192.0.2.4*) echo "192.0.2.4 FAILED" ;;
esac
"""
HERE = NodeEnd("e;t*", IPv4Interface("192.0.2.2/24"))
PEERS = ("192.0.2.3", "192.0.2.4", "192.0.2.5")


def scripted(home: Path, **tools: str) -> subprocess.CompletedProcess[str]:
    """What the script says on a host that has these tools, and no ping of its own."""
    (home / "bin").mkdir()
    for name in ("sh", "timeout", "tail", "base64", "tr", "sleep"):
        (home / "bin" / name).symlink_to(shutil.which(name) or name)
    for name, text in tools.items():
        (home / "bin" / name).write_text(text)
        (home / "bin" / name).chmod(0o755)
    environ = {"HOME": str(home), "PATH": str(home / "bin")}
    (home / "e;trap").touch()  # what the interface's name would be taken for
    return subprocess.run(
        [str(home / "bin/sh"), *ask(HERE, PEERS).argv[1:]],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        cwd=home,
        timeout=GIVE_UP,
    )


def test_the_script_pings_all_at_once_bound_to_address_and_interface(tmp_path: Path) -> None:
    said = scripted(tmp_path, ping=PING, ip=IP)
    assert (said.returncode, said.stderr) == (0, "")
    found = read(said.stdout, PEERS)
    assert {peer: (it.ping, it.neighbour) for peer, it in found.items()} == {
        "192.0.2.3": (Ping(3, 3, "1.00/2.00/3.00"), "REACHABLE"),
        "192.0.2.4": (Ping(3, 0), "FAILED"),
        "192.0.2.5": (Ping(3, 0), "none"),
    }
    assert found["192.0.2.4"].message.startswith("PING 192.0.2.4 56(84)")
    assert sorted((tmp_path / "log").read_text().splitlines()) == [
        f"-n -c 3 -i 0.2 -W 3 -I 192.0.2.2 -I e;t* {peer}" for peer in PEERS
    ]


DOUBT = """\
#!/bin/sh
echo "$*" >>"$HOME/asked"
case "$*" in *192.0.2.4*) ;; *) exit 0 ;; esac
case $(grep -cF 192.0.2.4 "$HOME/asked") in
  1) echo "192.0.2.4 lladdr 52:54:00:00:00:04 DELAY" ;;
  2) echo "192.0.2.4 lladdr 52:54:00:00:00:04 PROBE" ;;
  *) echo "192.0.2.4 lladdr 52:54:00:00:00:04 REACHABLE" ;;
esac
"""


def test_the_script_waits_for_what_the_kernel_finds_of_a_quiet_neighbour(tmp_path: Path) -> None:
    found = read(scripted(tmp_path, ping=PING, ip=DOUBT).stdout, PEERS)
    assert found["192.0.2.4"].neighbour == "REACHABLE"


def test_the_script_takes_busybox_for_ping_and_needs_no_ip(tmp_path: Path) -> None:
    said = scripted(tmp_path, busybox=PING)
    assert said.stderr == ""
    found = read(said.stdout, PEERS)["192.0.2.3"]
    assert (found.ping, found.neighbour) == (Ping(3, 3, "1.00/2.00/3.00"), "none")
    assert "ping -c 3 -W 3 -I 192.0.2.2 192.0.2.3" in (tmp_path / "log").read_text()


def test_the_script_says_that_there_is_no_ping(tmp_path: Path) -> None:
    said = scripted(tmp_path)
    assert (said.returncode, said.stdout) == (0, "noping\n")


# Simulated hosts.


class Tried:
    """A practice cluster, and what is found on it."""

    def __init__(self, hosts: int = 4, fault: str = "", *sets: str) -> None:
        self.hosts = hosts
        self.answers = practice_answers(hosts, sets, fault)
        self.practice = Practice(self.answers, fault)
        self.nodes: list[Node] = []

    def node(self, number: int) -> Machine:
        return self.practice.cluster.nodes()[number - 1]

    async def found(self, *sets: str) -> dict[tuple[str, str], Verdict]:
        """What is found, with other answers if there are some, on the same hosts."""
        answers = practice_answers(self.hosts, sets) if sets else self.answers
        practice = self.practice
        async with connect_all(answers, practice, practice.open_store, lambda _: None) as ways:
            known = await read_facts(ways)
            self.nodes = [Node(name, it.ask) for name, it in ways.sessions.items()]
            return await found_by({node.host: node for node in self.nodes}, known, answers)


def levels(found: Mapping[tuple[str, str], Verdict], level: str) -> set[tuple[str, str]]:
    return {pair for pair, it in found.items() if it.level == level}


def pairs_of(*names: str) -> set[tuple[str, str]]:
    return {pair for pair in PAIRS if set(names) & set(pair)}


async def test_fifty_nodes_meet_with_a_command_each() -> None:
    it = Tried(51)
    found = await it.found()
    assert len(found) == 50 * 49
    assert levels(found, "pass") == set(found)
    assert {node.host: len(node.asked) for node in it.nodes} == {
        host.name: int(host.role == "node") for host in it.answers.host
    }


async def test_virtualbox_s_twins_are_not_pinged_until_another_interface_is_chosen() -> None:
    it = Tried(4, "nat-twins")
    found = await it.found()
    assert levels(found, "fail") == PAIRS
    assert all("would both publish 10.0.2.15" in verdict.why for verdict in found.values())
    assert [node.asked for node in it.nodes] == [[], [], [], []]
    eth0 = [f"host.{name}.interface=eth0" for name in NODES]
    found = await it.found(*eth0[:2])
    assert levels(found, "pass") == {(N1, N2), (N2, N1)}
    assert "fed-node3 would publish 10.0.2.15, which fed-node1 has itself" in found[N1, N3].why
    assert levels(await it.found(*eth0), "pass") == PAIRS


async def test_a_node_that_nobody_reaches_is_skipped() -> None:
    found = await Tried(4, "unreachable").found()
    assert levels(found, "skipped") == pairs_of(N2)
    assert levels(found, "pass") == PAIRS - pairs_of(N2)
    assert "fed-node2 (192.168.122.78) does not answer on port 22" in found[N1, N2].why


async def test_a_card_on_another_network_meets_those_that_chose_it_too() -> None:
    it = Tried()
    for number in (1, 2, 3):
        it.node(number).add_link(replace(ETH1, addresses=(f"10.77.0.{number}/24",)))
    eth1 = [f"host.{name}.interface=eth1" for name in NODES]
    found = await it.found(eth1[1])
    assert levels(found, "fail") == pairs_of(N2)
    assert "nobody has that address on the wire that eth1 of fed-node2 is on" in found[N2, N1].why
    assert "which is on 10.77.0.0/24, and eth0 of fed-node1 on" in found[N1, N2].why
    assert levels(await it.found(*eth1), "pass") == PAIRS
    it.node(3).links["eth1"] = replace(it.node(3).links["eth1"], up=False)
    found = await it.found(*eth1)
    assert levels(found, "fail") == pairs_of(N3)
    assert "eth1 of fed-node3, which has 10.77.0.3, is down" in found[N1, N3].why


async def test_routers_lead_to_networks_that_send_through_them() -> None:
    assert levels(await Tried(4, "", f"host.{N2}.address=10.9.9.9").found(), "pass") == PAIRS


async def test_a_host_that_drops_icmp_is_told_from_one_that_is_not_there() -> None:
    it = Tried()
    it.node(2).chains.append("filter", "INPUT", "-p icmp -j DROP")
    found = await it.found()
    assert levels(found, "fail") == pairs_of(N2)
    assert levels(found, "pass") == PAIRS - pairs_of(N2)
    assert "though it is there, on one wire with eth0 of fed-node1" in found[N1, N2].why
    for pair in pairs_of(N2):
        assert "see the rule `-A INPUT -p icmp -j DROP` on fed-node2" in found[pair].why


async def test_a_host_that_drops_requests_alone_is_known_to_be_reached() -> None:
    it = Tried()
    for rule in ("-m conntrack --ctstate ESTABLISHED -j ACCEPT", "-p icmp -j DROP"):
        it.node(2).chains.append("filter", "INPUT", rule)
    found = await it.found()
    assert levels(found, "fail") == {(N1, N2), (N3, N2)}
    assert "fed-node2's own to fed-node1 come back: there is a way" in found[N1, N2].why


async def test_an_address_that_has_gone_since_the_facts_were_read_is_told() -> None:
    it = Tried()
    practice = it.practice
    async with connect_all(it.answers, practice, practice.open_store, lambda _: None) as ways:
        known = await read_facts(ways)
        eth0 = it.node(2).links["eth0"]
        it.node(2).links["eth0"] = replace(eth0, addresses=("192.168.122.99/24",))
        found = await found_by(ways.sessions, known, it.answers)
        it.node(2).drop_link("eth0")
        later = await found_by(ways.sessions, known, it.answers)
    assert levels(found, "skipped") == levels(later, "skipped") == {(N2, N1), (N2, N3)}
    assert "ping: bind: Cannot assign requested address" in found[N2, N1].why
    assert "ping: SO_BINDTODEVICE eth0: No such device" in later[N2, N1].why
    assert levels(found, "fail") == {(N1, N2), (N3, N2)}


def down(node: Machine) -> None:
    node.links["eth0"] = replace(node.links["eth0"], up=False)


def has(number: int, address: str, dev: str = "eth1") -> Callable[[Tried], None]:
    def bend(it: Tried) -> None:
        it.node(number).links.pop(dev, None)
        it.node(number).add_link(replace(ETH1, name=dev, addresses=(f"{address}/24",)))

    return bend


def both(*bends: Callable[[Tried], None]) -> Callable[[Tried], None]:
    def bend(it: Tried) -> None:
        for each in bends:
            each(it)

    return bend


P1, P2 = "192.168.122.77", "192.168.122.78"
ETH0, SECOND = (
    NodeEnd("eth0", IPv4Interface(f"{P1}/24")),
    NodeEnd("eth1", IPv4Interface("10.77.0.1/24")),
)
SENT: Mapping[str, tuple[Callable[[Tried], None], NodeEnd, str, bool]] = {
    "well": (lambda it: None, ETH0, P2, True),
    "to itself": (lambda it: None, ETH0, P1, True),
    "its own card is down": (lambda it: down(it.node(1)), ETH0, P2, False),
    "the other's is": (lambda it: down(it.node(2)), ETH0, P2, False),
    "nothing may leave": (
        lambda it: it.node(1).chains.append("filter", "OUTPUT", "-p icmp -j DROP"),
        ETH0,
        P2,
        False,
    ),
    "on a second network": (
        both(has(1, "10.77.0.1"), has(2, "10.77.0.2")),
        SECOND,
        "10.77.0.2",
        True,
    ),
    "whose address the peer has": (
        both(has(1, "10.77.0.1"), has(2, "10.77.0.2"), has(2, "10.77.0.1", "docker0")),
        SECOND,
        "10.77.0.2",
        False,
    ),
    # fed-master comes first where a wire has an address twice.
    "the answer goes to a twin": (
        both(
            has(1, "10.77.0.1"),
            has(2, "10.77.0.2"),
            lambda it: it.practice.cluster.machines["fed-master"].add_link(
                replace(ETH1, addresses=("10.77.0.1/24",))
            ),
        ),
        SECOND,
        "10.77.0.2",
        False,
    ),
}


@pytest.mark.parametrize(("bend", "end", "target", "comes_back"), SENT.values(), ids=SENT)
async def test_what_becomes_of_a_ping_between_simulated_cards(
    bend: Callable[[Tried], None], end: NodeEnd, target: str, *, comes_back: bool
) -> None:
    it = Tried()
    bend(it)
    async with it.practice.connect(N1) as session:
        said = read((await session.ask(ask(end, [target]))).out, [target])
    ping = said[target].ping
    assert ping
    assert (ping.sent, ping.received) == (3, 3 if comes_back else 0)
