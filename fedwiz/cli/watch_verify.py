"""Output of `verify --watch`: redraws each round on a terminal, else prints it in lines."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import wrap

from fedwiz import report
from fedwiz.cli.output import can_redraw, draw, give, say
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
from fedwiz.util.words import arrow, count, where

PRINTED_EVENTS = (RunStarted, Connected, HostLost, RunEnded)
"""Events that get a line of their own; verdicts are part of their round's output."""

MAX_PAIRS_DRAWN = 20
"""Pairs drawn with their last rounds, worst first; the rest are only counted."""


def printed_rounds(*, lines: bool) -> RecordedRun:
    """A run that prints its rounds, redrawn on a terminal or line by line.

    Args:
        lines: print lines to stderr, because stdout is for the result.
    """
    rounds = _Rounds(redraws=can_redraw() and not lines, write=say if lines else give)
    run = RecordedRun(rounds.apply)
    rounds.state = run.state
    return run


class _Rounds:
    """Prints each round as soon as it is complete."""

    def __init__(self, *, redraws: bool, write: Callable[[str], None]) -> None:
        self.state = State()
        self._history = Rounds()
        self._redraws = redraws
        self._write = write

    def apply(self, record: Record) -> None:
        """Take in one record; the state must already include it."""
        self._history.apply(record)
        if isinstance(record.event, RoundEnded):
            stamp = time.strftime("%H:%M:%S", time.localtime(record.at))
            if self._redraws:
                draw(list(frame(self.state, self._history, stamp)))
            else:
                for line in lines(self.state, self._history):
                    self._write(f"{stamp}  {line}")
        elif isinstance(record.event, PRINTED_EVENTS) and not (
            self._redraws and self._history.rounds
        ):
            tell(record)


def lines(state: State, history: Rounds) -> Iterator[str]:
    """One line for the round, and one for each verdict that changed since the previous round."""
    yield f"round {state.rounds}: {report.verdict_line(state)}"
    why = {(it.kind, it.host, it.peer): it.why for it in state.verdicts}
    for it, before, now in history.changes():
        reason = f": {sanitize(why.get(it, ''))}" if now != "pass" and why.get(it) else ""
        yield f"  {_name(it)}: {before or 'unknown'} -> {now or 'unknown'}{reason}"


def _name(it: Subject) -> str:
    host = where(it.host)
    return f"{sanitize(it.kind)} {arrow(host, it.peer) if it.peer else host}"


def frame(state: State, history: Rounds, stamp: str) -> Iterator[str]:
    """The terminal's content after a round."""
    name = f"{sanitize(state.cluster)} (practice)" if state.practice else sanitize(state.cluster)
    title = f"{name}, round {state.rounds}, {stamp}: {report.verdict_line(state)}"
    yield from wrap(title, report.WIDTH_COLUMNS, break_on_hyphens=False)
    yield ""
    yield from report.rounds(state)
    yield ""
    yield from recent_rounds(history.pairs(), min(history.rounds, ROUNDS_KEPT))
    yield "Ctrl+C ends it after a round."


def recent_rounds(pairs: Mapping[tuple[str, str], Levels], rounds: int) -> Iterator[str]:
    """The last rounds of each pair that failed to ping in any of them, one sign per round."""
    if not pairs:
        return
    yield f"The last {rounds} rounds, the newest at the right" if rounds > 1 else "The first round"
    doubtful = {pair: it for pair, it in pairs.items() if set(it) != {"pass"}}
    ordered = sorted(doubtful.items(), key=lambda item: sum(it == "pass" for it in item[1]))
    for (sender, receiver), levels in ordered[:MAX_PAIRS_DRAWN]:
        yield f"  {signs(levels):>{ROUNDS_KEPT}}  {arrow(sender, receiver)}"
    if rest := ordered[MAX_PAIRS_DRAWN:]:
        yield f"  and {len(rest)} pairs more that did not ping in each"
    if well := len(pairs) - len(doubtful):
        yield f"  {'+' * rounds:>{ROUNDS_KEPT}}  {count(well, 'pair')}"


def signs(levels: Sequence[Judged | None]) -> str:
    """The levels of a pair, one sign per round."""
    return "".join(report.SIGNS[level] for level in levels)
