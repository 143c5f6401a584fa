"""Verbs that name a pair's trouble, mend it, and take a remedy back."""

import argparse
import asyncio

from fedwiz import journal as journals
from fedwiz import mend
from fedwiz.answers import Answers
from fedwiz.cli.output import Usage, say
from fedwiz.cli.run import Make, answers_of, approval, real, run
from fedwiz.cli.told import reported
from fedwiz.verbs import Cluster, Result


def diagnose(options: argparse.Namespace) -> int:
    """Say why two nodes do not talk, and mend it where that is wanted."""
    answers = answers_of(options)
    return diagnosed(options, answers, real(answers, options))


def diagnosed(options: argparse.Namespace, answers: Answers, make: Make) -> int:
    """The same on any cluster.

    Raises:
        Usage: these are no two nodes, or nobody can be asked to approve.
    """
    pair = (options.sender, options.receiver)
    names = [node.name for node in answers.nodes]
    for name in pair:
        if name not in names:
            raise Usage(f"{name} is no node of the answers: they are {', '.join(names)}")
    if pair[0] == pair[1]:
        raise Usage(f"{pair[0]} and itself are no pair: name two nodes")
    if not options.apply and (options.yes or options.approve or options.cause):
        raise Usage("--yes, --approve and --cause are about a remedy: give --apply, too")
    approve = approval(options, answers) if options.apply else None

    async def work(cluster: Cluster, stop: asyncio.Event) -> Result:
        return await mend.diagnose(cluster, pair, stop, approve=approve, cause=options.cause)

    result, state, run_id = run(work, make, options, reads=not options.apply)
    code = reported(options, result, state, run_id)
    if result.applied is not None and mend.way_back(journals.read(journals.find(run_id))):
        say(f"fedwiz: `fedwiz undo -a FILE {run_id}` takes back what was done")
    return code


def undo(options: argparse.Namespace) -> int:
    """Take back what a run has done."""
    answers = answers_of(options)
    make, approve = real(answers, options), approval(options, answers)
    try:
        records = journals.read(journals.find(options.run))
    except ValueError as wrong:
        raise Usage(str(wrong)) from None

    async def work(cluster: Cluster, stop: asyncio.Event) -> Result:
        return await mend.undo(cluster, records, approve, stop)

    return reported(options, *run(work, make, options))
