"""Find the rule of a host's packet filter that may drop a packet."""

import re
from collections.abc import Iterable

ICMP = r"-p icmp\b"


def udp(port: int) -> str:
    """A regular expression for rules that may match this UDP port: none for another port only."""
    return rf"-p udp\b(?!.*--dport (?!{port}\b))"


def suspect(rules: Iterable[str], chain: str, subject: str) -> str:
    """The first rule that may refuse a packet; empty if none can be identified.

    Args:
        rules: of the table `filter`, as `iptables -S` prints them.
        chain: `INPUT` or `OUTPUT`.
        subject: `ICMP`, or `udp(PORT)`: a regular expression.
    """
    refusal = rf"-P {chain} DROP|-A {chain} (?:.*{subject}.* )?-j (?:DROP|REJECT)\b.*"
    return next((rule for rule in rules if re.fullmatch(refusal, rule)), "")
