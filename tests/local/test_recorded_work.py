"""A verb's work with a journal: what is there before it begins, and what is left where it can't."""

import asyncio
from pathlib import Path

import pytest

from fedwiz import practice
from fedwiz.answers.file import AnswersError, repeat
from fedwiz.engine import verbs
from fedwiz.engine.recorded import NoJournalError, recorded
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.events import Record
from fedwiz.runs.journal import answers_path, read, runs, runs_path
from tests.local.test_journal import disk_of

ANSWERS = practice.practice_answers(3)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def make(accepted: tuple[str, ...]) -> RunContext:
    machines = practice.Practice(ANSWERS)
    return RunContext(ANSWERS, machines, machines.open_store, lambda _: None, "", accepted)


async def never(_cluster: RunContext, _stop: asyncio.Event) -> Result:
    raise AssertionError("it was to begin nothing")


async def test_the_journal_and_the_answers_are_there_before_the_work_begins() -> None:
    told, heard, also = list[object](), list[Record](), list[Record]()
    stop = asyncio.Event()

    def begun(run: str, unkept: OSError | None) -> None:
        assert not heard
        told.extend((run, unkept))

    async def work(cluster: RunContext, asked: asyncio.Event) -> Result:
        assert asked is stop
        assert told == [cluster.run_id, None]
        assert answers_path(cluster.run_id).read_text() == repeat(ANSWERS, ("disk",))
        return await verbs.check(cluster)

    result = await recorded(work, make, ("disk",), stop, (heard.append, also.append), begun)
    assert result.code == 0
    (run,) = runs()
    assert told[0] == run.id
    assert tuple(heard) == tuple(also) == read(run.path)


async def test_of_what_is_refused_nothing_is_left() -> None:
    async def refuse(_accepted: tuple[str, ...]) -> RunContext:
        raise AnswersError({"flannel.path": "there is no such file"})

    with pytest.raises(AnswersError):
        await recorded(never, refuse, (), asyncio.Event(), (), lambda *_: None)
    assert not runs_path().exists()


async def test_without_a_journal_nothing_is_begun() -> None:
    runs_path().parent.write_text("a file where a folder belongs")
    with pytest.raises(NoJournalError) as caught:
        await recorded(never, make, (), asyncio.Event(), (), lambda *_: None)
    assert caught.value.strerror in ("Not a directory", "File exists")


async def test_without_answers_it_is_for_the_caller_to_say() -> None:
    told = list[str]()

    async def nothing(_cluster: RunContext, _stop: asyncio.Event) -> Result:
        return Result(0)

    def note(_run: str, unkept: OSError | None) -> None:
        assert unkept is not None
        told.append(str(unkept.strerror))

    def stops(_run: str, unkept: OSError | None) -> None:
        assert unkept is not None
        raise unkept

    with disk_of(10):
        result = await recorded(nothing, make, (), asyncio.Event(), (), note)
        assert (result.code, told) == (0, ["File too large"])
        with pytest.raises(OSError, match="File too large"):
            await recorded(never, make, (), asyncio.Event(), (), stops)
    assert {path.suffix for path in runs_path().iterdir()} == {".jsonl"}
