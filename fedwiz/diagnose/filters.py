"""Which rule of a host's firewall a lost packet ended at.

Rules of iptables' count what they match, so the one whose counter moved is known.  Those of
nftables' own tables mostly don't; where no counter has moved they are suspected, as firewalld is.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from fedwiz.diagnose.trace import HOPS, outer
from fedwiz.diagnose.values import Case, Hop, NftDrop
from fedwiz.verify.values import Overlay

HOOKS: Mapping[str, tuple[str, ...]] = {
    "raw": ("prerouting",),
    "routing": ("prerouting",),
    "forwarding": ("forward",),
    "wrapping": ("postrouting",),
    "sending": ("output",),
    "arriving": ("ingress", "prerouting"),
    "firewall": ("prerouting", "input"),
    "raw-in": ("prerouting",),
    "routing-in": ("prerouting",),
    "forwarding-in": ("forward",),
    "received": ("postrouting",),
}
"""By hop, netfilter's hooks that a packet passes after the hop before it, and up to this one."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What rules know a packet by."""

    whose: str
    """As in `HOPS`: `inner` or `outer`."""

    sources: tuple[IPv4Address, ...]
    """More than one where the source may have been changed on the way."""

    target: IPv4Address
    protocol: str
    """A name, or a number for a protocol that is in no need of one."""

    port: int = 0
    """Where it is sent to; 0: this protocol has none."""


@dataclass(frozen=True, slots=True)
class Dropper:
    """What a packet was dropped by."""

    host: str
    kind: str
    """`iptables`, `firewalld` or `nft`."""

    packet: Packet
    hook: str
    """Netfilter's, in lower case."""

    table: str = ""
    """For `nft` with its family: `inet mine`."""

    chain: str = ""
    rule: str = ""
    packets: int = 0
    """That the rule has dropped meanwhile; 0: it does not count."""

    @property
    def seen(self) -> str:
        """What says so."""
        if self.kind == "iptables":
            return f"{self.packets} dropped on {self.host} by `{self.rule}` (table {self.table})"
        if self.kind == "nft":
            place = f"table {self.table}, chain {self.chain}"
            return (
                f"`{self.rule}` in nftables' own {place}, on {self.host}; no rule of iptables' "
                "dropped them"
            )
        return self.rule


def dropper(case: Case) -> Dropper | None:
    """What the first packet that got lost was dropped by; None: no rule is known that did it."""
    lost = case.lost
    if lost is None:
        return None
    places = [(lost.host, hook) for hook in HOOKS.get(lost.name, ())]
    packet = packet_of(case, lost)
    if lost.name == "arriving" or (lost.name == "unwrapping" and not outer(case.net)):
        places.insert(0, (case.peer(lost.host), "postrouting"))
    if packet is None:
        return None
    for ask in (_counted, _firewalld, _suspected):
        for host, hook in places:
            for found in ask(case, host, hook, packet):
                return found
    return None


def came(case: Case, lost: Hop) -> int:
    """Packets that were counted last before they were lost; 0 where none could be counted."""
    before = case.hops[: case.hops.index(lost)]
    return next((hop.count for hop in reversed(before) if hop.count is not None), 0)


def packet_of(case: Case, lost: Hop) -> Packet | None:
    """The one that is lost, as it looks where that happens; None: addresses are not known."""
    one, other = case.ends if lost.way == "there" else case.ends[::-1]
    # What is dropped on its way out of a device of flannel's is not wrapped yet.
    whose = "inner" if lost.name == "wrapping" else HOPS.get(lost.name, ("inner",))[0]
    try:
        if whose == "outer":
            words = outer(case.net)
            port = int(words[-1]) if "--dport" in words else 0
            source = IPv4Address(case.published(one))
            return Packet(whose, (source,), IPv4Address(case.published(other)), words[1], port)
        pod, target = case.ups[one].pod, case.ups[other].pod
        if pod is None or target is None:
            return None
        guises = [pod.address, IPv4Address(case.published(one))]
        for link in case.facts(one).links:
            if link.name in ("docker0", case.net.device):
                guises += (IPv4Address(text.partition("/")[0]) for text in link.addresses)
        return Packet(whose, tuple(guises), target.address, "icmp")
    except (KeyError, ValueError):
        return None


def _counted(case: Case, host: str, hook: str, packet: Packet) -> Iterator[Dropper]:
    """Rules of iptables' whose counters moved by as much as is lost."""
    base, lost = hook.upper(), case.lost
    least = max(1, came(case, lost) if lost else 1)
    for it in case.look(host).dropped:
        chain = it.rule.split()[1]
        rules = case.facts(host).rules.get(it.table)
        asked = rules is None or chain in chains(rules, base)
        if asked and it.packets >= least and may_match(it.rule, packet):
            yield Dropper(host, "iptables", packet, hook, it.table, chain, it.rule, it.packets)


