"""What has changed since a cluster was last verified."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from fedwiz.model.events import (
    Event,
    Judged,
    Outcome,
    Record,
    RunEnded,
    RunStarted,
    Verified,
    Versions,
    to_line,
)
from fedwiz.report.changes import Change, Drift, compare, complete, same, since
from fedwiz.runs.journal import runs_path
from fedwiz.runs.state import State
from tests.support.sample_runs import any_records

HOSTS = ("m", "a", "b")
MACS = {"a": "3e:e6:aa:7a:66:fa", "b": "fe:5e:f6:96:ea:86"}
BEGAN = 1_795_388_772.0


def lease(host: str, number: int, mac: str = "", ip: str = "") -> Verified:
    value = {
        "PublicIP": ip or f"192.168.122.{number}",
        "BackendType": "vxlan",
        "BackendData": {"VtepMAC": mac or MACS[host]},
    }
    key = f"/coreos.com/network/subnets/10.16.{number}.0-24"
    return Verified("lease", host, "", "pass", f"{key} {json.dumps(value)}")


def env(host: str, mtu: str = "1450", network: str = "10.16.0.0/16") -> Verified:
    return Verified("subnet_env", host, "", "pass", f"FLANNEL_NETWORK={network}\nFLANNEL_MTU={mtu}")


def ping(one: str, other: str, level: Judged = "pass") -> Verified:
    return Verified("ping", one, other, level, "3/3")


WHOLE: tuple[Event, ...] = (
    Versions("a", {"docker": "28.5.2", "flannel": "0.9.0", "kernel": "5.14"}),
    Verified("address", "a", "", "pass", ""),
    lease("a", 24),
    env("a"),
    Verified("address", "b", "", "pass", ""),
    lease("b", 82),
    env("b"),
    ping("a", "b"),
    ping("b", "a"),
)


def run(
    *events: Event,
    hosts: tuple[str, ...] = HOSTS,
    name: str = "c",
    verb: str = "verify",
    practice: str = "",
    outcome: Outcome | None = "ok",
    at: float = BEGAN,
) -> tuple[Record, ...]:
    end: tuple[Event, ...] = () if outcome is None else (RunEnded(outcome, 0),)
    said = (RunStarted(verb, name, hosts, practice), *events, *end)
    return tuple(Record(number, at, event) for number, event in enumerate(said))


def but(*events: Verified, without: Iterable[str] = ()) -> tuple[Event, ...]:
    """All is as before, but for these verdicts."""
    keys = {(it.kind, it.host, it.peer) for it in events}
    kept = [
        it
        for it in WHOLE
        if not isinstance(it, Verified)
        or ((it.kind, it.host, it.peer) not in keys and it.kind not in without)
    ]
    return (*kept, *events)


NEW = "82:3e:a6:5a:7a:56"
CHANGED: dict[str, tuple[tuple[Event, ...], tuple[Change, ...]]] = {
    "nothing": (WHOLE, ()),
    "a VtepMAC": (
        but(lease("a", 24, NEW)),
        (Change("vtep_mac", "a", "", MACS["a"], NEW),),
    ),
    "a subnet": (
        but(lease("a", 99, ip="192.168.122.24")),
        (Change("subnet", "a", "", "10.16.24.0/24", "10.16.99.0/24"),),
    ),
    "a PublicIP": (
        but(lease("a", 24, ip="10.9.9.9")),
        (Change("public_ip", "a", "", "192.168.122.24", "10.9.9.9"),),
    ),
    "an MTU": (but(env("b", "1400")), (Change("flannel_mtu", "b", "", "1450", "1400"),)),
    "the network": (
        but(env("b", network="10.17.0.0/16")),
        (Change("network", "b", "", "10.16.0.0/16", "10.17.0.0/16"),),
    ),
    "a pair that pinged": (
        but(ping("a", "b", "fail")),
        (Change("ping", "a", "b", "pass", "fail"),),
    ),
    "a lease that is wrong now": (
        but(replace(lease("a", 24), level="fail")),
        (Change("lease", "a", "", "pass", "fail"),),
    ),
    "versions": (
        (*WHOLE, Versions("a", {"docker": "29.0.1", "kernel": "5.14"})),
        (Change("docker", "a", "", "28.5.2", "29.0.1"),),
    ),
    # Compared is what both have.
    "pings alone": ((ping("a", "b"), ping("b", "a")), ()),
    "no leases": (but(without=["lease"]), ()),
    "what is no lease": (but(Verified("lease", "a", "", "pass", "rubbish {")), ()),
    "a lease whose value is not JSON": (
        but(Verified("lease", "a", "", "pass", "/subnets/10.16.24.0-24 [")),
        (),
    ),
    "a lease whose key is not a subnet": (
        but(Verified("lease", "a", "", "pass", '/subnets/zzz {"PublicIP": "10.9.9.9"}')),
        (),
    ),
    "an MTU that is none": (but(env("b", "1400; rm -rf /")), ()),
    "a lease of nobody's": ((*WHOLE, Verified("lease", "", "", "skipped", "/subnets/x {}")), ()),
}


@pytest.mark.parametrize(("events", "changes"), CHANGED.values(), ids=CHANGED)
def test_what_differs_and_is_known_of_both_is_a_change(
    events: tuple[Event, ...], changes: tuple[Change, ...]
) -> None:
    assert compare(State.of(run(*WHOLE)), State.of(run(*events))) == changes


def test_hosts_that_are_new_or_gone() -> None:
    before, now = State.of(run(*WHOLE)), State.of(run(*WHOLE, hosts=("m", "a", "c")))
    assert compare(before, now)[:2] == (
        Change("host", "c", "", "", "there"),
        Change("host", "b", "", "there", ""),
    )


def test_what_a_host_said_is_clean_in_a_change() -> None:
    said = (*WHOLE, Versions("a", {"docker": "\x1b[31m29\u202e"}))
    [change] = compare(State.of(run(*WHOLE)), State.of(run(*said)))
    assert change.now == "29"


SAME: dict[str, tuple[tuple[Record, ...], bool]] = {
    "itself": (run(*WHOLE), True),
    "another name": (run(*WHOLE, name="d"), False),
    "a practice cluster": (run(*WHOLE, practice="healthy"), False),
    "other hosts": (run(*WHOLE, hosts=("x", "y"))[:1], False),
    "another address of one": (run(*but(lease("a", 24, ip="10.9.9.9"))), True),
    "other addresses of all": (
        run(*but(lease("a", 24, ip="10.9.9.9"), lease("b", 82, ip="10.9.9.8"))),
        False,
    ),
    "addresses that are not known": (run(ping("a", "b")), True),
}


@pytest.mark.parametrize(("other", "alike"), SAME.values(), ids=SAME)
def test_a_cluster_is_known_by_name_hosts_and_addresses(
    other: tuple[Record, ...], alike: bool
) -> None:
    assert same(State.of(run(*WHOLE)), State.of(other)) is alike


COMPLETE: dict[str, tuple[tuple[Record, ...], bool]] = {
    "all": (run(*WHOLE), True),
    "one that failed": (run(*but(ping("a", "b", "fail")), outcome="failed"), True),
    "one that was stopped": (run(*WHOLE, outcome="stopped"), False),
    "one that was cut off": (run(*WHOLE, outcome=None), False),
    "of some kinds": (run(*but(without=["lease"])), False),
    "of two nodes of three": (
        run(*WHOLE, *(Verified("address", "c", "", "pass", "") for _ in "1")),
        False,
    ),
}


@pytest.mark.parametrize(("said", "whole"), COMPLETE.values(), ids=COMPLETE)
def test_a_verification_is_complete_when_it_judged_everything(
    said: tuple[Record, ...], whole: bool
) -> None:
    assert complete(State.of(said)) is whole


@pytest.fixture
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    runs_path().mkdir(parents=True)
    return runs_path()


def keep(journals: Path, name: str, said: tuple[Record, ...]) -> None:
    (journals / f"{name}.jsonl").write_text("".join(to_line(it) + "\n" for it in said))


def ids(number: int) -> str:
    return f"20261122-1402{number:02}-1a2b"


def test_the_last_complete_verification_of_the_same_cluster_counts(journals: Path) -> None:
    now = run(*but(env("b", "1400")), at=BEGAN)
    state = State.of(now)
    assert since(state) is None, "the first time there is nothing to say"
    keep(journals, ids(50), now)
    assert since(state) is None, "it is not held against itself"
    keep(journals, ids(10), run(*but(env("b", "9000")), at=BEGAN - 50))
    keep(journals, ids(20), run(*WHOLE, verb="install", at=BEGAN - 40))
    for number, other in enumerate(
        (
            run(*WHOLE, name="d", at=BEGAN - 9),
            run(*WHOLE, practice="healthy", at=BEGAN - 8),
            run(ping("a", "b"), at=BEGAN - 7),
            run(*WHOLE, verb="diagnose", at=BEGAN - 6),
            run(*WHOLE, outcome="stopped", at=BEGAN - 5),
            run(*WHOLE, outcome=None, at=BEGAN - 4),
            run(*WHOLE, at=BEGAN + 60),
        ),
        30,
    ):
        keep(journals, ids(number), other)
    (journals / f"{ids(40)}.jsonl").write_text(to_line(now[0]) + "\nrubbish\n" + to_line(now[-1]))
    assert since(state) == Drift(
        ids(20), BEGAN - 40, (Change("flannel_mtu", "b", "", "1450", "1400"),)
    )


def test_a_run_without_verdicts_says_nothing(journals: Path) -> None:
    keep(journals, ids(10), run(*WHOLE, at=BEGAN - 50))
    assert since(State.of(run())) is None
    assert since(State()) is None


@given(any_records(), any_records())
def test_any_two_states_can_be_held_against_each_other(
    one: tuple[Record, ...], other: tuple[Record, ...]
) -> None:
    before, now = State.of(one), State.of(other)
    compare(before, now)
    same(before, now)
    assert compare(now, now) == ()
