"""Whether the backend's UDP port lets packets through, tried before flannel has it."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.checks import Finding, judge
from fedwiz.checks.ports import NOT_ALLOWED
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all, changed_facts, fingerprints
from fedwiz.engine.connections import connect_all, read_facts
from fedwiz.facts import ClusterFacts, Link, Tried
from fedwiz.facts.values import ICMP, Facts, Firewall, udp_rule
from fedwiz.model.actions import Reply, Run, Session, UnreachableError
from fedwiz.practice import Practice, practice_answers
from fedwiz.practice.machine import Machine
from fedwiz.verify.ports import (
    LISTENER_SECONDS,
    TRIAL_REFUSALS,
    listen,
    read_listen,
    read_received,
    read_send,
    report_received,
    send,
    try_udp_port,
)
from tests.support.measured_cluster import b64
from tests.support.patience import GIVE_UP
from tests.support.sample_cluster import ADDRESSES, BARE, DONE, NODES, answered, on

N1, N2, N3 = NODES
A1, A2, A3 = (ADDRESSES[name] for name in NODES)
PAIRS = frozenset(permutations(NODES, 2))

# What is made of it.


def found(known: ClusterFacts, *sets: str) -> list[Finding]:
    return [it for it in judge(answered(*sets), known) if it.check == "udp-port"]


def tried(
    known: ClusterFacts = BARE, *lost: str, why: str = "", **more: Mapping[str, str]
) -> ClusterFacts:
    """A trial in which some pairs lost all, named as `n1n2`, or all that begin or end so."""
    gone = {
        (one, other): why
        for one, other in PAIRS
        if any(name in f"n{one[-1]}n{other[-1]}" for name in lost)
    }
    failed, deaf = more.get("failed", {}).keys(), more.get("held", {}).keys()
    left = {pair for pair in PAIRS if not failed & set(pair) and pair[1] not in deaf}
    return replace(known, udp=Tried(frozenset(left - gone.keys()), gone, **more))


SHUT = Firewall("FedoraServer")
DROP = "-A INPUT -p udp -m udp --dport 8472 -j DROP"
NFT = "see `iptables -S INPUT`, `nft list ruleset`"


def rules(*lines: str) -> dict[str, tuple[str, ...]]:
    return {"filter": lines, "nat": ()}


@dataclass(frozen=True)
class Row:
    known: ClusterFacts
    said: tuple[tuple[str, str, str, str], ...]
    """Level, host, part of what is seen and of the remedy."""

    sets: tuple[str, ...] = ()


ROWS: Mapping[str, Row] = {
    "well": Row(BARE, (("ok", "", "8472/udp gets through between all 3 nodes", ""),)),
    "another port": Row(BARE, (("ok", "", "4789/udp gets through", ""),), ("backend.port=4789",)),
    "not tried": Row(
        replace(BARE, udp=None),
        (("warn", "", "not judged: whether 8472/udp lets packets through", "fedwiz check"),),
    ),
    "no port": Row(
        replace(BARE, udp=None),
        (("ok", "", "host-gw has no UDP port", ""),),
        ('backend.type="host-gw"',),
    ),
    "one lets nothing in": Row(
        tried(BARE, "n1n2", "n3n2"),
        (("block", N2, "nothing arrives at 8472/udp from other nodes", NFT),),
    ),
    "one refuses, by a rule": Row(
        tried(on(N2, rules=rules(DROP)), "n1n2", "n3n2", why="Connection refused"),
        (
            (
                "block",
                N2,
                "from other nodes (they hear: Connection refused)",
                f"let 8472/udp in there, before the rule `{DROP}`",
            ),
        ),
    ),
    "one lets nothing out": Row(
        tried(BARE, "n1n"),
        (
            (
                "block",
                N1,
                "nothing that it sends to 8472/udp of other nodes arrives",
                "let 8472/udp out there: see `iptables -S OUTPUT`",
            ),
        ),
    ),
    "one drops what it sends, by a rule": Row(
        tried(on(N1, rules=rules("-P OUTPUT DROP")), "n1n", why=NOT_ALLOWED),
        (
            (
                "block",
                N1,
                "its own packet filter drops what it sends to 8472/udp",
                "out there, before the rule `-P OUTPUT DROP`",
            ),
        ),
    ),
    "one pair": Row(
        tried(BARE, "n1n2"), (("block", N2, f"nothing arrives at 8472/udp from {N1}", NFT),)
    ),
    "two let nothing in": Row(
        tried(BARE, "n1n2", "n3n2", "n1n3", "n2n3"),
        (("block", N2, "from other nodes", ""), ("block", N3, "from other nodes", "")),
    ),
    "one neither in nor out": Row(
        tried(BARE, "n2"),
        (("block", N2, "nothing that it sends", ""), ("block", N2, "from other nodes", "")),
    ),
    "none at all": Row(
        tried(BARE, "n"),
        (
            (
                "block",
                "",
                "each other's 8472/udp arrives, on none of the 3 nodes",
                "the firewall of the network, the cloud or the hypervisor",
            ),
        ),
    ),
    "none between two": Row(
        tried(replace(BARE, hosts={n: f for n, f in BARE.hosts.items() if n != N3}), "n"),
        (("block", N1, "", ""), ("block", N2, "", "")),
    ),
    "none at all, by rules": Row(
        tried(on("*", rules=rules("-P INPUT DROP")), "n"),
        tuple(("block", name, "from other nodes", "`-P INPUT DROP`") for name in NODES),
    ),
    "firewalld on one": Row(
        replace(on(N2, firewall=SHUT), udp=Tried(frozenset(it for it in PAIRS if it[1] != N2))),
        (("ok", "", f"gets through to {N1}, {N3}; the install opens 8472/udp on {N2}", ""),),
    ),
    "firewalld on all": Row(
        replace(on("*", firewall=SHUT), udp=Tried()),
        (("ok", "", "the install opens 8472/udp on fed-node1, fed-node2, fed-node3", ""),),
    ),
    "firewalld that lets it in": Row(
        on("*", firewall=Firewall("public", frozenset({"8472/udp"}))),
        (("ok", "", "gets through between all 3 nodes", ""),),
    ),
    "flannel runs": Row(
        DONE,
        (("ok", "", f"8472/udp is in use on {N1}, {N2}, {N3}, where the verification", ""),),
    ),
    "flannel runs on one": Row(
        replace(DONE, udp=Tried(frozenset(it for it in PAIRS if it[1] != N1), {}, {N1: ""})),
        (("ok", "", f"gets through to {N2}, {N3}; 8472/udp is in use on {N1}", ""),),
    ),
    "another's vxlan shares it": Row(
        tried(
            on(
                N1, links=(*BARE.hosts[N1].links, Link("vx0", "", 1450, True, (), "vxlan", 7, 8472))
            ),
            in_use={N1: ""},
        ),
        (("ok", "", f"in use on {N1}", ""),),
    ),
    "flannel's own udp": Row(
        replace(BARE, udp=Tried(in_use=dict.fromkeys(NODES, "flanneld (pid 7)"))),
        (("ok", "", "8285/udp is in use", ""),),
        ('backend.type="udp"',),
    ),
    "somebody has it": Row(
        tried(in_use={N1: "python3 (pid 7)"}),
        (
            (
                "block",
                N1,
                "python3 (pid 7) has 8472/udp, so flannel could not",
                "or set backend.port to another port",
            ),
        ),
    ),
    "the kernel has it": Row(
        tried(in_use={N1: ""}),
        (("block", N1, "something in the kernel has 51820/udp", "set backend.listen_port"),),
        ('backend.type="wireguard"',),
    ),
    "one could not": Row(
        tried(failed={N1: TRIAL_REFUSALS["notool"]}),
        (
            (
                "warn",
                N1,
                "8472/udp was not tried there: it has no systemd-socket-activate",
                "the verification shows",
            ),
        ),
    ),
    "no address": Row(
        replace(on(N2, links=()), udp=Tried(frozenset({(N1, N3), (N3, N1)}))),
        (("warn", "", f"8472/udp was not tried to and from {N2}", "the check `interface`"),),
    ),
    "one was lost": Row(
        replace(tried(BARE, "n2"), lost={N2: "no route"}),
        (("ok", "", f"gets through between all 2 nodes; nothing was tried with {N2}", ""),),
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_made_of_a_trial(row: Row) -> None:
    said = found(row.known, *row.sets)
    assert [(it.level, it.host) for it in said] == [it[:2] for it in row.said], said
    for finding, (_, _, seen, remedy) in zip(said, row.said, strict=True):
        assert seen in finding.seen
        assert remedy in finding.remedy


def test_a_block_can_be_accepted_and_changes_nothing_else() -> None:
    known = tried(BARE, "n1n2")
    said = judge(answered(), known, ["udp-port"])
    assert {it.level for it in said if it.check == "udp-port"} == {"warn"}
    assert fingerprints(known) == fingerprints(BARE)


def test_what_many_nodes_lose_reads_well() -> None:
    answers = practice_answers(51)
    names = [host.name for host in answers.nodes]
    pairs = set(permutations(names, 2))
    facts = dict.fromkeys(names, BARE.hosts[N1])
    lost = {pair: "" for pair in pairs if pair[1] in names[:2] or pair[0] == names[7]}
    known = ClusterFacts(facts, udp=Tried(frozenset(pairs - lost.keys()), lost))
    said = [it for it in judge(answers, known) if it.check == "udp-port"]
    assert [it.host for it in said] == [names[7], *names[:2]]
    assert all(len(it.seen) < 90 for it in said)


# Rules that may be to blame.

RULES: Mapping[str, tuple[str, str, str, bool]] = {
    "policy": ("-P INPUT DROP", "INPUT", udp_rule(8472), True),
    "another chain's policy": ("-P FORWARD DROP", "INPUT", udp_rule(8472), False),
    "all": ("-A INPUT -j REJECT --reject-with icmp-host-prohibited", "INPUT", udp_rule(8472), True),
    "udp": ("-A INPUT -p udp -j DROP", "INPUT", udp_rule(8472), True),
    "its port": (DROP, "INPUT", udp_rule(8472), True),
    "its port, out": (DROP.replace("INPUT", "OUTPUT"), "OUTPUT", udp_rule(8472), True),
    "several ports": (
        "-A INPUT -p udp -m multiport --dports 53,8472 -j DROP",
        "INPUT",
        udp_rule(8472),
        True,
    ),
    "another port": ("-A INPUT -p udp -m udp --dport 53 -j DROP", "INPUT", udp_rule(8472), False),
    "a longer port": (
        "-A INPUT -p udp -m udp --dport 84721 -j DROP",
        "INPUT",
        udp_rule(8472),
        False,
    ),
    "tcp": ("-A INPUT -p tcp -m tcp --dport 8472 -j DROP", "INPUT", udp_rule(8472), False),
    "icmp": ("-A INPUT -p icmp -j DROP", "INPUT", ICMP, True),
    "icmp is not udp": ("-A INPUT -p icmp -j DROP", "INPUT", udp_rule(8472), False),
    "accepts": ("-A INPUT -p udp -m udp --dport 8472 -j ACCEPT", "INPUT", udp_rule(8472), False),
}


@pytest.mark.parametrize(("rule", "chain", "about", "may"), RULES.values(), ids=RULES)
def test_a_rule_is_suspected_of_what_it_may_do(
    rule: str, chain: str, about: str, may: bool
) -> None:
    facts = Facts(rules={"filter": ("-P OUTPUT ACCEPT", rule)})
    assert facts.suspect(chain, about) == (rule if may else "")


# What nodes are asked, and how their answers are read.


def test_questions_are_single_commands_that_end_and_words_stay_words() -> None:
    for run, words in (
        (listen("u", 8472, 49), ("udp-listen.sh", "u", "8472", str(LISTENER_SECONDS), "456")),
        (send("u", 3, 8472, [A1, A2]), ("udp-send.sh", "8472", "u 3", A1, A2)),
        (report_received("u", 49), ("udp-tell.sh", "u", "49")),
    ):
        assert run.argv[:2] == ("sh", "-c")
        assert run.argv[3:] == words
        assert not run.changes
        assert run.timeout == 20
    assert LISTENER_SECONDS < 20


SS = 'UNCONN 0 0 0.0.0.0:8472 0.0.0.0:* users:(("python3",pid=505,fd=3),("a\x1b",pid=6,fd=1))\n'


def test_answers_are_read() -> None:
    assert read_listen("ready\n") is None
    assert read_listen(f"held {b64(SS)}\n") == "python3 (pid 505), a (pid 6)"
    assert read_listen("held \n") == ""
    with pytest.raises(ValueError, match=r"it can't listen \(Failed to x: y\)"):
        read_listen(f"failed {b64('Failed to x: y')}")
    for word in ("another", "notool"):
        with pytest.raises(ValueError, match=TRIAL_REFUSALS[word][:30]):
            read_listen(f"{word}\n")
    refused = b64("udp-send: line 13: printf: write error: Connection refused\n")
    said = f"sent {A1} {refused}\nsent {A2} \nend\n"
    assert read_send(said, [A2, A1]) == {A1: "Connection refused", A2: ""}
    with pytest.raises(ValueError, match="it has no bash"):
        read_send("nobash\n", [A1])
    assert read_received("heard 0\nheard 17\nend\n") == {0, 17}
    assert read_received("end\n") == set()
    with pytest.raises(ValueError, match="its listener ended"):
        read_received("gone\n")


NO_ANSWER: Mapping[str, tuple[Callable[[str], object], str]] = {
    "nothing": (read_listen, ""),
    "more than a word": (read_listen, "ready or not"),
    "no base64": (read_listen, "held x"),
    "not ASCII": (read_listen, "held \xe9===\n"),
    "cut off": (lambda said: read_send(said, [A1]), f"sent {A1} \n"),
    "nothing sent": (lambda said: read_send(said, [A1]), "end\n"),
    "another's": (lambda said: read_send(said, [A1]), f"sent {A2} \nend\n"),
    "twice": (lambda said: read_send(said, [A1]), f"sent {A1} \nsent {A1} \nend\n"),
    "words": (lambda said: read_send(said, [A1]), f"sent {A1} a b\nend\n"),
    "odd base64": (lambda said: read_send(said, [A1]), f"sent {A1} eA==eA==\nend\n"),
    "told nothing": (read_received, ""),
    "told half": (read_received, "heard 1\n"),
    "no number": (read_received, "heard x\nend\n"),
    "no digit": (read_received, "heard ٣\nend\n"),
    "long": (read_received, f"heard {'9' * 5000}\nend\n"),
}


@pytest.mark.parametrize(("read", "said"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_an_answer_is_believed_only_whole(read: Callable[[str], object], said: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read(said)


WORD = st.sampled_from(
    [
        "ready",
        "held ",
        "failed ",
        "end\n",
        "\n",
        "sent ",
        A1,
        " ",
        "heard ",
        "1",
        "gone",
        "=",
        "gICA",
        b64(SS),
        "\ud800",
    ]
) | st.text(max_size=4)


@given(said=st.lists(WORD).map("".join))
def test_reading_raises_nothing_but_value_error(said: str) -> None:
    for read in (read_listen, read_received, lambda it: read_send(it, [A1])):
        with suppress(ValueError):
            read(said)


# The whole, on simulated hosts.


@dataclass
class Asked:
    """A session that notes what it was asked, and may go away or talk nonsense."""

    session: Session
    bent: Mapping[str, str | None] = field(default_factory=dict)
    """By script: what is said instead; None: the connection breaks."""

    runs: list[str] = field(default_factory=list)

    async def ask(self, run: Run) -> Reply:
        script = run.argv[3]
        self.runs.append(script)
        if script not in self.bent:
            return await self.session.ask(run)
        said = self.bent[script]
        if said is None:
            raise UnreachableError("the connection is gone")
        return Reply(1, said, "sh: no\x1b[1m")


class Tries:
    """A practice cluster, and what a trial on it finds."""

    def __init__(self, hosts: int = 4, fault: str = "", *sets: str) -> None:
        self.answers = practice_answers(hosts, sets, fault)
        self.practice = Practice(self.answers, fault)
        self.asked: dict[str, Asked] = {}
        self.bent: dict[str, Mapping[str, str | None]] = {}

    def node(self, number: int) -> Machine:
        return self.practice.cluster.nodes()[number - 1]

    async def known(self) -> ClusterFacts:
        practice = self.practice
        async with connect_all(self.answers, practice, practice.open_store, lambda _: None) as ways:
            known = await read_facts(ways)
            self.asked = {
                name: Asked(it, self.bent.get(name, {})) for name, it in ways.sessions.items()
            }
            known = await try_udp_port(self.answers, self.asked, known)  # type: ignore[arg-type]
        assert all(not it.listeners for it in practice.cluster.nodes()) or self.bent
        return known

    async def udp(self) -> Tried:
        udp = (await self.known()).udp
        assert udp is not None
        return udp


ALL = ["udp-listen.sh", "udp-send.sh", "udp-tell.sh"]


async def test_fifty_nodes_are_tried_with_three_commands_each() -> None:
    it = Tries(51)
    udp = await it.udp()
    assert len(udp.arrived) == 50 * 49
    assert udp == Tried(udp.arrived)
    assert {name: asked.runs for name, asked in it.asked.items()} == {
        host.name: ALL if host.role == "node" else [] for host in it.answers.host
    }


@pytest.mark.parametrize("backend", ["host-gw", "ipip", "alloc"])
async def test_nothing_is_tried_where_the_backend_has_no_port(backend: str) -> None:
    it = Tries(4, "", f'backend.type="{backend}"')
    assert await it.udp() == Tried()
    assert {tuple(asked.runs) for asked in it.asked.values()} == {()}


async def test_nothing_is_tried_where_firewalld_keeps_the_port_shut() -> None:
    it = Tries(4, "firewalld")
    assert await it.udp() == Tried()
    it.node(2).firewall = Firewall("public", frozenset({"8472/udp"}))
    assert await it.udp() == Tried(frozenset({(N1, N2), (N3, N2)}))
    assert it.asked[N1].runs == ALL[1:2]
    it.node(2).chains.append("filter", "INPUT", DROP.removeprefix("-A INPUT "))
    assert await it.udp() == Tried(lost={(N1, N2): "", (N3, N2): ""})


async def test_rules_keep_datagrams_from_their_way() -> None:
    it = Tries()
    it.node(2).chains.append("filter", "INPUT", "-p udp -m udp --dport 8472 -j DROP")
    it.node(2).chains.append("filter", "INPUT", "-p udp -m udp --dport 53 -j ACCEPT")
    udp = await it.udp()
    assert udp.lost == {(N1, N2): "", (N3, N2): ""}
    assert udp.arrived == PAIRS - udp.lost.keys()
    it = Tries()
    it.node(1).chains.append("filter", "OUTPUT", "-p udp -j DROP")
    udp = await it.udp()
    assert udp.lost == {(N1, N2): NOT_ALLOWED, (N1, N3): NOT_ALLOWED}


async def test_one_address_of_two_nodes_and_a_node_that_nobody_reaches_are_not_tried() -> None:
    assert await Tries(4, "nat-twins").udp() == Tried()
    udp = await Tries(4, "unreachable").udp()
    assert udp == Tried(frozenset({(N1, N3), (N3, N1)}))


BENT: Mapping[str, tuple[str, str, str, set[tuple[str, str]]]] = {
    "no tool": ("udp-listen.sh", "notool\n", TRIAL_REFUSALS["notool"], {(N1, N2), (N3, N2)}),
    "no bash": ("udp-send.sh", "nobash\n", TRIAL_REFUSALS["nobash"], {(N2, N1), (N2, N3)}),
    "ended": ("udp-tell.sh", "gone\n", TRIAL_REFUSALS["gone"], {(N1, N2), (N3, N2)}),
    "nonsense": (
        "udp-tell.sh",
        "?",
        "it gives no answer (exit status 1, sh: no)",
        {(N1, N2), (N3, N2)},
    ),
}


@pytest.mark.parametrize(("script", "said", "why", "without"), BENT.values(), ids=BENT)
async def test_a_node_that_can_not_do_its_part_is_told_and_others_are_tried(
    script: str, said: str, why: str, without: set[tuple[str, str]]
) -> None:
    it = Tries()
    it.bent[N2] = {script: said}
    assert await it.udp() == Tried(PAIRS - without, failed={N2: why})


@pytest.mark.parametrize("script", ALL)
async def test_a_node_whose_connection_breaks_is_among_the_lost(script: str) -> None:
    it = Tries()
    it.bent[N2] = {script: None}
    known = await it.known()
    assert known.lost == {N2: "the connection is gone"}
    said = [it for it in judge(practice_answers(4), known) if it.check in ("reachable", "udp-port")]
    assert [(it.check, it.level, it.host) for it in said] == [
        ("reachable", "block", N2),
        ("udp-port", "ok", ""),
    ]
    assert said[1].seen.endswith(f"between all 2 nodes; nothing was tried with {N2}")


def on_practice(practice: Practice, *sets: str) -> verbs.RunContext:
    answers = practice_answers(4, sets)
    return verbs.RunContext(answers, practice, practice.open_store, lambda _: None, "run")


async def test_a_check_that_blocks_stops_the_plan_unless_it_is_accepted() -> None:
    practice = Practice(practice_answers(4))
    practice.cluster.nodes()[1].chains.append("filter", "INPUT", DROP.removeprefix("-A INPUT "))
    cluster = on_practice(practice)
    result = await verbs.check(cluster)
    assert (result.code, result.why.partition(";")[0]) == (
        verbs.BLOCKED,
        f"{N2}: nothing arrives at 8472/udp from other nodes",
    )
    cluster.accepted = ("udp-port",)
    plans = [await verbs.plan(cluster) for _ in range(2)]
    assert [it.code for it in plans] == [verbs.OK, verbs.OK]
    digests = {it.plan.digest for it in plans if it.plan}
    prints = [fingerprints(it.known) for it in plans if it.known]
    assert len(digests) == 1
    assert not changed_facts(*prints)


@pytest.mark.parametrize("backend", ["vxlan", "udp", "wireguard"])
async def test_where_flannel_runs_the_port_is_in_use(backend: str) -> None:
    sets = (f'backend.type="{backend}"',)
    cluster = on_practice(Practice(practice_answers(4, sets)), *sets)

    assert (await verbs.install(cluster, approve_all, asyncio.Event(), verified=False)).code == 0
    result = await verbs.check(cluster)
    assert result.code == verbs.OK
    (said,) = (it for it in result.findings if it.check == "udp-port")
    assert (said.level, "is in use on fed-node1, fed-node2, fed-node3" in said.seen) == ("ok", True)
    assert result.known
    assert result.known.udp
    assert result.known.udp.in_use.keys() == set(NODES)


# The scripts themselves, with tools of ours where they must not touch this machine.

SYSTEMD_RUN = """\
#!/bin/sh
printf '%s\\n' "$@" >>"$HOME/log"
[ -z "${REFUSES-}" ] || { echo "$REFUSES" >&2; exit 1; }
while case $1 in -p) shift ;; -*) ;; *) false ;; esac; do shift; done
mkdir -p "$HOME/run/$5"
while [ $# -gt 0 ]; do shift; done
: >"$HOME/up"
"""
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>"$HOME/log"
case $1 in
  list-units) cat "$HOME/others" 2>/dev/null ;;
  -q) [ -e "$HOME/up" ]; exit ;;
esac
:
"""
GREP = """\
#!/bin/sh
# The kernel's table of sockets.
case "$*" in */proc/net/udp*) [ -e "$HOME/bound" ] || [ -e "$HOME/up" ] ;; *) exec {0} "$@" ;; esac
"""


def scripted(home: Path, run: Run, **tools: str) -> subprocess.CompletedProcess[str]:
    """What a script says on a host that has these tools, besides the usual ones."""
    (home / "bin").mkdir(exist_ok=True)
    names = ("sh", "cat", "tail", "base64", "tr", "sed", "sort", "wc", "sleep", "mkdir", "rm")
    for name in {*names, *tools}:
        tool, real = home / "bin" / name, shutil.which(name) or name
        tool.unlink(missing_ok=True)  # never write through a link to a real one
        if text := tools.get(name, ""):
            tool.write_text(text.replace("{0}", real))
            tool.chmod(0o755)
        else:
            tool.symlink_to(real)
    environ = {**os.environ, "HOME": str(home), "PATH": str(home / "bin")}
    return subprocess.run(
        [str(home / "bin/sh"), *run.argv[1:]],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        cwd=home,
        timeout=GIVE_UP,
    )


HERE = listen("udp-fedwiz-t", 8472, 2)
TOOLS = {
    "systemd-run": SYSTEMD_RUN,
    "systemctl": SYSTEMCTL,
    "grep": GREP,
    "systemd-socket-activate": "#!/bin/sh\n",
}


def test_it_listens_as_a_unit_that_ends_by_itself(tmp_path: Path) -> None:
    said = scripted(tmp_path, HERE, **TOOLS)
    assert (said.stdout, said.returncode) == ("ready\n", 0), said.stderr
    log = (tmp_path / "log").read_text().splitlines()
    for word in (
        "--collect",
        "--unit=udp-fedwiz-t",
        "RuntimeMaxSec=15",
        "RuntimeDirectory=udp-fedwiz-t",
    ):
        assert word in log
    assert log[log.index("udp-fedwiz-t") :][:3] == ["udp-fedwiz-t", "8472", "80"]


def test_a_unit_of_it_is_none_that_a_run_waits_for() -> None:
    """`in-flight` blocks on `fedwiz-*.service`."""
    assert not HERE.argv[4].startswith("fedwiz-")


def test_it_says_who_has_the_port_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "bound").touch()
    ss = f'#!/bin/sh\necho "$*" >>"$HOME/log"\necho \'{SS.strip()}\'\n'
    said = scripted(tmp_path, HERE, ss=ss, **TOOLS)
    assert read_listen(said.stdout) == "python3 (pid 505), a (pid 6)"
    assert (tmp_path / "log").read_text().splitlines()[1:] == ["-Hlunp sport = :8472"]


