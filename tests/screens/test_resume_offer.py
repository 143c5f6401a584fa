"""A run that was cut off is offered first of all, and gone on with as far as it was approved."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from fedwiz.answers.file import repeat
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all, saving
from fedwiz.engine.undo import undo_install
from fedwiz.engine.verbs import RunContext
from fedwiz.model.events import ActionStarted, Record
from fedwiz.runs import journal as journals
from fedwiz.runs.interrupted import interrupted_run
from fedwiz.runs.journal import Journal
from fedwiz.runs.plans import write_plan
from fedwiz.util import files
from fedwiz.wizard import start
from fedwiz.wizard.draft import Draft, load_saved, save
from fedwiz.wizard.inventory import PracticeInventory
from screens.dialogs.approve import Approve
from screens.dialogs.basic import Ask, Pick, TypeName
from screens.pages.flow import FLOW
from screens.pages.welcome import WelcomePage
from tests.local.test_resume import Killed, Past, cut_down
from tests.support.line_count import lines
from tests.support.pilot import (
    SIZES,
    filled,
    on,
    opened,
    shown,
    still,
    trusting,
    type_in,
    until,
    wizard,
)

ReviewPage, InstallPage, VerifyPage = FLOW["review"], FLOW["install"], FLOW["verify"]


pytestmark = pytest.mark.usefixtures("state_in_utc")


class CutAt:
    """Kills a run as soon as it begins an action of a step."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.written = 0

    def __call__(self, record: Record) -> None:
        if isinstance(record.event, ActionStarted) and record.event.step == self.step:
            self.written = self.written or record.number + 1
        if self.written:
            raise Killed


async def cut_off(site: PracticeInventory, draft: Draft, step: str, *, undo: bool = False) -> str:
    """Have a run cut off that is not known to be on a practice cluster; gives its id."""
    answers, machines = draft.answers(), site._practice  # noqa: SLF001
    approve = saving(approve_all)

    async def begun(work: Any, sink: CutAt) -> str:  # noqa: ANN401
        with Journal() as journal:
            journal.subscribe(sink)
            cluster = RunContext(answers, machines, machines.open_store, journal.emit, journal.id)
            try:
                await work(cluster, approve, asyncio.Event())
            except* Killed:
                cut_down(journal.path, sink.written)
            files.write(journals.answers_path(journal.id), repeat(answers))
            return journal.id

    if undo:
        await begun(verbs.install, CutAt(""))
        return await begun(undo_install, CutAt(step))
    return await begun(verbs.install, CutAt(step))


@asynccontextmanager
async def left(
    step: str = "switch",
    *,
    undo: bool = False,
    size: tuple[int, int] = (80, 24),
    **said: Any,
) -> AsyncIterator[Pilot[int]]:
    """The first page, after a run was cut off at a step; its cluster is there."""
    draft = filled("install", **said)
    site = PracticeInventory(draft)
    await cut_off(site, draft, step, undo=undo)
    async with opened(size=size) as pilot:
        await on(pilot, WelcomePage)
        app: Any = pilot.app
        app.inventory, site.ask, site.practice = site, app.ask_secret, ""
        trusting(app)
        yield pilot


def said(pilot: Pilot[int]) -> str:
    """What is said above the keys, in one line."""
    return " ".join(str(pilot.app.screen.query_one("#said").render()).split())


def text(pilot: Pilot[int]) -> str:
    return " ".join(shown(pilot.app).split())


@pytest.mark.parametrize("key", [pytest.param("enter", marks=pytest.mark.full), "g"])
async def test_an_install_is_gone_on_with_to_a_green_matrix(key: str) -> None:
    async with left() as pilot:
        assert "Resume: a run of " in text(pilot)
        assert "It stopped at fed-node" in text(pilot)
        assert "move docker to its subnet" in text(pilot)
        await pilot.press(key)
        await on(pilot, InstallPage)
        await until(pilot, lambda: "the network is verified" in said(pilot))
        assert interrupted_run() is None
        draft = load_saved()
        assert draft is not None
        assert (draft.page, draft.practice) == ("install", "")
        await pilot.press("ctrl+n")
        await on(pilot, VerifyPage)
        await until(pilot, lambda: "all 6 pairs of nodes ping" in text(pilot))


async def test_something_else_is_begun_as_easily_and_the_run_stays() -> None:
    async with left() as pilot:
        await pilot.press("down", "enter")
        await on(pilot, FLOW["hosts"])
        assert interrupted_run() is not None
        await pilot.press("escape")
        await on(pilot, WelcomePage)
        assert "Resume: a run of " in text(pilot)


async def test_a_secret_that_is_needed_is_asked_for() -> None:
    async with left(ssh={"user": "fedora", "sudo": "ask"}) as pilot:
        await pilot.press("g")
        await on(pilot, Ask)
        await type_in(pilot, "secret")
        await pilot.press("enter")
        await on(pilot, InstallPage)
        await until(pilot, lambda: "the network is verified" in said(pilot))


def notified(pilot: Pilot[int]) -> str:
    """What was said in a corner, which breaks its lines anywhere."""
    return "\n".join(it.message for it in pilot.app._notifications)  # noqa: SLF001


def forget_approval() -> None:
    """Nothing of what is left was approved."""
    found = interrupted_run()
    assert found is not None
    write_plan(found.digest, json.dumps({"actions": [], "host": ""}))


