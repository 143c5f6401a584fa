"""What comes from the operator's side: signals, a terminal that goes, a reader that has gone.

On simulated hosts, so for all stages of an install and all signals; `test_resume.py` has what
comes of `kill -9` at every record, and `tests/lab/faults/test_operator.py` a sample on real hosts.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.geometry import Size
from textual.pilot import Pilot

from fedwiz.cli.options import parser
from fedwiz.cli.results import print_report
from fedwiz.cli.runner import RecordedRun, run, tell
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.actions import Session
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    FactsRead,
    Found,
    Output,
    PlanMade,
    Record,
    RunEnded,
    StepEnded,
    StepStarted,
    Verified,
)
from fedwiz.practice import Practice
from fedwiz.practice.dockerd import DOCKER_UNIT as DOCKER
from fedwiz.runs import journal as journals
from fedwiz.wizard.draft import save
from screens.app import Fedwiz
from tests.local.test_resume import ANSWERS
from tests.support.cli_process import ROOT, Shell, at_a_terminal
from tests.support.host_image import Image, alike
from tests.support.patience import GIVE_UP
from tests.support.pilot import filled, shown, until, wizard

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

# One stop, on simulated hosts that outlive it.

LOCK = "the lock's own connection"


def at(kind: type[Any], **said: str) -> Callable[[object], bool]:
    """The first event of a kind whose fields have these words in them."""
    return lambda moment: (
        isinstance(moment, kind)
        and all(word in getattr(moment, name) for name, word in said.items())
    )


STAGES: dict[str, Callable[[object], bool]] = {
    "connecting": at(Connected),
    "taking the lock": lambda moment: moment == LOCK,
    "reading facts": at(FactsRead),
    "judging them": at(Found),
    "the plan": at(PlanMade),
    "keeping what is there": at(ActionStarted, host="fed-node1", shown="sh keep.sh"),
    "etcd's key": at(ActionStarted, shown="etcdctl put"),
    "a file": at(ActionStarted, host="fed-node1", shown="sh put.sh"),
    "a package": at(Output, host="fed-node1", line="Running transaction"),
    "arming": at(ActionStarted, host="fed-node1", shown="sh arm.sh switch"),
    "the switch": at(Output, host="fed-node1", line="stopping docker"),
    "confirming": at(ActionStarted, host="fed-node1", shown="sh confirm.sh switch"),
    "the last step": at(ActionStarted, host="fed-node1", shown="sh peers.sh"),
    "verifying": at(Verified),
    "its end": at(RunEnded),
}
"""Where an install is stopped."""

IN_FLIGHT = (
    "keeping what is there",
    "a file",
    "a package",
    "arming",
    "the switch",
    "confirming",
    "the last step",
)
"""Where something has been sent to a host, and has not ended."""

STOPS = {
    "Ctrl+C": (INT,),
    "SIGTERM": (TERM,),
    "SIGHUP": (HUP,),
    "SIGHUP of the kernel's and of the shell's": (HUP, HUP),
    "a logout": (HUP, TERM, HUP),
    "a logout, in another order": (TERM, HUP),
}
"""What runs is let end, and nothing new is begun."""

CLOSES = {
    "Ctrl+C twice": (INT, INT),
    "SIGTERM twice": (TERM, TERM),
    "Ctrl+C, and a SIGTERM from elsewhere": (INT, TERM),
    "a logout, and somebody who insists": (HUP, TERM, TERM),
    "Ctrl+C over and over": (INT,) * 5,
}
"""It closes at once."""


def default_cases(ways: Mapping[str, object]) -> set[tuple[str, str]]:
    """The stages and ways that the default tier tries, of all that there are.

    Every stage; and every way both where something is in flight and where nothing is.
    """
    resting = [it for it in STAGES if it not in IN_FLIGHT]
    return {*zip(IN_FLIGHT, cycle(ways)), *zip(resting, cycle(ways))}


def each(ways: Mapping[str, tuple[signal.Signals, ...]]) -> list[Any]:
    """Every stage in every way; the default tier leaves most of it out."""
    some = default_cases(ways)
    return [
        pytest.param(
            stage,
            signals,
            id=f"{stage}-{way}",
            marks=() if (stage, way) in some else pytest.mark.full,
        )
        for stage in STAGES
        for way, signals in ways.items()
    ]


@pytest.mark.parametrize("ways", [STOPS, CLOSES], ids=["stops", "closes"])
def test_the_default_tier_tries_every_stage_and_every_way(ways: Mapping[str, object]) -> None:
    some = default_cases(ways)
    assert {stage for stage, _ in some} == set(STAGES)
    for in_flight in (True, False):
        assert {way for stage, way in some if (stage in IN_FLIGHT) is in_flight} == set(ways)


@dataclass
class Machines(Practice):
    """Simulated hosts at which a signal comes at one moment, and is heard before it has passed."""

    stage: Callable[[object], bool]
    signals: tuple[signal.Signals, ...]
    came: bool = False
    connected: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(ANSWERS, sleep=self.rest)

    def see(self, moment: object) -> None:
        if not self.came and self.stage(moment):
            self.came = True
            for number in self.signals:
                signal.raise_signal(number)

    async def rest(self, _seconds: float) -> None:
        for _ in range(10 if self.came else 1):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        async with super().connect(name) as session:
            self.connected.append(name)
            if len(self.connected) > len(ANSWERS.host):
                self.see(LOCK)
            yield session


def install(machines: Machines) -> tuple[int, tuple[Record, ...]]:
    """`fedwiz install --yes --headless`; its exit code, and its journal."""
    options = parser().parse_args(["install", "--yes", "--headless"])

    async def make(accepted: tuple[str, ...]) -> RunContext:
        return RunContext(ANSWERS, machines, machines.open_store, lambda _: None, "", accepted)

    async def work(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await verbs.install(cluster, approve_all, stop)

    def sink(record: Record) -> None:
        tell(record)
        machines.see(record.event)

    code = print_report(options, *run(work, make, options, recording=RecordedRun(sink)))
    newest = journals.runs()[0]
    return code, journals.read(newest.path)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def unheard() -> Iterator[list[int]]:
    """Signals that nobody heard, which would have ended the process."""
    found = list[int]()
    before = {number: signal.getsignal(number) for number in (INT, TERM, HUP)}
    for number in before:
        signal.signal(number, lambda number, _: found.append(number))
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What the hosts remember after an install that nobody stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("undisturbed")))
        machines = Machines(lambda _: False, ())
        assert install(machines)[0] == 0
        return alike(machines)


def wrong_with(records: tuple[Record, ...]) -> Iterator[str]:
    """What keeps a journal from being complete."""
    open_ones = list[tuple[type[Any], str, str]]()
    for it in records:
        match it.event:
            case ActionStarted(host, step) | StepStarted(host, step):
                open_ones.append((type(it.event), host, step))
            case ActionEnded(host, step):
                open_ones.remove((ActionStarted, host, step))
            case StepEnded(host, step) if (StepStarted, host, step) in open_ones:
                open_ones.remove((StepStarted, host, step))
            case _:
                pass
    yield from (f"{kind.__name__} of {host} {step} has no end" for kind, host, step in open_ones)
    if not isinstance(records[-1].event, RunEnded):
        yield f"the last record is {records[-1]}"


def sound(machines: Machines, records: tuple[Record, ...]) -> None:
    """The journal is whole, the lock is free, and docker runs."""
    assert not list(wrong_with(records))
    assert machines.came
    assert not machines.cluster.locks.locked
    for node in machines.cluster.nodes():
        assert node.running(DOCKER), node.name


def goes_on(machines: Machines, wanted: Image) -> None:
    """The same command once more ends as an install that nobody stopped."""
    code, _ = install(machines)
    assert code == 0
    assert alike(machines) == wanted


@pytest.mark.parametrize(("stage", "signals"), each(STOPS))
def test_what_runs_is_let_end(
    stage: str,
    signals: tuple[signal.Signals, ...],
    undisturbed: Image,
    unheard: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machines = Machines(STAGES[stage], signals)
    code, records = install(machines)
    end = records[-1].event
    assert isinstance(end, RunEnded)
    assert code == end.code == (0 if stage in ("verifying", "its end") else 130)
    if code:
        assert end.outcome == "stopped"
        said = capsys.readouterr().err
        assert said.count("stopping: finishing the running step, starting no other") == 1
        assert said.splitlines()[-1].startswith("fedwiz: stopped b")
    assert not any(getattr(it.event, "outcome", "") == "unknown" for it in records)
    assert not any(node.armed for node in machines.cluster.nodes())
    sound(machines, records)
    goes_on(machines, undisturbed)
    assert not unheard


@pytest.mark.parametrize(("stage", "signals"), each(CLOSES))
def test_it_closes_at_once(
    stage: str,
    signals: tuple[signal.Signals, ...],
    undisturbed: Image,
    unheard: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machines = Machines(STAGES[stage], signals)
    code, records = install(machines)
    end = records[-1].event
    assert isinstance(end, RunEnded)
    if stage != "its end":
        assert (code, end.code, end.outcome) == (130, 130, "stopped")
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith("fedwiz: closed by the operator; the same command continues")
    unknown = [it for it in records if getattr(it.event, "outcome", "") == "unknown"]
    assert unknown or stage not in IN_FLIGHT
    sound(machines, records)
    goes_on(machines, undisturbed)
    assert not unheard


# The wizard, on simulated hosts that outlive it.

WIZARD_STAGES = {"keeping what is there": 0.5, "a package": 5.0, "the switch": 2.0}
"""Where the wizard's install is stopped: by the seconds that only this takes, so far."""


