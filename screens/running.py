"""The one install that runs: begun from a page, and outliving it."""

import asyncio
from collections.abc import Callable

from fedwiz import keep, verbs
from fedwiz.answers import Answers
from fedwiz.draft import repeat
from fedwiz.events import Sink
from fedwiz.journal import Journal, Unwritten, answers_of
from fedwiz.plan import Plan
from fedwiz.resume import keeping
from fedwiz.site import Site
from fedwiz.verbs import Result


class Running:
    """An install, from its journal's first line to its last."""

    def __init__(self, site: Site, accepted: tuple[str, ...], told: Sink) -> None:
        """Nothing is begun yet.

        Args:
            site: the machines; they hold what was approved.
            accepted: checks whose block the operator takes for a warning.
            told: gets every record.
        """
        self._site, self._accepted, self._told = site, accepted, told
        self.stop = asyncio.Event()
        """Once set, nothing new is begun."""

    async def run(
        self, approved: tuple[Answers, Plan], begun: Callable[[str], None]
    ) -> Result | None:
        """Install, as far as it was approved.

        Args:
            approved: the plan, and the answers that it is for.
            begun: told the run's id as soon as there is one.

        Returns:
            None where the journal could take no more, which its last record says.

        Raises:
            Refused: a file that the answers name can't be used.
            OSError: no journal can be kept.
        """
        answers, plan = approved
        journal = await asyncio.to_thread(Journal)
        with journal:
            journal.subscribe(self._told)
            begun(journal.id)
            said = repeat(answers, self._accepted)
            await asyncio.to_thread(keep.write, answers_of(journal.id), said)
            cluster = await self._site.cluster(answers, journal.emit, journal.id, self._accepted)
            try:
                return await verbs.install(cluster, keeping(verbs.approving(plan)), self.stop)
            except Unwritten:
                return None
