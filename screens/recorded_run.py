"""The runs that pages begin: each with a journal of its own, and where that is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedwiz.answers.file import Answers
from fedwiz.engine import verbs
from fedwiz.engine.approval import Approve, saving, within_plan
from fedwiz.engine.plan import Plan
from fedwiz.engine.recorded import Work, recorded
from fedwiz.engine.undo import resume
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.engine.watch import Followed, follow
from fedwiz.model.events import Sink
from fedwiz.runs.interrupted import InterruptedRun
from fedwiz.runs.journal import runs_path
from fedwiz.runs.state import State
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be done, as far as the operator approved it."""

    answers: Answers
    work: Work


def installing(approved: tuple[Answers, Plan]) -> Job:
    """The install of an approved plan."""
    answers, plan = approved

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await verbs.install(cluster, saving(within_plan(plan)), stop)

    return Job(answers, work)


def resuming(before: InterruptedRun, answers: Answers, ask: Approve) -> Job:
    """What a run has left; asks for more than was approved then."""

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await resume(before, cluster, ask, stop)

    return Job(answers, work)


async def verify(cluster: RunContext, _stop: asyncio.Event) -> Result:
    """A verification, which only a page that goes takes along."""
    return await verbs.verify(cluster)


async def run_job(
    job: Job,
    site: Inventory,
    accepted: tuple[str, ...],
    stop: asyncio.Event,
    sink: Sink,
    begun: Callable[[str], None],
) -> Result:
    """Do a job, with a journal of its own.

    Args:
        job: what is done.
        site: the machines.
        accepted: checks whose block the operator takes for a warning.
        stop: once set, nothing new is begun.
        sink: gets every record.
        begun: told the run's id as soon as there is one.

    Raises:
        AnswersError: a file that the answers name can't be used.
        OSError: no journal can be kept, or no answers beside it.
        JournalError: the journal took no more.
    """

    async def make(accepted: tuple[str, ...]) -> RunContext:
        return await site.cluster(job.answers, accepted=accepted)

    def note(run: str, unkept: OSError | None) -> None:
        begun(run)
        if unkept is not None:
            raise unkept

    return await recorded(job.work, make, accepted, stop, (sink,), note)


async def watched(
    site: Inventory, answers: Answers, sink: Sink, note: Callable[[str], None]
) -> Followed:
    """Follow the run that has the cluster's lock; it does not notice.

    Args:
        site: the machines.
        answers: say which is the master.
        sink: gets each record.
        note: gets sentences about the following itself.

    Raises:
        AnswersError: a file that the answers name can't be used.
        UnreachableError: the master can't be asked, or not any more.
    """
    cluster = await site.cluster(answers)
    async with cluster.transport.connect(answers.master.name) as session:
        return await follow(session, sink, note)


def journal_of(run: str) -> Path:
    """Where a run's journal is."""
    return runs_path() / f"{run}.jsonl"


def fits(draft: Draft, state: State) -> bool:
    """Whether a run's verdicts are those of the install that the draft tells of."""
    if state.verb != "install" or not state.verdicts:
        return False
    if draft.goal == "look":
        return True
    names = {it.name for it in draft.chosen}
    alike = (state.cluster, state.practice) == (draft.name, draft.practice)
    return alike and names == set(state.hosts)


def no_journal(wrong: OSError) -> str:
    """Why nothing can be begun, and what to do."""
    return (
        f"no journal can be kept in {runs_path()} ({wrong.strerror or wrong}): make room "
        "there, or make that directory yours; then press r"
    )
