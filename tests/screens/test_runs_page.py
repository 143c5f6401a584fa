"""Earlier runs: what is listed, what is looked at, and what is gone on with."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input

from fedwiz.answers.file import AnswersError, repeat
from fedwiz.model.events import RunEnded, RunStarted
from fedwiz.practice import practice_answers
from fedwiz.runs.journal import Journal, RunSummary, runs, runs_path
from fedwiz.wizard.draft import Draft, load_saved
from screens.dialogs.basic import Pick
from screens.pages.flow import FLOW
from screens.pages.runs import Runs, go_on, look, matching
from screens.pages.welcome import WelcomePage
from tests.local.test_resume import Past
from tests.support.pilot import (
    SIZES,
    on,
    opened,
    shown,
    still,
    type_in,
    until,
    until_shown,
    wizard,
)
from tests.support.sample_runs import HOSTS, RECORDED


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


def recorded() -> None:
    """The runs that are recorded for tests, as if they were ours."""
    runs_path().mkdir(parents=True)
    for number, path in enumerate(sorted(RECORDED.glob("*.jsonl"))):
        shutil.copy(path, runs_path() / f"20261123-02{number:02}00-abcd.jsonl")


def run(
    verb: str = "install", outcome: str = "failed", *, practice: str = "", answers: bool = True
) -> RunSummary:
    """A run that ended so."""
    with Journal() as journal:
        journal.emit(RunStarted(verb, "fedora-lab", HOSTS, practice))
        if outcome != "interrupted":
            journal.emit(RunEnded(outcome, 0 if outcome == "ok" else 5))  # type: ignore[arg-type]  # an outcome
    if answers:
        journal.path.with_suffix(".toml").write_text(repeat(practice_answers(4)))
    return next(it for it in runs() if it.id == journal.id)


async def listed(pilot: Pilot[Any]) -> None:
    await on(pilot, WelcomePage)
    await pilot.press("4")
    await on(pilot, Runs)
    await until(pilot, lambda: "reading the runs" not in shown(pilot.app))


async def test_runs_are_listed_the_newest_first_and_damaged_ones_passed_over() -> None:
    recorded()
    (runs_path() / "20261123-030000-abcd.jsonl").write_text("nonsense\n")
    async with opened() as pilot:
        await listed(pilot)
        text = shown(pilot.app)
        assert "when              verb     outcome    hosts  cluster" in text
        assert "+ ok           4  fedora-lab" in text
        assert "X failed      60  practice (practice)" in text
        assert "- stopped      8  practice (practice)" in text
        table = pilot.app.screen.query_one(DataTable)
        assert table.row_count == 6
        days = [str(table.get_cell_at((row, 0))) for row in range(6)]  # type: ignore[arg-type]  # a coordinate
        assert days == sorted(days, reverse=True)
        # The run under the cursor is told with its fault and its hosts.
        await pilot.press("down", "down")
        assert "practice: nat-twins  fed-master, fed-node1," in shown(pilot.app)


async def test_no_runs_are_said() -> None:
    async with opened() as pilot:
        await listed(pilot)
        assert "No run is recorded yet" in shown(pilot.app)
        await pilot.press("enter", "g")
        assert isinstance(pilot.app.screen, Runs)
        await pilot.press("escape")
        await on(pilot, WelcomePage)


@pytest.mark.parametrize(
    ("typed", "rows"),
    [
        ("stopped", 1),
        ("FEDORA", 2),
        ("practice fail", 3),
        ("fed-node59", 1),
        ("check", 1),
        ("nothing-like-it", 0),
    ],
)
def test_a_filter_leaves_what_has_all_its_words(typed: str, rows: int) -> None:
    recorded()
    assert len(matching(runs(), typed)) == rows


def test_a_filter_finds_the_day_and_the_fault_and_of_nothing_typed_all() -> None:
    recorded()
    every = runs()
    assert matching(every, "") == matching(every, "  ") == list(every)
    assert [run.practice for run in matching(every, "NAT-twins")] == ["nat-twins"]
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(every[0].started))
    assert every[0] in matching(every, day)


async def test_a_filter_is_typed_and_taken_away() -> None:
    recorded()
    async with opened() as pilot:
        await listed(pilot)
        table = pilot.app.screen.query_one(DataTable)
        for typed, rows in (("FEDORA", 2), ("nothing", 0)):
            await pilot.press("slash")
            await type_in(pilot, typed)
            assert table.row_count == rows
            assert ("No run has this in it" in shown(pilot.app)) == (rows == 0)
            await pilot.press("escape")
            assert table.row_count == 6
            assert not pilot.app.screen.query_one("#filter", Input).display
        await pilot.press("escape")
        await on(pilot, WelcomePage)


async def test_an_install_that_was_sought_is_looked_at_and_what_it_verified_after_it() -> None:
    recorded()
    async with opened() as pilot:
        await listed(pilot)
        await pilot.press("slash", *"ok", "enter")
        assert isinstance(pilot.app.focused, DataTable)
        await pilot.press("enter")
        await on(pilot, FLOW["install"])
        await until(pilot, lambda: "fed-node1" in shown(pilot.app))
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["verify"])
        await until(pilot, lambda: "all 6 pairs of nodes ping" in shown(pilot.app))
        await pilot.press("escape")
        await on(pilot, FLOW["install"])
        await pilot.press("escape")
        await on(pilot, WelcomePage)
        assert load_saved() is None
        assert load_saved("healthy") is None
        assert len(runs()) == 6


@pytest.mark.parametrize(
    ("verb", "page", "stops"),
    [
        ("install", "install", ("install", "verify")),
        ("verify", "verify", ("verify",)),
        ("check", "verify", ("verify",)),
        ("plan", "verify", ("verify",)),
    ],
)
def test_a_run_is_looked_at_where_it_has_something_to_show(
    verb: str, page: str, stops: tuple[str, ...]
) -> None:
    it = run(verb, practice="a fault of a newer fedwiz")
    draft = look(it)
    assert (draft.goal, draft.page, draft.stops, draft.run) == ("look", page, stops, it.id)
    assert (draft.name, draft.practice) == ("fedora-lab", "healthy")


@pytest.mark.parametrize(
    ("verb", "outcome", "page", "goal"),
    [
        ("install", "failed", "review", "install"),
        ("install", "stopped", "review", "install"),
        ("install", "interrupted", "review", "install"),
        ("verify", "failed", "verify", "verify"),
    ],
)
def test_a_run_is_gone_on_with_from_its_answers(
    verb: str, outcome: str, page: str, goal: str
) -> None:
    draft = go_on(run(verb, outcome, practice="forward-drop"))
    assert (draft.page, draft.goal, draft.practice, draft.size) == (page, goal, "forward-drop", 4)
    assert draft.answers() == practice_answers(4)
    assert draft.run == ""


def test_an_undo_that_was_cut_off_is_gone_on_with_elsewhere() -> None:
    Past("undo", None).write(1)
    (it,) = runs()
    with pytest.raises(AnswersError, match=f"`fedwiz resume {it.id}` with this one"):
        go_on(it)


def test_a_real_run_stays_real() -> None:
    assert go_on(run()).practice == ""


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"outcome": "ok"}, "nothing to resume"),
    ({"verb": "check"}, "a check changes nothing"),
    ({"answers": False}, "its answers are not kept here: open the answer file"),
]


@pytest.mark.parametrize(("made", "why"), REFUSED)
def test_what_can_not_be_gone_on_with_says_why(made: dict[str, Any], why: str) -> None:
    with pytest.raises(AnswersError, match=why):
        go_on(run(**made))


async def test_what_can_not_be_gone_on_with_is_said() -> None:
    why = {run(**made).id: why for made, why in REFUSED}
    run(outcome="interrupted")
    async with opened() as pilot:
        await listed(pilot)
        assert "? interrupted" in shown(pilot.app)
        for row, it in enumerate(runs()):
            if it.id in why:
                await pilot.press("ctrl+home", *["down"] * row, "g")
                await until_shown(pilot, why[it.id].split(":")[0])
                assert isinstance(pilot.app.screen, Runs)


async def test_g_goes_on_at_the_review() -> None:
    run(practice="healthy")
    async with opened() as pilot:
        await listed(pilot)
        await pilot.press("g")
        await on(pilot, FLOW["review"])
        draft = load_saved("healthy")
        assert draft is not None
        assert draft.page == "review"


async def test_going_on_does_not_throw_away_what_is_kept() -> None:
    from fedwiz.wizard.draft import save

    save(replace(Draft(page="network", said={"name": "mine"}), typed="10.0.0.0/24"))
    run()
    async with opened() as pilot:
        await listed(pilot)
        await pilot.press("g")
        await on(pilot, Pick)
        assert "Continue where you were: Network" in shown(pilot.app)
        await pilot.press("escape")
        await on(pilot, WelcomePage)
        draft = load_saved()
        assert draft is not None
        assert draft.name == "mine"


async def test_a_run_whose_journal_is_damaged_in_its_middle_is_said_where_it_is_looked_at() -> None:
    it = run("verify")
    first, last = it.path.read_text().splitlines()
    it.path.write_text(f"{first}\nnonsense\n{last}\n")
    async with opened() as pilot:
        await listed(pilot)
        await pilot.press("enter")
        await on(pilot, FLOW["verify"])
        await until(pilot, lambda: "not JSON" in shown(pilot.app))


async def test_hundreds_of_runs_and_a_long_name() -> None:
    runs_path().mkdir(parents=True)
    text = (RECORDED / "check-blocks.jsonl").read_text()
    text = text.replace('"cluster":"practice"', f'"cluster":"{"n" * 63}"')
    for number in range(300):
        (runs_path() / f"20261123-{number:06}-abcd.jsonl").write_text(text)
    async with opened() as pilot:
        await listed(pilot)
        assert "n" * 20 in shown(pilot.app)
        await pilot.press("ctrl+end")
        assert pilot.app.screen.query_one(DataTable).cursor_row == 299
        assert "esc Close" in shown(pilot.app)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["some", "none"])
def test_it_looks(state: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    if state == "some":
        recorded()

    async def before(pilot: Pilot[Any]) -> None:
        await listed(pilot)
        # What stands there is a folder that is another one in each test.
        if state == "none":
            pilot.app.screen.query_one("#empty").update("No run is recorded yet.")  # type: ignore[attr-defined]  # a Static

    assert snap_compare(wizard(), terminal_size=size, run_before=still(before))
