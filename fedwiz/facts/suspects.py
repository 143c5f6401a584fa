"""Which rule of a host's packet filter may be the one that keeps a packet from its way."""

import re
from collections.abc import Iterable

ICMP = r"-p icmp\b"


def udp(port: int) -> str:
    """What a rule about this UDP port has in it: none about another one."""
    return rf"-p udp\b(?!.*--dport (?!{port}\b))"


def suspect(rules: Iterable[str], chain: str, about: str) -> str:
    """The first rule that may refuse a packet; empty: none that one can tell.

    Args:
        rules: of the table `filter`, as `iptables -S` prints them.
        chain: `INPUT` or `OUTPUT`.
        about: `ICMP`, or `udp(PORT)`: a regular expression.
    """
    refuses = rf"-P {chain} DROP|-A {chain} (?:.*{about}.* )?-j (?:DROP|REJECT)\b.*"
    return next((rule for rule in rules if re.fullmatch(refuses, rule)), "")
