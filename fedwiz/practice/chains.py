"""iptables of a simulated host: rules as text, and what they do to a packet."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network

BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}


@cache
def network_of(text: str) -> IPv4Network:
    """`10.16.0.0/16`, parsed once: a large cluster asks for the same ones a million times."""
    return IPv4Network(text, strict=False)


@cache
def address_of(text: str) -> IPv4Address:
    """An address, with or without the length of its network, parsed once."""
    return IPv4Address(text.partition("/")[0])


@cache
def _words(rule: str) -> tuple[str, ...]:
    return tuple(shlex.split(rule))


@dataclass(frozen=True, slots=True)
class PacketHeaders:
    """A ping, its answer, or a datagram, at one point of its way through a host."""

    source: str
    target: str
    into: str = ""
    out: str = ""
    answer: bool = False
    """It belongs to a connection that conntrack knows."""

    port: int = 0
    """Of UDP, where it goes to; 0: it is ICMP, or of another protocol."""

    number: str = ""
    """Of another protocol; empty: it is UDP or ICMP."""

    times: int = 1
    """How many of its kind go one after the other."""

    @property
    def protocol(self) -> str:
        """As a rule names it."""
        return self.number or ("udp" if self.port else "icmp")


def _empty() -> dict[str, dict[str, list[str]]]:
    return {table: {chain: [] for chain in names} for table, names in BUILT_IN.items()}


@dataclass
class Chains:
    """All tables."""

    rules: dict[str, dict[str, list[str]]] = field(default_factory=_empty)
    """By table and chain; a rule is what follows `-A CHAIN`."""

    policies: dict[str, str] = field(default_factory=dict)
    """Of filter's chains, where it is not ACCEPT."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Packets by table, chain and rule; by a chain's policy where the rule is empty."""

    def flush(self) -> None:
        """As after a boot."""
        self.rules = _empty()
        self.policies = {}
        self.counts.clear()

    def chain(self, table: str, name: str) -> list[str]:
        """A chain's rules; made where it is not there."""
        return self.rules[table].setdefault(name, [])

    def insert(self, table: str, name: str, rule: str) -> None:
        """Put a rule first, unless it is somewhere already."""
        if rule not in self.chain(table, name):
            self.rules[table][name].insert(0, rule)

    def append(self, table: str, name: str, rule: str) -> None:
        """Put a rule last, unless it is somewhere already."""
        if rule not in self.chain(table, name):
            self.rules[table][name].append(rule)

    def delete(self, table: str, name: str, rule: str) -> None:
        """Take a rule away, if it is there."""
        held = self.rules[table].get(name, [])
        if rule in held:
            held.remove(rule)
        if rule not in held:
            del self.counts[table, name, rule]

    def saved(self, table: str) -> Iterator[str]:
        """What `iptables-save -c` prints of it."""
        held = self.rules[table]
        for name in held:
            policy = self.policy(table, name) if name in BUILT_IN[table] else "-"
            packets = self.counts[table, name, ""]
            yield f":{name} {policy} [{packets}:{packets * 84}]"
        for name, rules in held.items():
            for rule in rules:
                packets = self.counts[table, name, rule]
                yield f"[{packets}:{packets * 84}] -A {name} {rule}"

    def policy(self, table: str, name: str) -> str:
        """What becomes of what no rule of a built-in chain decides."""
        return self.policies.get(name, "ACCEPT") if table == "filter" else "ACCEPT"

    def shown(self, table: str) -> Iterator[str]:
        """What `iptables -S` prints."""
        held = self.rules[table]
        for name in BUILT_IN[table]:
            yield f"-P {name} {self.policy(table, name)}"
        yield from (f"-N {name}" for name in held if name not in BUILT_IN[table])
        yield from (f"-A {name} {rule}" for name, rules in held.items() for rule in rules)

    def fate(self, table: str, name: str, packet: PacketHeaders) -> str:
        """The target that ends a packet's way through a chain."""
        end = self._walk(table, name, packet)
        if not end:
            self.counts[table, name, ""] += packet.times
        return end or self.policy(table, name)

    def _walk(self, table: str, name: str, packet: PacketHeaders) -> str:
        for rule in self.rules[table].get(name, ()):
            matches, target = _judge(rule, packet)
            if matches:
                self.counts[table, name, rule] += packet.times
            if not matches or not target:
                continue
            if target == "RETURN":
                return ""
            if target not in self.rules[table]:
                return target
            if end := self._walk(table, target, packet):
                return end
        return ""


def _judge(rule: str, packet: PacketHeaders) -> tuple[bool, str]:
    """Whether a rule is about the packet, and its target.

    Raises:
        ValueError: the rule says something that is not modelled.
    """
    words, target, fits, wanted = iter(_words(rule)), "", True, True
    for word in words:
        if word == "!":
            wanted = False
            continue
        if word in ("-s", "-d"):
            at = packet.source if word == "-s" else packet.target
            met = address_of(at) in network_of(next(words))
        elif word in ("-i", "-o"):
            met = (packet.into if word == "-i" else packet.out) == next(words)
        elif word == "-p":
            met = next(words) in (packet.protocol, "all")
        elif word == "--dport":
            met = next(words) == str(packet.port)
        elif word == "--icmp-type":
            met = next(words) == ("0" if packet.answer else "8")
        elif word == "--ctstate":
            met = "ESTABLISHED" in next(words).split(",") and packet.answer
        elif word == "-j":
            target, met = next(words), wanted
        elif word in ("-m", "--comment", "--reject-with"):
            next(words)
            met = wanted
        elif word == "--random-fully":
            met = wanted
        else:
            raise ValueError(f"no practice host knows {word} of the rule `{rule}`")
        fits = fits and met == wanted
        wanted = True
    return fits, target
