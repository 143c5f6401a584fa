"""Does the backend's UDP port let packets through?  Tested before flannel uses it.

Some nodes listen on the port and all others send to it for a second; a datagram that arrives has
passed every packet filter, on the nodes and between them. A node is not tried as a receiver if its
port is in use, for example by a running flannel, or if firewalld blocks it, which the install will
change: a loss there would prove nothing.
"""

import base64
import re
import secrets
from asyncio import TaskGroup
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from fedwiz.answers.file import Answers
from fedwiz.facts import ClusterFacts, Tried
from fedwiz.model.actions import Reply, Run, Session, UnreachableError
from fedwiz.scripts import question
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.node_pings import NodePings
from fedwiz.verify.pods import tidy

T = TypeVar("T")

LISTENER_SECONDS = 15
"""Seconds after which a listener ends by itself."""

TRIAL_REFUSALS = {
    "another": "another check is trying the port there just now: run it again",
    "notool": "it has no systemd-socket-activate, which listens: see `dnf provides` there",
    "nobash": "it has no bash, which sends: `dnf install bash` there",
    "gone": "its listener ended too early: run `fedwiz check` again",
}
"""The replies of a node that could not take part, and what they mean."""


def listen(name: str, port: int, senders: int) -> Run:
    """Listen on a UDP port, until `report_received` or for `LISTENER_SECONDS`.

    Args:
        name: of the unit, and what senders send.
        port: the port to listen on.
        senders: their number, which limits how much is stored.
    """
    return question(
        "udp-listen", name, str(port), str(LISTENER_SECONDS), str(senders * 8 + 64), timeout=20
    )


def send(name: str, number: int, port: int, peers: Collection[str]) -> Run:
    """Send a few datagrams to each of these addresses, all at once; takes 0.2 s."""
    return question("udp-send", str(port), f"{name} {number}", *peers, timeout=20)


def report_received(name: str, senders: int) -> Run:
    """Report the senders that were heard, and end; takes 0.5 s if fewer were heard than sent."""
    return question("udp-tell", name, str(senders), timeout=20)


def read_listen(output: str) -> str | None:
    """Parse the output of `listen`: None if it listens, else what uses the port.

    The format is that of `Tried.in_use`.

    Raises:
        ValueError: it does not listen, or the output is malformed; the message says why.
    """
    word, _, encoded = output.strip().partition(" ")
    if word == "ready" and not encoded:
        return None
    if word == "held":
        users = re.findall(r'\("([^"]{1,40})",pid=([0-9]{1,10}),', _decode(encoded))
        return ", ".join(f"{sanitize(name)} (pid {pid})" for name, pid in dict.fromkeys(users))
    if word == "failed":
        why = " ".join(tidy(_decode(encoded)).split())[-200:]
        raise ValueError(f"it can't listen ({why or 'it says nothing'})")
    raise ValueError(TRIAL_REFUSALS.get(output.strip(), ""))


def read_send(output: str, peers: Collection[str]) -> dict[str, str]:
    """Parse the output of `send`: the kernel's error by the peer's address, empty if none.

    Raises:
        ValueError: it did not send, or the output is malformed; the message says why.
    """
    *lines, end = output.splitlines() or [""]
    if end != "end":
        raise ValueError(TRIAL_REFUSALS.get(output.strip(), ""))
    found = {}
    for line in lines:
        words = re.fullmatch(r"sent (\S+) ([A-Za-z0-9+/=]*)", line)
        if not words or words[1] in found:
            raise ValueError
        # `udp-send: line 13: printf: write error: Connection refused`
        why = " ".join(tidy(_decode(words[2])).split())
        found[words[1]] = why.rpartition(": ")[2][:80]
    if found.keys() != set(peers):
        raise ValueError
    return found


def read_received(output: str) -> set[int]:
    """Parse the output of `report_received`: the numbers of the senders that were heard.

    Raises:
        ValueError: that is unknown, or the output is malformed; the message says why.
    """
    *lines, end = output.splitlines() or [""]
    if end != "end" or not all(re.fullmatch(r"heard [0-9]{1,6}", line) for line in lines):
        raise ValueError(TRIAL_REFUSALS.get(output.strip(), ""))
    return {int(line.partition(" ")[2]) for line in lines}


