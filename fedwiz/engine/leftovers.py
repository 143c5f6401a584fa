"""What earlier runs left at work on the hosts: found by its name, and followed to its end."""

import asyncio
import re
import time
from collections.abc import Iterator

from fedwiz.engine.connections import Connections
from fedwiz.model.actions import Run, Session, UnreachableError
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Output,
    StepEnded,
    StepStarted,
)
from fedwiz.runs.unfinished import FOLLOWED
from fedwiz.scripts import question

MAX_FOLLOW_SECONDS = 1800
"""Seconds for which a unit is followed: none of fedwiz's own may take longer."""

_UNIT = re.compile(r"fedwiz-[a-z]{1,20}-(\d{8}-\d{6}-[0-9a-f]{4})")
_MAX_SHOWN = 20


async def follow_leftover_units(ways: Connections) -> None:
    """Follow to their ends all units whose end no run has seen.

    What they came to is told, and decides nothing: the facts that are read next do.  A host that
    does not answer is lost.
    """
    async with asyncio.TaskGroup() as group:
        for host in tuple(ways.sessions):
            group.create_task(_attach(ways, host), name=f"attach {host}")


async def _attach(ways: Connections, host: str) -> None:
    try:
        session = ways.session(host)
        reply = await session.ask(question("units", timeout=20))
        for unit in units(reply.out):
            await _follow(ways, session, unit)
    except UnreachableError as why:
        ways.lose(host, str(why))


def units(said: str) -> Iterator[str]:
    """The units that `units.sh` names; what can't be one of a run's is passed over."""
    yield from (name for name in said.split()[:_MAX_SHOWN] if _UNIT.fullmatch(name))


async def _follow(ways: Connections, session: Session, unit: str) -> None:
    host, emit, began = session.name, ways.emit, time.monotonic()
    emit(StepStarted(host, FOLLOWED, "See what an earlier run began, and how it ends", 1))
    emit(ActionStarted(host, FOLLOWED, f"follow {unit}", unit))
    code: int | None = None

    def say(line: str) -> None:
        emit(Output(host, FOLLOWED, line))

    try:
        code = await session.run(Run((), unit=unit, timeout=MAX_FOLLOW_SECONDS), say)
    finally:
        took = round(time.monotonic() - began, 3)
        emit(ActionEnded(host, FOLLOWED, "unknown" if code is None else "ok", code, took))
        ended = "its end was not seen" if code is None else ""
        emit(StepEnded(host, FOLLOWED, "unknown" if code is None else "ok", ended))
