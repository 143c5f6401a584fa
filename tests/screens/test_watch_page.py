"""Another operator's run on the page Install: who, from where, since when, and live."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from fedwiz.model.events import (
    ActionEnded,
    Event,
    Output,
    Record,
    RunEnded,
    StepEnded,
    to_line,
)
from fedwiz.practice.locks import Locks
from screens.pages.flow import FLOW
from screens.widgets.log_view import LogScreen
from tests.screens.test_install_page import (
    draft_of,
    ended,
    footer,
    installing,
    page_of,
    said,
    words,
)
from tests.support.pilot import on, shown, until

ReviewPage, InstallPage = FLOW["review"], FLOW["install"]


pytestmark = pytest.mark.usefixtures("state_in_utc")


def locks(pilot: Pilot[Any]) -> Locks:
    app: Any = pilot.app
    found = app.inventory._practice.cluster.locks  # noqa: SLF001
    assert isinstance(found, Locks)
    return found


def tell(pilot: Pilot[Any], *events: Event) -> None:
    """Bob's run tells more."""
    held = locks(pilot)
    for number, event in enumerate(events, held.records.count(b"\n")):
        held.record(to_line(Record(number, time.time(), event)).encode() + b"\n")


@asynccontextmanager
async def locked(size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[int]]:
    """An install that another operator's keeps from beginning."""
    async with installing(draft_of("locked"), size) as pilot:
        await ended(pilot)
        yield pilot


async def watching(pilot: Pilot[int]) -> None:
    await pilot.press("w")
    await until(pilot, lambda: "Installing: flannel" in shown(pilot.app))


async def test_who_it_is_is_said_and_leaving_that_run_does_not_end_it() -> None:
    async with locked() as pilot:
        assert "bob@laptop (192.168.122.1) has been changing this cluster since" in said(pilot)
        assert "w: watch that run.  r: try again." in str(
            pilot.app.screen.query_one("#said").render()
        ).replace("\n", " ")
        assert "`fedwiz watch" not in said(pilot)
        assert "w Watch" in footer(pilot)
        assert set(words(pilot).values()) == {"stopped"}
        assert "nothing to do" not in shown(pilot.app)
        assert pilot.app.code == 8  # type: ignore[attr-defined]  # a wizard's
        await watching(pilot)
        await pilot.press("escape")
        await on(pilot, ReviewPage)
        assert locks(pilot).locked


async def test_that_run_is_shown_as_it_goes_with_its_log_to_its_end() -> None:
    async with locked() as pilot:
        await watching(pilot)
        assert words(pilot)["fed-node1"] == "running"
        assert "Esc: leave it to itself; it goes on" in said(pilot)
        assert "w Watch" not in footer(pilot)
        assert "Full log" in footer(pilot)
        tell(pilot, Output("fed-node1", "package", "Complete!"))
        await until(pilot, lambda: "Complete!" in shown(pilot.app))
        await pilot.press("right", "enter")
        await on(pilot, LogScreen)
        await until(pilot, lambda: "Complete!" in shown(pilot.app))
        await pilot.press("escape")
        await on(pilot, InstallPage)
        tell(
            pilot,
            ActionEnded("fed-node1", "package", "ok", 0, 1.0),
            StepEnded("fed-node1", "package", "ok"),
            RunEnded("ok", 0),
        )
        locks(pilot).release()
        await until(pilot, lambda: "That run has ended" in said(pilot))
        await pilot.press("ctrl+n")
        assert "This is another operator's run" in said(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "the network is verified" in said(pilot))
        assert pilot.app.code == 0  # type: ignore[attr-defined]  # a wizard's


async def test_trying_again_says_again_who_it_is_until_nobody_is() -> None:
    async with locked() as pilot:
        await watching(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "w: watch that run" in said(pilot))
        assert "w Watch" in footer(pilot)
        await watching(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "w: watch that run" in said(pilot))
        locks(pilot).release()
        await pilot.press("w")
        await until(pilot, lambda: "Nobody is changing this cluster. r: try yours" in said(pilot))
        await pilot.press("r")
        await until(pilot, lambda: "the network is verified" in said(pilot))


async def test_a_master_that_can_t_be_asked_is_said() -> None:
    async with locked() as pilot:
        app: Any = pilot.app
        app.inventory._practice.cluster.machines["fed-master"].login_failure = "no route to host"  # noqa: SLF001
        await pilot.press("w")
        await until(pilot, lambda: "It can't be watched: no route to host" in said(pilot))
        assert page_of(pilot).state.verb == ""
