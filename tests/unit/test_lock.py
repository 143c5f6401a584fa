"""One run at a time changes a cluster; others are told who, and may watch."""

import asyncio
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedwiz.cli.watch_run import watch_on
from fedwiz.engine import fix, undo, verbs
from fedwiz.engine.apply import apply
from fedwiz.engine.approval import approve_all
from fedwiz.engine.lock import MAX_FEED_BYTES, Lock, LockTimes, age, operator, parse
from fedwiz.engine.plan import make
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.engine.watch import Followed, Records, follow
from fedwiz.model.events import (
    ActionStarted,
    Event,
    LockMoved,
    Output,
    Record,
    RunEnded,
    RunStarted,
    StepEnded,
    from_line,
    to_line,
)
from fedwiz.practice import Practice, practice_answers
from fedwiz.runs.journal import Journal
from fedwiz.util.sanitize import sanitize
from tests.support.fake_cluster import Fake
from tests.support.patience import GIVE_UP
from tests.support.sample_cluster import ANSWERS, BARE

GOOD = (
    "token 0123456789abcdef\nwho alice@laptop\nfrom 192.0.2.9\nsince 1795426519\nverb install\n"
    "run 20261123-093517-e9df\ncluster lab\n"
)
BOB = ("f" * 16, "bob@desk", "undo", "r", "practice")

# What stands beside the lock.


def test_who_has_it_is_said_in_a_sentence() -> None:
    holder = parse(GOOD)
    assert str(replace(holder, since=0.0)) == (
        "alice@laptop (192.0.2.9) has been changing this cluster since 1970-01-01 00:00 UTC "
        "(install, run 20261123-093517-e9df)"
    )
    now = time.time()
    today = time.strftime("since %H:%M UTC", time.gmtime(now))
    assert today in str(replace(holder, since=now, address="", run=""))
    assert parse(GOOD.replace("192.0.2.9", "-")).address == ""
    assert parse(GOOD.replace("192.0.2.9", "fe80::1%eth0")).address == "fe80::1%eth0"
    assert parse(GOOD.replace("cluster lab", "cluster \x1b[31mred\u202e")).cluster == "red"


NO_HOLDERS = {
    "empty": "",
    "words": "Segmentation fault",
    "a line more": GOOD + "more x\n",
    "a line twice": GOOD + "verb undo\n",
    "a line less": GOOD.replace("verb install\n", ""),
    "an empty line": GOOD + "\n",
    "no address": GOOD.replace("192.0.2.9", "999.0.2.9"),
    "an escape code": GOOD.replace("alice", "al\x1b[2Jice"),
    "a space in a name": GOOD.replace("alice", "al ice"),
    "no user": GOOD.replace("alice@laptop", "alice"),
    "a path for a token": GOOD.replace("0123456789abcdef", "../../etc/passwd"),
    "no time": GOOD.replace("1795426519", "-5"),
    "the end of time": GOOD.replace("1795426519", "9" * 30),
    "Arabic digits": GOOD.replace("1795426519", "١٧٩٥"),
    "carriage returns": GOOD.replace("\n", "\r\n"),
    "a megabyte": GOOD.replace("cluster lab", "cluster " + "x" * (1 << 20)),
    "zeros": "\0" * 4096,
}


@pytest.mark.parametrize("text", NO_HOLDERS.values(), ids=NO_HOLDERS)
def test_what_is_no_holder_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - any text of it
        parse(text)
    assert sanitize(str(caught.value)) == str(caught.value)


def test_the_operator_s_name_is_one_that_can_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "Łu kasz\x1b[2J")
    assert parse(GOOD.replace("alice@laptop", operator())).who == operator()


@pytest.mark.parametrize(
    ("then", "now", "seconds"),
    [
        ((10, 1000), (12, 1002), 2),
        ((10, 1000), (12, 1900), 900),  # the laptop slept
        ((10, 1000), (12, 400), 2),  # somebody set the time back
    ],
)
def test_an_answer_is_as_old_as_the_clock_that_says_more(
    then: tuple[float, float], now: tuple[float, float], seconds: float
) -> None:
    assert age(then, now) == seconds


# Runs.

QUICK = LockTimes(pause=0, patience=GIVE_UP)


