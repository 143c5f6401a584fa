"""Reconnecting after a lost connection."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import asyncssh

from fedwiz.model.actions import LoginRefusedError, OnLine, UnreachableError
from fedwiz.ssh.known_hosts import KeyRefusedError

Reopen: TypeAlias = Callable[[], Awaitable[asyncssh.SSHClientConnection]]

MAX_REFUSALS = 3
"""Attempts after which a host that refuses all our keys is given up."""


async def reconnect(
    reopen: Reopen, patience: float, on_line: OnLine
) -> asyncssh.SSHClientConnection:
    """Reconnect, retrying for up to `patience` seconds; 0: a single attempt.

    The delay grows from one attempt to the next, since sshd blocks a source that connects too
    often. Each new reason for failure is reported.

    Raises:
        UnreachableError: all attempts failed; at once if the host's key is not trusted.
    """
    deadline, pause, reported, refusals = time.monotonic() + patience, 1, "", 0
    while True:
        try:
            return await reopen()
        except KeyRefusedError:
            raise
        except UnreachableError as error:
            refusals += isinstance(error, LoginRefusedError)
            if refusals == MAX_REFUSALS or time.monotonic() + pause > deadline:
                raise
            if str(error) != reported:
                reported = str(error)
                on_line(f"fedwiz: {reported}")
        await asyncio.sleep(pause)
        pause = min(pause + 1, 5)
