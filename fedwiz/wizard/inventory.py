"""The machines that a wizard works on: connections, secrets, cached facts.

Everything the wizard needs besides the draft. None of it is saved to disk: a restarted wizard reads
the machines again.
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
from fedwiz.answers.passwords import ETCD, SUDO, from_environment, passwords
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
from fedwiz.model.events import Emit
from fedwiz.ssh.known_hosts import KeyRefusedError, UnknownKeyError
from fedwiz.verify import Verdict
from fedwiz.verify.ports import try_udp_port
from fedwiz.wizard.draft import Draft

AskSecret = Callable[[str], Awaitable[str | None]]
"""Asks the operator for a secret, by a sentence; None: the operator gave none."""


def ignore(_item: object) -> None:
    """Discard an event, or a sentence, that nobody wants."""


async def _ask_nobody(_question: str) -> str | None:
    return None


class Inventory(Transport):
    """Real machines, over SSH."""

    practice = ""
    """As in `RunStarted`."""

    def __init__(self, *, accept_new: bool = False) -> None:
        """Opens no connection yet.

        Args:
            accept_new: accept the host key of an unknown machine and store it.
        """
        self._accept_new = accept_new
        self.ask: AskSecret = _ask_nobody
        """Set by the front end, if it can ask."""

        self.tell: Callable[[str], None] = ignore
        """Shows the operator a sentence that is not an event of a run; each face sets it."""

        self.facts: dict[str, Facts] = {}
        """The machines' facts, by address."""

        self.lost: dict[str, str] = {}
        """Why a machine could not be read, by address."""

        self.unknown: dict[str, UnknownKeyError] = {}
        """Host keys that the operator has not accepted yet, by address, or by a jump host's
        name."""

        self.changed: set[str] = set()
        """Addresses that presented a different key than the known or pinned one."""

        self.approved: tuple[Answers, Plan] | None = None
        """The plan that the operator approved, with its answers; None: none yet."""

        self._told: set[str] = set()
        self._secrets: dict[str, Secret] = {}
        self._refused: set[str] = set()
        """Names of secrets that were refused; those of the environment are not used again."""

        self._ssh: Any = None
        self._cached: tuple[Answers, ClusterFacts] | None = None
        self._hosts: dict[str, str] = {}

    def sources(self) -> dict[str, Callable[[], Source]]:
        """Sources of hosts that this machine knows of, by name."""
        return {
            "ssh config": lambda: discover.ssh_config(Path("~/.ssh/config")),
            "known_hosts": lambda: discover.known_hosts(Path("~/.ssh/known_hosts")),
            "libvirt": discover.libvirt,
        }

    async def look(
        self, targets: Iterable[Target], on_progress: discover.OnProgress | None = None
    ) -> tuple[Sighting, ...]:
        """Scan the targets for SSH servers."""
        return await discover.discover(targets, on_progress=on_progress)

    async def accept(self, keys: Iterable[UnknownKeyError]) -> None:
        """Store keys that the operator has compared and accepted.

        Raises:
            UnreachableError: known_hosts can't be written.
        """
        for key in keys:
            await self._accept(key)
            self.unknown = {address: it for address, it in self.unknown.items() if it is not key}

    async def read(self, answers: Answers, emit: Emit | None = None) -> ClusterFacts:
        """Read all hosts of the answers again.

        An unusable file in the answers does not prevent reading; `cluster` reports what is wrong
        with it.

        Args:
            answers: names the hosts; provisional answers are sufficient.
            emit: gets `Connected`, `FactsRead` and `HostLost` as they happen.
        """
        self.unknown.clear()
        self.changed.clear()
        self.lost.clear()
        usable = answers
        try:
            cluster = await self.cluster(usable, emit or ignore)
        except AnswersError:
            usable = answers.model_copy(update={"flannel": Flannel()})
            cluster = await self.cluster(usable, emit or ignore)
        async with connect_all(
            usable, self, self.open_store, cluster.emit, cluster.etcd_password
        ) as connections:
            known = await read_facts(connections, cluster.supplied)
        self.cache(answers, known)
        return known

    def cache(self, answers: Answers, known: ClusterFacts) -> None:
        """Cache the facts of all hosts of the answers."""
        for host in answers.host:
            self.lost.pop(host.address, None)
            self.facts.pop(host.address, None)
            if host.name in known.lost:
                self.lost[host.address] = known.lost[host.name]
            elif host.name in known.hosts:
                self.facts[host.address] = known.hosts[host.name]
        self._cached = answers, known

    def known(self, answers: Answers) -> ClusterFacts | None:
        """The cached facts, under the names of these answers; None if they must be read again.

        Names, labels, interfaces, the network and left-out hosts don't matter. Changed roles, login
        settings and etcd endpoints do; an endpoint also changes when it names a master that was
        renamed.
        """
        if self._cached is None:
            return None
        cached_answers, known = self._cached
        cached_names = {_host_settings(host): host.name for host in cached_answers.host}
        same_hosts = all(_host_settings(host) in cached_names for host in answers.host)
        if not same_hosts or _common_settings(cached_answers) != _common_settings(answers):
            return None
        names = {host.name: cached_names[_host_settings(host)] for host in answers.host}
        return replace(
            known,
            hosts=_renamed(known.hosts, names),
            lost=_renamed(known.lost, names),
            supplied=_renamed(known.supplied, names),
            udp=None,
        )

    async def udp_trial(self, answers: Answers, known: ClusterFacts) -> ClusterFacts:
        """The same facts, plus a trial of the backend's UDP port between all nodes."""
        await self._prepare(answers)
        async with connect_all(answers, self, self.open_store, ignore) as connections:
            known = replace(known, lost={**known.lost, **connections.lost})
            return await try_udp_port(answers, connections.sessions, known)

    async def meet(self, answers: Answers) -> tuple[Verdict, ...]:
        """Ping from each node to each other, over the interfaces of the answers.

        Returns:
            One verdict for each ordered pair; none if the hosts were not read.
        """
        from fedwiz.verify.node_pings import ping_nodes

        known = self.known(answers)
        if known is None:
            return ()
        await self._prepare(answers)
        async with connect_all(answers, self, self.open_store, ignore) as connections:
            return await ping_nodes(answers, dict(connections.sessions), known, ignore)

    async def cluster(
        self,
        answers: Answers,
        emit: Emit = ignore,
        run_id: str = "",
        accepted: Iterable[str] = (),
    ) -> RunContext:
        """The context that a verb runs in.

        Raises:
            AnswersError: a file that the answers name can't be used.
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
        """See `Transport.connect`; also records refusals that the operator can resolve."""
        address = self._hosts.get(name, name)
        try:
            async with self._connect(name) as session:
                yield session
        except UnknownKeyError as key:
            # A jump host's key concerns all hosts behind it.
            self.unknown[address if key.host == name else key.host] = key
            raise
        except KeyRefusedError:
            self.changed.add(address)
            raise
        except SecretRefusedError as error:
            self._refused.add(SUDO if error.which == "sudo" else error.which)
            raise

    async def _prepare(self, answers: Answers) -> None:
        """Prepare connections for these answers.

        They are rebuilt each time, so that whatever the operator has fixed since takes effect.
        """
        transport = await asyncio.to_thread(importlib.import_module, "fedwiz.ssh.transport")
        await self._ask(answers)
        self._ssh = transport.Ssh(
            answers.ssh,
            answers.host,
            accept_new=self._accept_new,
            sudo_password=self._secrets.get(SUDO),
            passphrase=self._passphrase,
            tell=self._tell_once,
        )
        self._etcd = answers.etcd

    def _tell_once(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self.tell(sentence)

    async def _ask(self, answers: Answers) -> None:
        """Ask for the passwords, and index the hosts' addresses."""
        self._hosts = {host.name: host.address for host in answers.host}
        for name in self._refused:
            self._secrets.pop(name, None)
        for name, variable, whose in passwords(answers):
            await self._secret(name, variable, f"{name} of {whose}")

    async def _secret(self, name: str, variable: str, question: str) -> Secret | None:
        if name not in self._secrets:
            from_env = "" if name in self._refused else from_environment(variable)
            value = from_env or await self.ask(question)
            if value:
                self._refused.discard(name)
                self._secrets[name] = Secret(name, value)
        return self._secrets.get(name)

    async def _passphrase(self, path: str) -> Secret | None:
        if path not in self._secrets:
            value = await self.ask(f"Passphrase of {path}")
            if not value:
                return None
            self._refused.discard(path)
            self._secrets[path] = Secret("passphrase", value)
        return self._secrets[path]

    def _connect(self, name: str) -> Any:  # noqa: ANN401 - a context manager
        return self._ssh.connect(name)

    async def _accept(self, key: UnknownKeyError) -> None:
        if self._ssh is not None:
            await self._ssh.accept(key)

    @property
    def open_store(self) -> OpenStore:
        """Opens etcd through a session; a refused password is asked for again."""

        @asynccontextmanager
        async def opened(session: Session, api: str) -> AsyncIterator[Store]:
            etcd = await asyncio.to_thread(importlib.import_module, "fedwiz.etcd")
            password = self._secrets.get(ETCD)
            try:
                async with etcd.store(session, self._etcd, api, password) as store:
                    yield store
            except etcd.EtcdError as error:
                if error.kind == "auth":
                    self._refused.add(ETCD)
                raise

        return opened


