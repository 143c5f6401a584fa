"""Find the firewall rule of a host that dropped a lost packet.

iptables rules count their matches, so the one whose counter increased is known. Most native
nftables rules do not count; if no counter increased they are suspects, and so is firewalld.
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
"""By hop: netfilter's hooks that a packet passes between the hop before and this one."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The properties by which rules match a packet."""

    whose: str
    """As in `HOPS`: `inner` or `outer`."""

    sources: tuple[IPv4Address, ...]
    """More than one if the source may have been rewritten on the way."""

    target: IPv4Address
    protocol: str
    """A name, or the number of a protocol without ports."""

    port: int = 0
    """The destination port; 0: this protocol has none."""


@dataclass(frozen=True, slots=True)
class Dropper:
    """What dropped a packet."""

    host: str
    kind: str
    """`iptables`, `firewalld` or `nft`."""

    packet: Packet
    hook: str
    """Netfilter's, in lower case."""

    table: str = ""
    """For `nft` including the family: `inet mine`."""

    chain: str = ""
    rule: str = ""
    packets: int = 0
    """Packets that the rule dropped during the trace; 0: it does not count."""

    @property
    def seen(self) -> str:
        """The evidence."""
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
    """What dropped the first lost packet; None: no known rule did."""
    lost = case.lost
    if lost is None:
        return None
    places = [(lost.host, hook) for hook in HOOKS.get(lost.name, ())]
    packet = packet_of(case, lost)
    if lost.name == "arriving" or (lost.name == "unwrapping" and not outer(case.net)):
        places.insert(0, (case.peer(lost.host), "postrouting"))
    if packet is None:
        return None
    for find in (_counted, _firewalld, _suspected):
        for host, hook in places:
            for cause in find(case, host, hook, packet):
                return cause
    return None


def packets_before(case: Case, lost: Hop) -> int:
    """Packets counted at the last hop before the loss; 0 if none could be counted."""
    before = case.hops[: case.hops.index(lost)]
    return next((hop.count for hop in reversed(before) if hop.count is not None), 0)


def packet_of(case: Case, lost: Hop) -> Packet | None:
    """The lost packet as it looks at that point; None: addresses are unknown."""
    source_host, target_host = case.ends if lost.direction == "there" else case.ends[::-1]
    # A packet dropped on its way out of a flannel device is not encapsulated yet.
    whose = "inner" if lost.name == "wrapping" else HOPS.get(lost.name, ("inner",))[0]
    try:
        if whose == "outer":
            words = outer(case.net)
            port = int(words[-1]) if "--dport" in words else 0
            published_source = IPv4Address(case.published(source_host))
            return Packet(
                whose, (published_source,), IPv4Address(case.published(target_host)), words[1], port
            )
        pod, target = case.ups[source_host].pod, case.ups[target_host].pod
        if pod is None or target is None:
            return None
        sources = [pod.address, IPv4Address(case.published(source_host))]
        for link in case.facts(source_host).links:
            if link.name in ("docker0", case.net.device):
                sources += (IPv4Address(text.partition("/")[0]) for text in link.addresses)
        return Packet(whose, tuple(sources), target.address, "icmp")
    except (KeyError, ValueError):
        return None


def _counted(case: Case, host: str, hook: str, packet: Packet) -> Iterator[Dropper]:
    """Rules of iptables whose counters increased by at least as many packets as were lost."""
    base, lost = hook.upper(), case.lost
    lost_packets = max(1, packets_before(case, lost) if lost else 1)
    for it in case.look(host).dropped:
        chain = it.rule.split()[1]
        rules = case.facts(host).rules.get(it.table)
        in_use = rules is None or chain in chains(rules, base)
        if in_use and it.packets >= lost_packets and may_match(it.rule, packet):
            yield Dropper(host, "iptables", packet, hook, it.table, chain, it.rule, it.packets)


def chains(rules: Sequence[str], base: str) -> frozenset[str]:
    """A chain and all that it leads to, by the table's rules as `iptables -S` prints them."""
    targets: dict[str, list[str]] = {}
    for rule in rules:
        if jump := re.match(r"-A (\S+) (?:.* )?-[jg] (\S+)", rule):
            targets.setdefault(jump[1], []).append(jump[2])
    found, todo = set[str](), [base]
    while todo:
        chain = todo.pop()
        if chain not in found:
            found.add(chain)
            todo += targets.get(chain, ())
    return frozenset(found)


def may_match(rule: str, packet: Packet) -> bool:
    """Whether a rule may have matched, judging only by addresses, protocol and port."""
    try:
        words = shlex.split(rule)
    except ValueError:
        return True
    for at, (flag, value) in enumerate(pairwise(words)):
        if _fits(flag, value, packet) is (at > 0 and words[at - 1] == "!"):
            return False
    return True


def _fits(flag: str, value: str, packet: Packet) -> bool | None:
    """None: not about addresses, protocol or port, or not understood."""
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
    """Whether `8472`, `8000-9000` or a list of such includes this port."""
    pairs = re.findall(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    return any(int(low) <= port <= int(high or low) for low, high in pairs)


def _firewalld(case: Case, host: str, hook: str, packet: Packet) -> Iterator[Dropper]:
    """A running firewalld whose configuration does not allow what was dropped."""
    firewalld = case.facts(host).firewall
    if firewalld is None:
        return
    backend_opening = opening(case.net)
    if (
        packet.whose == "outer"
        and hook == "input"
        and backend_opening
        and backend_opening[1] not in firewalld.ports
    ):
        open_now = ", ".join(sorted(firewalld.ports)) or "nothing"
        text = f"zone {firewalld.zone} of firewalld's on {host} lets in {open_now}"
    elif (
        packet.whose == "inner"
        and hook == "forward"
        and str(case.net.network) not in firewalld.trusted
    ):
        sources = ", ".join(sorted(firewalld.trusted)) or "none"
        text = f"zone trusted of firewalld's on {host} has as sources: {sources}"
    else:
        return
    yield Dropper(host, "firewalld", packet, hook, rule=text)


def opening(net: Overlay) -> tuple[str, str] | None:
    """What admits the network's packets, for `firewall-cmd`; None: they are not encapsulated.

    For example `port` and `8472/udp`, or `protocol` and a number.
    """
    words = outer(net)
    if "--dport" in words:
        return "port", f"{words[-1]}/{words[1]}"
    return ("protocol", words[1]) if words else None


def _suspected(case: Case, host: str, hook: str, packet: Packet) -> Iterator[Dropper]:
    """Native nftables rules; those that name the port come first, policies last."""
    candidates = [
        it for it in case.look(host).nft if it.hook in (hook, "") and _nft_fits(it, packet)
    ]
    candidates.sort(key=lambda it: (not it.hook, it.handle == 0, not _names_port(it, packet)))
    for it in candidates:
        yield Dropper(host, "nft", packet, hook, f"{it.family} {it.table}", it.chain, it.rule)


def _names_port(it: NftDrop, packet: Packet) -> bool:
    return bool(packet.port) and str(packet.port) in re.findall(r"\d+", it.rule)


def _nft_fits(it: NftDrop, packet: Packet) -> bool:
    """False for other families, protocols, addresses or ports, and for invalid connections."""
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
