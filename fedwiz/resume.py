"""Going on with an install that did not get to its end, as far as it was approved then."""

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fedwiz import journal as journals
from fedwiz import plan as planning
from fedwiz.clean import clean
from fedwiz.earlier import STEP
from fedwiz.events import ActionStarted, PlanMade, Record
from fedwiz.journal import RunSummary
from fedwiz.plan import Plan
from fedwiz.state import RED, State
from fedwiz.verbs import STALE, Approve, Result, fingerprints

VERBS = ("install",)
"""Those that leave something behind to go on with."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that began to change hosts and did not end well."""

    run: RunSummary
    where: str
    """Where it stopped: `fed-node2, Start flanneld and move docker to its subnet`; clean."""

    digest: str
    """Of the plan that was approved."""

    accepted: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What it is, for people."""
        began = time.strftime("%H:%M", time.localtime(self.run.started))
        day = time.strftime("%Y-%m-%d", time.localtime(self.run.started))
        when = began if day == time.strftime("%Y-%m-%d") else f"{day} {began}"
        return f"a run of {when} on {clean(self.run.cluster)} stopped at {self.where}"


def unfinished(directory: Path | None = None) -> Unfinished | None:
    """The latest run that began to change a cluster and that no later one has finished.

    A practice cluster ends with its process, so nothing of it is left.
    """
    finished = set[str]()
    for run in journals.runs(directory):
        if run.verb not in VERBS or run.practice or run.cluster in finished:
            continue
        if run.outcome == "ok":
            finished.add(run.cluster)
        elif (found := of(run)) is not None:
            return found
    return None


def of(run: RunSummary) -> Unfinished | None:
    """The same of one run; None: it changed nothing, or its journal can't be read."""
    try:
        records = journals.read(run.path)
    except ValueError:
        return None
    digest = begun(records)
    state = State.of(records)
    return Unfinished(run, _where(state), digest, state.accepted) if digest else None


def begun(records: Iterable[Record]) -> str:
    """The digest of the last plan of which something was begun; empty: nothing was."""
    made = found = ""
    for record in records:
        match record.event:
            case PlanMade(digest):
                made = digest
            case ActionStarted(_, step) if step != STEP:
                found = made
            case _:
                pass
    return found


def _where(state: State) -> str:
    """The first host that did not get through, and at what."""
    hosts = list(state.hosts.values())
    for word in (*sorted(RED), "running", "stopped", "waiting"):
        for host in hosts:
            if host.word == word:
                return ", ".join(filter(None, (clean(host.name), host.title)))
    return "its verification"


def keeping(approve: Approve) -> Approve:
    """The same, and what was approved is kept, so that a later run need not ask for it again."""

    async def approved(plan: Plan, result: Result) -> str:
        why = await approve(plan, result)
        if not why:
            known = result.known
            said = {
                "facts": fingerprints(known) if known else {},
                "actions": planning.approved(plan),
            }
            with suppress(OSError):  # then it will be asked for
                journals.keep_plan(plan.digest, json.dumps(said))
        return why

    return approved


def within(digest: str, ask: Approve | None) -> Approve:
    """Approves what lies within an approved plan, and asks for what goes beyond it.

    Args:
        digest: of the plan that was approved.
        ask: for anything more; None: nobody can be asked.
    """
    allowed = _allowed(digest)

    async def approve(plan: Plan, result: Result) -> str:
        more = planning.more(plan, allowed)
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


def _allowed(digest: str) -> list[list[str]]:
    """What was kept of an approved plan; nothing where that can't be read."""
    try:
        actions = json.loads(journals.kept_plan(digest) or "{}")["actions"]
        if not all(len(it) > 1 and all(isinstance(word, str) for word in it) for it in actions):
            return []
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return list(actions)
