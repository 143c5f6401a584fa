"""The machines that a wizard works on: the ways there, and what was read from them.

The one thing of a wizard's that lives beside its draft.  Nothing of it is kept on disk: a
wizard that starts again reads the machines again.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fedwiz import discover, practice
from fedwiz.actions import OpenStore, Secret, Session, Transport, Unreachable
from fedwiz.answers import Answers
from fedwiz.discover import Sighting, Target
from fedwiz.discover.sources import Source
from fedwiz.draft import Draft
from fedwiz.events import Emit, Event
from fedwiz.facts import Facts, Known
from fedwiz.hostkeys import UnknownKey
from fedwiz.localfile import check_files
from fedwiz.plan import Plan
from fedwiz.reach import gather, reach
from fedwiz.verbs import Cluster
from fedwiz.verify import Verdict

AskSecret = Callable[[str], Awaitable[str | None]]
"""Asks the operator for a secret, by a sentence; None: there is none to be had."""


SUDO, ETCD = "sudo password", "etcd password"


def passwords(answers: Answers) -> Iterator[tuple[str, str, str]]:
    """The passwords that these answers need: its name, its variable in the environment, whose."""
    if answers.ssh.sudo == "ask":
        yield SUDO, "FEDWIZ_SUDO_PASSWORD", answers.ssh.user
    if answers.etcd.user:
        yield ETCD, "FEDWIZ_ETCD_PASSWORD", answers.etcd.user


def unheard(_event: Event) -> None:
    """What nobody hears."""


async def _nobody(_question: str) -> str | None:
    return None


class Site(Transport):
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

        self.unknown: dict[str, UnknownKey] = {}
        """Keys that nobody has accepted yet, by address, or by a bastion's name."""

        self.approved: tuple[Answers, Plan] | None = None
        """What the operator has approved, and for which answers; None: nothing yet."""

        self._secrets: dict[str, Secret] = {}
        self._ways: tuple[object, Any] | None = None
        self._known: tuple[object, Known] | None = None
        self._hosts: dict[str, str] = {}

    def sources(self) -> dict[str, Callable[[], Source]]:
        """What this machine already knows of hosts, by what it is called."""
        from pathlib import Path

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

    async def accept(self, keys: Iterable[UnknownKey]) -> None:
        """Write down keys that the operator has compared and found right.

        Raises:
            Unreachable: known_hosts can't be written.
        """
        for key in keys:
            await self._accept(key)
            self.unknown = {at: it for at, it in self.unknown.items() if it is not key}

    async def read(self, answers: Answers, emit: Emit | None = None) -> Known:
        """Read all the hosts of the answers anew.

        Args:
            answers: whose hosts; provisional ones will do.
            emit: gets `Connected`, `FactsRead` and `HostLost` as they come.

        Raises:
            Refused: a file that the answers name can't be used.
        """
        cluster = await self.cluster(answers, emit or unheard)
        async with reach(
            answers, self, self.open_store, cluster.emit, cluster.etcd_password
        ) as ways:
            known = await gather(ways, cluster.supplied)
        self.take(answers, known)
        return known

    def take(self, answers: Answers, known: Known) -> None:
        """Remember what was read of all the hosts of the answers."""
        for host in answers.host:
            self.lost.pop(host.address, None)
            self.facts.pop(host.address, None)
            if host.name in known.hosts:
                self.facts[host.address] = known.hosts[host.name]
                self.unknown.pop(host.address, None)
            elif host.name in known.lost:
                self.lost[host.address] = known.lost[host.name]
        if not known.hosts:  # a password that let nobody in is asked for again
            self._secrets.clear()
            self._ways = None
        self._known = (_read_with(answers), known)

    def known(self, answers: Answers) -> Known | None:
        """What was read last, if it was read with these answers; a network changes nothing."""
        if self._known is None or self._known[0] != _read_with(answers):
            return None
        return self._known[1]

    async def meet(self, answers: Answers) -> tuple[Verdict, ...]:
        """Ping from each node to each other, by the interfaces of the answers.

        Returns:
            One verdict for each ordered pair; none where the hosts were not read.
        """
        from fedwiz.verify.meet import meet

        known = self.known(answers)
        if known is None:
            return ()
        await self._prepare(answers)
        async with reach(answers, self, self.open_store, unheard) as ways:
            return await meet(answers, dict(ways.sessions), known, unheard)

    async def cluster(
        self,
        answers: Answers,
        emit: Emit = unheard,
        run_id: str = "",
        accepted: Iterable[str] = (),
    ) -> Cluster:
        """What a verb works on.

        Raises:
            Refused: a file that the answers name can't be used.
        """
        file = None if self.practice else await asyncio.to_thread(check_files, answers)
        supplied = file.package.removeprefix("flannel-") if file else ""
        await self._prepare(answers)
        return Cluster(
            answers, self, self.open_store, emit, run_id, tuple(accepted),
            self._secrets.get(ETCD), supplied, self.practice,
        )  # fmt: skip

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        """See `Transport.connect`; a key that nobody knows is remembered for the operator."""
        address = self._hosts.get(name, name)
        try:
            async with self._connect(name) as session:
                yield session
        except UnknownKey as key:
            # A bastion's stands for all the hosts behind it.
            self.unknown[address if key.host == name else key.host] = key
            raise

    async def _prepare(self, answers: Answers) -> None:
        """Have the ways ready for these answers."""
        self._hosts = {host.name: host.address for host in answers.host}
        ssh = answers.ssh
        for name, variable, whose in passwords(answers):
            await self._secret(name, variable, f"{name} of {whose}")
        told = (ssh, [(it.name, it.address, it.host_key) for it in answers.host],
                self._secrets.get(SUDO))  # fmt: skip
        if self._ways is None or self._ways[0] != told:
            from fedwiz.transport import Ssh

            self._ways = told, Ssh(
                ssh, answers.host, accept_new=self._accept_new,
                sudo_password=self._secrets.get(SUDO), passphrase=self._passphrase,
            )  # fmt: skip
        self._etcd = answers.etcd

    async def _secret(self, name: str, variable: str, question: str) -> Secret | None:
        if name not in self._secrets:
            said = os.environ.get(variable) or await self.ask(question)
            if said:
                self._secrets[name] = Secret(name, said)
        return self._secrets.get(name)

    async def _passphrase(self, path: str) -> Secret | None:
        said = await self.ask(f"Passphrase of {path}")
        return Secret("passphrase", said) if said else None

    def _connect(self, name: str) -> Any:  # noqa: ANN401 - a context manager
        assert self._ways is not None  # noqa: S101 - `cluster` has made them
        return self._ways[1].connect(name)

    async def _accept(self, key: UnknownKey) -> None:
        if self._ways is not None:
            await self._ways[1].accept(key)

    @property
    def open_store(self) -> OpenStore:
        """etcd, by way of a session."""

        def opened(session: Session, api: str) -> Any:  # noqa: ANN401 - a context manager
            from fedwiz import etcd

            return etcd.store(session, self._etcd, api, self._secrets.get(ETCD))

        return opened


