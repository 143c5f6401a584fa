"""What is begun, what is not, and what is said of it."""

import asyncio
from collections import Counter

import pytest

from fedwiz.engine.apply import Applied, apply
from fedwiz.engine.connections import read_facts
from fedwiz.engine.plan import Lane, Part, Plan, Task, make
from fedwiz.model.actions import PutKey, Run, UnreachableError, Value
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    HostLost,
    Output,
    StepEnded,
    StepStarted,
)
from tests.support.fake_cluster import Fake, FakeStore
from tests.support.sample_cluster import ANSWERS, BARE, NODES, answered

PLAN = make(ANSWERS, BARE)


async def carry(fake: Fake, stop: asyncio.Event | None = None, plan: Plan = PLAN) -> Applied:
    return await apply(plan, fake.ways, fake.ways.emit, "run", stop or asyncio.Event())


def paired(events: list[object]) -> None:
    """Every Started has its Ended."""
    steps = Counter((e.host, e.step) for e in events if isinstance(e, StepStarted))
    ended = Counter((e.host, e.step) for e in events if isinstance(e, StepEnded))
    assert steps <= ended
    assert set(ended.values()) <= {1}
    begun = sum(isinstance(e, ActionStarted) for e in events)
    assert begun == sum(isinstance(e, ActionEnded) for e in events)


async def test_everything_is_sent_once_and_in_order() -> None:
    fake = Fake()
    applied = await carry(fake)
    assert set(applied.outcomes.values()) == {"ok"}
    for host in NODES:
        wanted = [action.brief for task in PLAN.tasks(host) for action in task.actions]
        assert fake.sent_to(host) == wanted
    paired(fake.events)


async def test_the_key_is_read_back_and_shown() -> None:
    fake = Fake()
    await carry(fake)
    said = [e.line for e in fake.events if isinstance(e, Output) and e.host == "fed-master"]
    assert said == [f"/coreos.com/network/config reads back as {ANSWERS.config_json()}"]


async def test_a_host_that_fails_gets_no_more_and_the_others_go_on() -> None:
    fake = Fake(
        {"fed-node2 sh package.sh dnf": 1},
        lines={"dnf": ("Error: Unable to find a match: flannel",)},
    )
    applied = await carry(fake)
    assert applied.outcomes["fed-node2"] == "failed"
    assert fake.sent_to("fed-node2")[-1] == "sh package.sh dnf -y install flannel"
    assert any("switch.sh" in sent for sent in fake.sent_to("fed-node1"))
    assert "fed-node2" in applied.lost
    paired(fake.events)


async def test_why_is_the_known_cause_with_its_remedy() -> None:
    fake = Fake(
        {"fed-node2 sh package.sh dnf": 1},
        lines={"dnf": ("Error: Unable to find a match: flannel",)},
    )
    why = (await carry(fake)).why["fed-node2"]
    assert "flannel" in why
    assert ";" in why
    assert "exit status" not in why


async def test_an_unknown_cause_is_told_with_the_last_line() -> None:
    fake = Fake(
        {"fed-node2 systemctl enable flanneld": 3},
        lines={"enable": ("first", "the disk is on fire")},
    )
    why = (await carry(fake)).why["fed-node2"]
    assert "exit status 3" in why
    assert "the disk is on fire" in why


async def test_nodes_do_not_look_for_a_peer_that_is_not_done() -> None:
    fake = Fake({"fed-node2 sh package.sh dnf": 1})
    await carry(fake)
    assert not any("peers.sh" in run.brief for _, run in fake.sent)
    ends = {e.host: e.why for e in fake.events if isinstance(e, StepEnded) and e.step == "peers"}
    assert "fed-node2" in ends["fed-node1"]


@pytest.mark.parametrize(
    "store", [FakeStore(gone="etcd is not there"), FakeStore(conflict=True)], ids=["gone", "stale"]
)
async def test_a_gate_that_fails_stops_all(store: FakeStore) -> None:
    fake = Fake(store=store)
    applied = await carry(fake)
    assert [(host, run.brief) for host, run in fake.sent] == [("fed-master", "sh keep.sh -")]
    assert applied.outcomes["fed-master"] == "failed"
    assert {applied.outcomes[host] for host in NODES} == {"stopped"}
    assert bool(applied.stale) == store.conflict
    paired(fake.events)


