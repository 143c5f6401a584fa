"""What is known of a verification while it goes on, in one round or in many."""

from collections.abc import Sequence

from fedwiz import report
from fedwiz.model.events import Record, RoundEnded, RoundStarted, Verified
from fedwiz.runs.rounds import Rounds
from fedwiz.runs.state import State


class LiveRun:
    """A run's state, and the rounds of a verification that goes on.

    While a round goes on, what it has not judged yet stands as the round before left it.
    """

    def __init__(self, state: State | None = None) -> None:
        """Nothing is known yet, or that of a run that has ended."""
        self.state = state or State()
        self.history = Rounds()
        self.between = False
        """A round has ended, and the next has not begun."""

        self.said = ""
        """How the last whole round went, in one line."""

        self.code = 0
        """Its exit code."""

        self._before: tuple[Verified, ...] = ()

    def apply(self, record: Record) -> None:
        """Take in one record."""
        event = record.event
        if isinstance(event, RoundStarted):
            self._before = tuple(self.state.verdicts)
            self.between = False
        self.state.apply(record)
        self.history.apply(record)
        if isinstance(event, RoundEnded):
            self.between, self.code, self._before = True, event.code, ()
            self.said = report.verdict_line(self.state)

    @property
    def verdicts(self) -> Sequence[Verified]:
        """Those that count now, each where the one before it stood."""
        if not self._before:
            return self.state.verdicts
        now = dict[tuple[str, str, str], list[Verified]]()
        for it in self.state.verdicts:
            now.setdefault((it.kind, it.host, it.peer), []).append(it)
        there = set(now)
        found = list[Verified]()
        for it in self._before:
            key = it.kind, it.host, it.peer
            found += now.pop(key, []) if key in there else [it]
        return found + [it for these in now.values() for it in these]