def test_it_waits_for_another_check_that_tries_the_port(tmp_path: Path) -> None:
    (tmp_path / "others").write_text("udp-fedwiz-other.service loaded active running\n")
    (tmp_path / "bound").touch()
    sleep = '#!/bin/sh\necho slept >>"$HOME/log"\n'
    said = scripted(tmp_path, HERE, sleep=sleep, **TOOLS)
    assert said.stdout == "another\n"
    assert (tmp_path / "log").read_text().count("slept") == 15
    away = sleep + 'rm -f "$HOME/bound"\n'
    assert scripted(tmp_path, HERE, sleep=away, **TOOLS).stdout == "ready\n"


def test_another_check_s_listener_that_ends_meanwhile_is_no_stranger(tmp_path: Path) -> None:
    (tmp_path / "bound").touch()
    ends = SYSTEMCTL.replace('cat "$HOME/others" 2>/dev/null', 'rm "$HOME/bound"')
    assert scripted(tmp_path, HERE, **(TOOLS | {"systemctl": ends})).stdout == "ready\n"


def test_it_says_why_it_can_not_listen(tmp_path: Path) -> None:
    without = {name: text for name, text in TOOLS.items() if "activate" not in name}
    assert scripted(tmp_path, HERE, **without).stdout == "notool\n"
    refuses = SYSTEMD_RUN.replace("${REFUSES-}", "x").replace("$REFUSES", "Failed: no bus")
    said = scripted(tmp_path, HERE, **(TOOLS | {"systemd-run": refuses}))
    with pytest.raises(ValueError, match="Failed: no bus"):
        read_listen(said.stdout)
    ends = SYSTEMD_RUN.replace(': >"$HOME/up"', ":")
    said = scripted(tmp_path, HERE, **(TOOLS | {"systemd-run": ends}))
    with pytest.raises(ValueError, match="it can't listen"):
        read_listen(said.stdout)


