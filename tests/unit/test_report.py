"""Reports: the same run as text, Markdown and JSON."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given

from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Diagnosed,
    Event,
    Found,
    HostLost,
    Judged,
    PlanMade,
    Record,
    RunEnded,
    RunStarted,
    StepEnded,
    Verified,
)
from fedwiz.report import WIDTH_COLUMNS, as_json, headline, markdown, matrix, ok, text
from fedwiz.runs.state import State
from tests.support.sample_runs import (
    HOSTS,
    NODES,
    WHOLE,
    all_well,
    any_records,
    blocked,
    lost_at_the_gate,
    one_fails,
    practice_with_a_fault,
    records,
    sixty,
    stopped,
)


def ping(one: str, other: str, level: Judged = "pass", why: str = "") -> Verified:
    return Verified("ping", one, other, level, "3 of 3", why)


def verify(*verdicts: Event, end: RunEnded | None = None) -> State:
    events = [RunStarted("verify", "c", HOSTS), *verdicts, end or RunEnded("failed", 7)]
    return State.of(records(events))


WELL = RunEnded("ok", 0)
ASKED = RunStarted("diagnose", "c", ("a", "b"))
CAUSE = Diagnosed("a", "b", "ip-forward", "b", "b passes nothing on", "0", "set it", True, 1)
HEADLINES: dict[str, tuple[State, str]] = {
    "all well": (
        State.of(all_well()),
        (
            "fedora-lab: 4 actions done on 4 hosts; all 6 pairs of nodes ping; "
            "nothing blocks, 1 warning"
        ),
    ),
    "nothing to do": (
        State.of(records([RunStarted("install", "c", ("a",)), ping("a", "b"), WELL])),
        "c: it was right already, and nothing was changed; all 1 pair of nodes ping",
    ),
    "a cause is named": (
        State.of(records([ASKED, CAUSE, RunEnded("failed", 7)])),
        "c: a -> b: ip-forward, b passes nothing on",
    ),
    "a cause is mended": (
        State.of(
            records(
                [
                    ASKED,
                    CAUSE,
                    PlanMade("d", {"b": 1}),
                    ActionStarted("b", "x", "y"),
                    ActionEnded("b", "x", "ok", 0, 0.1),
                    StepEnded("b", "x", "ok"),
                    ping("a", "b"),
                    WELL,
                ]
            )
        ),
        "c: fixed by 1 action; all 1 pair of nodes ping",
    ),
    "no cause is found": (
        State.of(records([ASKED, ping("a", "b"), WELL])),
        "c: nothing wrong was found between the two; all 1 pair of nodes ping",
    ),
    "one fails": (
        State.of(one_fails()),
        (
            "fedora-lab: fed-node2 failed at Install flannel: "
            "exit status 1 of `dnf -y install flannel`: no match"
        ),
    ),
    "gate": (
        State.of(lost_at_the_gate()),
        (
            "fedora-lab: fed-master is in an unknown state at Write the network into etcd: "
            "the connection went"
        ),
    ),
    "stopped": (State.of(stopped()), "fedora-lab: stopped by the operator"),
    "interrupted": (
        State.of(all_well()[:20]),
        "fedora-lab: install was interrupted: its end is not recorded",
    ),
    "a fault": (
        State.of(practice_with_a_fault()),
        (
            "Practice cluster fedora-lab (fault: forward-drop): 2 of 6 pairs do not ping: "
            "fed-node1 -> fed-node2, fed-node2 -> fed-node1"
        ),
    ),
    "blocked": (
        State.of(blocked()),
        "fedora-lab: 1 finding must be settled first: overlap (cluster)",
    ),
    "one pair": (
        State.of(sixty()),
        "fedora-lab: 1 of 3422 pairs does not ping: fed-node7 -> fed-node9",
    ),
    "many pairs": (
        verify(*(ping(*pair, "fail") for pair in permutations("abcd", 2))),
        "c: 12 of 12 pairs do not ping: a -> b, a -> c, a -> d, b -> a, b -> c, b -> d and 6 more",
    ),
    "not tried": (
        verify(ping("a", "b", "skipped"), ping("b", "a")),
        "c: 1 of 2 pairs was not tried: a -> b",
    ),
    "another kind": (
        verify(Verified("subnet_env", "a", "", "fail", "", "no file"), ping("b", "a")),
        "c: 1 other verdict failed: subnet.env of a",
    ),
    "two lost": (
        verify(HostLost("fed-node1", "no route"), HostLost("fed-node2", "no route")),
        "c: fed-node1 was lost: no route (fed-node2 too)",
    ),
    "no verdict": (verify(end=RunEnded("failed", 4, "no node")), "c: no node"),
    "no pair": (
        verify(Verified("lease", "a", "", "pass", ""), end=WELL),
        "c: 1 verdict, none failed; no pair was pinged",
    ),
}


@pytest.mark.parametrize(("state", "said"), HEADLINES.values(), ids=HEADLINES)
def test_the_first_line_says_how_it_went(state: State, said: str) -> None:
    assert headline(state) == said
    assert text(state).splitlines()[0] == said


@pytest.mark.parametrize("journal", WHOLE.values(), ids=WHOLE)
def test_the_first_line_says_whether_it_is_a_practice_cluster(
    journal: Callable[[], tuple[Record, ...]],
) -> None:
    state = State.of(journal())
    for said in (text(state), markdown(state).removeprefix("# ")):
        assert said.startswith("Practice cluster ") == bool(state.practice)
    assert ("practice" in as_json(state)) == bool(state.practice)


OK: dict[str, tuple[State, bool]] = {
    "all well": (State.of(all_well()), True),
    "interrupted": (State.of(all_well()[:-1]), False),
    "one fails": (State.of(one_fails()), False),
    "stopped": (State.of(stopped()), False),
    "a warning is no failure": (verify(Found("x", "", "warn", "s", "r"), end=WELL), True),
    "never with a block": (verify(Found("x", "", "block", "s", "r"), end=WELL), False),
    "never with a red host": (verify(HostLost("fed-node1", "gone"), end=WELL), False),
    "never with a pair that fails": (verify(ping("a", "b", "fail"), end=WELL), False),
    "never with a pair that was not tried": (verify(ping("a", "b", "skipped"), end=WELL), False),
    "never when it once failed": (
        verify(ping("a", "b", "fail"), ping("a", "b"), end=WELL),
        False,
    ),
    "another kind may be skipped": (
        verify(Verified("lease", "a", "", "skipped", "", ""), end=WELL),
        True,
    ),
    "never with an exit code": (verify(end=RunEnded("ok", 7)), False),
}


@pytest.mark.parametrize(("state", "well"), OK.values(), ids=OK)
def test_ok(state: State, well: bool) -> None:
    assert ok(state) is well
    assert as_json(state)["ok"] is well


def nodes(count: int) -> tuple[str, ...]:
    return tuple(f"fed-node{number}" for number in range(1, count + 1))


def test_the_matrix() -> None:
    said = [
        ping("a", "b"),
        ping("a", "c", "fail"),
        ping("b", "a", "skipped"),
        ping("c", "a"),
        ping("c", "b"),
        Verified("lease", "d", "", "pass", ""),
    ]
    assert list(matrix(said, ("d", "c", "b", "a"))) == [
        "Pings between containers: 3 of 5 pairs",
        "  from, to  1  2  3",
        "  1 c       .  +  +",
        "  2 b       ?  .  -",
        "  3 a       X  +  .",
        "  + pings   X does not ping   - was not tried   ? nothing is known   . itself",
    ]


def test_of_several_pings_of_a_pair_the_worst_is_drawn() -> None:
    levels: tuple[Judged, ...] = ("pass", "fail", "skipped")
    for order in permutations(levels):
        assert list(matrix([ping("a", "b", level) for level in order]))[2].split()[-1] == "X"


@pytest.mark.parametrize("count", [2, 3, 9, 10, 24, 60, 101])
def test_the_matrix_fits_80_columns_and_every_pair_is_in_it(count: int) -> None:
    names = tuple(f"{name}.a-very-long-domain.example.org" for name in nodes(count))
    for these in (nodes(count), names):
        pairs = [ping(*pair, "fail") for pair in permutations(these, 2)]
        drawn = list(matrix(pairs, these))
        assert max(map(len, drawn)) <= WIDTH_COLUMNS
        cells = "".join("".join(row.split()[2:]) for row in drawn[2:-1] if "from" not in row)
        assert (cells.count("X"), cells.count(".")) == (count * (count - 1), count)


def test_nine_nodes_are_one_square() -> None:
    drawn = list(matrix([ping(*pair) for pair in permutations(nodes(9), 2)]))
    assert len(drawn) == 1 + 1 + 9 + 1
    assert drawn[1] == "  from, to     1  2  3  4  5  6  7  8  9"
    assert drawn[2] == "  1 fed-node1  .  +  +  +  +  +  +  +  +"


def test_findings_come_blocks_first_and_the_good_ones_are_counted() -> None:
    assert text(State.of(blocked())).split("\n\n", 1)[1] == (
        "Findings: 1 block, 1 warning, 1 ok\n"
        "  BLOCK  overlap  cluster\n"
        "         10.16.0.0/16 is in use\n"
        "         -> choose 10.17.0.0/16\n"
        "  warn   kubelet  fed-node1\n"
        "         kubelet does not run\n"
        "         -> start kubelet\n"
    )


def test_each_host_is_in_the_report_of_an_install() -> None:
    said = text(State.of(one_fails()))
    assert "  fed-node2   failed    0 of 1 action\n              exit status 1 of" in said
    assert "  fed-node3   done      1 of 1 action\n" in said


def test_a_reason_is_said_once_with_all_its_pairs() -> None:
    said = text(verify(ping("a", "b", "fail", "no route"), ping("b", "a", "fail", "no route")))
    assert said.endswith("  X a -> b, b -> a\n      -> no route\n")


def test_a_warning_beside_a_good_ping_is_said() -> None:
    assert "  + a -> b\n      -> it sees b's own" in text(
        verify(ping("a", "b", "pass", "it sees b's own"))
    )


def test_each_kind_has_its_part() -> None:
    said = text(State.of(practice_with_a_fault()))
    for title in ("\n\nAddresses\n", "\n\nLeases in etcd\n", "\n\nsubnet.env\n", "\n\nPings "):
        assert said.count(title) == 1
    assert (
        "  pass     fed-node1\n           flannel.1 10.16.29.0/32\n           docker0 10." in said
    )


@pytest.mark.parametrize("journal", WHOLE.values(), ids=WHOLE)
def test_only_the_first_line_is_wider_than_80_columns(
    journal: Callable[[], tuple[Record, ...]],
) -> None:
    assert all(len(line) <= WIDTH_COLUMNS for line in text(State.of(journal())).splitlines()[1:])


HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202e# <b>`x`|```` \x9b31m"


def test_what_hosts_say_stays_text() -> None:
    state = verify(
        HostLost("fed-node1", HOSTILE),
        Found(HOSTILE, HOSTILE, "block", HOSTILE, HOSTILE),
        Verified(HOSTILE, HOSTILE, HOSTILE, "fail", HOSTILE, HOSTILE),
        replace(ping(HOSTILE, "b", "fail", HOSTILE), seen=HOSTILE),
        Connected(HOSTILE),
    )
    state.verb = "install"
    for said in (text(state), markdown(state)):
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)
    plain = [line for line in markdown(state).splitlines() if line.startswith("#")]
    assert all("\\<b\\>" in line for line in plain if "<b" in line)
    assert "`````text\n" in markdown(state)  # longer than any run of backticks inside


@given(any_records())
def test_there_is_a_report_of_any_records(said: tuple[Record, ...]) -> None:
    state = State.of(said)
    assert "\x1b" not in text(state)
    assert text(state).count("\n\n\n") == 0
    assert markdown(state).startswith("# ")
    json.dumps(as_json(state, "x"))


def test_the_json_of_findings() -> None:
    said = as_json(State.of(blocked()), "x")
    assert (said["schema"], said["ok"], said["verb"], said["code"]) == (1, False, "check", 3)
    assert "practice" not in said
    assert said["findings"][1] == {
        "check": "overlap",
        "host": "",
        "level": "block",
        "seen": "10.16.0.0/16 is in use",
        "remedy": "choose 10.17.0.0/16",
    }


def test_the_json_of_verdicts() -> None:
    said = as_json(State.of(practice_with_a_fault()), "x")
    assert (said["ok"], said["practice"], len(said["verdicts"])) == (False, "forward-drop", 15)
    assert said["verdicts"][9] == {
        "kind": "ping",
        "host": "fed-node1",
        "peer": "fed-node2",
        "level": "fail",
        "seen": "0 of 3 came back",
        "why": "fed-node2 drops what it should forward: `iptables -I FORWARD -j ACCEPT` there",
    }
    assert said["matrix"] == {
        "nodes": list(NODES),
        "rows": [[None, "fail", "pass"], ["fail", None, "pass"], ["pass", "pass", None]],
    }


def test_the_json_of_hosts_and_of_the_run() -> None:
    said = as_json(State.of(one_fails()), "20261122-230612-1a2b")
    assert (said["digest"], said["run"]) == ("0123456789ab", "20261122-230612-1a2b")
    assert (said["started"], said["ended"]) == ("2026-11-22T23:06:12Z", "2026-11-22T23:06:32Z")
    assert said["seconds"] == 20.5
    outcomes = {name: (it["outcome"], it["why"]) for name, it in said["hosts"].items()}
    assert outcomes == {
        "fed-master": ("ok", ""),
        "fed-node1": ("ok", ""),
        "fed-node2": ("failed", "exit status 1 of `dnf -y install flannel`: no match"),
        "fed-node3": ("ok", ""),
    }
    assert said["hosts"]["fed-node1"]["facts_seconds"] == 0.25
