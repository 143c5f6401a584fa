"""Units that earlier runs left running on the hosts: found by name and followed to their end."""

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
from fedwiz.runs.interrupted import FOLLOWING_STEP
from fedwiz.scripts import question

MAX_FOLLOW_SECONDS = 1800
"""Timeout in seconds for following a unit: no unit of fedwiz may take longer."""

_UNIT = re.compile(r"fedwiz-[a-z]{1,20}-(\d{8}-\d{6}-[0-9a-f]{4})")
_MAX_SHOWN = 20


async def follow_leftover_units(connections: Connections) -> None:
    """Follow every unit whose end no run has seen.

    How they end is reported but decides nothing: the facts that are read next do. A host that does
    not answer is lost.
    """
    async with asyncio.TaskGroup() as group:
        for host in tuple(connections.sessions):
            group.create_task(_attach(connections, host), name=f"attach {host}")


async def _attach(connections: Connections, host: str) -> None:
    try:
        session = connections.session(host)
        reply = await session.ask(question("units", timeout=20))
        for unit in units(reply.out):
            await _follow(connections, session, unit)
    except UnreachableError as error:
        connections.lose(host, str(error))


def units(output: str) -> Iterator[str]:
    """The units that `units.sh` lists; names that no run can have used are skipped."""
    yield from (name for name in output.split()[:_MAX_SHOWN] if _UNIT.fullmatch(name))


async def _follow(connections: Connections, session: Session, unit: str) -> None:
    host, emit, began = session.name, connections.emit, time.monotonic()
    emit(StepStarted(host, FOLLOWING_STEP, "See what an earlier run began, and how it ends", 1))
    emit(ActionStarted(host, FOLLOWING_STEP, f"follow {unit}", unit))
    code: int | None = None

    def on_line(line: str) -> None:
        emit(Output(host, FOLLOWING_STEP, line))

    try:
        code = await session.run(Run((), unit=unit, timeout=MAX_FOLLOW_SECONDS), on_line)
    finally:
        took = round(time.monotonic() - began, 3)
        emit(ActionEnded(host, FOLLOWING_STEP, "unknown" if code is None else "ok", code, took))
        reason = "its end was not seen" if code is None else ""
        emit(StepEnded(host, FOLLOWING_STEP, "unknown" if code is None else "ok", reason))
