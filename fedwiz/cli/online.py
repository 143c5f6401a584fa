"""Verbs that go to the hosts, and the same on a practice cluster."""

import argparse
import asyncio

from fedwiz import verbs
from fedwiz.actions import OpenStore, Transport
from fedwiz.answers import Answers
from fedwiz.cli.output import Usage, give
from fedwiz.cli.run import Work, answers_of, approval, real, run
from fedwiz.cli.told import planned, reported
from fedwiz.verbs import Cluster, Result

Ways = tuple[Transport, OpenStore]


def check(options: argparse.Namespace) -> int:
    """Read the hosts and judge them."""
    answers = answers_of(options)
    return _checked(options, answers, real(answers, options))


def plan(options: argparse.Namespace) -> int:
    """Show what an install would do."""
    answers = answers_of(options)
    return _planned(options, answers, real(answers, options))


def install(options: argparse.Namespace) -> int:
    """Check, plan, apply, verify."""
    answers = answers_of(options)
    return _installed(options, answers, real(answers, options))


def verify(options: argparse.Namespace) -> int:
    """Prove the network."""
    answers = answers_of(options)
    return _verified(options, answers, real(answers, options))


def _checked(options: argparse.Namespace, answers: Answers, ways: Ways, practice: str = "") -> int:
    work: Work = lambda cluster, _: verbs.check(cluster)  # noqa: E731 - one word for one call
    return reported(options, *run(work, answers, ways, options, practice, reads=True))


def _planned(options: argparse.Namespace, answers: Answers, ways: Ways, practice: str = "") -> int:
    work: Work = lambda cluster, _: verbs.plan(cluster)  # noqa: E731
    names = [host.name for host in answers.host]
    if options.host and options.host not in names:
        raise Usage(f"--host {options.host}: the hosts are {', '.join(names)}")
    result, state, _ = run(work, answers, ways, options, practice, reads=True)
    return planned(options, answers, result, state)


def _verified(options: argparse.Namespace, answers: Answers, ways: Ways, practice: str = "") -> int:
    work: Work = lambda cluster, _: verbs.prove(cluster)  # noqa: E731
    return reported(options, *run(work, answers, ways, options, practice))


def _installed(
    options: argparse.Namespace, answers: Answers, ways: Ways, practice: str = ""
) -> int:
    approve = approval(options, answers)

    async def work(cluster: Cluster, stop: asyncio.Event) -> Result:
        return await verbs.install(cluster, approve, stop, verified=not options.no_verify)

    return reported(options, *run(work, answers, ways, options, practice))


def demo(options: argparse.Namespace) -> int:
    """A verb on simulated hosts: the same engine, and the same answers, findings and plan."""
    from fedwiz import practice
    from fedwiz.cli import scan

    if options.fault == "list":
        give("\n".join(f"{name:<16} {fault.help}" for name, fault in practice.FAULTS.items()))
        return verbs.OK
    if options.fault and options.fault not in practice.FAULTS:
        raise Usage(f"--fault {options.fault}: there are {', '.join(practice.FAULTS)}, and list")
    if not 3 <= options.hosts <= practice.MOST:
        raise Usage(f"--hosts {options.hosts}: a master and two nodes or more, up to "
                    f"{practice.MOST} hosts")  # fmt: skip
    if options.work == "discover":
        return scan.sighted(options, practice.sightings(options.hosts))
    answers = practice.practice_answers(options.hosts, options.sets, options.fault)
    pace = practice.PACE if options.pace is None else options.pace
    # There is something to verify only where an install has been.
    ready = options.work == "verify"
    cluster = practice.Practice(answers, options.fault, pace, installed=ready)
    if not options.work:
        options.yes = True
    verb = {"check": _checked, "plan": _planned, "verify": _verified}.get(options.work, _installed)
    ways = (cluster, cluster.open_store)
    return verb(options, answers, ways, options.fault or "healthy")
