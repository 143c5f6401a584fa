"""The open connections to a cluster, and the facts read over them."""

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
"""Called with the event that asks to start nothing new."""


async def _no_objection(_stop: asyncio.Event) -> str:
    return ""


@dataclass
class Connections:
    """A session with each reachable host, and etcd through one of them."""

    answers: Answers
    transport: Transport
    open_store: OpenStore
    stack: AsyncExitStack
    emit: Emit
    etcd_password: Secret | None = None
    sessions: dict[str, Session] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    """Hosts that are unreachable, from the start or since, and why."""

    may_begin: MayBegin = _no_objection
    """Awaited before each change; returns why it must not start, or an empty string."""

    _store: Store | None = None

    def lose(self, host: str, why: str) -> None:
        """Mark a host as lost and report it once."""
        self.sessions.pop(host, None)
        why = why.removeprefix(f"{host}: ")  # whoever shows it adds the host's name
        if host not in self.lost:
            self.lost[host] = why
            self.emit(HostLost(host, why))

    def session(self, host: str) -> Session:
        """The open session with a host.

        Raises:
            UnreachableError: there is none, or it is lost.
        """
        if host not in self.sessions:
            raise UnreachableError(self.lost.get(host, f"{host} is not connected"))
        return self.sessions[host]

    async def store(self, api: str, known: Mapping[str, Facts]) -> Store:
        """etcd, through the first host that can reach it, the master before the nodes.

        Raises:
            UnreachableError: no host can, or etcd does not serve this API.
        """
        if self._store is not None and self._store.api == api:
            return self._store
        names = [self.answers.master.name, *(node.name for node in self.answers.nodes)]
        names = [name for name in names if name in self.sessions]
        # Hosts that reached it a moment ago first: each other one may cost a timeout.
        names.sort(key=lambda name: not _reaches(known.get(name)))
        last_error = UnreachableError("no host is left that could reach etcd")
        for name in names:
            try:
                self._store = await self.stack.enter_async_context(
                    self.open_store(self.sessions[name], api)
                )
            except UnreachableError as error:
                last_error = error
                if _reaches(known.get(name)):
                    break
            else:
                return self._store
        raise last_error

    def forget_store(self) -> None:
        """Drop the connection to etcd, which a reboot may have closed; it is reopened on demand."""
        self._store = None


def _reaches(known: Facts | None) -> bool:
    return known is not None and any(endpoint.version for endpoint in known.etcd.values())


@asynccontextmanager
async def connect_all(
    answers: Answers,
    transport: Transport,
    open_store: OpenStore,
    emit: Emit,
    etcd_password: Secret | None = None,
) -> AsyncIterator[Connections]:
    """Connect to all hosts in parallel, at most `ssh.width` at once; unreachable ones are lost."""
    async with AsyncExitStack() as stack:
        connections = Connections(answers, transport, open_store, stack, emit, etcd_password)
        await connect(connections)
        yield connections


async def connect(connections: Connections) -> None:
    """Connect to all hosts without a session; when repeated, it retries those lost since."""
    width = asyncio.Semaphore(connections.answers.ssh.width)

    async def connect_host(host: Host) -> None:
        async with width:
            try:
                session = await connections.stack.enter_async_context(
                    connections.transport.connect(host.name)
                )
            except UnreachableError as error:
                connections.lose(host.name, str(error))
                return
        connections.lost.pop(host.name, None)
        connections.sessions[host.name] = session
        connections.emit(Connected(host.name))

    async with asyncio.TaskGroup() as group:
        for host in connections.answers.host:
            if host.name not in connections.sessions:
                group.create_task(connect_host(host), name=f"connect {host.name}")


async def read_facts(connections: Connections, supplied: str = "") -> ClusterFacts:
    """Read all facts from all hosts in parallel, then from etcd.

    Args:
        connections: the open connections; records hosts that are lost meanwhile.
        supplied: flannel's version in the operator's RPM; a binary is asked for its version.
    """
    answers = connections.answers
    found: dict[str, Facts] = {}
    versions: dict[str, str] = {}

    async def ask(host: Host, session: Session) -> None:
        try:
            found[host.name] = await _facts(answers, host, session)
            if host.role == "node" and answers.flannel.source != "dnf":
                versions[host.name] = supplied or await _version_of_binary(answers, session)
        except UnreachableError as error:
            connections.lose(host.name, str(error))
            return
        connections.emit(FactsRead(host.name, round(time.monotonic() - began, 3)))
        host_versions = found[host.name].versions
        connections.emit(
            Versions(host.name, {name: sanitize(text) for name, text in host_versions.items()})
        )

    connections.forget_store()
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for host in answers.host:
            if host.name in connections.sessions:
                group.create_task(
                    ask(host, connections.sessions[host.name]), name=f"ask {host.name}"
                )
    ordered = {host.name: found[host.name] for host in answers.host if host.name in found}
    known = ClusterFacts(
        ordered, Stored(), versions, connections.etcd_password, dict(connections.lost)
    )
    stored = await _stored(connections, known)
    return ClusterFacts(
        ordered, stored, versions, connections.etcd_password, dict(connections.lost)
    )


async def _facts(answers: Answers, host: Host, session: Session) -> Facts:
    script, mark = facts.script(answers, host)
    sent = time.time()
    reply = await session.ask(Run(("sh", "-s"), changes=False, stdin=(script,), timeout=150))
    try:
        return facts.read(answers, host, reply.out, mark, asked_at=sent)
    except ValueError as error:
        output = " ".join((reply.err or reply.out).split())[:200]
        if "\ufffd" in output:  # undecodable bytes help nobody
            output = ""
        raise UnreachableError(
            f"{host.name} did not answer as a Linux host does ({error}; exit status "
            f"{reply.code}{': ' + output if output else ''}); try `ssh` to it by hand"
        ) from None


async def _version_of_binary(answers: Answers, session: Session) -> str:
    """The version that the operator's flanneld reports on that host; empty if it can't run there.

    It is uploaded just for this call: whether it runs there is a fact of the host.
    """
    script = (
        'f=$(mktemp) && trap \'rm -f "$f"\' EXIT && cat >"$f" && chmod 0700 "$f" && '
        'timeout 10 "$f" --version 2>&1 | head -n 1'
    )
    reply = await session.ask(
        Run(("sh", "-c", script), changes=False, upload=answers.flannel.path, timeout=600)
    )
    return reply.out.strip()[:200] if flannel.parse_version(reply.out) else ""


async def _stored(connections: Connections, known: ClusterFacts) -> Stored:
    answers = connections.answers
    api = flannel.api(answers, known)
    if not api:
        return Stored(error="it is not known which of etcd's APIs the nodes' flannel reads")
    try:
        store = await connections.store(api, known.hosts)
        config = await store.get(answers.key)
        leases = await store.under(f"{answers.etcd.prefix}/subnets/")
    except UnreachableError as error:
        return Stored(api, error=str(error))
    master = known.hosts.get(answers.master.name)
    configs = master.etcd_configs if master else {}
    other = next((text for name, text in configs.items() if name != api), "")
    return Stored(api, config, leases, other)
