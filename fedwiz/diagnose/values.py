"""The data types of a diagnosis, and helpers for its causes and their fixes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from fedwiz.answers.file import Answers, Host
from fedwiz.etcd.leases import Lease
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.model.actions import Action, Run
from fedwiz.verify import Verdict
from fedwiz.verify.leases import lease_of, usable_leases
from fedwiz.verify.values import Overlay, Up

Direction: TypeAlias = Literal["there", "back"]
"""A ping goes there, its answer comes back."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A place on the path of a ping or its answer where packets are counted."""

    direction: Direction
    host: str
    name: str
    """One of `HOPS`, or `received`: the container's own count."""

    count: int | None
    """Packets that passed; None: the host could not count there."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rule or a chain's policy that dropped packets during the trace."""

    table: str
    rule: str
    """As `iptables -S` prints it: `-A FORWARD -j REJECT`, `-P FORWARD DROP`."""

    packets: int


@dataclass(frozen=True, slots=True)
class NftDrop:
    """A native nftables rule, not one of iptables, that may drop packets."""

    family: str
    table: str
    chain: str
    hook: str
    """`input`, `forward`, `output`, ...; empty: another chain jumps to this one."""

    rule: str
    handle: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a diagnosis reads from a node in addition to its facts."""

    flanneld: Mapping[str, str] = field(default_factory=dict)
    """`systemctl show`: ActiveState, SubState, Result, ExecMainStatus, NRestarts."""

    log: tuple[str, ...] = ()
    """flanneld's last log lines."""

    rp_filter: Mapping[str, int] = field(default_factory=dict)
    """By interface, including `all` and `default`."""

    policy: tuple[str, ...] = ()
    """`ip rule show`."""

    routes: tuple[str, ...] = ()
    """`ip -4 route show`: complete lines, so that a route can be restored."""

    nft: tuple[NftDrop, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Packets by `WAY-HOP`; without those that could not be counted."""

    dropped: tuple[Dropped, ...] = ()
    moved: Mapping[str, int] = field(default_factory=dict)
    """The kernel's own counters that increased during the trace, e.g. `IPReversePathFilter`."""

    error: str = ""
    """Why the node could not be traced, or only partly."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One change that fixes a cause or a part of it."""

    host: str
    do: Action


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A cause of a problem between two nodes."""

    cause: str
    """Stable, kebab-case."""

    host: str
    """The host on which to fix it."""

    why: str
    """What is wrong, in one sentence."""

    seen: str
    """The measurements and readings that show it; may be several lines."""

    remedy: str
    """One thing to do."""

    fixes: tuple[Fix, ...] = ()
    """The remedy as actions, in order; empty: fedwiz can't do it."""

    explains: bool = True
    """Whether this is why the pair does not ping, or why large packets are lost.  False: it is
    wrong too, but harmless at the moment."""


def published(known: ClusterFacts, host: Host) -> str:
    """The address to which others send a node's packets; empty: there is none."""
    lease = lease_of(usable_leases(known), known, host)
    facts = known.hosts.get(host.name, Facts())
    return lease.public_ip if lease else facts.public_ip(host.interface)


@dataclass(frozen=True)
class Case:
    """Everything known about two nodes, for the causes to examine, in the direction A -> B."""

    answers: Answers
    known: ClusterFacts
    net: Overlay
    sender: str
    receiver: str
    ups: Mapping[str, Up] = field(default_factory=dict)
    looks: Mapping[str, Look] = field(default_factory=dict)
    hops: tuple[Hop, ...] = ()
    """In the order in which a ping and its answer pass them; empty: nothing could be traced."""

    sent: int = 0
    """Number of pings that were traced."""

    answered: int = 0
    seen_as: str = ""
    """The address that the receiver's container saw; empty: it saw nothing, or that is unknown."""

    underlay: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By node, then by the address of a node outside the pair: the largest packet in bytes that
    passed.  Measured if large packets do not pass between the two."""

    verdicts: Sequence[Verdict] = ()
    """Verdicts on the two nodes and on the pair in both directions."""

    @property
    def ends(self) -> tuple[str, str]:
        """Both nodes."""
        return self.sender, self.receiver

    def facts(self, host: str) -> Facts:
        """The facts of a node; empty if it could not be read."""
        return self.known.hosts.get(host, Facts())

    def host(self, name: str) -> Host:
        """The answers about a node."""
        return next(host for host in self.answers.host if host.name == name)

    def lease(self, host: str) -> Lease | None:
        """The lease that a node uses."""
        return lease_of(usable_leases(self.known), self.known, self.host(host))

    def published(self, host: str) -> str:
        """The address to which others send a node's packets; empty: there is none."""
        return published(self.known, self.host(host))

    def look(self, host: str) -> Look:
        """What the diagnosis read from a node."""
        return self.looks.get(host, Look())

    def peer(self, host: str) -> str:
        """The other node of the two."""
        return self.receiver if host == self.sender else self.sender

    @cached_property
    def lost(self) -> Hop | None:
        """The first hop that no packet reached; None: they all passed, or were not traced."""
        return next((hop for hop in self.hops if hop.count == 0), None)

    @property
    def pings(self) -> bool:
        """Whether all pings of the pair were traced and came back."""
        return bool(self.sent) and self.answered == self.sent

    def lost_at(self, *names: str, host: str = "") -> bool:
        """Whether packets got lost at one of these hops, on that host."""
        lost = self.lost
        return lost is not None and lost.name in names and host in ("", lost.host)


Cause: TypeAlias = Callable[[Case], Iterator[Diagnosis]]
"""Looks at a case and yields what it finds; nothing if it is not the cause."""


def fix_command(host: str, do: tuple[str, ...], undo: tuple[str, ...], **more: Any) -> Fix:
    """A command on a host and the one that undoes it; `more` applies to both."""
    undo_run = Run(undo, **more)
    return Fix(host, Run(do, undo=undo_run.brief, back=undo_run, **more))


def is_lost(
    case: Case, host: str, own_hops: tuple[str, ...] = (), peer_hops: tuple[str, ...] = ()
) -> bool:
    """Whether what a node sends to the other one gets lost.

    If no loss could be counted at any hop, a lost ping is enough.

    Args:
        case: the two nodes.
        host: the node that sends the ping or the answer.
        own_hops: hops of `SENDS` where it would get lost on this node.
        peer_hops: hops of `RECEIVES` where it would get lost on the other node.
    """
    if case.lost is None:
        return not case.pings
    return case.lost_at(*own_hops, host=host) or case.lost_at(*peer_hops, host=case.peer(host))


def loss_summary(case: Case) -> str:
    """Between which hops packets were lost, in one sentence; empty: none were."""
    if case.lost is None:
        return ""
    hops_before = [hop for hop in case.hops[: case.hops.index(case.lost)] if hop.count]
    packets, lost = ("pings", "answers")[case.lost.direction == "back"], case.lost
    end = f"none to `{lost.name}` of {lost.host}"
    if not hops_before:
        return f"of {case.sent} pings {end}"
    last = hops_before[-1]
    return f"{last.count} {packets} came to `{last.name}` of {last.host}, and {end}"
