"""A run that is killed anywhere is gone on with, and ends as an undisturbed one does."""

import asyncio
import copy
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest

from fedwiz import practice
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all, saving
from fedwiz.engine.undo import resume, undo_install
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Event,
    PlanMade,
    Record,
    RunEnded,
    RunStarted,
    StepStarted,
)
from fedwiz.practice import Practice
from fedwiz.runs import journal as journals
from fedwiz.runs.interrupted import MAX_RUNS_READ, InterruptedRun, interrupted_run
from fedwiz.runs.journal import Journal, read
from fedwiz.runs.plans import load_plan, write_plan
from tests.support.cli_process import Shell
from tests.support.host_image import Image, alike

ANSWERS = practice.practice_answers(3)
NODE = ANSWERS.nodes[0].name


class Killed(BaseException):
    """What `kill -9` does, as far as a test's own process can."""


Work = Callable[[RunContext], Coroutine[Any, Any, Result]]


def install(cluster: RunContext) -> Coroutine[Any, Any, Result]:
    return verbs.install(cluster, saving(approve_all), asyncio.Event())


def undo(cluster: RunContext) -> Coroutine[Any, Any, Result]:
    return undo_install(cluster, saving(approve_all), asyncio.Event())


def undo_one(cluster: RunContext) -> Coroutine[Any, Any, Result]:
    approve = saving(approve_all, NODE)
    return undo_install(cluster, approve, asyncio.Event(), host=NODE)


def go_on(before: InterruptedRun) -> Work:
    """What was approved is not asked for again, and nobody can be asked for anything more."""
    return lambda cluster: resume(before, cluster, None, asyncio.Event())


async def run(
    work: Work, machines: Practice, sink: Callable[[Record], None] = lambda _record: None
) -> tuple[Result | None, Path]:
    """A run with a journal; None where it was killed in its middle."""
    with Journal() as journal:
        journal.subscribe(sink)
        cluster = RunContext(ANSWERS, machines, machines.open_store, journal.emit, journal.id)
        result = None
        try:
            result = await work(cluster)
        except* Killed:
            pass
        return result, journal.path