class Going:
    """Runs on a practice cluster, each with a journal, and what is done in their middle."""

    def __init__(self, home: Path, fault: str = "", limits: LockTimes = QUICK) -> None:
        self.answers = practice_answers(4)
        self.practice = Practice(self.answers, fault, pace=0.002)
        self.locks = self.practice.cluster.locks
        self.home, self.limits = home, limits
        self.records: list[Record] = []
        self.middle: Callable[[], None] | None = None
        self.again = asyncio.Event()

    def _heard(self, record: Record) -> None:
        self.records.append(record)
        if record.event == LockMoved(held=True):
            self.again.set()
        if self.middle and isinstance(record.event, ActionStarted):
            middle, self.middle = self.middle, None
            middle()

    def cluster(self, journal: Journal) -> RunContext:
        journal.subscribe(self._heard)
        return RunContext(
            self.answers,
            self.practice,
            self.practice.open_store,
            journal.emit,
            journal.id,
            practice="practice",
            limits=self.limits,
        )

    async def install(self) -> Result:
        with Journal(self.home) as journal:
            return await verbs.install(self.cluster(journal), approve_all, asyncio.Event())

    def cut(self) -> None:
        """The connection that holds the lock is lost."""
        assert self.locks.channel is not None
        self.locks.channel.cut()

    def bob(self) -> None:
        """It is lost, and Bob is quicker."""
        self.cut()
        self.locks.release()
        self.locks.grant(*BOB)

    def moved(self) -> list[bool]:
        return [it.event.held for it in self.records if isinstance(it.event, LockMoved)]

    def actions(self) -> int:
        return sum(isinstance(it.event, ActionStarted) for it in self.records)

    async def watch(self, notes: list[str], told: list[Record]) -> Followed:
        async with self.practice.connect("fed-master") as session:
            return await follow(session, told.append, notes.append, limits=self.limits, every=0)


async def test_it_is_had_while_a_run_goes_on_and_free_afterwards(tmp_path: Path) -> None:
    it = Going(tmp_path)
    seen = list[bool]()
    it.middle = lambda: seen.append(it.locks.locked)
    assert (await it.install()).code == 0
    assert seen == [True]
    assert not it.locks.locked


async def test_who_comes_second_changes_nothing_and_is_told_who_came_first(tmp_path: Path) -> None:
    it = Going(tmp_path, "locked")
    result = await it.install()
    assert result.code == verbs.LOCKED == 8
    assert result.why.startswith("bob@laptop (192.168.122.1) has been changing this cluster since ")
    assert result.why.endswith(" (install); wait, or watch it with `fedwiz watch -a FILE`")
    assert (result.known, it.actions()) == (None, 0)
    assert it.records[-1].event == RunEnded("failed", 8, result.why)
    assert it.locks.locked


async def test_verbs_that_change_nothing_need_no_lock(tmp_path: Path) -> None:
    it = Going(tmp_path, "locked")
    with Journal(tmp_path) as journal:
        cluster = it.cluster(journal)
        pair = ("fed-node1", "fed-node2")
        assert (await verbs.check(cluster)).code == 0
        assert (await verbs.plan(cluster)).code == 0
        assert (await verbs.verify(cluster)).code == verbs.NOT_PROVEN
        assert (await fix.diagnose(cluster, pair, asyncio.Event())).code == verbs.NOT_PROVEN
        # These do.
        stop = asyncio.Event()
        assert (await fix.diagnose(cluster, pair, stop, approve=approve_all)).code == verbs.LOCKED
        assert (await fix.undo_fix(cluster, (), approve_all, stop)).code == verbs.LOCKED
        assert (await undo.undo_install(cluster, approve_all, stop)).code == verbs.LOCKED


async def test_a_lost_lock_is_had_again_and_the_run_completes(tmp_path: Path) -> None:
    it = Going(tmp_path)
    it.middle = it.cut
    assert (await it.install()).code == 0
    assert it.moved() == [False, True]


async def test_where_somebody_else_was_quicker_nothing_more_is_begun(tmp_path: Path) -> None:
    whole = Going(tmp_path)
    await whole.install()
    it = Going(tmp_path)
    it.middle = it.bob
    result = await it.install()
    assert result.code == verbs.LOCKED
    assert "the cluster's lock was lost, and bob@desk (192.168.122.1) has been" in result.why
    assert result.why.endswith("; the same command continues from here")
    assert it.moved() == [False]
    assert 0 < it.actions() < whole.actions()
    assert it.locks.locked, "Bob's is Bob's"