@dataclass
class Watched:
    """What a wizard's simulated hosts do instead of taking their time: they see how far it is."""

    app: Fedwiz
    when: float
    do: Callable[[Fedwiz], object]
    came: bool = False

    async def rest(self, seconds: float) -> None:
        if not self.came and seconds == self.when:
            self.came = True
            self.do(self.app)
        for _ in range(10 if self.came else 1):
            await asyncio.sleep(0)


@asynccontextmanager
async def installing(stage: str, do: Callable[[Fedwiz], object]) -> AsyncIterator[Pilot[int]]:
    """The page Install, and what is done once it is that far."""
    draft = filled("install", size=3)
    app, answers = wizard(draft), draft.answers()
    assert app.inventory is not None
    app.inventory.approved = answers, planning.make(answers, await app.inventory.read(answers))
    cluster = machines(app).cluster
    cluster.pace, cluster.sleep = 1.0, Watched(app, WIZARD_STAGES[stage], do).rest
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        yield pilot


def machines(app: Fedwiz) -> Practice:
    """The wizard's simulated hosts."""
    site: Any = app.inventory
    there: Practice = site._practice  # noqa: SLF001
    return there


def raising(*signals: signal.Signals) -> Callable[[Fedwiz], None]:
    def do(_app: Fedwiz) -> None:
        for number in signals:
            signal.raise_signal(number)

    return do


