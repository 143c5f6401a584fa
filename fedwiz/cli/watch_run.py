"""The verb `watch`: follow another operator's run live."""

import argparse
import asyncio

from fedwiz import report
from fedwiz.cli.output import UsageError, give, say
from fedwiz.cli.runner import answers_of, listening, real, tell
from fedwiz.engine import verbs
from fedwiz.engine import watch as follow
from fedwiz.engine.recorded import Make
from fedwiz.engine.watch import Followed
from fedwiz.model.actions import UnreachableError
from fedwiz.model.events import Record
from fedwiz.runs import describe
from fedwiz.runs.state import State

KNOWN_CODES = frozenset(
    {
        verbs.OK,
        verbs.INTERNAL,
        verbs.USAGE,
        verbs.BLOCKED,
        verbs.UNREACHABLE,
        verbs.FAILED,
        verbs.NOT_PROVEN,
        verbs.LOCKED,
        verbs.STALE,
        verbs.INTERRUPTED,
    }
)
"""Exit codes that a run may report; any other code read from the master is not trusted."""


def watch(options: argparse.Namespace) -> int:
    """Follow the run that holds the cluster's lock until it ends."""
    return watch_on(options, real(answers_of(options), options))


def watch_on(options: argparse.Namespace, make: Make) -> int:
    """Watch a run on any cluster, real or simulated.

    Raises:
        UsageError: an option does not apply to this verb.
    """
    if options.accept:
        raise UsageError("--accept is of verbs that check; watch only looks")
    state = State()

    def show(record: Record) -> None:
        state.apply(record)
        if options.json:
            give(describe.as_json_line(record))
        else:
            tell(record)

    async def work(_stop: asyncio.Event) -> Followed:
        cluster = await make(())
        master = cluster.answers.master.name
        async with cluster.transport.connect(master) as session:
            return await follow.follow(session, show, lambda text: say(f"fedwiz: {text}"))

    try:
        followed = asyncio.run(listening(work, lambda: True))
    except asyncio.CancelledError:
        say("fedwiz: watching has ended; the run continues")
        return verbs.INTERRUPTED
    except UnreachableError as gone:
        say(f"fedwiz: {gone}")
        return verbs.UNREACHABLE
    if state.verb and not options.json:
        give(report.text(state))
    if followed.ended is None:
        say(f"fedwiz: {followed.why}")
        return verbs.FAILED if state.verb else verbs.OK
    if state.why:
        say(f"fedwiz: {state.why}")
    return followed.ended.code if followed.ended.code in KNOWN_CODES else verbs.FAILED
