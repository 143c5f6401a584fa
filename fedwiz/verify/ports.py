"""Does the backend's UDP port let packets through?  It is tried before flannel has it.

Some nodes listen there and all others send, for a second; what arrives proves the way through
every packet filter, of the nodes and between them.  Nothing is tried at a node where something
has the port already, as a flannel that runs, nor where firewalld keeps it shut, which the install
is to open: what is lost there would prove nothing.
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
from fedwiz.verify.node_pings import Meeting
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
"""What a node says that could not do its part, and what it means."""


def listen(name: str, port: int, senders: int) -> Run:
    """Listen at a UDP port, until `tell` or for `LISTENER_SECONDS`.

    Args:
        name: of the unit, and what senders send.
        port: where.
        senders: how many there are, for what is kept to have an end.
    """
    return question(
        "udp-listen", name, str(port), str(LISTENER_SECONDS), str(senders * 8 + 64), timeout=20
    )


def send(name: str, number: int, port: int, peers: Collection[str]) -> Run:
    """Send a few datagrams to each of these addresses, all at once; 0.2 s."""
    return question("udp-send", str(port), f"{name} {number}", *peers, timeout=20)


def tell(name: str, senders: int) -> Run:
    """Tell who was heard, and end; 0.5 s where fewer were than sent."""
    return question("udp-tell", name, str(senders), timeout=20)


def read_listen(said: str) -> str | None:
    """What `listen` was answered: None where it listens, else who has the port (see `Tried.held`).

    Raises:
        ValueError: it does not listen, or that is no answer; the message says why.
    """
    word, _, encoded = said.strip().partition(" ")
    if word == "ready" and not encoded:
        return None
    if word == "held":
        users = re.findall(r'\("([^"]{1,40})",pid=([0-9]{1,10}),', _decode(encoded))
        return ", ".join(f"{sanitize(name)} (pid {pid})" for name, pid in dict.fromkeys(users))
    if word == "failed":
        why = " ".join(tidy(_decode(encoded)).split())[-200:]
        raise ValueError(f"it can't listen ({why or 'it says nothing'})")
    raise ValueError(TRIAL_REFUSALS.get(said.strip(), ""))


def read_send(said: str, peers: Collection[str]) -> dict[str, str]:
    """What `send` was answered: the kernel's complaint by peer's address, empty where none.

    Raises:
        ValueError: it did not send, or that is no answer; the message says why.
    """
    *lines, end = said.splitlines() or [""]
    if end != "end":
        raise ValueError(TRIAL_REFUSALS.get(said.strip(), ""))
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


def read_tell(said: str) -> set[int]:
    """What `tell` was answered: the numbers of those who were heard.

    Raises:
        ValueError: nothing is known of that, or that is no answer; the message says why.
    """
    *lines, end = said.splitlines() or [""]
    if end != "end" or not all(re.fullmatch(r"heard [0-9]{1,6}", line) for line in lines):
        raise ValueError(TRIAL_REFUSALS.get(said.strip(), ""))
    return {int(line.partition(" ")[2]) for line in lines}


def _decode(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except ValueError:  # its own words are no reason for an operator
        raise ValueError from None


@dataclass
class _Asker:
    """Asks nodes, all at once."""

    sessions: Mapping[str, Session]
    failed: dict[str, str] = field(default_factory=dict)
    """Why nothing is known of a node's part."""

    gone: dict[str, str] = field(default_factory=dict)
    """Nodes that can't be asked any more."""

    async def ask(self, runs: Mapping[str, Run], read: Callable[[str, str], T]) -> dict[str, T]:
        """What nodes answered, of those that gave an answer; `read` gets the node and its words."""
        found: dict[str, T] = {}

        async def one(name: str, run: Run) -> None:
            try:
                reply = await self.sessions[name].ask(run)
            except UnreachableError as why:
                self.gone.setdefault(name, str(why))
                return
            try:
                found[name] = read(name, reply.out)
            except ValueError as wrong:
                self.failed.setdefault(name, str(wrong) or _no_answer(reply))

        async with TaskGroup() as group:
            for name, run in runs.items():
                if name not in self.gone:
                    group.create_task(one(name, run), name=f"port of {name}")
        return found


def _no_answer(reply: Reply) -> str:
    said = " ".join(tidy(reply.err or reply.out).split())[:200]
    return f"it gives no answer (exit status {reply.code}, {said or 'it said nothing'})"


async def attempt(
    answers: Answers, sessions: Mapping[str, Session], known: ClusterFacts
) -> ClusterFacts:
    """Try the backend's UDP port between all nodes: three commands a node, whatever their number.

    Datagrams leave as the routing table says, for the addresses that flannel is to publish.
    It takes some 0.5 s, and as much again where some are lost.

    Args:
        answers: the backend, and the nodes with their `interface`.
        sessions: open ones, by host.
        known: facts, read just before.

    Returns:
        The same, with what came of it, and with nodes whose connection broke among the lost.
    """
    ports = answers.backend.backend.ports(answers.backend.options)
    meeting = Meeting({host.name: host for host in answers.nodes}, known)
    able = [name for name in meeting.nodes if name in sessions and name not in meeting.troubles]
    opens = [name for name in able if ports and not known.hosts[name].shut(ports[0])]
    ways = {
        one: [other for other in opens if other != one and not _hindered(meeting, one, other)]
        for one in able
    }
    asker = _Asker(sessions)
    tried = await _try(asker, meeting, ways, int(ports[0].partition("/")[0]) if ports else 0)
    return replace(known, udp=tried, lost={**known.lost, **asker.gone})


def _hindered(meeting: Meeting, sender: str, receiver: str) -> bool:
    return meeting.obstacle(sender, receiver)[0] != "pass"


async def _try(
    asker: _Asker, meeting: Meeting, ways: Mapping[str, Collection[str]], port: int
) -> Tried:
    """Listen, send, tell.

    Args:
        asker: of the nodes.
        meeting: what the nodes' addresses are.
        ways: the receivers of each sender.
        port: where.
    """
    name, numbers = f"udp-fedwiz-{secrets.token_hex(4)}", {it: n for n, it in enumerate(ways)}
    runs = {it: listen(name, port, number) for it, number in _senders(ways).items()}
    listening = await asker.ask(runs, lambda _, said: read_listen(said))
    ready = [it for it, by in listening.items() if by is None]
    targets = {
        sender: {it: meeting.ends[it].address for it in receivers if it in ready}
        for sender, receivers in ways.items()
    }
    runs = {it: send(name, numbers[it], port, to.values()) for it, to in targets.items() if to}
    sent = await asker.ask(runs, lambda it, said: read_send(said, targets[it].values()))
    senders = _senders({it: targets[it] for it in sent})
    runs = {it: tell(name, senders.get(it, 0)) for it in ready}
    heard = await asker.ask(runs, lambda _, said: read_tell(said))
    arrived, lost = set[tuple[str, str]](), dict[tuple[str, str], str]()
    for sender, complaints in sent.items():
        for receiver in targets[sender].keys() & heard.keys():
            if numbers[sender] in heard[receiver]:
                arrived.add((sender, receiver))
            else:
                lost[sender, receiver] = complaints[targets[sender][receiver]]
    held = {it: by for it, by in listening.items() if by is not None}
    return Tried(frozenset(arrived), lost, held, asker.failed)


def _senders(ways: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """By receiver: how many there are."""
    found: dict[str, int] = {}
    for receivers in ways.values():
        for receiver in receivers:
            found[receiver] = found.get(receiver, 0) + 1
    return found
