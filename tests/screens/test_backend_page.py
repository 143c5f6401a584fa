"""The page Backend: how each backend is judged, and that no option is lost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from fedwiz.model.backends import BACKENDS
from fedwiz.wizard.draft import Draft, load_saved
from screens.dialogs.dialog import Help
from screens.pages.backend import BackendPage
from screens.pages.flow import FLOW
from screens.pages.judged_page import Choices
from screens.widgets.form import Field
from tests.support.pilot import SIZES, filled, on, opened, resize, shown, still, type_in, until
from tests.support.practice_wizard import (
    Bend,
    apart,
    app_on,
    at_work,
    cluster,
    judged,
    small,
    untouched,
)

NAMES = list(BACKENDS)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def text(pilot: Pilot[Any]) -> str:
    """The screen, as one line."""
    return " ".join(shown(pilot.app).split())


def rows(pilot: Pilot[Any]) -> dict[str, str]:
    """What the list says of each backend, its sign and its word."""
    found = {}
    for option in pilot.app.screen.query_one(Choices).options:
        prompt: Any = option.prompt
        mark, name, *state = prompt.plain.replace("( )", "-").split()
        found[name] = f"{mark} {' '.join(state[:2])}"
    return found


def findings(pilot: Pilot[Any]) -> str:
    """All findings, as one line; some of them may have to be scrolled to."""
    content: Any = pilot.app.screen.query_one("#findings", Static).content
    return " ".join(content.plain.split())


def said(pilot: Pilot[Any]) -> Any:  # noqa: ANN401 - any of TOML's types
    """What the draft has of the backend; the one on disk, where there is one, is the same."""
    app: Any = pilot.app
    held = load_saved(app.draft.practice)
    assert held is None or (held.said, held.held) == (app.draft.said, app.draft.held)
    return app.draft.said.get("backend")


async def to(pilot: Pilot[Any], name: str) -> None:
    """Put the cursor on a backend, by keys."""
    pilot.app.screen.query_one(Choices).focus()
    await pilot.press("home", *["down"] * NAMES.index(name))


async def field(pilot: Pilot[Any], path: str) -> Field:
    """To the field of a question, by Tab; in it everything is selected."""
    found = next(it for it in pilot.app.screen.query(Field) if it.question.path == path)
    while not found.has_focus_within:
        await pilot.press("tab")
    await pilot.press("end", "ctrl+u")
    return found


# How they are judged.


async def test_a_firewall_s_ports_are_named() -> None:
    async with at_work(filled("backend", "firewalld")) as pilot:
        assert "firewalld: 8472/udp will be opened" in findings(pilot)
        box = await field(pilot, "backend.port")
        await type_in(pilot, "4789")
        assert box.question.path == "backend.port"
        assert said(pilot) == {"port": 4789}
        assert "firewalld: 4789/udp will be opened" in findings(pilot)


async def test_while_the_hosts_are_read_nothing_is_judged() -> None:
    async with opened(replace(filled("backend"), pace=1000.0)) as pilot:
        await on(pilot, BackendPage)
        await until(pilot, lambda: "reading 0 of 4 hosts" in shown(pilot.app))
        assert rows(pilot) == dict.fromkeys(NAMES, "- ~ reading") | {"vxlan": "(*) ~ reading"}
        await pilot.press("ctrl+n")
        assert "being read: wait" in text(pilot)
        await pilot.press("escape")
        await on(pilot, FLOW["network"])


async def test_a_key_reads_the_hosts_again() -> None:
    async with at_work(filled("backend")) as pilot:
        app: Any = pilot.app
        small(cluster(app))
        await pilot.press("f5")
        await until(pilot, lambda: rows(pilot)["vxlan"] == "(*) ! warn")


async def test_without_hosts_nothing_is_judged() -> None:
    async with at_work(replace(filled("backend"), candidates=())) as pilot:
        assert set(rows(pilot).values()) == {"(*) ? unknown", "- ? unknown"}
        assert "not judged against the hosts" in findings(pilot)


# What is chosen, and its options.


async def test_a_backend_is_chosen_by_enter_and_by_space() -> None:
    async with at_work(filled("backend")) as pilot:
        assert pilot.app.screen.query_one(Choices).has_focus
        assert rows(pilot) == dict.fromkeys(NAMES, "- + ok") | {"vxlan": "(*) + ok"}
        assert "containers get 1450" in findings(pilot)
        await to(pilot, "ipip")
        assert said(pilot) is None, "looking at it is not choosing it"
        assert not pilot.app.screen.query_one("#options").display, "they are another one's"
        await pilot.press("enter")
        assert said(pilot) == {"type": "ipip"}
        assert rows(pilot)["ipip"] == "(*) + ok"
        assert rows(pilot)["vxlan"] == "- + ok"
        paths = [it.question.path for it in pilot.app.screen.query(Field)]
        assert paths == ["backend.direct_routing"]
        await to(pilot, "udp")
        await pilot.press("space")
        assert said(pilot) == {"type": "udp"}
        assert rows(pilot)["udp"] == "(*) + ok"
        assert rows(pilot)["ipip"] == "- + ok"
        assert [it.question.path for it in pilot.app.screen.query(Field)] == ["backend.port"]
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["interfaces"])


async def test_options_come_back_with_their_backend() -> None:
    async with at_work(filled("backend")) as pilot:
        await field(pilot, "backend.vni")
        await type_in(pilot, "42")
        await field(pilot, "backend.port")
        await type_in(pilot, "wrong")
        await to(pilot, "udp")
        await pilot.press("enter")
        assert said(pilot) == {"type": "udp"}
        await field(pilot, "backend.port")
        await type_in(pilot, "9000")
        await to(pilot, "vxlan")
        assert "X block" in rows(pilot)["vxlan"]
        await pilot.press("enter")
        assert said(pilot) == {"type": "vxlan", "vni": 42, "port": "wrong"}
        values = [it.value for it in pilot.app.screen.query(Input)]
        assert values[:2] == ["42", "wrong"]
    held = load_saved("healthy")
    assert held is not None
    async with at_work(held) as pilot:
        await to(pilot, "udp")
        await pilot.press("enter")
        assert said(pilot) == {"type": "udp", "port": 9000}
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["interfaces"])
        await pilot.press("escape")
        await judged(pilot)
        assert rows(pilot)["udp"].startswith("(*)")
        assert pilot.app.screen.query_one(Input).value == "9000"


async def test_a_wrong_option_is_refused_at_its_field() -> None:
    async with at_work(filled("backend")) as pilot:
        await field(pilot, "backend.vni")
        await type_in(pilot, "99999999")
        assert "it is 1 or a number from 1 to 9999999" in text(pilot)
        await pilot.press("backspace", "x")
        assert said(pilot) == {"vni": "9999999x"}
        assert "'9999999x' is not a number; write one such as 1" in text(pilot)
        pilot.app.screen.query_one(Choices).focus()
        await pilot.press("ctrl+n")
        assert "X Which VXLAN network identifier?" in text(pilot)
        assert next(iter(pilot.app.screen.query(Field))).has_focus_within
        await pilot.press("end", "backspace", "ctrl+n")
        await on(pilot, FLOW["interfaces"])


async def test_what_the_chosen_one_can_t_do_here_stops_the_operator() -> None:
    async with at_work(filled("backend", backend={"type": "host-gw"}), apart) as pilot:
        assert rows(pilot)["host-gw"] == "(*) X block"
        assert rows(pilot)["vxlan"] == "- + ok"
        assert "host-gw needs one link, and the nodes are on 2" in findings(pilot)
        await to(pilot, "vxlan")
        await pilot.press("ctrl+n")
        last = " ".join(shown(pilot.app).splitlines()[-4:])
        assert "X host-gw needs one link" in last
        assert "set backend.type to vxlan" in " ".join(last.split())
        assert pilot.app.screen.query_one(Choices).highlighted == NAMES.index("host-gw")
        await to(pilot, "vxlan")
        await pilot.press("enter", "ctrl+n")
        await on(pilot, FLOW["interfaces"])


async def test_a_backend_that_there_is_not_is_put_right_by_choosing() -> None:
    async with at_work(filled("backend", backend={"type": "ipsec"})) as pilot:
        await pilot.press("ctrl+n")
        said_last = " ".join(text(pilot).rpartition(" X ")[2].split())
        assert "not offered, since its pre-shared key" in said_last
        await to(pilot, "host-gw")
        await pilot.press("enter", "ctrl+n")
        await on(pilot, FLOW["interfaces"])
        assert said(pilot) == {"type": "host-gw"}
        app: Any = pilot.app
        assert app.draft.refusals() == {}


async def test_every_key_is_explained_and_a_terminal_too_small_loses_nothing() -> None:
    async with at_work(filled("backend")) as pilot:
        before = shown(pilot.app)
        footer = before.splitlines()[-1].lower()
        for key in ("choose", "esc", "^n", "f5", "f1 help"):
            assert key in footer
        await pilot.press("f1")
        await on(pilot, Help)
        assert "flannel carries packets between containers" in text(pilot)
        await pilot.press("escape")
        await on(pilot, BackendPage)
        await resize(pilot, 20, 5)
        await pilot.press("down", "enter")
        await resize(pilot, 80, 24)
        await until(pilot, lambda: shown(pilot.app) == before)


STATES: dict[str, tuple[Draft, Bend, tuple[str, ...]]] = {
    "healthy": (filled("backend"), untouched, ()),
    "blocked": (filled("backend", backend={"type": "host-gw"}), apart, ("ctrl+n",)),
    "refused": (filled("backend", backend={"vni": 0}), small, ("tab", "tab")),
    "firewall": (filled("backend", "firewalld", size=100), untouched, ("down", "down", "enter")),
    "lost": (filled("backend", "unreachable"), untouched, ()),
}
"""What a snapshot shows: the draft, what is changed on the machines, and the keys."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
def test_snapshot(state: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    draft, bend, keys = STATES[state]

    async def wait(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        await judged(pilot)
        await pilot.press(*keys)

    assert snap_compare(app_on(draft, bend), terminal_size=size, run_before=still(wait))
