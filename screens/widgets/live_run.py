"""The state of a verification in progress, of one round or many."""

from collections.abc import Sequence

from fedwiz import report
from fedwiz.model.events import Record, RoundEnded, RoundStarted, Verified
from fedwiz.runs.rounds import Rounds
from fedwiz.runs.state import State


class LiveRun:
    """A run's state, and the rounds of a continuing verification.

    During a round, verdicts that it has not reached yet are those of the previous round.
    """

    def __init__(self, state: State | None = None) -> None:
        """Start empty, or with the state of a run that has ended."""
        self.state = state or State()
        self.history = Rounds()
        self.between = False
        """A round has ended and the next has not started."""

        self.summary = ""
        """The result of the last complete round in one line."""

        self.code = 0
        """The exit code of the last complete round."""

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
            self.summary = report.verdict_line(self.state)

    @property
    def verdicts(self) -> Sequence[Verified]:
        """The current verdicts, in the order of the previous round."""
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
