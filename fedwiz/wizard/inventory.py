"""The machines that a wizard works on: the ways there, and what was read from them.

The one thing of a wizard's that lives beside its draft.  Nothing of it is kept on disk: a
wizard that starts again reads the machines again.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedwiz import discover, practice
from fedwiz.answers.file import Answers, AnswersError, Flannel, Host
from fedwiz.answers.package_file import check_files
from fedwiz.answers.passwords import ETCD, SUDO, given, passwords
from fedwiz.discover import Sighting, Target
from fedwiz.discover.sources import Source
from fedwiz.engine.connections import connect_all, read_facts
from fedwiz.engine.plan import Plan
from fedwiz.engine.verbs import RunContext
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.model.actions import (
    OpenStore,
    Secret,
    SecretRefusedError,
    Session,
    Store,
    Transport,
    UnreachableError,
)
from fedwiz.model.events import Emit, Event
from fedwiz.ssh.known_hosts import KeyRefusedError, UnknownKeyError
from fedwiz.verify import Verdict
from fedwiz.verify.ports import attempt
from fedwiz.wizard.draft import Draft

AskSecret = Callable[[str], Awaitable[str | None]]
"""Asks the operator for a secret, by a sentence; None: there is none to be had."""


def ignore(_event: Event) -> None:
    """What nobody hears."""


async def _nobody(_question: str) -> str | None:
    return None


class Inventory(Transport):
    """Real machines, over SSH."""

    practice = ""
    """As in `RunStarted`."""

    def __init__(self, *, accept_new: bool = False) -> None:
        """Nothing is opened yet.

        Args:
            accept_new: take the key of a machine that nobody knows, and write it down.
        """
        self._accept_new = accept_new
        self.ask: AskSecret = _nobody
        """Set by whoever can ask."""

        self.facts: dict[str, Facts] = {}
        """What was read, by address."""

        self.lost: dict[str, str] = {}
        """Why a machine could not be read, by address."""

        self.unknown: dict[str, UnknownKeyError] = {}
        """Keys that nobody has accepted yet, by address, or by a bastion's name."""

        self.changed: set[str] = set()
        """Addresses where another key was shown than the one that is known or pinned."""

        self.approved: tuple[Answers, Plan] | None = None
        """What the operator has approved, and for which answers; None: nothing yet."""

        self._secrets: dict[str, Secret] = {}
        self._wrong: set[str] = set()
        """Names of secrets that somebody refused; the environment's are not taken again."""

        self._ways: Any = None
        self._known: tuple[Answers, ClusterFacts] | None = None
        self._hosts: dict[str, str] = {}

    def sources(self) -> dict[str, Callable[[], Source]]:
        """What this machine already knows of hosts, by what it is called."""
        return {
            "ssh config": lambda: discover.ssh_config(Path("~/.ssh/config")),
            "known_hosts": lambda: discover.known_hosts(Path("~/.ssh/known_hosts")),
            "libvirt": discover.libvirt,
        }

    async def look(
        self, targets: Iterable[Target], on_progress: discover.OnProgress | None = None
    ) -> tuple[Sighting, ...]:
        """See who answers as SSH."""
        return await discover.discover(targets, on_progress=on_progress)

    async def accept(self, keys: Iterable[UnknownKeyError]) -> None:
        """Write down keys that the operator has compared and found right.

        Raises:
            Unreachable: known_hosts can't be written.
        """
        for key in keys:
            await self._accept(key)
            self.unknown = {at: it for at, it in self.unknown.items() if it is not key}

    async def read(self, answers: Answers, emit: Emit | None = None) -> ClusterFacts:
        """Read all the hosts of the answers anew.

        A file that the answers name and that can't be used keeps nobody from reading hosts;
        `cluster` says what is wrong with it.

        Args:
            answers: whose hosts; provisional ones will do.
            emit: gets `Connected`, `FactsRead` and `HostLost` as they come.
        """
        self.unknown.clear()
        self.changed.clear()
        self.lost.clear()
        asked = answers
        try:
            cluster = await self.cluster(asked, emit or ignore)
        except AnswersError:
            asked = answers.model_copy(update={"flannel": Flannel()})
            cluster = await self.cluster(asked, emit or ignore)
        async with connect_all(
            asked, self, self.open_store, cluster.emit, cluster.etcd_password
        ) as ways:
            known = await read_facts(ways, cluster.supplied)
        self.take(answers, known)
        return known

    def take(self, answers: Answers, known: ClusterFacts) -> None:
        """Remember what was read of all the hosts of the answers."""
        for host in answers.host:
            self.lost.pop(host.address, None)
            self.facts.pop(host.address, None)
            if host.name in known.lost:
                self.lost[host.address] = known.lost[host.name]
            elif host.name in known.hosts:
                self.facts[host.address] = known.hosts[host.name]
        self._known = answers, known

    def known(self, answers: Answers) -> ClusterFacts | None:
        """What was read last, under the names of these answers, if it would be read the same.

        Names, labels, interfaces and the network change nothing, and neither does a host that
        is left out.  Another role does, another way to log in, and etcd at another endpoint,
        as where it is called by the name of a master that has another one now.
        """
        if self._known is None:
            return None
        before, known = self._known
        called = {_asked_as(host): host.name for host in before.host}
        alike = all(_asked_as(host) in called for host in answers.host)
        if not alike or _asked_with(before) != _asked_with(answers):
            return None
        names = {host.name: called[_asked_as(host)] for host in answers.host}
        return replace(
            known,
            hosts=_renamed(known.hosts, names),
            lost=_renamed(known.lost, names),
            supplied=_renamed(known.supplied, names),
            udp=None,
        )

    async def tried(self, answers: Answers, known: ClusterFacts) -> ClusterFacts:
        """The same, with the backend's UDP port tried between all nodes."""
        await self._prepare(answers)
        async with connect_all(answers, self, self.open_store, ignore) as ways:
            known = replace(known, lost={**known.lost, **ways.lost})
            return await attempt(answers, ways.sessions, known)

    async def meet(self, answers: Answers) -> tuple[Verdict, ...]:
        """Ping from each node to each other, by the interfaces of the answers.

        Returns:
            One verdict for each ordered pair; none where the hosts were not read.
        """
        from fedwiz.verify.node_pings import meet

        known = self.known(answers)
        if known is None:
            return ()
        await self._prepare(answers)
        async with connect_all(answers, self, self.open_store, ignore) as ways:
            return await meet(answers, dict(ways.sessions), known, ignore)

    async def cluster(
        self,
        answers: Answers,
        emit: Emit = ignore,
        run_id: str = "",
        accepted: Iterable[str] = (),
    ) -> RunContext:
        """What a verb works on.

        Raises:
            Refused: a file that the answers name can't be used.
        """
        file = None if self.practice else await asyncio.to_thread(check_files, answers)
        supplied = file.package.removeprefix("flannel-") if file else ""
        await self._prepare(answers)
        return RunContext(
            answers,
            self,
            self.open_store,
            emit,
            run_id,
            tuple(accepted),
            self._secrets.get(ETCD),
            supplied,
            self.practice,
        )

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        """See `Transport.connect`; what the operator can do about a refusal is remembered."""
        address = self._hosts.get(name, name)
        try:
            async with self._connect(name) as session:
                yield session
        except UnknownKeyError as key:
            # A bastion's stands for all the hosts behind it.
            self.unknown[address if key.host == name else key.host] = key
            raise
        except KeyRefusedError:
            self.changed.add(address)
            raise
        except SecretRefusedError as why:
            self._wrong.add(SUDO if why.which == "sudo" else why.which)
            raise

    async def _prepare(self, answers: Answers) -> None:
        """Have the ways ready for these answers.

        They are new each time, and what the operator has put right since then is seen.
        """
        transport = await asyncio.to_thread(importlib.import_module, "fedwiz.ssh.transport")
        await self._ask(answers)
        self._ways = transport.Ssh(
            answers.ssh,
            answers.host,
            accept_new=self._accept_new,
            sudo_password=self._secrets.get(SUDO),
            passphrase=self._passphrase,
        )
        self._etcd = answers.etcd

    async def _ask(self, answers: Answers) -> None:
        """Have the passwords, and know who is where."""
        self._hosts = {host.name: host.address for host in answers.host}
        for name in self._wrong:
            self._secrets.pop(name, None)
        for name, variable, whose in passwords(answers):
            await self._secret(name, variable, f"{name} of {whose}")

    async def _secret(self, name: str, variable: str, question: str) -> Secret | None:
        if name not in self._secrets:
            known = "" if name in self._wrong else given(variable)
            said = known or await self.ask(question)
            if said:
                self._wrong.discard(name)
                self._secrets[name] = Secret(name, said)
        return self._secrets.get(name)

    async def _passphrase(self, path: str) -> Secret | None:
        if path not in self._secrets:
            said = await self.ask(f"Passphrase of {path}")
            if not said:
                return None
            self._wrong.discard(path)
            self._secrets[path] = Secret("passphrase", said)
        return self._secrets[path]

    def _connect(self, name: str) -> Any:  # noqa: ANN401 - a context manager
        return self._ways.connect(name)

    async def _accept(self, key: UnknownKeyError) -> None:
        if self._ways is not None:
            await self._ways.accept(key)

    @property
    def open_store(self) -> OpenStore:
        """etcd, by way of a session; a password that it refuses is asked for again."""

        @asynccontextmanager
        async def opened(session: Session, api: str) -> AsyncIterator[Store]:
            etcd = await asyncio.to_thread(importlib.import_module, "fedwiz.etcd")
            password = self._secrets.get(ETCD)
            try:
                async with etcd.store(session, self._etcd, api, password) as store:
                    yield store
            except etcd.EtcdError as why:
                if why.kind == "auth":
                    self._wrong.add(ETCD)
                raise

        return opened


