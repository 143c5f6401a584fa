"""The report as files: Markdown, JSON, HTML and JUnit's XML, whatever hosts say."""

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package more
import pytest
from hypothesis import given, settings

from fedwiz.model.events import (
    Diagnosed,
    Event,
    FactsRead,
    Found,
    HostLost,
    Judged,
    Record,
    RunEnded,
    RunStarted,
    Verified,
    Versions,
)
from fedwiz.report import FORMS, as_json, html, junit, markdown, schema, text
from fedwiz.report.changes import Change, Drift
from fedwiz.report.html import NOTHING_LOADED
from fedwiz.runs.state import State
from tests.support.sample_runs import (
    BEGAN,
    WHOLE,
    any_records,
    blocked,
    one_fails,
    records,
)

RUN = "20261122-230612-1a2b"
DRIFT = Drift(
    "20261121-100000-ffff",
    BEGAN - 86400,
    (
        Change("vtep_mac", "b", "", "3e:e6:aa:7a:66:fa", "82:3e:a6:5a:7a:56"),
        Change("ping", "a", "b", "pass", "fail"),
        Change("host", "d", "", "", "there"),
        Change("docker", "a", "", "28.5.2", "29.0.1"),
        Change("docker", "b", "", "28.5.2", "29.0.1"),
    ),
)


def pair(
    kind: str, one: str, other: str, level: Judged = "pass", seen: str = "", why: str = ""
) -> Verified:
    return Verified(kind, one, other, level, seen, why)


ALL: tuple[Event, ...] = (
    RunStarted("verify", "fedora-lab", ("m", "a", "b", "c"), "", "0.1.0"),
    FactsRead("a", 1.25),
    Versions("a", {"os": "fedora 29", "docker": "29.0.1", "flannel": "0.9.0", "kernel": "5.14.1"}),
    Versions("m", {"etcd": "3.4.27"}),
    Verified("lease", "a", "", "pass", "/net/subnets/10.16.24.0-24 {}"),
    Verified("subnet_env", "a", "", "fail", "FLANNEL_MTU=9000", "too large: restart flanneld"),
    pair("peer", "a", "b", seen="10.16.2.0/24 via 10.16.2.0"),
    pair("ping", "a", "b", "fail", "0/3", "b drops it: let it through"),
    pair("ping", "b", "a", "pass", "3/3, 0.42 ms", "seen with NAT"),
    pair("ping", "a", "c", "skipped", "", "docker does not run on c"),
    pair("mtu", "a", "b", "skipped", "", "a does not ping b"),
    Diagnosed("a", "b", "ip-forward", "b", "b forwards nothing", "ip_forward 0", "set it", True, 1),
    Found("clock", "a", "warn", "5 s ahead", "start chronyd"),
    RunEnded("failed", 7, "b drops it"),
)

EVERYTHING = (
    "fedora-lab",
    RUN,
    "2026-11-22T23:06:12Z",
    "2026-11-22T23:06:18Z",
    "0.1.0",
    "fedora 29",
    "29.0.1",
    "0.9.0",
    "5.14.1",
    "3.4.27",
    "0/3",
    "3/3, 0.42 ms",
    "b drops it: let it through",
    "seen with NAT",
    "FLANNEL_MTU=9000",
    "too large: restart flanneld",
    "10.16.2.0/24 via 10.16.2.0",
    "docker does not run on c",
    "5 s ahead",
    "start chronyd",
    "ip-forward",
    "set it",
    "20261121-100000-ffff",
    "82:3e:a6:5a:7a:56",
)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_everything(form: str) -> None:
    said = FORMS[form](State.of(records(ALL)), RUN, DRIFT)
    for it in EVERYTHING:
        assert it in said, it


HOSTILE = "<script>alert('x')</script>\"'&]]>\x1b[2J\x1b]0;owned\x07\u202e\x00\ufffe\ud800<!--`"
SEEN = "<script>alert('x')</script>\"'&]]>"


def hostile() -> State:
    state = State.of(
        records(
            [
                RunStarted("install", HOSTILE, (HOSTILE,), HOSTILE, HOSTILE),
                HostLost(HOSTILE, HOSTILE),
                Versions(HOSTILE, {HOSTILE: HOSTILE}),
                Found(HOSTILE, HOSTILE, "block", HOSTILE, HOSTILE),
                Verified(HOSTILE, HOSTILE, HOSTILE, "fail", f"{HOSTILE}\n{HOSTILE}", HOSTILE),
                pair("ping", HOSTILE, "b", "fail", HOSTILE, HOSTILE),
                pair("ping", "b", HOSTILE, "pass", HOSTILE, HOSTILE),
                pair("mtu", HOSTILE, "b", "skipped", HOSTILE, HOSTILE),
                Diagnosed(HOSTILE, "b", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, True, 1),
                RunEnded("failed", 5, HOSTILE),
            ]
        )
    )
    state.digest = HOSTILE
    return state


