"""A verification that goes on: each round redrawn on a terminal, or told in lines."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import wrap

from fedwiz import report
from fedwiz.cli.output import draw, drawable, give, say
from fedwiz.cli.runner import RecordedRun, tell
from fedwiz.model.events import (
    Connected,
    HostLost,
    Judged,
    Record,
    RoundEnded,
    RunEnded,
    RunStarted,
)
from fedwiz.runs.rounds import ROUNDS_KEPT, Levels, Rounds, Subject
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize

TOLD = (RunStarted, Connected, HostLost, RunEnded)
"""Events that are a line of their own; verdicts are told by their rounds."""

MAX_PAIRS_DRAWN = 20
"""Pairs whose last rounds are drawn, the worst first; of the others it is said how many."""


def told(*, lines: bool) -> RecordedRun:
    """A run whose rounds are told, on a terminal or in a pipe.

    Args:
        lines: in lines on stderr, since stdout is for the result.
    """
    rounds = _Rounds(redraws=drawable() and not lines, write=say if lines else give)
    run = RecordedRun(rounds.apply)
    rounds.state = run.state
    return run


class _Rounds:
    """Tells each round as soon as it is whole."""

    def __init__(self, *, redraws: bool, write: Callable[[str], None]) -> None:
        self.state = State()
        self._history = Rounds()
        self._redraws = redraws
        self._write = write

    def apply(self, record: Record) -> None:
        """Take in one record; the state has taken it in already."""
        self._history.apply(record)
        if isinstance(record.event, RoundEnded):
            stamp = time.strftime("%H:%M:%S", time.localtime(record.at))
            if self._redraws:
                draw(list(frame(self.state, self._history, stamp)))
            else:
                for line in lines(self.state, self._history):
                    self._write(f"{stamp}  {line}")
        elif isinstance(record.event, TOLD) and not (self._redraws and self._history.rounds):
            tell(record)


def lines(state: State, history: Rounds) -> Iterator[str]:
    """A round in a line, and a line for each thing that is not as in the round before."""
    yield f"round {state.rounds}: {report.verdict_line(state)}"
    why = {(it.kind, it.host, it.peer): it.why for it in state.verdicts}
    for it, before, now in history.changes():
        reason = f": {sanitize(why.get(it, ''))}" if now != "pass" and why.get(it) else ""
        yield f"  {_name(it)}: {before or 'unknown'} -> {now or 'unknown'}{reason}"


def _name(it: Subject) -> str:
    host = sanitize(it.host) or "cluster"
    return (
        f"{sanitize(it.kind)} {host} -> {sanitize(it.peer)}"
        if it.peer
        else f"{sanitize(it.kind)} {host}"
    )


def frame(state: State, history: Rounds, stamp: str) -> Iterator[str]:
    """What a terminal shows after a round."""
    name = f"{sanitize(state.cluster)} (practice)" if state.practice else sanitize(state.cluster)
    said = f"{name}, round {state.rounds}, {stamp}: {report.verdict_line(state)}"
    yield from wrap(said, report.WIDTH_COLUMNS, break_on_hyphens=False)
    yield ""
    yield from report.rounds(state)
    yield ""
    yield from past(history.pairs(), min(history.rounds, ROUNDS_KEPT))
    yield "Ctrl+C ends it after a round."


def past(pairs: Mapping[tuple[str, str], Levels], rounds: int) -> Iterator[str]:
    """The last rounds of each pair that did not ping in all of them, as signs."""
    if not pairs:
        return
    yield f"The last {rounds} rounds, the newest at the right" if rounds > 1 else "The first round"
    doubtful = {pair: it for pair, it in pairs.items() if set(it) != {"pass"}}
    ordered = sorted(doubtful.items(), key=lambda item: sum(it == "pass" for it in item[1]))
    for (sender, receiver), levels in ordered[:MAX_PAIRS_DRAWN]:
        yield f"  {signs(levels):>{ROUNDS_KEPT}}  {sanitize(sender)} -> {sanitize(receiver)}"
    if rest := ordered[MAX_PAIRS_DRAWN:]:
        yield f"  and {len(rest)} pairs more that did not ping in each"
    if well := len(pairs) - len(doubtful):
        yield f"  {'+' * rounds:>{ROUNDS_KEPT}}  {well} {'pair' if well == 1 else 'pairs'}"


def signs(levels: Sequence[Judged | None]) -> str:
    """The levels of a pair, a sign for each round."""
    return "".join(report.SIGNS[level] for level in levels)