class Cut:
    """Kills the run once so many records are written."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, record: Record) -> None:
        if record.number + 1 >= self.after:
            raise Killed


def cut_down(path: Path, records: int) -> None:
    """What a killed process has written after it was killed: nothing."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:records]))


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed."""

    work: Work
    before: Practice
    """The hosts before it; to be copied."""

    after: Image
    records: tuple[Record, ...]

    @property
    def machines(self) -> Practice:
        """The hosts as they were before it."""
        return copy.deepcopy(self.before)


async def undisturbed(work: Work, before: Practice) -> Undisturbed:
    machines, records = copy.deepcopy(before), list[Record]()
    result, _ = await run(work, machines, records.append)
    assert result is not None
    assert (result.code, result.why) == (0, "")
    return Undisturbed(work, before, alike(machines), tuple(records))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Undisturbed]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("undisturbed")))
        return asyncio.run(_runs())


async def _runs() -> Mapping[str, Undisturbed]:
    bare, installed = Practice(ANSWERS), Practice(ANSWERS)
    await run(install, installed)
    return {
        "install": await undisturbed(install, bare),
        "undo": await undisturbed(undo, installed),
        "undo of one node": await undisturbed(undo_one, installed),
    }


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In memory, where there is such a place: a journal waits for its disk at each action."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        monkeypatch.setenv("XDG_STATE_HOME", place)
        yield Path(place)


def some(records: Sequence[Record]) -> list[int]:
    """The numbers, from 1, of each tenth record of every kind.

    Of all records each tenth would be of few kinds: what begins and ends does so in turn.
    """
    by_kind: dict[type[Event], list[int]] = {}
    for number, record in enumerate(records, 1):
        by_kind.setdefault(type(record.event), []).append(number)
    return sorted(number for numbers in by_kind.values() for number in numbers[::10])


PARTS = {"install": 8, "undo": 2, "undo of one node": 1}
"""The other records of each are tried in so many tests, which run side by side."""


@pytest.mark.parametrize(
    ("verb", "part"),
    [(verb, "some") for verb in PARTS]
    + [
        pytest.param(verb, part, marks=pytest.mark.full)
        for verb, parts in PARTS.items()
        for part in range(parts)
    ],
)
async def test_at_every_record(
    verb: str, part: int | Literal["some"], runs: Mapping[str, Undisturbed]
) -> None:
    """The run is killed after each of its records, and again before the record of an end.

    Then the host has done what the journal does not know of.
    """
    it = runs[verb]
    few = some(it.records)
    others = [number for number in range(1, len(it.records) + 1) if number not in few]
    for after in few if part == "some" else others[part :: PARTS[verb]]:
        await killed_and_gone_on(it, after)
        if isinstance(it.records[after - 1].event, ActionEnded):
            await killed_and_gone_on(it, after, written=after - 1)
        if it.work is undo and after % 4 == 0:
            await killed_and_gone_on(it, after, again=True)


async def killed_and_gone_on(
    it: Undisturbed, after: int, *, written: int | None = None, again: bool = False
) -> None:
    """Kill a run and go on with it, or begin it again.

    Args:
        it: the run.
        after: so many records.
        written: so many of them are in its journal; None: all.
        again: the same command once more; else `fedwiz resume`.
    """
    where = f"record {after}: {it.records[after - 1]}"
    machines = it.machines
    result, path = await run(it.work, machines, Cut(after))
    assert result is None, where
    cut_down(path, after if written is None else written)
    before = interrupted_run()
    begun = any(isinstance(each.event, ActionStarted) for each in read(path))
    over = isinstance(it.records[after - 1].event, RunEnded)
    assert (before is not None) == (begun and not over), where
    # What was approved is not asked for again, and nothing beyond it is left.
    result, _ = await run(go_on(before) if before and not again else it.work, machines)
    assert result is not None, where
    assert result.code == 0, f"{where}: {result.why}"
    assert alike(machines) == it.after, where
    assert interrupted_run() is None
    for kept in journals.runs_path().iterdir():
        kept.unlink()


# What is left of several runs.


@dataclass(frozen=True)
class Past:
    """A run that was: its verb, its exit code, and whether it began to change something."""

    verb: str
    code: int | None
    """None: it was cut off."""

    begun: bool = True
    remedy: bool = False
    """It is about a remedy, whose plan is not kept."""

    cluster: str = "lab"
    practice: str = ""

    def write(self, number: int) -> None:
        digest = f"{number:012}"
        with Journal(
            journals.runs_path() / f"20260101-0000{number:02}-0000.jsonl",
            lambda: 1767279720.0 + number,
        ) as journal:
            journal.emit(RunStarted(self.verb, self.cluster, (NODE,), self.practice))
            journal.emit(PlanMade(digest, {NODE: 1}))
            if self.begun:
                title = "Start flanneld and move docker to its subnet"
                journal.emit(StepStarted(NODE, "switch", title, 1))
                journal.emit(ActionStarted(NODE, "switch", "sh switch.sh"))
            if self.code is not None:
                journal.emit(RunEnded("failed" if self.code else "ok", self.code))
        if self.begun and not self.remedy:
            write_plan(digest, json.dumps({"actions": [], "host": ""}))


INSTALL, UNDO = Past("install", None), Past("undo", None)
PASTS: Mapping[str, tuple[list[Past], int | None]] = {
    "nothing": ([], None),
    "an install cut off": ([INSTALL], 0),
    "an install that failed": ([Past("install", 5)], 0),
    "an install that changed nothing": ([Past("install", 3, begun=False)], None),
    "on a practice cluster": ([Past("install", None, practice="healthy")], None),
    "then an install that got through": ([INSTALL, Past("install", 0)], None),
    "then a whole undo": ([INSTALL, Past("undo", 0)], None),
    "then an undo that found nothing": ([INSTALL, Past("undo", 0, begun=False)], None),
    "then an undo cut off": ([INSTALL, UNDO], 1),
    "then an undo that could not begin": ([INSTALL, Past("undo", 8, begun=False)], 0),
    "an undo cut off": ([UNDO], 0),
    "an undo with a host out of reach": ([Past("undo", 4)], 0),
    "an undo cut off, then one that had nothing left": (
        [UNDO, Past("undo", 0, begun=False)],
        None,
    ),
    "an undo cut off, then an install": ([UNDO, Past("install", 0)], None),
    "an undo cut off, then an install cut off": ([UNDO, INSTALL], 1),
    "then the way back of a remedy": ([INSTALL, Past("undo", 0, remedy=True)], 0),
    "then the way back of a remedy, cut off": ([INSTALL, Past("undo", None, remedy=True)], 0),
    "a remedy cut off": ([Past("diagnose", None, remedy=True)], None),
    "then a verification": ([INSTALL, Past("verify", 0, begun=False)], 0),
    "then as many that could not begin as are looked into": (
        [INSTALL, *[Past("install", 8, begun=False)] * MAX_RUNS_READ],
        None,
    ),
    "of another cluster": ([INSTALL, Past("install", 0, cluster="other")], 0),
}
"""Runs, the oldest first, and which of them is gone on with."""


@pytest.mark.parametrize(("pasts", "left"), PASTS.values(), ids=PASTS)
def test_what_is_left_of_several_runs(pasts: list[Past], left: int | None) -> None:
    for number, past in enumerate(pasts):
        past.write(number)
    found = interrupted_run()
    ids = [f"20260101-0000{number:02}-0000" for number in range(len(pasts))]
    assert (found and found.run.id) == (None if left is None else ids[left])


REFUSED = {
    "diagnose": "can't be resumed: `fedwiz diagnose -a FILE A B --apply` measures again",
    "undo": "undid a fix, which can't be resumed: `fedwiz undo -a FILE` takes an install",
    "verify": "is not an install or undo of a real cluster",
}


@pytest.mark.parametrize("verb", REFUSED)
def test_what_is_not_gone_on_with_says_what_to_do(verb: str, home: Path) -> None:
    Past(verb, None, remedy=True).write(1)
    said = Shell(home).fedwiz("resume", "20260101", XDG_STATE_HOME=str(home))
    assert said.code == 2
    assert REFUSED[verb] in said.err


def test_the_list_of_runs_says_which_one_is_gone_on_with(home: Path) -> None:
    for number, past in enumerate([Past("install", 0), INSTALL]):
        past.write(number)
    said = Shell(home).fedwiz("runs", XDG_STATE_HOME=str(home))
    assert len(said.out.splitlines()) == 2
    assert said.last.startswith("a run of 2026-01-01 ")
    assert said.last.endswith("`fedwiz resume` continues it (20260101-000001-0000)")


def test_a_plan_that_is_only_shown_again_stays_as_it_was_approved(home: Path) -> None:
    """`fedwiz plan` keeps under the same digest what an approval kept, not less."""
    words = ("demo", "plan", "--hosts", "3", "--json")
    said = Shell(home).fedwiz(*words, XDG_STATE_HOME=str(home))
    kept = load_plan(said.json["digest"])
    assert kept is not None
    assert {host for host, *_ in kept.actions} == {host.name for host in ANSWERS.host}
