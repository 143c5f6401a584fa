"""Applies a plan, all hosts in parallel, and reports everything that happens."""

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
"""Exit status of a fedwiz script that finds a file changed since the plan was made."""

MAX_CAUSE_LINES = 60
"""Last lines of an action that are searched for a cause."""


@dataclass
class Applied:
    """The outcome of applying a plan."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By host; hosts with nothing to do are missing."""

    why: dict[str, str] = field(default_factory=dict)
    stale: str = ""
    """What changed between plan and apply; empty: nothing."""

    barred: str = ""
    """Why no further step may start: the cluster's lock is lost; empty: it is not."""

    @property
    def lost(self) -> set[str]:
        """Hosts that failed."""
        return {host for host, outcome in self.outcomes.items() if outcome != "ok"}


async def apply(
    plan: Plan, connections: Connections, emit: Emit, run_id: str, stop: asyncio.Event
) -> Applied:
    """Apply the plan, stage by stage.

    A host whose action fails gets no further ones; the other hosts continue, unless the stage is a
    gate. Once `stop` is set, running actions finish and no other starts.

    Raises:
        JournalError: the journal could not be written, so the run was stopped in the same way.
    """
    state = _Apply(
        connections, emit, run_id, stop, asyncio.Semaphore(connections.answers.ssh.width), Applied()
    )
    for part in plan.parts:
        why = state.blocked_by(part)
        if why:
            for lane in part.lanes:
                state.skip(lane.tasks, why)
            continue
        async with asyncio.TaskGroup() as group:
            for lane in part.lanes:
                group.create_task(state.follow(lane), name=f"{part.stage} {lane.host}")
        if part.gate and state.applied.lost:
            state.closed_by = f"{', '.join(sorted(state.applied.lost))} failed"
    if state.journal_error is not None:
        raise state.journal_error
    return state.applied


