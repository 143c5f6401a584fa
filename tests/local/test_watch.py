"""Verifications as a command: in part, again and again, as a file, held against the last."""

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fedwiz.answers.file import Answers
from fedwiz.cli.watch_verify import recent_rounds
from fedwiz.engine import verbs
from fedwiz.model.actions import Session, Store, UnreachableError
from fedwiz.model.events import (
    Connected,
    Event,
    HostLost,
    Judged,
    Record,
    RoundEnded,
    RoundStarted,
    RunEnded,
)
from fedwiz.practice import Practice, practice_answers
from fedwiz.report import FORMS
from fedwiz.runs.journal import read
from fedwiz.runs.rounds import Levels, Rounds
from fedwiz.runs.state import State
from tests.support.cli_process import Shell, at_a_terminal
from tests.support.patience import GIVE_UP


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def journal(shell: Shell) -> Path:
    """The last run's; ids of one second are in no order."""
    found = (shell.home / ".local/state/fedwiz/runs").glob("*.jsonl")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


# Some of it.


def test_only_what_was_named_is_verified(shell: Shell) -> None:
    said = shell.demo("verify", "--only", "lease,subnet_env", "--only", "peer", "--json")
    assert said.code == 0
    assert {it["kind"] for it in said.json["verdicts"]} == {"lease", "subnet_env", "peer"}
    assert "no pair was pinged" in said.json["headline"]
    assert "ping " not in said.json["headline"].replace("was pinged", "")


def test_what_fails_outside_of_what_was_named_does_not_count(shell: Shell) -> None:
    fault = ("--fault", "forward-drop")
    assert shell.demo("verify", *fault).code == 7
    assert shell.demo("verify", *fault, "--only", "lease").code == 0
    assert shell.demo("verify", *fault, "--only", "ping").code == 7


def test_a_pair_alone(shell: Shell) -> None:
    said = shell.fedwiz("demo", "verify", "--pace", "0", "--pair", "fed-node2, fed-node1", "--json")
    assert said.code == 0
    pairs = {(it["host"], it["peer"]) for it in said.json["verdicts"] if it["kind"] == "ping"}
    assert pairs == {("fed-node1", "fed-node2"), ("fed-node2", "fed-node1")}
    assert said.json["headline"].endswith("2 of 6 pairs of nodes were tried, and ping")


# Again and again.

ROUND = re.compile(r"\d\d:\d\d:\d\d  round (\d+): (.+)")


def test_in_a_pipe_each_round_is_a_line_and_then_comes_the_report(shell: Shell) -> None:
    said = shell.demo("verify", "--watch", "0", "--count", "3")
    assert said.code == 0
    lines = said.out.splitlines()
    found = [ROUND.fullmatch(line) for line in lines[:3]]
    assert [it and it.groups() for it in found] == [
        (number, "all 2 pairs of nodes ping") for number in "123"
    ]
    assert lines[3] == ""
    assert lines[4].startswith("Practice cluster practice (healthy): all 2 pairs")
    assert " connected\n" in said.err
    assert "pass: " not in said.err, "verdicts are told by rounds alone"


def test_one_journal_holds_the_rounds_and_its_state_is_that_of_the_last(shell: Shell) -> None:
    assert shell.demo("verify", "--watch", "0", "--count", "3").code == 0
    records = read(journal(shell))
    events = [it.event for it in records]
    begun = [it.round for it in events if isinstance(it, RoundStarted)]
    assert begun == [it.round for it in events if isinstance(it, RoundEnded)] == [1, 2, 3]
    state = State.of(records)
    pings = [(it.host, it.peer) for it in state.verdicts if it.kind == "ping"]
    assert len(pings) == len(set(pings)) == 2
    assert (state.rounds, state.code) == (3, 0)
    assert sum(isinstance(it, Connected) for it in events) == 3, "over the same sessions"
    history = Rounds()
    for record in records:
        history.apply(record)
    assert set(history.pairs().values()) == {("pass",) * 3}


def test_a_round_that_fails_is_the_exit_status(shell: Shell) -> None:
    said = shell.fedwiz(
        "demo",
        "verify",
        "--pace",
        "0",
        "--fault",
        "forward-drop",
        "--watch",
        "0",
        "--count",
        "2",
        "--json",
    )
    assert said.code == 7
    assert said.json["rounds"] == 2
    assert [it.groups()[0] for it in map(ROUND.fullmatch, said.err.splitlines()) if it] == [
        "1",
        "2",
    ]
    [end] = [it.event for it in read(journal(shell)) if isinstance(it.event, RunEnded)]
    assert (end.outcome, end.code) == ("failed", 7)


