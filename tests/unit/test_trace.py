"""A ping followed hop by hop: what is counted where, and what is made of a node's answers."""

import base64
from ipaddress import IPv4Address, IPv4Network

import pytest

from fedwiz.diagnose.trace import End, hops, look, off, on, read, rules
from fedwiz.diagnose.unexplained import hop_counts
from fedwiz.diagnose.values import Case, Dropped, Look, NftDrop
from fedwiz.verify.values import Overlay
from tests.support.sample_cluster import ANSWERS, DONE

NET = IPv4Network("10.16.0.0/16")
VXLAN = Overlay(NET, "vxlan", "flannel.1")
ONE = End("fed-node1", IPv4Address("10.16.1.2"), "192.0.2.1")
TWO = End("fed-node2", IPv4Address("10.16.2.2"), "192.0.2.2")
NAME = "fedwiz-probe-0a1b2c3d"


def test_the_sender_counts_what_leaves_and_the_answer_that_comes_in() -> None:
    counted = {
        match.partition(":")[2]: (table, chain, match)
        for table, chain, match in rules(VXLAN, ONE, TWO, "there")
    }
    assert list(counted) == [
        "there-container",
        "there-raw",
        "there-routing",
        "there-forwarding",
        "there-wrapping",
        "there-sending",
        "back-arriving",
        "back-firewall",
        "back-unwrapping",
        "back-raw-in",
        "back-routing-in",
        "back-forwarding-in",
    ]
    assert counted["there-container"][:2] == ("raw", "PREROUTING")
    assert counted["there-container"][2].startswith("-s 10.16.1.2 -p icmp --icmp-type 8 ")
    assert counted["there-sending"][:2] == ("security", "OUTPUT")
    assert counted["there-sending"][2].startswith("-d 192.0.2.2 -p udp --dport 8472 ")
    assert counted["back-arriving"][2].startswith("-s 192.0.2.2 -p udp --dport 8472 ")
    assert counted["back-unwrapping"][2].startswith("-d 10.16.1.2 -p icmp --icmp-type 0 ")


WRAPS = {
    "vxlan": (VXLAN, "-p udp --dport 8472"),
    "vxlan on another port": (Overlay(NET, "vxlan", "flannel.1", {"port": 4789}), "--dport 4789"),
    "udp": (Overlay(NET, "udp", "flannel0"), "-p udp --dport 8285"),
    "ipip": (Overlay(NET, "ipip", "flannel.ipip"), "-p 4 "),
    "host-gw": (Overlay(NET, "host-gw", ""), ""),
    "a backend that nobody knows": (Overlay(NET, "odd", ""), ""),
}


@pytest.mark.parametrize(("net", "match"), WRAPS.values(), ids=WRAPS)
def test_what_wraps_packets_is_counted_too(net: Overlay, match: str) -> None:
    outer = [it for table, chain, it in rules(net, ONE, TWO, "there") if "192.0.2.2" in it]
    assert len(outer) == (4 if match else 0)
    assert all(match in it for it in outer)


def test_the_commands_carry_the_rules_as_words() -> None:
    begin = on(NAME, VXLAN, ONE, TWO, "there")
    assert begin.argv[3:7] == ("trace.sh", "on", NAME, "60")
    raw, mangle, security = begin.argv[7:]
    assert raw.splitlines()[0] == (
        f"-I PREROUTING -s 10.16.1.2 -p icmp --icmp-type 8 -m comment --comment {NAME}:"
        "there-container"
    )
    assert all(line.startswith("-I FORWARD") for line in mangle.splitlines() if "routing" in line)
    assert "OUTPUT" in security
    assert look(NAME).argv[7:] == ("", "", "")
    assert off(NAME).argv[3:] == ("trace.sh", "off", NAME)
    assert not begin.changes


def said(**parts: str) -> str:
    lines = [f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in parts.items()]
    return "\n".join([*lines, "end "]) + "\n"


