"""A verb's work with a journal, a line on stderr per event, and an ear for Ctrl+C."""

import argparse
import asyncio
import difflib
import json
import signal
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fedwiz.answers.file import Answers, load, parse
from fedwiz.cli.output import UsageError, give, say, terminal
from fedwiz.cli.results import report_path
from fedwiz.cli.terminal import ask, waiting
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.plan import Plan
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.events import Record, Sink
from fedwiz.runs import describe
from fedwiz.runs import journal as journals
from fedwiz.runs.state import State
from fedwiz.util import files
from fedwiz.wizard.draft import repeat

T = TypeVar("T")
Work = Callable[[RunContext, asyncio.Event], Coroutine[Any, Any, Result]]
Make = Callable[[tuple[str, ...]], Coroutine[Any, Any, RunContext]]
"""Makes what a verb works on, given the checks whose blocks are accepted."""


def answers_of(options: argparse.Namespace) -> Answers:
    """The answers of `-a` and `--set`.

    Raises:
        Refused: they can't be used.
        Usage: there are none.
    """
    if options.answers:
        return load(Path(options.answers), options.sets)
    if not options.sets:
        raise UsageError(
            "no answers: give an answer file with -a FILE; `fedwiz schema` says its form"
        )
    return parse({"version": 1}, options.sets)


def real(answers: Answers, options: argparse.Namespace) -> Make:
    """SSH, and etcd by way of it.

    Raises:
        Usage: a password is needed, and nobody can be asked.
    """
    from fedwiz.answers.passwords import has, passwords
    from fedwiz.wizard.inventory import Inventory

    for name, variable, _ in passwords(answers):
        if not has(variable) and not terminal():
            raise UsageError(f"{name} is needed: set {variable} in the environment")
    site = Inventory(accept_new=options.accept_new_host_keys)
    site.ask = _secret

    async def make(accepted: tuple[str, ...]) -> RunContext:
        return await site.cluster(answers, accepted=accepted)

    return make


async def _secret(question: str) -> str | None:
    return await ask(f"{question}: ", hidden=True) if terminal() else None


def _accepted(options: argparse.Namespace) -> tuple[str, ...]:
    from fedwiz.checks import CHECKS

    return named("--accept", options.accept, [check.name for check in CHECKS], "check")


def named(option: str, said: Iterable[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    """The names that an option was given, each time as `NAME,NAME`.

    Raises:
        Usage: one is not known.
    """
    names = tuple(name.strip() for text in said for name in text.split(",") if name.strip())
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            right = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"{option} {name}: no {what} is called that; {right}")
    return names


def run(
    work: Work,
    make: Make,
    options: argparse.Namespace,
    *,
    reads: bool = False,
    told: "RecordedRun | None" = None,
) -> tuple[Result, State, str]:
    """Do a verb's work with a journal, a line on stderr per event, and an ear for Ctrl+C.

    Args:
        work: the verb.
        make: what it works on.
        options: the command line.
        reads: nothing is begun that would have to end, so Ctrl+C closes at once.
        told: how it is told; by default in a line for each event.

    Returns:
        What it came to, the state that its events made, and the run's id.

    Raises:
        Usage: a check is accepted that there is not, or the report can't be written where it is
            wanted.
    """
    accepted = _accepted(options)
    report_path(options)
    told = RecordedRun() if told is None else told

    async def whole(stop: asyncio.Event) -> Result:
        return await told.of(work, await make(accepted), stop)

    try:
        result = asyncio.run(listening(whole, lambda: reads))
    except asyncio.CancelledError:
        result = closed()
    return result, told.state, told.run


def closed() -> Result:
    """What a verb came to that was closed in its middle."""
    return Result(verbs.INTERRUPTED, "closed by the operator; the same command goes on from here")


class RecordedRun:
    """A run that is written down, and told in lines on stderr."""

    def __init__(self, sink: Sink | None = None) -> None:
        self.state = State()
        self.run = ""
        self._sink = tell if sink is None else sink

    async def of(self, work: Work, cluster: RunContext, stop: asyncio.Event) -> Result:
        """Do the work, with a journal of its own.

        Raises:
            Usage: no journal can be kept.
        """
        try:
            opened = journals.Journal()
        except OSError as wrong:
            raise UsageError(
                f"no journal can be kept in {journals.runs_path()} ({wrong.strerror or wrong}): "
                "make that directory yours, or set XDG_STATE_HOME to another one"
            ) from None
        with opened as journal:
            journal.subscribe(self.state.apply)
            journal.subscribe(self._sink)
            cluster.emit, cluster.run_id, self.run = journal.emit, journal.id, journal.id
            await asyncio.to_thread(_keep_answers, cluster, journal.id)
            return await work(cluster, stop)


def _keep_answers(cluster: RunContext, run: str) -> None:
    """Keep what repeats the run; where that can't be, it is the operator who has them."""
    with suppress(OSError):
        files.write(journals.answers_path(run), repeat(cluster.answers, tuple(cluster.accepted)))


def tell(record: Record) -> None:
    """A record as a line on stderr."""
    if (line := describe.line(record)) is not None:
        say(line)


async def listening(
    work: Callable[[asyncio.Event], Coroutine[Any, Any, T]], reads: Callable[[], bool]
) -> T:
    """Ctrl+C once: begin nothing new.  Twice: close now; what runs on the hosts goes on there.

    SIGTERM is the same.  SIGHUP is never the second one: where a terminal closes both the kernel
    and the shell send it, and at a logout a SIGTERM comes beside them.  What was ignored when
    fedwiz began, by `nohup` or in a script's background, stays so.

    Args:
        work: gets the event that asks it to begin nothing new.
        reads: whether, at the time, nothing is under way that would have to end.
    """
    stop = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    heard = set[bool]()

    def press(*, hung_up: bool) -> None:
        insists = not hung_up and False in heard
        if (reads() or waiting or insists) and task is not None:
            task.cancel()
        elif not heard:
            stop.set()
            say("stopping: what runs is let end, nothing new is begun; once more closes at once")
        heard.add(hung_up)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, partial(press, hung_up=number == signal.SIGHUP))
    return await work(stop)


def approval(options: argparse.Namespace, answers: Answers) -> verbs.Approve:
    """How this command line approves a plan.

    Raises:
        Usage: it does not, and nobody can be asked.
    """
    mute = options.json or options.headless or not terminal()
    if mute and not (options.yes or options.approve):
        raise UsageError(
            "nobody can be asked to approve the plan: give --yes, or --approve with the digest "
            "that `fedwiz plan` shows"
        )

    async def approve(plan: Plan, result: Result) -> str:
        if options.yes:
            return ""
        if options.approve:
            return same(options.approve, plan, result)
        give(planning.text(plan))
        said = await ask(f"Type {answers.name} to do all this: ")
        return "" if (said or "").strip() == answers.name else "not approved; nothing was changed"

    return approve


def same(approved: str, plan: Plan, result: Result) -> str:
    """Why a plan is no longer the one that was approved; empty: it is."""
    if approved == plan.digest:
        return ""
    result.code = verbs.STALE
    text = f"the plan is {plan.digest} now, not {approved}"
    kept = journals.load_plan(approved)
    if kept is None or result.known is None:
        return f"{text}, which this machine never showed; look at `fedwiz plan`"
    before = json.loads(kept)["facts"]
    names = verbs.moved(before, verbs.fingerprints(result.known))
    what = ", ".join(names) if names else "the answers"
    return f"{text}; since then changed: {what}; look at `fedwiz plan` again"