async def test_where_somebody_else_has_had_it_meanwhile_the_plan_is_old(tmp_path: Path) -> None:
    it = Going(tmp_path)

    def middle() -> None:
        it.bob()
        it.locks.release()

    it.middle = middle
    result = await it.install()
    assert result.code == verbs.LOCKED
    assert "somebody else has acquired it since" in result.why
    assert not it.locks.locked


async def test_a_lock_is_not_sought_for_ever(tmp_path: Path) -> None:
    it = Going(tmp_path, limits=replace(QUICK, patience=0))

    def middle() -> None:
        it.practice.cluster.machines["fed-master"].login_failure = "fed-master does not answer"
        it.cut()

    it.middle = middle
    result = await it.install()
    assert result.code == verbs.LOCKED
    assert "could not be reacquired within 0 s: fed-master does not answer" in result.why


async def test_a_master_that_can_not_be_reached_is_what_is_told(tmp_path: Path) -> None:
    it = Going(tmp_path)
    it.practice.cluster.machines["fed-master"].login_failure = "fed-master does not answer"
    result = await it.install()
    assert (result.code, result.why) == (verbs.UNREACHABLE, "fed-master does not answer")


async def test_an_action_waits_for_the_lock_and_is_not_begun_without() -> None:
    asked = list[int]()

    async def may_begin(_stop: asyncio.Event) -> str:
        asked.append(len(fake.sent))
        return "the lock is gone" if len(asked) > 3 else ""

    fake = Fake()
    fake.ways.may_begin = may_begin
    applied = await apply(make(ANSWERS, BARE), fake.ways, fake.events.append, "r", asyncio.Event())
    assert applied.barred == "the lock is gone"
    assert set(applied.outcomes.values()) <= {"ok", "stopped"}
    assert len(fake.sent) <= 3


async def test_nothing_is_begun_while_it_is_lost(tmp_path: Path) -> None:
    it = Going(tmp_path)
    events, stop = asyncio.Queue[Event](), asyncio.Event()
    lock = Lock("install", "r", "lab", it.practice, "fed-master", events.put_nowait, QUICK)
    async with lock.acquire():
        assert await lock.may_begin(stop) == ""
        it.practice.cluster.machines["fed-master"].login_failure = "fed-master does not answer"
        it.cut()
        lost = await events.get()
        assert isinstance(lost, LockMoved)
        assert not lost.held
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lock.may_begin(stop), 0.05)
        it.practice.cluster.machines["fed-master"].login_failure = ""
        assert await lock.may_begin(stop) == ""
    assert events.get_nowait() == LockMoved(held=True)


async def test_who_stops_a_run_does_not_wait_for_its_lock(tmp_path: Path) -> None:
    it = Going(tmp_path)
    with Journal(tmp_path) as journal:
        cluster = it.cluster(journal)
        lock = Lock("install", "r", "lab", cluster.transport, "fed-master", journal.emit, QUICK)
        stop = asyncio.Event()
        stop.set()
        assert "stopped" in await lock.may_begin(stop)


# Watching.


async def test_who_watches_sees_every_record(tmp_path: Path) -> None:
    it = Going(tmp_path)
    notes, told, begun = list[str](), list[Record](), asyncio.Event()
    it.middle = begun.set
    async with asyncio.TaskGroup() as group:
        installing = group.create_task(it.install())
        await begun.wait()
        followed = await it.watch(notes, told)
    assert installing.result().code == 0
    assert followed.ended == RunEnded("ok", 0)
    assert told == it.records
    assert [note.partition(" ")[0] for note in notes] == [operator()]


async def test_who_watches_loses_nothing_when_the_lock_is_lost(tmp_path: Path) -> None:
    it = Going(tmp_path)
    told = list[Record]()
    it.middle = it.cut
    async with asyncio.TaskGroup() as group:
        group.create_task(it.install())
        await it.again.wait()
        followed = await it.watch([], told)
    assert followed.ended == RunEnded("ok", 0)
    assert told == it.records


async def test_there_is_nothing_to_watch(tmp_path: Path) -> None:
    followed = await Going(tmp_path).watch([], [])
    assert followed == Followed(None, "nobody is changing this cluster")


