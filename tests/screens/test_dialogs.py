"""The small questions above a page: safe at first, and never larger than the terminal."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from screens.dialogs.basic import Ask, Confirm, Pick, TypeName
from screens.dialogs.dialog import Dialog
from screens.pages.welcome import WelcomePage
from tests.support.pilot import SIZES, on, opened, shown, still, type_in, until, wizard

LONG = "\n".join(f"line {n:02} of what a host said, and it said a great deal" for n in range(40))
SAFE, SURE = "No, stay", "Yes, go"


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


async def above(pilot: Pilot[Any], dialog: Dialog[Any]) -> list[Any]:
    """Open it above the first page; where its answers will be."""
    given = list[Any]()
    await pilot.app.push_screen(dialog, given.append)
    await until(pilot, lambda: pilot.app.screen is dialog and dialog.is_mounted)
    return given


async def answered(pilot: Pilot[Any], given: list[Any]) -> Any:  # noqa: ANN401 - of any dialog
    await until(pilot, lambda: given)
    return given[0]


async def on_line(pilot: Pilot[Any], pattern: str) -> None:
    """Until a line of the screen has it."""
    await until(pilot, lambda: re.search(pattern, shown(pilot.app)))


def keys_of(pilot: Pilot[Any]) -> str:
    """The last line of the screen."""
    return shown(pilot.app).splitlines()[-1]


CONFIRMED: list[tuple[list[str], bool]] = [
    (["enter"], False),
    (["escape"], False),
    (["right", "enter"], True),
    (["left", "enter"], True),
    (["down", "enter"], True),
    (["up", "up", "enter"], False),
    (["tab", "enter"], True),
    (["right", "escape"], False),
]


async def test_confirm_begins_at_no() -> None:
    async with opened() as pilot:
        for keys, answer in CONFIRMED:
            given = await above(pilot, Confirm("Stop?", "It stops.", SURE))
            assert "No" in keys_of(pilot)
            assert "Choose" in keys_of(pilot)
            await pilot.press(*keys)
            assert await answered(pilot, given) is answer, keys


@pytest.mark.parametrize("size", SIZES)
async def test_a_dialog_of_40_lines_fits_the_terminal(size: tuple[int, int]) -> None:
    dialogs: list[Dialog[Any]] = [
        Confirm(LONG, LONG, SURE),
        Ask(LONG, LONG, refuse=lambda _: LONG),
        TypeName(LONG, LONG, "n" * 63),
        Pick(LONG, [(str(n), LONG, LONG) for n in range(40)], text=LONG),
    ]
    async with opened(size=size) as pilot:
        for dialog in dialogs:
            given = await above(pilot, dialog)
            box = dialog.query_one("#dialog").region
            assert 0 <= box.y < box.bottom < size[1], dialog
            assert 0 <= box.x < box.right <= size[0], dialog
            for asked in dialog.query("#buttons, #field, OptionList"):
                assert asked.region.height >= 1, dialog
                assert box.contains_region(asked.region), dialog
            await pilot.press("escape")
            await answered(pilot, given)


async def test_the_text_of_a_dialog_scrolls_while_the_focus_stays() -> None:
    async with opened() as pilot:
        given = await above(pilot, Confirm("Stop?", LONG, SURE))
        assert "line 00" in shown(pilot.app)
        assert "line 39" not in shown(pilot.app)
        assert SURE in shown(pilot.app)
        await pilot.press(*["pagedown"] * 5)
        assert "line 39" in shown(pilot.app)
        await pilot.press(*["pageup"] * 5, "down")
        assert "line 01" in shown(pilot.app)
        assert "line 00" not in shown(pilot.app)
        await pilot.press("up")
        assert "line 00" in shown(pilot.app)
        await pilot.press("enter")
        assert await answered(pilot, given) is False


async def test_above_a_field_the_text_scrolls_too() -> None:
    async with opened() as pilot:
        given = await above(pilot, Ask("What?", LONG))
        await pilot.press("a", *["pagedown"] * 5, "b")
        assert "line 39" in shown(pilot.app)
        await pilot.press("enter")
        assert await answered(pilot, given) == "ab"


async def test_a_refusal_stays_until_the_answer_is_another() -> None:
    async with opened() as pilot:
        ask = Ask("What?", value="no", refuse=lambda text: "" if text == "now" else "not [/that]")
        given = await above(pilot, ask)
        await pilot.press("enter")
        assert "X not [/that]" in shown(pilot.app)
        assert not given
        await pilot.press("w")
        assert "X not" not in shown(pilot.app)
        assert "OK" in keys_of(pilot)
        await pilot.press("enter")
        assert await answered(pilot, given) == "now"


async def test_escape_gives_no_answer() -> None:
    dialogs = (Ask("What?"), TypeName("Sure?", "", "lab"), Pick("Which?", [("a", "A", "")]))
    async with opened() as pilot:
        for dialog in dialogs:
            given = await above(pilot, dialog)
            await pilot.press("escape")
            assert await answered(pilot, given) is None, dialog


async def test_a_secret_is_never_shown_nor_copied() -> None:
    async with opened() as pilot:
        given = await above(pilot, Ask("Password", hidden=True, refuse=lambda t: "" if t else "-"))
        await type_in(pilot, "canary")
        field = pilot.app.screen.query_one(Input)
        field.select_all()
        field.action_copy()
        assert "canary" not in shown(pilot.app) + pilot.app.export_screenshot()
        assert "canary" not in pilot.app.clipboard
        field.action_cut()
        assert "canary" not in pilot.app.clipboard
        assert field.value == ""
        await type_in(pilot, "canary")
        await pilot.press("enter")
        assert await answered(pilot, given) == "canary"


async def test_only_the_exact_name_is_a_yes() -> None:
    async with opened() as pilot:
        given = await above(pilot, TypeName("Stop?", "They stop.", "fedora-lab"))
        for typed in ("", "fedora", "Fedora-lab", "fedora-lab2"):
            await pilot.press("ctrl+u")
            await type_in(pilot, typed)
            assert typed == "" or "exactly" not in shown(pilot.app)
            await pilot.press("enter")
            assert not given
            assert "exactly" in shown(pilot.app), typed
        await pilot.press("ctrl+u")
        await type_in(pilot, "fedora-lab")
        await pilot.press("enter")
        assert await answered(pilot, given) == "fedora-lab"


OPTIONS = [(f"eth{n}", f"eth{n}", f"192.168.122.{n}/24") for n in range(40)]


PICKED = [
    ("", ["enter"], "eth0"),
    ("eth1", ["enter"], "eth1"),
    ("gone", ["down", "enter"], "eth1"),
    ("eth1", ["end", "enter"], "eth39"),
    ("eth39", ["up", "enter"], "eth38"),
]
"""What is chosen already, the keys, and what is picked."""


async def test_pick_begins_at_what_is_chosen() -> None:
    async with opened() as pilot:
        for chosen, keys, answer in PICKED:
            given = await above(pilot, Pick("Which?", OPTIONS, chosen))
            if chosen in {name for name, _, _ in OPTIONS}:
                await on_line(pilot, rf"│ {chosen} ")
            await pilot.press(*keys)
            assert await answered(pilot, given) == answer, chosen


async def test_pick_without_options_is_closed_by_escape_only() -> None:
    async with opened() as pilot:
        given = await above(pilot, Pick("Which?", []))
        await pilot.press("enter")
        assert not given
        await pilot.press("escape")
        assert await answered(pilot, given) is None


async def test_enter_twice_at_once_answers_one_question() -> None:
    async with opened() as pilot:
        below = Screen[None]()
        await pilot.app.push_screen(below)
        for dialog in (Confirm("Stop?", "", SURE), Ask("What?"), Pick("Which?", OPTIONS)):
            given = await above(pilot, dialog)
            for _ in range(2):
                pilot.app.post_message(events.Key("enter", "\r"))
            await answered(pilot, given)
            await pilot.pause()
            assert len(given) == 1, dialog
            assert pilot.app.screen is below, dialog


async def test_enter_never_overtakes_the_keys_before_it() -> None:
    pasted: list[tuple[Dialog[Any], list[str], object]] = [
        (Confirm("Stop?", "", SURE), ["right"], True),
        (Ask("What?"), ["f", "e", "d"], "fed"),
        (Ask("Password", hidden=True), ["f", "e", "d"], "fed"),
        (Pick("Which?", OPTIONS), ["end", "up"], "eth38"),
    ]
    async with opened() as pilot:
        for dialog, keys, answer in pasted:
            given = await above(pilot, dialog)
            for key in [*keys, "enter"]:  # as fast as a paste
                pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
            assert await answered(pilot, given) == answer, dialog


async def test_what_a_host_said_moves_no_cursor_and_is_no_markup() -> None:
    foul = "[/red] \x1b[2J\x1b]0;owned\x07gone"
    async with opened() as pilot:
        for dialog in (
            Confirm(foul, foul, SURE),
            Ask(foul, foul, placeholder=foul),
            Pick(foul, [("a", foul, foul)], text=foul),
        ):
            given = await above(pilot, dialog)
            assert "[/red] gone" in shown(pilot.app), dialog
            assert "\x1b" not in shown(pilot.app), dialog
            assert "owned" not in shown(pilot.app), dialog
            await pilot.press("escape")
            await answered(pilot, given)


def dialogs() -> dict[str, Callable[[], Dialog[Any]]]:
    stops = (
        "Containers will stop on 2 hosts:\n  fed-node1    2 containers\n  fed-node2   12 containers"
    )
    return {
        "confirm": lambda: Confirm("Do all this?", "3 hosts, 36 operations.", "Yes, begin"),
        "confirm-long": lambda: Confirm("Do all this?", LONG, "Yes, begin"),
        "type": lambda: TypeName("Containers will stop", stops, "fedora-lab"),
        "pick": lambda: Pick(
            "Interface of fed-node1", OPTIONS, "eth3", "Its address is published."
        ),
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", dialogs())
def test_how_dialogs_look(snap_compare: Any, name: str, size: tuple[int, int]) -> None:  # noqa: ANN401
    dialog = dialogs()[name]()

    async def wait(pilot: Pilot[Any]) -> None:
        await on(pilot, WelcomePage)
        pilot.app.push_screen(dialog)
        await on(pilot, type(dialog))

    assert snap_compare(wizard(), terminal_size=size, run_before=still(wait))
