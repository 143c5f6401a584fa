"""The verdicts of a continuous verification's last rounds: a fold over its records."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from fedwiz.model.events import VERDICTS_WORST_FIRST, Judged, Record, RoundStarted, Verified

ROUNDS_KEPT = 10
"""Number of rounds that are kept."""

Levels: TypeAlias = tuple[Judged | None, ...]
"""One level per round kept, newest last; None: the round had no such verdict."""


class Subject(NamedTuple):
    """What a verdict is about."""

    kind: str
    host: str
    peer: str


@dataclass(slots=True)
class Rounds:
    """The last rounds. Start with an empty one and `apply` every record in order."""

    rounds: int = 0
    """How many rounds have started."""

    _levels: dict[Subject, deque[Judged | None]] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Apply one record."""
        match record.event:
            case RoundStarted():
                self._start_round()
            case Verified(kind, host, peer, level):
                if not self.rounds:  # a single verification counts as one round
                    self._start_round()
                self._add_verdict(Subject(kind, host, peer), level)

    def _start_round(self) -> None:
        self.rounds += 1
        for levels in self._levels.values():
            levels.append(None)
        self._levels = {key: it for key, it in self._levels.items() if any(it)}

    def _add_verdict(self, key: Subject, level: Judged) -> None:
        levels = self._levels.get(key)
        if levels is None:
            before = [None] * (min(self.rounds, ROUNDS_KEPT) - 1)
            self._levels[key] = deque([*before, level], maxlen=ROUNDS_KEPT)
        else:
            old = levels[-1] or level
            levels[-1] = min(old, level, key=VERDICTS_WORST_FIRST.index)

    def pairs(self, kind: str = "ping") -> dict[tuple[str, str], Levels]:
        """The levels of a kind of verdict about pairs of nodes, by sender and receiver."""
        return {
            (it.host, it.peer): tuple(levels)
            for it, levels in self._levels.items()
            if it.kind == kind
        }

    def changes(self) -> Iterator[tuple[Subject, Judged | None, Judged | None]]:
        """Verdicts that changed since the previous round: subject, level before, level now."""
        for it, levels in self._levels.items():
            if len(levels) > 1 and levels[-2] != levels[-1]:
                yield it, levels[-2], levels[-1]
