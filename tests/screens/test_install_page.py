"""The page Install: fed by records, live or recorded; stopped, tried again, taken up again."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fedwiz.answers.file import load, repeat
from fedwiz.engine import plan as planning
from fedwiz.engine.plan import Plan
from fedwiz.model.actions import Session
from fedwiz.model.events import Event, Output, Record, RunStarted, to_line
from fedwiz.practice import Practice
from fedwiz.practice.machine import Cluster
from fedwiz.runs.journal import read, runs, runs_path
from fedwiz.runs.state import State
from fedwiz.wizard.draft import Draft, load_saved
from fedwiz.wizard.inventory import Inventory
from screens.app import Fedwiz, Play
from screens.dialogs.basic import Confirm
from screens.dialogs.dialog import Help
from screens.pages.flow import FLOW
from screens.pages.install import InstallPage
from screens.pages.run_page import REFRESH_SECONDS, PlayPage, RunPage
from screens.pages.welcome import WelcomePage
from screens.widgets.host_panes import Pane
from screens.widgets.host_progress import HostProgress
from screens.widgets.log_view import Line, LogLines, LogScreen, of_file, of_host
from screens.widgets.log_view import lines as log_lines
from tests.support.frozen_time import cluster_of, freeze, thaw
from tests.support.line_count import lines
from tests.support.pilot import (
    SIZES,
    SMALL,
    filled,
    on,
    opened,
    resize,
    shown,
    still,
    type_in,
    until,
    wizard,
)
from tests.support.sample_runs import BEGAN, RECORDED, WHOLE, recorded, records

ReviewPage, VerifyPage = FLOW["review"], FLOW["verify"]

pytestmark = pytest.mark.usefixtures("state_in_utc")


def draft_of(fault: str = "healthy", size: int = 4) -> Draft:
    return filled("install", fault, size)


def from_flannel_on(cluster: Cluster) -> bool:
    """Flannel is on the first node."""
    return "flannel" in cluster.machines["fed-node1"].packages


@asynccontextmanager
async def installing(
    draft: Draft,
    size: tuple[int, int] = (80, 24),
    plan: Plan | None = None,
    frozen: Callable[[Cluster], bool] | None = None,
) -> AsyncIterator[Pilot[int]]:
    """The page Install, whose plan the operator has just approved.

    Args:
        draft: what was said.
        size: of the terminal.
        plan: another one than there is.
        frozen: whether simulated time stands still from now on.
    """
    app = wizard(draft)
    answers = draft.answers()
    assert app.inventory is not None
    made = planning.make(answers, await app.inventory.read(answers))
    app.inventory.approved = answers, made if plan is None else plan
    if frozen is not None:
        freeze(app, lambda: frozen(cluster_of(app)))
    async with app.run_test(size=size, notifications=True) as pilot:
        await on(pilot, InstallPage)
        yield pilot


def page_of(pilot: Pilot[int]) -> RunPage:
    page = next(it for it in pilot.app.screen_stack if isinstance(it, RunPage))
    assert isinstance(page, RunPage)
    return page


async def ended(pilot: Pilot[int]) -> None:
    """Wait for the page to have shown the run's end."""
    page = page_of(pilot)
    await until(pilot, lambda: page.shown_end)


async def left(pilot: Pilot[int]) -> None:
    """Wait for the app's end."""
    await until(pilot, lambda: pilot.app.return_value is not None)


def words(pilot: Pilot[int]) -> dict[str, str]:
    return {host.name: host.word for host in page_of(pilot).state.hosts.values()}


def said(pilot: Pilot[int]) -> str:
    """What is said above the keys, in one line."""
    return " ".join(str(pilot.app.screen.query_one("#said").render()).split())


def footer(pilot: Pilot[int]) -> str:
    return shown(pilot.app).splitlines()[-1]


