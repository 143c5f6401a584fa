"""Where a run stands, after any records."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given

from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Event,
    FactsRead,
    HostLost,
    Output,
    PlanMade,
    Record,
    RoundStarted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Verified,
    Versions,
)
from fedwiz.runs.state import MAX_LINES_PER_HOST, RED, State
from tests.support.sample_runs import (
    BEGAN,
    HOSTS,
    INSTALL,
    WHOLE,
    all_well,
    any_records,
    begin,
    gate,
    lost_at_the_gate,
    one_fails,
    records,
    step,
    stopped,
    unended,
    verified,
)


def after(*events: Event) -> State:
    return State.of(records(events))


START = RunStarted("install", "fedora-lab", ("a", "b"))
PLAN = PlanMade("d", {"a": 2, "b": 0})
ONE = StepStarted("a", "package", "Install flannel", 1)
SENT = ActionStarted("a", "package", INSTALL)
WELL = ActionEnded("a", "package", "ok", 0, 1.0)
BADLY = ActionEnded("a", "package", "failed", 1, 1.0)
STEP_WELL = StepEnded("a", "package", "ok")
STEP_BADLY = StepEnded("a", "package", "failed", "no match")
LATER = StepEnded("a", "peers", "stopped", "not started")
CLOSED = RunEnded("stopped", 130, "closed")

WORDS: dict[str, tuple[list[Event], str, str]] = {
    "begun": ([START], "connecting", ""),
    "connected": ([START, Connected("a")], "waiting", ""),
    "something to do": ([START, Connected("a"), PLAN], "waiting", ""),
    "nothing to do": ([START, Connected("a"), PlanMade("d", {"b": 1})], "done", ""),
    "in a step": ([START, Connected("a"), PLAN, ONE], "running", ""),
    "in an action": ([START, Connected("a"), PLAN, ONE, SENT], "running", ""),
    "back from a reboot": ([START, PLAN, ONE, SENT, Connected("a")], "running", ""),
    "between steps": ([START, PLAN, ONE, SENT, WELL, STEP_WELL], "waiting", ""),
    "all done": ([START, PlanMade("d", {"a": 1}), ONE, SENT, WELL, STEP_WELL], "done", ""),
    "failed": ([START, PLAN, ONE, SENT, BADLY, STEP_BADLY], "failed", "no match"),
    "failed, later steps left": (
        [START, PLAN, ONE, SENT, BADLY, STEP_BADLY, LATER],
        "failed",
        "no match",
    ),
    "failed, then a step of another stage went well": (
        [START, PLAN, ONE, STEP_BADLY, StepStarted("a", "x", "X", 0), StepEnded("a", "x", "ok")],
        "failed",
        "no match",
    ),
    "failed, then the same step went well": (
        [START, PLAN, ONE, STEP_BADLY, ONE, SENT, WELL, STEP_WELL],
        "waiting",
        "no match",
    ),
    "failed, then lost": (
        [START, PLAN, ONE, SENT, BADLY, STEP_BADLY, HostLost("a", "gone")],
        "failed",
        "no match",
    ),
    "never reached": ([START, HostLost("a", "no route")], "lost", "no route"),
    "lost, and back": (
        [START, Connected("a"), HostLost("a", "no route"), Connected("a")],
        "waiting",
        "no route",
    ),
    "lost in an action": (
        [
            START,
            PLAN,
            ONE,
            SENT,
            HostLost("a", "gone"),
            StepEnded("a", "package", "unknown", "gone"),
        ],
        "unknown",
        "gone",
    ),
    "left": ([START, PLAN, LATER], "stopped", "not started"),
    "closed in an action": ([START, PLAN, ONE, SENT, CLOSED], "unknown", "its end was not seen"),
    "closed before it was reached": (
        [START, CLOSED],
        "stopped",
        "it was not reached before the run ended",
    ),
    "closed before its turn": (
        [START, Connected("a"), PLAN, CLOSED],
        "stopped",
        "not started: 2 of 2 actions",
    ),
    "closed with nothing left": (
        [START, Connected("a"), FactsRead("a", 0.2), CLOSED],
        "done",
        "",
    ),
    "closed before it was read": (
        [START, Connected("a"), CLOSED],
        "stopped",
        "nothing was read before the run ended",
    ),
    "closed with a plan of what nobody read": (
        [START, Connected("a"), PlanMade("d", {"b": 1}), CLOSED],
        "done",
        "",
    ),
    "somebody else has the lock": (
        [START, Connected("a"), RunEnded("failed", 8, "bob@laptop has been changing it")],
        "stopped",
        "nothing was read before the run ended",
    ),
    "planned only": ([START, Connected("a"), PLAN, RunEnded("ok", 0)], "done", ""),
    "checked only": ([START, Connected("a"), RunEnded("ok", 0)], "done", ""),
}


@pytest.mark.parametrize(("events", "word", "why"), WORDS.values(), ids=WORDS)
def test_a_hosts_word(events: list[Event], word: str, why: str) -> None:
    host = after(*events).hosts["a"]
    assert (host.word, host.why) == (word, why)
    at_rest = word not in ("waiting", "connecting", "running")
    assert (host.ended is not None) == at_rest
    assert not (at_rest and (host.step or host.action))


ENDS: dict[str, tuple[Callable[[], tuple[Record, ...]], list[str], tuple[int, int]]] = {
    "all well": (all_well, ["done"] * 4, (4, 4)),
    "one fails": (one_fails, ["done", "done", "failed", "done"], (3, 4)),
    "lost at the gate": (lost_at_the_gate, ["unknown", *["stopped"] * 3], (0, 4)),
    "stopped": (stopped, ["done", "done", "stopped", "stopped"], (2, 4)),
}


@pytest.mark.parametrize(("journal", "words", "actions"), ENDS.values(), ids=ENDS)
def test_how_a_run_ended(
    journal: Callable[[], tuple[Record, ...]], words: list[str], actions: tuple[int, int]
) -> None:
    state = State.of(journal())
    assert [host.word for host in state.hosts.values()] == words
    assert (state.done, state.planned) == actions
    assert [host.name for host in state.red] == [
        name for name, word in zip(HOSTS, words, strict=True) if word in RED
    ]


def test_what_goes_on_is_told_while_it_does() -> None:
    state = after(START, Connected("a"), FactsRead("a", 0.5), PLAN, ONE, SENT)
    host = state.hosts["a"]
    assert (host.step, host.title, host.action) == ("package", "Install flannel", INSTALL)
    assert (host.done, host.planned, host.left, host.facts_seconds) == (0, 2, 2, 0.5)
    assert (state.outcome, state.code) == ("", None)
    assert list(host.lines) == [f"$ {INSTALL}"]


def test_a_second_plan_counts_on_and_makes_older_verdicts_void() -> None:
    said = [*begin(), PlanMade("one", {"fed-node1": 1}), *step("fed-node1"), *verified()]
    state = State.of(records([*said, PlanMade("two", {"fed-node1": 2})]))
    host = state.hosts["fed-node1"]
    assert (host.done, host.planned, host.left, host.word) == (1, 3, 2, "waiting")
    assert (state.digest, state.verdicts) == ("two", [])


def test_findings_and_verdicts_are_all_kept() -> None:
    state = State.of(all_well())
    assert [found.check for found in state.findings] == ["etcd", "kubelet"]
    assert len(state.verdicts) == 9 + 6
    twice = Verified("ping", "a", "b", "fail", "lost"), Verified("ping", "a", "b", "pass", "back")
    assert after(START, *twice).verdicts == list(twice)


def test_times() -> None:
    state = State.of(records([*begin(("a",)), *step("a"), Connected("b")], apart=1.0))
    host = state.hosts["a"]
    assert (state.started, host.started, host.ended) == (BEGAN, BEGAN + 3, BEGAN + 7)
    assert (host.elapsed(BEGAN + 100), state.elapsed(BEGAN + 100)) == (4.0, 100.0)
    state.apply(Record(9, BEGAN + 10, RunEnded("ok", 0)))
    assert state.elapsed(BEGAN + 100) == 10.0
    assert (host.ended, state.hosts["b"].elapsed(BEGAN)) == (BEGAN + 7, 0.0)


def test_only_the_last_lines_are_kept_and_they_are_clean() -> None:
    state = after(
        *(Output("a", "s", f"\x1b[31m{number}\x1b[0m") for number in range(MAX_LINES_PER_HOST + 5))
    )
    assert list(state.hosts["a"].lines) == [
        str(number) for number in range(5, MAX_LINES_PER_HOST + 5)
    ]
    state.apply(Record(0, 0.0, ActionStarted("a", "s", "sh -c '\x1b]0;x\x07one\ntwo'")))
    assert list(state.hosts["a"].lines)[-2:] == ["$ sh -c 'one", "$ two'"]


@given(any_records())
def test_any_record_may_follow_any_other(said: tuple[Record, ...]) -> None:
    state = State()
    for record in said:
        state.apply(record)
        for host in state.hosts.values():
            assert "\x1b" not in "".join([*host.lines, host.title, host.why, host.action])
            assert host.elapsed(record.at) >= 0.0
            assert host.left >= 0
        if isinstance(record.event, RunEnded):
            assert not {host.word for host in state.hosts.values()} & {"running", "waiting"}
    assert state == State.of(said)


@pytest.mark.parametrize("journal", WHOLE.values(), ids=WHOLE)
def test_in_a_whole_journal_whatever_started_has_ended(
    journal: Callable[[], tuple[Record, ...]],
) -> None:
    said = journal()
    assert unended(said) == []
    state = State.of(said)
    assert state.outcome
    assert not any(host.step or host.action for host in state.hosts.values())
    assert not {host.word for host in state.hosts.values()} & {"connecting", "waiting", "running"}


def test_what_has_not_ended_is_noticed() -> None:
    cut = [*begin(("fed-master",)), *gate()[:2]]
    assert unended(records(cut)) == [
        ("run",),
        ("step", "fed-master", "config"),
        ("action", "fed-master", "config"),
    ]


def test_a_round_makes_the_verdicts_of_the_one_before_void() -> None:
    ping = Verified("ping", "a", "b", "fail", "0/3", "gone")
    state = after(START, RoundStarted(1), ping, ping, RoundStarted(2), replace(ping, level="pass"))
    assert [it.level for it in state.verdicts] == ["pass"]
    assert state.rounds == 2


def test_what_runs_on_a_host_is_known_and_clean() -> None:
    state = after(START, Versions("a", {"os": "fedora 29", "docker": "\x1b[31m20.10\x07"}))
    assert state.hosts["a"].versions == {"os": "fedora 29", "docker": "20.10"}
    assert state.hosts["b"].versions == {}