BAD = Drift(HOSTILE, BEGAN, (Change(*[SEEN] * 5), Change("host", SEEN, "", "", "there")))


class Tags(HTMLParser):
    """The elements of a page, opened and closed in order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: dict[str, list[dict[str, str | None]]] = {}
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "all is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.setdefault(tag, []).append(dict(attrs))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("form", FORMS)
def test_what_hosts_say_stays_text(form: str) -> None:
    said = FORMS[form](hostile(), HOSTILE, BAD)
    assert not set("\x00\x07\x1b\x9b\u202e\ud800") & set(said)
    said.encode()  # no lone surrogate


def test_a_page_has_nothing_of_a_host_s_but_text() -> None:
    tags = Tags(html.page(hostile(), HOSTILE, BAD))
    assert not {"script", "img", "link", "iframe", "a"} & tags.seen.keys()
    assert "".join(tags.text).count("<script>alert('x')</script>\"'&]]>") > 20
    for elements in tags.seen.values():
        for attributes in elements:
            assert attributes.keys() <= {
                "lang",
                "charset",
                "http-equiv",
                "content",
                "name",
                "class",
                "scope",
                "open",
            }
            assert "script" not in (attributes.get("class") or "")


def test_a_page_loads_nothing_and_has_both_looks() -> None:
    said = html.page(State.of(records(ALL)), RUN, DRIFT)
    assert not re.search(r"(?:src=|href=|url\(|@import|https?:)", said)
    assert NOTHING_LOADED in said
    assert "prefers-color-scheme: dark" in said
    assert "@media print" in said
    assert "color-scheme: light dark" in said


def test_the_matrix_of_a_page_has_sign_and_word_beside_the_colour() -> None:
    tags = Tags(html.page(State.of(records(ALL)), RUN))
    flat = " ".join(" ".join(tags.text).split())
    assert "from, to a b c a itself X fails - not tried b + pings itself ? unknown" in flat
    assert "a -> b X fail b drops it: let it through" in flat


def _parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own


def test_junit_has_a_case_for_each_verdict() -> None:
    root = _parsed(junit(State.of(records(ALL)), RUN, DRIFT))
    assert root.tag == "testsuites"
    suites = {it.get("name"): it for it in root}
    assert list(suites) == [
        "run",
        "findings",
        "lease",
        "subnet_env",
        "peer",
        "ping",
        "mtu",
        "causes",
    ]
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("10", "4", "2")
    pings = {it.get("name"): it for it in suites["ping"].iter("testcase")}
    assert list(pings) == ["a -> b", "b -> a", "a -> c"]
    failed = pings["a -> b"].find("failure")
    assert failed is not None
    assert (failed.get("message"), failed.text) == ("b drops it: let it through", "0/3")
    assert pings["b -> a"].findtext("system-out") == "warning: seen with NAT\n3/3, 0.42 ms"
    assert pings["a -> c"].find("skipped") is not None
    for suite in root:
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        assert suite.get("timestamp") == "2026-11-22T23:06:12Z"


def test_junit_is_red_when_the_run_is_not_proven() -> None:
    """Also where there is no verdict that could be."""
    root = _parsed(junit(State.of(records([RunStarted("verify", "c", ("a",))]))))
    assert root.get("failures") == "1"
    well = _parsed(junit(State.of(WHOLE["all well"]())))
    assert well.get("failures") == "0"


def test_junit_survives_what_xml_can_not_hold() -> None:
    root = _parsed(junit(hostile(), HOSTILE, BAD))
    assert root.find(".//testsuite[@name='findings']/testcase/failure") is not None
    assert sum(SEEN in (it.text or "") for it in root.iter()) >= 4


SCHEMA = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def states() -> Iterator[tuple[str, State]]:
    yield from ((name, State.of(make())) for name, make in WHOLE.items())
    yield "everything", State.of(records(ALL))
    yield "hostile", hostile()
    yield "nothing", State()


STATES = dict(states())


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("drift", [None, DRIFT, Drift("x", BEGAN)])
def test_reports_fit_the_schema(state: State, drift: Drift | None) -> None:
    SCHEMA.validate(json.loads(FORMS[".json"](state, RUN, drift)))


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "another number": lambda it: it.update(schema=2),
    "no verdicts": lambda it: it.pop("verdicts"),
    "a level that there is not": lambda it: it["verdicts"][0].update(level="green"),
    "a finding without a remedy": lambda it: it["findings"][0].pop("remedy"),
    "a time that is a number": lambda it: it.update(started=5),
    "a change without a host": lambda it: it["since"]["changes"][0].pop("host"),
    "a host that is text": lambda it: it["hosts"].update(a="ok"),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_the_schema_takes_no_other_document(spoil: Callable[[dict[str, Any]], object]) -> None:
    said = as_json(State.of(records(ALL)), RUN, DRIFT)
    spoil(said)
    assert not SCHEMA.is_valid(said)


@settings(max_examples=40)
@given(any_records())
def test_there_is_every_form_of_any_records(said: tuple[Record, ...]) -> None:
    state = State.of(said)
    SCHEMA.validate(json.loads(json.dumps(as_json(state, RUN, DRIFT))))
    _parsed(junit(state, RUN, DRIFT))
    Tags(html.page(state, RUN, DRIFT))
    assert markdown(state, RUN, DRIFT).startswith("# ")


def test_what_changed_stands_after_the_headline() -> None:
    lines = text(State.of(records(ALL)), DRIFT).splitlines()
    assert re.match(r"Since 2026-11-2\d \d\d:\d\d \(run 20261121-100000-ffff\):$", lines[2])
    assert lines[3:7] == [
        "  VtepMAC was 3e:e6:aa:7a:66:fa, is 82:3e:a6:5a:7a:56: b",
        "  pinged, and does not now: a -> b",
        "  new: d",
        "  docker was 28.5.2, is 29.0.1: a, b",
    ]
    nothing = text(State.of(one_fails()), Drift("x", BEGAN)).splitlines()[2]
    assert nothing.endswith("(run x): nothing changed")
    assert "Since" not in text(State.of(blocked()))


def nine(*bad: Verified) -> str:
    names = [f"n{number}" for number in range(1, 10)]
    wrong = {(it.kind, it.host, it.peer): it for it in bad}
    said: list[Event] = [RunStarted("verify", "c", ("m", *names))]
    for kind in ("peer", "ping", "mtu"):
        said += [
            wrong.get((kind, one, other), pair(kind, one, other, seen="1450 of 1450"))
            for one in names
            for other in names
            if one != other
        ]
    return text(State.of(records([*said, RunEnded("ok", 0)])))


def test_72_pairs_that_pass_are_one_line() -> None:
    said = nine()
    assert "\n\nPeers: 72 of 72 pairs pass\n\n" in said
    assert said.endswith("\n\nMTU between containers: 72 of 72 pairs pass\n")
    assert len(said.splitlines()) == 1 + 2 + 13 + 2


def test_of_many_pairs_only_those_that_are_not_right_are_named_by_reason() -> None:
    said = nine(
        pair("peer", "n1", "n2", "fail", "", "no route to n2: restart flanneld"),
        pair("mtu", "n1", "n2", "skipped", "", "n1 does not ping n2"),
        pair("mtu", "n2", "n1", "skipped", "", "n2 does not ping n1"),
        pair("mtu", "n3", "n1", "pass", "1400 of 1450", "n3 sends less than could be"),
    )
    assert (
        "Peers: 71 of 72 pairs pass\n  X n1 -> n2\n      -> no route to n2: restart flanneld\n"
    ) in said
    assert said.endswith(
        "MTU between containers: 70 of 72 pairs pass\n"
        "  - n1 -> n2, n2 -> n1\n"
        "      -> the sender does not ping the receiver\n"
        "  + n3 -> n1\n"
        "      -> n3 sends less than could be\n"
    )
    assert "1 other verdict failed: peer of n1 -> n2" in said.splitlines()[0]


HEADLINES: dict[str, tuple[tuple[Event, ...], str]] = {
    "no pings": ((pair("peer", "a", "b"),), "c: 1 verdict, none failed; no pair was pinged"),
    "two nodes of three": (
        (pair("ping", "a", "b"), pair("ping", "b", "a")),
        "c: 2 of 6 pairs of nodes were tried, and ping",
    ),
}


@pytest.mark.parametrize(("events", "said"), HEADLINES.values(), ids=HEADLINES)
def test_a_part_of_a_verification_claims_no_more_than_it_proved(
    events: tuple[Event, ...], said: str
) -> None:
    begun = RunStarted("verify", "c", ("m", "a", "b", "d"))
    state = State.of(records([begun, *events, RunEnded("ok", 0)]))
    assert text(state).splitlines()[0] == said
