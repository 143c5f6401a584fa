"""Dead-man switch: the host reverts a step unless fedwiz confirms that it is still reachable."""

import asyncio
import time
from dataclasses import replace

from fedwiz.engine.connections import Connections
from fedwiz.model.actions import LoginRefusedError, OnLine, Run, UnreachableError
from fedwiz.model.events import Output
from fedwiz.ssh.known_hosts import KeyRefusedError
from fedwiz.steps.make import run_script

MAX_WAIT_SECONDS = 500
"""Seconds to wait for a host after its deadline: it reverts a step, and docker takes time to stop
and start."""

RETRY_SECONDS = 2.0
"""Seconds between two attempts to connect."""


async def run_on_new_connection(
    connections: Connections,
    host: str,
    run: Run,
    on_line: OnLine,
    *,
    longest: float = MAX_WAIT_SECONDS,
    pause: float = RETRY_SECONDS,
) -> tuple[int, str]:
    """Run a command over a new connection.

    A host that can't be reached reverts the step; retry until it must have done so.

    Returns:
        The exit status, and why the host was unreachable at first; empty: it was not.

    Raises:
        UnreachableError: the host's key is not trusted, or it refuses all our keys; waiting
            would not help, and the host reverts the step unseen.
    """
    reason, deadline = "", time.monotonic() + run.fresh + longest
    while True:
        try:
            async with connections.transport.connect(host) as session:
                return await session.run(replace(run, fresh=0), on_line), reason
        except (KeyRefusedError, LoginRefusedError):
            raise
        except UnreachableError as error:
            if not reason:
                reason = str(error)
                on_line(f"no new connection: {reason}")
                on_line(
                    f"within {run.fresh} s the host takes the step back by itself; waiting for it"
                )
        if time.monotonic() >= deadline:
            on_line(f"{host} can't be reached, and was not seen to take the step back")
            return 1, reason
        await asyncio.sleep(pause)


async def confirm_all(connections: Connections) -> None:
    """Confirm the steps of earlier runs that are still armed, on all reachable hosts.

    This run's connections already show that the hosts are reachable. A host that is reverting a
    step just now is waited for, so that facts read afterwards are valid.
    """

    async def confirm(host: str) -> None:
        def on_line(line: str) -> None:
            connections.emit(Output(host, "guard", line))

        try:
            await connections.session(host).run(
                run_script("confirm", timeout=MAX_WAIT_SECONDS), on_line
            )
        except UnreachableError as error:
            connections.lose(host, str(error))

    async with asyncio.TaskGroup() as group:
        for host in tuple(connections.sessions):
            group.create_task(confirm(host), name=f"disarm {host}")