def test_ctrl_c_lets_the_round_end_and_its_result_counts(shell: Shell) -> None:
    argv = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "fedwiz",
        "demo",
        "verify",
        "--pace",
        "0",
        "--watch",
        "600",
    ]
    with subprocess.Popen(
        argv, env=shell.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert "round 1" in running.stdout.readline()
        running.send_signal(2)
        out, err = running.communicate(timeout=GIVE_UP)
    assert running.returncode == 0
    assert "all 6 pairs of nodes ping" in out
    assert "Traceback" not in err
    assert isinstance(read(journal(shell))[-1].event, RunEnded)


def test_a_terminal_is_redrawn_with_the_last_rounds_of_each_pair(shell: Shell) -> None:
    words = (
        "demo",
        "verify",
        "--pace",
        "0",
        "--fault",
        "forward-drop",
        "--watch",
        "0",
        "--count",
        "3",
    )
    with at_a_terminal(shell, *words) as terminal:
        assert terminal.end() == 7
    frames = terminal.seen.split("\x1b[H")[1:]
    assert len(frames) == 3
    last = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", frames[-1]).replace("\r", "")
    assert "practice (practice), round 3, " in last
    assert "Pings between containers: 2 of 6 pairs" in last
    assert "XXX  fed-node1 -> fed-node2" in frames[-1] or "lines more" in frames[-1]
    for frame in frames[:2]:
        assert frame.count("\n") <= 23, "no higher than the terminal"


def test_a_terminal_of_lines_gets_lines(shell: Shell) -> None:
    with at_a_terminal(
        shell,
        "demo",
        "verify",
        "--pace",
        "0",
        "--watch",
        "0",
        "--count",
        "2",
        environ={"TERM": "dumb"},
    ) as terminal:
        assert terminal.end() == 0
    assert "\x1b" not in terminal.seen
    assert "round 2: all 6 pairs" in terminal.seen


def test_of_many_pairs_the_worst_are_drawn_and_the_others_counted() -> None:
    good: Levels = ("pass", "pass", "pass")
    names = [f"n{number}" for number in range(1, 10)]
    pairs = {(one, other): good for one in names for other in names if one != other}
    assert list(recent_rounds(pairs, 3))[1:] == ["         +++  72 pairs"]
    pairs["n1", "n2"], pairs["n2", "n1"] = ("pass", None, "skipped"), ("fail", "fail", "pass")
    pairs["n3", "n1"] = ("pass", "fail", "pass")
    assert list(recent_rounds(pairs, 3)) == [
        "The last 3 rounds, the newest at the right",
        "         +?-  n1 -> n2",
        "         XX+  n2 -> n1",
        "         +X+  n3 -> n1",
        "         +++  69 pairs",
    ]
    bad: Levels = ("fail",)
    drawn = list(recent_rounds(dict.fromkeys(pairs, bad), 1))
    assert (len(drawn), drawn[-1]) == (22, "  and 52 pairs more that did not ping in each")


# As a file.


@pytest.mark.parametrize(
    "form", [pytest.param(it, marks=() if it == ".html" else pytest.mark.full) for it in FORMS]
)
def test_a_report_is_written_also_when_it_is_red(form: str, shell: Shell) -> None:
    said = shell.fedwiz(
        "demo",
        "verify",
        "--pace",
        "0",
        "--fault",
        "forward-drop",
        "--report",
        f"said{form.upper()}",
    )
    assert said.code == 7
    path = shell.home / f"said{form.upper()}"
    text = path.read_text()
    assert "4 of 6 pairs do not ping" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    assert [it.name for it in shell.home.iterdir() if it.name != ".local"] == [path.name]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_json_of_a_report_is_that_of_stdout(shell: Shell) -> None:
    said = shell.demo("verify", "--json", "--report", "x.json")
    assert json.loads((shell.home / "x.json").read_text()) == said.json


@pytest.mark.parametrize(
    ("words", "code", "suites"),
    [
        (("check", "--fault", "overlap"), 3, {"run", "findings"}),
        (("install", "--yes"), 0, {"run", "findings", "hosts", "ping"}),
        (("install", "--yes", "--fault", "docker-refuses"), 5, {"run", "findings", "hosts"}),
    ],
)
def test_check_and_install_have_reports(
    words: tuple[str, ...], code: int, suites: set[str], shell: Shell
) -> None:
    (shell.home / "r.xml").write_text("an older one")
    said = shell.demo(*words, "--report", "r.xml")
    assert said.code == code
    root = ET.parse(shell.home / "r.xml").getroot()  # noqa: S314 - our own
    assert {it.get("name") for it in root} >= suites
    assert bool(int(root.get("failures", ""))) == bool(code)


# Held against the last.


def test_a_later_verification_says_what_changed(shell: Shell) -> None:
    first = shell.demo("verify", "--json")
    assert first.json["since"] is None
    run = first.json["run"]
    again = shell.demo("verify")
    assert re.search(rf"^Since \S+ \S+ \(run {run}\): nothing changed$", again.out, re.MULTILINE)

    moved = shell.demo("verify", "--set", "network.cidr=10.99.0.0/16", "--report", "x.html")
    lines = moved.out.splitlines()
    assert lines[2].startswith("Since ")
    assert any("FLANNEL" not in it and "network was 10.16.0.0/16" in it for it in lines[3:8])
    assert "network was 10.16.0.0/16, is 10.99.0.0/16" in (shell.home / "x.html").read_text()
    # A part that has no subnets is not held against them, and does not count as the last one.
    part = shell.demo("verify", "--only", "ping", "--json")
    assert part.json["since"]["changes"] == []
    back = shell.demo("verify", "--json")
    assert {it["what"] for it in back.json["since"]["changes"]} == {"subnet", "network"}


def test_a_replay_says_what_the_run_said(shell: Shell) -> None:
    shell.demo("verify")
    later = shell.demo("verify", "--set", "network.cidr=10.99.0.0/16")
    run = journal(shell).stem
    shell.demo("verify")
    assert shell.fedwiz("replay", run).out == later.out


def test_an_install_is_held_against_too(shell: Shell) -> None:
    done = shell.demo("install", "--yes", "--json")
    said = shell.demo("verify", "--json")
    assert said.json["since"]["run"] == done.json["run"]


# The loop itself, on simulated hosts.


class Faltering:
    """Ways to simulated hosts, one of which is not there at first; and to etcd, counted."""

    def __init__(self, machines: Practice, gone: str) -> None:
        self._machines = machines
        self._gone = gone
        self.ways = 0
        self.most_ways = 0

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        if name == self._gone:
            self._gone = ""
            raise UnreachableError("no route to host")
        async with self._machines.connect(name) as session:
            yield session

    @asynccontextmanager
    async def open_store(self, session: Session, api: str) -> AsyncIterator[Store]:
        self.ways += 1
        self.most_ways = max(self.most_ways, self.ways)
        try:
            async with self._machines.open_store(session, api) as store:
                yield store
        finally:
            self.ways -= 1


async def watched(
    faltering: Faltering, answers: Answers, tell: Callable[[Event], object], stop: asyncio.Event
) -> tuple[verbs.Result, list[Event]]:
    said = list[Event]()

    def emit(event: Event) -> None:
        said.append(event)
        tell(event)

    cluster = verbs.RunContext(answers, faltering, faltering.open_store, emit, "run")
    return await verbs.watch(cluster, 0, stop, count=3, only=("lease", "ping")), said


async def test_a_host_that_was_lost_is_sought_again_before_the_next_round() -> None:
    answers = practice_answers(4, [], "")
    faltering = Faltering(Practice(answers, "", 0, installed=True), "fed-node2")
    result, said = await watched(faltering, answers, lambda _: None, asyncio.Event())
    assert [it.code for it in said if isinstance(it, RoundEnded)] == [verbs.NOT_PROVEN, 0, 0]
    assert result.code == verbs.OK
    assert [it.host for it in said if isinstance(it, HostLost)] == ["fed-node2"]
    assert sum(isinstance(it, Connected) for it in said) == 4
    assert (faltering.ways, faltering.most_ways) == (0, 1), "no way to etcd outlives its round"
    history = Rounds()
    for number, event in enumerate(said):
        history.apply(Record(number, 0, event))
    levels: tuple[Judged, ...] = ("fail", "pass", "pass")
    assert history.pairs()["fed-node1", "fed-node2"] == levels
    assert history.pairs()["fed-node1", "fed-node3"] == ("pass",) * 3


async def test_a_round_that_has_begun_is_the_last_once_it_is_stopped() -> None:
    answers = practice_answers(3, [], "")
    stop = asyncio.Event()

    def press(event: Event) -> None:
        if event == RoundStarted(2):
            stop.set()

    faltering = Faltering(Practice(answers, "", 0, installed=True), "")
    result, said = await watched(faltering, answers, press, stop)
    assert [it.round for it in said if isinstance(it, RoundEnded)] == [1, 2]
    assert (result.code, said[-1]) == (verbs.OK, RunEnded("ok", 0))
