"""Can the nodes reach each other?  Pings between the addresses that flannel will publish.

A node sends flannel's packets from the address that it publishes, through that address's interface;
these pings are bound to both. A ping that comes back proves a connection. One that does not proves
nothing: ICMP may be blocked, and flannel does not need it.
"""

import base64
import re
from asyncio import TaskGroup
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Interface
from itertools import permutations
from shlex import quote

from fedwiz.answers import rules
from fedwiz.answers.file import Answers, Host
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.facts.values import ICMP
from fedwiz.model.actions import Reply, Run, Session, UnreachableError
from fedwiz.model.events import Emit, Judged
from fedwiz.scripts import question
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.pods import read_ping, tidy
from fedwiz.verify.values import Ping, Verdict


@dataclass(frozen=True, slots=True)
class NodeEnd:
    """Where flannel's packets leave and enter a node."""

    dev: str
    """Name of the interface."""

    inet: IPv4Interface

    @property
    def address(self) -> str:
        """The address that flannel publishes."""
        return str(self.inet.ip)


@dataclass(frozen=True, slots=True)
class PeerResult:
    """A node's result for one peer."""

    ping: Ping | None
    """None: ping itself did not work."""

    neighbour: str
    """The kernel's neighbour state: `REACHABLE`, `FAILED`, ...; `none`: no neighbour, or unknown.

    `STALE`, read after the pings, is a neighbour that was present while they were sent: had it been
    in doubt before, they would have made the kernel probe it (`DELAY`, then `PROBE`)."""

    message: str
    """Output of ping, in one line."""


def ask(end: NodeEnd, peers: Collection[str]) -> Run:
    """Ping all peers' addresses at once; takes 4 s if pings get lost, at most 14 s."""
    return question("meet", end.address, end.dev, *peers, timeout=20)


def read(output: str, peers: Collection[str]) -> dict[str, PeerResult]:
    """Parse the output of `ask`, by the peers' addresses.

    Raises:
        ValueError: it is truncated, malformed, or not about these peers.
    """
    lines = output.splitlines()
    if lines[-1:] != ["end"]:
        raise ValueError("the answer is not whole")
    found: dict[str, PeerResult] = {}
    for line in lines[:-1]:
        words = re.fullmatch(r"met (\S+) ([A-Za-z_]{1,20}) ([A-Za-z0-9+/=]*)", line)
        if not words:
            raise ValueError("not a ping's answer")
        peer, neighbour, encoded = words.groups()
        ping_output = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
        found[peer] = PeerResult(
            _ping(ping_output), neighbour, " ".join(tidy(ping_output).split())[:200]
        )
    if len(lines) != len(found) + 1 or found.keys() != set(peers):
        raise ValueError("the answer is not about those that were pinged")
    return found


def _ping(output: str) -> Ping | None:
    try:
        return read_ping(output)
    except ValueError:
        return None