def pressing_twice(app: Fedwiz) -> None:
    app.action_interrupt()
    app.action_interrupt()


WIZARD_ENDS: dict[str, tuple[Callable[[Fedwiz], None], str]] = {
    **{
        name: (raising(*signals), "stopped by the operator")
        for name, signals in STOPS.items()
        if name != "Ctrl+C"
    },
    **{name: (raising(*signals), "closed by the operator") for name, signals in CLOSES.items()},
    "Ctrl+C, the key, twice": (pressing_twice, "closed by the operator"),
}
"""How the wizard is ended, and why its run has then ended."""


SEEN = ("SIGTERM", "a logout", "Ctrl+C twice", "Ctrl+C, the key, twice")
"""Those that the default tier tries at the switch; elsewhere it tries one of each end."""


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        pytest.param("the switch", name, marks=() if name in SEEN else pytest.mark.full)
        for name in WIZARD_ENDS
    ]
    + [
        ("keeping what is there", "SIGHUP"),
        ("a package", "Ctrl+C, the key, twice"),
        pytest.param("keeping what is there", "Ctrl+C, the key, twice", marks=pytest.mark.full),
        pytest.param("a package", "SIGHUP", marks=pytest.mark.full),
    ],
)
async def test_the_wizard_ends_as_the_command_line_does(
    stage: str, name: str, unheard: list[int]
) -> None:
    do, why = WIZARD_ENDS[name]
    async with installing(stage, do) as pilot:
        await until(pilot, lambda: pilot.app.return_value is not None)
    assert pilot.app.return_value == 130
    (before,) = journals.runs()
    records = journals.read(before.path)
    end = records[-1].event
    assert isinstance(end, RunEnded)
    assert (end.outcome, end.code) == ("stopped", 130)
    assert end.why.startswith(why)
    assert not list(wrong_with(records))
    app: Any = pilot.app
    there = machines(app)
    assert not there.cluster.locks.locked
    assert all(node.running(DOCKER) for node in there.cluster.nodes())
    assert why.startswith("closed") or not any(it.armed for it in there.cluster.nodes())
    there.cluster.pace, there.cluster.sleep = 0.0, asyncio.sleep
    cluster = RunContext(
        app.inventory.approved[0], there, there.open_store, lambda _: None, "again"
    )
    assert (await verbs.install(cluster, approve_all, asyncio.Event())).code == 0
    assert not unheard


