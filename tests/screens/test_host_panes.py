"""A host's pane and a host's line: what fits, what is said first, and nothing beyond the edge."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from rich.cells import cell_len

from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Event,
    Found,
    HostLost,
    Output,
    PlanMade,
    Record,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Verified,
)
from fedwiz.runs.state import State
from screens.pages.run_page import overall
from screens.widgets import host_panes, host_progress, log_view
from screens.widgets.host_panes import HostNotes, Row, bar, clock, columns, fit
from tests.support.sample_runs import BEGAN, WHOLE, any_records, records

LONG = "n" * 63


def of(events: Iterable[Event], host: str = "a", width: int = 38, height: int = 8) -> list[str]:
    """A host's pane after these events, a second apart."""
    told, state = HostNotes(), State()
    for record in records(events, 1.0):
        state.apply(record)
        if isinstance(record.event, Found | Verified) and record.event.host == host:
            told.take(record.event)
    assert state.latest is not None
    drawn = host_panes.rows(state.host(host), told, state.latest, width, height)
    return [text(row) for row in drawn]


def text(row: Row) -> str:
    return "".join(piece for piece, _ in row)


def begun(*more: Event, host: str = "a") -> list[Event]:
    return [
        RunStarted("install", "lab", (host,)),
        Connected(host),
        PlanMade("0123456789ab", {host: 12}),
        StepStarted(host, "package", "Install flannel", 1),
        ActionStarted(host, "package", "dnf -y install flannel"),
        *more,
    ]


def test_a_pane_says_who_how_far_since_when_and_the_last_lines() -> None:
    drawn = of(begun(Output("a", "package", "Complete!"), ActionEnded("a", "package", "ok", 0, 1)))
    assert drawn == [
        " a                          > running ",
        " Install flannel                  0:03",
        " [##......................]       1/12",
        " $ dnf -y install flannel             ",
        " Complete!                            ",
    ]


def test_a_low_pane_says_the_same_in_less() -> None:
    drawn = of(begun(Output("a", "package", "Complete!")), height=3)
    assert drawn == [
        " a                          > running ",
        " Install flannel           0/12   0:02",
        " Complete!                            ",
    ]


WAITING = [
    ([RunStarted("install", "lab", ("a",))], "~ connecting", "connecting"),
    ([RunStarted("install", "lab", ("a",)), Connected("a")], ". waiting", "waits for its turn"),
    (
        [RunStarted("install", "lab", ("a",)), Connected("a"), PlanMade("0123456789ab", {})],
        "+ done",
        "nothing to do",
    ),
]


@pytest.mark.parametrize(("events", "word", "said"), WAITING)
def test_a_host_on_which_nothing_was_begun(events: list[Event], word: str, said: str) -> None:
    head, doing, *rest = of(events)
    assert head.endswith(f"{word} ")
    assert doing.strip() == said
    assert not rest


WHY = "no match for flannel in any repository; enable one that has it, as fedora or updates"
ENDS = [
    ([StepEnded("a", "package", "failed", WHY)], "X failed"),
    ([StepEnded("a", "package", "unknown", WHY)], "? unknown"),
    ([HostLost("a", WHY)], "X lost"),
    ([StepEnded("a", "package", "stopped", WHY)], "- stopped"),
]


@pytest.mark.parametrize(("events", "word"), ENDS)
def test_a_host_that_did_not_get_through_says_why_before_its_lines(
    events: list[Event], word: str
) -> None:
    head, _, _, *rest = of(begun(Output("a", "package", "Error"), *events), height=9)
    assert head.endswith(f"{word} ")
    assert " ".join(" ".join(rest).split()) == f"{WHY} $ dnf -y install flannel Error"


def test_a_reason_of_forty_lines_ends_where_the_pane_does() -> None:
    why = "\n".join(f"line {number} of what it said" for number in range(40))
    drawn = of(begun(StepEnded("a", "package", "failed", why)), height=8)
    assert len(drawn) == 8
    assert drawn[-1].rstrip().endswith("…")


