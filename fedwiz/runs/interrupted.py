"""Interrupted runs and where they stopped. Keep its imports light."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fedwiz.model.events import ActionStarted, PlanMade, Record
from fedwiz.runs import journal as journals
from fedwiz.runs.journal import RunSummary
from fedwiz.runs.plans import load_plan
from fedwiz.runs.state import RED, State
from fedwiz.util.sanitize import sanitize

RESUMABLE_VERBS = ("install", "undo")
"""Verbs whose interrupted runs can be resumed."""

MAX_RUNS_READ = 20
"""Limit on failed runs that are read, since the welcome page waits for it."""

FOLLOWING_STEP = "earlier"
"""The step that follows units left running by an earlier run; it starts nothing itself."""


@dataclass(frozen=True, slots=True)
class InterruptedRun:
    """A run that started to change hosts and did not succeed."""

    run: RunSummary
    where: str
    """Where it stopped: `fed-node2, Start flanneld and move docker to its subnet`; sanitized."""

    digest: str
    """Of the approved plan."""

    accepted: tuple[str, ...]
    host: str = ""
    """As in `KeptPlan`."""

    @property
    def name(self) -> str:
        """A name for the operator: `a run of 14:02 on fedora-lab`."""
        began = time.strftime("%H:%M", time.localtime(self.run.started))
        day = time.strftime("%Y-%m-%d", time.localtime(self.run.started))
        when = began if day == time.strftime("%Y-%m-%d") else f"{day} {began}"
        what = "an undo" if self.run.verb == "undo" else "a run"
        return f"{what} of {when} on {sanitize(self.run.cluster)}"

    @property
    def sentence(self) -> str:
        """Its name, and where it stopped."""
        return f"{self.name} stopped at {self.where}"


def interrupted_run(directory: Path | None = None) -> InterruptedRun | None:
    """The latest run that started to change a cluster, unless a later one succeeded.

    Practice clusters end with their process, so their runs don't count. Neither do fixes, nor
    undoing them: they depend on measurements of that time.
    """
    settled, failed = set[str](), 0
    for run in journals.runs(directory):
        if run.verb not in RESUMABLE_VERBS or run.practice or run.cluster in settled:
            continue
        failed += run.outcome != "ok"
        if failed > MAX_RUNS_READ:
            return None
        if run.outcome == "ok":
            settled.update([run.cluster] if _settles_earlier(run) else [])
        elif (interrupted := as_interrupted(run)) is not None:
            return interrupted
    return None


def _settles_earlier(run: RunSummary) -> bool:
    """Whether a successful run settles all earlier ones; undoing a fix does not."""
    digest = "" if run.verb == "install" else last_plan_begun(_records(run))
    return not digest or load_plan(digest) is not None


def _records(run: RunSummary) -> tuple[Record, ...]:
    """The run's records; empty if they can't be read."""
    try:
        return journals.read(run.path)
    except ValueError:
        return ()


def as_interrupted(run: RunSummary) -> InterruptedRun | None:
    """The interrupted run; None if it changed nothing or its journal can't be read."""
    records = _records(run)
    digest = last_plan_begun(records)
    if not digest or run.verb not in RESUMABLE_VERBS:
        return None
    plan = load_plan(digest)
    if plan is None and run.verb == "undo":  # it undid a fix, for which no plan is saved
        return None
    state = State.of(records)
    return InterruptedRun(
        run, _stopped_at(state), digest, state.accepted, plan.host if plan else ""
    )


def last_plan_begun(records: Iterable[Record]) -> str:
    """The digest of the last plan with a started action; empty: there is none."""
    made = begun = ""
    for record in records:
        match record.event:
            case PlanMade(digest):
                made = digest
            case ActionStarted(_, step) if step != FOLLOWING_STEP:
                begun = made
            case _:
                pass
    return begun


def _stopped_at(state: State) -> str:
    """The first host that did not succeed, and its step."""
    hosts = list(state.hosts.values())
    for status in (*sorted(RED), "running", "stopped", "waiting"):
        for host in hosts:
            if host.word == status:
                return ", ".join(filter(None, (sanitize(host.name), host.title)))
    return "its verification" if state.verb == "install" else "its end"
