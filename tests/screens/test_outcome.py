"""What an install came to, in a sentence, and where the keys lead from there."""

import time
from pathlib import Path

import pytest

from fedwiz.engine import verbs
from fedwiz.model.events import Event, Outcome, PlanMade, RunEnded
from fedwiz.runs.state import State
from screens.pages.outcome import (
    end_unknown,
    load_run,
    onward,
    outcome,
    outcome_of_another,
)
from tests.support.sample_runs import RECORDED, begin, recorded, records

pytestmark = pytest.mark.usefixtures("state_in_utc")

RED = "1 of 4 hosts failed: r tries again.  "
OVERLAPS = (
    "fed-node2: switch: docker did not start on flannel's subnet, and docker runs as before: "
    "docker's new subnet overlaps one of docker's other networks; docker network ls, then remove "
    "or renumber that network, or choose another network.cidr."
)
NO_ETCD = (
    "fed-master: config: etcd at http://fed-master:2379, seen from fed-master, can't be reached "
    "(the connection was closed without an answer); is etcd running, and does "
    "ETCD_LISTEN_CLIENT_URLS there have an address that fed-master reaches?"
)

RUNS = [
    (
        "all-well",
        {"done"},
        ("Done on all 4 hosts, and the network is verified.  Ctrl+N shows the verification.", "ok"),
        "next",
    ),
    (
        "one-fails",
        {"done", "failed", "stopped"},
        (RED + OVERLAPS, "block"),
        "4 of 67 operations are left: r tries again; Esc leads to Review.",
    ),
    (
        "lost-at-the-gate",
        {"failed", "stopped"},
        (RED + NO_ETCD, "block"),
        "43 of 43 operations are left: r tries again; Esc leads to Review.",
    ),
    (
        "stopped",
        {"done", "stopped"},
        ("Stopped: 57 of 148 operations are left.  r continues from here.", "warn"),
        "57 of 148 operations are left: r tries again; Esc leads to Review.",
    ),
]


@pytest.mark.parametrize(("name", "words", "said", "on"), RUNS)
def test_a_run_says_how_it_ended_and_leads_on(
    name: str, words: set[str], said: tuple[str, str], on: str
) -> None:
    state = State.of(recorded(name))
    assert {host.word for host in state.hosts.values()} == words
    assert outcome(state) == said
    well = on == "next"
    assert onward(state, "install", another=False, retryable=True) == (on if well else (on, "warn"))
    # Of a run of before nothing is approved any more, so that Review has to come first.
    assert onward(state, "install", another=False, retryable=False) == ("next" if well else "back")
    assert onward(state, "look", another=False, retryable=False) == "next"


def ended(code: int, why: str = "", planned: int = 0) -> State:
    """A run of four hosts that ended so."""
    plan: list[Event] = [PlanMade("0123456789ab", {"fed-master": planned})] if planned else []
    word: Outcome = "ok" if code == 0 else "failed"
    return State.of(records([*begin(), *plan, RunEnded(word, code, why)]))


BOB = "bob@laptop has been changing this cluster since 23:06"
MOVED = "the plan has changed since you approved it"
ENDS = [
    (ended(verbs.OK), True, "All is as it was before the install.  Ctrl+N: the first page.", "ok"),
    (ended(verbs.OK, "all is back"), True, "all is back.  Ctrl+N: the first page.", "ok"),
    (
        ended(verbs.NOT_PROVEN, "no route"),
        False,
        "Installed, but not verified: no route.  Ctrl+N shows the verification.",
        "warn",
    ),
    (
        ended(verbs.STALE, MOVED),
        False,
        f"Nothing was changed: {MOVED}.  Ctrl+N: look at it again, at Review.",
        "block",
    ),
    (
        ended(verbs.LOCKED, f"{BOB}; wait, or watch it with `fedwiz watch -a FILE`"),
        False,
        f"{BOB}.  w: watch that run.  r: try again.",
        "block",
    ),
    (
        ended(verbs.INTERRUPTED, "stopped before anything was changed"),
        False,
        "Stopped: nothing was changed.  r continues from here.",
        "warn",
    ),
    (
        ended(verbs.FAILED, "no match.; the same command continues from here", 3),
        False,
        "r tries again.  no match.",
        "block",
    ),
    (ended(verbs.FAILED, "is it up?"), True, "r tries again.  is it up?", "block"),
]


