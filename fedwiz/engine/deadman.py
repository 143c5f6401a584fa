"""Steps that a host takes back by itself, unless it is shown that it can still be reached."""

import asyncio
import time
from dataclasses import replace

from fedwiz.engine.connections import Connections
from fedwiz.model.actions import LoginRefusedError, OnLine, Run, UnreachableError
from fedwiz.model.events import Output
from fedwiz.ssh.known_hosts import KeyRefusedError
from fedwiz.steps.make import run_script

MAX_WAIT_SECONDS = 500
"""Seconds after its time that a host is waited for: it takes a step back, and docker has its
own time to stop and to start."""

RETRY_SECONDS = 2.0
"""Seconds between two tries to connect."""


async def run_on_new_connection(
    ways: Connections,
    host: str,
    run: Run,
    say: OnLine,
    *,
    longest: float = MAX_WAIT_SECONDS,
    pause: float = RETRY_SECONDS,
) -> tuple[int, str]:
    """Run a command over a connection that is opened for it.

    A host that can't be reached takes the step back; it is tried until that must have been done.

    Returns:
        The exit status, and why the host could not be reached at first; empty: it could.

    Raises:
        Unreachable: who answers is not to be trusted, or lets none of our keys in; waiting would
            not change that, and the host takes the step back unseen.
    """
    gone, end = "", time.monotonic() + run.fresh + longest
    while True:
        try:
            async with ways.transport.connect(host) as session:
                return await session.run(replace(run, fresh=0), say), gone
        except (KeyRefusedError, LoginRefusedError):
            raise
        except UnreachableError as why:
            if not gone:
                gone = str(why)
                say(f"no new connection: {gone}")
                say(f"within {run.fresh} s the host takes the step back by itself; waiting for it")
        if time.monotonic() >= end:
            say(f"{host} can't be reached, and was not seen to take the step back")
            return 1, gone
        await asyncio.sleep(pause)


async def confirm_all(ways: Connections) -> None:
    """Confirm what earlier runs left to be taken back, on all hosts that can be reached.

    That this run's connections could be opened shows what a confirmation has to show.  A host
    that is taking a step back just now is waited for: what is read of it then is so.
    """

    async def one(host: str) -> None:
        def say(line: str) -> None:
            ways.emit(Output(host, "guard", line))

        try:
            await ways.session(host).run(run_script("confirm", timeout=MAX_WAIT_SECONDS), say)
        except UnreachableError as why:
            ways.lose(host, str(why))

    async with asyncio.TaskGroup() as group:
        for host in tuple(ways.sessions):
            group.create_task(one(host), name=f"disarm {host}")
