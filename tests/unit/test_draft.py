"""A draft: whatever was typed is kept, and nothing that is not whole is taken back."""

import json
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedwiz.answers.file import AnswersError, dump, parse, repeat
from fedwiz.practice import practice_answers
from fedwiz.util import files
from fedwiz.wizard.draft import PAGES, Candidate, Draft, forget, load_saved, save
from tests.support.line_count import lines
from tests.unit.test_answers import KEYS, TOML, right

CALM = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


TEXTS = st.text(max_size=12) | st.sampled_from(["fed-node1", "FED-NODE1", "10.0.0.1", "::1", "a.b"])
CANDIDATES = st.builds(
    Candidate,
    TEXTS,
    TEXTS,
    st.booleans(),
    st.sampled_from(["", "master", "node"]),
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.integers(0, 65535),
    st.booleans(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
SAID = st.dictionaries(
    KEYS, st.dictionaries(KEYS, st.text(max_size=8) | st.integers() | st.booleans(), max_size=3)
)
DRAFTS = st.builds(
    Draft,
    page=st.sampled_from(PAGES),
    goal=st.sampled_from(["install", "verify"]),
    size=st.integers(3, 100),
    pace=st.floats(0, 10),
    file=TEXTS,
    stops=st.lists(st.sampled_from(PAGES), min_size=1).map(tuple),
    typed=TEXTS,
    candidates=st.lists(CANDIDATES, max_size=5).map(tuple),
    said=SAID,
    run=TEXTS,
    accepted=st.lists(TEXTS, max_size=2).map(tuple),
)


def hosts(many: int) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(f"192.168.{n // 250}.{n % 250 + 1}", f"fed-node{n}", chosen=True, role="node")
        for n in range(many)
    )


# From answers, and back.


@CALM
@given(right())
def test_a_draft_of_any_right_answers_gives_the_same_answers(data: dict[str, Any]) -> None:
    answers = parse(data)
    draft = Draft.of(tomllib.loads(dump(answers)))
    assert draft.answers() == answers
    assert draft.stops[-3:] == ("review", "install", "verify")
    again = parse(tomllib.loads(repeat(answers)))
    assert again == answers.model_copy(update={"wizard": again.wizard})
    assert not again.wizard.ask


@CALM
@given(st.dictionaries(KEYS, TOML, max_size=6) | right(), KEYS, TOML)
def test_a_draft_of_any_file_is_made_or_refused(
    data: dict[str, Any], key: str, value: object
) -> None:
    with suppress(AnswersError):
        draft = Draft.of({**data, key: value})
        assert draft.stops
        save(draft)


@pytest.mark.parametrize(
    ("data", "stops"),
    [
        ({"name": "lab"}, ("hosts", "network", "review", "install", "verify")),
        ({"network": {"cidr": 7}}, ("hosts", "network", "review", "install", "verify")),
        ({"wizard": {"ask": 5}}, ("hosts", "network", "review", "install", "verify")),
        ({"wizard": {"ask": [["backend"]]}}, ("hosts", "network", "review", "install", "verify")),
        ({"wizard": {"ask": ["*"]}}, PAGES),
    ],
)
def test_what_a_file_leaves_open_is_where_the_way_stops(
    data: dict[str, Any], stops: tuple[str, ...]
) -> None:
    assert Draft.of(data).stops == stops


@pytest.mark.parametrize(
    "data", [{"version": 2}, {"nonsense": 1}, {"ssh": 5}, {"host": [{"nam": "a"}]}, {"host": 3}]
)
def test_what_no_page_can_ask_again_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(AnswersError):
        Draft.of(data)


def test_wrong_and_double_hosts_of_a_file_are_all_there_to_be_put_right() -> None:
    table = {"name": "fed-node1", "address": "10.1.0.1"}
    draft = Draft.of({"name": "lab", "host": [table, table, "what"]})
    assert [it.address for it in draft.candidates] == ["10.1.0.1", "10.1.0.1", ""]
    changed = draft.row(1, address="10.1.0.2")
    assert [it.address for it in changed.candidates] == ["10.1.0.1", "10.1.0.2", ""]
    assert len(draft.add([Candidate("10.1.0.9")]).candidates) == 4
    assert [it.address for it in draft.without(0).candidates] == ["10.1.0.1", ""]


# What is said.


def test_what_is_put_is_got_and_taken_back() -> None:
    draft = Draft().put("network.cidr", "10.16.0.0/16").put("name", "lab")
    assert (draft.get("network.cidr"), draft.get("name")) == ("10.16.0.0/16", "lab")
    assert draft.put("network.cidr", None).get("network.cidr") is None
    assert draft.put("name", None).name == ""
    assert Draft(said={"ssh": 5}).get("ssh.port") is None
    assert Draft(said={"ssh": 5}).put("ssh.port", 22).get("ssh.port") == 22


def test_of_a_candidate_that_is_there_only_what_was_not_known_is_taken() -> None:
    draft = Draft(candidates=(Candidate("Fed-A", "mine", role="master"),))
    draft = draft.add([Candidate("fed-a", "other", chosen=True, source="hosts", port=2222)])
    assert draft.candidates == (
        Candidate("Fed-A", "mine", chosen=True, role="master", source="hosts", port=2222),
    )


# Provisional answers.


@CALM
@given(st.lists(CANDIDATES, max_size=6), SAID)
def test_provisional_answers_are_given_or_refused(
    candidates: list[Candidate], said: dict[str, Any]
) -> None:
    draft = Draft(candidates=tuple(replace(it, chosen=True) for it in candidates), said=said)
    with suppress(AnswersError):
        asked = draft.provisional().host
        assert [it.address.lower() for it in asked] == [it.address.lower() for it in draft.chosen]


@pytest.mark.parametrize("many", [3, 100, 600])
def test_any_number_of_hosts_can_be_read_before_anything_is_decided(many: int) -> None:
    bare = tuple(Candidate(it.address, chosen=True) for it in hosts(many))
    answers = Draft(candidates=bare).provisional()
    assert len(answers.host) == many
    assert answers.master.address == bare[0].address


@pytest.mark.parametrize(
    "said",
    [
        {"etcd": {"endpoints": 5}},
        {"etcd": {"endpoints": ["nonsense"]}},
        {"etcd": {"endpoints": ["http://10.16.0.1:2379"]}},
        {"flannel": {"source": "rpm"}},
        {"etcd": {"key_file": "/k"}, "flannel": 3},
    ],
)
def test_what_other_pages_ask_keeps_nobody_from_reading(said: dict[str, Any]) -> None:
    assert Draft(candidates=hosts(3), said=said).provisional().host


def test_what_this_page_asks_does() -> None:
    with pytest.raises(AnswersError) as refused:
        Draft(candidates=hosts(3), said={"ssh": {"port": 0}}).provisional()
    assert list(refused.value.why) == ["ssh.port"]
    with pytest.raises(AnswersError):
        Draft(candidates=hosts(2)).provisional()


def test_a_machine_without_a_name_is_called_by_its_address() -> None:
    nameless = (
        Candidate("10.1.0.1", "twin", chosen=True),
        Candidate("10.1.0.2", "Twin", chosen=True),
        Candidate("10.1.0.3", "_", chosen=True, interface="no such thing"),
        Candidate("fd00::1", chosen=True),
    )
    answers = Draft(candidates=nameless).provisional()
    assert [it.name for it in answers.host] == ["10.1.0.1", "10.1.0.2", "10.1.0.3", "host-4"]


def test_provisional_answers_have_the_names_and_roles_that_are_right() -> None:
    known = tuple(
        Candidate(it.address, it.name, chosen=True, role=it.role) for it in practice_answers().host
    )
    draft = Draft(candidates=known, said={"name": "lab", "network": {"cidr": "10.16.0.0/16"}})
    final, early = draft.answers(), draft.provisional()
    assert early.host == final.host
    assert early.etcd == final.etcd


# On disk.


@CALM
@given(DRAFTS)
def test_a_draft_that_is_kept_comes_back_the_same(draft: Draft) -> None:
    save(draft)
    assert load_saved() == draft


def test_nothing_is_kept_of_a_look_and_a_practice_draft_has_its_own_place() -> None:
    save(Draft(page="hosts", goal="look"))
    assert load_saved() is None
    save(Draft(page="hosts"))
    save(Draft(page="network", practice="overlap"))
    assert load_saved() == Draft(page="hosts")
    assert load_saved("overlap") == Draft(page="network", practice="overlap")
    assert load_saved("healthy") is None
    forget()
    assert load_saved() is None


def test_a_date_in_a_file_stops_nobody_from_keeping_the_draft() -> None:
    data = tomllib.loads("name = 2026-01-02\n[network]\ncidr = 10:00:00")
    save(replace(Draft.of(data), page="hosts"))
    assert (load_saved() or Draft()).get("network.cidr") == "10:00:00"


@CALM
@given(st.binary(max_size=200) | JSON.map(lambda it: json.dumps(it).encode()))
def test_whatever_is_in_the_file_nothing_is_raised(text: bytes) -> None:
    save(Draft(page="hosts"))
    files.place().write_bytes(text)
    assert load_saved() is None


NAMES = sorted(Draft.__dataclass_fields__)


@CALM
@given(DRAFTS, st.sampled_from([*NAMES, "format", "more"]), JSON)
def test_a_draft_with_one_wrong_thing_in_it_is_whole_or_is_not_read(
    draft: Draft, name: str, value: object
) -> None:
    save(draft)
    data = json.loads(files.place().read_text())
    files.place().write_text(json.dumps({**data, name: value}))
    _usable(load_saved())


@CALM
@given(st.sampled_from(sorted(Candidate.__dataclass_fields__)), JSON)
def test_so_is_one_with_a_wrong_candidate(name: str, value: object) -> None:
    save(Draft(page="hosts", candidates=hosts(3)))
    data = json.loads(files.place().read_text())
    data["candidates"][1][name] = value
    files.place().write_text(json.dumps(data))
    _usable(load_saved())


def _usable(draft: Draft | None) -> None:
    """What pages do with a draft raises nothing."""
    if draft is None:
        return
    assert draft.refusals() is not None
    draft.add(draft.candidates)
    save(draft)
    assert 3 <= draft.size <= 1000


def test_a_file_nested_too_deeply_is_not_read() -> None:
    save(Draft(page="hosts"))
    files.place().write_text("[" * 100_000)
    assert load_saved() is None


def test_of_two_hundred_hosts_a_key_press_is_kept_and_judged_at_once() -> None:
    def press(many: int) -> int:
        draft = Draft(page="hosts", candidates=hosts(many))

        def kept_and_judged() -> None:
            save(draft.row(7, chosen=False))
            draft.refusals()

        kept_and_judged()  # what is done once in a process does not count
        return lines(kept_and_judged)

    hundred, two_hundred, three_hundred = map(press, (100, 200, 300))
    assert (two_hundred - hundred) / 100 < 500
    assert three_hundred - two_hundred == two_hundred - hundred
