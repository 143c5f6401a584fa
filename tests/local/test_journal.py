"""Journals: written first, kept private, read back strictly."""

import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Output,
    Record,
    RoundStarted,
    RunEnded,
    RunStarted,
    StepStarted,
    Verified,
    to_line,
)
from fedwiz.runs.journal import (
    MAX_ROUNDS_BYTES,
    Journal,
    JournalError,
    find,
    read,
    replay,
    runs,
    runs_path,
)
from fedwiz.runs.plans import plans_path, read_plan_text, write_plan
from tests.support.sample_runs import BEGAN, WHOLE, all_well, one_fails, records

START = RunStarted("install", "fedora-lab", ("a", "b"))


def written(path: Path, said: tuple[Record, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(to_line(record) + "\n" for record in said))
    return path


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fedwiz keeps its state; it does not exist yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "fedwiz"


def test_records_are_numbered_stamped_and_read_back(tmp_path: Path) -> None:
    said = one_fails()
    ticks = iter([record.at for record in said])
    with Journal(tmp_path / "run.jsonl", clock=lambda: next(ticks)) as journal:
        assert tuple(journal.emit(record.event) for record in said) == said
    assert read(journal.path) == said


def test_rounds_without_end_do_not_fill_the_disk(tmp_path: Path) -> None:
    """The beginning stays, and the last rounds, whole; at every moment it is a journal."""
    told, counts = list[Record](), list[int]()
    long = Verified("ping", "a", "b", "pass", "x" * (MAX_ROUNDS_BYTES // 10))
    with Journal(tmp_path / "run.jsonl") as journal:
        journal.subscribe(told.append)
        journal.emit(START)
        journal.emit(Connected("a"))
        for number in range(1, 31):
            journal.emit(RoundStarted(number))
            journal.emit(long)
            assert (
                journal.path.stat().st_size < MAX_ROUNDS_BYTES + 2 * MAX_ROUNDS_BYTES // 10 + 1000
            )
            there = read(journal.path)
            assert [it.event for it in there[:2]] == [START, Connected("a")]
            kept = [it.event.round for it in there if isinstance(it.event, RoundStarted)]
            assert kept == list(range(kept[0], number + 1))
            assert len(there) == 2 + 2 * len(kept)
            counts.append(len(kept))
    assert counts.count(max(counts)) > 1, "those that are kept grow again to as many"
    assert len(told) == 62
    assert kept[0] > 1


def test_a_record_is_on_disk_before_anyone_is_told(tmp_path: Path) -> None:
    seen = list[tuple[Record, ...]]()
    with Journal(tmp_path / "run.jsonl") as journal:
        journal.subscribe(lambda record: seen.append(read(journal.path)))
        for record in all_well():
            journal.emit(record.event)
    assert [len(there) for there in seen] == list(range(1, len(seen) + 1))


def test_what_is_done_to_a_host_is_synced_and_output_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, told, sync = list[int](), list[tuple[str, int]](), os.fsync

    def fsync(file: int) -> None:
        sync(file)
        synced.append(os.fstat(file).st_size)

    with Journal(tmp_path / "run.jsonl") as journal:
        monkeypatch.setattr(os, "fsync", fsync)

        def tell(record: Record) -> None:
            size = journal.path.stat().st_size
            told.append((type(record.event).__name__, size - max(synced, default=0)))

        journal.subscribe(tell)
        journal.emit(START)
        journal.emit(ActionStarted("a", "package", "dnf"))
        journal.emit(Output("a", "package", "x"))
        journal.emit(Output("a", "package", "y"))
        journal.emit(ActionEnded("a", "package", "ok", 0, 1.0))
        journal.emit(RunEnded("ok", 0))
    behind = {name for name, unsynced in told if unsynced}
    assert behind == {"Output"}


def test_a_sink_that_raises_loses_no_record_and_no_other_sink(tmp_path: Path) -> None:
    told = list[Record]()

    def broken(record: Record) -> None:
        raise ZeroDivisionError(record.number)

    with Journal(tmp_path / "run.jsonl") as journal:
        journal.subscribe(told.append)
        journal.subscribe(broken)
        journal.subscribe(told.append)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                journal.emit(START)
    assert [record.number for record in told] == [0, 0, 1, 1]
    assert [record.number for record in read(journal.path)] == [0, 1]


def test_files_and_directories_are_the_owners_alone(state: Path) -> None:
    before = os.umask(0)
    try:
        with Journal() as journal:
            modes = {
                path.name: stat.S_IMODE(path.stat().st_mode)
                for path in (
                    state.parent,
                    state,
                    runs_path(),
                    journal.path,
                    write_plan("abc", "{}"),
                )
            }
    finally:
        os.umask(before)
    assert modes == {
        "state": 0o700,
        "fedwiz": 0o700,
        "runs": 0o700,
        journal.path.name: 0o600,
        "abc.json": 0o600,
    }
    assert journal.path.parent == runs_path() == state / "runs"


def test_a_journal_never_takes_a_file_that_is_there(tmp_path: Path) -> None:
    there = tmp_path / "run.jsonl"
    there.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        Journal(there)
    assert not (tmp_path / "elsewhere").exists()


def test_runs_of_the_same_second_have_names_of_their_own_that_sort_by_time(tmp_path: Path) -> None:
    ids = list[str]()
    for at in (BEGAN, BEGAN, BEGAN, BEGAN + 1):
        with Journal(tmp_path, clock=lambda at=at: at) as journal:  # type: ignore[misc]
            ids.append(journal.id)
    assert len(set(ids)) == 4
    assert {name[:-5] for name in ids[:3]} == {"20261122-230612"}
    assert max(ids) == ids[3]


def test_nothing_is_emitted_into_a_closed_journal(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        pass
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.emit(START)


KILLED = """
import os, signal, sys
from pathlib import Path
from fedwiz.runs.journal import Journal
from tests.support.sample_runs import one_fails

def kill(record):
    if record.number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

journal = Journal(Path(sys.argv[1]))
journal.subscribe(kill)
for record in one_fails():
    journal.emit(record.event)
"""


@pytest.mark.parametrize(
    "last", [0, 11, 30, *(pytest.param(it, marks=pytest.mark.full) for it in (1, 9, 10, 14, 22))]
)
def test_a_killed_fedwiz_has_lost_nothing_that_was_told(tmp_path: Path, last: int) -> None:
    path = tmp_path / "20261122-230612-1a2b.jsonl"
    command = [sys.executable, "-c", KILLED, str(path), str(last)]
    died = subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    assert died.returncode == -signal.SIGKILL
    assert [it.event for it in read(path)] == [it.event for it in one_fails()[: last + 1]]
    assert [run.outcome for run in runs(tmp_path)] == ["interrupted"]


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """The kernel takes no byte of a file beyond this many, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, 40])
def test_with_a_full_disk_nothing_new_is_started_and_what_runs_is_seen_to_end(
    tmp_path: Path, room: int
) -> None:
    told = list[Record]()
    with Journal(tmp_path) as journal:
        journal.subscribe(told.append)
        journal.emit(START)
        journal.emit(ActionStarted("a", "package", "dnf"))
        with disk_of(journal.path.stat().st_size + room):
            journal.emit(Output("a", "package", "x" * 100))
            for new in (StepStarted("b", "package", "t", 1), ActionStarted("b", "package", "dnf")):
                with pytest.raises(
                    JournalError, match=r"nothing new is started: the journal .*: File"
                ):
                    journal.emit(new)
            journal.emit(ActionEnded("a", "package", "ok", 0, 1.0))
        with pytest.raises(
            JournalError
        ):  # room again: a journal with a hole would be worse than none
            journal.emit(ActionStarted("b", "package", "dnf"))
        journal.emit(RunEnded("failed", 5))
    kinds = [type(record.event).__name__ for record in told]
    assert kinds == ["RunStarted", "ActionStarted", "Output", "ActionEnded", "RunEnded"]
    assert [record.number for record in told] == [0, 1, 2, 3, 4]
    assert "can't be written" in journal.broken
    assert read(journal.path) == tuple(told[:2])
    assert journal.path.read_bytes().endswith(b"\n")


def test_a_torn_last_line_is_left_out_wherever_it_is_torn(tmp_path: Path) -> None:
    said = one_fails()[:4]
    path = written(tmp_path / "run.jsonl", said)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        assert read(path) == said[: whole[:size].count(b"\n")]


GOOD = [to_line(record) for record in one_fails()[:3]]
DAMAGED = {
    "no JSON": ([GOOD[0], "{"], ":2: not JSON"),
    "an empty line": ([GOOD[0], "", GOOD[1]], ":2: not JSON"),
    "a gap": ([GOOD[0], GOOD[2]], ":2: record 2 where 1 belongs"),
    "twice": ([GOOD[0], GOOD[0]], ":2: record 0 where 1 belongs"),
    "another kind": (['{"number":0,"at":1,"event":"Boo"}'], ":1: no event is called 'Boo'"),
    "not ASCII": ([GOOD[0].replace("lab", "läb")], ":1: "),
}


@pytest.mark.parametrize(("lines", "why"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_journal_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], why: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}{why}")):
        read(path)


def test_a_journal_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no\.jsonl: can't be read: No such file"):
        read(tmp_path / "no.jsonl")


WHOLE_BYTES = "".join(to_line(record) + "\n" for record in one_fails()[:6]).encode()


@given(
    st.integers(0, len(WHOLE_BYTES)),
    st.integers(0, 40),
    st.binary(max_size=40) | st.sampled_from([b"\n", b"\0" * 40, b"{}\n", b"null\n", b"\xff"]),
)
def test_a_corrupt_journal_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, at: int, gone: int, instead: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "20261122-230612-1a2b.jsonl"
    path.write_bytes(WHOLE_BYTES[:at] + instead + WHOLE_BYTES[at + gone :])
    runs(path.parent)
    try:
        said = read(path)
    except ValueError as refused:
        assert str(refused).startswith(f"{path}:")  # noqa: PT017 - it need not raise
    else:
        assert [record.number for record in said] == list(range(len(said)))


def test_runs_are_listed_newest_first_and_foreign_files_passed_over(tmp_path: Path) -> None:
    old = written(tmp_path / "20261122-230612-1a2b.jsonl", all_well("healthy"))
    new = written(tmp_path / "20261123-070000-0000.jsonl", records([START, Connected("a")]))
    torn = written(tmp_path / "20261124-070000-0000.jsonl", one_fails())
    torn.write_bytes(torn.read_bytes()[:-9])
    (tmp_path / "20261125-070000-0000.jsonl").mkdir()
    os.mkfifo(tmp_path / "20261126-070000-0000.jsonl")
    (tmp_path / "20261127-070000-0000.jsonl").write_bytes(b"\0" * 100)
    (tmp_path / "20261128-070000-0000.jsonl").touch()
    written(tmp_path / "20261129-070000-0000.jsonl", records([Connected("a")]))
    (tmp_path / "20261130-070000-0000.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.jsonl").write_text("hello\n")
    found = {run.id: run for run in runs(tmp_path)}
    assert {name: run.outcome for name, run in found.items()} == {
        old.stem: "ok",
        new.stem: "interrupted",
        torn.stem: "interrupted",
    }
    run = found[old.stem]
    assert (run.verb, run.cluster, run.practice, run.started) == (
        "install",
        "fedora-lab",
        "healthy",
        BEGAN,
    )
    assert run.hosts == ("fed-master", "fed-node1", "fed-node2", "fed-node3")


def test_newest_first(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        said = tuple(Record(it.number, it.at + day * 86400, it.event) for it in all_well())
        written(tmp_path / f"2026112{day}-230612-1a2b.jsonl", said)
    assert [run.id[7] for run in runs(tmp_path)] == ["3", "2", "1"]
    assert runs(tmp_path / "none") == ()


def test_a_long_journals_end_is_found(tmp_path: Path) -> None:
    written(tmp_path / "20261122-230612-1a2b.jsonl", WHOLE["sixty hosts"]())
    assert runs(tmp_path)[0].outcome == "failed"


def test_a_run_is_found_by_its_name_or_how_it_begins_or_its_path(tmp_path: Path) -> None:
    one = written(tmp_path / "20261122-230612-1a2b.jsonl", all_well())
    two = written(tmp_path / "20261122-230612-1a2c.jsonl", all_well())
    other = written(tmp_path / "kept" / "mine.jsonl", all_well())
    assert find(one.stem, tmp_path) == one
    assert find("20261122-230612-1a2c", tmp_path) == two
    assert find(str(other), tmp_path) == other
    unfound = {
        "2026": "2 runs begin with '2026': 20261122-230612-1a2b, 20261122-230612-1a2c",
        "1999": "no run is called '1999'; `fedwiz runs` lists them",
        "": "no run is called ''; `fedwiz runs` lists them",
        "*": "no run is called '*'; `fedwiz runs` lists them",
        "no/such.jsonl": "no/such.jsonl: there is no such file",
    }
    for name, why in unfound.items():
        with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
            find(name, tmp_path)


async def test_a_replay_keeps_the_distances_and_cuts_long_ones() -> None:
    at = [100.0, 101.0, 101.5, 900.0, 899.0]  # the last one by a clock that was set back
    said = tuple(Record(number, when, Connected("a")) for number, when in enumerate(at))
    for speed, waits in {
        1.0: [0.0, 1.0, 0.5, 5.0, 0.0],
        2.0: [0.0, 0.5, 0.25, 5.0, 0.0],
        0.0: [0.0, 0.0, 0.0, 0.0, 0.0],
    }.items():
        slept, told = list[float](), list[Record]()

        async def sleep(seconds: float, slept: list[float] = slept) -> None:
            slept.append(seconds)

        await replay(said, told.append, speed, sleep)
        assert slept == waits
        assert tuple(told) == said


async def test_a_replay_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        await replay((), print, -1.0)


def test_a_plan_is_kept_under_its_digest(state: Path) -> None:
    assert read_plan_text("0123456789ab") is None
    text = json.dumps({"hosts": {"läb": []}}, ensure_ascii=False)
    assert write_plan("0123456789ab", "older") == write_plan("0123456789ab", text)
    assert read_plan_text("0123456789ab") == text
    assert [path.name for path in plans_path().iterdir()] == ["0123456789ab.json"]
    assert plans_path() == state / "plans"


@pytest.mark.parametrize("digest", ["", "../x", "a/b", ".hidden", "a" * 129, "a\n", "-rf"])
def test_a_digest_that_is_no_name_is_refused(state: Path, digest: str) -> None:
    for call in (lambda: write_plan(digest, "x"), lambda: read_plan_text(digest)):
        with pytest.raises(ValueError, match="is not a plan's digest"):
            call()
    assert not state.exists()


def test_a_plan_that_does_not_fit_leaves_the_old_one_whole(state: Path) -> None:
    write_plan("abc", "old")
    with disk_of(10), pytest.raises(OSError, match="File too large"):
        write_plan("abc", "x" * 100)
    assert read_plan_text("abc") == "old"
    assert len(list(plans_path().iterdir())) == 1