@dataclass
class _Apply:
    """State shared by all lanes of a plan."""

    connections: Connections
    emit: Emit
    run_id: str
    stop: asyncio.Event
    width: asyncio.Semaphore
    applied: Applied
    closed_by: str = ""
    """Why a gate is closed; empty: it is open."""

    journal_error: JournalError | None = None
    """The journal can't be written: running actions finish, and no other starts."""

    def blocked_by(self, part: Part) -> str:
        """Why this stage does not start; empty: it does."""
        if self.closed_by:
            return f"not started: {self.closed_by}"
        if part.stage == "peers" and (lost := self.applied.lost):
            be = "is" if len(lost) == 1 else "are"
            return f"not started: it needs all nodes, and {', '.join(sorted(lost))} {be} not done"
        return ""

    def skip(self, tasks: Iterable[Task], why: str) -> None:
        """Report each task as not started."""
        for task in tasks:
            self._end_step(task, "stopped", why)

    def _end_step(self, task: Task, outcome: Outcome, why: str = "") -> None:
        self.emit(StepEnded(task.host, task.step, outcome, why))
        worst = self.applied.outcomes.get(task.host, "ok")
        if worst == "ok":
            self.applied.outcomes[task.host] = outcome
            if why:
                self.applied.why[task.host] = f"{task.step}: {why}"

    async def follow(self, lane: Lane) -> None:
        """Run one host's tasks, up to the first that fails."""
        async with self.width:
            for index, task in enumerate(lane.tasks):
                if self.stop.is_set():
                    self.skip(lane.tasks[index:], "not started: the run was stopped")
                    return
                try:
                    outcome, why = await self._run_task(task)
                except JournalError as full:
                    self.journal_error = full
                    self.stop.set()
                    outcome, why = "stopped", str(full)
                self._end_step(task, outcome, why)
                if outcome != "ok":
                    return

    async def _run_task(self, task: Task) -> tuple[Outcome, str]:
        self.emit(StepStarted(task.host, task.step, task.title, len(task.actions)))
        for index, action in enumerate(task.actions):
            if self.stop.is_set():
                await self._confirm(task, index)
                return "stopped", "the run was stopped"
            if why := await self.connections.may_begin(self.stop):
                if not self.stop.is_set():
                    self.applied.barred = why
                    self.stop.set()
                return "stopped", why
            outcome, why = await self._run_action(task, action)
            if outcome == "failed":
                await self._confirm(task, index + 1)
            if outcome != "ok":
                return outcome, why
        return "ok", ""

    async def _confirm(self, task: Task, done: int) -> None:
        """Confirm the applied part of an aborted task, so that the host does not revert it."""
        for action in task.actions[done:] if done else ():
            if isinstance(action, Run) and action.fresh:
                await self._run_action(task, action)

    async def _run_action(self, task: Task, action: Action) -> tuple[Outcome, str]:
        """Run one action to its end; `unknown`: it was sent, but its end was not seen."""
        if (back := action.back) is not None:
            self.emit(
                WayBack(
                    task.host, task.step, back.argv, back.input(), back.timeout, back.interrupts
                )
            )
        unit_name = action.unit if isinstance(action, Run) else ""
        unit = f"{unit_name}-{self.run_id}" if unit_name else ""
        self.emit(ActionStarted(task.host, task.step, action.brief, unit))
        began, code, why = time.monotonic(), None, ""
        lines: deque[str] = deque(maxlen=MAX_CAUSE_LINES)

        def on_line(line: str) -> None:
            lines.append(line)
            self.emit(Output(task.host, task.step, line))

        outcome: Outcome = "unknown"
        try:
            if isinstance(action, PutKey):
                code, why = await self._put_key(action, on_line)
            else:
                code, unreachable = await self._run_command(
                    task.host, replace(action, unit=unit), on_line
                )
                why = (
                    _failure(code, action, lines) + (unreachable and f" ({unreachable})")
                    if code
                    else ""
                )
                if code == FILE_CHANGED and action.script:
                    self.applied.stale = why
            outcome = "failed" if code else "ok"
        except UnreachableError as unreachable:
            why = str(unreachable)
            if isinstance(action, PutKey):
                outcome = "failed"
            else:
                self.connections.lose(task.host, why)
        finally:
            took = round(time.monotonic() - began, 3)
            self.emit(ActionEnded(task.host, task.step, outcome, code, took))
            if outcome == "unknown" and not why:  # cancelled: nobody else reports the step's end
                self.emit(StepEnded(task.host, task.step, "unknown", "its end was not seen"))
        return outcome, why

    async def _run_command(self, host: str, run: Run, on_line: OnLine) -> tuple[int, str]:
        """The exit status, and why the host was unreachable at first; empty: it was not."""
        if run.fresh:
            return await run_on_new_connection(self.connections, host, run, on_line)
        return await self.connections.session(host).run(run, on_line), ""

    async def _put_key(self, put: PutKey, on_line: OnLine) -> tuple[int, str]:
        """Write or delete a key if it is unchanged since the plan, then read it back."""
        try:
            return await self._write_and_check(put, on_line)
        except UnreachableError:
            # The connection used for etcd may be lost; the host may have a new one by now.
            self.connections.forget_store()
            return await self._write_and_check(put, on_line)

    async def _write_and_check(self, put: PutKey, on_line: OnLine) -> tuple[int, str]:
        store = await self.connections.store(put.api, {})
        written = await store.put(put)
        stored = await store.get(put.key)
        if put.value is None:
            as_wanted, message = stored is None, f"{put.key} is gone"
        else:
            as_wanted = stored is not None and same_json(stored.text, put.value)
            message = f"{put.key} reads back as {stored.text}" if stored else ""
        if as_wanted:
            on_line(message)
            return 0, ""
        if not written:
            state = f"it now says {stored.text[:200]}" if stored else "it is gone"
            self.applied.stale = f"etcd's {put.key} was changed since the plan was made: {state}"
            return 1, f"{self.applied.stale}; look at it, then make a new plan"
        if put.value is None:
            return 1, f"etcd deleted {put.key}, and somebody wrote it again; look at who does"
        return 1, f"etcd took {put.key} and reads back something else; look at etcd's log"


def _adds_to(cause: Cause | None, text: str) -> TypeGuard[Cause]:
    return cause is not None and cause.sentence not in text


def _failure(code: int, run: Run, lines: Iterable[str]) -> str:
    """Why a command failed, with a remedy if its output has a known cause."""
    output = list(lines)
    cause = cause_of(output)
    last = next((line.strip()[:300] for line in reversed(output) if line.strip()), "")
    if run.script and last and code != 124:  # a script of fedwiz gives the reason in its last line
        text = last.partition("; ")[0]
        return f"{text}: {cause.sentence}; {cause.remedy}" if _adds_to(cause, text) else last
    if cause is not None:
        return f"{cause.sentence}; {cause.remedy}"
    text = f"no end within {run.timeout} s" if code == 124 else f"exit status {code}"
    return f"{text} of `{run.brief[:120]}`" + (f": {last}" if last else "")
