"""Where a ping's packets are counted, and how to parse a node's counts.

The counting rules have no target. They stand in chains evaluated before or after all others: `raw`
before everything else, `mangle` before `filter`, and `security` after it. A packet that one counts
and the next does not was dropped in between, by whatever rule.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from fedwiz.diagnose.values import Direction, Dropped, Hop, Look, NftDrop
from fedwiz.model.actions import Run
from fedwiz.model.backends import BACKENDS
from fedwiz.scripts import question
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.pods import POD_SECONDS, parts_of
from fedwiz.verify.values import Overlay

HOPS: Mapping[str, tuple[str, str, str]] = {
    "container": ("inner", "raw", "PREROUTING"),
    "raw": ("inner", "mangle", "PREROUTING"),
    "routing": ("inner", "mangle", "FORWARD"),
    "forwarding": ("inner", "security", "FORWARD"),
    "wrapping": ("outer", "raw", "OUTPUT"),
    "sending": ("outer", "security", "OUTPUT"),
    "arriving": ("outer", "raw", "PREROUTING"),
    "firewall": ("outer", "security", "INPUT"),
    "unwrapping": ("inner", "raw", "PREROUTING"),
    "raw-in": ("inner", "mangle", "PREROUTING"),
    "routing-in": ("inner", "mangle", "FORWARD"),
    "forwarding-in": ("inner", "security", "FORWARD"),
}
"""By the hop's name: whose packets (`inner`: the ping itself; `outer`: the packet that encapsulates
it), table and chain, in the order of the path: the first six on the sending node, the rest on the
receiving one.  Whatever passes a hop has passed all hops before it."""

SENDS, RECEIVES = tuple(HOPS)[:6], tuple(HOPS)[6:]


@dataclass(frozen=True, slots=True)
class End:
    """One of the two nodes."""

    host: str
    pod: IPv4Address
    """Address of the container there."""

    published: str
    """The address that flannel sends to."""


def outer(net: Overlay) -> tuple[str, ...]:
    """How to match an encapsulated packet, apart from its addresses; empty: no encapsulation."""
    backend = BACKENDS.get(net.backend)
    if backend is None or not backend.overhead:
        return ()
    port, _, protocol = next(iter(backend.ports(net.options)), "4").partition("/")
    return ("-p", protocol, "--dport", port) if protocol else ("-p", port)


def rules(
    net: Overlay, here: End, peer: End, direction: Direction
) -> Iterator[tuple[str, str, str]]:
    """Table, chain and match of each hop on a node, each named `WAY-HOP`.

    Args:
        net: the network.
        here: the node that counts.
        peer: the other one.
        direction: `there` if `here` sends the ping, `back` if it sends the answer.
    """
    wrapped, kind = outer(net), ("8", "0")
    answer: Direction = "back" if direction == "there" else "there"
    for hops, leg in ((SENDS, direction), (RECEIVES, answer)):
        icmp = f"-p icmp --icmp-type {kind[leg == 'back']}"
        for name in hops:
            whose, table, chain = HOPS[name]
            if whose == "outer":
                if not wrapped:
                    continue
                side = "-d" if hops is SENDS else "-s"
                match = f"{side} {IPv4Address(peer.published)} {' '.join(wrapped)}"
            else:
                # Only the node's own address: the other one may have been rewritten by now (NAT).
                match = f"{'-s' if hops is SENDS else '-d'} {here.pod} {icmp}"
            yield table, chain, f"{match} -m comment --comment {{}}:{leg}-{name}"


def on(name: str, net: Overlay, here: End, peer: End, direction: Direction) -> Run:
    """Start counting, and print the node's state."""
    lines: dict[str, list[str]] = {"raw": [], "mangle": [], "security": []}
    for table, chain, match in rules(net, here, peer, direction):
        lines[table].append(f"-I {chain} {match.format(name)}")
    tables = ("\n".join(rule_lines) for rule_lines in lines.values())
    return question("trace", "on", name, str(POD_SECONDS), *tables, timeout=40)


def look(name: str) -> Run:
    """Print a node's state if there is nothing to count."""
    return question("trace", "on", name, str(POD_SECONDS), "", "", "", timeout=40)


def off(name: str) -> Run:
    """Print the counts, and remove the rules."""
    return question("trace", "off", name, timeout=40)


