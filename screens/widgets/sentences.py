"""What a run says in sentences: its findings, what failed and why, and where it is written."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from textual.content import Content

from fedwiz import report
from fedwiz.model.events import Judged, Verified
from fedwiz.runs.rounds import Levels
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from screens.widgets.live_run import LiveRun
from screens.widgets.signs import SIGNS, advice, finding, mark
from screens.widgets.verdict_table import NOBODY, VERDICT_TABLES, word

MAX_SHOWN = 100
"""Reasons, or findings, that are shown; all of them are in the report that is saved."""

KIND_NAMES: Mapping[str, str] = {
    "address": "addresses",
    "lease": "lease",
    "subnet_env": "subnet.env",
    "ping": "ping",
    "peer": "the way",
    "mtu": "size",
}
PAIRED = ("ping", "peer", "mtu")
"""The kinds that are about pairs of nodes."""

_WORST = ("fail", "skipped", "warn", "pass")


def worst(verdicts: Sequence[Verified]) -> dict[str, str]:
    """The worst word of each kind."""
    there = {(it.kind, word(it)) for it in verdicts}
    return {kind: each for each in reversed(_WORST) for kind, said in there if said == each}


def arrow(sender: str, receiver: str) -> str:
    """A pair, in the order in which it pings."""
    return f"{sanitize(sender)} -> {sanitize(receiver)}"


def some(names: Sequence[str], most: int = 6) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def phase(state: State, nodes: int) -> str:
    """What a verification is doing now, from what it has said so far."""
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
    """How it stands, in one line.

    Args:
        live: the run.
        nodes: that it is about.
        going: it has not ended.
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
    said = f"round {state.rounds}: {live.summary}" if going else report.outcome_line(state)
    return mark(("warn" if warned else "ok") if good else "block", said + more)


def between(
    found: Mapping[tuple[str, str], Verified],
    history: Mapping[tuple[str, str], Levels],
    sender: str,
    receiver: str,
) -> Content:
    """Both directions of a pair, with what was seen and one thing to do.

    Args:
        found: verdicts of a kind.
        history: their levels in the last rounds, the newest last; empty: there are no rounds.
        sender: of the first direction.
        receiver: of it.
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
    """A sign for each of the last rounds, the newest last; one that goes on is none yet."""
    whole = levels[:-1] if levels and levels[-1] is None else levels
    signs = (Content.styled(*_sign(level)) for level in whole)
    return Content.assemble("\n    last rounds: ", Content(" ").join(signs))


def _sign(level: Judged | None) -> tuple[str, str]:
    sign, colour = SIGNS[level or "unknown"]
    return sign, f"${colour}"


def about(verdicts: Sequence[Verified], host: str) -> Content:
    """A host's own verdicts, without those on pairs."""
    own = [it for it in verdicts if it.host == host and it.kind not in PAIRED]
    parts: list[Content | str] = [f"{sanitize(host)} does not ping itself; of its own:\n"]
    for it in own:
        parts += [finding(word(it), KIND_NAMES.get(it.kind, it.kind), "", it.why), "\n"]
    return Content.assemble(*parts, "" if own else "nothing is known yet")


def _pairs(verdicts: Sequence[Verified], kind: str) -> Iterator[Content]:
    """Each reason once, the worst first, with all pairs that it holds for."""
    why: dict[tuple[str, str], list[str]] = {}
    for pair, it in report.pairs(verdicts, kind).items():
        if word(it) != "pass":
            why.setdefault((word(it), it.why or it.seen), []).append(arrow(*pair))
    for (level, reason), pairs in sorted(why.items(), key=lambda item: _WORST.index(item[0][0])):
        yield finding(
            level, f"{'' if kind == 'ping' else KIND_NAMES[kind] + ' '}{some(pairs)}", "", reason
        )


def _causes(state: State) -> Iterator[Content]:
    """What a diagnosis has named."""
    for it in state.diagnoses:
        where = f"{arrow(it.sender, it.receiver)}: {it.cause} on {it.host}"
        said = f"{it.why}\n{it.seen}" if it.seen else it.why
        level = "fail" if it.explains else "warn"
        yield finding("done" if _mended(state) else level, where, said, it.remedy)


def _mended(state: State) -> bool:
    return state.code == 0 and any(host.done for host in state.hosts.values())


def _done(state: State) -> Iterator[Content]:
    """What a remedy has done, or what was taken back."""
    if state.verb not in ("diagnose", "undo"):
        return
    for host in state.hosts.values():
        if host.steps:
            head = finding("done" if host.done else "failed", host.name, host.title)
            yield Content.assemble(head, *(f"\n    {line}" for line in host.lines))


def _others(verdicts: Sequence[Verified]) -> Iterator[Content]:
    """All others that are no mere pass, and whatever a newer fedwiz verified."""
    others = [it for it in verdicts if it.kind not in PAIRED]
    for it in sorted(others, key=lambda it: _WORST.index(word(it))):
        strange = it.kind not in VERDICT_TABLES
        if word(it) != "pass" or strange:
            where = f"{KIND_NAMES.get(it.kind, it.kind)} of {it.host or NOBODY}"
            yield finding(word(it), where, it.seen if strange else "", it.why)


def _findings(state: State) -> Iterator[Content]:
    for host in state.red:
        yield finding(host.word, host.name, host.why)
    for level in ("block", "warn"):
        for it in state.findings:
            if it.level == level:
                yield finding(level, f"{it.check} {it.host}".strip(), it.seen, it.remedy)


def sentences(state: State, verdicts: Sequence[Verified], files: Mapping[str, Path]) -> Content:
    """All that is to be said, and where it is written.

    Args:
        state: of the run.
        verdicts: those of it that count.
        files: what is where, by what it is.
    """
    said = [*_causes(state), *_done(state)]
    for kind in PAIRED:
        said += _pairs(verdicts, kind)
    said += [*_others(verdicts), *_findings(state)]
    if not said and verdicts:
        said.append(mark("ok", "every verdict is a pass, and there is no warning"))
    elif not said:
        said.append(Content.styled(state.why or "Nothing is known yet.", "$text-muted"))
    more = len(said) - MAX_SHOWN
    if more > 0:
        said[MAX_SHOWN:] = [Content(f"and {more} more: they are in the report that `w` saves")]
    said += [Content.styled(f"{what}: {path}", "$text-muted") for what, path in files.items()]
    return Content("\n\n").join(said)
