"""Verbs that connect to the hosts, and `demo`, which runs them on a practice cluster."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from fedwiz.answers.file import Answers
from fedwiz.cli import diagnose, watch_verify, wizard
from fedwiz.cli.output import UsageError, give
from fedwiz.cli.results import print_plan, print_report
from fedwiz.cli.runner import answers_of, approval, named, real, run
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all, saving
from fedwiz.engine.recorded import Make, Work
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.verify import KINDS

if TYPE_CHECKING:
    from fedwiz.practice import Practice


def check(options: argparse.Namespace) -> int:
    """Read facts from the hosts and run the checks."""
    answers = answers_of(options)
    return _check(options, answers, real(answers, options))


def plan(options: argparse.Namespace) -> int:
    """Show what an install would do."""
    answers = answers_of(options)
    return _plan(options, answers, real(answers, options))


def install(options: argparse.Namespace) -> int:
    """Check, plan, apply, verify."""
    answers = answers_of(options)
    return _install(options, answers, real(answers, options))


def verify(options: argparse.Namespace) -> int:
    """Verify the network."""
    answers = answers_of(options)
    return _verify(options, answers, real(answers, options))


def _check(options: argparse.Namespace, answers: Answers, make: Make) -> int:
    work: Work = lambda cluster, _: verbs.check(cluster)  # noqa: E731 - shorter than a def
    return print_report(options, *run(work, make, options, reads=True))


def _plan(options: argparse.Namespace, answers: Answers, make: Make) -> int:
    async def work(cluster: RunContext, _stop: asyncio.Event) -> Result:
        return await verbs.plan(cluster)

    names = [host.name for host in answers.host]
    if options.host and options.host not in names:
        raise UsageError(f"--host {options.host}: the hosts are {', '.join(names)}")
    result, state, _ = run(work, make, options, reads=True)
    return print_plan(options, answers, result, state)


def _verify(options: argparse.Namespace, answers: Answers, make: Make) -> int:
    only = named("--only", options.only, KINDS, "kind of verdict")
    if options.only and not only:
        raise UsageError(f"--only: name some of {', '.join(KINDS)}")
    pair = _pair(options, answers)
    if options.watch is None:
        if options.count:
            raise UsageError("--count is of rounds: give --watch, too")

        async def once(cluster: RunContext, _stop: asyncio.Event) -> Result:
            return await verbs.verify(cluster, only=only or KINDS, pair=pair)

        return print_report(options, *run(once, make, options))

    async def rounds(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await verbs.watch(
            cluster, options.watch, stop, count=options.count or 0, only=only or KINDS, pair=pair
        )

    done = run(rounds, make, options, recording=watch_verify.printed_rounds(lines=options.json))
    if not options.json:
        give("")
    return print_report(options, *done)


def _pair(options: argparse.Namespace, answers: Answers) -> tuple[str, str] | None:
    """The pair of nodes that `--pair` limits the verification to."""
    if options.pair is None:
        return None
    one, _, other = (name.strip() for name in options.pair.partition(","))
    names = [node.name for node in answers.nodes]
    if one == other or not {one, other} <= set(names):
        raise UsageError(
            f"--pair {options.pair}: give two different nodes as A,B; they are {', '.join(names)}"
        )
    return one, other


def _install(options: argparse.Namespace, answers: Answers, make: Make) -> int:
    approve = saving(approval(options, answers))

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await verbs.install(cluster, approve, stop, verified=not options.no_verify)

    return print_report(options, *run(work, make, options))


def demo(options: argparse.Namespace) -> int:
    """Run a verb on simulated hosts, with the same engine, answers, findings and plan.

    Without a verb, open the wizard if there is an operator to answer its questions.
    """
    from fedwiz import practice
    from fedwiz.cli import discover
    from fedwiz.wizard.inventory import ignore
    from fedwiz.wizard.start import practice_draft

    if options.fault == "list":
        give("\n".join(f"{name:<16} {fault.help}" for name, fault in practice.FAULTS.items()))
        return verbs.OK
    _refuse_contradictions(options)
    if options.work == "discover":
        return discover.print_sightings(options, practice.sightings(options.hosts))
    pace = practice.PACE if options.pace is None else options.pace
    fault = options.fault or "healthy"
    if _opens_wizard(options):
        draft = practice_draft(fault, options.hosts, pace, options.sets)
        return wizard.open_wizard(options, lambda: draft)
    answers = practice.practice_answers(options.hosts, options.sets, options.fault)
    # Only an installed cluster has something to verify.
    ready = options.work in ("verify", "diagnose")
    machines = practice.Practice(answers, options.fault, pace, installed=ready)

    async def make(accepted: tuple[str, ...]) -> RunContext:
        if options.work == "undo":
            await _install_first(answers, machines)
        return RunContext(
            answers,
            machines,
            machines.open_store,
            ignore,
            "",
            accepted,
            practice=fault,
        )

    if not options.work:
        options.yes = True
    verb = {
        "check": _check,
        "plan": _plan,
        "verify": _verify,
        "diagnose": diagnose.diagnose_on,
        "undo": diagnose.undo_on,
    }.get(options.work, _install)
    return verb(options, answers, make)


async def _install_first(answers: Answers, machines: "Practice") -> None:
    """Install on the practice cluster, instantly and silently, so that `undo` has work to do."""
    from fedwiz.wizard.inventory import ignore

    pace, machines.cluster.pace = machines.cluster.pace, 0.0
    before = RunContext(answers, machines, machines.open_store, ignore, "before")
    await verbs.install(before, approve_all, asyncio.Event(), verified=False)
    machines.cluster.pace = pace


def _refuse_contradictions(options: argparse.Namespace) -> None:
    """Raise UsageError if the options of `demo` contradict each other."""
    from fedwiz import practice

    if options.fault and options.fault not in practice.FAULTS:
        raise UsageError(
            f"--fault {options.fault}: there are {', '.join(practice.FAULTS)}, and list"
        )
    if not 3 <= options.hosts <= practice.MAX_HOSTS:
        raise UsageError(
            f"--hosts {options.hosts}: a master and two nodes or more, "
            f"up to {practice.MAX_HOSTS} hosts"
        )
    for name in VERIFY_OPTIONS:
        if options.work != "verify" and getattr(options, name) not in (None, []):
            raise UsageError(f"--{name} is of a verification: `fedwiz demo verify --{name} ...`")
    if options.report is not None and options.work in ("discover", "plan"):
        raise UsageError("--report is of check, install and verify")
    about_a_pair = options.sender or options.apply or options.cause
    if about_a_pair and options.work != "diagnose":
        raise UsageError("two nodes, --apply and --cause go with demo's verb diagnose")
    if options.work == "diagnose" and not options.receiver:
        raise UsageError("diagnose is about two nodes: name the one that pings, then the other")


NON_WIZARD_OPTIONS = (
    "yes",
    "approve",
    "headless",
    "json",
    "no_verify",
    "shell",
    "host",
    "accept",
    "report",
)
"""Options of `demo` that imply a verb, so that the wizard does not open."""

VERIFY_OPTIONS = ("only", "pair", "watch", "count")
"""Options of `demo` that only `verify` takes."""


def _opens_wizard(options: argparse.Namespace) -> bool:
    """Whether `demo` opens the wizard."""
    has_verb = options.work or any(getattr(options, name) for name in NON_WIZARD_OPTIONS)
    if options.plain and has_verb:
        raise UsageError("--plain asks what the wizard asks: leave the verb and its options out")
    return not has_verb and wizard.can_ask(options)
