"""The verbs: check, plan, install, verify, each from answers to a result."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from fedwiz import __version__
from fedwiz import verify as verification
from fedwiz.answers.file import Answers
from fedwiz.checks import Finding, judge
from fedwiz.diagnose import Case, Diagnosis
from fedwiz.engine import plan as planning
from fedwiz.engine.apply import Applied, apply
from fedwiz.engine.approval import Approve
from fedwiz.engine.connections import Connections, connect, connect_all, read_facts
from fedwiz.engine.deadman import confirm_all
from fedwiz.engine.leftovers import follow_leftover_units
from fedwiz.engine.lock import Lock, LockTimes, set_within
from fedwiz.engine.plan import Plan
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import OpenStore, Secret, Transport
from fedwiz.model.events import (
    Emit,
    Outcome,
    PlanMade,
    RoundEnded,
    RoundStarted,
    RunEnded,
    RunStarted,
)
from fedwiz.verify import KINDS, Verdict
from fedwiz.verify import ok as all_well
from fedwiz.verify.ports import try_udp_port

OK, INTERNAL, USAGE, BLOCKED, UNREACHABLE, FAILED = 0, 1, 2, 3, 4, 5
NOT_PROVEN, LOCKED, STALE, INTERRUPTED = 7, 8, 9, 130
"""Exit codes."""


@dataclass
class RunContext:
    """What a verb works on, and how it gets there."""

    answers: Answers
    transport: Transport
    open_store: OpenStore
    emit: Emit
    run_id: str
    accepted: Collection[str] = ()
    """Names of checks whose block is only a warning."""

    etcd_password: Secret | None = None
    supplied: str = ""
    practice: str = ""
    limits: LockTimes = field(default_factory=LockTimes)
    """How long the cluster's lock is waited for."""


