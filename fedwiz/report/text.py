"""The report for people at a terminal, in lines of 80 columns, and the complete one as Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from fedwiz.model.events import LEVELS_WORST_FIRST, Diagnosed, Found, Verified
from fedwiz.model.verdicts import PER_PAIR, title
from fedwiz.report.changes import Drift
from fedwiz.report.summary import (
    SIGNS,
    Pairs,
    about,
    began,
    changes,
    duplicates,
    headline,
    kinds,
    nodes,
    pairs,
    run_of,
)
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import arrow, count, some, where

WIDTH_COLUMNS = 80
"""Columns of the text; only the first line and words that are longer exceed them."""

MAX_PAIRS_NAMED = 12
"""How many pairs are named per reason; a report file names all of them."""


def _lines(text: str, indent: str, first: str = "") -> Iterator[str]:
    """A host's text as indented lines of at most `WIDTH_COLUMNS` columns."""
    lead = first or indent
    for line in text.splitlines():
        for part in wrap(
            sanitize(line),
            WIDTH_COLUMNS - len(indent),
            break_long_words=False,
            break_on_hyphens=False,
        ):
            yield (lead + part).rstrip()
            lead = indent


def findings(found: Sequence[Found]) -> Iterator[str]:
    """Findings as lines: blocks, then warnings; those that are ok are only counted."""
    by_level = {level: [it for it in found if it.level == level] for level in LEVELS_WORST_FIRST}
    counts = (count(len(by_level["block"]), "block"), count(len(by_level["warn"]), "warning"))
    yield f"Findings: {counts[0]}, {counts[1]}, {len(by_level['ok'])} ok"
    for it in (*by_level["block"], *by_level["warn"]):
        level = "BLOCK" if it.level == "block" else it.level
        yield f"  {level:<5}  {sanitize(it.check)}  {where(it.host)}"
        yield from _lines(it.seen, " " * 9)
        yield from _lines(it.remedy, " " * 12, " " * 9 + "-> ")