def _decode(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except ValueError:  # its own message would tell an operator nothing
        raise ValueError from None


@dataclass
class _Asker:
    """Runs commands on many nodes at once."""

    sessions: Mapping[str, Session]
    failed: dict[str, str] = field(default_factory=dict)
    """Why nothing is known of a node's part."""

    gone: dict[str, str] = field(default_factory=dict)
    """Nodes that can no longer be reached."""

    async def ask(self, runs: Mapping[str, Run], read: Callable[[str, str], T]) -> dict[str, T]:
        """The parsed output of all nodes that gave any; `read` gets the node and its output."""
        found: dict[str, T] = {}

        async def one(name: str, run: Run) -> None:
            try:
                reply = await self.sessions[name].ask(run)
            except UnreachableError as why:
                self.gone.setdefault(name, str(why))
                return
            try:
                found[name] = read(name, reply.out)
            except ValueError as error:
                self.failed.setdefault(name, str(error) or _no_answer(reply))

        async with TaskGroup() as group:
            for name, run in runs.items():
                if name not in self.gone:
                    group.create_task(one(name, run), name=f"port of {name}")
        return found


def _no_answer(reply: Reply) -> str:
    text = " ".join(tidy(reply.err or reply.out).split())[:200]
    return f"it gives no answer (exit status {reply.code}, {text or 'it said nothing'})"


async def try_udp_port(
    answers: Answers, sessions: Mapping[str, Session], known: ClusterFacts
) -> ClusterFacts:
    """Try the backend's UDP port between all nodes: three commands per node, whatever their number.

    Datagrams are routed by the routing table, to the addresses that flannel will publish. It takes
    some 0.5 s, and twice that if some are lost.

    Args:
        answers: the backend, and the nodes with their `interface`.
        sessions: open ones, by host.
        known: facts, read just before.

    Returns:
        `known` with the results, and with nodes whose connection broke among the lost.
    """
    ports = answers.backend.backend.ports(answers.backend.options)
    pings = NodePings({host.name: host for host in answers.nodes}, known)
    reachable = [name for name in pings.nodes if name in sessions and name not in pings.troubles]
    open_nodes = [
        name for name in reachable if ports and not known.hosts[name].firewall_blocks(ports[0])
    ]
    receivers = {
        sender: [
            receiver
            for receiver in open_nodes
            if receiver != sender and not _has_obstacle(pings, sender, receiver)
        ]
        for sender in reachable
    }
    asker = _Asker(sessions)
    tried = await _try(asker, pings, receivers, int(ports[0].partition("/")[0]) if ports else 0)
    return replace(known, udp=tried, lost={**known.lost, **asker.gone})


def _has_obstacle(pings: NodePings, sender: str, receiver: str) -> bool:
    return pings.obstacle(sender, receiver)[0] != "pass"


async def _try(
    asker: _Asker, pings: NodePings, receivers_by_sender: Mapping[str, Collection[str]], port: int
) -> Tried:
    """Listen, send, report.

    Args:
        asker: of the nodes.
        pings: the nodes' addresses.
        receivers_by_sender: the receivers of each sender.
        port: the port to try.
    """
    name = f"udp-fedwiz-{secrets.token_hex(4)}"
    numbers = {it: n for n, it in enumerate(receivers_by_sender)}
    runs = {
        it: listen(name, port, number) for it, number in _sender_counts(receivers_by_sender).items()
    }
    listening = await asker.ask(runs, lambda _, output: read_listen(output))
    ready = [it for it, by in listening.items() if by is None]
    targets = {
        sender: {it: pings.ends[it].address for it in receivers if it in ready}
        for sender, receivers in receivers_by_sender.items()
    }
    runs = {it: send(name, numbers[it], port, to.values()) for it, to in targets.items() if to}
    sent = await asker.ask(runs, lambda it, output: read_send(output, targets[it].values()))
    senders = _sender_counts({it: targets[it] for it in sent})
    runs = {it: report_received(name, senders.get(it, 0)) for it in ready}
    received = await asker.ask(runs, lambda _, output: read_received(output))
    arrived, lost = set[tuple[str, str]](), dict[tuple[str, str], str]()
    for sender, complaints in sent.items():
        for receiver in targets[sender].keys() & received.keys():
            if numbers[sender] in received[receiver]:
                arrived.add((sender, receiver))
            else:
                lost[sender, receiver] = complaints[targets[sender][receiver]]
    in_use = {it: by for it, by in listening.items() if by is not None}
    return Tried(frozenset(arrived), lost, in_use, asker.failed)


def _sender_counts(receivers_by_sender: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The number of senders, by receiver."""
    found: dict[str, int] = {}
    for receivers in receivers_by_sender.values():
        for receiver in receivers:
            found[receiver] = found.get(receiver, 0) + 1
    return found
