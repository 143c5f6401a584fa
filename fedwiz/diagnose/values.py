"""The shapes of a diagnosis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from fedwiz.answers.file import Answers, Host
from fedwiz.etcd.leases import Lease
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.model.actions import Action
from fedwiz.verify import Verdict
from fedwiz.verify.leases import lease_of, usable
from fedwiz.verify.values import Overlay, Up

Way: TypeAlias = Literal["there", "back"]
"""A ping goes there, its answer comes back."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A place on the way of a ping or of its answer where packets are counted."""

    way: Way
    host: str
    name: str
    """One of `HOPS`, or `received`: the container's own count."""

    count: int | None
    """Packets that came by; None: the host could not count there."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rule, or a chain's policy, that packets were dropped by while they were traced."""

    table: str
    rule: str
    """As `iptables -S` prints it: `-A FORWARD -j REJECT`, `-P FORWARD DROP`."""

    packets: int


@dataclass(frozen=True, slots=True)
class NftDrop:
    """A rule of nftables' own, not of iptables', that may drop packets."""

    family: str
    table: str
    chain: str
    hook: str
    """`input`, `forward`, `output`, ...; empty: the chain is jumped to."""

    rule: str
    handle: int


@dataclass(frozen=True, slots=True)
class Look:
    """What only a diagnosis asks a node, besides its facts."""

    flanneld: Mapping[str, str] = field(default_factory=dict)
    """`systemctl show`: ActiveState, SubState, Result, ExecMainStatus, NRestarts."""

    log: tuple[str, ...] = ()
    """flanneld's last lines."""

    rp_filter: Mapping[str, int] = field(default_factory=dict)
    """By interface; `all` and `default` are among them."""

    policy: tuple[str, ...] = ()
    """`ip rule show`."""

    routes: tuple[str, ...] = ()
    """`ip -4 route show`: all that was said of each, so that it can be put back."""

    nft: tuple[NftDrop, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Packets by `WAY-HOP`; those that could not be counted are not in it."""

    dropped: tuple[Dropped, ...] = ()
    moved: Mapping[str, int] = field(default_factory=dict)
    """The kernel's own counters that moved meanwhile, as `IPReversePathFilter`."""

    error: str = ""
    """Why the node could not be traced, or only in part."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One change of a remedy."""

    host: str
    do: Action


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A cause of what is wrong between two nodes."""

    cause: str
    """Stable, kebab-case."""

    host: str
    """Where it is to be mended."""

    why: str
    """What is wrong, in one sentence."""

    seen: str
    """What was measured and read that says so; may be several lines."""

    remedy: str
    """One thing to do."""

    mends: tuple[Fix, ...] = ()
    """The same as actions, in order; empty: fedwiz does not do it."""

    explains: bool = True
    """It is why this pair does not ping, or large packets do not cross.  False: it is wrong, too,
    and stops nothing now."""


def published(known: ClusterFacts, host: Host) -> str:
    """The address that others send a node's packets to; empty: there is none."""
    lease = lease_of(usable(known), known, host)
    facts = known.hosts.get(host.name, Facts())
    return lease.public_ip if lease else facts.public_ip(host.interface)


@dataclass(frozen=True)
class Case:
    """All that is known of two nodes, for the causes to look at.  It is asked for A -> B."""

    answers: Answers
    known: ClusterFacts
    net: Overlay
    sender: str
    receiver: str
    ups: Mapping[str, Up] = field(default_factory=dict)
    looks: Mapping[str, Look] = field(default_factory=dict)
    hops: tuple[Hop, ...] = ()
    """In the order that a ping and its answer take; empty: nothing could be traced."""

    sent: int = 0
    """Pings that were traced."""

    answered: int = 0
    seen_as: str = ""
    """The address that the receiver's container saw; empty: it saw nothing, or could not tell."""

    underlay: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By node, then by the address of a node outside of the pair: the largest packet in bytes that
    crossed.  Measured where large packets do not cross between the two."""

    verdicts: Sequence[Verdict] = ()
    """On the two nodes, and on the two pairs that they are."""

    @property
    def ends(self) -> tuple[str, str]:
        """Both nodes."""
        return self.sender, self.receiver

    def facts(self, host: str) -> Facts:
        """What was read of a node; nothing where it could not be asked."""
        return self.known.hosts.get(host, Facts())

    def host(self, name: str) -> Host:
        """A node's answers."""
        return next(host for host in self.answers.host if host.name == name)

    def lease(self, host: str) -> Lease | None:
        """The lease that a node lives by."""
        return lease_of(usable(self.known), self.known, self.host(host))

    def published(self, host: str) -> str:
        """The address that others send a node's packets to; empty: there is none."""
        return published(self.known, self.host(host))

    def look(self, host: str) -> Look:
        """What a diagnosis asked a node besides."""
        return self.looks.get(host, Look())

    def peer(self, host: str) -> str:
        """The other one of the two."""
        return self.receiver if host == self.sender else self.sender

    @cached_property
    def lost(self) -> Hop | None:
        """The first hop that packets got to no more; None: all of it was passed, or not traced."""
        return next((hop for hop in self.hops if hop.count == 0), None)

    @property
    def pings(self) -> bool:
        """Pings of the pair come back, and were traced."""
        return bool(self.sent) and self.answered == self.sent

    def lost_at(self, *names: str, host: str = "") -> bool:
        """Whether packets got lost at one of these hops, of that host."""
        lost = self.lost
        return lost is not None and lost.name in names and host in ("", lost.host)
