"""Carries a plan out: one lane per host, side by side, and says everything that happens."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from fedwiz.engine.connections import Connections
from fedwiz.engine.deadman import run_on_new_connection
from fedwiz.engine.plan import Lane, Part, Plan, Task
from fedwiz.model.actions import Action, OnLine, PutKey, Run, UnreachableError
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Emit,
    Outcome,
    Output,
    StepEnded,
    StepStarted,
    WayBack,
)
from fedwiz.model.log_causes import Cause, cause_of
from fedwiz.runs.journal import JournalError
from fedwiz.steps.make import same_json

FILE_CHANGED = 75
"""Exit status of a script of fedwiz's that finds a file another one than the plan saw."""

KEPT_LINES = 60
"""Last lines of an action in which its cause is looked for."""


@dataclass
class Applied:
    """How a plan went."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By host; a host with nothing to do is not in it."""

    why: dict[str, str] = field(default_factory=dict)
    stale: str = ""
    """What somebody changed between plan and apply; empty: nothing."""

    barred: str = ""
    """Why nothing more might be begun: the cluster's lock is gone; empty: it is not."""

    @property
    def lost(self) -> set[str]:
        """Hosts that did not get through."""
        return {host for host, outcome in self.outcomes.items() if outcome != "ok"}


async def apply(
    plan: Plan, ways: Connections, emit: Emit, run_id: str, stop: asyncio.Event
) -> Applied:
    """Do what the plan says, stage after stage.

    A host whose action fails gets no other one; the others go on, unless the stage is a gate.
    Once `stop` is set, actions that run are let end and no other is begun.

    Raises:
        Unwritten: the journal took no more, so it was stopped in the same way.
    """
    going = _Apply(ways, emit, run_id, stop, asyncio.Semaphore(ways.answers.ssh.width), Applied())
    for part in plan.parts:
        why = going.closed(part)
        if why:
            for lane in part.lanes:
                going.leave(lane.tasks, why)
            continue
        async with asyncio.TaskGroup() as group:
            for lane in part.lanes:
                group.create_task(going.follow(lane), name=f"{part.stage} {lane.host}")
        if part.gate and going.applied.lost:
            going.shut = f"{', '.join(sorted(going.applied.lost))} did not get through it"
    if going.unwritten is not None:
        raise going.unwritten
    return going.applied