async def test_more_than_was_approved_is_shown_at_review() -> None:
    async with left() as pilot:
        forget_approval()
        await pilot.press("g")
        await on(pilot, ReviewPage)
        await until(pilot, lambda: "Nothing is changed before you approve" in said(pilot))
        assert "more is left to do than you approved then" in notified(pilot)
        await pilot.press("ctrl+n")
        await on(pilot, TypeName)  # docker runs there, and containers
        await type_in(pilot, "practice")
        await pilot.press("enter")
        await on(pilot, InstallPage)
        await until(pilot, lambda: "the network is verified" in said(pilot))


async def test_an_undo_is_gone_on_with_and_leads_to_the_first_page() -> None:
    async with left("unpackage", undo=True) as pilot:
        assert "Resume: an undo of " in text(pilot)
        await pilot.press("g")
        await on(pilot, InstallPage)
        assert "Taking the install back" in text(pilot)
        await until(pilot, lambda: "All is as it was before the install" in said(pilot))
        assert interrupted_run() is None
        assert load_saved() is None
        await pilot.press("ctrl+n")
        await on(pilot, WelcomePage)
        assert "Resume: " not in text(pilot)


@pytest.mark.parametrize("agreed", [True, False])
async def test_an_undo_asks_for_more_where_it_is(agreed: bool) -> None:
    async with left("unpackage", undo=True) as pilot:
        forget_approval()
        await pilot.press("g")
        await on(pilot, Approve)
        assert "More is left to take back than you approved then." in text(pilot)
        await pilot.press(*(["right"] if agreed else []), "enter")
        what = "All is as it was before the install" if agreed else "nothing was changed"
        await on(pilot, InstallPage)
        await until(pilot, lambda: what in said(pilot))


async def test_without_its_answers_the_first_page_stays_and_says_so() -> None:
    async with left() as pilot:
        for path in journals.runs_path().glob("*.toml"):
            path.unlink()
        await pilot.press("g")
        await until(pilot, lambda: "its answers are not kept here" in notified(pilot))
        await on(pilot, WelcomePage)


async def test_what_was_said_of_another_cluster_is_not_given_up_unasked() -> None:
    before = Draft(page="network", typed="10.0.0.0/24", said={"name": "mine"})
    save(before)
    async with left() as pilot:
        await pilot.press("g")
        await on(pilot, Pick)
        assert "Resume a run of " in text(pilot)
        await pilot.press("enter")
        await on(pilot, FLOW["network"])
        assert load_saved() == before
        assert interrupted_run() is not None


async def test_a_wizard_that_was_killed_while_it_installed_starts_at_the_first_page() -> None:
    draft = replace(filled("install"), practice="")
    site = PracticeInventory(filled("install"))
    save(replace(draft, run=await cut_off(site, draft, "switch")))
    app = wizard()
    app._begin = load_saved  # noqa: SLF001
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await on(pilot, WelcomePage)
        assert "Resume: a run of " in text(pilot)
        app.inventory, site.ask = site, app.ask_secret
        trusting(app)
        await pilot.press("enter")
        await on(pilot, InstallPage)
        await until(pilot, lambda: "the network is verified" in said(pilot))


@pytest.mark.parametrize(
    ("draft", "so"),
    [
        ({"page": "install"}, True),
        ({"page": "install", "run": "an earlier one"}, True),
        ({"page": "install", "said": {"name": "other"}}, False),
        ({"page": "install", "practice": "healthy"}, False),
        ({"page": "review"}, False),
        ({"page": "verify"}, False),
        ({"page": "verify", "run": "an earlier one"}, True),
        ({"page": "verify", "goal": "verify"}, False),
    ],
)
def test_what_was_cut_off_comes_before_where_one_was(draft: dict[str, Any], so: bool) -> None:
    Past("undo", None).write(1)
    found = interrupted_run()
    assert found is not None
    was = Draft(**{"run": found.run.id, "said": {"name": "lab"}, **draft})
    assert start.interrupted(was) is so


LONG = (Path(__file__).parents[1] / "journals/all-well.jsonl").read_bytes()
LONG = LONG.replace(b'"practice":"healthy"', b'"practice":""')


def test_two_hundred_runs_are_looked_through_in_no_time() -> None:
    """Of each run its two ends are looked at, however many there are and however long they are."""
    journals.runs_path().mkdir(parents=True)

    def put(numbers: range, journal: bytes) -> None:
        for number in numbers:
            (journals.runs_path() / f"20260101-{number:06}-0000.jsonl").write_bytes(journal)

    work = []
    put(range(1), LONG)
    interrupted_run()  # what is done once in a process does not count
    for many in (0, 100, 200):
        put(range(many), LONG)
        assert interrupted_run() is None
        work.append(lines(interrupted_run))
    one, hundred, two_hundred = work
    each = (two_hundred - hundred) / 100
    assert each < 500
    assert hundred - one == each * 99
    first, *_, last = LONG.splitlines(keepends=True)
    put(range(200), first + last)
    assert lines(interrupted_run) == two_hundred


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("verb", ["install", "undo"])
def test_it_looks(verb: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    Past(verb, None, cluster="fedora-lab").write(1)

    async def before(pilot: Pilot[Any]) -> None:
        await on(pilot, WelcomePage)

    assert snap_compare(wizard(), terminal_size=size, run_before=still(before))