@pytest.mark.parametrize(("state", "undoes", "said", "level"), ENDS)
def test_what_a_run_came_to_is_said_with_what_can_be_done(
    state: State, undoes: bool, said: str, level: str
) -> None:
    assert outcome(state, undoes=undoes) == (said, level)


@pytest.mark.parametrize(
    ("state", "goal", "another", "to"),
    [
        (ended(verbs.NOT_PROVEN), "install", False, "next"),
        (ended(verbs.STALE), "install", False, "back"),
        (State(), "install", False, "back"),
        (ended(verbs.OK), "undo", False, "first"),
        (ended(verbs.FAILED), "undo", True, "first"),
    ],
)
def test_where_ctrl_n_leads(state: State, goal: str, another: bool, to: str) -> None:
    assert onward(state, goal, another=another, retryable=True) == to


def test_where_nothing_was_changed_r_tries_again() -> None:
    assert onward(ended(verbs.FAILED), "install", another=False, retryable=True) == (
        "Nothing was changed: r tries again; Esc leads to Review.",
        "warn",
    )


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("nobody is changing this cluster", "Nobody is changing this cluster"),
        (
            "that run was interrupted, and its end is not known; Bob is at work since 23:06",
            "That run was interrupted, and its end is not known; Bob is at work since 23:06",
        ),
    ],
)
def test_a_run_that_could_not_be_watched_to_its_end_says_why(why: str, said: str) -> None:
    assert end_unknown(why) == (f"{said}.  r: try yours again.", "warn")


def test_another_operators_run_leads_nowhere_and_says_how_it_ended() -> None:
    state = ended(verbs.OK)
    assert outcome_of_another(state) == (
        "That run has ended: it was right already, and nothing was changed.  r: try yours again.",
        "warn",
    )
    assert onward(state, "install", another=True, retryable=True) == (
        "This is another operator's run.  r: try yours again; Esc leads to Review.",
        "warn",
    )


def test_a_whole_record_is_recalled_as_it_is() -> None:
    assert load_run(RECORDED / "stopped.jsonl") == (recorded("stopped"), "", None)


def test_a_record_that_was_cut_off_gets_an_end(tmp_path: Path) -> None:
    lines = (RECORDED / "one-fails.jsonl").read_bytes().splitlines(keepends=True)[:200]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(lines))
    before = load_run(path)
    assert before.records[:-1] == recorded("one-fails")[:200]
    last = before.records[-1]
    assert (last.number, last.at) == (before.records[-2].number + 1, before.records[-2].at)
    assert last.event == RunEnded("unknown", verbs.FAILED, "interrupted: its end is not recorded")
    began = time.strftime("%H:%M", time.gmtime(before.records[0].at))
    assert before.cut_off == f"The run of {began} was interrupted: its end is not recorded"
    assert "unknown" in {host.word for host in State.of(before.records).hosts.values()}


@pytest.mark.parametrize(
    ("text", "said", "level"),
    [
        (None, "The record of the run can't be read: ", "warn"),
        (b"no journal\n", "The record of the run can't be read: ", "warn"),
        (b"", "Nothing was started.", ""),
    ],
)
def test_a_record_that_is_gone_damaged_or_empty_says_so(
    text: bytes | None, said: str, level: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    if text is not None:
        path.write_bytes(text)
    before = load_run(path)
    assert before.trouble is not None
    assert before.trouble.text.startswith(said)
    assert before.trouble.text.endswith("  Ctrl+N: back to Review.")
    assert before.trouble.level == level
    assert (before.records, before.cut_off) == ((), "")
