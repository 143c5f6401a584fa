"""What a run found and proved, as text for people, as Markdown and as JSON.

Every form is made from a `State`, so a run of last week reports as it did then.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Any

from fedwiz.clean import clean
from fedwiz.events import Found, Judged, Verified
from fedwiz.state import HostState, State

WIDTH = 80
"""Columns of the text; only a word that is longer goes beyond them, and the first line."""

NAMED = 6
"""Pairs, hosts or findings that the headline names before it says how many more there are."""

_SIGNS: dict[Judged | None, str] = {"pass": "+", "fail": "X", "skipped": "-", None: "?"}
_WORST: tuple[Judged, ...] = ("fail", "skipped", "pass")
_LEVELS = ("block", "warn", "ok")
_KINDS = {"address": "Addresses", "lease": "Leases in etcd", "subnet_env": "subnet.env"}
"""The kinds of verdicts that are about one host, and their titles."""


def pairs(verdicts: Iterable[Verified]) -> dict[tuple[str, str], Verified]:
    """The pings, by (sender, receiver); the worst of them where a pair has several."""
    found: dict[tuple[str, str], Verified] = {}
    for it in verdicts:
        if it.kind == "ping":
            old = found.get((it.host, it.peer), it)
            found[it.host, it.peer] = min(old, it, key=lambda each: _WORST.index(each.level))
    return found


def ok(state: State) -> bool:
    """The run ended well, and nothing that it found says otherwise.

    A ping that was not tried proves nothing, so it counts as much as one that failed.
    """
    return (
        (state.outcome, state.code) == ("ok", 0)
        and not state.red
        and not any(found.level == "block" for found in state.findings)
        and not any(it.level == "fail" for it in state.verdicts)
        and all(it.level == "pass" for it in pairs(state.verdicts).values())
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _where(host: str) -> str:
    return clean(host) or "cluster"


def _arrow(pair: tuple[str, str]) -> str:
    return f"{clean(pair[0])} -> {clean(pair[1])}"


def _pings(state: State) -> Iterator[str]:
    tried = pairs(state.verdicts)
    for level, one, several in (
        ("fail", "does not ping", "do not ping"),
        ("skipped", "was not tried", "were not tried"),
    ):
        these = [_arrow(pair) for pair, it in tried.items() if it.level == level]
        if these:
            verb = one if len(these) == 1 else several
            yield f"{len(these)} of {_count(len(tried), 'pair')} {verb}: {_some(these)}"


def _red(host: HostState) -> str:
    said = {"failed": "failed", "unknown": "is in an unknown state", "lost": "was lost"}[host.word]
    at = f" at {host.title}" if host.title and host.word != "lost" else ""
    return f"{clean(host.name)} {said}{at}" + (f": {host.why}" if host.why else "")


def _wrong(state: State) -> Iterator[str]:
    """All that keeps the run from being a good one, the most telling first."""
    yield from _pings(state)
    if red := state.red:
        yield _red(red[0]) + (
            f" ({_some([clean(it.name) for it in red[1:]])} too)" * (len(red) > 1)
        )
    failed = [it for it in state.verdicts if it.level == "fail" and it.kind != "ping"]
    if failed:
        names = [f"{_kind(it.kind)} of {_where(it.host)}" for it in failed]
        yield f"{_count(len(failed), 'other verdict')} failed: {_some(names)}"
    blocks = [found for found in state.findings if found.level == "block"]
    if blocks:
        names = [f"{clean(it.check)} ({_where(it.host)})" for it in blocks]
        yield f"{_count(len(blocks), 'finding')} must be settled first: {_some(names)}"


def _right(state: State) -> str:
    warnings = sum(found.level == "warn" for found in state.findings)
    pinged = len(pairs(state.verdicts))
    said = []
    if state.verb == "install":
        did = f"{_count(state.done, 'action')} done on {_count(len(state.hosts), 'host')}"
        said.append(did if state.done else "it was right already, and nothing was changed")
    if pinged:
        said.append(f"all {_count(pinged, 'pair')} of nodes ping")
    elif state.verdicts:
        said.append(f"{_count(len(state.verdicts), 'verdict')}, none failed; no pair was pinged")
    if state.findings and state.verb != "verify":
        said.append(f"nothing blocks, {_count(warnings, 'warning')}")
    return "; ".join(said) or f"{clean(state.verb) or 'the run'} ended well"


def headline(state: State) -> str:
    """The run in one line; of a practice cluster, it says so first."""
    name = clean(state.cluster)
    if state.practice:
        fault = clean(state.practice)
        name = f"Practice cluster {name} ({'' if fault == 'healthy' else 'fault: '}{fault})"
    return f"{name}: {gist(state)}"


def gist(state: State) -> str:
    """The run in one line, where it stands already which cluster it is about."""
    wrong = list(_wrong(state))
    if not state.outcome:
        wrong.insert(
            0, f"{clean(state.verb) or 'the run'} was interrupted: its end is not recorded"
        )
    elif not wrong and not ok(state):
        wrong.append(state.why or f"{clean(state.verb)} {state.outcome}")
    return "; ".join(wrong) or _right(state)


def _kind(kind: str) -> str:
    return "subnet.env" if kind == "subnet_env" else clean(kind)


def _lines(text: str, indent: str, first: str = "") -> Iterator[str]:
    """Text of a host's as indented lines of at most `WIDTH` columns."""
    lead = first or indent
    for line in text.splitlines():
        for part in wrap(
            clean(line), WIDTH - len(indent), break_long_words=False, break_on_hyphens=False
        ):
            yield (lead + part).rstrip()
            lead = indent


