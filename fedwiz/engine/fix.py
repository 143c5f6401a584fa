"""From a pair of nodes to the cause of its trouble, to a remedy that is approved, and back."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby

from fedwiz.answers.file import Answers
from fedwiz.diagnose import Diagnosis, Fix, causes, measure
from fedwiz.engine.connections import Connections
from fedwiz.engine.lock import set_within
from fedwiz.engine.plan import Lane, Part, Plan, Task
from fedwiz.engine.verbs import (
    INTERRUPTED,
    NOT_PROVEN,
    OK,
    USAGE,
    Approve,
    Result,
    RunContext,
    carry_out,
    run_verb,
    verify_network,
)
from fedwiz.model.actions import Action, Run
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Diagnosed,
    PlanMade,
    Record,
    WayBack,
)


async def diagnose(
    cluster: RunContext,
    pair: tuple[str, str],
    stop: asyncio.Event,
    *,
    approve: Approve | None = None,
    cause: str = "",
    host: str = "",
) -> Result:
    """Verify two nodes, follow a ping between them, and name what is wrong.

    Args:
        cluster: what to work on.
        pair: sender and receiver.
        stop: once set, nothing new is begun.
        approve: asked for the remedy, which is then carried out, and the two verified again;
            None: nothing is changed.
        cause: the one whose remedy is wanted; empty: the first.
        host: where, should several have that cause; empty: the first.
    """

    async def whole(cluster: RunContext, ways: Connections, result: Result) -> None:
        await verify_network(cluster, ways, result, pair=pair)
        if result.known is None:
            return
        if stop.is_set():
            result.code, result.why = INTERRUPTED, "stopped before any packet was followed"
            return
        case = await measure(
            cluster.answers, dict(ways.sessions), result.known, result.verdicts, pair
        )
        result.case, result.diagnoses = case, causes(case)
        for it in result.diagnoses:
            cluster.emit(
                Diagnosed(
                    *pair, it.cause, it.host, it.why, it.seen, it.remedy, it.explains, len(it.mends)
                )
            )
        _named(result)
        if approve is not None and not stop.is_set():
            await _mended(cluster, ways, result, approve, stop, (cause, host))
            if result.code == OK:
                await _verify_remedied(cluster, ways, result, stop, pair)

    return await run_verb("diagnose", cluster, whole, changes=approve is not None)


SETTLE_SECONDS = (1.0, 4.0)
"""How long a verification that fails right after a remedy waits before it is repeated."""


async def _verify_remedied(
    cluster: RunContext,
    ways: Connections,
    result: Result,
    stop: asyncio.Event,
    pair: tuple[str, str],
) -> None:
    """Verify the pair; again where it fails, since peers hear of a new lease a moment later."""
    await verify_network(cluster, ways, result, pair=pair)
    for seconds in SETTLE_SECONDS:
        if result.code == OK or await set_within(stop, seconds):
            return
        await verify_network(cluster, ways, result, pair=pair)


def _named(result: Result) -> None:
    """Exit code and reason: what was found counts, also where the pair pings for now."""
    if result.diagnoses and result.code in (OK, NOT_PROVEN):
        first = result.diagnoses[0]
        result.code, result.why = NOT_PROVEN, f"{first.cause}: {first.why}; {first.remedy}"


async def _mended(
    cluster: RunContext,
    ways: Connections,
    result: Result,
    approve: Approve,
    stop: asyncio.Event,
    wanted: tuple[str, str],
) -> None:
    """Offer a cause's remedy, and carry it out; the code is OK where it was."""
    cause, host = wanted
    chosen = next(
        (it for it in result.diagnoses if cause in ("", it.cause) and host in ("", it.host)), None
    )
    if chosen is None:
        result.code = USAGE if cause else result.code
        result.why = f"{cause} is no cause that was found" if cause else result.why
        return
    if not chosen.mends:
        result.why = f"{chosen.cause} is not for fedwiz to mend: {chosen.remedy}"
        return
    await _done(cluster, ways, result, approve, stop, plan_of(cluster.answers, chosen))


async def _done(
    cluster: RunContext,
    ways: Connections,
    result: Result,
    approve: Approve,
    stop: asyncio.Event,
    plan: Plan,
) -> None:
    result.plan, result.code = plan, OK
    cluster.emit(PlanMade(plan.digest, plan.actions))
    result.why = await approve(plan, result)
    if result.why:
        result.code = USAGE if result.code == OK else result.code
        return
    await carry_out(cluster, ways, result, stop)


def plan_of(answers: Answers, diagnosis: Diagnosis) -> Plan:
    """A remedy as a plan: its actions in their order, one after the other."""
    return _plan(answers, diagnosis.mends, diagnosis.cause, f"Mend {diagnosis.cause}")


def _plan(answers: Answers, mends: Sequence[Fix], step: str, title: str) -> Plan:
    parts = []
    for number, (host, these) in enumerate(groupby(mends, key=lambda it: it.host)):
        name = step if not number else f"{step}-{number + 1}"
        actions: tuple[Action, ...] = tuple(it.do for it in these)
        parts.append(Part("mend", True, (Lane(host, (Task(host, name, title, actions),)),)))
    return Plan(tuple(host.name for host in answers.host), tuple(parts))


async def undo_fix(
    cluster: RunContext, records: Iterable[Record], approve: Approve, stop: asyncio.Event
) -> Result:
    """Take back what a run has done, the last action first.

    Args:
        cluster: what to work on.
        records: the run's.
        approve: asked with the plan of it.
        stop: once set, nothing new is begun.
    """
    plan = undo_plan(cluster.answers, records)

    async def whole(cluster: RunContext, ways: Connections, result: Result) -> None:
        if not any(plan.actions.values()):
            result.code, result.why = USAGE, "nothing in that run can be taken back"
            return
        await _done(cluster, ways, result, approve, stop, plan)

    return await run_verb("undo", cluster, whole, changes=True)


def undo_plan(answers: Answers, records: Iterable[Record]) -> Plan:
    """What takes a run's actions back, as a plan."""
    return _plan(answers, undo_actions(records), "undo", "Take it back")


def undo_actions(records: Iterable[Record]) -> tuple[Fix, ...]:
    """What takes a run's actions back, the last one first.

    An action that failed has changed nothing that is known of, and is left out; one whose end
    was not seen is taken back.
    """
    told: dict[str, WayBack] = {}
    begun: dict[str, int] = {}
    found: list[WayBack | None] = []
    for event in (record.event for record in records):
        match event:
            case WayBack(host):
                told[host] = event
            case ActionStarted(host):
                begun[host] = len(found)
                found.append(told.pop(host, None))
            case ActionEnded(host, _, "failed") if host in begun:
                found[begun[host]] = None
            case _:
                pass
    return tuple(
        Fix(
            it.host,
            Run(
                it.argv,
                stdin=(it.stdin,) if it.stdin else (),
                timeout=it.timeout,
                interrupts=it.interrupts,
            ),
        )
        for it in reversed(found)
        if it is not None
    )