async def test_a_run_that_was_cut_off_has_no_end(tmp_path: Path) -> None:
    it = Going(tmp_path, limits=replace(QUICK, patience=0))
    it.locks.grant(*BOB)
    notes = list[str]()

    def note(text: str) -> None:
        notes.append(text)
        it.locks.release()

    async with it.practice.connect("fed-master") as session:
        followed = await follow(session, list[Record]().append, note, limits=it.limits, every=0)
    assert followed == Followed(None, "that run was interrupted, and its end is not known")
    assert notes[-1] == "the connection of bob@desk is gone; waiting for it to come back"


HUGE = to_line(Record(0, 1.0, Output("fed-node1", "s", "x" * (3 << 20)))).encode()
STARTED = to_line(Record(0, 1.0, RunEnded("ok", 0))).encode()
LINES: dict[str, tuple[bytes, int, int]] = {
    "a record": (STARTED + b"\n", 1, 0),
    "signs of life": (b"\n\n\n" + STARTED + b"\n\n", 1, 0),
    "not yet whole": (STARTED, 0, 0),
    "garbage": (b"\xff\xfe\x1b[2J\n" + STARTED + b"\n", 1, 1),
    "not a record": (b"{}\n[]\nnull\n" + b"[" * 100_000 + b"\n", 0, 4),
    "of a newer fedwiz": (STARTED.replace(b"RunEnded", b"RunMelted") + b"\n", 0, 1),
    "a record of megabytes": (HUGE + b"\n" + STARTED + b"\n", 1, 1),
    "a megabyte and more": (b"x" * (3 << 20) + b"\n" + STARTED + b"\n", 1, 1),
}


@pytest.mark.parametrize("case", LINES.values(), ids=LINES)
@pytest.mark.parametrize("size", [1000, 1 << 22])
def test_what_was_told_is_read_strictly(size: int, case: tuple[bytes, int, int]) -> None:
    data, wanted, skipped = case
    records = Records()
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    assert sum(len(records.feed(piece)) for piece in pieces) == wanted
    assert records.skipped == skipped


async def test_what_is_kept_for_watchers_is_bounded_and_has_the_end(tmp_path: Path) -> None:
    it = Going(tmp_path)
    at = iter(range(1 << 30))

    def emit(event: Event) -> object:
        return Record(next(at), 1.0, event)

    lock = Lock("install", "r", "lab", it.practice, "fed-master", emit, QUICK)
    async with lock.acquire():
        for _ in range(2 * MAX_FEED_BYTES // 1000):
            lock.emit(Output("fed-node1", "s", "x" * 1000))
        for _ in range(2 * MAX_FEED_BYTES // 1000):
            lock.emit(StepEnded("fed-node1", "s", "ok", "x" * 1000))
        lock.emit(RunEnded("ok", 0))
    seen = it.locks.records
    assert MAX_FEED_BYTES < len(seen) < MAX_FEED_BYTES + 2_000
    told = [from_line(line.decode()).event for line in seen.splitlines()]
    outputs = sum(isinstance(event, Output) for event in told)
    assert outputs / len(told) == pytest.approx(0.5, abs=0.05)
    assert told[-1] == RunEnded("ok", 0)


ENDS = {0: 0, 7: 7, 130: 130, 77: verbs.FAILED, -1: verbs.FAILED, 256: verbs.FAILED}


@pytest.mark.parametrize(("said", "code"), ENDS.items(), ids=str)
def test_watching_ends_as_the_run_does(
    said: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    it = Going(tmp_path)
    it.locks.grant(*BOB)
    started = RunStarted("install", "lab\x1b[2J", ("fed-master",))
    events: tuple[Event, ...] = started, RunEnded("failed", said, "no \x1b]0;room")
    for at, event in enumerate(events):
        it.locks.record(to_line(Record(at, 1.0, event)).encode() + b"\n")

    async def make(_accepted: tuple[str, ...]) -> RunContext:
        return RunContext(it.answers, it.practice, it.practice.open_store, print, "")

    assert watch_on(Namespace(json=False, accept=[]), make) == code
    shown = capsys.readouterr()
    assert "bob@desk (192.168.122.1) has been changing this cluster since" in shown.err
    assert "install of lab began: fed-master" in shown.err
    assert "\x1b" not in shown.err + shown.out
