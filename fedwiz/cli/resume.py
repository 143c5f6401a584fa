"""The verb `resume`."""

import argparse
import asyncio

from fedwiz.answers.file import Answers, load
from fedwiz.cli.output import UsageError, say
from fedwiz.cli.results import print_report
from fedwiz.cli.runner import answers_of, approval, real, run
from fedwiz.engine import undo as undoing
from fedwiz.engine.approval import Approve
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.runs import interrupted
from fedwiz.runs import journal as journals
from fedwiz.runs.interrupted import InterruptedRun


def resume(options: argparse.Namespace) -> int:
    """Resume the run that is named, or the latest interrupted one."""
    before = _find_run(options.run)
    answers = _answers(options, before)
    if answers.name != before.run.cluster:
        raise UsageError(
            f"run {before.run.id} is of {before.run.cluster}, and these answers are of "
            f"{answers.name}: give those of that run"
        )
    options.accept += before.accepted
    try:
        ask: Approve | None = approval(options, answers)
    except UsageError:
        ask = None
    say(f"going on with {before.sentence} ({before.run.id})")

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await undoing.resume(before, cluster, ask, stop)

    return print_report(options, *run(work, real(answers, options), options))


def _find_run(name: str) -> InterruptedRun:
    if not name:
        found = interrupted.interrupted_run()
        if found is None:
            raise UsageError("there is no run to resume; `fedwiz runs` lists what was run")
        return found
    try:
        path = journals.find(name)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    summary = journals.summary(path)
    if (
        summary is None
        or summary.practice
        or summary.verb not in (*interrupted.RESUMABLE_VERBS, "diagnose")
    ):
        raise UsageError(
            f"{name} is not an install or undo of a real cluster: there is nothing to resume"
        )
    found = interrupted.as_interrupted(summary)
    if found is None:
        raise UsageError(f"run {path.stem} {_why_not_resumable(summary.verb)}")
    return found


def _why_not_resumable(verb: str) -> str:
    """Why a run of that verb cannot be resumed, and what to do instead."""
    if verb == "install":
        return "changed nothing: `fedwiz install` begins"
    diagnose = "`fedwiz diagnose -a FILE A B --apply` measures again, and fixes what is wrong now"
    if verb == "diagnose":
        return f"can't be resumed: {diagnose}"
    return (
        "changed nothing, or undid a fix, which can't be resumed: `fedwiz undo -a FILE` "
        f"takes an install back; {diagnose}"
    )


def _answers(options: argparse.Namespace, before: InterruptedRun) -> Answers:
    """The answers given on the command line, else those saved with the run."""
    if options.answers or options.sets:
        return answers_of(options)
    path = before.run.path.with_suffix(".toml")
    if not path.is_file():
        raise UsageError(f"run {before.run.id} has left no answers: give them with -a FILE")
    return load(path, ())
