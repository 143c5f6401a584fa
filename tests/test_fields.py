"""Forms made of declarations: each kind of question, what is refused, the way through by keys."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fedwiz.answers import QUESTIONS, Question
from fedwiz.draft import Candidate, Draft
from screens.fields import Choice, Field, Form, asked, taken
from screens.frame import Said
from screens.page import Help
from tests.wizard import SIZES, filled, on, opened, shown, still, type_in, until, wizard

SECTIONS = ("ssh", "etcd", "network", "flannel", "docker", "verify")
MANY = (*asked("ssh"), *asked("etcd"), *asked("flannel"))
"""More questions than fit on any screen."""


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def question(path: str) -> Question:
    return next(it for it in QUESTIONS if it.path == path)


def text(pilot: Pilot[Any]) -> str:
    """The screen, as one line."""
    return " ".join(shown(pilot.app).split())


async def form(pilot: Pilot[Any], questions: tuple[Question, ...], draft: Draft) -> list[Any]:
    """Open a form; where its answers will be."""
    given = list[Any]()
    await pilot.app.push_screen(Form("Questions", questions, draft), given.append)
    await on(pilot, Form)
    return given


def focused(pilot: Pilot[Any]) -> Field:
    """The field that has the focus."""
    return next(it for it in pilot.app.screen.query(Field) if it.has_focus_within)


def refusals(pilot: Pilot[Any]) -> dict[str, str]:
    """What is said to be wrong, by path."""
    fields = pilot.app.screen.query(Field)
    assert all(it.query_one(Said).display == bool(it.why) for it in fields)
    return {it.question.path: it.why for it in fields if it.why}


# Which questions.


def test_a_section_s_questions_are_those_of_the_chosen_backend() -> None:
    paths = [it.path for it in asked("backend", "udp", but=["backend.type"])]
    assert paths == ["backend.port"]
    assert [it.path for it in asked("backend", "host-gw")] == ["backend.type"]
    assert [it.path for it in asked("docker")] == ["docker.switch", "docker.ready_within"]


def test_of_what_a_form_gives_only_its_own_answers_are_taken() -> None:
    now = Draft(page="network", said={"ssh": {"user": "a", "port": 1}})
    given = Draft(page="hosts", said={"ssh": {"user": "b"}, "docker": {"switch": "reboot"}})
    draft = taken(now, given, asked("ssh"))
    assert draft == Draft(page="network", said={"ssh": {"user": "b"}})


# What is typed.

TYPED: dict[str, tuple[str, list[str], object, str]] = {
    "text": ("ssh.user", ["admin"], "admin", ""),
    "text with blanks": ("ssh.user", ["<space>", "root", "<space>"], "root", ""),
    "text that is wrong": ("ssh.user", ["-x"], "-x", "'-x': "),
    "text taken back": ("ssh.user", ["ab", "<backspace>", "<backspace>"], None, ""),
    "number": ("ssh.port", ["2222"], 2222, ""),
    "number out of range": ("ssh.port", ["0"], 0, "0: a number from 1 to 65535"),
    "no number": ("ssh.port", ["22x"], "22x", "'22x' is no number; write one such as 22"),
    "half a number": ("ssh.width", ["1.5"], "1.5", "'1.5' is no number; write one such as 50"),
    "very large": ("ssh.port", ["9" * 40], int("9" * 40), "a very large number: a number from"),
    "list": ("etcd.endpoints", ["http://a:1 http://b:1"], ["http://a:1", "http://b:1"], ""),
    "list with quotes": ("ssh.identity", ["'a b' c"], ["a b", "c"], ""),
    "an open quote": ("ssh.identity", ["'a b"], "'a b",
                      "\"'a b\": a quotation mark is left open; close it"),
    "a wrong one in a list": ("etcd.endpoints", ["ftp://a"], ["ftp://a"], "http:// or https://"),
    "no list": ("flannel.options", ['""'], [], ""),
    "markup": ("verify.image", ["[/x]"], "[/x]", "'[/x]': a container image"),
    "choice": ("ssh.sudo", ["<right>"], "nopasswd", ""),
    "choice, too far": ("ssh.sudo", ["<right>", "<right>", "<right>", "<left>"], "nopasswd", ""),
    "choice, in a circle": ("ssh.sudo", ["<space>", "<space>", "<space>"], None, ""),
    "flag": ("network.allow_public", ["<space>"], True, ""),
    "flag taken back": ("network.allow_public", ["<right>", "<left>"], None, ""),
}  # fmt: skip
"""A question, the keys, what the draft has then, and what is said against it."""


@pytest.mark.parametrize("case", TYPED)
async def test_what_is_typed_goes_into_the_draft(case: str) -> None:
    path, keys, value, why = TYPED[case]
    async with opened() as pilot:
        await form(pilot, (question(path),), filled("network"))
        for key in keys:
            if key.startswith("<"):
                await pilot.press(key.strip("<>"))
            else:
                await write(pilot, key)
        screen: Any = pilot.app.screen
        assert screen._draft.get(path) == value  # noqa: SLF001 - it is given only when it is right
        said = refusals(pilot).get(path, "")
        assert said.startswith(why) if why.endswith(": ") else why in said
        assert bool(said) == bool(why)


async def write(pilot: Pilot[Any], said: str) -> None:
    """Type a text with signs that have no short name as keys."""
    odd = {"'": "apostrophe", '"': "quotation_mark", "[": "left_square_bracket",
           "]": "right_square_bracket"}  # fmt: skip
    for letter in said:
        if letter in odd:
            await pilot.press(odd[letter])
        else:
            await type_in(pilot, letter)


STOOD: dict[str, tuple[str, object, object, str]] = {
    "number in quotes": ("ssh.port", "22", 22, ""),
    "number for a text": ("ssh.user", 7, "7", ""),
    "text for a list": ("ssh.identity", "a b", ["a", "b"], ""),
    "empty list": ("flannel.options", [], [], ""),
    "text for a flag": ("network.allow_public", "yes", "yes", "neither yes nor no; Space chooses"),
    "truth for a number": ("ssh.port", True, "True", "'True' is no number"),
    "no such choice": ("ssh.sudo", "always", "always", "it is one of no, nopasswd, ask"),
    "default, said": ("ssh.sudo", "no", "no", ""),
}
"""A question, what an answer file said to it, what that becomes, and what is said against it."""


@pytest.mark.parametrize("case", STOOD)
async def test_what_stood_there_is_shown_and_judged(case: str) -> None:
    path, stood, becomes, why = STOOD[case]
    async with opened() as pilot:
        await form(pilot, (question(path),), filled("network").put(path, stood))
        await pilot.pause()
        screen: Any = pilot.app.screen
        assert screen._draft.get(path) == becomes  # noqa: SLF001 - it is given only when right
        assert why in refusals(pilot).get(path, "")
        assert bool(why) == bool(refusals(pilot))


async def test_nothing_is_changed_by_looking() -> None:
    draft = filled("network").put("ssh.sudo", "no").put("ssh.port", 22)
    draft = draft.put("flannel.options", []).put("etcd.endpoints", ["http://a:1"])
    async with opened() as pilot:
        given = await form(pilot, MANY, draft)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: given)
        assert given == [draft]


async def test_a_default_is_shown_and_is_not_an_answer() -> None:
    async with opened() as pilot:
        await form(pilot, MANY, filled("network"))
        shadows = {
            it.question.path: it.query_one(Input).placeholder
            for it in pilot.app.screen.query(Field)
            if it.question.kind not in ("choice", "flag")
        }
        assert shadows["ssh.user"] == "root"
        assert shadows["ssh.port"] == "22"
        assert shadows["etcd.endpoints"] == "such as http://fed-master:2379"
        assert shadows["flannel.options"] == "-ip-masq"
        assert {it.value for it in pilot.app.screen.query(Input)} == {""}


# Choices.


async def test_a_choice_is_seen_without_colours() -> None:
    async with opened() as pilot:
        await form(pilot, asked("ssh"), filled("network"))
        choice = pilot.app.screen.query_one(Choice)
        assert choice.render().plain == "(*) no   ( ) nopasswd   ( ) ask"
        choice.focus()
        await pilot.press("right")
        assert choice.render().plain == "( ) no   (*) nopasswd   ( ) ask"


@pytest.mark.parametrize(
    ("at", "chosen"), [(0, "no"), (5, "no"), (9, "nopasswd"), (20, "nopasswd"), (24, "ask")]
)
async def test_a_choice_is_clicked(at: int, chosen: str) -> None:
    async with opened() as pilot:
        await form(pilot, (question("ssh.sudo"),), filled("network").put("ssh.sudo", "odd"))
        await pilot.click(Choice, offset=(at, 0))
        screen: Any = pilot.app.screen
        assert screen._draft.get("ssh.sudo") == (None if chosen == "no" else chosen)  # noqa: SLF001
        assert f"(*) {chosen}" in screen.query_one(Choice).render().plain


@pytest.mark.parametrize(("key", "chosen"), [("left", "ask"), ("right", None), ("space", None)])
async def test_where_nothing_is_chosen_each_key_chooses(key: str, chosen: str | None) -> None:
    async with opened() as pilot:
        await form(pilot, (question("ssh.sudo"),), filled("network").put("ssh.sudo", "odd"))
        await pilot.press(key)
        screen: Any = pilot.app.screen
        assert screen._draft.get("ssh.sudo") == chosen  # noqa: SLF001 - given only when right
        assert refusals(pilot) == {}


# The way through.


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", ["tab", "enter"])
async def test_every_field_is_reached_in_order_and_wholly_seen(
    key: str, size: tuple[int, int]
) -> None:
    async with opened(size=size) as pilot:
        await form(pilot, MANY, filled("network"))
        for it in MANY:
            await pilot.pause()
            field = focused(pilot)
            assert field.question == it
            seen = pilot.app.screen.query_one("#questions").region
            assert seen.contains_region(field.region), it.path
            await pilot.press(key)


async def test_enter_in_the_last_field_gives_the_answers() -> None:
    async with opened() as pilot:
        given = await form(pilot, asked("ssh"), filled("network"))
        await type_in(pilot, "admin")
        for _ in asked("ssh")[1:]:
            await pilot.press("enter")
            assert given == []
        await pilot.press("enter")
        await until(pilot, lambda: given)
        assert given == [filled("network").put("ssh.user", "admin")]


@pytest.mark.parametrize("key", ["ctrl+n", "enter"])
async def test_nothing_wrong_is_given(key: str) -> None:
    async with opened() as pilot:
        given = await form(pilot, asked("ssh"), filled("network"))
        await pilot.press("tab", "x", "tab", "tab", "tab", "tab", "0", "tab", key)
        await pilot.pause()
        assert given == []
        assert "X 2 answers to be put right first" in text(pilot)
        assert focused(pilot).question.path == "ssh.port"
        await pilot.press("backspace", "7", "ctrl+n")
        await pilot.pause()
        assert "X one answer to be put right first" in text(pilot)
        assert focused(pilot).question.path == "ssh.width"
        await pilot.press("backspace")
        assert "to be put right" not in text(pilot)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: given)
        assert given[0].said["ssh"] == {"port": 7}


async def test_escape_leaves_everything_as_it_was() -> None:
    async with opened() as pilot:
        given = await form(pilot, asked("ssh"), filled("network"))
        await type_in(pilot, "admin")
        await pilot.press("escape")
        await until(pilot, lambda: given)
        assert given == [None]


async def test_a_form_begins_where_something_is_wrong() -> None:
    async with opened() as pilot:
        draft = filled("network").put("flannel.source", "rpm")
        await form(pilot, asked("flannel"), draft)
        assert focused(pilot).question.path == "flannel.path"
        assert refusals(pilot)["flannel.path"] == "'': source = \"rpm\" needs it; give the file"


async def test_what_one_answer_makes_wrong_of_another_is_said_there() -> None:
    async with opened() as pilot:
        await form(pilot, asked("flannel"), filled("network"))
        assert refusals(pilot) == {}
        await pilot.press("right")
        assert set(refusals(pilot)) == {"flannel.path", "flannel.sha256"}
        await pilot.press("left")
        assert refusals(pilot) == {}


async def test_a_form_says_its_keys() -> None:
    async with opened() as pilot:
        await form(pilot, asked("ssh"), filled("network"))
        footer = shown(pilot.app).splitlines()[-1].lower()
        for key in ("esc as it was", "^n accept", "f1 help"):
            assert key in footer
        await pilot.press("f1")
        await on(pilot, Help)
        assert "Tab or Enter leads to the next field" in text(pilot)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("section", SECTIONS)
async def test_every_section_is_a_form(section: str, size: tuple[int, int]) -> None:
    async with opened(size=size) as pilot:
        given = await form(pilot, asked(section), filled("network"))
        assert asked(section)[0].title in shown(pilot.app)
        assert refusals(pilot) == {}
        dialog = pilot.app.screen.query_one("#dialog").region
        assert pilot.app.screen.region.contains_region(dialog)
        assert dialog.contains_region(pilot.app.screen.query_one("#said").region)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: given)


def test_200_hosts_are_judged_at_every_key() -> None:
    hosts = tuple(
        Candidate(f"192.168.{120 + at // 250}.{1 + at % 250}", f"fed-{at}", chosen=True,
                  role="node" if at else "master")
        for at in range(200)
    )  # fmt: skip
    draft = replace(filled("network"), candidates=hosts)
    assert draft.refusals() == {}
    took = []
    for _ in range(5):
        began = time.process_time()
        draft.refusals()
        took.append(time.process_time() - began)
    # 5 ms on a machine that does nothing else; one that does is given some room.
    assert min(took) < 0.03


STATES: dict[str, tuple[tuple[Question, ...], Draft, tuple[str, ...]]] = {
    "ssh": (asked("ssh"), filled("network"), ()),
    "many": (MANY, filled("network").put("etcd.prefix", "x"), ("tab", "tab")),
    "refused": (asked("flannel"), filled("network"), ("right", "ctrl+n")),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda it: f"{it[0]}x{it[1]}")
@pytest.mark.parametrize("state", STATES)
def test_snapshot(state: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    questions, draft, keys = STATES[state]

    async def wait(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        await form(pilot, questions, draft)
        await pilot.press(*keys)

    assert snap_compare(wizard(), terminal_size=size, run_before=still(wait))
