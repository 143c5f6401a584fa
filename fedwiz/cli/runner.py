"""A verb's work with a journal, a line on stderr per event, and an ear for Ctrl+C."""

import argparse
import asyncio
import difflib
import signal
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fedwiz.answers.file import Answers, load, parse
from fedwiz.cli.output import UsageError, give, say, terminal
from fedwiz.cli.results import report_path
from fedwiz.cli.terminal import ask, waiting
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.approval import NOT_APPROVED, Approve, Refusal, approve_all, same_plan
from fedwiz.engine.plan import Plan
from fedwiz.engine.recorded import Begun, Make, NoJournalError, Work, recorded
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.facts import ClusterFacts
from fedwiz.model.events import Record, Sink
from fedwiz.runs import describe
from fedwiz.runs import journal as journals
from fedwiz.runs.state import State

T = TypeVar("T")


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
    site.tell = say

    async def make(accepted: tuple[str, ...]) -> RunContext:
        return await site.cluster(answers, accepted=accepted)

    return make


async def _secret(question: str) -> str | None:
    return await ask(f"{question}: ", hidden=True) if terminal() else None


def _accepted(options: argparse.Namespace) -> tuple[str, ...]:
    from fedwiz.checks import CHECKS

    return named("--accept", options.accept, [check.name for check in CHECKS], "check")


def named(option: str, values: Iterable[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    """The names that an option was given, each time as `NAME,NAME`.

    Raises:
        Usage: one is not known.
    """
    names = tuple(name.strip() for text in values for name in text.split(",") if name.strip())
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
    recording: "RecordedRun | None" = None,
) -> tuple[Result, State, str]:
    """Do a verb's work with a journal, a line on stderr per event, and an ear for Ctrl+C.

    Args:
        work: the verb.
        make: what it works on.
        options: the command line.
        reads: nothing is begun that would have to end, so Ctrl+C closes at once.
        recording: how it is told; by default in a line for each event.

    Returns:
        What it came to, the state that its events made, and the run's id.

    Raises:
        Usage: a check is accepted that there is not, or the report can't be written where it is
            wanted.
    """
    accepted = _accepted(options)
    report_path(options)
    recording = RecordedRun() if recording is None else recording

    async def whole(stop: asyncio.Event) -> Result:
        return await recording.of(work, make, accepted, stop)

    try:
        result = asyncio.run(listening(whole, lambda: reads))
    except asyncio.CancelledError:
        result = closed()
    return result, recording.state, recording.run


def closed() -> Result:
    """What a verb came to that was closed in its middle."""
    return Result(verbs.INTERRUPTED, "closed by the operator; the same command continues from here")


class RecordedRun:
    """A run that is written down, and told in lines on stderr."""

    def __init__(self, sink: Sink | None = None) -> None:
        self.state = State()
        self.run = ""
        self._sink = tell if sink is None else sink

    async def of(
        self,
        work: Work,
        make: Make,
        accepted: tuple[str, ...],
        stop: asyncio.Event,
        begun: Begun | None = None,
    ) -> Result:
        """Do the work, with a journal of its own; the arguments are those of `recorded`.

        Raises:
            Usage: no journal can be kept.
        """

        def note(run: str, unkept: OSError | None) -> None:
            self.run = run
            if begun is not None:  # else it is the operator who has the answers
                begun(run, unkept)

        try:
            return await recorded(work, make, accepted, stop, (self.state.apply, self._sink), note)
        except NoJournalError as wrong:
            raise UsageError(
                f"no journal can be kept in {journals.runs_path()} ({wrong.strerror}): "
                "make that directory yours, or set XDG_STATE_HOME to another one"
            ) from None


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
            say("stopping: finishing the running step, starting no other; press again to quit now")
        heard.add(hung_up)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, partial(press, hung_up=number == signal.SIGHUP))
    return await work(stop)


def approval(options: argparse.Namespace, answers: Answers) -> Approve:
    """How this command line approves a plan.

    Raises:
        Usage: it does not, and nobody can be asked.
    """
    if options.yes:
        return approve_all
    if options.approve:
        return same_plan(options.approve)
    if options.json or options.headless or not terminal():
        raise UsageError(
            "nobody can be asked to approve the plan: give --yes, or --approve with the digest "
            "that `fedwiz plan` shows"
        )

    async def approve(plan: Plan, _known: ClusterFacts | None) -> Refusal | None:
        give(planning.text(plan))
        typed = await ask(f"Type {answers.name} to do all this: ")
        return None if (typed or "").strip() == answers.name else NOT_APPROVED

    return approve
