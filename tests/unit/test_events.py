"""Events to JSON and back."""

import json
import re
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwiz.model.events import (
    EVENTS_BY_NAME,
    Event,
    Record,
    from_json,
    from_line,
    to_json,
    to_line,
)
from fedwiz.model.events import PLACE as KEYS
from tests.support.sample_runs import WHOLE, any_records

PLACE = {"number": 3, "at": 1795388772.5}
OUTPUT = {**PLACE, "event": "Output", "host": "a", "step": "package", "line": "x"}
STARTED = {**PLACE, "event": "RunStarted", "verb": "install", "cluster": "c", "hosts": ["a"]}
ENDED = {**PLACE, "event": "RunEnded", "outcome": "ok", "code": 0}
PLANNED = {**PLACE, "event": "PlanMade", "digest": "d", "actions": {"a": 1}}
RUNS = {**PLACE, "event": "Versions", "host": "a", "versions": {"os": "fedora 29"}}
FACTS = {**PLACE, "event": "FactsRead", "host": "a", "seconds": 1}
DONE = {
    **PLACE,
    "event": "ActionEnded",
    "host": "a",
    "step": "s",
    "outcome": "unknown",
    "code": None,
    "seconds": 0.5,
}

ACCEPTED = {
    "output": OUTPUT,
    "default left out": STARTED,
    "default given": {**STARTED, "practice": "healthy"},
    "mapping": PLANNED,
    "mapping to texts": RUNS,
    "version given": {**STARTED, "version": "0.1.0"},
    "whole seconds": FACTS,
    "no code": DONE,
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_a_record_is_read(data: dict[str, Any]) -> None:
    record = from_json(data)
    assert (record.number, record.at) == (3, 1795388772.5)
    assert to_json(record).items() >= data.items()


REFUSED = {
    "no object": ([], "not a record"),
    "empty": ({}, "number"),
    "unknown kind": ({**PLACE, "event": "Output2"}, "no event is called 'Output2'"),
    "kind is no text": ({**PLACE, "event": ["Output"]}, "no event is called"),
    "number is a bool": ({**OUTPUT, "number": True}, "number"),
    "number is text": ({**OUTPUT, "number": "3"}, "number"),
    "number below 0": ({**OUTPUT, "number": -1}, "number"),
    "time is text": ({**OUTPUT, "at": "1"}, "at"),
    "time is not a number": ({**OUTPUT, "at": float("nan")}, "at"),
    "time is endless": ({**OUTPUT, "at": float("inf")}, "at"),
    "time beyond all calendars": ({**OUTPUT, "at": 1e300}, "at"),
    "field missing": ({**PLACE, "event": "Output", "host": "a"}, "Output lacks line, step"),
    "field surplus": ({**OUTPUT, "color": "red"}, "Output has no 'color'"),
    "text is a number": ({**OUTPUT, "line": 1}, "Output.line: 1 is not text"),
    "text is null": ({**OUTPUT, "line": None}, "Output.line: None is not text"),
    "list is text": ({**STARTED, "hosts": "abc"}, "RunStarted.hosts"),
    "list of numbers": ({**STARTED, "hosts": ["a", 1]}, "is not a list of texts"),
    "word not known": ({**ENDED, "outcome": "great"}, "is not one of ok, failed"),
    "word is a list": ({**ENDED, "outcome": ["ok"]}, "is not one of ok, failed"),
    "code is a bool": ({**ENDED, "code": False}, "RunEnded.code: False is not a whole number"),
    "code is a fraction": ({**ENDED, "code": 0.5}, "RunEnded.code"),
    "code is huge": ({**ENDED, "code": 10**400}, "RunEnded.code"),
    "code is null": ({**ENDED, "code": None}, "RunEnded.code"),
    "mapping of texts": ({**PLANNED, "actions": {"a": "1"}}, "is not an object of whole numbers"),
    "mapping of numbers": ({**RUNS, "versions": {"os": 29}}, "is not an object of texts"),
    "mapping is a list": ({**PLANNED, "actions": [1]}, "PlanMade.actions"),
    "seconds are a bool": ({**FACTS, "seconds": True}, "FactsRead.seconds"),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_record_is_refused(data: object, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        from_json(data)


LINES = {
    "nothing": "",
    "no JSON": "{",
    "not a number": json.dumps({**FACTS, "seconds": float("nan")}),
    "too deep": "[" * 100_000,
    "too long a number": '{"number": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_line(line)


@given(any_records())
def test_every_record_comes_back_from_its_line(said: tuple[Record, ...]) -> None:
    for record in said:
        line = to_line(record)
        assert line.isascii()
        assert "\n" not in line
        assert from_line(line) == record


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
EVERY = [to_json(record) for record in WHOLE["all well"]()]


@given(st.sampled_from(EVERY), st.data())
def test_a_changed_field_is_refused_or_kept_as_it_is(
    said: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(said)))
    changed = {**said, name: data.draw(json_values)}
    try:
        record = from_json(changed)
    except ValueError:
        return
    assert to_json(record) == changed


def test_every_kind_of_event_has_its_name() -> None:
    assert set(EVENTS_BY_NAME.values()) == set(get_args(Event))


def test_no_event_has_a_field_that_would_hide_its_place_or_name() -> None:
    for kind in EVENTS_BY_NAME.values():
        assert not {field.name for field in fields(kind)} & set(KEYS)