SIZES = ((1, 1), (1, 24), (80, 1), (500, 200), (1, 1), (20, 5))
"""What a terminal is made in the middle of an install, before it is 80x24 again."""


async def test_a_wizard_of_any_size_installs_and_looks_afterwards_as_before() -> None:
    """Resized at one moment, then at rest: its looks are those of before."""
    sizes = list(SIZES)

    def resize(app: Fedwiz) -> None:
        for width, height in sizes:
            size = Size(width, height)
            app.post_message(events.Resize(size, size))

    async with installing("the switch", resize) as pilot:
        await until(pilot, lambda: pilot.app.size == sizes[-1])
        await pilot.resize_terminal(80, 24)
        app: Any = pilot.app
        await until(pilot, lambda: "the network is verified" in " ".join(shown(app).split()))
        before = shown(app)
        for width, height in sizes:
            await pilot.resize_terminal(width, height)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: shown(app) == before)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "all 2 pairs of nodes ping" in " ".join(shown(app).split()))


# At a terminal, and in a pipe: what is left of it there.


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".local/state"))  # where the shell's is
    return Shell(tmp_path)


DEMO = ("demo", "--hosts", "3", "--pace")
INSTALLS = ("demo", "install", "--hosts", "3", "--pace")
QUESTION = "Type practice to do all this: "
PACKAGE = "Running transaction"
SLOWLY = "0.2"
"""A pace at which a signal comes to a run that has long not ended."""
ON_PAGE = "F1"
SCREEN = "\x1b[?1049h"
RESIZES = "\x1b[?2048$p", "\x1b[?2048;2$y"
"""A terminal is asked whether it tells of its size in band; kitty's and others' answer: it does."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """A command that is left at a terminal."""

    words: tuple[str, ...]
    until: tuple[str, ...]
    """What it shows, and after each what is typed; `page`s of a wizard are opened at once."""

    typed: tuple[str, ...] = ()
    signals: tuple[signal.Signals, ...] = ()
    code: int = 130
    says: str = "fedwiz: closed by the operator; the same command continues from here"
    page: str = ""
    """The page that the wizard was left on before."""

    full: bool = False
    """It is like one before it, by another signal: the default tier leaves it out."""


WHY = "nothing was changed"
ANSWERED = ("check", "-a", "a.toml", "--set", "ssh.user=me", "--set", "ssh.sudo=ask")
REVIEWED = ("Nothing is changed before you", "Containers will stop", "Running transaction")
APPROVED = ("\x0e", "practice\r")
AT_TERMINAL: dict[str, Left] = {
    "the question: SIGTERM": Left(words=(*INSTALLS, "0"), until=(QUESTION,), signals=(TERM,)),
    "the question: SIGHUP": Left(
        words=(*INSTALLS, "0"),
        until=(QUESTION,),
        signals=(HUP,),
        full=True,
    ),
    "the question: the input's end": Left(
        words=(*INSTALLS, "0"),
        until=(QUESTION,),
        typed=("\x04",),
        code=2,
        says=WHY,
    ),
    "a password: Ctrl+C": Left(words=ANSWERED, until=("sudo password of me: ",), typed=("\x03",)),
    "a password: SIGTERM": Left(
        words=ANSWERED,
        until=("sudo password of me: ",),
        signals=(TERM,),
        full=True,
    ),
    "a package: Ctrl+C": Left(
        words=(*INSTALLS, SLOWLY, "--yes"),
        until=(PACKAGE,),
        typed=("\x03",),
        says="fedwiz: stopped by the operator; the same command continues from here",
    ),
    "prompts in lines: SIGTERM": Left(
        words=(*DEMO, "0", "--plain"),
        until=("called? [",),
        signals=(TERM,),
    ),
    "the wizard, as it takes the screen: SIGTERM": Left(
        words=(*DEMO, "0"),
        until=(SCREEN,),
        signals=(TERM,),
    ),
    "the wizard, as it takes the screen: SIGHUP": Left(
        words=(*DEMO, "0"),
        until=(SCREEN,),
        signals=(HUP,),
        full=True,
    ),
    "the wizard on a page: SIGINT": Left(words=(*DEMO, "0"), until=(ON_PAGE,), signals=(INT,)),
    "the wizard where sizes are told in band: SIGTERM": Left(
        words=(*DEMO, "0"),
        until=(RESIZES[0], "\x1b[?1016h"),
        typed=(RESIZES[1],),
        signals=(TERM,),
    ),
    "the wizard while a package comes: Ctrl+C twice": Left(
        words=(*DEMO, SLOWLY),
        page="review",
        until=REVIEWED,
        typed=(*APPROVED, "\x03\x03"),
    ),
    "the wizard while a package comes: SIGHUP": Left(
        words=(*DEMO, SLOWLY),
        page="review",
        until=REVIEWED,
        typed=APPROVED,
        signals=(HUP,),
        full=True,
    ),
}


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(it, id=name, marks=pytest.mark.full if it.full else ())
        for name, it in AT_TERMINAL.items()
    ],
)
def test_a_terminal_is_left_as_it_was(left: Left, shell: Shell) -> None:
    text = (ROOT / "tests/answers/minimal.toml").read_text()
    (shell.home / "a.toml").write_text(text)
    if left.page:
        save(filled(left.page, size=3))
    with at_a_terminal(shell, *left.words) as terminal:
        for at, wanted in enumerate(left.until):
            terminal.until(wanted)
            terminal.type("".join(left.typed[at : at + 1]))
        for number in left.signals:
            terminal.running.send_signal(number)
        assert terminal.end() == left.code
        assert terminal.not_restored() == []
        for word in ("Traceback", "its end is not recorded"):
            assert word not in terminal.seen
        assert left.says in terminal.seen.splitlines()[-1]
        assert not in_session(terminal.running.pid)
    for it in journals.runs():
        assert not list(wrong_with(journals.read(it.path)))


def in_session(leader: int) -> list[str]:
    """The processes of a session, by their ids."""
    found = list[str]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            *_, after = path.read_text().rpartition(")")
            if after.split()[3] == str(leader):
                found.append(path.parent.name)
    return found


def outcome(shell: Shell) -> tuple[str, str]:
    """How the one run that was begun has ended, and why; its journal is whole."""
    (only,) = journals.runs()
    records = journals.read(only.path)
    assert not list(wrong_with(records))
    end = records[-1].event
    assert isinstance(end, RunEnded)
    return end.outcome, end.why


def test_a_terminal_that_closes_lets_what_runs_end(shell: Shell) -> None:
    """The kernel sends SIGHUP, and nothing can be written or read any more."""
    with at_a_terminal(shell, *INSTALLS, SLOWLY, "--yes") as terminal:
        terminal.until(PACKAGE)
        terminal.hang_up()
        assert terminal.running.wait(GIVE_UP) == 130
        assert not in_session(terminal.running.pid)
    assert outcome(shell) == (
        "stopped",
        "stopped by the operator; the same command continues from here",
    )


IGNORED: dict[str, tuple[signal.Signals, bool]] = {
    "nohup, and the terminal closes": (HUP, True),
    "nohup, and a SIGHUP": (HUP, False),
    "a script's background, and Ctrl+C": (INT, False),
}


@pytest.mark.parametrize(("number", "closes"), IGNORED.values(), ids=IGNORED)
def test_what_was_to_be_ignored_is(number: signal.Signals, closes: bool, shell: Shell) -> None:
    with at_a_terminal(shell, *INSTALLS, "0.05", "--yes", ignored=[number]) as terminal:
        terminal.until(PACKAGE)
        if closes:
            terminal.hang_up()
        terminal.running.send_signal(number)
        if not closes:
            terminal.end()
        assert terminal.running.wait(GIVE_UP) == 0
    assert outcome(shell) == ("ok", "")


def test_a_question_at_a_terminal_that_has_gone_is_one_that_nobody_answers(shell: Shell) -> None:
    """Without a signal: it is ignored."""
    with at_a_terminal(shell, *INSTALLS, "0", ignored=[HUP]) as terminal:
        terminal.until(QUESTION)
        terminal.hang_up()
        assert terminal.running.wait(GIVE_UP) == 2
    assert outcome(shell) == ("failed", "not approved; nothing was changed")


def begun(shell: Shell, *words: str, before: Callable[[], object] | None = None) -> Any:  # noqa: ANN401 - of bytes or of text
    """A command in a pipe, which says on stderr what it does."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "fedwiz", *words],
        env=shell.environ(),
        text=True,
        cwd=shell.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )


