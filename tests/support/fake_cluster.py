"""A cluster that does what a table says: for tests of what carries a plan, not of a host."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from fedwiz.answers.file import Answers
from fedwiz.engine.connections import Connections
from fedwiz.model.actions import (
    Channel,
    OnLine,
    PutKey,
    Reply,
    Run,
    Session,
    Store,
    UnreachableError,
    Value,
)
from tests.support.sample_cluster import ANSWERS

Answer = int | UnreachableError


@dataclass
class FakeStore:
    """etcd as a dictionary; `conflict` lets every write find something else."""

    api: str = "v2"
    keys: dict[str, Value] = field(default_factory=dict)
    conflict: bool = False
    gone: str = ""

    async def get(self, key: str) -> Value | None:
        if self.gone:
            raise UnreachableError(self.gone)
        return self.keys.get(key)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        return tuple(value for key, value in sorted(self.keys.items()) if key.startswith(prefix))

    async def put(self, put: PutKey) -> bool:
        if self.gone:
            raise UnreachableError(self.gone)
        if self.conflict:
            self.keys[put.key] = Value(put.key, '{"Network":"10.99.0.0/16"}', 99)
            return False
        if put.value is None:
            del self.keys[put.key]
            return True
        self.keys[put.key] = Value(put.key, put.value, (put.previous or 0) + 1)
        return True


@dataclass
class FakeSession:
    """Each command whose text holds a key of `answers` ends as its value says; others with 0."""

    name: str
    answers: Mapping[str, Answer]
    sent: list[tuple[str, Run]]
    before: Callable[[str, Run], None]
    lines: Mapping[str, tuple[str, ...]]

    async def run(self, run: Run, on_line: OnLine) -> int:
        self.before(self.name, run)
        self.sent.append((self.name, run))
        await asyncio.sleep(0)
        for part, lines in self.lines.items():
            if part in run.brief:
                for line in lines:
                    on_line(line)
        for part, answer in self.answers.items():
            if part in f"{self.name} {run.brief}":
                if isinstance(answer, UnreachableError):
                    raise answer
                return answer
        return 0

    async def ask(self, run: Run) -> Reply:
        raise AssertionError(f"nobody should ask {run.shown[:60]}")

    def hold(self, run: Run) -> AbstractAsyncContextManager[Channel]:
        raise AssertionError(run)

    def forward(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        raise AssertionError("nothing should be forwarded")


class Fake:
    """The open ways to the cluster of `tests.support.sample_cluster`."""

    def __init__(
        self,
        ends: Mapping[str, Answer] | None = None,
        before: Callable[[str, Run], None] = lambda _host, _run: None,
        lines: Mapping[str, tuple[str, ...]] | None = None,
        answers: Answers = ANSWERS,
        store: FakeStore | None = None,
    ) -> None:
        self.sent: list[tuple[str, Run]] = []
        self.events: list[object] = []
        self.store = store or FakeStore()
        self._ends, self._before, self._lines = ends or {}, before, lines or {}
        sessions: dict[str, Session] = {
            host.name: FakeSession(host.name, ends or {}, self.sent, before, lines or {})
            for host in answers.host
        }
        self.ways = Connections(
            answers, self, self._open, AsyncExitStack(), self.events.append, sessions=sessions
        )

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        """Another connection to a host of the cluster."""
        yield FakeSession(name, self._ends, self.sent, self._before, self._lines)

    @asynccontextmanager
    async def _open(self, session: Session, api: str) -> AsyncIterator[Store]:
        yield self.store

    def sent_to(self, host: str) -> list[str]:
        return [run.brief for name, run in self.sent if name == host]
