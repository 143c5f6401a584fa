"""The verbs `diagnose` and `undo`."""

import argparse
import asyncio

from fedwiz.answers.file import Answers
from fedwiz.cli.output import UsageError, say
from fedwiz.cli.results import print_report
from fedwiz.cli.runner import answers_of, approval, real, run
from fedwiz.engine import fix
from fedwiz.engine import undo as undoing
from fedwiz.engine.approval import saving
from fedwiz.engine.recorded import Make
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.events import RunStarted
from fedwiz.runs import journal as journals


def diagnose(options: argparse.Namespace) -> int:
    """Find out why two nodes cannot reach each other, and apply the fix if `--apply` is given."""
    answers = answers_of(options)
    return diagnose_on(options, answers, real(answers, options))


def diagnose_on(options: argparse.Namespace, answers: Answers, make: Make) -> int:
    """Diagnose on any cluster, real or simulated.

    Raises:
        UsageError: the names are not two different nodes, or no operator is there to approve.
    """
    pair = (options.sender, options.receiver)
    names = [node.name for node in answers.nodes]
    for name in pair:
        if name not in names:
            raise UsageError(f"{name} is not a node of the answers: they are {', '.join(names)}")
    if pair[0] == pair[1]:
        raise UsageError(f"{pair[0]} and itself are not a pair: name two nodes")
    if not options.apply and (options.yes or options.approve or options.cause):
        raise UsageError("--yes, --approve and --cause belong to a fix: add --apply")
    approve = approval(options, answers) if options.apply else None

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await fix.diagnose(cluster, pair, stop, approve=approve, cause=options.cause)

    result, state, run_id = run(work, make, options, reads=not options.apply)
    code = print_report(options, result, state, run_id)
    if result.applied is not None and fix.undo_actions(journals.read(journals.find(run_id))):
        say(f"fedwiz: `fedwiz undo -a FILE {run_id}` takes back what was done")
    return code


def undo(options: argparse.Namespace) -> int:
    """Undo an install or the fix that a run applied."""
    answers = answers_of(options)
    if not options.run:
        return undo_on(options, answers, real(answers, options))
    if options.host:
        raise UsageError("--host is of an install's way back: leave RUN out")
    make, approve = real(answers, options), approval(options, answers)
    try:
        records = journals.read(journals.find(options.run))
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    began = next((it.event for it in records if isinstance(it.event, RunStarted)), None)
    if began is not None and began.verb == "install":
        raise UsageError(f"{options.run} is an install: leave RUN out to take it back")

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await fix.undo_fix(cluster, records, approve, stop)

    return print_report(options, *run(work, make, options))


def undo_on(options: argparse.Namespace, answers: Answers, make: Make) -> int:
    """Undo an install on any cluster, real or simulated.

    Raises:
        UsageError: the name is not a node's, or no operator is there to approve.
    """
    host = options.host or ""
    names = [node.name for node in answers.nodes]
    if host == answers.master.name:
        raise UsageError(
            f"{host} holds etcd's key, which goes when all nodes are undone: leave --host out"
        )
    if host and host not in names:
        raise UsageError(f"{host} is not a node of the answers: they are {', '.join(names)}")
    approve = saving(approval(options, answers), host)

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await undoing.undo_install(cluster, approve, stop, host=host)

    return print_report(options, *run(work, make, options))