def _asked_as(host: Host) -> tuple[str, str, str]:
    """What of a host's answers decides what it is asked, and whether it may answer."""
    return host.address.lower(), host.role, host.host_key


def _asked_with(answers: Answers) -> object:
    """What all hosts are asked with."""
    return answers.ssh.model_copy(update={"width": 1}), answers.etcd, answers.flannel


def _renamed(read: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What was read by name, by new names in their order."""
    return {new: read[old] for new, old in names.items() if old in read}


class PracticeInventory(Inventory):
    """Simulated machines; they live as long as this object."""

    def __init__(self, draft: Draft) -> None:
        """Make the machines of the draft's `practice`, `size` and `pace`.

        Raises:
            Refused: a practice cluster can't be as these answers say.
        """
        super().__init__()
        self.practice = draft.practice
        fault = "" if draft.practice == "healthy" else draft.practice
        self._sightings = practice.sightings(draft.size)
        # Some faults are in the answers, and those are the draft's.
        self._practice = practice.Practice(
            practice.practice_answers(draft.size),
            fault,
            draft.pace,
            installed="verify" in (draft.goal, draft.page),
        )
        # Nobody gets beyond the first page without having accepted the keys there, and who
        # starts again on the last one has installed: the machines are as they were then.
        self._trusted = (
            set[str]() if draft.page == "hosts" else set(self._practice.cluster.machines)
        )

    def sources(self) -> dict[str, Callable[[], Source]]:
        """The practice network is a source, too."""
        found = tuple(Target(it.address, it.port, it.name, "practice") for it in self._sightings)
        return {"practice network": lambda: Source(found)}

    async def look(
        self, targets: Iterable[Target], on_progress: discover.OnProgress | None = None
    ) -> tuple[Sighting, ...]:
        """Look at each; a quiet address takes its time."""
        asked, found = tuple(targets), list[Sighting]()
        cluster = self._practice.cluster
        there = {it.address: it for it in self._sightings}
        there |= {it.name: it for it in self._sightings}
        for done, target in enumerate(asked, 1):
            await cluster.sleep(cluster.pace * 2 / len(asked))
            seen = there.get(target.address)
            if seen is not None:
                seen = replace(seen, name=target.name, source=target.source)
                found.append(seen)
            if on_progress is not None:
                on_progress(done, len(asked), seen)
        return tuple(dict.fromkeys(found))

    async def _prepare(self, answers: Answers) -> None:
        await self._ask(answers)  # any password is right here

    @asynccontextmanager
    async def _connect(self, name: str) -> AsyncIterator[Session]:
        machine = self._practice.cluster.owner(self._hosts[name])
        if machine is None:
            raise UnreachableError(
                f"{name} ({self._hosts[name]}) does not answer on port 22: is it up, and is "
                "there a route to it?"
            )
        if not machine.no_way and machine.name not in self._trusted:
            raise self._unknown_key(name, machine.name)
        if machine.no_way and "host key" in machine.no_way:
            raise KeyRefusedError(machine.no_way)
        async with self._practice.connect(machine.name) as session:
            yield session

    def _unknown_key(self, name: str, machine: str) -> UnknownKeyError:
        """As a real host's that shows a key for the first time."""
        blob = practice.host_key(machine)
        why = f"{name}'s host key is not known yet (ssh-ed25519): compare it and accept it"
        return UnknownKeyError(why, host=name, kind="ssh-ed25519", blob=blob)

    async def _accept(self, key: UnknownKeyError) -> None:
        machine = self._practice.cluster.owner(self._hosts[key.host])
        if machine is not None:
            self._trusted.add(machine.name)

    @property
    def open_store(self) -> OpenStore:
        """The simulated etcd."""
        return self._practice.open_store


def inventory(draft: Draft) -> Inventory:
    """The machines that a draft is about."""
    return PracticeInventory(draft) if draft.practice else Inventory()
