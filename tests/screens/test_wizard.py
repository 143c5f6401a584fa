"""The walk from page to page, and what every page can do."""

from pathlib import Path

import pytest

from fedwiz.wizard.draft import PAGES, load_saved
from screens.dialogs.basic import Confirm, Pick
from screens.pages.flow import FLOW
from screens.pages.welcome import WelcomePage
from screens.widgets.frame import PAGE_TITLES
from tests.support.pilot import filled, on, opened, resize, shown, until


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_the_steps_are_the_pages_in_order() -> None:
    assert tuple(PAGE_TITLES) == PAGES == tuple(FLOW)


async def test_escape_never_quits_the_first_page() -> None:
    async with opened() as pilot:
        await on(pilot, WelcomePage)
        await pilot.press("escape", "escape")
        assert isinstance(pilot.app.screen, WelcomePage)


async def test_the_first_page_begins_a_practice_cluster() -> None:
    async with opened() as pilot:
        await on(pilot, WelcomePage)
        await pilot.press("5")
        await on(pilot, Pick)
        await pilot.press("enter")
        await on(pilot, FLOW["hosts"])
        draft = load_saved("healthy")
        assert draft is not None
        assert draft.page == "hosts"


async def test_leaving_is_asked_and_the_focus_is_on_staying() -> None:
    async with opened() as pilot:
        await on(pilot, WelcomePage)
        await pilot.press("ctrl+q")
        await on(pilot, Confirm)
        await pilot.press("enter")
        await on(pilot, WelcomePage)
        await pilot.press("ctrl+q")
        await on(pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: pilot.app.return_code is not None)
        assert pilot.app.return_value == 130  # nothing was installed or proven


async def test_a_terminal_too_small_is_told_so_and_gets_no_keys() -> None:
    async with opened(filled("network")) as pilot:
        await on(pilot, FLOW["network"])
        await resize(pilot, 20, 5)
        await pilot.press("escape")
        assert "fedwiz needs 80x24" in " ".join(shown(pilot.app).split())
        await resize(pilot, 80, 24)
        await on(pilot, FLOW["network"])
        assert "Which addresses" in shown(pilot.app)
