"""Diagnoses a pair of nodes, fixes the cause once approved, and undoes fixes."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby

from fedwiz.answers.file import Answers
from fedwiz.diagnose import Diagnosis, Fix, causes, measure
from fedwiz.engine.approval import Approve
from fedwiz.engine.connections import Connections
from fedwiz.engine.lock import set_within
from fedwiz.engine.plan import Lane, Part, Plan, Task
from fedwiz.engine.verbs import (
    INTERRUPTED,
    NOT_PROVEN,
    OK,
    USAGE,
    Result,
    RunContext,
    approved,
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
    """Verify two nodes, trace a ping between them, and name the causes of its failure.

    Args:
        cluster: the context to run in.
        pair: sender and receiver.
        stop: once set, nothing new starts.
        approve: asked to approve the fix, which is then applied, and the pair verified again;
            None: nothing is changed.
        cause: the cause to fix; empty: the first.
        host: where, if several hosts have that cause; empty: the first.
    """

    async def work(cluster: RunContext, connections: Connections, result: Result) -> None:
        await verify_network(cluster, connections, result, pair=pair)
        if result.known is None:
            return
        if stop.is_set():
            result.code, result.why = INTERRUPTED, "stopped before any packet was followed"
            return
        case = await measure(
            cluster.answers, dict(connections.sessions), result.known, result.verdicts, pair
        )
        result.case, result.diagnoses = case, causes(case)
        for it in result.diagnoses:
            cluster.emit(
                Diagnosed(
                    *pair, it.cause, it.host, it.why, it.seen, it.remedy, it.explains, len(it.fixes)
                )
            )
        _set_outcome(result)
        if approve is not None and not stop.is_set():
            await _offer_fix(cluster, connections, result, approve, stop, (cause, host))
            if result.code == OK:
                await _verify_after_fix(cluster, connections, result, stop, pair)

    return await run_verb("diagnose", cluster, work, changes=approve is not None)


SETTLE_SECONDS = (1.0, 4.0)
"""Delays before a verification that fails right after a fix is repeated."""


async def _verify_after_fix(
    cluster: RunContext,
    connections: Connections,
    result: Result,
    stop: asyncio.Event,
    pair: tuple[str, str],
) -> None:
    """Verify the pair, and retry if that fails: peers learn of a new lease a moment later."""
    await verify_network(cluster, connections, result, pair=pair)
    for seconds in SETTLE_SECONDS:
        if result.code == OK or await set_within(stop, seconds):
            return
        await verify_network(cluster, connections, result, pair=pair)


def _set_outcome(result: Result) -> None:
    """Set exit code and reason: a cause counts even if the pair can ping now."""
    if result.diagnoses and result.code in (OK, NOT_PROVEN):
        first = result.diagnoses[0]
        result.code, result.why = NOT_PROVEN, f"{first.cause}: {first.why}; {first.remedy}"


async def _offer_fix(
    cluster: RunContext,
    connections: Connections,
    result: Result,
    approve: Approve,
    stop: asyncio.Event,
    wanted: tuple[str, str],
) -> None:
    """Offer a cause's fix and apply it; the code is OK if that succeeds."""
    cause, host = wanted
    chosen = next(
        (it for it in result.diagnoses if cause in ("", it.cause) and host in ("", it.host)), None
    )
    if chosen is None:
        result.code = USAGE if cause else result.code
        result.why = f"{cause} is not a cause that was found" if cause else result.why
        return
    if not chosen.fixes:
        result.why = f"{chosen.cause} is not for fedwiz to fix: {chosen.remedy}"
        return
    await _approve_and_apply(
        cluster, connections, result, approve, stop, plan_of(cluster.answers, chosen)
    )


async def _approve_and_apply(
    cluster: RunContext,
    connections: Connections,
    result: Result,
    approve: Approve,
    stop: asyncio.Event,
    plan: Plan,
) -> None:
    result.plan, result.code = plan, OK
    cluster.emit(PlanMade(plan.digest, plan.actions))
    if await approved(approve, result):
        await carry_out(cluster, connections, result, stop)


def plan_of(answers: Answers, diagnosis: Diagnosis) -> Plan:
    """The fix of a diagnosis as a plan: its actions in order, one after the other."""
    return _plan(answers, diagnosis.fixes, diagnosis.cause, f"Fix {diagnosis.cause}")


def _plan(answers: Answers, fixes: Sequence[Fix], step: str, title: str) -> Plan:
    parts = []
    for number, (host, host_fixes) in enumerate(groupby(fixes, key=lambda it: it.host)):
        name = step if not number else f"{step}-{number + 1}"
        actions: tuple[Action, ...] = tuple(it.do for it in host_fixes)
        parts.append(Part("mend", True, (Lane(host, (Task(host, name, title, actions),)),)))
    return Plan(tuple(host.name for host in answers.host), tuple(parts))


async def undo_fix(
    cluster: RunContext, records: Iterable[Record], approve: Approve, stop: asyncio.Event
) -> Result:
    """Undo what a run did, last action first.

    Args:
        cluster: the context to run in.
        records: the run's.
        approve: asked to approve the plan.
        stop: once set, nothing new starts.
    """
    plan = undo_plan(cluster.answers, records)

    async def work(cluster: RunContext, connections: Connections, result: Result) -> None:
        if not any(plan.actions.values()):
            result.code, result.why = USAGE, "nothing in that run can be taken back"
            return
        await _approve_and_apply(cluster, connections, result, approve, stop, plan)

    return await run_verb("undo", cluster, work, changes=True)


def undo_plan(answers: Answers, records: Iterable[Record]) -> Plan:
    """The plan that undoes a run's actions."""
    return _plan(answers, undo_actions(records), "undo", "Take it back")


def undo_actions(records: Iterable[Record]) -> tuple[Fix, ...]:
    """The actions that undo a run, last one first.

    A failed action is left out, since it changed nothing that is known; one whose end was not seen
    is undone.
    """
    announced: dict[str, WayBack] = {}
    started: dict[str, int] = {}
    actions: list[WayBack | None] = []
    for event in (record.event for record in records):
        match event:
            case WayBack(host):
                announced[host] = event
            case ActionStarted(host):
                started[host] = len(actions)
                actions.append(announced.pop(host, None))
            case ActionEnded(host, _, "failed") if host in started:
                actions[started[host]] = None
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
        for it in reversed(actions)
        if it is not None
    )