def chains(rules: Sequence[str], base: str) -> frozenset[str]:
    """A chain and all that it leads to, by the table's rules as `iptables -S` prints them."""
    leads: dict[str, list[str]] = {}
    for rule in rules:
        if way := re.match(r"-A (\S+) (?:.* )?-[jg] (\S+)", rule):
            leads.setdefault(way[1], []).append(way[2])
    found, todo = set[str](), [base]
    while todo:
        chain = todo.pop()
        if chain not in found:
            found.add(chain)
            todo += leads.get(chain, ())
    return frozenset(found)


def may_match(rule: str, packet: Packet) -> bool:
    """Whether a rule may have matched: by addresses, protocol and port alone."""
    try:
        words = shlex.split(rule)
    except ValueError:
        return True
    for at, (flag, value) in enumerate(pairwise(words)):
        if _fits(flag, value, packet) is (at > 0 and words[at - 1] == "!"):
            return False
    return True


def _fits(flag: str, value: str, packet: Packet) -> bool | None:
    """None: this says nothing of addresses, protocol and port, or nothing that is understood."""
    try:
        if flag == "-s":
            return any(it in IPv4Network(value) for it in packet.sources)
        if flag == "-d":
            return packet.target in IPv4Network(value)
    except ValueError:
        return None
    if flag == "-p":
        return value in (packet.protocol, "all", {"4": "ipencap"}.get(packet.protocol))
    if flag in ("--dport", "--dports"):
        return _ports(value.replace(":", "-"), packet.port)
    return None


def _ports(text: str, port: int) -> bool:
    """Whether `8472`, `8000-9000` or a list of such has this port."""
    pairs = re.findall(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    return any(int(low) <= port <= int(high or low) for low, high in pairs)


def _firewalld(case: Case, host: str, hook: str, packet: Packet) -> Iterator[Dropper]:
    """It runs, and does not know of what is dropped."""
    walls = case.facts(host).firewall
    if walls is None:
        return
    way = opening(case.net)
    if packet.whose == "outer" and hook == "input" and way and way[1] not in walls.ports:
        open_now = ", ".join(sorted(walls.ports)) or "nothing"
        said = f"zone {walls.zone} of firewalld's on {host} lets in {open_now}"
    elif (
        packet.whose == "inner" and hook == "forward" and str(case.net.network) not in walls.trusted
    ):
        sources = ", ".join(sorted(walls.trusted)) or "none"
        said = f"zone trusted of firewalld's on {host} has as sources: {sources}"
    else:
        return
    yield Dropper(host, "firewalld", packet, hook, rule=said)


def opening(net: Overlay) -> tuple[str, str] | None:
    """What lets the network's packets in, as `firewall-cmd` has it; None: they are not wrapped.

    Such as `port` and `8472/udp`, or `protocol` and a number.
    """
    words = outer(net)
    if "--dport" in words:
        return "port", f"{words[-1]}/{words[1]}"
    return ("protocol", words[1]) if words else None


def _suspected(case: Case, host: str, hook: str, packet: Packet) -> Iterator[Dropper]:
    """Rules of nftables' own, those first that name the port, and last the policies."""
    fit = [it for it in case.look(host).nft if it.hook in (hook, "") and _nft_fits(it, packet)]
    fit.sort(key=lambda it: (not it.hook, it.handle == 0, not _names(it, packet)))
    for it in fit:
        yield Dropper(host, "nft", packet, hook, f"{it.family} {it.table}", it.chain, it.rule)


def _names(it: NftDrop, packet: Packet) -> bool:
    return bool(packet.port) and str(packet.port) in re.findall(r"\d+", it.rule)


def _nft_fits(it: NftDrop, packet: Packet) -> bool:
    """Not where it is of other families, protocols, addresses, ports, or of broken connections."""
    if it.family not in ("ip", "inet", "netdev") or it.table == "firewalld":
        return False
    if re.search(r"\b(?:ip6|icmpv6|invalid)\b", it.rule):
        return False
    named = re.search(r"\b(tcp|udp|icmp) (?:[sd]port|type|flags)\b", it.rule)
    if named and named[1] != packet.protocol:
        return False
    for side, no, network in re.findall(r"\bip ([sd])addr (!= )?([\d./]+)", it.rule):
        if _fits(f"-{side}", network, packet) is bool(no):
            return False
    ports = re.search(r"\bdport (!= )?(\{[^}]*\}|[\d-]+)", it.rule)
    return not ports or _ports(ports[2], packet.port) is not bool(ports[1])