@dataclass
class _Apply:
    """What the lanes of one plan share."""

    ways: Connections
    emit: Emit
    run_id: str
    stop: asyncio.Event
    width: asyncio.Semaphore
    applied: Applied
    shut: str = ""
    """Why a gate is shut; empty: it is open."""

    unwritten: JournalError | None = None
    """The journal takes no more: what runs is let end, and nothing is begun."""

    def closed(self, part: Part) -> str:
        """Why this stage is not begun; empty: it is."""
        if self.shut:
            return f"not begun: {self.shut}"
        if part.stage == "peers" and (lost := self.applied.lost):
            be = "is" if len(lost) == 1 else "are"
            return f"not begun: it needs all nodes, and {', '.join(sorted(lost))} {be} not done"
        return ""

    def leave(self, tasks: Iterable[Task], why: str) -> None:
        """Say of each task that it was not begun."""
        for task in tasks:
            self._end(task, "stopped", why)

    def _end(self, task: Task, outcome: Outcome, why: str = "") -> None:
        self.emit(StepEnded(task.host, task.step, outcome, why))
        worst = self.applied.outcomes.get(task.host, "ok")
        if worst == "ok":
            self.applied.outcomes[task.host] = outcome
            if why:
                self.applied.why[task.host] = f"{task.step}: {why}"

    async def follow(self, lane: Lane) -> None:
        """One host's tasks, until one does not end well."""
        async with self.width:
            for at, task in enumerate(lane.tasks):
                if self.stop.is_set():
                    self.leave(lane.tasks[at:], "not begun: the run was stopped")
                    return
                try:
                    outcome, why = await self._task(task)
                except JournalError as full:
                    self.unwritten = full
                    self.stop.set()
                    outcome, why = "stopped", str(full)
                self._end(task, outcome, why)
                if outcome != "ok":
                    return

    async def _task(self, task: Task) -> tuple[Outcome, str]:
        self.emit(StepStarted(task.host, task.step, task.title, len(task.actions)))
        for at, action in enumerate(task.actions):
            if self.stop.is_set():
                await self._confirm(task, at)
                return "stopped", "the run was stopped"
            if why := await self.ways.may_begin(self.stop):
                if not self.stop.is_set():
                    self.applied.barred = why
                    self.stop.set()
                return "stopped", why
            outcome, why = await self._action(task, action)
            if outcome == "failed":
                await self._confirm(task, at + 1)
            if outcome != "ok":
                return outcome, why
        return "ok", ""

    async def _confirm(self, task: Task, done: int) -> None:
        """Confirm what was begun of a task and is not gone on with: it is to stay as it is."""
        for action in task.actions[done:] if done else ():
            if isinstance(action, Run) and action.fresh:
                await self._action(task, action)

    async def _action(self, task: Task, action: Action) -> tuple[Outcome, str]:
        """Send one action and see it end; what was sent and not seen to end is `unknown`."""
        if (back := action.back) is not None:
            self.emit(
                WayBack(
                    task.host, task.step, back.argv, back.input(), back.timeout, back.interrupts
                )
            )
        own = action.unit if isinstance(action, Run) else ""
        unit = f"{own}-{self.run_id}" if own else ""
        self.emit(ActionStarted(task.host, task.step, action.brief, unit))
        began, code, why = time.monotonic(), None, ""
        lines: deque[str] = deque(maxlen=KEPT_LINES)

        def say(line: str) -> None:
            lines.append(line)
            self.emit(Output(task.host, task.step, line))

        outcome: Outcome = "unknown"
        try:
            if isinstance(action, PutKey):
                code, why = await self._put(action, say)
            else:
                code, gone = await self._run(task.host, replace(action, unit=unit), say)
                why = _why(code, action, lines) + (gone and f" ({gone})") if code else ""
                if code == FILE_CHANGED and action.script:
                    self.applied.stale = why
            outcome = "failed" if code else "ok"
        except UnreachableError as gone:
            why = str(gone)
            if isinstance(action, PutKey):
                outcome = "failed"
            else:
                self.ways.lose(task.host, why)
        finally:
            took = round(time.monotonic() - began, 3)
            self.emit(ActionEnded(task.host, task.step, outcome, code, took))
            if outcome == "unknown" and not why:  # cancelled: the step's end is told here
                self.emit(StepEnded(task.host, task.step, "unknown", "its end was not seen"))
        return outcome, why

    async def _run(self, host: str, run: Run, say: OnLine) -> tuple[int, str]:
        """The exit status, and why the host could not be reached before; empty: it could."""
        if run.fresh:
            return await run_on_new_connection(self.ways, host, run, say)
        return await self.ways.session(host).run(run, say), ""

    async def _put(self, put: PutKey, say: OnLine) -> tuple[int, str]:
        """Write or delete a key if it is as the plan saw it, then read it back."""
        try:
            return await self._written(put, say)
        except (
            UnreachableError
        ):  # the way there may have gone with a connection that is back by now
            self.ways.forget_store()
            return await self._written(put, say)

    async def _written(self, put: PutKey, say: OnLine) -> tuple[int, str]:
        store = await self.ways.store(put.api, {})
        written = await store.put(put)
        there = await store.get(put.key)
        if put.value is None:
            right, now = there is None, f"{put.key} is gone"
        else:
            right = there is not None and same_json(there.text, put.value)
            now = f"{put.key} reads back as {there.text}" if there else ""
        if right:
            say(now)
            return 0, ""
        if not written:
            seen = f"it now says {there.text[:200]}" if there else "it is gone"
            self.applied.stale = f"etcd's {put.key} was changed since the plan was made: {seen}"
            return 1, f"{self.applied.stale}; look at it, then make a new plan"
        if put.value is None:
            return 1, f"etcd deleted {put.key}, and somebody wrote it again; look at who does"
        return 1, f"etcd took {put.key} and reads back something else; look at etcd's log"


def _more(cause: Cause | None, said: str) -> TypeGuard[Cause]:
    return cause is not None and cause.sentence not in said


def _why(code: int, run: Run, lines: Iterable[str]) -> str:
    """Why a command failed, with a remedy where its output has a known cause."""
    kept = list(lines)
    cause = cause_of(kept)
    last = next((line.strip()[:300] for line in reversed(kept) if line.strip()), "")
    if run.script and last and code != 124:  # the last line of fedwiz's own says why
        what = last.partition("; ")[0]
        return f"{what}: {cause.sentence}; {cause.remedy}" if _more(cause, what) else last
    if cause is not None:
        return f"{cause.sentence}; {cause.remedy}"
    what = f"no end within {run.timeout} s" if code == 124 else f"exit status {code}"
    return f"{what} of `{run.brief[:120]}`" + (f": {last}" if last else "")
