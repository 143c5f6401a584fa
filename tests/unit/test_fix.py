"""A remedy as a plan, what a run can take back, and in which order."""

import asyncio

import pytest

from fedwiz.diagnose import Diagnosis, Fix
from fedwiz.diagnose.values import fix_command
from fedwiz.engine.apply import apply
from fedwiz.engine.fix import plan_of, undo_actions
from fedwiz.model.actions import Run, UnreachableError
from fedwiz.model.events import Event, Record, WayBack
from tests.support.fake_cluster import Fake
from tests.support.sample_cluster import ANSWERS

ONE = fix_command("fed-node1", ("sysctl", "-w", "a=1"), ("sysctl", "-w", "a=0"))
TWO = fix_command("fed-node1", ("ip", "link", "up"), ("ip", "link", "down"), interrupts=True)
THREE = fix_command("fed-node2", ("touch", "x"), ("rm", "x"))
NEVER = Fix("fed-node2", Run(("systemctl", "restart", "x")))


def remedy(*mends: Fix) -> Diagnosis:
    return Diagnosis("a-cause", "fed-node1", "why", "seen", "remedy", mends)


def test_a_remedy_is_done_one_action_after_the_other() -> None:
    plan = plan_of(ANSWERS, remedy(ONE, TWO, THREE, ONE))
    assert [(task.host, task.step, len(task.actions)) for task in plan.tasks()] == [
        ("fed-node1", "a-cause", 2),
        ("fed-node2", "a-cause-2", 1),
        ("fed-node1", "a-cause-3", 1),
    ]
    assert all(part.gate and len(part.lanes) == 1 for part in plan.parts)
    assert ONE.do.undo == "sysctl -w a=0"


async def carried(fake: Fake, *mends: Fix) -> list[Record]:
    plan = plan_of(ANSWERS, remedy(*mends))
    await apply(plan, fake.ways, fake.events.append, "run", asyncio.Event())
    events: list[Event] = [it for it in fake.events if isinstance(it, Event)]
    return [Record(at, 0.0, event) for at, event in enumerate(events)]


def taken_back(records: list[Record]) -> list[tuple[str, str]]:
    return [(it.host, it.do.brief) for it in undo_actions(records)]


async def test_what_was_done_is_taken_back_the_last_one_first() -> None:
    records = await carried(Fake(), ONE, TWO, THREE, NEVER)
    assert taken_back(records) == [
        ("fed-node2", "rm x"),
        ("fed-node1", "ip link down"),
        ("fed-node1", "sysctl -w a=0"),
    ]
    back = undo_actions(records)[1].do
    assert isinstance(back, Run)
    assert back.interrupts
    told = [it.event for it in records if isinstance(it.event, WayBack)]
    assert next(it.argv for it in told) == ("sysctl", "-w", "a=0")


ENDS = {
    "failed": (1, [("fed-node1", "sysctl -w a=0")]),
    # Nobody saw its end, so it may be there.
    "lost": (
        UnreachableError("gone"),
        [("fed-node1", "ip link down"), ("fed-node1", "sysctl -w a=0")],
    ),
}


@pytest.mark.parametrize(("end", "back"), ENDS.values(), ids=ENDS)
async def test_what_failed_is_not_taken_back_and_nothing_follows_it(
    end: int | UnreachableError, back: list[tuple[str, str]]
) -> None:
    fake = Fake({"ip link up": end})
    assert taken_back(await carried(fake, ONE, TWO, THREE)) == back
    assert fake.sent_to("fed-node2") == []


async def test_a_failure_of_what_has_no_way_back_leaves_the_others_alone() -> None:
    fake = Fake({"restart": 1})
    assert taken_back(await carried(fake, THREE, NEVER)) == [("fed-node2", "rm x")]


async def test_what_goes_to_standard_input_comes_back_whole() -> None:
    put = fix_command("fed-node1", ("a",), ("tee", "f"))
    undo = Run(("tee", "f"), stdin=("old\n",), timeout=7)
    with_input = Fix(
        "fed-node1", Run(put.do.argv, back=undo) if isinstance(put.do, Run) else put.do
    )
    (found,) = undo_actions(await carried(Fake(), with_input))
    assert found.do == Run(("tee", "f"), stdin=("old\n",), timeout=7)