def test_a_run_that_was_cut_off_by_its_end_leaves_nothing_running() -> None:
    head, *_ = of(begun(RunEnded("unknown", 5, "cut off")))
    assert "? unknown" in head


def test_findings_and_verdicts_are_counted_and_what_is_wrong_is_said() -> None:
    checked: list[Event] = [
        RunStarted("check", "lab", ("a",)),
        Connected("a"),
        Found("etcd", "a", "ok", "etcd answers"),
        Found("kubelet", "a", "warn", "kubelet does not run", "start it"),
        Found("etcd", "b", "block", "of another host"),
    ]
    assert [line.strip() for line in of(checked)[1:]] == [
        "checks: 1 ok, 1 warn",
        "warn: kubelet: kubelet does not run",
    ]
    verified: list[Event] = [
        RunStarted("verify", "lab", ("a",)),
        Connected("a"),
        Verified("lease", "a", "", "pass", "10.16.1.0/24"),
        Verified("ping", "a", "b", "fail", "0 of 3 came back", "b drops it"),
    ]
    assert [line.strip() for line in of(verified)[1:]] == [
        "verified: 1 pass, 1 fail",
        "fail: ping -> b: b drops it",
    ]


def test_what_was_verified_is_void_once_hosts_are_changed() -> None:
    told = HostNotes()
    told.take(Verified("lease", "a", "", "fail", "none", "no lease"))
    told.void()
    assert not told.verdicts
    assert not told.bad


FOREIGN = ["\x1b[31mred\x1b[0m", "[/x]", "宽" * 40, "\t\tx", "e\u0301" * 40, LONG]


@pytest.mark.parametrize("said", FOREIGN, ids=ascii)
@pytest.mark.parametrize("height", [1, 3, 8])
@pytest.mark.parametrize("width", [12, 38, 59])
def test_nothing_that_a_host_says_or_is_called_breaks_the_frame(
    said: str, width: int, height: int
) -> None:
    events = begun(
        Output(said, "package", said), StepEnded(said, "package", "failed", said), host=said
    )
    drawn = of(events, said, width, height)
    assert len(drawn) <= height
    for line in drawn:
        assert "\x1b" not in line
        assert cell_len(line) == width


OVERALL = {
    "all well": "[############] 4/4  0:23   + 4 done  verdicts: 15 pass",
    "on practice": "[############] 4/4  0:23   + 4 done  verdicts: 15 pass",
    "one fails": "[#########...] 3/4  0:20   X 1 failed  + 3 done",
    "lost at the gate": "[............] 0/4  0:09   ? 1 unknown  - 3 stopped",
    "stopped": "[######......] 2/4  0:10   - 2 stopped  + 2 done",
    "a fault": "0:12   + 4 done  verdicts: 13 pass, 2 fail",
    "blocked": "0:06   + 4 done  findings: 1 ok, 1 block, 1 warn",
    "sixty hosts": "[############] 60/60  0:40   + 60 done  verdicts: 3598 pass, 1 fail",
}


@pytest.mark.parametrize("name", WHOLE)
def test_how_far_a_run_is_stands_in_one_line(name: str) -> None:
    state = State.of(WHOLE[name]())
    assert state.latest is not None
    assert overall(state, state.latest + 100, 80).plain.rstrip() == OVERALL[name]


@pytest.mark.parametrize(
    ("count", "width", "shape"),
    [
        (0, 80, (1, 1)),
        (1, 200, (1, 1)),
        (2, 39, (1, 2)),
        (3, 120, (3, 1)),
        (4, 80, (2, 2)),
        (4, 120, (2, 2)),
        (4, 200, (2, 2)),
        (5, 120, (3, 2)),
        (8, 80, (2, 4)),
        (8, 120, (3, 3)),
        (9, 200, (3, 3)),
    ],
)
def test_panes_stand_in_as_few_rows_as_fit_and_in_even_ones(
    count: int, width: int, shape: tuple[int, int]
) -> None:
    assert columns(count, width) == shape