def hosts(state: State) -> Iterator[str]:
    """Each host's outcome, as lines."""
    yield "Hosts"
    width = max((len(name) for name in state.hosts), default=0)
    for host in state.hosts.values():
        progress = f"{host.done} of {count(host.planned, 'action')}"
        yield f"  {sanitize(host.name):<{width}}  {host.word:<8}  {progress}"
        yield from _lines(host.why, " " * min(width + 4, WIDTH_COLUMNS // 2))


def about_hosts(kind: str, verdicts: Iterable[Verified]) -> Iterator[str]:
    """The verdicts of one kind with all their evidence, as lines."""
    yield title(kind)
    for it in verdicts:
        if it.kind == kind:
            sign = "FAIL" if it.level == "fail" else it.level
            yield f"  {sign:<7}  {about(it)}"
            yield from _lines(it.seen, " " * 11)
            yield from _lines(it.why, " " * 14, " " * 11 + "-> ")


def matrix(verdicts: Sequence[Verified], order: Iterable[str] = ()) -> Iterator[str]:
    """Which node pings which, drawn: a row for each sender, a column for each receiver.

    Args:
        verdicts: of all kinds.
        order: the hosts' order; hosts without pings are left out, and missing ones come last.
    """
    tried = pairs(verdicts)
    names = nodes(tried, order)
    passed = sum(it.level == "pass" for it in tried.values())
    yield f"{title('ping')}: {passed} of {count(len(tried), 'pair')}"
    digits = len(str(len(names)))
    width = min(max([len(name) for name in names] + [6]), 24)  # 6: room for the words in the corner
    room = WIDTH_COLUMNS - digits - width - 3
    cell = next(
        (size for size in (3, 2) if size > digits and size * len(names) <= room), digits + 1
    )
    step = max(room // cell, 1)
    for begin in range(0, len(names), step):
        columns = range(begin, min(begin + step, len(names)))
        heads = "".join(f"{number + 1:>{cell}}" for number in columns)
        yield f"  {'from, to':<{digits + width + 1}.{digits + width + 1}}{heads}"
        for number, sender in enumerate(names, 1):
            signs = (_sign(tried, sender, names[column]) for column in columns)
            name = sanitize(sender)
            name = name if len(name) <= width else name[: width - 1] + "~"
            cells = "".join(f"{sign:>{cell}}" for sign in signs)
            yield f"  {number:>{digits}} {name:<{width}}{cells}"
    yield "  + pings   X does not ping   - was not tried   ? nothing is known   . itself"


def _sign(tried: Pairs, sender: str, receiver: str) -> str:
    it = tried.get((sender, receiver))
    return "." if sender == receiver else SIGNS[it.level if it else None]


def reasons(
    verdicts: Sequence[Verified], kind: str = "ping", most: int = MAX_PAIRS_NAMED
) -> Iterator[str]:
    """Why pairs fail, each reason once, with the pairs that it applies to."""
    for reason, these in duplicates(pairs(verdicts, kind).values()):
        sign = SIGNS[these[0].level]
        yield from _lines(some(list(map(about, these)), most), " " * 4, f"  {sign} ")
        yield from _lines(reason, " " * 9, " " * 6 + "-> ")


def about_pairs(kind: str, verdicts: Sequence[Verified]) -> Iterator[str]:
    """The verdicts of a kind that is about pairs, as lines; those that pass are only counted."""
    found = pairs(verdicts, kind)
    passed = sum(it.level == "pass" for it in found.values())
    verb = "passes" if len(found) == 1 else "pass"
    yield f"{title(kind)}: {passed} of {count(len(found), 'pair')} {verb}"
    yield from reasons(verdicts, kind)


def rounds(state: State) -> Iterator[str]:
    """A round's verdicts as lines: pings are drawn; of other kinds only failures are listed."""
    for kind in sorted(kinds(state.verdicts), key=lambda kind: kind != "ping"):
        if kind == "ping":
            yield from matrix(state.verdicts, state.hosts)
            yield from reasons(state.verdicts)
            continue
        these = [it for it in state.verdicts if it.kind == kind]
        yield f"{title(kind)}: {sum(it.level == 'pass' for it in these)} of {len(these)} pass"
        yield from reasons(state.verdicts, kind)


def since(drift: Drift, *, utc: bool = False) -> Iterator[str]:
    """The changes since the last verification, as lines; times in UTC for readers elsewhere."""
    if not drift.changes:
        yield f"{began(drift, utc=utc)}: nothing changed"
        return
    yield f"{began(drift, utc=utc)}:"
    for change in changes(drift):
        yield from _lines(change, " " * 4, "  ")


def diagnoses(found: Sequence[Diagnosed]) -> Iterator[str]:
    """Causes of a problem between two nodes, as lines."""
    yield "Causes"
    for it in found:
        yield f"  {arrow(it.sender, it.receiver)}: {sanitize(it.cause)} on {where(it.host)}"
        yield from _lines(it.why, " " * 9)
        yield from _lines(it.seen, " " * 11)
        yield from _lines(it.remedy, " " * 12, " " * 9 + "-> ")


def _parts(state: State, drift: Drift | None, *, whole: bool) -> Iterator[tuple[str, ...]]:
    """The parts of the report that this run has content for; each begins with its title."""
    if drift is not None:
        yield tuple(since(drift, utc=whole))
    if state.diagnoses:
        yield tuple(diagnoses(state.diagnoses))
    if state.findings:
        yield tuple(findings(state.findings))
    if state.verb == "install" and state.hosts:
        yield tuple(hosts(state))
    for kind in kinds(state.verdicts):
        if kind == "ping":
            yield (*matrix(state.verdicts, state.hosts), *reasons(state.verdicts))
        elif kind in PER_PAIR:
            yield tuple(about_pairs(kind, state.verdicts))
        else:
            yield tuple(about_hosts(kind, state.verdicts))
        if whole and kind in PER_PAIR:
            first, *rest = about_hosts(kind, state.verdicts)
            yield (f"{first}: what was seen", *rest)


def text(state: State, drift: Drift | None = None) -> str:
    """The report for people at a terminal: its headline, and its parts separated by blank lines.

    Pairs that pass are only counted.
    """
    parts = map("\n".join, _parts(state, drift, whole=False))
    return "\n\n".join([headline(state), *parts]) + "\n"


def markdown(state: State, run: str = "", drift: Drift | None = None) -> str:
    """The complete report for a ticket or a wiki: a heading for each part, followed by its lines.

    The lines are in a code block, since they contain hosts' output; a fence is longer than any run
    of backticks in them.
    """
    sections = [f"# {_escape(headline(state))}"]
    for first, *lines in (_about(state, run), *_parts(state, drift, whole=True)):
        body = "\n".join(lines)
        fence = "```"
        while fence in body:
            fence += "`"
        sections.append(
            f"## {_escape(first.rstrip(':'))}"
            + (f"\n\n{fence}text\n{body}\n{fence}" if body else "")
        )
    return "\n\n".join(sections) + "\n"


def _about(state: State, run: str) -> Iterator[str]:
    """Which run it was, and the versions on its hosts."""
    yield "Run"
    yield from (f"  {name:<8}  {value}" for name, value in run_of(state, run) if value)
    for host in state.hosts.values():
        took = "" if host.facts_seconds is None else f"read in {host.facts_seconds:.1f} s"
        ran = [f"{sanitize(name)} {text}" for name, text in host.versions.items()]
        yield from _lines(
            f"{sanitize(host.name)}: "
            + (", ".join(filter(None, (*ran, took))) or "nothing is known"),
            " " * 4,
            "  ",
        )


def _escape(line: str) -> str:
    """A line with all characters escaped that Markdown and HTML would interpret."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>&|~" else sign for sign in line)