@dataclass
class Result:
    """What a verb came to."""

    code: int = INTERNAL
    why: str = ""
    known: ClusterFacts | None = None
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    applied: Applied | None = None
    verdicts: tuple[Verdict, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    case: Case | None = None
    """What a diagnosis has measured."""


async def check(cluster: RunContext) -> Result:
    """Probes, a trial of the backend's UDP port, and findings; changes nothing."""
    return await run_verb("check", cluster, _check)


async def plan(cluster: RunContext) -> Result:
    """What is left to do; changes nothing."""
    return await run_verb("plan", cluster, _plan)


async def verify(
    cluster: RunContext, *, only: Collection[str] = KINDS, pair: tuple[str, str] | None = None
) -> Result:
    """The verification alone, on any cluster; `only` and `pair` as `verify` takes them."""

    async def some(cluster: RunContext, connections: Connections, result: Result) -> None:
        await verify_network(cluster, connections, result, only, pair)

    return await run_verb("verify", cluster, some)


async def watch(
    cluster: RunContext,
    every: float,
    stop: asyncio.Event,
    *,
    count: int = 0,
    only: Collection[str] = KINDS,
    pair: tuple[str, str] | None = None,
) -> Result:
    """Verify again and again over the same sessions; what came of it is that of the last round.

    A host that is lost is sought again before each round.

    Args:
        cluster: what to work on.
        every: seconds between a round's end and the beginning of the next.
        stop: once set, the round that goes on is the last.
        count: of rounds; 0: until `stop` is set.
        only: as `verify` takes it.
        pair: as `verify` takes it.
    """

    async def rounds(cluster: RunContext, connections: Connections, result: Result) -> None:
        for number in itertools.count(1):
            cluster.emit(RoundStarted(number))
            if number > 1:
                await connect(connections)
            async with AsyncExitStack() as stack:  # each round's way to etcd ends with the round
                await verify_network(cluster, replace(connections, stack=stack), result, only, pair)
            cluster.emit(RoundEnded(number, result.code))
            if number == count or await set_within(stop, every):
                return

    return await run_verb("verify", cluster, rounds)


async def install(
    cluster: RunContext, approve: Approve, stop: asyncio.Event, *, verified: bool = True
) -> Result:
    """Check, plan, apply, verify.

    Args:
        cluster: what to work on.
        approve: asked once there is a plan with something in it.
        stop: once set, nothing new is begun.
        verified: False leaves the verification out.
    """

    async def whole(cluster: RunContext, connections: Connections, result: Result) -> None:
        await confirm_all(connections)
        await follow_leftover_units(connections)
        await _plan(cluster, connections, result)
        if result.code != OK or result.plan is None:
            return
        if stop.is_set():
            result.code, result.why = INTERRUPTED, "stopped before anything was changed"
            return
        if any(result.plan.actions.values()):
            if not await approved(approve, result):
                return
            await carry_out(cluster, connections, result, stop)
        if result.code == OK and stop.is_set():
            result.code = INTERRUPTED
            result.why = "stopped before the verification; the same command continues from here"
        if result.code == OK and verified:
            await verify_network(cluster, connections, result)

    return await run_verb("install", cluster, whole, changes=True)


async def approved(approve: Approve, result: Result) -> bool:
    """Have the plan approved; where it is not, the result says why."""
    assert result.plan is not None  # noqa: S101 - it was made just before
    refusal = await approve(result.plan, result.known)
    result.why = refusal.why if refusal else ""
    if refusal:
        result.code = STALE if refusal.stale else USAGE
    return refusal is None


async def run_verb(
    verb: str,
    cluster: RunContext,
    work: Callable[[RunContext, Connections, Result], Awaitable[None]],
    *,
    changes: bool = False,
) -> Result:
    """Between the run's first event and its last, with all hosts connected.

    Args:
        verb: its name.
        cluster: what it works on.
        work: what it does; whatever it finds out goes into the result.
        changes: it is for one at a time: it has the cluster's lock, or does not begin.
    """
    answers, result = cluster.answers, Result()
    names = tuple(host.name for host in answers.host)
    async with AsyncExitStack() as stack:
        lock = None
        if changes:
            lock = Lock(
                verb,
                cluster.run_id,
                answers.name,
                cluster.transport,
                answers.master.name,
                cluster.emit,
                cluster.limits,
            )
            cluster = replace(cluster, emit=lock.emit)
        cluster.emit(
            RunStarted(
                verb, answers.name, names, cluster.practice, __version__, tuple(cluster.accepted)
            )
        )
        try:
            connections = await stack.enter_async_context(
                connect_all(
                    answers,
                    cluster.transport,
                    cluster.open_store,
                    cluster.emit,
                    cluster.etcd_password,
                )
            )
            if lock is not None:
                await _locked(lock, connections, stack)
            if lock is not None and lock.taken:
                result.code, result.why = LOCKED, lock.gone
            else:
                await work(cluster, connections, result)
        except asyncio.CancelledError:
            result.code, result.why = INTERRUPTED, "closed by the operator"
            raise
        except Exception as wrong:
            result.code, result.why = INTERNAL, str(wrong)
            raise
        finally:
            outcome: Outcome = "ok" if result.code == OK else "failed"
            if result.code == INTERRUPTED:
                outcome = "stopped"
            cluster.emit(RunEnded(outcome, result.code, result.why))
    return result


async def _locked(lock: Lock, connections: Connections, stack: AsyncExitStack) -> None:
    """Take the lock.  Where the master can't be reached there is none, and a check says why."""
    connections.may_begin = lock.may_begin
    master = connections.answers.master.name
    if master in connections.sessions:
        await stack.enter_async_context(lock.acquire())
    else:
        lock.give_up(f"the cluster's lock is on {master}, which can't be reached")


async def look(cluster: RunContext, connections: Connections, result: Result) -> ClusterFacts:
    """Read all hosts anew."""
    result.known = await read_facts(connections, cluster.supplied)
    return result.known


async def _check(cluster: RunContext, connections: Connections, result: Result) -> None:
    known = await try_udp_port(
        cluster.answers, connections.sessions, await look(cluster, connections, result)
    )
    result.known = known
    for host, why in known.lost.items():
        connections.lose(host, why)
    result.findings = judge(cluster.answers, known, cluster.accepted)
    if not known.hosts:  # that is all there is to say
        result.findings = tuple(it for it in result.findings if it.check == "reachable")
    for it in result.findings:
        cluster.emit(it)
    result.code, result.why = standing(result.findings, known)


def standing(findings: Iterable[Finding], known: ClusterFacts) -> tuple[int, str]:
    """The exit code that findings lead to, and why it is not OK."""
    blocks = [finding for finding in findings if finding.level == "block"]
    gone = [finding for finding in blocks if finding.check == "reachable"]
    if gone:
        # The one that was lost first: a later one may only be its consequence.
        first = next((it for name in known.lost for it in gone if it.host == name), gone[0])
        why = _at(first.host, first.seen)
        if len(gone) > 1:
            why += f" (lost: {', '.join(finding.host for finding in gone)})"
        return UNREACHABLE, why
    if not blocks:
        return OK, ""
    why = _at(blocks[0].host, f"{blocks[0].seen}; {blocks[0].remedy}")
    return BLOCKED, why + (f" (of {len(blocks)} findings that block)" if len(blocks) > 1 else "")


def _at(host: str, text: str) -> str:
    """Said of a host, which is named once."""
    return text if not host or host in text else f"{host}: {text}"


async def _plan(cluster: RunContext, connections: Connections, result: Result) -> None:
    await _check(cluster, connections, result)
    if result.known is None or not result.known.hosts:
        return  # nothing was read, so nobody knows what is left to do
    result.plan = planning.make(cluster.answers, result.known)
    cluster.emit(PlanMade(result.plan.digest, result.plan.actions))


async def carry_out(
    cluster: RunContext, connections: Connections, result: Result, stop: asyncio.Event
) -> None:
    """Do what the plan says, and note what came of it."""
    assert result.plan is not None  # noqa: S101 - it was made just before
    applied = await apply(result.plan, connections, cluster.emit, cluster.run_id, stop)
    result.applied = applied
    if not applied.lost:
        return
    result.code = FAILED
    worst = [host for host in applied.lost if applied.outcomes[host] != "stopped"]
    alike: dict[str, list[str]] = {}
    for host in sorted(worst):
        alike.setdefault(applied.why.get(host, ""), []).append(host)
    reasons = [f"{', '.join(hosts)}: {why}" for why, hosts in alike.items()]
    if applied.stale:
        result.code = STALE
    elif applied.barred:
        result.code, reasons = LOCKED, [applied.barred, *reasons]
    elif not worst:
        result.code, reasons = INTERRUPTED, ["stopped by the operator"]
    result.why = "; ".join(reasons) + "; the same command continues from here"


async def verify_network(
    cluster: RunContext,
    connections: Connections,
    result: Result,
    only: Collection[str] = KINDS,
    pair: tuple[str, str] | None = None,
) -> None:
    """Verify, and note what came of it."""
    known = await look(cluster, connections, result)
    result.verdicts = await verification.verify(
        cluster.answers,
        dict(connections.sessions),
        known,
        cluster.emit,
        dict(connections.lost),
        only=only,
        pair=pair,
    )
    nodes = {node.name for node in cluster.answers.nodes}
    if nodes <= connections.lost.keys():
        result.code, result.why = UNREACHABLE, "no node could be reached"
    elif all_well(result.verdicts):
        result.code, result.why = OK, ""
    else:
        result.code = NOT_PROVEN
        # A lease of a stranger's is skipped too, and is not what kept it from being proven.
        keep = [it for it in result.verdicts if it.kind == "ping" or it.level == "fail"]
        first = min(
            (it for it in keep if it.level != "pass"),
            key=lambda it: it.level != "fail",
            default=None,
        )
        result.why = _at(first.host, first.why) if first else "nothing was verified"
