"""What a verification says in sentences, with which signs, and in which order."""

import asyncio
from pathlib import Path

import pytest

from fedwiz import report
from fedwiz.engine import verbs
from fedwiz.model.events import Found, HostLost, Record, Verified
from fedwiz.runs.state import State
from screens.recorded_run import Job, run_job, verify
from screens.widgets import sentences
from screens.widgets.live_run import LiveRun
from screens.widgets.matrix import Cell
from screens.widgets.pair_view import cell_of, doubtful
from tests.support import sample_runs as made
from tests.support.pilot import filled, wizard
from tests.support.sample_runs import NODES
from tests.support.verdicts import bad, ended, leases, pings, red, well

PAIR = NODES[0], NODES[1]

BEHIND = "fed-node2 sees 192.168.122.77 in place of 10.16.29.2: start flanneld with -ip-masq"
NAT = Verified("ping", *PAIR, "pass", "3/3, 0.1/0.1/0.1 ms, seen as ... (NAT)", BEHIND)


def warned() -> State:
    """All pings pass, one of them with a warning."""
    return ended(*leases(), *pings(other={PAIR: NAT}))


WELL = "it was right already, and nothing was changed; all 6 pairs of nodes ping"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (well(), f"+ {WELL}"),
        (warned(), f"! {WELL}; 1 of the verdicts with a warning"),
        (red(), "X 2 of 6 pairs do not ping: fed-node1 -> fed-node2, fed-node2 -> fed-node1"),
        (State(), ". nothing was verified yet: press r"),
    ],
)
def test_how_it_stands_is_said_in_a_line(state: State, said: str) -> None:
    assert sentences.headline(LiveRun(state), 3, going=False).plain == said


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            well(),
            """\
+ pass  fed-node1 -> fed-node2  3/3, 0.05/0.06/0.07 ms, seen as its own
+ pass  fed-node2 -> fed-node1  3/3, 0.05/0.06/0.07 ms, seen as its own""",
        ),
        (
            warned(),
            f"""\
! warn  fed-node1 -> fed-node2  3/3, 0.1/0.1/0.1 ms, seen as ... (NAT)
    -> {BEHIND}
+ pass  fed-node2 -> fed-node1  3/3, 0.05/0.06/0.07 ms, seen as its own""",
        ),
        (
            red(),
            """\
X fail  fed-node1 -> fed-node2  0/3, Destination Host Prohibited
    -> 3 of 3 pings lost; let them through
X fail  fed-node2 -> fed-node1  0/3, Destination Host Prohibited
    -> 3 of 3 pings lost; let them through""",
        ),
        (
            ended(*leases()),
            """\
? unknown  fed-node1 -> fed-node2  not known
? unknown  fed-node2 -> fed-node1  not known""",
        ),
    ],
)
def test_a_pair_is_told_both_ways(state: State, said: str) -> None:
    assert sentences.between(report.pairs(state.verdicts), {}, *PAIR).plain == said


def test_a_node_and_itself_are_told_by_its_own_verdicts() -> None:
    lines = sentences.about(red().verdicts, "fed-node2").plain.splitlines()
    assert [line.rstrip() for line in lines] == [
        "fed-node2 does not ping itself; of its own:",
        "+ pass  addresses",
        "+ pass  lease",
        "+ pass  subnet.env",
    ]
    said = sentences.about((), "fed-node2").plain
    assert said == "fed-node2 does not ping itself; of its own:\nnothing is known yet"


KUBELET = Found("kubelet", "fed-node1", "warn", "kubelet does not run", "start kubelet")
OVERLAP = Found("overlap", "", "block", "10.16.0.0/16 is in use", "choose 10.17.0.0/16")
NEWER = Verified("dns", "fed-node1", "", "pass", "names resolve")
ODD = Verified("lease", "", "", "skipped", "/coreos.com/network/subnets/odd [/b]{", "odd key")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (well(), ["+ every verdict is a pass, and there is no warning"]),
        (warned(), ["! warn  fed-node1 -> fed-node2", f"    -> {BEHIND}"]),
        (
            red(),
            [
                "X fail  fed-node1 -> fed-node2, fed-node2 -> fed-node1",
                "    -> 3 of 3 pings lost; let them through",
                "- skipped  lease of no known host",
                "    -> 10.0.0.9 is not a host of the answers: add the host",
            ],
        ),
        (
            ended(KUBELET, OVERLAP, *leases(), NEWER, ODD, *pings()),
            [
                "- skipped  lease of no known host",
                "    -> odd key",
                "+ pass  dns of fed-node1  names resolve",
                "X block  overlap  10.16.0.0/16 is in use",
                "    -> choose 10.17.0.0/16",
                "! warn  kubelet fed-node1  kubelet does not run",
                "    -> start kubelet",
            ],
        ),
        (
            ended(HostLost("fed-node3", "no route"), *leases(NODES[:2])),
            ["X lost  fed-node3  no route"],
        ),
        (ended(code=3, why="etcd does not run"), ["etcd does not run"]),
        (State(), ["Nothing is known yet."]),
    ],
)
def test_all_that_is_wrong_or_doubtful_is_said_the_worst_first(
    state: State, said: list[str]
) -> None:
    lines = sentences.sentences(state, state.verdicts, {}).plain.splitlines()
    assert [line.rstrip() for line in lines if line] == said


def test_where_it_is_written_stands_below() -> None:
    said = sentences.sentences(well(), well().verdicts, {"Its journal": Path("/x.jsonl")}).plain
    assert said.endswith("no warning\n\nIts journal: /x.jsonl")


