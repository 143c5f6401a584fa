"""Forms made of declarations: each kind of question, what is refused, the way through by keys."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fedwiz.answers.file import QUESTIONS, Question
from fedwiz.answers.questions import from_text
from fedwiz.wizard.draft import Candidate, Draft
from screens.dialogs.dialog import Help
from screens.dialogs.form import Form
from screens.widgets.form import ChoiceField, Field, copy_answers, refusal, section_questions, typed
from screens.widgets.frame import StatusLine
from tests.support.line_count import lines
from tests.support.pilot import (
    SIZES,
    filled,
    on,
    opened,
    shown,
    still,
    type_in,
    until,
    wizard,
)

SECTIONS = ("ssh", "etcd", "network", "flannel", "docker", "verify")
MANY = (*section_questions("ssh"), *section_questions("etcd"), *section_questions("flannel"))
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
    given, dialog = list[Any](), Form("Questions", questions, draft)
    await pilot.app.push_screen(dialog, given.append)
    await until(pilot, lambda: pilot.app.screen is dialog and dialog.is_mounted)
    return given


def answers(pilot: Pilot[Any]) -> Draft:
    """The draft as the form has it."""
    screen: Any = pilot.app.screen
    draft: Draft = screen._draft  # noqa: SLF001 - it is given only when it is right
    return draft


def focused(pilot: Pilot[Any]) -> Field:
    """The field that has the focus."""
    return next(it for it in pilot.app.screen.query(Field) if it.has_focus_within)


def refusals(pilot: Pilot[Any]) -> dict[str, str]:
    """What is said to be wrong, by path."""
    fields = pilot.app.screen.query(Field)
    assert all(it.query_one(StatusLine).display == bool(it.why) for it in fields)
    return {it.question.path: it.why for it in fields if it.why}


# Which questions.


def test_a_section_s_questions_are_those_of_the_chosen_backend() -> None:
    paths = [it.path for it in section_questions("backend", "udp", but=["backend.type"])]
    assert paths == ["backend.port"]
    assert [it.path for it in section_questions("backend", "host-gw")] == ["backend.type"]
    assert [it.path for it in section_questions("docker")] == [
        "docker.switch",
        "docker.ready_within",
    ]


def test_of_what_a_form_gives_only_its_own_answers_are_taken() -> None:
    now = Draft(page="network", said={"ssh": {"user": "a", "port": 1}})
    given = Draft(page="hosts", said={"ssh": {"user": "b"}, "docker": {"switch": "reboot"}})
    draft = copy_answers(now, given, section_questions("ssh"))
    assert draft == Draft(page="network", said={"ssh": {"user": "b"}})


# What is typed.

TYPED: dict[str, tuple[str, str, object, str]] = {
    "text": ("ssh.user", "admin", "admin", ""),
    "text with blanks": ("ssh.user", " root ", "root", ""),
    "text that is wrong": ("ssh.user", "-x", "-x", "'-x': "),
    "no text": ("ssh.user", "", None, ""),
    "number": ("ssh.port", "2222", 2222, ""),
    "number out of range": ("ssh.port", "0", 0, "0: a number from 1 to 65535"),
    "no number": ("ssh.port", "22x", "22x", "'22x' is not a number; write one such as 22"),
    "half a number": ("ssh.width", "1.5", "1.5", "'1.5' is not a number; write one such as 50"),
    "very large": ("ssh.port", "9" * 40, int("9" * 40), "a very large number: a number from"),
    "list": ("etcd.endpoints", "http://a:1 http://b:1", ["http://a:1", "http://b:1"], ""),
    "list with quotes": ("ssh.identity", "'a b' c", ["a b", "c"], ""),
    "an open quote": (
        "ssh.identity",
        "'a b",
        "'a b",
        '"\'a b": a quotation mark is left open; close it',
    ),
    "a wrong one in a list": ("etcd.endpoints", "ftp://a", ["ftp://a"], "http:// or https://"),
    "no list": ("flannel.options", '""', [], ""),
    "markup": ("verify.image", "[/x]", "[/x]", "'[/x]': a container image"),
}
"""A question, what is typed, the answer that it is, and what is said against it."""


def against(path: str, answer: object) -> str:
    """What stands below the field of a question with this answer."""
    why = filled("network").put(path, answer).refusals()
    return refusal(question(path), answer, why.get(path, ""))


@pytest.mark.parametrize(("path", "text", "answer", "why"), TYPED.values(), ids=TYPED)
def test_what_is_typed_is_understood_and_judged(
    path: str, text: str, answer: object, why: str
) -> None:
    assert from_text(question(path), text) == answer
    said = against(path, answer)
    assert said.startswith(why) if why.endswith(": ") else why in said
    assert bool(said) == bool(why)


async def test_what_is_typed_goes_into_the_draft_and_is_refused_below_its_field() -> None:
    paths = ("ssh.user", "ssh.port", "ssh.identity", "flannel.options", "verify.image")
    async with opened() as pilot:
        given = await form(pilot, tuple(map(question, paths)), filled("network"))
        await write(pilot, "-x")
        assert answers(pilot).get("ssh.user") == "-x"
        assert refusals(pilot)["ssh.user"].startswith("'-x': ")
        await pilot.press("backspace", "backspace")
        assert answers(pilot).get("ssh.user") is None
        assert refusals(pilot) == {}
        await write(pilot, " root ")
        await pilot.press("tab")
        await write(pilot, "22x")
        assert answers(pilot).get("ssh.port") == "22x"
        assert refusals(pilot) == {"ssh.port": "'22x' is not a number; write one such as 22"}
        await pilot.press("backspace", "tab")
        assert refusals(pilot) == {}
        await write(pilot, "'a b")
        assert "a quotation mark is left open; close it" in text(pilot)
        await write(pilot, "' c")
        assert refusals(pilot) == {}
        await pilot.press("tab")
        await write(pilot, '""')
        await pilot.press("tab")
        await write(pilot, "[/x]")
        assert "X '[/x]': a container image" in text(pilot)
        await pilot.press("ctrl+u", "ctrl+n")
        await until(pilot, lambda: given)
    assert given[0].said == {
        **filled("network").said,
        "ssh": {"user": "root", "port": 22, "identity": ["a b", "c"]},
        "flannel": {"options": []},
        "verify": {},
    }


async def write(pilot: Pilot[Any], said: str) -> None:
    """Type a text with signs that have no short name as keys."""
    odd = {
        "'": "apostrophe",
        '"': "quotation_mark",
        "[": "left_square_bracket",
        "]": "right_square_bracket",
    }
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
    "truth for a number": ("ssh.width", True, "True", "'True' is not a number"),
    "no such choice": ("ssh.sudo", "always", "always", "it is one of no, nopasswd, ask"),
    "default, said": ("docker.switch", "restart", "restart", ""),
}
"""A question, what an answer file said to it, what that becomes, and what is said against it."""


async def test_what_stood_there_is_shown_and_judged() -> None:
    draft = filled("network")
    for path, stood, _, _ in STOOD.values():
        draft = draft.put(path, stood)
    async with opened() as pilot:
        await form(pilot, tuple(question(path) for path, *_ in STOOD.values()), draft)
        await pilot.pause()
        for path, _, becomes, why in STOOD.values():
            assert answers(pilot).get(path) == becomes, path
            said = refusals(pilot).get(path, "")
            assert why in said, path
            assert bool(why) == bool(said), path


def test_an_answer_is_typed_as_it_is_read() -> None:
    for path, text, answer, _ in TYPED.values():
        assert from_text(question(path), typed(answer)) == from_text(question(path), text), path


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


async def test_a_choice_is_moved_by_keys_and_seen_without_colours() -> None:
    async with opened() as pilot:
        questions = question("ssh.sudo"), question("network.allow_public")
        await form(pilot, questions, filled("network"))
        sudo = pilot.app.screen.query_one(ChoiceField)
        assert sudo.render().plain == "(*) no   ( ) nopasswd   ( ) ask"
        await pilot.press("right")
        assert sudo.render().plain == "( ) no   (*) nopasswd   ( ) ask"
        assert answers(pilot).get("ssh.sudo") == "nopasswd"
        await pilot.press("right", "right", "right", "left")  # not beyond the last one
        assert answers(pilot).get("ssh.sudo") == "nopasswd"
        await pilot.press("left")
        for chosen in ("nopasswd", "ask", None):  # in a circle
            await pilot.press("space")
            assert answers(pilot).get("ssh.sudo") == chosen
        await pilot.press("tab", "space")
        assert answers(pilot).get("network.allow_public") is True
        await pilot.press("left")
        assert answers(pilot).get("network.allow_public") is None
        await pilot.press("right", "left")
        assert answers(pilot).get("network.allow_public") is None
        assert refusals(pilot) == {}


async def test_a_choice_is_clicked() -> None:
    # Each click chooses another one than the click before it.
    clicks = ((24, "ask"), (20, "nopasswd"), (5, "no"), (9, "nopasswd"), (0, "no"))
    async with opened() as pilot:
        await form(pilot, (question("ssh.sudo"),), filled("network").put("ssh.sudo", "odd"))
        for at, chosen in clicks:
            await pilot.click(ChoiceField, offset=(at, 0))
            assert answers(pilot).get("ssh.sudo") == (None if chosen == "no" else chosen), at
            assert f"(*) {chosen}" in pilot.app.screen.query_one(ChoiceField).render().plain


async def test_where_nothing_is_chosen_each_key_chooses() -> None:
    keys = {
        "ssh.sudo": ("left", "ask"),
        "etcd.api": ("right", None),
        "docker.switch": ("space", None),
    }
    draft = filled("network")
    for path in keys:
        draft = draft.put(path, "odd")
    async with opened() as pilot:
        await form(pilot, tuple(map(question, keys)), draft)
        assert set(refusals(pilot)) == set(keys)
        for path, (key, chosen) in keys.items():
            await pilot.press(key)
            assert answers(pilot).get(path) == chosen, path
            assert path not in refusals(pilot)
            await pilot.press("tab")


# The way through.


@pytest.mark.parametrize("size", SIZES)
async def test_every_field_is_reached_in_order_and_wholly_seen(size: tuple[int, int]) -> None:
    async with opened(size=size) as pilot:
        await form(pilot, MANY, filled("network"))
        for key in ("tab", "enter"):  # Tab leads from the last one to the first
            for it in MANY:
                await pilot.pause()
                field = focused(pilot)
                assert field.question == it, key
                seen = pilot.app.screen.query_one("#questions").region
                assert seen.contains_region(field.region), it.path
                await pilot.press(key)


async def test_enter_in_the_last_field_gives_the_answers() -> None:
    async with opened() as pilot:
        given = await form(pilot, section_questions("ssh"), filled("network"))
        await type_in(pilot, "admin")
        for _ in section_questions("ssh")[1:]:
            await pilot.press("enter")
            assert given == []
        await pilot.press("enter")
        await until(pilot, lambda: given)
        assert given == [filled("network").put("ssh.user", "admin")]


async def test_nothing_wrong_is_given_neither_by_enter_nor_by_ctrl_n() -> None:
    async with opened() as pilot:
        given = await form(pilot, section_questions("ssh"), filled("network"))
        await pilot.press("tab", "x", "tab", "tab", "tab", "tab", "0", "tab", "enter")
        await pilot.pause()
        assert given == []
        assert "X 2 answers to be corrected first" in text(pilot)
        assert focused(pilot).question.path == "ssh.port"
        await pilot.press("backspace", "7", "ctrl+n")
        await pilot.pause()
        assert "X one answer to be corrected first" in text(pilot)
        assert focused(pilot).question.path == "ssh.width"
        await pilot.press("backspace")
        assert "to be corrected" not in text(pilot)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: given)
        assert given[0].said["ssh"] == {"port": 7}


async def test_a_form_says_its_keys_and_escape_leaves_everything_as_it_was() -> None:
    async with opened() as pilot:
        given = await form(pilot, section_questions("ssh"), filled("network"))
        footer = shown(pilot.app).splitlines()[-1].lower()
        for key in ("esc as it was", "^n accept", "f1 help"):
            assert key in footer
        await pilot.press("f1")
        await on(pilot, Help)
        assert "Tab or Enter leads to the next field" in text(pilot)
        await pilot.press("escape")
        await on(pilot, Form)
        await type_in(pilot, "admin")
        await pilot.press("escape")
        await until(pilot, lambda: given)
        assert given == [None]


async def test_a_form_begins_where_something_is_wrong() -> None:
    async with opened() as pilot:
        draft = filled("network").put("flannel.source", "rpm")
        await form(pilot, section_questions("flannel"), draft)
        assert focused(pilot).question.path == "flannel.path"
        assert refusals(pilot)["flannel.path"] == "'': source = \"rpm\" needs it; give the file"


async def test_what_one_answer_makes_wrong_of_another_is_said_there() -> None:
    async with opened() as pilot:
        await form(pilot, section_questions("flannel"), filled("network"))
        assert refusals(pilot) == {}
        await pilot.press("right")
        assert set(refusals(pilot)) == {"flannel.path", "flannel.sha256"}
        await pilot.press("left")
        assert refusals(pilot) == {}


@pytest.mark.parametrize("size", SIZES)
async def test_every_section_is_a_form(size: tuple[int, int]) -> None:
    async with opened(size=size) as pilot:
        for section in SECTIONS:
            given = await form(pilot, section_questions(section), filled("network"))
            assert section_questions(section)[0].title in shown(pilot.app)
            assert refusals(pilot) == {}, section
            dialog = pilot.app.screen.query_one("#dialog").region
            assert pilot.app.screen.region.contains_region(dialog), section
            assert dialog.contains_region(pilot.app.screen.query_one("#said").region), section
            await pilot.press("ctrl+n")
            await until(pilot, partial(bool, given))


def test_200_hosts_are_judged_at_every_key() -> None:
    def work(many: int) -> int:
        hosts = tuple(
            Candidate(
                f"192.168.{120 + at // 250}.{1 + at % 250}",
                f"fed-{at}",
                chosen=True,
                role="node" if at else "master",
            )
            for at in range(many)
        )
        draft = replace(filled("network"), candidates=hosts)
        assert draft.refusals() == {}
        return lines(draft.refusals)

    # Ten times the hosts are ten times the work, of some 240 lines each.
    assert work(200) < min(12 * work(20), 200 * 800)


STATES: dict[str, tuple[tuple[Question, ...], Draft, tuple[str, ...]]] = {
    "ssh": (section_questions("ssh"), filled("network"), ()),
    "many": (MANY, filled("network").put("etcd.prefix", "x"), ("tab", "tab")),
    "refused": (section_questions("flannel"), filled("network"), ("right", "ctrl+n")),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
def test_snapshot(state: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    questions, draft, keys = STATES[state]

    async def wait(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        await form(pilot, questions, draft)
        await pilot.press(*keys)

    assert snap_compare(wizard(), terminal_size=size, run_before=still(wait))