def test_it_sends_three_lines_to_each_and_tells_what_the_kernel_says(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        port = ear.getsockname()[1]
        peers = ["127.0.0.1", "127.0.0.2", "300.1.1.1"]
        said = scripted(tmp_path, send("udp-fedwiz-t", 7, port, peers), bash="")
        assert said.stderr == ""
        heard = [ear.recv(2048) for _ in range(3)]
        ear.setblocking(False)
        with pytest.raises(BlockingIOError):
            ear.recv(2048)
    assert heard == [b"udp-fedwiz-t 7\n"] * 3
    found = read_send(said.stdout, peers)
    assert (found["127.0.0.1"], found["127.0.0.2"]) == ("", "Connection refused")
    assert found["300.1.1.1"] == "Invalid argument"


def test_it_says_that_there_is_no_bash(tmp_path: Path) -> None:
    said = scripted(tmp_path, send("u", 7, 9, ["127.0.0.1"]))
    assert (said.stdout, said.returncode) == ("nobash\n", 0)


def test_it_tells_nothing_of_a_listener_that_has_ended(tmp_path: Path) -> None:
    said = scripted(tmp_path, report_received("udp-fedwiz-t", 0), systemctl=SYSTEMCTL, grep=GREP)
    assert said.stdout == "gone\n"
    assert "stop" not in (tmp_path / "log").read_text()
