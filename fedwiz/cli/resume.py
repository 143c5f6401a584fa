"""Going on with an install that was cut off."""

import argparse
import asyncio

from fedwiz import journal as journals
from fedwiz import resume as unfinished
from fedwiz import verbs
from fedwiz.answers import Answers, load
from fedwiz.cli.output import Usage, say
from fedwiz.cli.run import answers_of, approval, real, run
from fedwiz.cli.told import reported
from fedwiz.resume import Unfinished
from fedwiz.verbs import Cluster, Result


def resume(options: argparse.Namespace) -> int:
    """Go on with the run that is named, or with the latest."""
    before = _before(options.run)
    answers = _answers(options, before)
    if answers.name != before.run.cluster:
        raise Usage(f"run {before.run.id} is of {before.run.cluster}, and these answers are of "
                    f"{answers.name}: give those of that run")  # fmt: skip
    options.accept += before.accepted
    try:
        ask: verbs.Approve | None = approval(options, answers)
    except Usage:
        ask = None
    approve = unfinished.keeping(unfinished.within(before.digest, ask))
    say(f"going on with {before.sentence} ({before.run.id})")

    async def work(cluster: Cluster, stop: asyncio.Event) -> Result:
        return await verbs.install(cluster, approve, stop)

    return reported(options, *run(work, real(answers, options), options))


def _before(name: str) -> Unfinished:
    if not name:
        found = unfinished.unfinished()
        if found is None:
            raise Usage("no install is left to go on with; `fedwiz runs` lists what was run")
        return found
    try:
        path = journals.find(name)
    except ValueError as wrong:
        raise Usage(str(wrong)) from None
    summary = journals.summary(path)
    if summary is None or summary.practice or summary.verb not in unfinished.VERBS:
        raise Usage(f"{name} is no install of a real cluster: there is nothing to go on with")
    found = unfinished.of(summary)
    if found is None:
        raise Usage(f"run {path.stem} changed nothing: `fedwiz install` begins")
    return found


def _answers(options: argparse.Namespace, before: Unfinished) -> Answers:
    """Those that were given, or those that the run left."""
    if options.answers or options.sets:
        return answers_of(options)
    path = before.run.path.with_suffix(".toml")
    if not path.is_file():
        raise Usage(f"run {before.run.id} has left no answers: give them with -a FILE")
    return load(path, ())
