"""Runs for tests: small ones that are made up, and those that `record_journals.py` recorded."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st

from fedwiz.model.events import (
    EVENTS_BY_NAME,
    ActionEnded,
    ActionStarted,
    Connected,
    Event,
    FactsRead,
    Found,
    HostLost,
    Judged,
    Level,
    Outcome,
    Output,
    PlanMade,
    Record,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Verified,
)
from fedwiz.runs.journal import read

RECORDED = Path(__file__).parents[1] / "journals"


def recorded(name: str) -> tuple[Record, ...]:
    """A run that fedwiz recorded itself: `all-well`, `one-fails`, ..."""
    return read(RECORDED / f"{name}.jsonl")


BEGAN = 1_795_388_772.0
"""2026-11-22 23:06:12 UTC."""

HOSTS = ("fed-master", "fed-node1", "fed-node2", "fed-node3")
NODES = HOSTS[1:]
INSTALL = "dnf -y install flannel"


def records(events: Iterable[Event], apart: float = 0.5) -> tuple[Record, ...]:
    """Number and stamp events, `apart` seconds between them."""
    return tuple(Record(at, BEGAN + at * apart, event) for at, event in enumerate(events))


def begin(hosts: tuple[str, ...] = HOSTS, verb: str = "install", practice: str = "") -> list[Event]:
    said: list[Event] = [RunStarted(verb, "fedora-lab", hosts, practice)]
    said += [Connected(host) for host in hosts]
    return said + [FactsRead(host, 0.25) for host in hosts]


def step(
    host: str,
    name: str = "package",
    title: str = "Install flannel",
    shown: str = INSTALL,
    lines: tuple[str, ...] = ("Complete!",),
    outcome: Outcome = "ok",
    why: str = "",
) -> list[Event]:
    """A step of one action, from its start to its end."""
    code = {"ok": 0, "failed": 1}.get(outcome)
    return [
        StepStarted(host, name, title, 1),
        ActionStarted(host, name, shown),
        *(Output(host, name, line) for line in lines),
        ActionEnded(host, name, outcome, code, 1.5),
        StepEnded(host, name, outcome, why),
    ]


def gate(outcome: Outcome = "ok", why: str = "") -> list[Event]:
    put = "ETCDCTL_API=3 etcdctl put /coreos.com/network/config '{}'"
    return step("fed-master", "config", "Write the network into etcd", put, (), outcome, why)


def verified(
    nodes: tuple[str, ...] = NODES, bad: dict[tuple[str, str], str] | None = None
) -> list[Event]:
    """All verdicts; `bad` has the reasons of the pairs that do not ping."""
    bad = bad or {}
    said: list[Event] = []
    for at, node in enumerate(nodes):
        subnet = f"10.16.{29 + at}.0/24"
        said += [
            Verified(
                "address", node, "", "pass", f"flannel.1 10.16.{29 + at}.0/32\ndocker0 {subnet}"
            ),
            Verified("lease", node, "", "pass", f"{subnet} 192.168.122.{77 + at}"),
            Verified("subnet_env", node, "", "pass", f"FLANNEL_SUBNET={subnet}"),
        ]
    for one in nodes:
        for other in nodes:
            if one != other:
                why = bad.get((one, other), "")
                seen = "3 of 3 came back" if not why else "0 of 3 came back"
                said.append(Verified("ping", one, other, "fail" if why else "pass", seen, why))
    return said


def all_well(practice: str = "") -> tuple[Record, ...]:
    return records(
        [
            *begin(practice=practice),
            Found("etcd", "fed-master", "ok", "etcd 3.4 answers"),
            Found("kubelet", "fed-node1", "warn", "kubelet does not run", "start kubelet"),
            PlanMade("0123456789ab", dict.fromkeys(HOSTS, 1)),
            *gate(),
            *(event for node in NODES for event in step(node)),
            *verified(),
            RunEnded("ok", 0),
        ]
    )


def one_fails() -> tuple[Record, ...]:
    why = f"exit status 1 of `{INSTALL}`: no match"
    said = (*map(str, range(12)), "Error: no match")
    return records(
        [
            *begin(),
            PlanMade("0123456789ab", dict.fromkeys(HOSTS, 1)),
            *gate(),
            *step("fed-node1"),
            *step("fed-node2", lines=said, outcome="failed", why=why),
            *step("fed-node3"),
            RunEnded("failed", 5, f"fed-node2: {why}"),
        ]
    )


def lost_at_the_gate() -> tuple[Record, ...]:
    shut = "not started: fed-master failed"
    return records(
        [
            *begin(),
            PlanMade("0123456789ab", dict.fromkeys(HOSTS, 1)),
            *gate("unknown", "the connection went"),
            HostLost("fed-master", "the connection went"),
            *(StepEnded(node, "package", "stopped", shut) for node in NODES),
            RunEnded("failed", 5, "fed-master: the connection went"),
        ]
    )


def stopped() -> tuple[Record, ...]:
    return records(
        [
            *begin(),
            PlanMade("0123456789ab", dict.fromkeys(HOSTS, 1)),
            *gate(),
            *step("fed-node1"),
            *(StepEnded(node, "package", "stopped", "the run was stopped") for node in NODES[1:]),
            RunEnded("stopped", 130, "stopped by the operator"),
        ]
    )


def practice_with_a_fault() -> tuple[Record, ...]:
    why = "fed-node2 drops what it should forward: `iptables -I FORWARD -j ACCEPT` there"
    pairs = [("fed-node1", "fed-node2"), ("fed-node2", "fed-node1")]
    return records(
        [
            *begin(verb="verify", practice="forward-drop"),
            *verified(bad=dict.fromkeys(pairs, why)),
            RunEnded("failed", 7, why),
        ]
    )


def blocked() -> tuple[Record, ...]:
    return records(
        [
            *begin(verb="check"),
            Found("etcd", "fed-master", "ok", "etcd 3.4 answers"),
            Found("overlap", "", "block", "10.16.0.0/16 is in use", "choose 10.17.0.0/16"),
            Found("kubelet", "fed-node1", "warn", "kubelet does not run", "start kubelet"),
            RunEnded("failed", 3, "10.16.0.0/16 is in use; choose 10.17.0.0/16"),
        ]
    )


def sixty() -> tuple[Record, ...]:
    hosts = ("fed-master", *(f"fed-node{number}" for number in range(1, 60)))
    return records(
        [
            *begin(hosts),
            PlanMade("0123456789ab", dict.fromkeys(hosts, 1)),
            *gate(),
            *(event for node in hosts[1:] for event in step(node)),
            *verified(hosts[1:], {("fed-node7", "fed-node9"): "no route"}),
            RunEnded("failed", 7, "no route"),
        ],
        apart=0.01,
    )


WHOLE: dict[str, Callable[[], tuple[Record, ...]]] = {
    "all well": all_well,
    "on practice": lambda: all_well("healthy"),
    "one fails": one_fails,
    "lost at the gate": lost_at_the_gate,
    "stopped": stopped,
    "a fault": practice_with_a_fault,
    "blocked": blocked,
    "sixty hosts": sixty,
}
"""Journals that end with their `RunEnded`."""


def unended(said: Iterable[Record]) -> list[tuple[str, ...]]:
    """What was started and has no end, as (kind, host, step); empty for a whole journal."""
    begun: list[tuple[str, ...]] = []
    for record in said:
        match record.event:
            case RunStarted():
                begun.append(("run",))
            case StepStarted(host, name):
                begun.append(("step", host, name))
            case ActionStarted(host, name):
                begun.append(("action", host, name))
            case RunEnded():
                begun.remove(("run",))
            case ActionEnded(host, name):
                begun.remove(("action", host, name))
            case StepEnded(host, name) if ("step", host, name) in begun:
                begun.remove(("step", host, name))
    return begun


_names = st.sampled_from(["", "fed-master", "fed-node1", "a", "\x1b[31mred"]) | st.text(max_size=5)
_wholes = st.integers(-(2**53) + 1, 2**53 - 1)
_VALUES: Mapping[object, st.SearchStrategy[Any]] = {
    str: _names,
    int: _wholes,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    int | None: st.none() | _wholes,
    tuple[str, ...]: st.lists(_names, max_size=3).map(tuple),
    Mapping[str, int]: st.dictionaries(_names, _wholes, max_size=3),
    Mapping[str, str]: st.dictionaries(_names, _names, max_size=3),
    **{words: st.sampled_from(get_args(words)) for words in (Level, Judged, Outcome)},
}


def _made(kind: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: _VALUES[hint] for name, hint in hints.items()})


events = st.one_of([_made(kind) for kind in EVENTS_BY_NAME.values()])
"""Any event there can be."""


@st.composite
def any_records(draw: st.DrawFn) -> tuple[Record, ...]:
    """Events in any order, whether it makes sense or not, by a clock that jumps."""
    said = draw(st.lists(st.tuples(st.floats(0, 4e9), events), max_size=30))
    return tuple(Record(number, at, event) for number, (at, event) in enumerate(said))
