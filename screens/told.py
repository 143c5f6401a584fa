"""What a run says in sentences: its findings, what failed and why, and where it is written."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from textual.content import Content

from fedwiz import report
from fedwiz.clean import clean
from fedwiz.events import Verified
from fedwiz.state import State
from screens.matrix import Cell
from screens.signs import finding, mark
from screens.verdicts import NOBODY, TABLES, word

MOST = 100
"""Reasons, or findings, that are shown; all of them are in the report that is saved."""

KINDS: Mapping[str, str] = {
    "address": "addresses", "lease": "lease", "subnet_env": "subnet.env", "ping": "ping",
}  # fmt: skip
_WORST = ("fail", "skipped", "warn", "pass")


def worst(verdicts: Sequence[Verified]) -> dict[str, str]:
    """The worst word of each kind."""
    there = {(it.kind, word(it)) for it in verdicts}
    return {kind: each for each in reversed(_WORST) for kind, said in there if said == each}


def arrow(sender: str, receiver: str) -> str:
    """A pair, in the order in which it pings."""
    return f"{clean(sender)} -> {clean(receiver)}"


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


def between(pings: Mapping[tuple[str, str], Verified], sender: str, receiver: str) -> Content:
    """Both directions of a pair, with what was seen and one thing to do."""
    parts = list[Content | str]()
    for pair in ((sender, receiver), (receiver, sender)):
        it = pings.get(pair)
        if it is None:
            parts.append(finding("unknown", arrow(*pair), "not known"))
        else:
            parts.append(finding(word(it), arrow(*pair), it.seen, it.why))
        parts.append("\n")
    return Content.assemble(*parts[:-1])


def about(verdicts: Sequence[Verified], host: str) -> Content:
    """A host's own verdicts, without its pings."""
    own = [it for it in verdicts if it.host == host and it.kind != "ping"]
    parts: list[Content | str] = [f"{clean(host)} does not ping itself; of its own:\n"]
    for it in own:
        parts += [finding(word(it), KINDS.get(it.kind, it.kind), "", it.why), "\n"]
    return Content.assemble(*parts, "" if own else "nothing is known yet")


def _pings(verdicts: Sequence[Verified]) -> Iterator[Content]:
    """Each reason once, the worst first, with all pairs that it holds for."""
    why: dict[tuple[str, str], list[str]] = {}
    for pair, it in report.pairs(verdicts).items():
        if word(it) != "pass":
            why.setdefault((word(it), it.why or it.seen), []).append(arrow(*pair))
    for (level, reason), pairs in sorted(why.items(), key=lambda item: _WORST.index(item[0][0])):
        yield finding(level, some(pairs), "", reason)


def _others(verdicts: Sequence[Verified]) -> Iterator[Content]:
    """All others that are no mere pass, and whatever a newer fedwiz verified."""
    others = [it for it in verdicts if it.kind != "ping"]
    for it in sorted(others, key=lambda it: _WORST.index(word(it))):
        strange = it.kind not in TABLES
        if word(it) != "pass" or strange:
            where = f"{KINDS.get(it.kind, it.kind)} of {it.host or NOBODY}"
            yield finding(word(it), where, it.seen if strange else "", it.why)


def _findings(state: State) -> Iterator[Content]:
    for host in state.red:
        yield finding(host.word, host.name, host.why)
    for level in ("block", "warn"):
        for it in state.findings:
            if it.level == level:
                yield finding(level, f"{it.check} {it.host}".strip(), it.seen, it.remedy)


def sentences(state: State, files: Mapping[str, Path]) -> Content:
    """All that is to be said, and where it is written.

    Args:
        state: of the run.
        files: what is where, by what it is.
    """
    said = [*_pings(state.verdicts), *_others(state.verdicts), *_findings(state)]
    if not said and state.verdicts:
        said.append(mark("ok", "every verdict is a pass, and there is no warning"))
    elif not said:
        said.append(Content.styled(state.why or "Nothing is known yet.", "$text-muted"))
    more = len(said) - MOST
    if more > 0:
        said[MOST:] = [Content(f"and {more} more: they are in the report that `w` saves")]
    said += [Content.styled(f"{what}: {path}", "$text-muted") for what, path in files.items()]
    return Content("\n\n").join(said)


def cell(it: Verified) -> Cell:
    """As the matrix has it; beside the sign how many came back of how many were sent."""
    return Cell(word(it), it.seen.partition(",")[0])


def doubtful(found: Cell | None) -> bool:
    """Whether a cell of the matrix needs a look."""
    return found is not None and found.word != "pass"
