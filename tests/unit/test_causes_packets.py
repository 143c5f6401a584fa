"""Causes that drop or change packets on their way, each judged from facts and counted hops."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from fedwiz.diagnose import Case, Diagnosis, causes
from fedwiz.diagnose.trace import RECEIVES, SENDS, outer
from fedwiz.diagnose.values import Direction, Dropped, Hop, Look, NftDrop
from fedwiz.facts import ClusterFacts
from fedwiz.facts.values import Fdb, Firewall
from fedwiz.verify.values import Overlay, Pod, Up
from tests.support.sample_cluster import (
    ADDRESSES,
    ANSWERS,
    DONE,
    FILTER,
    MACS,
    NODES,
    SUBNETS,
    on,
)

ONE, TWO = "fed-node1", "fed-node2"
NET = IPv4Network("10.16.0.0/16")
VXLAN = Overlay(NET, "vxlan", "flannel.1")
PODS = {name: IPv4Address(f"{SUBNETS[name]}.2") for name in NODES}
ACCEPT = f"-s {NET} -d {NET} -m comment --comment fedwiz -j ACCEPT"
OPEN = "-p udp --dport 8472 -m comment --comment fedwiz -j ACCEPT"
DOCKER28 = (
    *FILTER[:4],
    "-N DOCKER-USER",
    "-A FORWARD -j DOCKER-USER",
    "-A FORWARD -j DOCKER",
    "-A DOCKER ! -i docker0 -o docker0 -j DROP",
)


def hops_until(lost: str, net: Overlay = VXLAN) -> tuple[Hop, ...]:
    """Three packets until a hop, `there-forwarding-in`, and none from there on; empty: all."""
    count, found = 3, []
    legs: tuple[tuple[Direction, str, str], ...] = (("there", ONE, TWO), ("back", TWO, ONE))
    for leg, sender, receiver in legs:
        for name in (*SENDS, *RECEIVES, *(["received"] if leg == "there" else [])):
            if name in ("wrapping", "sending", "arriving", "firewall") and not outer(net):
                continue
            count = 0 if f"{leg}-{name}" == lost else count
            found.append(Hop(leg, sender if name in SENDS else receiver, name, count))
    return tuple(found)


def case(
    lost: str = "",
    known: ClusterFacts = DONE,
    looks: dict[str, Look] | None = None,
    net: Overlay = VXLAN,
) -> Case:
    """Two nodes as the procedure leaves them, and where their ping is lost."""
    ups = {name: Up(pod=Pod(7, "net:[1]", PODS[name], 1450)) for name in (ONE, TWO)}
    looks = looks or {}
    return Case(
        ANSWERS,
        known,
        net,
        ONE,
        TWO,
        ups,
        looks,
        hops_until(lost, net),
        3,
        0 if lost else 3,
        str(PODS[ONE]),
    )


def dropping(host: str, *rules: tuple[str, str], packets: int = 3) -> dict[str, Look]:
    """A node on which rules dropped packets meanwhile, each `table, rule`."""
    return {host: Look(dropped=tuple(Dropped(table, rule, packets) for table, rule in rules))}


def ruled(host: str, table: str, *rules: str) -> ClusterFacts:
    """A node with these rules in a table, besides what the procedure leaves."""
    have = DONE.hosts[host].rules
    return on(host, DONE, rules={**have, table: (*have.get(table, ()), *rules)})


def first(case: Case) -> tuple[str, str, list[str]]:
    """Cause and host of the first diagnosis, and its mends as people read them."""
    found = causes(case)
    assert found
    for mend in found[0].fixes:
        assert getattr(mend.do, "back", None) is not None
    return found[0].cause, found[0].host, [mend.do.brief for mend in found[0].fixes]


POLICY = ("filter", "-P FORWARD DROP")
REJECT = f"-A FORWARD -s {NET} -j REJECT --reject-with icmp-port-unreachable"
RAW = f"-A PREROUTING -d {PODS[TWO]}/32 ! -i docker0 -j DROP"
DOCKER = "-A DOCKER ! -i docker0 -o docker0 -j DROP"
SHUT = "-A INPUT -p udp -m udp --dport 8472 -j DROP"
MINE = NftDrop("inet", "mine", "in", "input", "udp dport { 4789, 8472 } drop", 4)
FILTERS: dict[str, tuple[Case, str, list[str]]] = {
    "FORWARD's policy": (
        case("there-forwarding-in", looks=dropping(TWO, POLICY)),
        "forward-policy",
        [f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "FORWARD's policy, no docker": (
        case(
            "there-forwarding-in",
            on(TWO, DONE, rules={"filter": ("-P FORWARD DROP",)}),
            dropping(TWO, POLICY),
        ),
        "forward-policy",
        [f"iptables -w -I FORWARD {ACCEPT}"],
    ),
    "REJECT before all": (
        case(
            "there-forwarding-in",
            on(TWO, DONE, rules={"filter": (*FILTER[:5], REJECT, *FILTER[5:])}),
            dropping(TWO, ("filter", REJECT)),
        ),
        "forward-rule",
        [f"iptables -w -I FORWARD {ACCEPT}"],
    ),
    "REJECT after DOCKER-USER": (
        case(
            "there-forwarding-in", ruled(TWO, "filter", REJECT), dropping(TWO, ("filter", REJECT))
        ),
        "forward-rule",
        [f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "DROP in a chain that FORWARD jumps to": (
        case(
            "there-forwarding-in",
            ruled(TWO, "filter", "-A FORWARD -i flannel.1 -j mine", "-A mine -j DROP"),
            dropping(TWO, ("filter", "-A mine -j DROP")),
        ),
        "forward-rule",
        [f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "DROP in table mangle": (
        case(
            "there-forwarding-in", looks=dropping(TWO, ("mangle", "-A FORWARD -o docker0 -j DROP"))
        ),
        "forward-rule",
        [f"iptables -w -t mangle -I FORWARD {ACCEPT}"],
    ),
    "DROP on its way into flannel's device": (
        case(
            "there-wrapping", looks=dropping(ONE, ("mangle", "-A POSTROUTING -o flannel.1 -j DROP"))
        ),
        "forward-rule",
        [f"iptables -w -t mangle -I POSTROUTING {ACCEPT}"],
    ),
    "on the sender": (
        case(
            "there-forwarding",
            ruled(ONE, "filter", "-A FORWARD -j DROP"),
            dropping(ONE, ("filter", "-A FORWARD -j DROP")),
        ),
        "forward-rule",
        [f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "the answer": (
        case(
            "back-forwarding-in",
            ruled(ONE, "filter", "-A FORWARD -j DROP"),
            dropping(ONE, ("filter", "-A FORWARD -j DROP")),
        ),
        "forward-rule",
        [f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "DROP in DOCKER-USER": (
        case(
            "there-forwarding-in",
            ruled(TWO, "filter", "-A DOCKER-USER -i flannel.1 -j DROP"),
            dropping(TWO, ("filter", "-A DOCKER-USER -i flannel.1 -j DROP")),
        ),
        "docker-user",
        [f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "docker's rule for each container": (
        case("there-raw-in", looks=dropping(TWO, ("raw", RAW))),
        "docker-direct-routing",
        [f"iptables -w -t raw -I PREROUTING {ACCEPT}"],
    ),
    "both of docker's": (
        case(
            "there-raw-in", on(TWO, DONE, rules={"filter": DOCKER28}), dropping(TWO, ("raw", RAW))
        ),
        "docker-direct-routing",
        [f"iptables -w -t raw -I PREROUTING {ACCEPT}", f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "both of docker's, one of them accepted": (
        case(
            "there-raw-in",
            on(TWO, DONE, rules={"filter": (*DOCKER28, f"-A DOCKER-USER {ACCEPT}")}),
            dropping(TWO, ("raw", RAW)),
        ),
        "docker-direct-routing",
        [f"iptables -w -t raw -I PREROUTING {ACCEPT}"],
    ),
    "docker's in its chain": (
        case(
            "there-forwarding-in",
            on(TWO, DONE, rules={"filter": DOCKER28}),
            dropping(TWO, ("filter", DOCKER)),
        ),
        "docker-direct-routing",
        [f"iptables -w -I DOCKER-USER {ACCEPT}"],
    ),
    "nftables' own, passing on": (
        case(
            "there-forwarding-in",
            looks={TWO: Look(nft=(replace(MINE, hook="forward", rule="reject"),))},
        ),
        "forward-rule",
        [f"sh nft-accept.sh on inet mine in ip saddr {NET} ip daddr {NET}"],
    ),
    "firewalld does not pass it on": (
        case(
            "there-forwarding-in",
            on(
                TWO,
                DONE,
                firewall=Firewall("public", frozenset({"8472/udp"}), frozenset({"8472/udp"})),
            ),
        ),
        "forward-rule",
        [
            f"firewall-cmd --zone=trusted --add-source={NET}",
            f"firewall-cmd --permanent --zone=trusted --add-source={NET}",
        ],
    ),
    "port shut by iptables": (
        case("there-firewall", ruled(TWO, "filter", SHUT), dropping(TWO, ("filter", SHUT))),
        "port-closed",
        [f"iptables -w -I INPUT {OPEN}"],
    ),
    "port shut by INPUT's policy": (
        case("there-firewall", looks=dropping(TWO, ("filter", "-P INPUT DROP"))),
        "port-closed",
        [f"iptables -w -I INPUT {OPEN}"],
    ),
    "port shut in table raw": (
        case(
            "there-firewall",
            looks=dropping(TWO, ("raw", "-A PREROUTING -p udp -m udp --dport 8472 -j DROP")),
        ),
        "port-closed",
        [f"iptables -w -t raw -I PREROUTING {OPEN}"],
    ),
    "port shut on its way out": (
        case("there-sending", looks=dropping(ONE, ("filter", "-A OUTPUT -o eth0 -j REJECT"))),
        "port-closed",
        [f"iptables -w -I OUTPUT {OPEN}"],
    ),
    "dropped after routing, on its way out": (
        case("there-arriving", looks=dropping(ONE, ("mangle", "-A POSTROUTING -p udp -j DROP"))),
        "port-closed",
        [f"iptables -w -t mangle -I POSTROUTING {OPEN}"],
    ),
    "IP in IP": (
        case(
            "there-firewall",
            net=Overlay(NET, "ipip", "flannel.ipip"),
            looks=dropping(TWO, ("filter", "-A INPUT -p ipencap -j DROP")),
        ),
        "port-closed",
        ["iptables -w -I INPUT -p 4 -m comment --comment fedwiz -j ACCEPT"],
    ),
    "port shut by firewalld": (
        case("there-firewall", on(TWO, DONE, firewall=Firewall("public", frozenset({"22/tcp"})))),
        "port-closed",
        [
            "firewall-cmd --zone=public --add-port=8472/udp",
            "firewall-cmd --permanent --zone=public --add-port=8472/udp",
            f"firewall-cmd --zone=trusted --add-source={NET}",
            f"firewall-cmd --permanent --zone=trusted --add-source={NET}",
        ],
    ),
    "port shut by firewalld until it reloads": (
        case(
            "there-firewall",
            on(
                TWO,
                DONE,
                firewall=Firewall(
                    "public",
                    frozenset(),
                    frozenset({"8472/udp"}),
                    frozenset({str(NET)}),
                    frozenset({str(NET)}),
                ),
            ),
        ),
        "port-closed",
        ["firewall-cmd --zone=public --add-port=8472/udp"],
    ),
    "port shut by nftables": (
        case("there-firewall", looks={TWO: Look(nft=(MINE,))}),
        "port-closed",
        ["sh nft-accept.sh on inet mine in udp dport 8472"],
    ),
    "port shut by a policy of nftables'": (
        case(
            "there-firewall",
            looks={TWO: Look(nft=(replace(MINE, chain="all", rule="policy drop", handle=0),))},
        ),
        "port-closed",
        ["sh nft-accept.sh on inet mine all udp dport 8472"],
    ),
    "port shut by one of two rules of nftables'": (
        case(
            "there-firewall",
            looks={
                TWO: Look(
                    nft=(
                        replace(MINE, chain="all", rule="policy drop", handle=0),
                        replace(MINE, chain="some", rule="ip saddr @bad drop"),
                        replace(
                            MINE, chain="far", rule="ip saddr 192.0.2.0/24 udp dport 8472 drop"
                        ),
                        replace(MINE, chain="not", rule=f"ip daddr != {ADDRESSES[TWO]} drop"),
                        MINE,
                    )
                )
            },
        ),
        "port-closed",
        ["sh nft-accept.sh on inet mine in udp dport 8472"],
    ),
    "dropped before it arrives": (
        case(
            "there-arriving",
            looks={
                TWO: Look(
                    nft=(NftDrop("netdev", "mine", "in", "ingress", "udp dport 8000-9000 drop", 3),)
                )
            },
        ),
        "port-closed",
        ["sh nft-accept.sh on netdev mine in udp dport 8472"],
    ),
    "names that are no names of nftables'": (
        case("there-firewall", looks={TWO: Look(nft=(replace(MINE, table="a;flush"),))}),
        "port-closed",
        [],
    ),
}


@pytest.mark.parametrize(("case", "cause", "mends"), FILTERS.values(), ids=FILTERS)
def test_what_drops_is_named_and_let_pass(case: Case, cause: str, mends: list[str]) -> None:
    assert case.lost is not None
    [asked] = causes(case)
    # What leaves a node and does not arrive may have been dropped as it left.
    assert asked.host in (case.lost.host, ONE)
    assert first(case) == (cause, asked.host, mends)
    assert asked.explains
    if mends and "sh " not in mends[0]:
        assert mends[0] in asked.remedy


def names(found: Iterable[Diagnosis]) -> list[str]:
    return [it.cause for it in found]


LESS = ("filter", SHUT)
TCP = "-A INPUT -p tcp -m tcp --dport 8472 -j DROP"
OTHERS = (
    replace(MINE, hook="output"),
    replace(MINE, table="firewalld"),
    replace(MINE, family="ip6"),
    *(
        replace(MINE, rule=f"{rule} drop")
        for rule in ("ct state invalid", "tcp dport 8472", "udp dport 8473", "udp dport != 8472")
    ),
)
NOT: dict[str, Case] = {
    "a rule that moved for others": case("there-firewall", looks=dropping(TWO, ("filter", TCP))),
    "a rule for another port": case(
        "there-firewall",
        looks=dropping(TWO, ("filter", "-A INPUT -p udp -m udp --dport 8473:9000 -j DROP")),
    ),
    "a rule for all others": case(
        "there-firewall",
        looks=dropping(TWO, ("filter", f"-A INPUT ! -s {ADDRESSES[ONE]}/32 -j DROP")),
    ),
    "a rule for another source": case(
        "there-forwarding-in",
        looks=dropping(TWO, ("filter", "-A FORWARD -s 192.168.0.0/24 -j DROP")),
    ),
    "a rule that dropped less": case("there-firewall", looks=dropping(TWO, LESS, packets=2)),
    "a rule elsewhere": case("there-firewall", looks=dropping(TWO, ("filter", REJECT))),
    "a chain that nothing jumps to": case(
        "there-forwarding-in",
        ruled(TWO, "filter", "-A mine -j DROP"),
        dropping(TWO, ("filter", "-A mine -j DROP")),
    ),
    "the other node's rule": case("there-firewall", looks=dropping(ONE, ("filter", SHUT))),
    **{
        f"{it.family} {it.table} {it.hook}: {it.rule}": case(
            "there-firewall", looks={TWO: Look(nft=(it,))}
        )
        for it in OTHERS
    },
    "firewalld passes it on": case(
        "there-forwarding-in",
        on(TWO, DONE, firewall=Firewall("public", trusted=frozenset({str(NET)}))),
    ),
    "firewalld lets it in": case(
        "there-firewall",
        on(TWO, DONE, firewall=Firewall("public", frozenset({"8472/udp"}))),
    ),
    "dropped, but elsewhere": case("there-unwrapping", looks=dropping(TWO, LESS, POLICY)),
    "nothing was counted": replace(case("there-firewall"), hops=()),
    "strict, and nothing refused": case(
        "there-routing-in", looks={TWO: Look(rp_filter={"flannel/1": 1})}
    ),
    "strict, and less was refused than is lost": case(
        "there-routing-in",
        looks={TWO: Look(rp_filter={"all": 1}, moved={"TcpExtIPReversePathFilter": 2})},
    ),
    "refused, and not strict": case(
        "there-routing-in",
        looks={
            TWO: Look(rp_filter={"all": 1, "flannel/1": 2}, moved={"TcpExtIPReversePathFilter": 3})
        },
    ),
}


@pytest.mark.parametrize("case", NOT.values(), ids=NOT)
def test_no_cause_is_made_up(case: Case) -> None:
    assert names(causes(case)) == ["unknown"]


BOTH = {**dropping(TWO, POLICY, ("filter", SHUT), ("raw", RAW)), **dropping(ONE, POLICY)}


def test_nothing_is_wrong_where_pings_come_back() -> None:
    looks = {name: replace(it, nft=(MINE,), rp_filter={"all": 1}) for name, it in BOTH.items()}
    shut = on(TWO, DONE, firewall=Firewall("public"))
    assert causes(case("", shut, looks)) == ()


def test_strict_reverse_path_filter_is_loosened_for_the_device_alone() -> None:
    moved = {"TcpExtIPReversePathFilter": 3}
    strict = {TWO: Look(rp_filter={"all": 1, "flannel/1": 0}, moved=moved)}
    name = "net.ipv4.conf.flannel/1.rp_filter"
    ill = case("there-routing-in", looks=strict)
    assert first(ill) == ("rp-filter", TWO, [f"sysctl -w {name}=2"])
    [mend] = causes(ill)[0].fixes
    assert getattr(mend.do, "undo", "") == f"sysctl -w {name}=0"
    beside = {TWO: replace(strict[TWO], nft=(replace(MINE, hook="prerouting", rule="drop"),))}
    assert first(case("there-routing-in", looks=beside))[0] == "rp-filter"
    counted = {TWO: replace(strict[TWO], dropped=(Dropped("mangle", "-A PREROUTING -j DROP", 3),))}
    assert names(causes(case("there-routing-in", looks=counted))) == ["forward-rule"]
    wrapped = {TWO: Look(rp_filter={"all": 0, "eth0": 1}, moved=moved)}
    assert first(case("there-firewall", looks=wrapped))[2] == [
        "sysctl -w net.ipv4.conf.eth0.rp_filter=2"
    ]


FDB = (Fdb(MACS[TWO], ADDRESSES[TWO], "flannel.1"),)
WRONG = (Fdb(MACS[TWO], "192.168.122.9", "flannel.1"),)
BETWEEN: dict[str, tuple[ClusterFacts, Overlay, str]] = {
    "the FDB is right": (on(ONE, DONE, fdb=FDB), VXLAN, "lost-between"),
    "the FDB was not read, and its addresses are": (DONE, VXLAN, "lost-between"),
    "the FDB is wrong": (on(ONE, DONE, fdb=WRONG), VXLAN, "unknown"),
    "the FDB is empty": (on(ONE, DONE, fdb=()), VXLAN, "unknown"),
    "no entry leads there": (on(ONE, DONE, vteps=frozenset()), VXLAN, "unknown"),
    "another backend": (
        on(ONE, DONE, vteps=frozenset()),
        Overlay(NET, "udp", "flannel0"),
        "lost-between",
    ),
}


@pytest.mark.parametrize(("known", "net", "cause"), BETWEEN.values(), ids=BETWEEN)
def test_the_network_is_blamed_only_where_the_address_is_right(
    known: ClusterFacts, net: Overlay, cause: str
) -> None:
    found = causes(case("there-arriving", known, net=net))
    assert names(found) == [cause]
    if cause == "lost-between":
        port = "8285/udp" if net.backend == "udp" else "8472/udp"
        assert (found[0].host, found[0].fixes) == (TWO, ())
        assert f"{port} from {ONE} to {TWO}" in found[0].why
        assert "ask who runs the network" in found[0].remedy


def test_another_address_is_not_the_network_s_fault() -> None:
    links = tuple(
        replace(link, addresses=("192.168.122.9/24",)) if link.name == "eth0" else link
        for link in DONE.hosts[TWO].links
    )
    assert names(causes(case("there-arriving", on(TWO, DONE, links=links)))) == ["unknown"]


MASQUERADE = "-A POSTROUTING -s 10.16.29.0/24 ! -o docker0 -j MASQUERADE"
HAIRPIN = "-A POSTROUTING -s 10.16.29.2/32 -d 10.16.29.2/32 -p tcp --dport 80 -j MASQUERADE"
NATS = {
    "the sender's flannel": ("10.16.29.0", ONE),
    "the sender's own address": (ADDRESSES[ONE], ONE),
    "the receiver's docker0": ("10.16.83.1", TWO),
}


@pytest.mark.parametrize(("seen", "host"), NATS.values(), ids=NATS)
def test_another_address_seen_is_a_warning(seen: str, host: str) -> None:
    known = on(host, DONE, rules={"nat": (HAIRPIN, MASQUERADE)})
    [found] = causes(replace(case("", known), seen_as=seen))
    assert (found.cause, found.host, found.explains) == ("nat", host, False)
    [mend] = found.fixes
    assert mend.do.brief == f"iptables -w -t nat -I POSTROUTING {ACCEPT}"
    assert found.seen == f"{TWO} saw {seen}, not 10.16.29.2\n{host} has `{MASQUERADE}`"
    assert "where it comes from" in found.remedy
    off = on(
        host, known, subnet_env={**(DONE.hosts[host].subnet_env or {}), "FLANNEL_IPMASQ": "false"}
    )
    [found] = causes(replace(case("", off), seen_as=seen))
    assert "-ip-masq" in found.remedy