@dataclass(frozen=True)
class NodePings:
    """Everything known and measured; all mappings are by node."""

    nodes: Mapping[str, Host]
    known: ClusterFacts
    replies: Mapping[str, Mapping[str, PeerResult]] = field(default_factory=dict)
    """By sender, then by the peer's address."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Why a node's output is of no use."""

    @cached_property
    def ends(self) -> Mapping[str, NodeEnd]:
        """The ends of nodes that have what flannel needs."""
        found = {}
        for name, host in self.nodes.items():
            facts = self.known.hosts.get(name, Facts())
            link, address = facts.uplink(host.interface), facts.public_ip(host.interface)
            for interface_address in map(IPv4Interface, link.addresses if link else ()):
                if link and str(interface_address.ip) == address:
                    found[name] = NodeEnd(link.name, interface_address)
        return found

    @cached_property
    def owners(self) -> Mapping[str, frozenset[str]]:
        """The nodes that would publish an address, by that address."""
        found: dict[str, frozenset[str]] = {}
        for name, end in self.ends.items():
            found[end.address] = found.get(end.address, frozenset()) | {name}
        return found

    @cached_property
    def addresses(self) -> Mapping[str, frozenset[str]]:
        """All addresses of each node."""
        return {
            name: frozenset(
                text.partition("/")[0] for link in facts.links for text in link.addresses
            )
            for name, facts in self.known.hosts.items()
        }

    @cached_property
    def troubles(self) -> Mapping[str, tuple[Judged, str]]:
        """Level and reason for nodes that can neither ping nor be pinged; others are left out."""
        found = {name: self._trouble(host) for name, host in self.nodes.items()}
        return {name: trouble for name, trouble in found.items() if trouble}

    def _trouble(self, host: Host) -> tuple[Judged, str] | None:
        name, facts = host.name, self.known.hosts.get(host.name)
        if name in self.known.lost or facts is None:
            why = self.known.lost.get(name, "there is no connection to it")
            return "skipped", f"{name} could not be reached: {why}"
        if not facts.links:
            return "skipped", f"the interfaces of {name} could not be read: see `ip address` there"
        link, end = facts.uplink(host.interface), self.ends.get(name)
        remedy = f"set `interface` of {name} to the one by which the other nodes reach it"
        if link is None and host.interface:
            return "skipped", f"{name} has no interface {host.interface}: {remedy}"
        if link is None:
            return (
                "skipped",
                f"{name} has no default route, so flannel finds no interface: {remedy}",
            )
        if end is None:
            return "skipped", f"{link.name} of {name} has no IPv4 address: {remedy}"
        try:
            rules.interface(link.name)  # it is passed as a command-line word, so it must be valid
        except ValueError:
            return "skipped", f"{link.name} of {name} is not a valid interface name: {remedy}"
        if not link.up:
            # Not pinged: another interface may answer for its address all the same.
            up = f"`ip link set {quote(link.name)} up` there"
            return "fail", f"{link.name} of {name}, which has {end.address}, is down: {up}"
        return None

    def obstacle(self, sender: str, receiver: str) -> tuple[Judged, str]:
        """Level and reason if this pair is not pinged; `pass` if it is."""
        for host in (sender, receiver):
            if host in self.troubles:
                return self.troubles[host]
        for host, other in ((sender, receiver), (receiver, sender)):
            address = self.ends[host].address
            twins = self.owners[address] - {host}
            if twins:
                both = " and ".join(sorted((host, other if other in twins else min(twins))))
                return "fail", (
                    f"{both} would both publish {address}, so nobody could tell them "
                    "apart: set `interface` of each to the one with an address of its own"
                )
            if address in self.addresses[other]:
                return "fail", (
                    f"{host} would publish {address}, which {other} has itself, so {other} would "
                    f"talk to itself: set `interface` of {host} to one with an address of its own"
                )
        return "pass", ""

    def peers(self, sender: str) -> tuple[str, ...]:
        """The addresses that a node has to ping."""
        return tuple(
            self.ends[peer].address
            for peer in self.nodes
            if peer != sender and self.obstacle(sender, peer)[0] == "pass"
        )

    def judge(self, sender: str, receiver: str) -> Verdict:
        """The verdict on one pair."""
        level, why = self.obstacle(sender, receiver)
        if level != "pass":
            return _verdict(sender, receiver, level, "", why)
        if sender in self.failed:
            return _verdict(sender, receiver, "skipped", "", self.failed[sender])
        source, target = self.ends[sender], self.ends[receiver]
        reply = self.replies[sender][target.address]
        ping = reply.ping
        if ping is None or not ping.sent:
            why = f"{sender} could not ping {target.address} ({reply.message or 'it said nothing'})"
            why += f": try `ping -I {source.address} {target.address}` there"
            return _verdict(sender, receiver, "skipped", "", why)
        seen = f"{ping.received}/{ping.sent}"
        seen += "".join(f", {more}" for more in (ping.rtt and f"{ping.rtt} ms", ping.note) if more)
        if not ping.received:
            return _verdict(
                sender, receiver, "fail", seen, self._likely_reason(sender, receiver, reply)
            )
        if ping.received < ping.sent:
            why = (
                f"{ping.sent - ping.received} of {ping.sent} pings between {source.address} and "
                f"{target.address} were lost: look at the errors in `ip -s link` on both"
            )
        return _verdict(sender, receiver, "pass", seen, why)

    def _likely_reason(self, sender: str, receiver: str, reply: PeerResult) -> str:
        """The likely reason that no ping came back, and one remedy."""
        source, target = self.ends[sender], self.ends[receiver]
        lost = f"no ping came back from {target.address} ({target.dev} of {receiver})"
        reverse = self.replies.get(receiver, {}).get(source.address)
        if reverse and reverse.ping and reverse.ping.received:
            return (
                f"{lost}, but {receiver}'s own to {sender} come back: there is a way, and "
                "something on it blocks ICMP, which flannel does not need; "
                f"{self._suspect(receiver, sender)}"
            )
        if reply.neighbour in ("FAILED", "INCOMPLETE"):
            return (
                f"{lost}: nobody has that address on the wire that {source.dev} of {sender} is "
                "on; set `interface` of both to those that share a network"
            )
        if reply.neighbour in ("REACHABLE", "STALE"):
            return (
                f"{lost}, though it is there, on one wire with {source.dev} of {sender}: ICMP "
                f"may be blocked, and flannel needs none; {self._suspect(receiver, sender)}"
            )
        if source.inet.network != target.inet.network:
            return (
                f"{lost}, which is on {target.inet.network}, and {source.dev} of {sender} on "
                f"{source.inet.network}: no router leads there, or ICMP is blocked on the way; set "
                "`interface` of both to those that share a network, or see the router"
            )
        return (
            f"{lost}: there is no way from {source.address} ({source.dev} of {sender}) to it, or "
            f"ICMP is blocked; {self._suspect(receiver, sender)}"
        )

    def _suspect(self, receiver: str, sender: str) -> str:
        """Where to look for what blocks ICMP: a suspicious rule of either node, if it has one."""
        for host in (receiver, sender):
            if rule := self.known.hosts[host].suspect("INPUT", ICMP):
                return f"see the rule `{rule}` on {host}"
        return f"see `iptables -S INPUT` on {receiver}"