def test_a_reader_that_goes_in_the_middle_stops_nothing(shell: Shell) -> None:
    """`fedwiz install 2>&1 | head`: what it would have read is in the journal."""
    with begun(shell, *INSTALLS, "0.05", "--yes") as running:
        assert any(PACKAGE in line for line in running.stderr)
        running.stderr.close()
        running.stdout.close()
        assert running.wait(GIVE_UP) == 0
    assert outcome(shell) == ("ok", "")


CLOSED = {"input": (0,), "output": (1,), "errors": (2,), "all": (0, 1, 2)}


@pytest.mark.parametrize("numbers", CLOSED.values(), ids=CLOSED)
def test_streams_that_are_closed_from_the_beginning_stop_nothing(
    numbers: tuple[int, ...], shell: Shell
) -> None:
    def close() -> None:
        for number in numbers:
            os.close(number)

    with begun(shell, *INSTALLS, "0", "--yes", before=close) as running:
        out, err = running.communicate(timeout=GIVE_UP)
    assert running.returncode == 0, err
    assert outcome(shell) == ("ok", "")
    assert bool(out) == (1 not in numbers)
    assert bool(err) == (2 not in numbers)


WHILE_LOADING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["AT"]:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("module", ["fedwiz.cli", "pydantic", "fedwiz.practice"])
def test_ctrl_c_while_modules_are_loaded_ends_without_a_word(module: str, shell: Shell) -> None:
    (shell.home / "sitecustomize.py").write_text(WHILE_LOADING)
    environ = {"PYTHONPATH": f"{shell.home}:{ROOT}", "AT": module, "SIGNAL": str(int(INT))}
    with at_a_terminal(shell, *INSTALLS, "0", "--yes", environ=environ, started=True) as terminal:
        assert terminal.end() == -INT, "a shell says 130"
        assert terminal.seen == ""
    assert journals.runs() == ()


def test_a_wizard_that_is_resized_at_its_terminal_goes_on(shell: Shell) -> None:
    save(filled("review", size=3))
    with at_a_terminal(shell, *DEMO, "0.05") as terminal:
        for wanted, typed in zip(REVIEWED, (*APPROVED, ""), strict=True):
            terminal.until(wanted)
            terminal.type(typed)
        for width, height in (*SIZES, (80, 24)):
            terminal.resize(width, height)
        terminal.until("the network is verified")
        for width, height in SIZES:
            terminal.resize(width, height)
        terminal.until("80x24")
        terminal.resize(80, 24)
        terminal.until("the network is verified")
        terminal.leave_wizard()
    assert outcome(shell) == ("ok", "")
