"""Records as lines, for pipes and logs."""

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given

from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Diagnosed,
    Event,
    FactsRead,
    Found,
    HostLost,
    Output,
    PlanMade,
    Record,
    RoundEnded,
    RoundStarted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Verified,
    Versions,
    WayBack,
    from_line,
)
from fedwiz.runs.describe import LAST_LINES, MAX_MESSAGE_CHARS, as_json_line, failures, line
from fedwiz.runs.state import State
from tests.support.sample_runs import (
    BEGAN,
    INSTALL,
    all_well,
    any_records,
    lost_at_the_gate,
    one_fails,
)


@pytest.fixture(autouse=True, scope="module")
def utc() -> Iterator[None]:
    """The operator's clock is UTC here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


LINES: dict[str, tuple[Event, str]] = {
    "start": (
        RunStarted("install", "fedora-lab", ("a", "b")),
        "-           run       install of fedora-lab began: a, b",
    ),
    "practice": (
        RunStarted("install", "demo", ("a",), "no-etcd"),
        "-           run       practice cluster (no-etcd): install of demo began: a",
    ),
    "connected": (Connected("fed-node1"), "fed-node1   connect   connected"),
    "facts": (FactsRead("fed-node1", 0.25), "fed-node1   facts     read in 0.2 s"),
    "versions": (
        Versions("a", {"os": "fedora 29", "flannel": "0.9.0"}),
        "a           facts     os fedora 29, flannel 0.9.0",
    ),
    "a round's end": (
        RoundEnded(3, 7),
        "-           verify    round 3 ended: exit code 7",
    ),
    "round": (RoundStarted(3), "-           verify    round 3"),
    "lost": (
        HostLost("a", "no route"),
        "a           lost      nothing more is done here: no route",
    ),
    "found": (
        Found("overlap", "", "block", "in use", "choose another"),
        "-           check     block: overlap: in use -> choose another",
    ),
    "found, well": (Found("etcd", "a", "ok", "3.4"), "a           check     ok: etcd: 3.4"),
    "plan": (PlanMade("d", {"a": 2, "b": 0}), "-           plan      plan d: a 2"),
    "empty plan": (PlanMade("d", {"a": 0}), "-           plan      plan d: nothing is left to do"),
    "step": (
        StepStarted("a", "package", "Install flannel", 2),
        "a           package   Install flannel (2 actions)",
    ),
    "action": (
        ActionStarted("fed-node1", "package", INSTALL),
        "fed-node1   package   $ dnf -y install flannel",
    ),
    "action of two lines": (
        ActionStarted("a", "x", "sh -c 'a\nb'"),
        "a           x         $ sh -c 'a\\nb'",
    ),
    "output": (Output("a", "package", "Complete!"), "a           package     Complete!"),
    "output with codes": (
        Output("a", "x", "\x1b[31mred\x1b]0;t\x07\x9b1m"),
        "a           x           red",
    ),
    "ended": (ActionEnded("a", "x", "ok", 0, 1.25), "a           x         ok, 1.2 s"),
    "ended badly": (
        ActionEnded("a", "x", "failed", 1, 0.0),
        "a           x         failed, exit status 1, 0.0 s",
    ),
    "not seen": (
        ActionEnded("a", "x", "unknown", None, 0.0),
        "a           x         unknown, 0.0 s",
    ),
    "step ended": (
        StepEnded("a", "x", "failed", "no match"),
        "a           x         step ended: failed: no match",
    ),
    "ping": (
        Verified("ping", "a", "b", "fail", "0 of 3", "open the port"),
        "a           verify    fail: ping -> b: 0 of 3 -> open the port",
    ),
    "verdict of two lines": (
        Verified("address", "a", "", "pass", "one\ntwo"),
        "a           verify    pass: address: one\\ntwo",
    ),
    "diagnosed": (
        Diagnosed("a", "b", "ip-forward", "b", "b forwards nothing", "0", "set it", True, 1),
        "b           diagnose  a -> b: ip-forward: b forwards nothing -> set it",
    ),
    "the way back": (
        WayBack("a", "mend", ("sysctl", "-w", "x=0"), "", 60, False),
        "a           mend      can be taken back by: $ sysctl -w x=0",
    ),
    "end": (
        RunEnded("failed", 7, "lost"),
        "-           run       ended: failed, exit code 7",
    ),
}


@pytest.mark.parametrize(("event", "said"), LINES.values(), ids=LINES)
def test_a_line(event: Event, said: str) -> None:
    assert line(Record(0, BEGAN, event)) == f"23:06:12 {said}"


@pytest.mark.parametrize("empty", ["", "   ", "\x1b[0m"])
def test_empty_output_has_no_line(empty: str) -> None:
    assert line(Record(0, BEGAN, Output("a", "x", empty))) is None


def test_a_long_line_is_cut() -> None:
    said = line(Record(0, BEGAN, Output("a", "x", "y" * 1000)))
    assert said is not None
    assert said.endswith("yyy...")
    assert len(said) == len("23:06:12 fed-master  package   ") + MAX_MESSAGE_CHARS


@given(any_records())
def test_a_record_is_one_clean_line_whatever_it_holds(said: tuple[Record, ...]) -> None:
    for record in said:
        shown = line(record)
        assert shown is None or (len(shown.splitlines()) == 1 and "\x1b" not in shown)
        assert shown is not None or isinstance(record.event, Output)
        shown = as_json_line(record)
        assert len(shown.splitlines()) == 1
        assert from_line(shown) == record


def test_a_json_line_names_its_event() -> None:
    said = json.loads(as_json_line(Record(4, BEGAN, Verified("ping", "a", "b", "pass", "x"))))
    assert (said["event"], said["kind"], said["number"], said["at"]) == (
        "Verified",
        "ping",
        4,
        BEGAN,
    )


def test_a_failed_hosts_last_lines_are_said_again() -> None:
    said = failures(State.of(one_fails())).splitlines()
    assert said[0] == "fed-node2: failed: Install flannel"
    assert said[1:] == [f"  | {number}" for number in range(3, 12)] + ["  | Error: no match"]
    assert len(said) == 1 + LAST_LINES


def test_a_host_of_unknown_state_is_among_them() -> None:
    assert failures(State.of(lost_at_the_gate())).startswith("fed-master: unknown: Write the")


def test_where_all_got_through_nothing_is_said_again() -> None:
    assert failures(State.of(all_well())) == ""