def test_a_great_many_reasons_are_counted_beyond_the_first() -> None:
    nodes = tuple(f"n{number}" for number in range(12))
    other = {(one, two): bad(one, two, f"{one} and {two}") for one in nodes for two in nodes}
    state = ended(*pings(nodes, other), code=7)
    said = sentences.sentences(state, state.verdicts, {}).plain
    assert "and 32 more: they are in the report" in said
    assert said.count("X fail") == sentences.MAX_SHOWN


def test_of_each_kind_the_worst_is_known() -> None:
    assert sentences.worst(red().verdicts) == {
        "address": "pass",
        "lease": "skipped",
        "subnet_env": "pass",
        "ping": "fail",
    }
    assert sentences.worst(warned().verdicts)["ping"] == "warn"


@pytest.mark.parametrize(
    ("verdict", "cell", "looked_at"),
    [
        (Verified("ping", *PAIR, "pass", "3/3, 0.1/0.1/0.1 ms"), Cell("pass", "3/3"), False),
        (NAT, Cell("warn", "3/3"), True),
        (bad(*PAIR), Cell("fail", "0/3"), True),
        (Verified("ping", *PAIR, "skipped", ""), Cell("skipped", ""), True),
        (Verified("mtu", *PAIR, "pass", "1450 of 1450 bytes"), Cell("pass", "1450"), False),
        (Verified("peer", *PAIR, "fail", "10.16.31.0/24 via"), Cell("fail", ""), True),
    ],
)
def test_a_cell_says_in_short_what_was_measured(
    verdict: Verified, cell: Cell, looked_at: bool
) -> None:
    assert cell_of(verdict) == cell
    assert doubtful(cell) == looked_at
    assert not doubtful(None)


# While it goes on.


@pytest.mark.parametrize(
    ("told_so_far", "said"),
    [
        (0, "connecting to all hosts"),
        (1, "connecting: 0 of 4 hosts"),
        (3, "connecting: 2 of 4 hosts"),
        (5, "reading 0 of 4 hosts"),
        (8, "reading 3 of 4 hosts"),
        (9, "reading etcd, starting a container on each of 3 nodes"),
        (10, "pinging: every one of 3 nodes pings all others"),
    ],
)
def test_how_far_it_is(told_so_far: int, said: str) -> None:
    events = [*made.begin(verb="verify"), *leases()]
    state = State.of(made.records(events[:told_so_far]))
    assert sentences.phase(state, 3) == said


def test_a_host_that_is_lost_is_not_waited_for() -> None:
    events = [*made.begin(verb="verify")[:4], HostLost("fed-node3", "no route")]
    assert sentences.phase(State.of(made.records(events)), 3) == "reading 0 of 3 hosts"


# What is wrong on a practice cluster.

LOST = (
    "X 4 of 6 pairs do not ping: fed-node1 -> fed-node2, fed-node2 -> fed-node1, "
    "fed-node2 -> fed-node3, fed-node3 -> fed-node2"
)
NO_ANSWER = (
    "fed-node2 (192.168.122.78) does not answer on port 22: is it up, and is there a route to it?"
)
OTHER_KEY = (
    "the host key of fed-node2 (192.168.122.78) is not the one in known_hosts: somebody may be in "
    "between; if it was reinstalled, remove the old key with `ssh-keygen -R 192.168.122.78`"
)
UNKNOWN = (
    "5 other verdicts failed: address of fed-node2, lease of fed-node2, subnet.env of fed-node2, "
    "peer of fed-node2 -> fed-node1, peer of fed-node2 -> fed-node3"
)
NO_LEASES = (
    "X 9 other verdicts failed: lease of fed-node1, lease of fed-node2, lease of fed-node3, "
    "peer of fed-node1 -> fed-node2, peer of fed-node1 -> fed-node3, peer of fed-node2 -> "
    "fed-node1 and 3 more"
)


@pytest.mark.parametrize(
    ("fault", "headline", "said"),
    [
        ("forward-drop", LOST, "3 of 3 pings lost, and the facts do not tell why"),
        (
            "unreachable",
            f"{LOST}; fed-node2 was lost: {NO_ANSWER}; {UNKNOWN}",
            f"\n    -> fed-node2 could not be reached: {NO_ANSWER}\n",
        ),
        (
            "changed-key",
            f"{LOST}; fed-node2 was lost: {OTHER_KEY}; {UNKNOWN}",
            f"\n    -> fed-node2 could not be reached: {OTHER_KEY}\n",
        ),
        (
            "no-etcd",
            NO_LEASES,
            "X fail  the way fed-node1 -> fed-node2\n    -> etcd could not be read",
        ),
    ],
    ids=["forward-drop", "unreachable", "changed-key", "no-etcd"],
)
async def test_what_is_wrong_is_said(
    fault: str, headline: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    draft = filled("verify", fault)
    app, records = wizard(draft), list[Record]()
    assert app.inventory is not None
    job = Job(draft.answers(), verify)
    result = await run_job(job, app.inventory, (), asyncio.Event(), records.append, lambda _: None)
    state = State.of(records)
    assert result.code == state.code == verbs.NOT_PROVEN
    assert sentences.headline(LiveRun(state), 3, going=False).plain == headline
    lines = sentences.sentences(state, state.verdicts, {}).plain.splitlines()
    assert said in "\n".join(line.rstrip() for line in lines)
