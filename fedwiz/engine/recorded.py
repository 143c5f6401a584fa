"""A verb's work with a journal of its own, and beside it the answers that repeat the run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from fedwiz.answers.file import repeat
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.events import Sink
from fedwiz.runs.journal import Journal, answers_path
from fedwiz.util import files

Work: TypeAlias = Callable[[RunContext, asyncio.Event], Awaitable[Result]]
"""A verb's, with the event that asks it to begin nothing new."""

Make: TypeAlias = Callable[[tuple[str, ...]], Awaitable[RunContext]]
"""Makes what a verb works on, given the checks whose blocks are accepted."""

Begun: TypeAlias = Callable[[str, OSError | None], None]
"""Told the run's id once its journal is open, and why its answers could not be kept; None: they
are.  What it raises ends the run before the verb begins."""


class NoJournalError(OSError):
    """No journal can be kept, so nothing is begun."""


async def recorded(
    work: Work,
    make: Make,
    accepted: tuple[str, ...],
    stop: asyncio.Event,
    sinks: Iterable[Sink],
    begun: Begun,
) -> Result:
    """Do a verb's work from its journal's first line to its last.

    Args:
        work: what is done.
        make: what it works on; whatever this refuses, no journal is left of it.
        accepted: checks whose block the operator takes for a warning.
        stop: once set, nothing new is begun.
        sinks: get every record.
        begun: told the run's id.

    Raises:
        NoJournalError: no journal can be kept.
        JournalError: the journal took no more, so the work was stopped.
    """
    context = await make(accepted)
    with await asyncio.to_thread(_open) as journal:
        for sink in sinks:
            journal.subscribe(sink)
        context = replace(context, emit=journal.emit, run_id=journal.id)
        begun(journal.id, await asyncio.to_thread(_keep_answers, context))
        return await work(context, stop)


def _open() -> Journal:
    try:
        return Journal()
    except OSError as wrong:
        raise NoJournalError(wrong.errno, wrong.strerror or str(wrong)) from wrong


def _keep_answers(context: RunContext) -> OSError | None:
    """Keep the answer file that repeats the run; gives why it can't be."""
    text = repeat(context.answers, tuple(context.accepted))
    try:
        files.write(answers_path(context.run_id), text)
    except OSError as wrong:
        return wrong
    return None
