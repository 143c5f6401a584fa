"""A lost connection, sought again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import asyncssh

from fedwiz.model.actions import LoginRefusedError, OnLine, UnreachableError
from fedwiz.ssh.known_hosts import KeyRefusedError

Reopen: TypeAlias = Callable[[], Awaitable[asyncssh.SSHClientConnection]]

MAX_REFUSALS = 3
"""Tries after which a host that lets none of our keys in will not do so for waiting."""


async def reconnect(
    reopen: Reopen, patience: float, on_line: OnLine
) -> asyncssh.SSHClientConnection:
    """Another connection, for which as many seconds are taken as `patience` says; 0: one try.

    Slower from try to try: sshd bars a source that knocks often.  Each new reason why there is
    none yet is told.

    Raises:
        Unreachable: there is none; at once where the host's key is another one.
    """
    end, pause, told, refusals = time.monotonic() + patience, 1, "", 0
    while True:
        try:
            return await reopen()
        except KeyRefusedError:
            raise
        except UnreachableError as why:
            refusals += isinstance(why, LoginRefusedError)
            if refusals == MAX_REFUSALS or time.monotonic() + pause > end:
                raise
            if str(why) != told:
                told = str(why)
                on_line(f"fedwiz: {told}")
        await asyncio.sleep(pause)
        pause = min(pause + 1, 5)