def _host_settings(host: Host) -> tuple[str, str, str]:
    """The host's answers that decide what is read, and whether the host is trusted."""
    return host.address.lower(), host.role, host.host_key


def _common_settings(answers: Answers) -> object:
    """The settings that all hosts are read with."""
    return answers.ssh.model_copy(update={"width": 1}), answers.etcd, answers.flannel


def _renamed(read: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Rename the keys, in the order of the new names."""
    return {new: read[old] for new, old in names.items() if old in read}


class PracticeInventory(Inventory):
    """Simulated machines; they live as long as this object."""

    def __init__(self, draft: Draft) -> None:
        """Create the machines from the draft's `practice`, `size` and `pace`.

        Raises:
            AnswersError: no valid practice cluster results from these settings.
        """
        super().__init__()
        self.practice = draft.practice
        fault = "" if draft.practice == "healthy" else draft.practice
        self._sightings = practice.sightings(draft.size)
        # The draft already contains what some faults change in the answers.
        self._practice = practice.Practice(
            practice.practice_answers(draft.size),
            fault,
            draft.pace,
            installed="verify" in (draft.goal, draft.page),
        )
        # The first page can't be left without accepting the keys, and a wizard restarted on the
        # last page has installed already: restore the machines to that state.
        self._trusted = (
            set[str]() if draft.page == "hosts" else set(self._practice.cluster.machines)
        )

    def sources(self) -> dict[str, Callable[[], Source]]:
        """The practice network is a source, too."""
        targets = tuple(Target(it.address, it.port, it.name, "practice") for it in self._sightings)
        return {"practice network": lambda: Source(targets)}

    async def look(
        self, targets: Iterable[Target], on_progress: discover.OnProgress | None = None
    ) -> tuple[Sighting, ...]:
        """Look at each target; silent addresses take simulated time."""
        wanted, found = tuple(targets), list[Sighting]()
        cluster = self._practice.cluster
        sighting_by_target = {it.address: it for it in self._sightings}
        sighting_by_target |= {it.name: it for it in self._sightings}
        for done, target in enumerate(wanted, 1):
            await cluster.sleep(cluster.pace * 2 / len(wanted))
            sighting = sighting_by_target.get(target.address)
            if sighting is not None:
                sighting = replace(sighting, name=target.name, source=target.source)
                found.append(sighting)
            if on_progress is not None:
                on_progress(done, len(wanted), sighting)
        return tuple(dict.fromkeys(found))

    async def _prepare(self, answers: Answers) -> None:
        await self._ask(answers)  # any password works here

    @asynccontextmanager
    async def _connect(self, name: str) -> AsyncIterator[Session]:
        machine = self._practice.cluster.owner(self._hosts[name])
        if machine is None:
            raise UnreachableError(
                f"{name} ({self._hosts[name]}) does not answer on port 22: is it up, and is "
                "there a route to it?"
            )
        if not machine.login_failure and machine.name not in self._trusted:
            raise self._unknown_key(name, machine.name)
        if machine.login_failure and "host key" in machine.login_failure:
            raise KeyRefusedError(machine.login_failure)
        async with self._practice.connect(machine.name) as session:
            yield session

    def _unknown_key(self, name: str, machine: str) -> UnknownKeyError:
        """As when a real host shows its key for the first time."""
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