def findings(found: Sequence[Found]) -> Iterator[str]:
    """Findings as lines: blocks, then warnings; those that are ok are only counted."""
    by = {level: [it for it in found if it.level == level] for level in _LEVELS}
    counts = (_count(len(by["block"]), "block"), _count(len(by["warn"]), "warning"))
    yield f"Findings: {counts[0]}, {counts[1]}, {len(by['ok'])} ok"
    for it in (*by["block"], *by["warn"]):
        level = "BLOCK" if it.level == "block" else it.level
        yield f"  {level:<5}  {clean(it.check)}  {_where(it.host)}"
        yield from _lines(it.seen, " " * 9)
        yield from _lines(it.remedy, " " * 12, " " * 9 + "-> ")


def hosts(state: State) -> Iterator[str]:
    """Each host's outcome, as lines."""
    yield "Hosts"
    wide = max((len(name) for name in state.hosts), default=0)
    for host in state.hosts.values():
        did = f"{host.done} of {_count(host.planned, 'action')}"
        yield f"  {clean(host.name):<{wide}}  {host.word:<8}  {did}"
        yield from _lines(host.why, " " * (wide + 4))


def about_hosts(kind: str, verdicts: Iterable[Verified]) -> Iterator[str]:
    """The verdicts of one kind that is about one host each, as lines."""
    yield _KINDS.get(kind) or clean(kind) or "Other verdicts"
    for it in verdicts:
        if it.kind == kind:
            sign = "FAIL" if it.level == "fail" else it.level
            yield f"  {sign:<7}  {_where(it.host)}"
            yield from _lines(it.seen, " " * 11)
            yield from _lines(it.why, " " * 14, " " * 11 + "-> ")