async def test_a_changed_key_is_not_overwritten_and_told() -> None:
    fake = Fake(store=FakeStore(conflict=True))
    applied = await carry(fake)
    assert "10.99.0.0/16" in applied.stale
    assert fake.store.keys["/coreos.com/network/config"].revision == 99


async def test_a_file_that_somebody_changed_is_told_and_the_others_go_on() -> None:
    said = "/etc/x was changed since the plan was made: it is gone; look at it"
    fake = Fake({"fed-node2 sh sysconfig.sh": 75}, lines={"sysconfig.sh": (said,)})
    applied = await carry(fake)
    assert applied.stale == said
    assert applied.outcomes["fed-node2"] == "failed"
    assert any("switch.sh" in sent for sent in fake.sent_to("fed-node1"))
    other = await carry(Fake({"fed-node2 dnf": 75}))
    assert other.stale == "", "a command of somebody else's means something else by it"


class Stubborn(FakeStore):
    """Says that it deleted a key, and has it all the same."""

    async def put(self, put: PutKey) -> bool:
        return True


@pytest.mark.parametrize(
    ("store", "outcome", "said"),
    [
        (FakeStore(), "ok", "/k is gone"),
        (Stubborn(), "failed", "somebody wrote it again"),
        (FakeStore(conflict=True), "failed", "was changed since the plan was made"),
    ],
    ids=["gone", "there again", "stale"],
)
async def test_a_key_is_deleted_and_looked_for(store: FakeStore, outcome: str, said: str) -> None:
    store.keys["/k"] = Value("/k", "{}", 7)
    fake = Fake(store=store)
    put = PutKey("/k", None, "v2", 7)
    lane = Lane("fed-master", (Task("fed-master", "release", "Delete", (put,)),))
    plan = Plan(("fed-master",), (Part("etcd", False, (lane,)),))
    applied = await apply(plan, fake.ways, fake.events.append, "run", asyncio.Event())
    lines = [e.line for e in fake.events if isinstance(e, Output)]
    assert applied.outcomes["fed-master"] == outcome
    assert said in " ".join([*lines, *applied.why.values()])


async def test_a_connection_that_goes_leaves_the_action_unknown_and_loses_the_host() -> None:
    fake = Fake({"fed-node3 sh switch.sh": UnreachableError("it went")})
    applied = await carry(fake)
    assert applied.outcomes["fed-node3"] == "unknown"
    assert HostLost("fed-node3", "it went") in fake.events
    assert "fed-node3" not in fake.ways.sessions
    fake.ways.lose("fed-node3", "again")
    assert fake.ways.lost == {"fed-node3": "it went"}
    assert sum(isinstance(e, HostLost) for e in fake.events) == 1
    [ended] = [e for e in fake.events if isinstance(e, ActionEnded) and e.outcome == "unknown"]
    assert ended.code is None
    paired(fake.events)


async def test_stop_lets_the_action_in_flight_end_and_begins_no_other() -> None:
    stop = asyncio.Event()

    def press(host: str, run: Run) -> None:
        stop.set()

    fake = Fake(before=press, answers=answered("ssh.width=1"))
    applied = await carry(fake, stop)
    assert len(fake.sent) == 1  # what is kept on the master
    assert {applied.outcomes[host] for host in NODES} == {"stopped"}
    assert sum(isinstance(e, ActionStarted) for e in fake.events) == 1
    assert sum(isinstance(e, StepStarted) for e in fake.events) == 1
    paired(fake.events)


async def test_a_run_that_is_cancelled_tells_every_end() -> None:
    fake = Fake()
    begun = asyncio.Event()
    fake = Fake(before=lambda host, run: begun.set())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(carry(fake))
        await begun.wait()
        task.cancel()
    assert task.cancelled()
    paired(fake.events)


async def test_a_unit_s_name_is_this_run_s_own() -> None:
    fake = Fake()
    await carry(fake)
    units = {run.unit for _, run in fake.sent if run.unit}
    assert units == {"fedwiz-package-run", "fedwiz-switch-run"}


async def test_a_way_to_etcd_is_not_used_again_once_its_host_may_have_rebooted() -> None:
    """The connection under it is another one then, or none."""
    fake = Fake(answers=answered("etcd.api=v2"))
    async with fake.ways.stack:
        await fake.ways.store("v2", {})
        fake.ways.sessions.clear()
        known = await read_facts(fake.ways)
    assert known.store.error == "no host is left that could reach etcd"