RULES = """\
*filter
:INPUT ACCEPT [90:900]
:FORWARD DROP [{policy}:100]
[{rule}:84] -A FORWARD -s 10.16.0.0/16 -j REJECT --reject-with icmp-port-unreachable
[{rule}:84] -A FORWARD -s 10.16.0.0/16 -j REJECT --reject-with icmp-port-unreachable
*raw
[7:84] -A PREROUTING -d 10.16.1.2/32 ! -i docker0 -j DROP
"""
STATS = (
    "TcpExt: SyncookiesSent IPReversePathFilter Odd\nTcpExt: 0 {value} x\nUdp: InErrors\nUdp: 4\n"
)
NFT = """\
table ip filter { # handle 1
	chain INPUT { # handle 1
		type filter hook input priority filter; policy drop;
		udp dport 8472 drop # handle 9
table inet guard { # handle 2
	chain in { # handle 1
		type filter hook input priority filter; policy drop;
		udp dport 8472 counter packets 3 bytes 4 drop # handle 7
	chain helper { # handle 3
		reject with icmp type host-prohibited # handle 8
"""
BEFORE = said(
    rules=RULES.format(policy=1, rule=2),
    stats=STATS.format(value=5),
    flanneld="ActiveState=active\nSubState=running\nNRestarts=\n",
    log="I am\x1b[31m well\n\n",
    sysctls="net.ipv4.conf.all.rp_filter = 2\nnet.ipv4.conf.flannel.1.rp_filter = 1\n"
    "net.ipv4.conf.x.rp_filter = 7\n",
    policy="0:\tfrom all lookup local\n",
    routes="blackhole 10.16.3.0/24 \x1b[31mmetric 7\n",
    nft=NFT,
    error="no\nsecurity table",
)
COUNTS = f"""\
[3:252] -A PREROUTING -s 10.16.1.2/32 -p icmp -m icmp --icmp-type 8 -m comment --comment "{NAME}:there-container"
[0:0] -A FORWARD -s 10.16.1.2/32 -p icmp -m icmp --icmp-type 8 -m comment --comment "{NAME}:there-routing"
[9:9] -A FORWARD -m comment --comment "fedwiz-probe-ffffffff:there-raw"
"""  # noqa: E501 - iptables' lines
AFTER = said(counts=COUNTS, rules=RULES.format(policy=4, rule=2), stats=STATS.format(value=8))


def test_what_moved_meanwhile_is_told_and_nothing_else() -> None:
    found = read(BEFORE, AFTER, NAME)
    assert found.counts == {"there-container": 3, "there-routing": 0}
    assert found.dropped == (Dropped("filter", "-P FORWARD DROP", 3),)
    assert found.moved == {"TcpExtIPReversePathFilter": 3}
    assert found.flanneld == {"ActiveState": "active", "SubState": "running"}
    assert found.log == ("I am well", "")
    assert found.rp_filter == {"all": 2, "flannel.1": 1}
    assert found.routes == ("blackhole 10.16.3.0/24 metric 7",)
    assert found.error == "no security table"
    assert found.nft == (
        NftDrop("inet", "guard", "in", "input", "policy drop", 0),
        NftDrop("inet", "guard", "in", "input", "udp dport 8472 counter packets 3 bytes 4 drop", 7),
        NftDrop("inet", "guard", "helper", "", "reject with icmp type host-prohibited", 8),
    )


def test_rules_alike_are_counted_together() -> None:
    found = read(BEFORE, said(rules=RULES.format(policy=1, rule=4)), NAME)
    reject = "-A FORWARD -s 10.16.0.0/16 -j REJECT --reject-with icmp-port-unreachable"
    assert found.dropped == (Dropped("filter", reject, 4),)


WRONG = {
    "nothing": ("", AFTER),
    "cut off": (BEFORE.removesuffix("end \n"), AFTER),
    "cut off later": (BEFORE, AFTER[:40]),
    "not base64": ("rules %%%\nend \n", AFTER),
}


@pytest.mark.parametrize(("before", "after"), WRONG.values(), ids=WRONG)
def test_an_answer_that_is_none_is_refused(before: str, after: str) -> None:
    with pytest.raises(ValueError, match="not"):
        read(before, after, NAME)


def counted(**counts: int) -> Look:
    return Look(counts={key.replace("_", "-"): value for key, value in counts.items()})


def case(one: Look, two: Look, received: int | None = None, net: Overlay = VXLAN) -> Case:
    looks = {"fed-node1": one, "fed-node2": two}
    way_of = hops(net, "fed-node1", "fed-node2", looks, received)
    return Case(ANSWERS, DONE, net, "fed-node1", "fed-node2", looks=looks, hops=way_of, sent=3)


def test_the_way_is_whole_and_in_order() -> None:
    found = case(Look(), Look())
    assert len(found.hops) == 25
    assert [hop.host for hop in found.hops[5:7]] == ["fed-node1", "fed-node2"]
    assert found.hops[12].name == "received"
    assert found.lost is None
    assert len(case(Look(), Look(), net=Overlay(NET, "host-gw", "")).hops) == 17


def test_packets_are_lost_where_they_are_seen_no_more() -> None:
    sends = counted(there_container=3, there_raw=3, there_routing=3, there_sending=3)
    gets = counted(there_arriving=3, there_firewall=0, there_unwrapping=0)
    found = case(sends, gets)
    assert found.lost is not None
    assert (found.lost.host, found.lost.name) == ("fed-node2", "firewall")
    assert found.lost_at("firewall", host="fed-node2")
    assert not found.lost_at("firewall", host="fed-node1")
    assert "there fed-node2 firewall: 0" in hop_counts(found)
    assert "there fed-node1 forwarding: -" in hop_counts(found)


def test_an_answer_is_lost_on_its_way_back() -> None:
    sends = counted(there_container=3, back_arriving=0)
    found = case(sends, counted(there_arriving=3, back_sending=3), received=3)
    assert found.lost is not None
    assert (found.lost.direction, found.lost.host, found.lost.name) == (
        "back",
        "fed-node1",
        "arriving",
    )
