"""A run in sentences: its state, its findings, what failed and why, and its files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from textual.content import Content

from fedwiz import report
from fedwiz.model.events import Judged, Verified
from fedwiz.model.verdicts import PER_PAIR, noun
from fedwiz.runs.rounds import Levels
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import arrow, some
from screens.widgets.live_run import LiveRun
from screens.widgets.signs import SIGNS, advice, finding, mark
from screens.widgets.verdict_table import NOBODY, VERDICT_TABLES, WORDS_WORST_FIRST, word

MAX_SHOWN = 100
"""Reasons and findings shown at most; the saved report has all of them."""

MAX_PAIRS_NAMED = 6
"""Pairs named for one reason."""


def worst(verdicts: Sequence[Verified]) -> dict[str, str]:
    """The worst word of each kind."""
    words: dict[str, set[str]] = {}
    for it in verdicts:
        words.setdefault(it.kind, set()).add(word(it))
    return {kind: min(there, key=WORDS_WORST_FIRST.index) for kind, there in words.items()}


def phase(state: State, nodes: int) -> str:
    """What a verification is doing now, judged by its events so far."""
    hosts = list(state.hosts.values())
    there = [it for it in hosts if it.word != "connecting"]
    asked = [it for it in there if it.word != "lost"]
    read = [it for it in asked if it.facts_seconds is not None]
    if not hosts:
        return "connecting to all hosts"
    if len(there) < len(hosts):
        return f"connecting: {len(there)} of {len(hosts)} hosts"
    if len(read) < len(asked):
        return f"reading {len(read)} of {len(asked)} hosts"
    if not state.verdicts:
        return f"reading etcd, starting a container on each of {nodes} nodes"
    return f"pinging: every one of {nodes} nodes pings all others"


def diagnosing(state: State) -> str:
    """What a diagnosis, or a remedy, is doing now."""
    running = [host for host in state.hosts.values() if host.word == "running"]
    if running:
        return f"{sanitize(running[0].name)}: {running[0].title}"
    if any(host.done for host in state.hosts.values()):
        return "verifying the two nodes again"
    if any(it.kind == "ping" for it in state.verdicts):
        return "following a ping from node to node, hop by hop"
    return phase(state, 2)


def headline(live: LiveRun, nodes: int, *, going: bool) -> Content:
    """The state of a run in one line.

    Args:
        live: the run.
        nodes: how many nodes it is about.
        going: whether it is still running.
    """
    state = live.state
    warned = sum(word(it) == "warn" for it in live.verdicts)
    more = f"; {warned} of the verdicts with a warning" if warned else ""
    if going and not live.summary:
        return mark("running", phase(state, nodes))
    if going and not live.between:
        return mark("running", f"round {state.rounds} goes on; the one before: {live.summary}")
    if not state.verb:
        return mark("waiting", "nothing was verified yet: press r")
    if state.diagnoses and state.code:
        first = state.diagnoses[0]
        return mark("block", f"{first.cause} on {sanitize(first.host)}: {sanitize(first.why)}")
    good = live.code == 0 if going else report.ok(state)
    text = f"round {state.rounds}: {live.summary}" if going else report.outcome_line(state)
    return mark(("warn" if warned else "ok") if good else "block", text + more)


def between(
    found: Mapping[tuple[str, str], Verified],
    history: Mapping[tuple[str, str], Levels],
    sender: str,
    receiver: str,
) -> Content:
    """Both directions of a pair, each with its evidence and one thing to do.

    Args:
        found: the verdicts of one kind.
        history: their levels in the last rounds, the newest last; empty if there are no rounds.
        sender: the sender of the first direction.
        receiver: its receiver.
    """
    parts = list[Content | str]()
    for pair in ((sender, receiver), (receiver, sender)):
        it = found.get(pair)
        if it is None:
            parts.append(finding("unknown", arrow(*pair), "not known"))
        else:
            rounds = _rounds(history[pair]) if pair in history else ""
            parts += [finding(word(it), arrow(*pair), it.seen), rounds, advice(it.why)]
        parts.append("\n")
    return Content.assemble(*parts[:-1])


def _rounds(levels: Levels) -> Content:
    """A sign for each of the last rounds, the newest last; a running round has none yet."""
    whole = levels[:-1] if levels and levels[-1] is None else levels
    signs = (Content.styled(*_sign(level)) for level in whole)
    return Content.assemble("\n    last rounds: ", Content(" ").join(signs))


def _sign(level: Judged | None) -> tuple[str, str]:
    sign, colour = SIGNS[level or "unknown"]
    return sign, f"${colour}"


def about(verdicts: Sequence[Verified], host: str) -> Content:
    """A host's own verdicts, without those on pairs."""
    own = [it for it in verdicts if it.host == host and it.kind not in PER_PAIR]
    parts: list[Content | str] = [f"{sanitize(host)} does not ping itself; of its own:\n"]
    for it in own:
        parts += [finding(word(it), noun(it.kind), "", it.why), "\n"]
    return Content.assemble(*parts, "" if own else "nothing is known yet")