def _verdict(sender: str, receiver: str, level: Judged, seen: str, why: str) -> Verdict:
    return Verdict("meet", sender, receiver, level, sanitize(seen), sanitize(why))


async def ping_nodes(
    answers: Answers, sessions: Mapping[str, Session], known: ClusterFacts, emit: Emit
) -> tuple[Verdict, ...]:
    """Judge all ordered pairs of nodes: one command per node, all at once; changes nothing.

    It takes some 0.5 s, and 4 to 9 s if pings get lost.

    Args:
        answers: the nodes, each with the `interface` to try.
        sessions: open ones by host; a node without one is pinged, but can't ping.
        known: facts, read just before; etcd is not needed.
        emit: receives each verdict, once all nodes have answered.  If a caller writes them to a
            journal, the report counts them with those on the finished network.

    Returns:
        One verdict of kind `meet` for each pair, in the order of the answers.  `pass`: pings
        came back, though maybe not all, in which case `why` warns.  `fail`: none came back, which
        alone proves nothing, or they would mean nothing.  `skipped`: nothing is known, and why.
    """
    nodes = {host.name: host for host in answers.nodes}
    pings = NodePings(nodes, known)
    replies: dict[str, Mapping[str, PeerResult]] = {}
    failed: dict[str, str] = {}

    async def one(name: str, peers: tuple[str, ...]) -> None:
        if name not in sessions:
            failed[name] = f"{name} could not be asked: there is no connection to it"
            return
        try:
            reply = await sessions[name].ask(ask(pings.ends[name], peers))
        except UnreachableError as why:
            failed[name] = f"{name} could not be asked: {why}"
            return
        try:
            replies[name] = read(reply.out, peers)
        except ValueError as error:
            failed[name] = _no_answer(name, reply, error)

    async with TaskGroup() as group:
        for name in nodes:
            if peers := pings.peers(name):
                group.create_task(one(name, peers), name=f"meet {name}")
    pings = NodePings(nodes, known, replies, failed)
    verdicts = tuple(pings.judge(*pair) for pair in permutations(nodes, 2))
    for verdict in verdicts:
        emit(verdict)
    return verdicts


def _no_answer(name: str, reply: Reply, error: ValueError) -> str:
    if reply.out.split() == ["noping"]:
        return f"{name} has no ping, so nothing is known: `dnf install iputils` there"
    text = " ".join(tidy(reply.err or reply.out).split())[:300]
    return (
        f"{name} could not ping ({error}; exit status {reply.code}, {text or 'it said nothing'}): "
        "try ping there by hand"
    )
