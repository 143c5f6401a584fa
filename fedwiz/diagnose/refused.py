"""Find the iptables rule that refuses a new TCP connection; only certain matches count."""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

MAX_DEPTH = 8


def refusing(rules: Sequence[str], chain: str, source: str, target: str, port: int) -> str:
    """The rule that drops or rejects the connection; empty: none certainly does.

    A rule with an unknown match is skipped, as if it did not match.

    Args:
        rules: as `iptables -S` prints them.
        chain: INPUT or OUTPUT.
        source: its address; empty: ignored.
        target: its address; empty: ignored.
        port: the destination port.
    """
    decision = _walk(rules, chain, (source, target, str(port)), 0)
    if decision:
        return "" if decision.endswith("-j ACCEPT") else decision
    policy = f"-P {chain} DROP"
    return policy if policy in rules else ""


def _walk(rules: Sequence[str], chain: str, packet: tuple[str, str, str], depth: int) -> str:
    """The rule that decides; empty: the chain ends, or returns."""
    for rule in rules:
        words = rule.split()
        if words[:2] != ["-A", chain] or "-j" not in words[:-1] or not _matches(words[2:], packet):
            continue
        target = words[words.index("-j") + 1]
        if target == "RETURN":
            return ""
        if target in ("ACCEPT", "DROP", "REJECT"):
            return rule if target != "ACCEPT" else f"{rule.partition(' -j ')[0]} -j ACCEPT"
        if depth < MAX_DEPTH and (found := _walk(rules, target, packet, depth + 1)):
            return found
    return ""


def _matches(words: list[str], packet: tuple[str, str, str]) -> bool:
    """Whether all matches of a rule are known here and apply."""
    source, target, port = packet
    text = re.sub(r'--comment ("[^"]*"|\S+) ?', "", " ".join(words[: words.index("-j")]))
    match_words = text.split()
    matchers: Mapping[str, Callable[[str], bool]] = {
        "-s": lambda value: _within(source, value),
        "-d": lambda value: _within(target, value),
        "-p": lambda value: value == "tcp",
        "-m": lambda value: value in ("tcp", "comment", "multiport"),
        "--dport": lambda value: _in_range(port, value),
        "--dports": lambda value: any(_in_range(port, each) for each in value.split(",")),
    }
    pairs = zip(match_words[::2], match_words[1::2], strict=False)
    return len(match_words) % 2 == 0 and all(
        word in matchers and matchers[word](value) for word, value in pairs
    )


def _in_range(port: str, text: str) -> bool:
    first, _, last = text.partition(":")
    if not re.fullmatch(r"\d{1,5}", first) or not re.fullmatch(r"\d{1,5}", last or first):
        return False
    return int(first) <= int(port) <= int(last or first)


def _within(address: str, network: str) -> bool:
    try:
        return IPv4Address(address) in IPv4Network(network, strict=False)
    except ValueError:
        return False
