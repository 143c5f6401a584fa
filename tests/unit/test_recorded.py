"""Runs that fedwiz recorded itself: whole, what their names promise, and of no machine of ours."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from fedwiz import cli, report
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    PlanMade,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
)
from fedwiz.runs.state import State
from tests.support.record_journals import RECORDINGS
from tests.support.sample_runs import RECORDED, recorded, unended

FLANNEL = "Start flanneld and move docker to its subnet"
REFUSED = rf"fed-node2 failed at {FLANNEL}: docker did not start on flannel's subnet"


@dataclass(frozen=True)
class Promise:
    """What a name says of its run."""

    headline: str
    """A pattern; the report begins with it."""

    ends: tuple[str, int]
    words: Mapping[str, str]
    """By host; all others end with the word of ``."""

    hosts: int = 4
    verb: str = "install"
    practice: str = ""
    pings: int = 0
    blocks: int = 0
    done: dict[str, int] = field(default_factory=dict)
    """Actions that ended well, of hosts that are worth a look."""


PROMISES: Mapping[str, Promise] = {
    "all-well": Promise(
        r"fedora-lab: \d+ actions done on 4 hosts; all 6 pairs of nodes ping; nothing blocks, ",
        ("ok", 0),
        {"": "done"},
        pings=6,
    ),
    "one-fails": Promise(
        rf"Practice cluster practice \(fault: docker-refuses\): {REFUSED}",
        ("failed", 5),
        {"fed-master": "done", "fed-node2": "failed", "": "stopped"},
        practice="docker-refuses",
    ),
    "lost-at-the-gate": Promise(
        r"fedora-lab: fed-master failed at Write the network into etcd: etcd at http://fed-master",
        ("failed", 5),
        {"fed-master": "failed", "": "stopped"},
        done=dict.fromkeys(("fed-master", "fed-node1", "fed-node2", "fed-node3"), 0),
    ),
    "stopped": Promise(
        r"Practice cluster practice \(healthy\): stopped by the operator; the same "
        r"command goes on",
        ("stopped", 130),
        {
            **dict.fromkeys(("fed-node4", "fed-node5", "fed-node6", "fed-node7"), "stopped"),
            "": "done",
        },
        hosts=8,
        practice="healthy",
        done={"fed-node1": 21, "fed-node5": 9, "fed-node7": 0},
    ),
    "sixty-hosts": Promise(
        rf"Practice cluster practice \(fault: docker-refuses\): {REFUSED}",
        ("failed", 5),
        {"fed-master": "done", "fed-node2": "failed", "": "stopped"},
        hosts=60,
        practice="docker-refuses",
    ),
    "check-blocks": Promise(
        r"Practice cluster practice \(fault: nat-twins\): 3 findings must be settled first: "
        r"interface \(fed-node1\), ",
        ("failed", 3),
        {"": "done"},
        verb="check",
        practice="nat-twins",
        blocks=3,
    ),
}


@pytest.fixture(params=PROMISES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_recording_is_one_that_can_be_made_again() -> None:
    assert {path.name for path in RECORDED.iterdir()} == {f"{name}.jsonl" for name in RECORDINGS}
    assert set(PROMISES) == set(RECORDINGS)


def test_it_is_whole(name: str) -> None:
    said = recorded(name)
    assert isinstance(said[0].event, RunStarted)
    assert [at for at, it in enumerate(said) if isinstance(it.event, RunEnded)] == [len(said) - 1]
    assert unended(said) == []
    assert (RECORDED / f"{name}.jsonl").read_bytes().endswith(b"\n")


def test_each_action_ends_in_its_step_before_the_next_one_begins(name: str) -> None:
    open_step = dict[str, str]()
    acting = set[str]()
    for record in recorded(name):
        match record.event:
            case StepStarted(host, step):
                assert host not in open_step, record
                open_step[host] = step
            case ActionStarted(host, step):
                assert open_step[host] == step, record
                assert host not in acting, record
                acting.add(host)
            case ActionEnded(host, step):
                assert open_step[host] == step, record
                acting.remove(host)
            case StepEnded(host, step, outcome):
                assert host not in acting, record
                # What was never begun ends too: it is told of each step that is left out.
                assert open_step.pop(host, "") == step or outcome == "stopped", record


def test_the_clock_goes_on(name: str) -> None:
    at = [record.at for record in recorded(name)]
    assert at == sorted(at)
    assert len(set(at)) > len(at) / 2, "a replay has something to wait for"


def test_it_is_what_its_name_promises(name: str) -> None:
    state, promised = State.of(recorded(name)), PROMISES[name]
    assert (state.outcome, state.code) == promised.ends
    assert (state.verb, state.practice) == (promised.verb, promised.practice)
    rest = promised.words[""]
    words = {host.name: host.word for host in state.hosts.values()}
    assert words == {host: promised.words.get(host, rest) for host in state.hosts}
    assert len(words) == promised.hosts
    assert {host: state.hosts[host].done for host in promised.done} == promised.done
    assert Counter(it.level for it in state.findings)["block"] == promised.blocks
    assert len(report.pairs(state.verdicts)) == promised.pings
    assert report.ok(state) == (name == "all-well")


def test_its_plan_is_what_was_begun_and_left(name: str) -> None:
    said = recorded(name)
    plans = [it.event for it in said if isinstance(it.event, PlanMade)]
    assert len(plans) == (PROMISES[name].verb == "install")
    for plan in plans:
        begun = Counter(it.event.host for it in said if isinstance(it.event, ActionStarted))
        assert all(begun[host] <= plan.actions[host] for host in begun)
        assert (dict(begun) == plan.actions) == (name == "all-well")


def test_replayed_it_ends_in_its_report(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(RECORDED / f"{name}.jsonl")]) == 0
    said = capsys.readouterr()
    assert said.out == report.text(State.of(recorded(name)))
    assert re.match(PROMISES[name].headline, said.out), said.out.partition("\n")[0]
    code = PROMISES[name].ends[1]
    assert f"exit code {code}\n" in said.err


OURS = re.compile(
    r"/(home|root|tmp|Users|build|venv)\b|fedwiz-lab|\.venv|site-packages|"
    r"(?i:PRIVATE KEY|ssh-(ed25519|rsa) AAAA|passw(or)?d|lab-sudo-pw)"
)
"""Paths of the machine that recorded it, and secrets."""


def test_nothing_of_the_machine_that_recorded_it_is_in_it(name: str) -> None:
    text = (RECORDED / f"{name}.jsonl").read_text("ascii")
    assert OURS.findall(text) == []
    assert str(RECORDED.parent.parent) not in text
    assert len(text) < 1_500_000
