"""From the first page to a draft: what is begun, gone on with, opened and refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fedwiz.answers.file import repeat
from fedwiz.practice import practice_answers
from fedwiz.wizard.draft import Candidate, Draft, load_saved, save
from fedwiz.wizard.start import new, verifying
from screens.dialogs.basic import Pick
from screens.pages.flow import FLOW
from screens.pages.start import OpenFile, loses_work
from screens.pages.welcome import WelcomePage
from tests.support.pilot import (
    SIZES,
    filled,
    on,
    opened,
    shown,
    still,
    type_in,
    until,
    until_shown,
    wizard,
)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def chosen(pilot: Pilot[Any], number: str) -> None:
    await on(pilot, WelcomePage)
    await pilot.press(number)


def draft_of(pilot: Pilot[Any]) -> Draft:
    draft = pilot.app.draft  # type: ignore[attr-defined]  # a wizard's
    assert isinstance(draft, Draft)
    return draft


# A new one, beside what is kept.


async def test_a_new_install_begins_at_the_hosts() -> None:
    async with opened() as pilot:
        await chosen(pilot, "1")
        await on(pilot, FLOW["hosts"])
        assert draft_of(pilot) == new()


async def test_what_is_kept_is_gone_on_with_unless_it_is_given_up() -> None:
    before = Draft(page="network", typed="10.0.0.0/24", said={"name": "mine"})
    save(before)
    async with opened() as pilot:
        for number in "13":
            await chosen(pilot, number)
            await on(pilot, Pick)
            text = shown(pilot.app)
            assert "Continue where you were: Network" in text
            assert "mine, 0 hosts chosen" in text
            assert "What you said then is forgotten." in text
            await pilot.press("escape")
            await on(pilot, WelcomePage)
            assert load_saved() == before
        await chosen(pilot, "3")
        await on(pilot, Pick)
        await pilot.press("enter")
        await on(pilot, FLOW["network"])
        assert draft_of(pilot) == before


async def test_beginning_anew_has_to_be_chosen() -> None:
    save(Draft(page="network", typed="10.0.0.0/24", said={"name": "mine"}))
    async with opened() as pilot:
        await chosen(pilot, "1")
        await on(pilot, Pick)
        await pilot.press("down", "enter")
        await on(pilot, FLOW["hosts"])
        assert load_saved() == new()


AT_WORK = replace(filled("install"), run="one")
AT_STAKE: dict[str, tuple[Draft, Draft, bool]] = {
    "nothing was said": (new(), new(), False),
    "nothing was said of a verification": (verifying(), new(), False),
    "where to look": (replace(new(), typed="10.0.0.0/24"), new(), True),
    "a file": (replace(new(), file="a.toml"), new(), True),
    "hosts": (replace(new(), candidates=(Candidate("10.0.0.1"),)), new(), True),
    "a name": (new().put("name", "mine"), new(), True),
    "a name, of a verification": (verifying().put("name", "mine"), new(), True),
    "the run that is gone on with": (AT_WORK, AT_WORK, False),
    "another run": (AT_WORK, replace(AT_WORK, run="another"), True),
}


@pytest.mark.parametrize(("before", "draft", "so"), AT_STAKE.values(), ids=AT_STAKE)
def test_a_draft_in_which_nothing_is_said_is_no_loss(before: Draft, draft: Draft, so: bool) -> None:
    assert loses_work(before, draft) is so


async def test_where_nothing_is_lost_nothing_is_asked() -> None:
    save(verifying())
    async with opened() as pilot:
        await chosen(pilot, "1")
        await on(pilot, FLOW["hosts"])


async def test_escape_from_the_hosts_and_back_loses_nothing() -> None:
    before = replace(new(), typed="10.0.0.0/24")
    save(before)
    async with opened(before, trusted=False) as pilot:
        await on(pilot, FLOW["hosts"])
        await pilot.press("escape")
        await chosen(pilot, "1")
        await on(pilot, Pick)
        await pilot.press("enter")
        await on(pilot, FLOW["hosts"])
        assert draft_of(pilot).typed == before.typed


# To verify.


async def test_to_verify_asks_for_hosts_and_network_and_nothing_else() -> None:
    async with opened() as pilot:
        await chosen(pilot, "3")
        await on(pilot, FLOW["hosts"])
        draft = draft_of(pilot)
        assert (draft.goal, draft.stops) == ("verify", ("hosts", "network", "verify"))
        assert "> Hosts    Network    Verify" in shown(pilot.app)


async def test_back_from_a_verification_are_its_own_pages_only() -> None:
    draft = replace(filled("verify"), goal="verify", stops=("hosts", "network", "verify"))
    async with opened(draft) as pilot:
        for page in ("verify", "network", "hosts"):
            await on(pilot, FLOW[page])
            await pilot.press("escape")
        await on(pilot, WelcomePage)


# An answer file.


async def test_an_answer_file_opens_where_it_leaves_something_open(state_home: Path) -> None:
    """It takes no kept draft's place unasked: the second one is chosen where the first was kept."""
    text = repeat(practice_answers(4))
    (state_home / "whole.toml").write_text(text)
    (state_home / "open.toml").write_text(text.replace('cidr = "10.16.0.0/16"', ""))
    for name, page, asked in (("~/whole.toml", "review", False), (" open.toml ", "network", True)):
        async with opened() as pilot:
            await chosen(pilot, "2")
            await on(pilot, OpenFile)
            pilot.app.screen.query_one(Input).value = name
            await pilot.press("enter")
            if asked:
                await on(pilot, Pick)
                await pilot.press("down", "enter")
            await on(pilot, FLOW[page])
            assert draft_of(pilot).file == name.strip()
            assert draft_of(pilot).chosen[0].name == "fed-master"


