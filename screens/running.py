"""The one run that changes hosts: begun from a page, and outliving it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fedwiz.answers.file import Answers
from fedwiz.engine import verbs
from fedwiz.engine.plan import Plan
from fedwiz.engine.resume import keeping, resume
from fedwiz.engine.verbs import Approve, Result, RunContext
from fedwiz.engine.watch import Followed, follow
from fedwiz.model.events import Sink
from fedwiz.runs.journal import Journal, JournalError, answers_path
from fedwiz.runs.unfinished import InterruptedRun
from fedwiz.util import files
from fedwiz.wizard.draft import repeat
from fedwiz.wizard.inventory import Inventory

Work = Callable[[RunContext, asyncio.Event], Awaitable[Result]]
"""A verb's, with the event that asks it to begin nothing new."""


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be done, as far as the operator approved it."""

    answers: Answers
    work: Work


def installing(approved: tuple[Answers, Plan]) -> Job:
    """The install of an approved plan."""
    answers, plan = approved

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await verbs.install(cluster, keeping(verbs.approving(plan)), stop)

    return Job(answers, work)


def resuming(before: InterruptedRun, answers: Answers, ask: Approve) -> Job:
    """What a run has left; asks for more than was approved then."""

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await resume(before, cluster, ask, stop)

    return Job(answers, work)


class Running:
    """A job at work, from its journal's first line to its last."""

    def __init__(self, site: Inventory, accepted: tuple[str, ...], told: Sink) -> None:
        """Nothing is begun yet.

        Args:
            site: the machines.
            accepted: checks whose block the operator takes for a warning.
            told: gets every record.
        """
        self._site, self._accepted, self._told = site, accepted, told
        self.stop = asyncio.Event()
        """Once set, nothing new is begun."""

    async def run(self, job: Job, begun: Callable[[str], None]) -> Result | None:
        """Do it.

        Args:
            job: what.
            begun: told the run's id as soon as there is one.

        Returns:
            None where the journal could take no more, which its last record says.

        Raises:
            Refused: a file that the answers name can't be used.
            OSError: no journal can be kept.
        """
        answers = job.answers
        journal = await asyncio.to_thread(Journal)
        with journal:
            journal.subscribe(self._told)
            begun(journal.id)
            said = repeat(answers, self._accepted)
            await asyncio.to_thread(files.write, answers_path(journal.id), said)
            cluster = await self._site.cluster(answers, journal.emit, journal.id, self._accepted)
            try:
                return await job.work(cluster, self.stop)
            except JournalError:
                return None


async def watched(
    site: Inventory, answers: Answers, tell: Sink, note: Callable[[str], None]
) -> Followed:
    """Tell what the run tells that has the cluster's lock; it does not notice.

    Args:
        site: the machines.
        answers: say which is the master.
        tell: gets each record.
        note: gets sentences about the watching itself.

    Raises:
        Refused: a file that the answers name can't be used.
        Unreachable: the master can't be asked, or not any more.
    """
    cluster = await site.cluster(answers)
    async with cluster.transport.connect(answers.master.name) as session:
        return await follow(session, tell, note)
