"""The last rounds of a verification that goes on."""

from typing import get_args

import pytest
from hypothesis import given

from fedwiz.model.events import Event, Judged, Record, RoundStarted, Verified
from fedwiz.runs.rounds import ROUNDS_KEPT, Levels, Rounds, Subject
from tests.support.sample_runs import any_records, records

SIGNS: dict[str, Judged] = {"+": "pass", "X": "fail", "-": "skipped"}


def rounds(*said: str) -> Rounds:
    """A history of rounds; each says a sign for a -> b, and a space where nothing is said."""
    events = list[Event]()
    for number, signs in enumerate(said, 1):
        events.append(RoundStarted(number))
        events += [Verified("ping", "a", "b", SIGNS[sign], "") for sign in signs.strip()]
    history = Rounds()
    for record in records(events):
        history.apply(record)
    return history


TABLE: dict[str, tuple[tuple[str, ...], Levels]] = {
    "one": (("+",), ("pass",)),
    "newest last": (("+", "+", "X", "+"), ("pass", "pass", "fail", "pass")),
    "of several in a round the worst": (("+-", "X+"), ("skipped", "fail")),
    "a round without a verdict": (("+", " ", "X"), ("pass", None, "fail")),
    "first heard of later": ((" ", "+"), (None, "pass")),
    "no more than are kept": (
        ("X", *"+" * ROUNDS_KEPT),
        tuple[Judged, ...](["pass"] * ROUNDS_KEPT),
    ),
}


@pytest.mark.parametrize(("said", "levels"), TABLE.values(), ids=TABLE)
def test_a_pair_has_a_level_for_each_round(said: tuple[str, ...], levels: Levels) -> None:
    history = rounds(*said)
    assert history.pairs() == {("a", "b"): levels}
    assert history.rounds == len(said)
    assert history.pairs("mtu") == {}


CHANGES: dict[str, tuple[tuple[str, ...], tuple[Judged | None, Judged | None] | None]] = {
    "the first round": (("X",), None),
    "the same": (("X", "X"), None),
    "worse": (("+", "X"), ("pass", "fail")),
    "better": (("X", "-", "+"), ("skipped", "pass")),
    "not heard of any more": (("+", " "), ("pass", None)),
}


@pytest.mark.parametrize(("said", "change"), CHANGES.values(), ids=CHANGES)
def test_what_is_not_as_in_the_round_before(
    said: tuple[str, ...], change: tuple[Judged | None, Judged | None] | None
) -> None:
    wanted = [] if change is None else [(Subject("ping", "a", "b"), *change)]
    assert list(rounds(*said).changes()) == wanted


def test_a_verification_without_rounds_is_one() -> None:
    history = Rounds()
    for record in records(
        [Verified("ping", "a", "b", "fail", ""), Verified("lease", "a", "", "pass", "")]
    ):
        history.apply(record)
    assert (history.rounds, history.pairs()) == (1, {("a", "b"): ("fail",)})


def test_who_is_gone_for_all_rounds_is_forgotten() -> None:
    assert rounds("+", *" " * ROUNDS_KEPT).pairs() == {}


@given(any_records())
def test_it_takes_any_records(said: tuple[Record, ...]) -> None:
    history = Rounds()
    for record in said:
        history.apply(record)
    for levels in history.pairs().values():
        assert 0 < len(levels) <= ROUNDS_KEPT
        assert set(levels) <= {None, *get_args(Judged)}
