"""A verb's work from its journal's first line to its last, and where it is written."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from fedwiz.answers.file import Answers
from fedwiz.engine import verbs
from fedwiz.model.events import Sink
from fedwiz.runs.journal import Journal, answers_path, runs_path
from fedwiz.runs.state import State
from fedwiz.util import files
from fedwiz.wizard.draft import Draft, repeat
from fedwiz.wizard.inventory import Inventory

Work: TypeAlias = Callable[[verbs.RunContext], Awaitable[verbs.Result]]
"""Does a verb's work on a cluster."""


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


async def proved(
    site: Inventory,
    answers: Answers,
    accepted: tuple[str, ...],
    told: Sink,
    begun: Callable[[str], None],
    work: Work = verbs.verify,
) -> verbs.Result:
    """A verb's work, by itself; a verification unless another is given.

    Args:
        site: the machines.
        answers: what they are meant to be.
        accepted: checks whose block the operator takes for a warning.
        told: gets every record.
        begun: told the run's id as soon as there is one.
        work: what is done.

    Raises:
        Refused: a file that the answers name can't be used.
        OSError: no journal can be kept.
    """
    with Journal() as journal:
        journal.subscribe(told)
        begun(journal.id)
        await asyncio.to_thread(files.write, answers_path(journal.id), repeat(answers))
        cluster = await site.cluster(answers, journal.emit, journal.id, accepted)
        result = await work(cluster)
    if result.known is not None:
        site.cache(answers, result.known)
    return result


def unkept(wrong: OSError) -> str:
    """Why nothing can be begun, and what to do."""
    return (
        f"no journal can be kept in {runs_path()} ({wrong.strerror or wrong}): make room "
        "there, or make that directory yours; then press r"
    )
