"""Going on with a run that did not get to its end, as far as it was approved then."""

import asyncio
from contextlib import suppress

from fedwiz.engine import plan as planning
from fedwiz.engine.plan import Plan
from fedwiz.engine.undo import undo_install
from fedwiz.engine.verbs import STALE, Approve, Result, RunContext, install, save_plan
from fedwiz.runs.unfinished import InterruptedRun, approved_plan


async def resume(
    before: InterruptedRun, cluster: RunContext, ask: Approve | None, stop: asyncio.Event
) -> Result:
    """Go on with a run: make a plan of what is left, and carry it out as far as it was approved.

    Args:
        before: the run.
        cluster: what to work on.
        ask: for anything more than was approved; None: nobody can be asked.
        stop: once set, nothing new is begun.
    """
    approve = keeping(within(before.digest, ask), before.host)
    if before.run.verb == "undo":
        return await undo_install(cluster, approve, stop, host=before.host)
    return await install(cluster, approve, stop)


def keeping(approve: Approve, host: str = "") -> Approve:
    """The same, and what was approved is kept, so that a later run need not ask for it again.

    Args:
        approve: asked.
        host: the node that alone is taken back; empty: all of them, or it is no way back.
    """

    async def approved(plan: Plan, result: Result) -> str:
        why = await approve(plan, result)
        if not why:
            with suppress(OSError):  # then it will be asked for
                save_plan(plan, result.known, host)
        return why

    return approved


def within(digest: str, ask: Approve | None) -> Approve:
    """Approves what lies within an approved plan, and asks for what goes beyond it.

    Args:
        digest: of the plan that was approved.
        ask: for anything more; None: nobody can be asked.
    """
    before = approved_plan(digest)

    async def approve(plan: Plan, result: Result) -> str:
        more = planning.more(plan, before.actions if before else ())
        if not more:
            return ""
        if ask is not None:
            return await ask(plan, result)
        result.code = STALE
        return (
            f"more is left than plan {digest}, which was approved (now also: {more}): look at "
            "`fedwiz plan`, then give --yes, or --approve with its digest"
        )

    return approve