def _pairs(verdicts: Sequence[Verified], kind: str) -> Iterator[Content]:
    """Each reason once, worst first, with all its pairs."""
    why: dict[tuple[str, str], list[str]] = {}
    for pair, it in report.pairs(verdicts, kind).items():
        if word(it) != "pass":
            why.setdefault((word(it), it.why or it.seen), []).append(arrow(*pair))
    about = "" if kind == "ping" else f"{noun(kind)} "
    for level, reason in sorted(why, key=lambda key: WORDS_WORST_FIRST.index(key[0])):
        pairs = some(why[level, reason], MAX_PAIRS_NAMED)
        yield finding(level, f"{about}{pairs}", "", reason)


def _causes(state: State) -> Iterator[Content]:
    """The causes that a diagnosis found."""
    for it in state.diagnoses:
        where = f"{arrow(it.sender, it.receiver)}: {it.cause} on {it.host}"
        seen = f"{it.why}\n{it.seen}" if it.seen else it.why
        level = "fail" if it.explains else "warn"
        yield finding("done" if _fixed(state) else level, where, seen, it.remedy)


def _fixed(state: State) -> bool:
    return state.code == 0 and any(host.done for host in state.hosts.values())


def _done(state: State) -> Iterator[Content]:
    """What a fix, or its undo, did on the hosts."""
    if state.verb not in ("diagnose", "undo"):
        return
    for host in state.hosts.values():
        if host.steps:
            head = finding("done" if host.done else "failed", host.name, host.title)
            yield Content.assemble(head, *(f"\n    {line}" for line in host.lines))


def _others(verdicts: Sequence[Verified]) -> Iterator[Content]:
    """All other verdicts but plain passes, and those of kinds that only a newer fedwiz knows."""
    others = [it for it in verdicts if it.kind not in PER_PAIR]
    for it in sorted(others, key=lambda it: WORDS_WORST_FIRST.index(word(it))):
        unknown = it.kind not in VERDICT_TABLES
        if word(it) != "pass" or unknown:
            where = f"{noun(it.kind)} of {it.host or NOBODY}"
            yield finding(word(it), where, it.seen if unknown else "", it.why)


def _findings(state: State) -> Iterator[Content]:
    for host in state.red:
        yield finding(host.word, host.name, host.why)
    for level in ("block", "warn"):
        for it in state.findings:
            if it.level == level:
                yield finding(level, f"{it.check} {it.host}".strip(), it.seen, it.remedy)


def sentences(state: State, verdicts: Sequence[Verified], files: Mapping[str, Path]) -> Content:
    """The whole run in sentences, and its files.

    Args:
        state: the state of the run.
        verdicts: its current verdicts.
        files: paths of its files by description.
    """
    parts = [*_causes(state), *_done(state)]
    for kind in PER_PAIR:
        parts += _pairs(verdicts, kind)
    parts += [*_others(verdicts), *_findings(state)]
    if not parts and verdicts:
        parts.append(mark("ok", "every verdict is a pass, and there is no warning"))
    elif not parts:
        parts.append(Content.styled(state.why or "Nothing is known yet.", "$text-muted"))
    more = len(parts) - MAX_SHOWN
    if more > 0:
        parts[MAX_SHOWN:] = [Content(f"and {more} more: they are in the report that `w` saves")]
    parts += [Content.styled(f"{what}: {path}", "$text-muted") for what, path in files.items()]
    return Content("\n\n").join(parts)
