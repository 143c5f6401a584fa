"""The way to simulated hosts: `Transport`, `Session` and `OpenStore` without a network."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fedwiz.answers.file import Answers
from fedwiz.model.actions import (
    Channel,
    OnLine,
    Reply,
    Run,
    Session,
    Store,
    Transport,
    UnreachableError,
)
from fedwiz.practice import probes, scripts, systemd
from fedwiz.practice.call import Call, Command, CommandTimeoutError, strange
from fedwiz.practice.commands import COMMANDS, tell_version
from fedwiz.practice.faults import FAULTS
from fedwiz.practice.flanneld import why_no_etcd
from fedwiz.practice.generations import MODERN, Generation
from fedwiz.practice.keys import PracticeStore
from fedwiz.practice.machine import Cluster, Machine, build
from fedwiz.practice.preinstalled import by_hand

TIMED_OUT = 124
CONNECT, QUESTION, BOOT = 0.6, 0.1, 20.0
"""Simulated seconds."""


def command_of(run: Run) -> Command:
    """The model of a command.

    Raises:
        NotImplementedError: there is none, which is a mistake in here.
    """
    argv = run.argv
    found: Command | None = None
    if argv == ("sh", "-s"):
        found = probes.answer
    elif argv[:2] == ("sh", "-c"):
        found = scripts.model(argv)
        if found is None and run.upload and "--version" in argv[2]:
            found = tell_version
    else:
        found = COMMANDS.get(argv[0])
    if found is None:
        raise strange(run)
    return found


class PracticeSession(Session):
    """A connection to a simulated host."""

    def __init__(self, cluster: Cluster, machine: Machine) -> None:
        self._cluster = cluster
        self._machine = machine
        self._gone = ""

    @property
    def name(self) -> str:
        """The host's name in the answers."""
        return self._machine.name

    async def run(self, run: Run, on_line: OnLine) -> int:
        """See `Session.run`."""
        if run.reboots:
            return await self._reboot(on_line)
        if run.unit and (told := self._machine.untold.pop(run.unit, None)):
            for line in told[0]:
                on_line(line)
            return told[1]
        cut = bool(self._machine.cuts) and self._machine.cuts in run.argv
        call, code = await self._carry(run, _unheard if cut else on_line)
        if not (cut or call.left):
            return code
        if run.unit:
            self._machine.untold[run.unit] = (call.said, code)
        if call.left:
            raise call.why
        self._machine.cuts = ""
        for line in call.said[: len(call.said) // 2]:
            on_line(line)
        self._gone = (
            f"the connection to {self.name} was lost before the end of `{run.brief[:60]}` was "
            "seen; it may still be running there: run again, to see what is left to do"
        )
        raise UnreachableError(self._gone)

    async def ask(self, run: Run) -> Reply:
        """See `Session.ask`."""
        call, code = await self._carry(run, _unheard)
        return Reply(code, "".join(f"{line}\n" for line in call.said))

    async def _carry(self, run: Run, on_line: OnLine) -> tuple[Call, int]:
        if self._gone:
            raise UnreachableError(self._gone)
        call = Call(self._cluster, self._machine, run, on_line)
        try:
            await call.spend(QUESTION)
            return call, await command_of(run)(call)
        except CommandTimeoutError:
            return call, TIMED_OUT

    async def _reboot(self, on_line: OnLine) -> int:
        machine = self._machine
        on_line("The system will reboot now!")
        systemd.down(machine)
        try:
            await self._cluster.sleep(BOOT * self._cluster.pace)
        finally:
            systemd.up(self._cluster, machine)
        return 0

    @asynccontextmanager
    async def hold(self, run: Run) -> AsyncIterator[Channel]:
        """See `Session.hold`: the lock alone stays on."""
        if scripts.model(run.argv) is not scripts.hold:
            raise strange(run)
        with self._cluster.locks.asked(run.argv[4:]) as held:
            yield held

    def forward(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        """There is nothing to forward to: `Practice.open_store` needs no port."""
        raise UnreachableError(f"{self.name} is a practice host: no port of it can be forwarded")


def _unheard(_line: str) -> None:
    """What nobody hears."""


class Practice(Transport):
    """The way to a practice cluster, which lives as long as this object."""

    def __init__(
        self,
        answers: Answers,
        fault: str = "",
        pace: float = 0.0,
        *,
        generation: Generation = MODERN,
        installed: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Make the cluster.

        Args:
            answers: its hosts are made to be as these say.
            fault: a name of `FAULTS`; empty: all is well.
            pace: real seconds for each simulated one.
            generation: how old the hosts' systems are.
            installed: somebody has followed the procedure already, by hand.
            sleep: waits for real seconds.
        """
        self.cluster = build(answers, generation)
        self.cluster.pace, self.cluster.sleep = pace, sleep
        for node in self.cluster.nodes():
            systemd.start(self.cluster, node, "docker.service")
        if installed:
            by_hand(self.cluster)
        self.fault = FAULTS[fault] if fault else None
        if self.fault:
            self.fault.bend(self.cluster)

    def mend(self) -> None:
        """Take the fault away, as the operator would."""
        if self.fault:
            self.fault.mend(self.cluster)
        self.fault = None

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        """See `Transport.connect`."""
        machine = self.cluster.machines[name]
        await self.cluster.sleep(CONNECT * self.cluster.pace)
        if machine.no_way:
            raise UnreachableError(machine.no_way)
        yield PracticeSession(self.cluster, machine)

    @asynccontextmanager
    async def open_store(self, session: Session, api: str) -> AsyncIterator[Store]:
        """See `OpenStore`."""
        cluster, name = self.cluster, session.name
        why = ""
        for url in cluster.answers.etcd.endpoints:
            who = f"etcd at {url}, seen from {name},"
            why = why_no_etcd(cluster, cluster.machines[name], url)
            if why:
                why = f"{who} can't be reached ({why}): is etcd running there?"
            elif not cluster.keys.serves(api):
                why = f"{who} serves no {api} API: it is etcd {cluster.keys.version}"
            else:
                yield PracticeStore(cluster.keys, api)
                return
        raise UnreachableError(why)
