"""Where a ping's packets are counted on their way, and what a node says that counted them.

Rules without a target count, in chains that other rules come before or after: `raw` is asked
first of all, `mangle` before `filter`, and `security` after it.  So a packet that one counts
and the next does not was dropped in between, whoever dropped it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from fedwiz.diagnose.values import Dropped, Hop, Look, NftDrop, Way
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
"""Whose packets (`inner`: the ping itself; `outer`: what it is wrapped in), table and chain, by
the hop's name, in the order of the way: the first six on the node that sends, the rest on the
one that receives.  Each is passed by what came through all before it."""

SENDS, RECEIVES = tuple(HOPS)[:6], tuple(HOPS)[6:]


@dataclass(frozen=True, slots=True)
class End:
    """One of the two nodes."""

    host: str
    pod: IPv4Address
    """Of the container there."""

    published: str
    """The address that flannel sends to."""


def outer(net: Overlay) -> tuple[str, ...]:
    """What a wrapped packet is known by, but for its addresses; empty: it is not wrapped."""
    backend = BACKENDS.get(net.backend)
    if backend is None or not backend.overhead:
        return ()
    port, _, protocol = next(iter(backend.ports(net.options)), "4").partition("/")
    return ("-p", protocol, "--dport", port) if protocol else ("-p", port)


def rules(net: Overlay, here: End, peer: End, way: Way) -> Iterator[tuple[str, str, str]]:
    """Table, chain and match of each hop on a node, each named `WAY-HOP`.

    Args:
        net: the network.
        here: the node that counts.
        peer: the other one.
        way: what `here` does with a ping: `there` it sends it, and gets its answer `back`.
    """
    wrapped, kind = outer(net), ("8", "0")
    answer: Way = "back" if way == "there" else "there"
    for hops, direction in ((SENDS, way), (RECEIVES, answer)):
        icmp = f"-p icmp --icmp-type {kind[direction == 'back']}"
        for name in hops:
            whose, table, chain = HOPS[name]
            if whose == "outer":
                if not wrapped:
                    continue
                side = "-d" if hops is SENDS else "-s"
                match = f"{side} {IPv4Address(peer.published)} {' '.join(wrapped)}"
            else:
                # Only one's own address: the other's may be another one by now (NAT).
                match = f"{'-s' if hops is SENDS else '-d'} {here.pod} {icmp}"
            yield table, chain, f"{match} -m comment --comment {{}}:{direction}-{name}"


def on(name: str, net: Overlay, here: End, peer: End, way: Way) -> Run:
    """Begin to count, and tell how the node looks."""
    lines: dict[str, list[str]] = {"raw": [], "mangle": [], "security": []}
    for table, chain, match in rules(net, here, peer, way):
        lines[table].append(f"-I {chain} {match.format(name)}")
    tables = ("\n".join(said) for said in lines.values())
    return question("trace", "on", name, str(POD_SECONDS), *tables, timeout=40)


def look(name: str) -> Run:
    """Tell how a node looks, where there is nothing to count."""
    return question("trace", "on", name, str(POD_SECONDS), "", "", "", timeout=40)


def off(name: str) -> Run:
    """Tell what was counted, and take the rules away."""
    return question("trace", "off", name, timeout=40)


def read(before: str, after: str, name: str) -> Look:
    """What a node said to `on` and to `off`.

    Source: `iptables-save -c`; /proc/net/snmp and /proc/net/netstat (pairs of lines, names and
    then values); `systemctl show`; `nft -a list ruleset`.

    Raises:
        ValueError: one of them is cut off, or none.
    """
    first, last = parts_of(before), parts_of(after)
    stats = _stats(first.get("stats", "")), _stats(last.get("stats", ""))
    shown = [line.partition("=") for line in first.get("flanneld", "").splitlines()]
    return Look(
        flanneld={key: sanitize(value) for key, _, value in shown if value},
        log=tuple(sanitize(line) for line in first.get("log", "").splitlines()),
        rp_filter=_rp_filter(first.get("sysctls", "")),
        policy=tuple(sanitize(line) for line in first.get("policy", "").splitlines()),
        routes=tuple(sanitize(line) for line in first.get("routes", "").splitlines()),
        nft=tuple(_nft(first.get("nft", ""))),
        counts=_counts(last.get("counts", ""), name),
        dropped=tuple(_dropped(_drops(first.get("rules", "")), _drops(last.get("rules", "")))),
        moved={
            key: now - stats[0].get(key, now)
            for key, now in stats[1].items()
            if now != stats[0].get(key, now)
        },
        error=sanitize(" ".join(first.get("error", "").split()))[:300],
    )


def _counts(said: str, name: str) -> dict[str, int]:
    rule = (
        rf"^\[(\d{{1,18}}):\d{{1,18}}\] .*--comment \"?{re.escape(name)}:((?:there|back)-[a-z-]+)"
    )
    return {hop: int(packets) for packets, hop in re.findall(rule, said, re.MULTILINE)}


def _drops(said: str) -> dict[tuple[str, str], int]:
    """Packets by table and rule, for rules that drop or refuse, and policies that do."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for line in said.splitlines():
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
        if (more := packets - before.get((table, rule), 0)) > 0:
            yield Dropped(table, rule, more)


def _stats(said: str) -> dict[str, int]:
    found: dict[str, int] = {}
    lines = said.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        words = values.split()[1:]
        for key, value in zip(names.split()[1:], words, strict=False):
            if re.fullmatch(r"-?\d{1,18}", value):
                found[f"{names.partition(':')[0]}{key}"] = int(value)
    return found


def _rp_filter(said: str) -> dict[str, int]:
    found = re.findall(r"^net\.ipv4\.conf\.(\S{1,30})\.rp_filter = ([012])$", said, re.MULTILINE)
    return {name: int(value) for name, value in found}


_IPTABLES = {"filter", "raw", "mangle", "nat", "security"}


def _nft(said: str) -> Iterator[NftDrop]:
    """Rules with `drop` or `reject`, and policies, in tables that are not iptables'."""
    family = table = chain = hook = ""
    for line in said.splitlines():
        if begins := re.match(r"table (\w+) (\S+) \{", line):
            family, table, chain, hook = begins[1], begins[2], "", ""
        elif family in ("ip", "ip6") and table in _IPTABLES:
            continue
        elif begins := re.match(r"\s+chain (\S+) \{", line):
            chain, hook = begins[1], ""
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
    """The whole way of a ping and its answer, with what was counted.

    Args:
        net: the network; where it does not wrap packets those hops are not there.
        sender: the node that pings.
        receiver: the node that answers.
        looks: what both counted.
        received: pings that the container saw; None: it is not known.
    """
    found: list[Hop] = []
    legs: Sequence[tuple[Way, str, str]] = (
        ("there", sender, receiver),
        ("back", receiver, sender),
    )
    for way, one, other in legs:
        for host, names in ((one, SENDS), (other, RECEIVES)):
            found += (
                Hop(way, host, name, looks[host].counts.get(f"{way}-{name}"))
                for name in names
                if outer(net) or HOPS[name][0] == "inner"
            )
        if way == "there":
            found.append(Hop(way, receiver, "received", received))
    return tuple(found)