def _read_with(answers: Answers) -> object:
    """The answers that decide what is read."""
    hosts = tuple((it.name, it.address, it.role) for it in answers.host)
    return answers.ssh, hosts, answers.etcd, answers.flannel


class PracticeSite(Site):
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
            practice.practice_answers(draft.size), fault, draft.pace,
            installed=draft.goal == "verify",
        )  # fmt: skip
        self._trusted: set[str] = set()

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
        self._hosts = {host.name: host.address for host in answers.host}

    @asynccontextmanager
    async def _connect(self, name: str) -> AsyncIterator[Session]:
        machine = self._practice.cluster.owner(self._hosts[name])
        if machine is None:
            raise Unreachable(
                f"{name} ({self._hosts[name]}) does not answer on port 22: is it up, and is "
                "there a route to it?"
            )
        if not machine.no_way and machine.name not in self._trusted:
            raise self._unknown_key(name, machine.name)
        async with self._practice.connect(machine.name) as session:
            yield session

    def _unknown_key(self, name: str, machine: str) -> UnknownKey:
        """As a real host's that shows a key for the first time."""
        blob = practice.host_key(machine)
        why = f"{name}'s host key is not known yet (ssh-ed25519): compare it and accept it"
        return UnknownKey(why, host=name, kind="ssh-ed25519", blob=blob)

    async def _accept(self, key: UnknownKey) -> None:
        machine = self._practice.cluster.owner(self._hosts[key.host])
        if machine is not None:
            self._trusted.add(machine.name)

    @property
    def open_store(self) -> OpenStore:
        """The simulated etcd."""
        return self._practice.open_store


def site(draft: Draft) -> Site:
    """The machines that a draft is about."""
    return PracticeSite(draft) if draft.practice else Site()


def begin_practice(draft: Draft) -> Draft:
    """The draft of a practice cluster, with what its fault puts into the answers."""
    from fedwiz.draft import with_sets

    fault = practice.FAULTS.get(draft.practice)
    draft = with_sets(draft, fault.sets) if fault else draft
    draft = draft if draft.name else draft.put("name", "practice")
    return replace(draft, typed=draft.typed or "192.168.122.0/24")
