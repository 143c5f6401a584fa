"""iptables of a simulated host: rules as text, and their effect on packets."""

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
    """Parse `10.16.0.0/16`; cached, since a large cluster asks for the same ones very often."""
    return IPv4Network(text, strict=False)


@cache
def address_of(text: str) -> IPv4Address:
    """Parse an address, with or without a prefix length; cached."""
    return IPv4Address(text.partition("/")[0])


@cache
def _words(rule: str) -> tuple[str, ...]:
    return tuple(shlex.split(rule))


@dataclass(frozen=True, slots=True)
class PacketHeaders:
    """A ping, its reply, or a datagram, at one point of its path through a host."""

    source: str
    target: str
    into: str = ""
    out: str = ""
    answer: bool = False
    """It belongs to a connection known to conntrack."""

    port: int = 0
    """UDP destination port; 0: ICMP, or another protocol."""

    number: str = ""
    """Number of another protocol; empty: UDP or ICMP."""

    times: int = 1
    """How many identical packets follow each other."""

    @property
    def protocol(self) -> str:
        """The protocol as a rule names it."""
        return self.number or ("udp" if self.port else "icmp")


def _empty() -> dict[str, dict[str, list[str]]]:
    return {table: {chain: [] for chain in names} for table, names in BUILT_IN.items()}


@dataclass
class Chains:
    """All tables."""

    rules: dict[str, dict[str, list[str]]] = field(default_factory=_empty)
    """By table and chain; a rule is what follows `-A CHAIN`."""

    policies: dict[str, str] = field(default_factory=dict)
    """Of the filter table's chains, unless it is ACCEPT."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Packets by table, chain and rule; an empty rule stands for the chain's policy."""

    def flush(self) -> None:
        """Reset everything, as a boot does."""
        self.rules = _empty()
        self.policies = {}
        self.counts.clear()

    def chain(self, table: str, name: str) -> list[str]:
        """A chain's rules; a missing chain is created."""
        return self.rules[table].setdefault(name, [])

    def insert(self, table: str, name: str, rule: str) -> None:
        """Insert a rule at the top, unless the chain has it."""
        if rule not in self.chain(table, name):
            self.rules[table][name].insert(0, rule)

    def append(self, table: str, name: str, rule: str) -> None:
        """Append a rule, unless the chain has it."""
        if rule not in self.chain(table, name):
            self.rules[table][name].append(rule)

    def delete(self, table: str, name: str, rule: str) -> None:
        """Delete a rule, if it exists."""
        rules = self.rules[table].get(name, [])
        if rule in rules:
            rules.remove(rule)
        if rule not in rules:
            del self.counts[table, name, rule]

    def saved(self, table: str) -> Iterator[str]:
        """The output of `iptables-save -c` for a table."""
        chains = self.rules[table]
        for name in chains:
            policy = self.policy(table, name) if name in BUILT_IN[table] else "-"
            packets = self.counts[table, name, ""]
            yield f":{name} {policy} [{packets}:{packets * 84}]"
        for name, rules in chains.items():
            for rule in rules:
                packets = self.counts[table, name, rule]
                yield f"[{packets}:{packets * 84}] -A {name} {rule}"

    def policy(self, table: str, name: str) -> str:
        """The verdict for packets that no rule of a built-in chain decides."""
        return self.policies.get(name, "ACCEPT") if table == "filter" else "ACCEPT"

    def shown(self, table: str) -> Iterator[str]:
        """The output of `iptables -S`."""
        chains = self.rules[table]
        for name in BUILT_IN[table]:
            yield f"-P {name} {self.policy(table, name)}"
        yield from (f"-N {name}" for name in chains if name not in BUILT_IN[table])
        yield from (f"-A {name} {rule}" for name, rules in chains.items() for rule in rules)

    def fate(self, table: str, name: str, packet: PacketHeaders) -> str:
        """The target that ends a packet's path through a chain."""
        target = self._walk(table, name, packet)
        if not target:
            self.counts[table, name, ""] += packet.times
        return target or self.policy(table, name)

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
            if final := self._walk(table, target, packet):
                return final
        return ""


def _judge(rule: str, packet: PacketHeaders) -> tuple[bool, str]:
    """Whether a rule matches the packet, and its target.

    Raises:
        ValueError: the rule uses a match that is not modelled.
    """
    words, target, matches, wanted = iter(_words(rule)), "", True, True
    for word in words:
        if word == "!":
            wanted = False
            continue
        if word in ("-s", "-d"):
            address = packet.source if word == "-s" else packet.target
            outcome = address_of(address) in network_of(next(words))
        elif word in ("-i", "-o"):
            outcome = (packet.into if word == "-i" else packet.out) == next(words)
        elif word == "-p":
            outcome = next(words) in (packet.protocol, "all")
        elif word == "--dport":
            outcome = next(words) == str(packet.port)
        elif word == "--icmp-type":
            outcome = next(words) == ("0" if packet.answer else "8")
        elif word == "--ctstate":
            outcome = "ESTABLISHED" in next(words).split(",") and packet.answer
        elif word == "-j":
            target, outcome = next(words), wanted
        elif word in ("-m", "--comment", "--reject-with"):
            next(words)
            outcome = wanted
        elif word == "--random-fully":
            outcome = wanted
        else:
            raise ValueError(f"no practice host knows {word} of the rule `{rule}`")
        matches = matches and outcome == wanted
        wanted = True
    return matches, target