@given(any_records())
def test_any_run_can_be_drawn(told: tuple[Record, ...]) -> None:
    state = State.of(told)
    for host in state.hosts.values():
        for row in host_panes.rows(host, HostNotes(), state.latest or 0.0, 38, 7):
            assert cell_len(text(row)) == 38
        host_progress.line(host, HostNotes(), state.latest or 0.0, 78, 10)
    overall(state, state.latest or 0.0, 78)
    for record in told:
        assert all(cell_len(line) < 5000 for _, _, line in log_view.lines(record))


@pytest.mark.parametrize("said", FOREIGN, ids=ascii)
@pytest.mark.parametrize("width", [40, 78, 118])
def test_a_line_of_the_table_is_as_wide_as_the_table(said: str, width: int) -> None:
    state = State.of(records(begun(Output(said, "package", said), host=said)))
    host = state.host(said)
    name = min(len(said), host_progress.MAX_NAME_COLUMNS)
    row = host_progress.line(host, HostNotes(), 0.0, width, name)
    assert cell_len(text(row)) <= max(width, name + 34)
    assert "\x1b" not in text(row)
    assert cell_len(text(host_progress.heading(width, name))) == width


def test_a_line_of_the_table_says_why_a_host_is_red() -> None:
    state = State.of(records(begun(StepEnded("a", "package", "failed", "no match"))))
    row = host_progress.line(state.host("a"), HostNotes(), BEGAN + 10, 78, 10)
    assert text(row).split() == [
        "X",
        "failed",
        "a",
        "Install",
        "flannel",
        "0/12",
        "0:01",
        "no",
        "match",
    ]
    assert row[-1][1] == "error"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (7.9, "0:07"), (754, "12:34"), (3723, "1:02:03")]
)
def test_a_time_as_a_clock_has_it(seconds: float, said: str) -> None:
    assert clock(seconds) == said


@pytest.mark.parametrize(
    ("done", "planned", "said"),
    [(0, 0, "[....]"), (0, 8, "[....]"), (4, 8, "[##..]"), (8, 8, "[####]"), (9, 8, "[####]")],
)
def test_progress_is_drawn_with_letters(done: int, planned: int, said: str) -> None:
    assert bar(done, planned, 6) == said


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdef", 5) == "abcd…"
    assert fit("ab", 4) == "ab  "
    assert cell_len(fit("宽宽宽", 4)) == 4


SAID: list[tuple[Event, list[tuple[str, str]]]] = [
    (Output("a", "s", "one"), [("", "  one")]),
    (ActionStarted("a", "s", "cat <<E\nx"), [("command", "$ cat <<E"), ("command", "x")]),
    (ActionEnded("a", "s", "failed", 3, 1.25), [("error", "  failed, exit status 3, 1.2 s")]),
    (ActionEnded("a", "s", "ok", 0, 0.04), [("success", "  ok, 0.0 s")]),
    (StepStarted("a", "s", "Do it", 1), [("name", "Do it (1 action)")]),
    (StepEnded("a", "s", "unknown", "gone"), [("warning", "s: unknown: gone")]),
    (StepEnded("a", "s", "ok"), [("success", "s: ok")]),
    (Connected("a"), [("muted", "connected")]),
    (HostLost("a", "gone"), [("error", "nothing more is done here: gone")]),
    (Found("c", "a", "warn", "seen", "do"), [("warning", "warn: c: seen"), ("warning", "  -> do")]),
    (
        Verified("ping", "a", "b", "fail", "0/3", "why"),
        [("error", "fail: ping -> b: 0/3"), ("error", "  -> why")],
    ),
    (Output("a", "s", "\x1b[2Jx"), [("", "  x")]),
    (PlanMade("0123456789ab", {}), []),
]


@pytest.mark.parametrize(("event", "said"), SAID)
def test_a_log_says_all_that_happened(event: Event, said: list[tuple[str, str]]) -> None:
    [record] = records([event])
    assert [(style, line) for _, style, line in log_view.lines(record)] == said
