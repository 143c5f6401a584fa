"""Access to simulated hosts: `Transport`, `Session` and `OpenStore` without a network."""

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
from fedwiz.practice.call import Call, Command, CommandTimeoutError, unmodelled
from fedwiz.practice.commands import COMMANDS, flanneld_version
from fedwiz.practice.faults import FAULTS
from fedwiz.practice.flanneld import why_no_etcd
from fedwiz.practice.generations import MODERN, Generation
from fedwiz.practice.keys import PracticeStore
from fedwiz.practice.machine import Cluster, Machine, build
from fedwiz.practice.preinstalled import follow_procedure

TIMED_OUT = 124
CONNECT, QUESTION, BOOT = 0.6, 0.1, 20.0
"""Simulated seconds."""


def command_of(run: Run) -> Command:
    """The model of a command.

    Raises:
        NotImplementedError: there is none, which is a bug here.
    """
    argv = run.argv
    command: Command | None = None
    if argv == ("sh", "-s"):
        command = probes.answer
    elif argv[:2] == ("sh", "-c"):
        command = scripts.model(argv)
        if command is None and run.upload and "--version" in argv[2]:
            command = flanneld_version
    else:
        command = COMMANDS.get(argv[0])
    if command is None:
        raise unmodelled(run)
    return command


class PracticeSession(Session):
    """A connection to a simulated host."""

    def __init__(self, cluster: Cluster, machine: Machine) -> None:
        self._cluster = cluster
        self._machine = machine
        self._lost = ""

    @property
    def name(self) -> str:
        """The host's name in the answers."""
        return self._machine.name

    async def run(self, run: Run, on_line: OnLine) -> int:
        """See `Session.run`."""
        if run.reboots:
            return await self._reboot(on_line)
        if run.unit and (unseen := self._machine.unseen_units.pop(run.unit, None)):
            for line in unseen[0]:
                on_line(line)
            return unseen[1]
        cut = bool(self._machine.cuts) and self._machine.cuts in run.argv
        call, code = await self._run_model(run, ignore if cut else on_line)
        if not (cut or call.sender_gone):
            return code
        if run.unit:
            self._machine.unseen_units[run.unit] = (call.lines, code)
        if call.sender_gone:
            raise call.sender_error
        self._machine.cuts = ""
        for line in call.lines[: len(call.lines) // 2]:
            on_line(line)
        self._lost = (
            f"the connection to {self.name} was lost before the end of `{run.brief[:60]}` was "
            "seen; it may still be running there: run again, to see what is left to do"
        )
        raise UnreachableError(self._lost)

    async def ask(self, run: Run) -> Reply:
        """See `Session.ask`."""
        call, code = await self._run_model(run, ignore)
        return Reply(code, "".join(f"{line}\n" for line in call.lines))

    async def _run_model(self, run: Run, on_line: OnLine) -> tuple[Call, int]:
        if self._lost:
            raise UnreachableError(self._lost)
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
        """See `Session.hold`; only the lock is supported."""
        if scripts.model(run.argv) is not scripts.hold:
            raise unmodelled(run)
        with self._cluster.locks.request(run.argv[4:]) as channel:
            yield channel

    def forward(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        """Not supported: `Practice.open_store` needs no port."""
        raise UnreachableError(f"{self.name} is a practice host: no port of it can be forwarded")


def ignore(_line: str) -> None:
    """A sink that discards its input."""


class Practice(Transport):
    """Access to a practice cluster, which lives as long as this object."""

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
        """Build the cluster.

        Args:
            answers: describe the hosts.
            fault: a name of `FAULTS`; empty: none.
            pace: real seconds for each simulated one.
            generation: the age of the hosts' systems.
            installed: someone has followed the procedure already, by hand.
            sleep: waits for real seconds.
        """
        self.cluster = build(answers, generation)
        self.cluster.pace, self.cluster.sleep = pace, sleep
        for node in self.cluster.nodes():
            systemd.start(self.cluster, node, "docker.service")
        if installed:
            follow_procedure(self.cluster)
        self.fault = FAULTS[fault] if fault else None
        if self.fault:
            self.fault.inject(self.cluster)

    def repair(self) -> None:
        """Remove the fault, as the operator would."""
        if self.fault:
            self.fault.repair(self.cluster)
        self.fault = None

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        """See `Transport.connect`."""
        machine = self.cluster.machines[name]
        await self.cluster.sleep(CONNECT * self.cluster.pace)
        if machine.login_failure:
            raise UnreachableError(machine.login_failure)
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
