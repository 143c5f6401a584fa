"""The outcome of a run in one line, and what all forms of the report share."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from fedwiz.model.events import VERDICTS_WORST_FIRST, Judged, Verified
from fedwiz.model.verdicts import VERDICT_KINDS
from fedwiz.report.changes import Drift
from fedwiz.runs.state import HostState, State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import arrow, count, some, where

MAX_NAMED = 6
"""How many pairs, hosts or findings a line names before it only counts the rest."""

SIGNS: Mapping[Judged | None, str] = {"pass": "+", "fail": "X", "skipped": "-", None: "?"}

Pairs: TypeAlias = dict[tuple[str, str], Verified]
"""Verdicts by (sender, receiver)."""


def pairs(verdicts: Iterable[Verified], kind: str = "ping") -> Pairs:
    """The verdicts of a kind that is about pairs; the worst one if a pair has several."""
    found: Pairs = {}
    for it in verdicts:
        if it.kind == kind:
            old = found.get((it.host, it.peer), it)
            found[it.host, it.peer] = min(
                old, it, key=lambda each: VERDICTS_WORST_FIRST.index(each.level)
            )
    return found


def nodes(found: Pairs, order: Iterable[str] = ()) -> list[str]:
    """The nodes in these pairs: first those in `order`, in that order."""
    present = dict.fromkeys(name for pair in found for name in pair)
    first = [name for name in order if name in present]
    return first + [name for name in present if name not in first]


def kinds(verdicts: Iterable[Verified]) -> list[str]:
    """The kinds of these verdicts: those that this fedwiz knows in their order, then the others."""
    present = dict.fromkeys(it.kind for it in verdicts)
    return [kind for kind in VERDICT_KINDS if kind in present] + [
        it for it in present if it not in VERDICT_KINDS
    ]


def duplicates(verdicts: Iterable[Verified]) -> Iterator[tuple[str, list[Verified]]]:
    """Each reason for failures and warnings, worst first, with all verdicts that it applies to.

    Reasons that differ only in the hosts they name are merged into one that names none.
    """
    by_reason: dict[tuple[Judged, str], list[Verified]] = {}
    for it in verdicts:
        if it.level != "pass" or it.why:
            by_reason.setdefault((it.level, it.why or it.seen), []).append(it)
    nameless: dict[tuple[Judged, str], list[Verified]] = {}
    for (level, why), these in by_reason.items():
        text = why if len(these) > 1 else _nameless(why, these[0])
        nameless.setdefault((level, text), []).extend(these)
    for (_, text), these in sorted(
        nameless.items(), key=lambda item: VERDICTS_WORST_FIRST.index(item[0][0])
    ):
        yield text if len(these) > 1 else these[0].why or these[0].seen, these


def _nameless(why: str, it: Verified) -> str:
    """A reason with `the sender`, `the receiver` or `the host` in place of their names."""
    roles = {it.host: "the sender" if it.peer else "the host", it.peer: "the receiver"}
    names = "|".join(map(re.escape, sorted(filter(None, roles), key=len, reverse=True)))
    whole = rf"(?<![\w.-])(?:{names})(?![\w-])"
    return re.sub(whole, lambda found: roles[found[0]], why) if names else why


def ok(state: State) -> bool:
    """Whether the run succeeded, and none of its findings and verdicts says otherwise.

    A ping that was not tried proves nothing, so it counts as much as a failed one.
    """
    return (
        (state.outcome, state.code) == ("ok", 0)
        and not state.red
        and not any(found.level == "block" for found in state.findings)
        and not any(it.level == "fail" for it in state.verdicts)
        and all(it.level == "pass" for it in pairs(state.verdicts).values())
    )


def about(it: Verified) -> str:
    """The host or the pair that a verdict is about."""
    return arrow(it.host, it.peer) if it.peer else where(it.host)


def _pings(state: State) -> Iterator[str]:
    tried = pairs(state.verdicts)
    for level, one, several in (
        ("fail", "does not ping", "do not ping"),
        ("skipped", "was not tried", "were not tried"),
    ):
        these = [arrow(*pair) for pair, it in tried.items() if it.level == level]
        if these:
            verb = one if len(these) == 1 else several
            yield f"{len(these)} of {count(len(tried), 'pair')} {verb}: {some(these, MAX_NAMED)}"


def _red(host: HostState) -> str:
    outcome = {"failed": "failed", "unknown": "is in an unknown state", "lost": "was lost"}[
        host.word
    ]
    at = f" at {host.title}" if host.title and host.word != "lost" else ""
    return f"{sanitize(host.name)} {outcome}{at}" + (f": {host.why}" if host.why else "")


def _wrong(state: State) -> Iterator[str]:
    """All reasons why the run is not a success, the most important first."""
    if state.diagnoses and state.code != 0:
        first = state.diagnoses[0]
        pair = arrow(first.sender, first.receiver)
        yield f"{pair}: {sanitize(first.cause)}, {sanitize(first.why)}"
    yield from _pings(state)
    if red := state.red:
        yield _red(red[0]) + (
            f" ({some([sanitize(it.name) for it in red[1:]], MAX_NAMED)} too)" * (len(red) > 1)
        )
    failed = [it for it in state.verdicts if it.level == "fail" and it.kind != "ping"]
    if failed:
        names = [f"{_kind(it.kind)} of {about(it)}" for it in failed]
        yield f"{count(len(failed), 'other verdict')} failed: {some(names, MAX_NAMED)}"
    blocks = [found for found in state.findings if found.level == "block"]
    if blocks:
        names = [f"{sanitize(it.check)} ({where(it.host)})" for it in blocks]
        yield f"{count(len(blocks), 'finding')} must be settled first: {some(names, MAX_NAMED)}"


def _right(state: State) -> str:
    warnings = sum(found.level == "warn" for found in state.findings)
    pinged = len(pairs(state.verdicts))
    parts = []
    if state.verb == "install":
        actions = f"{count(state.done, 'action')} done on {count(len(state.hosts), 'host')}"
        parts.append(actions if state.done else "it was right already, and nothing was changed")
    if state.verb == "diagnose":
        # A problem counts as wrong until it is fixed.
        fixed = f"fixed by {count(state.done, 'action')}"
        parts.append(fixed if state.done else "nothing wrong was found between the two")
    if pinged:
        # The master is not a node; a verification of two nodes alone leaves most pairs untried.
        total = (len(state.hosts) - 1) * (len(state.hosts) - 2)
        all_pairs = f"all {count(pinged, 'pair')} of nodes ping"
        some_of = f"{pinged} of {total} pairs of nodes were tried, and ping"
        parts.append(all_pairs if pinged >= total else some_of)
    elif state.verdicts:
        parts.append(f"{count(len(state.verdicts), 'verdict')}, none failed; no pair was pinged")
    if state.findings and state.verb != "verify":
        parts.append(f"nothing blocks, {count(warnings, 'warning')}")
    return "; ".join(parts) or f"{sanitize(state.verb) or 'the run'} ended well"


def headline(state: State) -> str:
    """The run in one line; for a practice cluster it says so first."""
    name = sanitize(state.cluster)
    if state.practice:
        fault = sanitize(state.practice)
        name = f"Practice cluster {name} ({'' if fault == 'healthy' else 'fault: '}{fault})"
    return f"{name}: {outcome_line(state)}"


def outcome_line(state: State) -> str:
    """The run in one line, without the cluster's name."""
    wrong = list(_wrong(state))
    if not state.outcome:
        wrong.insert(
            0, f"{sanitize(state.verb) or 'the run'} was interrupted: its end is not recorded"
        )
    elif not wrong and not ok(state):
        wrong.append(state.why or f"{sanitize(state.verb)} {state.outcome}")
    return "; ".join(wrong) or _right(state)


