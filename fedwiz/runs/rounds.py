"""How verdicts went in the last rounds of a verification that goes on: a fold over its records."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from fedwiz.model.events import VERDICTS_WORST_FIRST, Judged, Record, RoundStarted, Verified

ROUNDS_KEPT = 10
"""Rounds that are remembered."""

Levels: TypeAlias = tuple[Judged | None, ...]
"""A level for each round that is remembered, the newest last; None: there was no verdict."""


class Subject(NamedTuple):
    """What a verdict is about."""

    kind: str
    host: str
    peer: str


@dataclass(slots=True)
class Rounds:
    """The last rounds.  Begin with an empty one, and `apply` every record in order."""

    rounds: int = 0
    """How many have begun."""

    _levels: dict[Subject, deque[Judged | None]] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Take in one record."""
        match record.event:
            case RoundStarted():
                self._begin()
            case Verified(kind, host, peer, level):
                if not self.rounds:  # a verification that does not go on is one round
                    self._begin()
                self._judge(Subject(kind, host, peer), level)

    def _begin(self) -> None:
        self.rounds += 1
        for levels in self._levels.values():
            levels.append(None)
        self._levels = {key: it for key, it in self._levels.items() if any(it)}

    def _judge(self, key: Subject, level: Judged) -> None:
        levels = self._levels.get(key)
        if levels is None:
            before = [None] * (min(self.rounds, ROUNDS_KEPT) - 1)
            self._levels[key] = deque([*before, level], maxlen=ROUNDS_KEPT)
        else:
            old = levels[-1] or level
            levels[-1] = min(old, level, key=VERDICTS_WORST_FIRST.index)

    def pairs(self, kind: str = "ping") -> dict[tuple[str, str], Levels]:
        """The levels of a kind that is about pairs of nodes, by sender and receiver."""
        return {
            (it.host, it.peer): tuple(levels)
            for it, levels in self._levels.items()
            if it.kind == kind
        }

    def changes(self) -> Iterator[tuple[Subject, Judged | None, Judged | None]]:
        """What is another level than in the round before: about what, before, and now."""
        for it, levels in self._levels.items():
            if len(levels) > 1 and levels[-2] != levels[-1]:
                yield it, levels[-2], levels[-1]
