"""The open ways to a cluster, and what is read over them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from fedwiz import facts
from fedwiz.answers.file import Answers, Host
from fedwiz.facts import ClusterFacts, Facts, Stored
from fedwiz.facts import versions as flannel
from fedwiz.model.actions import (
    OpenStore,
    Run,
    Secret,
    Session,
    Store,
    Transport,
    UnreachableError,
)
from fedwiz.model.events import Connected, Emit, FactsRead, HostLost, Versions
from fedwiz.util.sanitize import sanitize

MayBegin = Callable[[asyncio.Event], Awaitable[str]]
"""Given the event that asks to begin nothing new."""


async def _always(_stop: asyncio.Event) -> str:
    return ""


@dataclass
class Connections:
    """A session per host that could be reached, and etcd by way of one of them."""

    answers: Answers
    transport: Transport
    open_store: OpenStore
    stack: AsyncExitStack
    emit: Emit
    etcd_password: Secret | None = None
    sessions: dict[str, Session] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    """Hosts that could not be reached, or not any more, and why."""

    may_begin: MayBegin = _always
    """Waited for before each change; says why it may not be begun, or nothing."""

    _store: Store | None = None

    def lose(self, host: str, why: str) -> None:
        """Note that nothing more can be asked of a host, and say so once."""
        self.sessions.pop(host, None)
        why = why.removeprefix(f"{host}: ")  # whoever shows it names the host
        if host not in self.lost:
            self.lost[host] = why
            self.emit(HostLost(host, why))

    def session(self, host: str) -> Session:
        """The open session with a host.

        Raises:
            Unreachable: there is none, or not any more.
        """
        if host not in self.sessions:
            raise UnreachableError(self.lost.get(host, f"{host} is not connected"))
        return self.sessions[host]

    async def store(self, api: str, known: Mapping[str, Facts]) -> Store:
        """etcd, through the first host that can reach it, the master before the nodes.

        Raises:
            Unreachable: no host can, or etcd does not serve this API.
        """
        if self._store is not None and self._store.api == api:
            return self._store
        names = [self.answers.master.name, *(node.name for node in self.answers.nodes)]
        names = [name for name in names if name in self.sessions]
        # Those that reached it a moment ago first: each other one may cost a time-out.
        names.sort(key=lambda name: not _reaches(known.get(name)))
        gone = UnreachableError("no host is left that could reach etcd")
        for name in names:
            try:
                self._store = await self.stack.enter_async_context(
                    self.open_store(self.sessions[name], api)
                )
            except UnreachableError as why:
                gone = why
                if _reaches(known.get(name)):
                    break
            else:
                return self._store
        raise gone

    def forget_store(self) -> None:
        """Have the next one ask make a way of its own: a reboot may have cut this one."""
        self._store = None


def _reaches(known: Facts | None) -> bool:
    return known is not None and any(end.version for end in known.etcd.values())


@asynccontextmanager
async def connect_all(
    answers: Answers,
    transport: Transport,
    open_store: OpenStore,
    emit: Emit,
    etcd_password: Secret | None = None,
) -> AsyncIterator[Connections]:
    """Connect to all hosts at once, as many as `ssh.width` says; who can't be reached is lost."""
    async with AsyncExitStack() as stack:
        ways = Connections(answers, transport, open_store, stack, emit, etcd_password)
        await connect(ways)
        yield ways


async def connect(ways: Connections) -> None:
    """Connect to all hosts that there is no session with; done again, also to those lost since."""
    width = asyncio.Semaphore(ways.answers.ssh.width)

    async def one(host: Host) -> None:
        async with width:
            try:
                session = await ways.stack.enter_async_context(ways.transport.connect(host.name))
            except UnreachableError as why:
                ways.lose(host.name, str(why))
                return
        ways.lost.pop(host.name, None)
        ways.sessions[host.name] = session
        ways.emit(Connected(host.name))

    async with asyncio.TaskGroup() as group:
        for host in ways.answers.host:
            if host.name not in ways.sessions:
                group.create_task(one(host), name=f"connect {host.name}")


async def read_facts(ways: Connections, supplied: str = "") -> ClusterFacts:
    """Ask all hosts everything at once, then etcd.

    Args:
        ways: the open ways; a host that is lost on the way is noted there.
        supplied: version of the flannel that the operator's RPM holds; a binary is asked.
    """
    answers = ways.answers
    found: dict[str, Facts] = {}
    versions: dict[str, str] = {}

    async def ask(host: Host, session: Session) -> None:
        try:
            found[host.name] = await _facts(answers, host, session)
            if host.role == "node" and answers.flannel.source != "dnf":
                versions[host.name] = supplied or await _version_of_binary(answers, session)
        except UnreachableError as why:
            ways.lose(host.name, str(why))
            return
        ways.emit(FactsRead(host.name, round(time.monotonic() - began, 3)))
        said = found[host.name].versions
        ways.emit(Versions(host.name, {name: sanitize(text) for name, text in said.items()}))

    ways.forget_store()
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for host in answers.host:
            if host.name in ways.sessions:
                group.create_task(ask(host, ways.sessions[host.name]), name=f"ask {host.name}")
    ordered = {host.name: found[host.name] for host in answers.host if host.name in found}
    known = ClusterFacts(ordered, Stored(), versions, ways.etcd_password, dict(ways.lost))
    stored = await _stored(ways, known)
    return ClusterFacts(ordered, stored, versions, ways.etcd_password, dict(ways.lost))


async def _facts(answers: Answers, host: Host, session: Session) -> Facts:
    script, mark = facts.script(answers, host)
    sent = time.time()
    reply = await session.ask(Run(("sh", "-s"), changes=False, stdin=(script,), timeout=150))
    try:
        return facts.read(answers, host, reply.out, mark, heard=sent)
    except ValueError as wrong:
        said = " ".join((reply.err or reply.out).split())[:200]
        if "\ufffd" in said:  # bytes that are no text tell nobody anything
            said = ""
        raise UnreachableError(
            f"{host.name} did not answer as a Linux host does ({wrong}; exit status "
            f"{reply.code}{': ' + said if said else ''}); try `ssh` to it by hand"
        ) from None


async def _version_of_binary(answers: Answers, session: Session) -> str:
    """What the operator's flanneld says of itself on that host; empty where it can't run there.

    It is put on the host for that moment only: whether it runs there is a fact of the host's.
    """
    tell = (
        'f=$(mktemp) && trap \'rm -f "$f"\' EXIT && cat >"$f" && chmod 0700 "$f" && '
        'timeout 10 "$f" --version 2>&1 | head -n 1'
    )
    reply = await session.ask(
        Run(("sh", "-c", tell), changes=False, upload=answers.flannel.path, timeout=600)
    )
    return reply.out.strip()[:200] if flannel.parse_version(reply.out) else ""


async def _stored(ways: Connections, known: ClusterFacts) -> Stored:
    answers = ways.answers
    api = flannel.api(answers, known)
    if not api:
        return Stored(error="it is not known which of etcd's APIs the nodes' flannel reads")
    try:
        store = await ways.store(api, known.hosts)
        config = await store.get(answers.key)
        leases = await store.under(f"{answers.etcd.prefix}/subnets/")
    except UnreachableError as why:
        return Stored(api, error=str(why))
    master = known.hosts.get(answers.master.name)
    configs = master.etcd_configs if master else {}
    other = next((text for name, text in configs.items() if name != api), "")
    return Stored(api, config, leases, other)