def verdict_line(state: State) -> str:
    """What is wrong, or else what is right, in one line; also for a run in progress."""
    return "; ".join(_wrong(state)) or _right(state)


def _kind(kind: str) -> str:
    return _WHAT.get(kind) or sanitize(kind)


def at(seconds: float | None) -> str:
    """A time in UTC, in ISO 8601 format; empty if unknown."""
    if seconds is None:
        return ""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def ended(state: State) -> float | None:
    """When the run ended; None if that is not recorded."""
    return state.latest if state.outcome else None


def run_of(state: State, run: str = "") -> Iterator[tuple[str, str]]:
    """The run's details for people: name and value of each."""
    yield "Cluster", sanitize(state.cluster)
    if state.practice:
        yield "Practice", sanitize(state.practice)
    yield "Verb", sanitize(state.verb)
    yield "Run", sanitize(run)
    yield "fedwiz", sanitize(state.version)
    yield "Began", at(state.started)
    yield "Ended", at(ended(state))
    if state.started is not None and state.outcome:
        yield "Took", f"{state.elapsed(state.started):.1f} s"
    if state.rounds:
        yield "Rounds", str(state.rounds)
    yield "Plan", sanitize(state.digest)


_WHAT = {
    "subnet": "subnet",
    "public_ip": "PublicIP",
    "vtep_mac": "VtepMAC",
    "flannel_mtu": "FLANNEL_MTU",
    "subnet_env": "subnet.env",
}


def began(drift: Drift, *, utc: bool) -> str:
    """The run that changes are relative to; in UTC for readers elsewhere."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(drift.started))
    when = at(drift.started) if utc else when
    return f"Since {when} (run {sanitize(drift.run)})"


def changes(drift: Drift) -> Iterator[str]:
    """Each change once, with all hosts or pairs that it applies to."""
    names_by_change: dict[tuple[str, str, str], list[str]] = {}
    for it in drift.changes:
        names = names_by_change.setdefault((it.what, it.before, it.now), [])
        names.append(arrow(it.host, it.peer) if it.peer else it.host)
    for (what, before, now), names in names_by_change.items():
        yield f"{_changed(what, before, now)}: {some(names, MAX_NAMED)}"


def _changed(what: str, before: str, now: str) -> str:
    if what == "host":
        return "gone" if before else "new"
    if what == "ping" and before == "pass":
        return "pinged, and does not now" if now == "fail" else "pinged, and was not tried now"
    if what == "ping" and now == "pass":
        return "did not ping, and does now" if before == "fail" else "was not tried, and pings now"
    return f"{_WHAT.get(what, what)} was {before}, is {now}"