def journal_of(pilot: Pilot[int]) -> Path:
    draft = load_saved(page_of(pilot).draft.practice)
    assert draft is not None
    return runs_path() / f"{draft.run}.jsonl"


def take_up(name: str, until: int | None = None) -> Draft:
    """A draft whose run was recorded, up to a record."""
    runs_path().mkdir(parents=True)
    lines = (RECORDED / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
    (runs_path() / "20261122-230612-abcd.jsonl").write_bytes(b"".join(lines[:until]))
    return replace(draft_of(), run="20261122-230612-abcd")


# A run of now.


async def test_an_approved_install_is_done_when_its_last_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not when the journal ends: whoever is told to press Ctrl+N is not to be told to wait."""
    closed, connect = asyncio.Event(), Practice.connect

    @asynccontextmanager
    async def lingering(self: Practice, name: str) -> AsyncIterator[Session]:
        async with connect(self, name) as session:
            yield session
            if any(run.outcome == "ok" for run in runs()):
                await closed.wait()

    monkeypatch.setattr(Practice, "connect", lingering)
    async with installing(draft_of()) as pilot:
        await until(pilot, lambda: page_of(pilot).state.outcome)
        await pilot.pause(2 * REFRESH_SECONDS)
        assert "the network is verified" not in said(pilot)
        await pilot.press("ctrl+n")
        assert "The install is running" in said(pilot)
        closed.set()
        await ended(pilot)
        assert "the network is verified" in said(pilot)
        assert set(words(pilot).values()) == {"done"}
        app: Any = pilot.app
        assert app.code == 0
        assert app.state is page_of(pilot).state
        assert app.state.verdicts
        await pilot.press("ctrl+n")
        await on(pilot, VerifyPage)
        assert app.state.verdicts


async def test_while_it_runs_it_is_kept_and_neither_keys_nor_a_small_terminal_end_it() -> None:
    draft = draft_of()
    draft = replace(draft, said={**draft.said, "wizard": {"ask": ["network"]}})
    async with installing(draft, frozen=from_flannel_on) as pilot:
        await until(pilot, lambda: page_of(pilot).state.hosts)
        path = journal_of(pilot)
        assert path.stem == page_of(pilot).draft.run
        assert path.is_file()
        file = path.with_suffix(".toml")
        assert file.stat().st_mode & 0o777 == 0o600
        assert not load(file).wizard.ask
        assert repeat(draft.answers()) == file.read_text()
        await until(pilot, lambda: page_of(pilot).state.done)
        for key in ("escape", "ctrl+n"):
            await pilot.press(key)
            assert "The install is running" in said(pilot)
        await pilot.press("r")
        assert isinstance(pilot.app.screen, InstallPage)
        assert "Try again" not in footer(pilot)
        await pilot.press("ctrl+q")
        await on(pilot, Help)
        assert "The install is running" in shown(pilot.app)
        await pilot.press("escape")
        await resize(pilot, 20, 5)
        assert "fedwiz needs 80x24" in " ".join(shown(pilot.app).split())
        thaw(pilot.app)
        await ended(pilot)
        await resize(pilot, 120, 40)
        await until(pilot, lambda: "fed-node3" in shown(pilot.app))
        assert "the network is verified" in said(pilot)
        await pilot.press("escape")
        await on(pilot, ReviewPage)


async def test_a_failed_host_says_why_and_what_is_left_is_tried_again() -> None:
    async with installing(draft_of("docker-refuses"), (120, 40)) as pilot:
        await ended(pilot)
        assert words(pilot)["fed-node2"] == "failed"
        assert words(pilot)["fed-node1"] == "stopped"
        text = " ".join(shown(pilot.app).split())
        assert "X failed" in text
        assert "docker did not start on flannel's subnet" in text
        assert "1 of 4 hosts failed: r tries again." in said(pilot)
        assert "the same command" not in text
        app: Any = pilot.app
        assert app.code == 5
        red = [pane for pane in pilot.app.screen.query(Pane) if pane.has_class("-red")]
        assert [pane.host and pane.host.name for pane in red] == ["fed-node2"]
        first, before = journal_of(pilot), page_of(pilot).state
        assert "Try again" in footer(pilot)
        await pilot.press("ctrl+n")
        assert "r tries again" in said(pilot)
        app.inventory._practice.cluster.machines["fed-node2"].refuses_bip = False  # noqa: SLF001
        await pilot.press("r")
        await until(pilot, lambda: page_of(pilot).state is not before)
        await ended(pilot)
        assert journal_of(pilot) != first
        assert page_of(pilot).state.planned < before.planned


async def test_a_plan_that_has_changed_is_not_carried_out() -> None:
    draft = draft_of()
    async with installing(draft, plan=Plan((), ())) as pilot:
        await ended(pilot)
        assert "the plan has changed since you approved it" in said(pilot)
        assert "Nothing was changed" in said(pilot)
        app: Any = pilot.app
        assert app.code == 9
        assert not page_of(pilot).state.done
        await pilot.press("ctrl+n")
        await on(pilot, ReviewPage)


async def test_what_is_left_is_another_plan_so_it_is_to_be_seen_again() -> None:
    async with installing(draft_of("docker-refuses")) as pilot:
        await ended(pilot)
        app: Any = pilot.app
        answers, _ = app.inventory.approved
        app.inventory.approved = answers, Plan((), ())
        await pilot.press("r")
        await on(pilot, ReviewPage)
        assert any("Look at the plan again" in str(it.message) for it in app._notifications)  # noqa: SLF001


async def test_ctrl_c_once_begins_nothing_new_and_says_so() -> None:
    async with installing(draft_of(), frozen=from_flannel_on) as pilot:
        await until(pilot, lambda: page_of(pilot).state.done)
        await pilot.press("ctrl+c")
        assert "the running step is finished, no other is started" in said(pilot)
        thaw(pilot.app)
        await ended(pilot)
        state = page_of(pilot).state
        assert state.outcome == "stopped"
        assert "unknown" not in words(pilot).values()
        assert f"of {state.planned} operations are left.  r continues".replace("  ", " ") in said(
            pilot
        )
        app: Any = pilot.app
        assert app.code == 130
        await pilot.press("ctrl+c")  # nothing runs any more: it asks whether to leave
        await on(pilot, Confirm)


async def test_going_on_after_a_stop_ends_proven() -> None:
    async with installing(draft_of(), frozen=lambda _: True) as pilot:
        await until(pilot, lambda: page_of(pilot).state.hosts)
        assert journal_of(pilot).with_suffix(".toml").is_file()  # before any host is asked
        await pilot.press("ctrl+c")  # while the hosts are read
        thaw(pilot.app)
        await ended(pilot)
        assert page_of(pilot).state.why == "stopped before anything was changed"
        before = page_of(pilot).state
        await pilot.press("r")
        await until(pilot, lambda: page_of(pilot).state is not before)
        await ended(pilot)
        assert "the network is verified" in said(pilot)


async def test_ctrl_c_twice_closes_at_once() -> None:
    async with installing(draft_of(), frozen=from_flannel_on) as pilot:
        await until(pilot, lambda: page_of(pilot).state.done)
        path = journal_of(pilot)
        await pilot.press("ctrl+c", "ctrl+c")
        await left(pilot)
        assert pilot.app.return_value == 130
    last = read(path)[-1].event
    assert getattr(last, "outcome", "") == "stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_as_ctrl_c_does_and_then_ends_the_app(number: signal.Signals) -> None:
    async with installing(draft_of(), frozen=from_flannel_on) as pilot:
        await until(pilot, lambda: page_of(pilot).state.done)
        path = journal_of(pilot)
        signal.raise_signal(number)
        if number == signal.SIGHUP:
            signal.raise_signal(number)  # a shell and a terminal both send one
        await pilot.pause()
        thaw(pilot.app)
        await left(pilot)
        assert pilot.app.return_value == 130
    [*_, last] = read(path)
    assert getattr(last.event, "why", "").startswith("stopped")


async def test_a_signal_with_nothing_running_ends_the_app() -> None:
    async with opened(filled("network")) as pilot:
        await on(pilot, FLOW["network"])
        signal.raise_signal(signal.SIGTERM)
        await left(pilot)
        assert pilot.app.return_value == 130


async def test_no_journal_no_install(state_in_utc: Path) -> None:
    draft = draft_of()
    app = wizard(draft)
    answers = draft.answers()
    assert app.inventory is not None
    app.inventory.approved = answers, planning.make(answers, await app.inventory.read(answers))
    (state_in_utc / "fedwiz").mkdir()
    (state_in_utc / "fedwiz/runs").write_text("in the way")
    async with app.run_test(size=(80, 24)) as pilot:
        await on(pilot, InstallPage)
        await until(pilot, lambda: app.stop is None)
        assert "the journal can't be written" in said(pilot)
        assert app.code == 1


# A run of before.


async def test_without_an_approved_plan_it_leads_to_review() -> None:
    async with opened(draft_of()) as pilot:
        await on(pilot, InstallPage)
        assert "No plan is approved yet" in said(pilot)
        await pilot.press("ctrl+n")
        await on(pilot, ReviewPage)


async def test_a_run_that_was_cut_off_is_shown_and_leads_to_review() -> None:
    async with opened(take_up("one-fails", until=200)) as pilot:
        await on(pilot, InstallPage)
        await ended(pilot)
        began = time.strftime("%H:%M", time.gmtime(recorded("one-fails")[0].at))
        assert f"The run of {began} was interrupted: its end is not recorded." in said(pilot)
        assert "unknown" in words(pilot).values()
        assert "running" not in words(pilot).values()
        await pilot.press("r")
        await on(pilot, ReviewPage)


@pytest.mark.parametrize(
    ("name", "word", "key", "to"),
    [
        ("one-fails", "failed", "r", ReviewPage),
        ("stopped", "stopped", "ctrl+n", ReviewPage),
    ],
)
async def test_a_whole_run_is_shown_as_it_ended(
    name: str, word: str, key: str, to: type[Any]
) -> None:
    async with opened(take_up(name)) as pilot:
        await on(pilot, InstallPage)
        await ended(pilot)
        assert word in words(pilot).values()
        await pilot.press(key)
        await on(pilot, to)


async def test_a_record_that_is_gone_leads_to_review() -> None:
    draft = take_up("stopped")
    (runs_path() / f"{draft.run}.jsonl").unlink()
    async with opened(draft) as pilot:
        await on(pilot, InstallPage)
        await until(pilot, lambda: "! The record of the run can't be read" in said(pilot))
        await pilot.press("ctrl+n")
        await on(pilot, ReviewPage)


# Looking at the hosts.


@asynccontextmanager
async def played(
    name: str, size: tuple[int, int] = (80, 24), upto: int | None = None
) -> AsyncIterator[Pilot[int]]:
    app = Fedwiz(play=Play(recorded(name)[:upto], 0))
    async with app.run_test(size=size) as pilot:
        await on(pilot, PlayPage)
        page = page_of(pilot)
        last = recorded(name)[:upto][-1].at
        await until(pilot, lambda: page.state.latest == last and not page.pending)
        yield pilot


def focused(pilot: Pilot[int]) -> str:
    pane = pilot.app.screen.focused
    assert isinstance(pane, Pane)
    assert pane.host is not None
    return pane.host.name


def panes_of(pilot: Pilot[int]) -> list[Pane]:
    return [it for it in pilot.app.screen.query("#panes > Pane").results(Pane) if it.display]


async def test_four_hosts_stand_in_even_panes_and_keys_go_from_one_to_the_next() -> None:
    async with played("all-well") as pilot:
        ways = [
            ("", "fed-master"),
            ("tab", "fed-node1"),
            ("down", "fed-node3"),
            ("right", "fed-node3"),
            ("left", "fed-node2"),
            ("down", "fed-node2"),
            ("up", "fed-master"),
            ("left", "fed-master"),
            ("right", "fed-node1"),
            ("right", "fed-node1"),
            ("left", "fed-master"),
            ("shift+tab", "fed-node3"),
        ]
        for key, name in ways:
            if key:
                await pilot.press(key)
            assert focused(pilot) == name, key
            assert f"*{name} " in shown(pilot.app)  # not by colour alone
        assert "Red first" not in footer(pilot)  # a few hosts have no order to choose
        for width in (80, 120, 200):
            await resize(pilot, width, 24)
            panes = panes_of(pilot)
            assert len({it.region.x for it in panes}) == 2, width
            heights = [it.region.height for it in panes]
            assert max(heights) - min(heights) <= 1, width
            assert min(heights) >= 6, width


async def test_eight_hosts_stand_in_as_many_columns_as_fit() -> None:
    async with played("stopped") as pilot:
        for width, columns in ((80, 2), (120, 3)):
            await resize(pilot, width, 24)
            panes = panes_of(pilot)
            assert len(panes) == 8
            assert len({it.region.x for it in panes}) == columns
            assert min(it.region.height for it in panes) >= 3


async def test_many_hosts_stand_in_a_table_with_one_open_pane_red_ones_first_when_wanted() -> None:
    async with played("sixty-hosts") as pilot:
        table, pane = (
            pilot.app.screen.query_one(HostProgress),
            pilot.app.screen.query_one("#many > Pane"),
        )
        assert isinstance(pane, Pane)
        assert table.has_focus
        ways = [
            ("", "fed-master"),
            ("down", "fed-node1"),
            ("end", "fed-node59"),
            ("pageup", "fed-node53"),
            ("pagedown", "fed-node59"),
            ("up", "fed-node58"),
            ("home", "fed-master"),
            ("up", "fed-master"),
        ]
        for key, name in ways:
            if key:
                await pilot.press(key)
            assert table.cursor == name, key
            assert pane.host is not None
            assert pane.host.name == name
            assert name in shown(pilot.app)
        await pilot.press("end")
        assert "X failed     fed-node2 " not in shown(pilot.app)
        assert "Red first" in footer(pilot)
        await pilot.press("f")
        assert table.cursor == "fed-node59"
        await pilot.press("home")
        assert table.cursor == "fed-node2"
        assert "X failed     fed-node2 " in shown(pilot.app)
        await pilot.press("f", "home")
        assert table.cursor == "fed-master"


SHOWN = {
    "a fault": ("verdicts: 13 pass, 2 fail", "verified: 4 pass, 1 fail", "fail: ping -> fed-node2"),
    "check-blocks": ("findings: ", "3 block", "checks: "),
}
"""What stands on the page of some runs, beside the words of the hosts."""


async def test_every_run_can_be_shown_with_all_its_words() -> None:
    every = {
        **{name: make() for name, make in WHOLE.items()},
        "check-blocks": recorded("check-blocks"),
    }
    async with Fedwiz(play=Play((), 0)).run_test(size=(80, 24)) as pilot:
        await on(pilot, PlayPage)
        page = page_of(pilot)
        for name, told in every.items():
            page.clear()
            page.say("")
            for record in told:
                page.sink(record)
            await ended(pilot)
            state, text = State.of(told), shown(pilot.app)
            assert page.state == state, name
            for word in {host.word for host in state.hosts.values()}:
                assert f"{word}  " in f"{text.splitlines()[3]}  ", name
            assert said(pilot).startswith("+" if state.outcome == "ok" else "X"), name
            for each in SHOWN.get(name, ()):
                assert each in text


# The log of a host.


@pytest.mark.parametrize("upto", [0, 7, 40, 10_000])
def test_a_log_is_read_up_to_what_is_shown(upto: int) -> None:
    told = recorded("all-well")
    mine = [it for it in told if getattr(it.event, "host", "") == "fed-node1"]
    there = [it for it in mine if it.number <= upto]
    assert list(of_host(told, "fed-node1", upto)()) == there
    assert list(of_file(RECORDED / "all-well.jsonl", "fed-node1", upto)()) == there


def test_a_damaged_line_does_not_hide_the_others(tmp_path: Path) -> None:
    lines = (RECORDED / "all-well.jsonl").read_text().splitlines()
    own = [it for it in lines if '"host":"fed-node1"' in it]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join([own[0], own[1][:40] + '"host":"fed-node1"', own[2], own[3][:50]]))
    assert len(list(of_file(path, "fed-node1", 10_000)())) == 2


async def test_enter_opens_the_whole_log_to_be_searched_and_escape_closes_it() -> None:
    async with played("all-well", (120, 40)) as pilot:
        await pilot.press("tab", "enter")
        await on(pilot, LogScreen)
        lines = pilot.app.screen.query_one(LogLines)
        await until(pilot, lambda: lines.lines)
        mine = [
            it.event for it in recorded("all-well") if getattr(it.event, "host", "") == "fed-node1"
        ]
        outputs = [f"  {it.line}" for it in mine if isinstance(it, Output)]
        texts = [text for _, _, text in lines.lines]
        assert [it for it in texts if it in outputs] == [it for it in outputs if it.strip()]
        assert "fed-node1: full log" in shown(pilot.app)
        assert texts[-1] in shown(pilot.app)
        await searched(pilot)
        await pilot.press("escape")
        await on(pilot, PlayPage)


async def searched(pilot: Pilot[int]) -> None:
    """Look for words in the log that is open."""
    lines = pilot.app.screen.query_one(LogLines)
    await pilot.press("n")
    assert "press / to look for something first" in said(pilot)
    hits = [at for at, (_, _, text) in enumerate(lines.lines) if "docker" in text.lower()]
    assert len(hits) > 2
    await pilot.press("slash")
    await type_in(pilot, "Docker")
    assert pilot.app.screen.query_one(Input).value == "Docker"
    await pilot.press("enter")
    assert f"1 of {len(hits)} lines" in said(pilot)
    assert lines.at == hits[0]
    for key, at in [("n", 1), ("n", 2), ("N", 1), ("N", 0), ("N", -1), ("n", 0)]:
        await pilot.press(key)
        assert lines.at == hits[at], key
    await pilot.press("end")
    assert lines.scroll_offset.y == lines.max_scroll_y
    await pilot.press("slash")
    await type_in(pilot, "nowhere")
    await pilot.press("enter")
    assert "no line has" in said(pilot)
    await pilot.press("slash", "n", "escape")
    assert isinstance(pilot.app.screen, LogScreen)
    await pilot.press("f1")
    await on(pilot, Help)
    assert "Keys" in shown(pilot.app)
    await pilot.press("escape")
    await on(pilot, LogScreen)


async def test_a_log_follows_a_live_run() -> None:
    async with installing(draft_of(), frozen=from_flannel_on) as pilot:
        await until(pilot, lambda: page_of(pilot).state.done)
        await pilot.press("tab", "enter")
        await on(pilot, LogScreen)
        log = pilot.app.screen
        assert isinstance(log, LogScreen)
        before = page_of(pilot).state.done
        thaw(pilot.app)
        await ended(pilot)
        assert page_of(pilot).state.done > before
        lines = log.query_one(LogLines)
        host = log.host
        await until(pilot, lambda: lines.lines)
        told = [it for it in read(journal_of(pilot)) if getattr(it.event, "host", "") == host]
        assert [at for at, _, _ in lines.lines] == [it.at for it in told for _ in log_lines(it)]
        assert lines.lines[-1][2][:60] in shown(pilot.app)
        await pilot.press("escape")
        await on(pilot, InstallPage)
        assert "the network is verified" in said(pilot)


async def test_a_log_that_grows_fast_is_followed_until_somebody_goes_up_in_it() -> None:
    def told(begin: int, end: int) -> list[Record]:
        return [Record(n, BEGAN, Output("fed-master", "x", f"line {n}")) for n in range(begin, end)]

    async with played("all-well") as pilot:
        await pilot.press("enter")
        await on(pilot, LogScreen)
        page, lines = page_of(pilot), pilot.app.screen.query_one(LogLines)
        await until(pilot, lambda: lines.lines)
        lines.lines = counted = Counted(lines.lines)
        for begin in range(1000, 3000, 100):
            for record in told(begin, begin + 100):
                page.sink(record)
            page.drain()
            await pilot.pause()
        await until(pilot, lambda: "line 2999" in shown(pilot.app))
        assert 0 < counted.looks < 5000  # all of them at each hundred would be 20,000
        await pilot.press("pageup")
        await until(pilot, lambda: "line 2999" not in shown(pilot.app))
        there = lines.scroll_offset.y
        for record in told(3000, 3100):
            page.sink(record)
        page.drain()
        await until(pilot, lambda: lines.lines[-1][2] == "  line 3099")
        assert lines.scroll_offset.y == there
        await pilot.press("end")
        await until(pilot, lambda: "line 3099" in shown(pilot.app))


class Counted(list[Line]):
    """Lines that count how many of them were looked at."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - as a list has it
        found = super().__getitem__(at)
        self.looks += len(found) if isinstance(at, slice) else 1
        return found

    def __iter__(self) -> Iterator[Line]:
        self.looks += len(self)
        return super().__iter__()


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.full)])
async def test_a_long_log_is_read_whole_and_only_what_is_seen_of_it_is_looked_at(
    count: int,
) -> None:
    many: list[Event] = [
        RunStarted("install", "lab", ("a", "b", "c")),
        *(Output("a", "package", f"line {n}") for n in range(count)),
    ]
    draft = take_up("stopped")
    path = runs_path() / f"{draft.run}.jsonl"
    path.write_text("".join(f"{to_line(record)}\n" for record in records(many, 0.001)))
    async with opened(draft) as pilot:
        app = pilot.app
        await on(pilot, InstallPage)
        await until(pilot, lambda: f"line {count - 1}" in shown(app))
        await pilot.press("enter")
        await on(pilot, LogScreen)
        lines = app.screen.query_one(LogLines)
        await until(pilot, lambda: len(lines.lines) >= count)
        await until(pilot, lambda: f"line {count - 1}" in shown(app))
        assert [text for _, _, text in lines.lines] == [f"  line {n}" for n in range(count)]
        lines.lines = counted = Counted(lines.lines)
        await pilot.press("home")
        await until(pilot, lambda: "  line 0" in shown(app))
        assert 0 < counted.looks < count // 10


