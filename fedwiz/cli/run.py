"""A verb's work with a journal, a line on stderr per event, and an ear for Ctrl+C."""

import argparse
import asyncio
import difflib
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from getpass import getpass
from pathlib import Path
from typing import Any

from fedwiz import display, verbs
from fedwiz import journal as journals
from fedwiz import plan as planning
from fedwiz.actions import OpenStore, Secret, Session, Transport
from fedwiz.answers import Answers, load, parse
from fedwiz.cli.ask import ask, waiting
from fedwiz.cli.output import Usage, give, say, terminal
from fedwiz.events import Record
from fedwiz.localfile import check_files
from fedwiz.plan import Plan
from fedwiz.state import State
from fedwiz.verbs import Cluster, Result


def answers_of(options: argparse.Namespace) -> Answers:
    """The answers of `-a` and `--set`.

    Raises:
        Refused: they can't be used.
        Usage: there are none.
    """
    if options.answers:
        return load(Path(options.answers), options.sets)
    if not options.sets:
        raise Usage("no answers: give an answer file with -a FILE; `fedwiz schema` says its form")
    return parse({"version": 1}, options.sets)


def _secret(name: str, variable: str, question: str) -> Secret:
    """From the environment, else from the operator; never from a file or an argument.

    Raises:
        Usage: there is neither.
    """
    value = os.environ.get(variable)
    if value is None:
        if not terminal():
            raise Usage(f"{name} is needed: set {variable} in the environment")
        value = getpass(f"{question}: ", sys.stderr)
    return Secret(name, value)


async def _passphrase(path: str) -> Secret | None:
    if not terminal():
        return None
    said = await ask(f"Passphrase of {path}: ", hidden=True)
    return Secret("passphrase", said) if said else None


def real(answers: Answers, options: argparse.Namespace) -> tuple[Transport, OpenStore]:
    """SSH, and etcd by way of it.  Imported here: `--help` need not wait for them."""
    from fedwiz import etcd, transport

    sudo = None
    if answers.ssh.sudo == "ask":
        sudo = _secret(
            "sudo password", "FEDWIZ_SUDO_PASSWORD", f"sudo password of {answers.ssh.user}"
        )
    password = _etcd_password(answers)
    ssh = transport.Ssh(
        answers.ssh, answers.host, accept_new=options.accept_new_host_keys,
        sudo_password=sudo, passphrase=_passphrase,
    )  # fmt: skip

    def open_store(session: Session, api: str) -> Any:  # noqa: ANN401 - a context manager
        return etcd.store(session, answers.etcd, api, password)

    return ssh, open_store


_asked: dict[str, Secret] = {}


def _etcd_password(answers: Answers) -> Secret | None:
    user = answers.etcd.user
    if not user:
        return None
    if user not in _asked:
        _asked[user] = _secret("etcd password", "FEDWIZ_ETCD_PASSWORD", f"etcd password of {user}")
    return _asked[user]


def _accepted(options: argparse.Namespace) -> tuple[str, ...]:
    from fedwiz.checks import CHECKS

    names = tuple(name for said in options.accept for name in said.split(",") if name)
    known = [check.name for check in CHECKS]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            right = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise Usage(f"--accept {name}: no check is called that; {right}")
    return names


Work = Callable[[Cluster, asyncio.Event], Coroutine[Any, Any, Result]]


def run(
    work: Work,
    answers: Answers,
    ways: tuple[Transport, OpenStore],
    options: argparse.Namespace,
    practice: str = "",
    *,
    reads: bool = False,
) -> tuple[Result, State, str]:
    """Do a verb's work with a journal, a line on stderr per event, and an ear for Ctrl+C.

    Args:
        work: the verb.
        answers: what it is about.
        ways: to the hosts and to etcd.
        options: the command line.
        practice: as in `RunStarted`.
        reads: nothing is begun that would have to end, so Ctrl+C closes at once.
    """
    accepted = _accepted(options)
    supplied = "" if practice else _supplied(answers)
    state = State()
    with ExitStack() as stack:
        journal = stack.enter_context(_journal())
        journal.subscribe(state.apply)
        journal.subscribe(tell)
        cluster = Cluster(
            answers, ways[0], ways[1], journal.emit, journal.id, accepted,
            _etcd_password(answers), supplied, practice,
        )  # fmt: skip
        try:
            result = asyncio.run(_listening(work, cluster, reads=reads))
        except asyncio.CancelledError:
            result = Result(
                verbs.INTERRUPTED, "closed by the operator; the same command goes on from here"
            )
    return result, state, journal.id


def _journal() -> journals.Journal:
    try:
        return journals.Journal()
    except OSError as wrong:
        raise Usage(
            f"no journal can be kept in {journals.runs_path()} ({wrong.strerror or wrong}): make "
            "that directory yours, or set XDG_STATE_HOME to another one"
        ) from None


def _supplied(answers: Answers) -> str:
    """The version-release in the operator's RPM, as rpm writes an installed one."""
    file = check_files(answers)
    return file.package.removeprefix("flannel-") if file else ""


def tell(record: Record) -> None:
    """A record as a line on stderr."""
    if (line := display.line(record)) is not None:
        say(line)


async def _listening(work: Work, cluster: Cluster, *, reads: bool) -> Result:
    """Ctrl+C once: begin nothing new.  Twice: close now; what runs on the hosts goes on there."""
    stop = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def press() -> None:
        if (reads or waiting or stop.is_set()) and task is not None:
            task.cancel()
            return
        stop.set()
        say("stopping: what runs is let end, nothing new is begun; once more closes at once")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, press)
    return await work(cluster, stop)


def approval(options: argparse.Namespace, answers: Answers) -> verbs.Approve:
    """How this command line approves a plan.

    Raises:
        Usage: it does not, and nobody can be asked.
    """
    mute = options.json or options.headless or not terminal()
    if mute and not (options.yes or options.approve):
        raise Usage(
            "nobody can be asked to approve the plan: give --yes, or --approve with the digest "
            "that `fedwiz plan` shows"
        )

    async def approve(plan: Plan, result: Result) -> str:
        if options.yes:
            return ""
        if options.approve:
            if options.approve == plan.digest:
                return ""
            result.code = verbs.STALE
            return _stale(options.approve, plan, result)
        give(planning.text(plan))
        said = await ask(f"Type {answers.name} to do all this: ")
        return "" if said.strip() == answers.name else "not approved; nothing was changed"

    return approve


def _stale(approved: str, plan: Plan, result: Result) -> str:
    """Why a plan is no longer the one that was approved."""
    text = f"the plan is {plan.digest} now, not {approved}"
    kept = journals.kept_plan(approved)
    if kept is None or result.known is None:
        return f"{text}, which this machine never showed; look at `fedwiz plan`"
    before = json.loads(kept)["facts"]
    names = verbs.moved(before, verbs.fingerprints(result.known))
    what = ", ".join(names) if names else "the answers"
    return f"{text}; since then changed: {what}; look at `fedwiz plan` again"