def read(before: str, after: str, name: str) -> Look:
    """Parse a node's output of `on` and of `off`.

    Source: `iptables-save -c`; /proc/net/snmp and /proc/net/netstat (pairs of lines, names and then
    values); `systemctl show`; `nft -a list ruleset`.

    Raises:
        ValueError: one of them is truncated or malformed.
    """
    at_start, at_end = parts_of(before), parts_of(after)
    stats = _stats(at_start.get("stats", "")), _stats(at_end.get("stats", ""))
    pairs = [line.partition("=") for line in at_start.get("flanneld", "").splitlines()]
    return Look(
        flanneld={key: sanitize(value) for key, _, value in pairs if value},
        log=tuple(sanitize(line) for line in at_start.get("log", "").splitlines()),
        rp_filter=_rp_filter(at_start.get("sysctls", "")),
        policy=tuple(sanitize(line) for line in at_start.get("policy", "").splitlines()),
        routes=tuple(sanitize(line) for line in at_start.get("routes", "").splitlines()),
        nft=tuple(_nft(at_start.get("nft", ""))),
        counts=_counts(at_end.get("counts", ""), name),
        dropped=tuple(_dropped(_drops(at_start.get("rules", "")), _drops(at_end.get("rules", "")))),
        moved={
            key: now - stats[0].get(key, now)
            for key, now in stats[1].items()
            if now != stats[0].get(key, now)
        },
        error=sanitize(" ".join(at_start.get("error", "").split()))[:300],
    )


def _counts(text: str, name: str) -> dict[str, int]:
    rule = (
        rf"^\[(\d{{1,18}}):\d{{1,18}}\] .*--comment \"?{re.escape(name)}:((?:there|back)-[a-z-]+)"
    )
    return {hop: int(packets) for packets, hop in re.findall(rule, text, re.MULTILINE)}


def _drops(text: str) -> dict[tuple[str, str], int]:
    """Packets by table and rule, of rules that drop or reject, and of policies that drop."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif policy := re.fullmatch(r":(\S+) (\S+) \[(\d{1,18}):\d{1,18}\]", line):
            if policy[2] == "DROP":
                found[table, f"-P {policy[1]} DROP"] = int(policy[3])
        elif rule := re.fullmatch(r"\[(\d{1,18}):\d{1,18}\] (-A .*)", line):
            key = table, sanitize(rule[2])
            found[key] = found.get(key, 0) + int(rule[1])
    return found


def _dropped(
    before: Mapping[tuple[str, str], int], after: Mapping[tuple[str, str], int]
) -> Iterator[Dropped]:
    for (table, rule), packets in after.items():
        if (increase := packets - before.get((table, rule), 0)) > 0:
            yield Dropped(table, rule, increase)


def _stats(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        words = values.split()[1:]
        for key, value in zip(names.split()[1:], words, strict=False):
            if re.fullmatch(r"-?\d{1,18}", value):
                found[f"{names.partition(':')[0]}{key}"] = int(value)
    return found


def _rp_filter(text: str) -> dict[str, int]:
    found = re.findall(r"^net\.ipv4\.conf\.(\S{1,30})\.rp_filter = ([012])$", text, re.MULTILINE)
    return {name: int(value) for name, value in found}


_IPTABLES = {"filter", "raw", "mangle", "nat", "security"}


def _nft(text: str) -> Iterator[NftDrop]:
    """Rules with `drop` or `reject`, and such policies, in tables that are not iptables'."""
    family = table = chain = hook = ""
    for line in text.splitlines():
        if start := re.match(r"table (\w+) (\S+) \{", line):
            family, table, chain, hook = start[1], start[2], "", ""
        elif family in ("ip", "ip6") and table in _IPTABLES:
            continue
        elif start := re.match(r"\s+chain (\S+) \{", line):
            chain, hook = start[1], ""
        elif base := re.match(r"\s+type \w+ hook (\w+) ", line):
            hook = base[1]
            if "policy drop" in line:
                yield NftDrop(family, table, chain, hook, "policy drop", 0)
        elif rule := re.fullmatch(r"\s+(\S.*) # handle (\d{1,9})", line):
            text, handle = rule.groups()
            if re.search(r"\b(?:drop|reject)\b", text):
                yield NftDrop(family, table, chain, hook, sanitize(text), int(handle))


def hops(
    net: Overlay, sender: str, receiver: str, looks: Mapping[str, Look], received: int | None
) -> tuple[Hop, ...]:
    """The whole path of a ping and its answer, with the counts.

    Args:
        net: the network; if it does not encapsulate packets, it has no outer hops.
        sender: the node that pings.
        receiver: the node that answers.
        looks: the counts of both.
        received: pings that the container saw; None: unknown.
    """
    found: list[Hop] = []
    legs: Sequence[tuple[Direction, str, str]] = (
        ("there", sender, receiver),
        ("back", receiver, sender),
    )
    for direction, source, target in legs:
        for host, names in ((source, SENDS), (target, RECEIVES)):
            found += (
                Hop(direction, host, name, looks[host].counts.get(f"{direction}-{name}"))
                for name in names
                if outer(net) or HOPS[name][0] == "inner"
            )
        if direction == "there":
            found.append(Hop(direction, receiver, "received", received))
    return tuple(found)
