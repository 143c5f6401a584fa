"""What a firewall's rules say: whether they are asked of a packet, and may match it."""

from ipaddress import IPv4Address

import pytest

from fedwiz.diagnose.filters import Packet, chains, may_match


def test_a_chain_leads_to_all_that_it_jumps_to() -> None:
    rules = ("-A FORWARD -j one", "-A one -i eth0 -g two", "-A two -j one", "-A three -j four")
    assert chains(rules, "FORWARD") >= {"FORWARD", "one", "two"}
    assert "four" not in chains(rules, "FORWARD")


PACKET = Packet("outer", (IPv4Address("10.0.0.1"),), IPv4Address("10.0.0.2"), "udp", 8472)
RULES = {
    "-A INPUT -j DROP": True,
    "-P INPUT DROP": True,
    "-A INPUT -s 10.0.0.0/8 -d 10.0.0.2/32 -j DROP": True,
    "-A INPUT ! -s 10.0.0.0/8 -j DROP": False,
    "-A INPUT ! -p tcp -j DROP": True,
    "-A INPUT -p udp -m multiport --dports 53,8000:9000 -j DROP": True,
    "-A INPUT -p udp -m multiport ! --dports 53,8472 -j DROP": False,
    "-A INPUT -d 10.0.0.3/32 -j DROP": False,
    '-A INPUT -m comment --comment "no -s here" -j DROP': True,
    '-A INPUT -m comment --comment "broken -j DROP': True,
}


@pytest.mark.parametrize(("rule", "fits"), RULES.items())
def test_a_rule_fits_a_packet_by_addresses_protocol_and_port(rule: str, fits: bool) -> None:
    assert may_match(rule, PACKET) is fits