def test_ten_times_as_long_a_log_is_no_more_work_a_line(tmp_path: Path) -> None:
    def work(count: int) -> int:
        told = records([Output("a", "package", f"line {n}") for n in range(count)])
        path = tmp_path / "x.jsonl"
        path.write_text("".join(f"{to_line(record)}\n" for record in told))

        def read_and_shown() -> None:
            State.of(read(path))
            for record in of_file(path, "a", count)():
                list(log_lines(record))

        return lines(read_and_shown)

    assert work(2000) < 11 * work(200)


# A replay.


async def test_a_replay_is_the_same_page_and_leaves_with_nothing_said() -> None:
    async with played("one-fails") as pilot:
        assert words(pilot)["fed-node2"] == "failed"
        await pilot.press("escape")
        await left(pilot)
        assert pilot.app.return_value == 0
    assert not (runs_path().parent / "draft.json").exists()


async def test_a_replay_that_was_cut_off_says_so_and_more_hosts_make_panes_a_table() -> None:
    async with played("all-well", upto=100) as pilot:
        assert "interrupted" in said(pilot)
        assert "running" in words(pilot).values()
        page, last = page_of(pilot), recorded("all-well")[100]
        for number in range(12):
            event = Output(f"other{number}", "x", f"line of {number}")
            page.sink(replace(last, number=last.number + number, event=event))
        page.drain()
        await until(pilot, lambda: "other1 " in shown(pilot.app))
        assert pilot.app.screen.query_one(HostProgress).has_focus
        await pilot.press("end")
        assert "line of 11" in shown(pilot.app)
        await pilot.press("ctrl+q")
        await left(pilot)
        assert pilot.app.return_value == 0
    assert not (runs_path().parent / "draft.json").exists()