REFUSED = {
    None: "there is no such file",
    "version = 1\nsurprise = 2\n": "surprise",
    "[[[": "write `key = ",
    "version = 2\n": "version",
}


async def test_a_file_that_will_not_do_is_refused_in_its_own_words(state_home: Path) -> None:
    async with opened() as pilot:
        await chosen(pilot, "2")
        await on(pilot, OpenFile)
        await pilot.press("enter")
        await until(pilot, lambda: "give the path of an answer file" in shown(pilot.app))
        await type_in(pilot, "a.toml")
        for text, why in REFUSED.items():
            assert why not in shown(pilot.app)
            if text is not None:
                (state_home / "a.toml").write_text(text)
            await pilot.press("enter")
            await until_shown(pilot, why)
            assert "one thing to be corrected first" in shown(pilot.app)
            await pilot.press("x")
            assert why not in shown(pilot.app)
            await pilot.press("backspace")
        await pilot.press("escape")
        await on(pilot, WelcomePage)


async def test_forty_refusals_are_all_there_to_be_read(state_home: Path) -> None:
    wrong = "".join(f"x{number} = 1\n" for number in range(40))
    (state_home / "a.toml").write_text(f"version = 1\n{wrong}")
    async with opened() as pilot:
        await chosen(pilot, "2")
        await on(pilot, OpenFile)
        await type_in(pilot, "a.toml")
        await pilot.press("enter")
        await until(pilot, lambda: "40 things to be corrected first" in shown(pilot.app))
        assert "x0" in shown(pilot.app)
        assert "esc Close" in shown(pilot.app)
        await pilot.press(*["pagedown"] * 30)
        assert "x39" in shown(pilot.app)
        assert isinstance(pilot.app.focused, Input)
        await pilot.press(*["up"] * 3, *["pageup"] * 30)
        assert "x0" in shown(pilot.app)


# Practice.


async def test_a_practice_cluster_with_the_fault_that_is_chosen_leaves_a_real_draft() -> None:
    """It asks nothing about it."""
    before = Draft(page="network", typed="10.0.0.0/24", said={"name": "mine"})
    save(before)
    async with opened() as pilot:
        await chosen(pilot, "5")
        await on(pilot, Pick)
        await pilot.press("down", "down", "enter")
        await on(pilot, FLOW["hosts"])
        assert draft_of(pilot).practice == "v2-only"
        assert load_saved() == before


async def test_a_kept_practice_cluster_is_offered_first() -> None:
    before = filled("network", "overlap")
    save(before)
    async with opened(trusted=False) as pilot:
        await chosen(pilot, "5")
        await on(pilot, Pick)
        assert "Continue where you were: Network" in shown(pilot.app)
        assert "overlap: practice, 4 hosts chosen" in shown(pilot.app)
        await pilot.press("enter")
        await on(pilot, FLOW["network"])
        assert draft_of(pilot) == before


async def test_escape_leads_back_to_the_first_page() -> None:
    async with opened() as pilot:
        for number in "25":
            await chosen(pilot, number)
            await until(pilot, lambda: not isinstance(pilot.app.screen, WelcomePage))
            await pilot.press("escape")
        await on(pilot, WelcomePage)
        assert load_saved() is None


# As it looks.


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("look", ["refused", "kept", "practice"])
def test_it_looks(
    look: str,
    size: tuple[int, int],
    snap_compare: Any,  # noqa: ANN401
    state_home: Path,
) -> None:
    if look == "kept":
        save(Draft(page="network", typed="10.0.0.0/24", said={"name": "mine"}))
    (state_home / "a.toml").write_text("version = 1\nsurprise = 2\n[network]\ncidrr = 1\n")

    async def before(pilot: Pilot[Any]) -> None:
        await chosen(pilot, {"refused": "2", "kept": "1", "practice": "5"}[look])
        await on(pilot, OpenFile if look == "refused" else Pick)
        if look == "refused":
            await type_in(pilot, "a.toml")
            await pilot.press("enter")
            await until(pilot, lambda: "to be corrected first" in shown(pilot.app))

    assert snap_compare(wizard(), terminal_size=size, run_before=still(before))
