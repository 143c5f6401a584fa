"""Runs that did not get to their end, and where they stopped.  Loads nothing heavy."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fedwiz.model.events import ActionStarted, PlanMade, Record
from fedwiz.runs import journal as journals
from fedwiz.runs.journal import RunSummary
from fedwiz.runs.state import RED, State
from fedwiz.util.sanitize import sanitize

RESUMABLE_VERBS = ("install", "undo")
"""Those that leave something behind to go on with."""

MAX_RUNS_READ = 20
"""Runs that did not end well and are looked into: the first page waits for it."""

FOLLOWED = "earlier"
"""The step as which a run follows what an earlier one left at work; it begins nothing itself."""


@dataclass(frozen=True, slots=True)
class Approved:
    """What was kept of an approved plan."""

    actions: tuple[tuple[str, ...], ...]
    """As `plan.approved` gives them."""

    host: str = ""
    """The node that alone is taken back; empty: all of them, or it is no way back."""


@dataclass(frozen=True, slots=True)
class InterruptedRun:
    """A run that began to change hosts and did not end well."""

    run: RunSummary
    where: str
    """Where it stopped: `fed-node2, Start flanneld and move docker to its subnet`; clean."""

    digest: str
    """Of the plan that was approved."""

    accepted: tuple[str, ...]
    host: str = ""
    """As in `Approved`."""

    @property
    def name(self) -> str:
        """What it is, for people: `a run of 14:02 on fedora-lab`."""
        began = time.strftime("%H:%M", time.localtime(self.run.started))
        day = time.strftime("%Y-%m-%d", time.localtime(self.run.started))
        when = began if day == time.strftime("%Y-%m-%d") else f"{day} {began}"
        what = "an undo" if self.run.verb == "undo" else "a run"
        return f"{what} of {when} on {sanitize(self.run.cluster)}"

    @property
    def sentence(self) -> str:
        """What it is, and where it stopped."""
        return f"{self.name} stopped at {self.where}"


def interrupted_run(directory: Path | None = None) -> InterruptedRun | None:
    """The latest run that began to change a cluster, where no later one has ended well.

    A practice cluster ends with its process, so nothing of it is left.  A remedy, and the way back
    from one, are about what was measured then: they are no such runs.
    """
    over, looked = set[str](), 0
    for run in journals.runs(directory):
        if run.verb not in RESUMABLE_VERBS or run.practice or run.cluster in over:
            continue
        looked += run.outcome != "ok"
        if looked > MAX_RUNS_READ:
            return None
        if run.outcome == "ok":
            over.update([run.cluster] if _whole(run) else [])
        elif (found := of(run)) is not None:
            return found
    return None


def _whole(run: RunSummary) -> bool:
    """Whether a run that ended well leaves nothing of those before it: no remedy's way back."""
    digest = "" if run.verb == "install" else last_plan_begun(_records(run))
    return not digest or approved(digest) is not None


def _records(run: RunSummary) -> tuple[Record, ...]:
    """None where they can't be read."""
    try:
        return journals.read(run.path)
    except ValueError:
        return ()


def of(run: RunSummary) -> InterruptedRun | None:
    """The same of one run; None: it changed nothing, or its journal can't be read."""
    records = _records(run)
    digest = last_plan_begun(records)
    if not digest or run.verb not in RESUMABLE_VERBS:
        return None
    known = approved(digest)
    if known is None and run.verb == "undo":  # a remedy's, of which no plan is kept
        return None
    state = State.of(records)
    return InterruptedRun(run, _where(state), digest, state.accepted, known.host if known else "")


def last_plan_begun(records: Iterable[Record]) -> str:
    """The digest of the last plan of which something was begun; empty: nothing was."""
    made = found = ""
    for record in records:
        match record.event:
            case PlanMade(digest):
                made = digest
            case ActionStarted(_, step) if step != FOLLOWED:
                found = made
            case _:
                pass
    return found


def approved(digest: str) -> Approved | None:
    """What was kept of an approved plan; None where nothing was, or it can't be read."""
    try:
        said = json.loads(journals.kept_plan(digest) or "{}")
        actions, host = tuple(map(tuple, said["actions"])), said.get("host", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    whole = all(len(it) > 1 and all(isinstance(word, str) for word in it) for it in actions)
    return Approved(actions, host) if whole and isinstance(host, str) else None


def _where(state: State) -> str:
    """The first host that did not get through, and at what."""
    hosts = list(state.hosts.values())
    for word in (*sorted(RED), "running", "stopped", "waiting"):
        for host in hosts:
            if host.word == word:
                return ", ".join(filter(None, (sanitize(host.name), host.title)))
    return "its verification" if state.verb == "install" else "its end"