def matrix(verdicts: Sequence[Verified], order: Iterable[str] = ()) -> Iterator[str]:
    """Who pings whom, drawn: a row for each sender, a column for each receiver.

    Args:
        verdicts: of all kinds.
        order: hosts in the order wanted; those that no ping is about are left out, and those
            that are missing come last.
    """
    tried = pairs(verdicts)
    there = dict.fromkeys(name for pair in tried for name in pair)
    nodes = [name for name in order if name in there]
    nodes += [name for name in there if name not in nodes]
    passed = sum(it.level == "pass" for it in tried.values())
    yield f"Pings between containers: {passed} of {_count(len(tried), 'pair')}"
    digits = len(str(len(nodes)))
    wide = min(max([len(name) for name in nodes] + [6]), 24)  # 6: room for the corner's words
    room = WIDTH - digits - wide - 3
    cell = next(
        (size for size in (3, 2) if size > digits and size * len(nodes) <= room), digits + 1
    )
    step = max(room // cell, 1)
    for begin in range(0, len(nodes), step):
        columns = range(begin, min(begin + step, len(nodes)))
        heads = "".join(f"{number + 1:>{cell}}" for number in columns)
        yield f"  {'from, to':<{digits + wide + 1}.{digits + wide + 1}}{heads}"
        for number, sender in enumerate(nodes, 1):
            signs = (_sign(tried, sender, nodes[column]) for column in columns)
            name = clean(sender)
            name = name if len(name) <= wide else name[: wide - 1] + "~"
            cells = "".join(f"{sign:>{cell}}" for sign in signs)
            yield f"  {number:>{digits}} {name:<{wide}}{cells}"
    yield "  + pings   X does not ping   - was not tried   ? nothing is known   . itself"


def _sign(tried: dict[tuple[str, str], Verified], sender: str, receiver: str) -> str:
    it = tried.get((sender, receiver))
    return "." if sender == receiver else _SIGNS[it.level if it else None]


def reasons(verdicts: Sequence[Verified]) -> Iterator[str]:
    """Why pairs do not ping, each reason once, with all pairs that it holds for."""
    why: dict[tuple[Judged, str], list[str]] = {}
    for pair, it in pairs(verdicts).items():
        if it.level != "pass" or it.why:
            why.setdefault((it.level, it.why or it.seen), []).append(_arrow(pair))
    for (level, reason), these in sorted(why.items(), key=lambda item: _WORST.index(item[0][0])):
        sign = _SIGNS[level]
        yield from _lines(", ".join(these), " " * 4, f"  {sign} ")
        yield from _lines(reason, " " * 9, " " * 6 + "-> ")


def _parts(state: State) -> Iterator[tuple[str, ...]]:
    """The parts of the report that this run has something for; each begins with its title."""
    if state.findings:
        yield tuple(findings(state.findings))
    if state.verb == "install" and state.hosts:
        yield tuple(hosts(state))
    for kind in dict.fromkeys(it.kind for it in state.verdicts if it.kind != "ping"):
        yield tuple(about_hosts(kind, state.verdicts))
    if pairs(state.verdicts):
        yield (*matrix(state.verdicts, state.hosts), *reasons(state.verdicts))


def text(state: State) -> str:
    """The report for people at a terminal: its headline, and its parts with a line between."""
    return "\n\n".join([headline(state), *map("\n".join, _parts(state))]) + "\n"


def markdown(state: State) -> str:
    """The same for a ticket or a wiki: each part a heading and its lines as they are.

    The lines are a code block, since they hold what hosts said; a fence is longer than any
    run of backticks in them.
    """
    said = [f"# {_escape(headline(state))}"]
    for title, *lines in _parts(state):
        body = "\n".join(lines)
        fence = "```"
        while fence in body:
            fence += "`"
        said.append(f"## {_escape(title)}" + (f"\n\n{fence}text\n{body}\n{fence}" if body else ""))
    return "\n\n".join(said) + "\n"


def _escape(line: str) -> str:
    """A line in which Markdown and HTML find nothing of theirs."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>&|~" else sign for sign in line)


def _finding(found: Found) -> dict[str, str]:
    return {
        "check": found.check,
        "host": found.host,
        "level": found.level,
        "seen": found.seen,
        "remedy": found.remedy,
    }


def _verdict(it: Verified) -> dict[str, str]:
    return {
        "kind": it.kind,
        "host": it.host,
        "peer": it.peer,
        "level": it.level,
        "seen": it.seen,
        "why": it.why,
    }


def _install(state: State, run: str) -> dict[str, Any]:
    return {
        "digest": state.digest,
        "run": run,
        "hosts": {
            name: {"outcome": "ok" if host.word == "done" else host.word, "why": host.why}
            for name, host in state.hosts.items()
        },
        "findings": [_finding(found) for found in state.findings],
        "verdicts": [_verdict(it) for it in state.verdicts],
    }


_JSON: dict[str, Callable[[State, str], dict[str, Any]]] = {
    "check": lambda state, _: {"findings": [_finding(found) for found in state.findings]},
    "verify": lambda state, _: {"verdicts": [_verdict(it) for it in state.verdicts]},
}


def as_json(state: State, run: str = "") -> dict[str, Any]:
    """The report as JSON's own types, in the shape of its verb.

    check: `{"ok", "findings": [{"check", "host", "level", "seen", "remedy"}]}`;
    verify: `{"ok", "verdicts": [{"kind", "host", "peer", "level", "seen", "why"}]}`;
    install, and every other verb: `{"ok", "digest", "run", "hosts": {NAME: {"outcome", "why"}},
    "findings", "verdicts"}`, an outcome being `ok` or one of `State`'s words.  On a practice
    cluster there is `practice` besides: the name of its fault, or `healthy`.

    Args:
        state: what to report.
        run: the run's id.
    """
    said = {"ok": ok(state), **_JSON.get(state.verb, _install)(state, run)}
    return {**said, "practice": state.practice} if state.practice else said