async def test_a_journal_that_can_not_be_read_ends_the_replay(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("nothing\n")
    app = Fedwiz(play=Play(path, 1))
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.return_value is not None)
        assert app.return_value == 2
        assert "x.jsonl" in str(app.refused)


# What it looks like.


class Fed(InstallPage):
    """Fed by a recorded run, up to a record, as if it went on."""

    runs = True  # for its keys


def fed(name: str, upto: int) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def before(pilot: Pilot[Any]) -> None:
        await on(pilot, WelcomePage)
        page = Fed(draft_of(), Inventory())
        pilot.app.push_screen(page)
        await on(pilot, Fed)
        page.clear()
        page.speed = 0.0
        for record in recorded(name)[:upto]:
            page.sink(record)
        page.say("Ctrl+C finishes the running step and starts no other.  Enter: a host's full log.")
        await until(pilot, lambda: not page.pending)

    return still(before)


MIDDLE = {"all-well": 130, "sixty-hosts": 2600}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MIDDLE)
def test_it_looks_right_in_the_middle(
    name: str, size: tuple[int, int], snap_compare: Callable[..., bool]
) -> None:
    assert snap_compare(wizard(), terminal_size=size, run_before=fed(name, MIDDLE[name]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name", ["all-well", "one-fails", "lost-at-the-gate", "stopped", "sixty-hosts"]
)
def test_it_looks_right_at_the_end(
    name: str, size: tuple[int, int], snap_compare: Callable[..., bool]
) -> None:
    assert snap_compare(wizard(take_up(name)), terminal_size=size, run_before=still(_at_the_end))


@pytest.mark.parametrize("size", SIZES)
def test_a_run_that_was_cut_off_looks_right(
    size: tuple[int, int], snap_compare: Callable[..., bool]
) -> None:
    app = wizard(take_up("one-fails", until=200))
    assert snap_compare(app, terminal_size=size, run_before=still(_at_the_end))


@pytest.mark.parametrize("size", SIZES)
def test_a_log_looks_right(size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await _at_the_end(pilot)
        await pilot.press("tab", "tab", "enter")
        await on(pilot, LogScreen)
        await until(pilot, lambda: pilot.app.screen.query_one(LogLines).lines)
        await pilot.press("slash")
        await type_in(pilot, "docker")
        await pilot.press("enter")

    app = wizard(take_up("one-fails"))
    assert snap_compare(app, terminal_size=size, run_before=still(before))


def test_it_looks_right_in_the_light(snap_compare: Callable[..., bool]) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await _at_the_end(pilot)
        await pilot.press("ctrl+t")

    app = wizard(take_up("one-fails"))
    assert snap_compare(app, terminal_size=SMALL, run_before=still(before))


async def _at_the_end(pilot: Pilot[Any]) -> None:
    await on(pilot, InstallPage)
    await ended(pilot)
