"""The verb `undo`: back from an install to what was kept before it; and `resume`, of either."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from fedwiz.engine import plan as planning
from fedwiz.engine.approval import Approve, saving, within_kept
from fedwiz.engine.connections import Connections
from fedwiz.engine.deadman import confirm_all
from fedwiz.engine.leftovers import follow_leftover_units
from fedwiz.engine.verbs import (
    BLOCKED,
    INTERRUPTED,
    OK,
    UNREACHABLE,
    USAGE,
    Result,
    RunContext,
    approved,
    carry_out,
    install,
    look,
    run_verb,
)
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.model.events import PlanMade
from fedwiz.runs.interrupted import InterruptedRun
from fedwiz.steps import UNDO_STAGES, UNDO_STEPS
from fedwiz.steps.backup import TOUCHED
from fedwiz.steps.undo import nodes_needing_key, nodes_with_old_flanneld

NO_WAY = "fedwiz can't take back what it did not begin"


async def undo_install(
    cluster: RunContext, approve: Approve, stop: asyncio.Event, *, host: str = ""
) -> Result:
    """Take an install back, on hosts that can be reached; whether checks pass does not matter.

    Args:
        cluster: what to work on.
        approve: asked with the plan of it.
        stop: once set, nothing new is begun.
        host: this node alone; etcd's key stays then.  Empty: all of them.
    """

    async def whole(cluster: RunContext, connections: Connections, result: Result) -> None:
        await confirm_all(connections)
        await follow_leftover_units(connections)
        known = await look(cluster, connections, result)
        known = replace(known, hosts=_wanted(cluster, known, host))
        others = nodes_needing_key(cluster.answers, known)
        later = nodes_with_old_flanneld(cluster.answers, known) if others else []
        known = replace(known, hosts={k: v for k, v in known.hosts.items() if k not in later})
        result.plan = planning.make(cluster.answers, known, UNDO_STEPS, UNDO_STAGES)
        cluster.emit(PlanMade(result.plan.digest, result.plan.actions))
        result.code, result.why = _standing(cluster, known, host)
        if result.code != OK or not any(result.plan.actions.values()):
            _lost(connections, result, host)
            _wait(cluster, result, later, others)
            return
        if stop.is_set():
            result.code, result.why = INTERRUPTED, "stopped before anything was changed"
            return
        if not await approved(approve, result):
            return
        await carry_out(cluster, connections, result, stop)
        if result.code == OK:
            result.why = _stays(cluster, known, host)
            _lost(connections, result, host)
            _wait(cluster, result, later, others)

    return await run_verb("undo", cluster, whole, changes=True)


async def resume(
    before: InterruptedRun, cluster: RunContext, ask: Approve | None, stop: asyncio.Event
) -> Result:
    """Go on with an install or an undo: plan what is left, do it as far as it was approved then.

    Args:
        before: the run.
        cluster: what to work on.
        ask: for anything more than was approved; None: nobody can be asked.
        stop: once set, nothing new is begun.
    """
    approve = saving(within_kept(before.digest, ask), before.host)
    if before.run.verb == "undo":
        return await undo_install(cluster, approve, stop, host=before.host)
    return await install(cluster, approve, stop)


def _wanted(cluster: RunContext, known: ClusterFacts, host: str) -> dict[str, Facts]:
    """The hosts that are undone; the master, which knows of the leases, is always one."""
    names = (cluster.answers.master.name, host)
    return {name: facts for name, facts in known.hosts.items() if not host or name in names}


def _standing(cluster: RunContext, known: ClusterFacts, host: str) -> tuple[int, str]:
    """Why there is nothing to be done, or not now; OK and no word: there is."""
    busy = [
        f"{name} ({', '.join(facts.in_flight)})"
        for name, facts in known.hosts.items()
        if facts.in_flight
    ]
    if busy:
        return BLOCKED, f"something of fedwiz's still runs on {', '.join(busy)}; wait for its end"
    nodes = [node.name for node in cluster.answers.nodes if node.name in known.hosts]
    bare = [name for name in nodes if known.hosts[name].backup is None]
    ours = [name for name in bare if _ours(known.hosts[name])]
    text = f"nothing was kept on {_listed(bare)}; {NO_WAY}"
    if ours and len(bare) == len(nodes):
        return USAGE, f"{text}, and files of its name are there: {_files(known.hosts[ours[0]])}"
    return OK, text if bare and len(bare) == len(nodes) else ""


def _ours(facts: Facts) -> bool:
    return bool(_files(facts))


def _files(facts: Facts) -> str:
    """Files that only fedwiz writes."""
    there = (path for path in TOUCHED if path in facts.files or path in facts.hashes)
    return ", ".join(path for path in there if "fedwiz" in path)


def _stays(cluster: RunContext, known: ClusterFacts, host: str) -> str:
    """What stays in etcd, and for whom; empty: nothing."""
    still = nodes_needing_key(cluster.answers, known)
    if host or not still:
        return ""
    return f"etcd's {cluster.answers.key} stays: {_listed(still)} may still need it"


def _lost(connections: Connections, result: Result, host: str) -> None:
    """A host that could not be reached is named, whatever became of the others."""
    lost = {name: why for name, why in connections.lost.items() if host in ("", name)}
    if result.code != OK or not lost:
        return
    name, why = next(iter(lost.items()))
    also = f"; {result.why}" if result.why else ""
    result.code = UNREACHABLE
    result.why = (
        f"{_listed(list(lost))} could not be reached, and is as it was ({name}: {why}){also}; "
        "run it again later"
    )


def _wait(cluster: RunContext, result: Result, later: Sequence[str], others: Sequence[str]) -> None:
    """Of nodes that had a flannel of their own, which needs what etcd said then."""
    if result.code not in (OK, UNREACHABLE) or not later:
        return
    result.code = result.code or USAGE
    also = f"; {result.why}" if result.why else ""
    result.why = (
        f"{_listed(later)} had flannel on the network that etcd's {cluster.answers.key} said "
        f"before, and can go back to that only together with {_listed(others)}: undo them all{also}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
