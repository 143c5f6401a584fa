"""What drops or changes packets, on real hosts: named, mended, and back again."""

import subprocess
from collections.abc import Iterator

import pytest

from fedwiz.answers.file import Answers
from tests.lab.fixture import Lab
from tests.lab.test_diagnose import FORWARDING
from tests.lab.test_verify import NETWORK, answers_for
from tests.support.diagnosis_faults import (
    WITH_IMAGE,
    Fault,
    cycle,
    diagnosed,
    injected,
    installed,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

NODE = "fed-node2"
ACCEPT = f"-s {NETWORK} -d {NETWORK} -m comment --comment fedwiz -j ACCEPT"
RULES = "iptables -S FORWARD; iptables -S DOCKER-USER"


def rule(cause: str, words: str, *said: str, shows: str) -> Fault:
    """One rule of iptables', `TABLE CHAIN MATCH`, is the first of its chain."""
    table, _, tail = words.partition(" ")
    insert, delete = (f"iptables -w -t {table} -{do} {tail}" for do in "ID")
    return Fault(cause, NODE, insert, delete, shows, said=said)


def nft(cause: str, hook: str, what: str, *said: str) -> Fault:
    """A table of somebody's own drops."""
    chain = f"chain inet mine it {{ type filter hook {hook} priority 0; }}"
    lines = f"add table inet mine; add {chain}; add rule inet mine it {what}"
    shows = "nft list table inet mine || true"
    return Fault(cause, NODE, f"nft '{lines}'", "nft delete table inet mine", shows, said=said)


# docker's own policy is DROP; the unit that lets the network through is stopped.
POLICY = Fault(
    "forward-policy",
    NODE,
    "systemctl stop fedwiz-forward",
    "systemctl start fedwiz-forward",
    "iptables -S DOCKER-USER",
    said=("policy of FORWARD on fed-node2 is DROP", f"-I DOCKER-USER {ACCEPT}", "-P FORWARD DROP"),
)


def asymmetric(lab: Lab) -> None:
    """What node 1's containers sent would be answered by eth0, and not by flannel.1."""
    route = f"default via {lab.address('fed-node1')} dev eth0 table 100"
    lab.ssh(NODE, f"ip rule add to {_subnet(lab)} table 100; ip route add {route}")
    lab.ssh(NODE, "sysctl -qw net.ipv4.conf.flannel/1.rp_filter=1")


def symmetric(lab: Lab) -> None:
    lab.ssh(NODE, f"ip rule del to {_subnet(lab)} table 100; ip route flush table 100")
    lab.ssh(NODE, "sysctl -qw net.ipv4.conf.flannel/1.rp_filter=0")


def _subnet(lab: Lab) -> str:
    """Node 1's."""
    said = lab.ssh("fed-node1", "sed -n 's/FLANNEL_SUBNET=//p' /run/flannel/subnet.env")
    return said.strip().replace(".1/", ".0/")


HIDE = f"POSTROUTING -s {NETWORK} ! -o docker0 -j MASQUERADE"
NAT = Fault(
    "nat",
    "fed-node1",
    f"iptables -w -t nat -I {HIDE}",
    f"iptables -w -t nat -D {HIDE}",
    "iptables -t nat -S POSTROUTING",
    healthy=("fed-node2", "fed-node3"),
    fails="",
    said=("in place of a container's own address", "-j MASQUERADE", f"-I POSTROUTING {ACCEPT}"),
)

CLASSIC = {
    "FORWARD's policy": POLICY,
    "REJECT before flannel's rules": rule(
        "forward-rule",
        f"filter FORWARD -s {NETWORK} -j REJECT",
        f"-I FORWARD {ACCEPT}",
        f"3 dropped on {NODE} by `-A FORWARD -s {NETWORK} -j REJECT",
        shows=RULES,
    ),
    "nftables refuses to pass it on": nft(
        "forward-rule",
        "forward",
        f"ip daddr {NETWORK} reject",
        "table inet mine, chain it",
        f"nft insert rule inet mine it ip saddr {NETWORK} ip daddr {NETWORK} accept",
    ),
    "iptables lets no port in": rule(
        "port-closed",
        "filter INPUT -p udp --dport 8472 -j DROP",
        "lets no 8472/udp in",
        "3 dropped",
        shows="iptables -S INPUT",
    ),
    "nftables lets no port out": nft(
        "port-closed",
        "output",
        "udp dport 8472 drop",
        "let no 8472/udp out",
        "nft insert rule inet mine it udp dport 8472 accept",
    ),
    "strict reverse path filter": Fault(
        "rp-filter",
        NODE,
        asymmetric,
        symmetric,
        "sysctl -n net.ipv4.conf.flannel/1.rp_filter",
        said=("strict reverse path filter", "flannel/1 = 1", "rp_filter=2"),
    ),
    "NAT": NAT,
}

RAW = "-t raw -I PREROUTING"
MODERN = {
    "a rule in DOCKER-USER": rule(
        "docker-user",
        "filter DOCKER-USER -i flannel.1 -j DROP",
        "3 dropped on fed-node2 by `-A DOCKER-USER -i flannel.1 -j DROP`",
        f"-I DOCKER-USER {ACCEPT}",
        shows=RULES,
    ),
    "docker's rule in its chain": Fault(
        "docker-direct-routing",
        NODE,
        "systemctl stop fedwiz-forward",
        "systemctl start fedwiz-forward",
        RULES,
        said=(
            "-A DOCKER ! -i docker0 -o docker0 -j DROP",
            f"-I DOCKER-USER {ACCEPT}",
            "fedwiz install",
        ),
    ),
    "docker's rule for each container": Fault(
        "docker-direct-routing",
        NODE,
        "mv /etc/docker/daemon.json /root; systemctl restart docker",
        "mv /root/daemon.json /etc/docker; systemctl restart docker",
        "ls /etc/docker; iptables -t raw -S PREROUTING",
        said=("! -i docker0 -j DROP` (table raw)", f"{RAW} {ACCEPT}", "allow-direct-routing"),
    ),
    "firewalld": Fault(
        "port-closed",
        NODE,
        "systemctl start firewalld",
        "systemctl stop firewalld",
        "for f in '' --permanent; do firewall-cmd $f --list-ports; "
        "firewall-cmd $f --zone=trusted --list-sources; done 2>&1 || true",
        said=(
            "firewalld on fed-node2 lets no 8472/udp in",
            "--add-port=8472/udp",
            f"--zone=trusted --add-source={NETWORK}",
            "--permanent",
        ),
    ),
    "nftables lets no port in": nft(
        "port-closed",
        "input",
        "udp dport { 8472, 9000 } drop",
        "let no 8472/udp in",
        "`udp dport { 8472, 9000 } drop`",
    ),
    "iptables lets no port out": rule(
        "port-closed",
        "mangle POSTROUTING -p udp --dport 8472 -j DROP",
        "lets no 8472/udp out",
        "3 dropped",
        shows="iptables -t mangle -S POSTROUTING",
    ),
}


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster that fedwiz has installed."""
    with installed(request.param, tmp_path_factory.mktemp("operator")) as cluster:
        yield cluster


@pytest.fixture
def answers(lab: Lab) -> Answers:
    return answers_for(lab, **WITH_IMAGE)


@pytest.mark.parametrize("lab", ["classic"], indirect=True)
@pytest.mark.parametrize("fault", CLASSIC.values(), ids=CLASSIC)
async def test_it_is_named_and_mended_on_classic(lab: Lab, answers: Answers, fault: Fault) -> None:
    await cycle(lab, answers, fault)


@pytest.mark.parametrize("lab", ["classic"], indirect=True)
@pytest.mark.parametrize("fault", [FORWARDING, POLICY], ids=["ip_forward", "policy"])
async def test_containers_are_red_though_docker0_pings_docker0(
    lab: Lab, answers: Answers, fault: Fault
) -> None:
    one, other = (_docker0(lab, node) for node in fault.pair)
    with injected(lab, fault):
        lab.ssh(fault.pair[0], f"ping -c 1 -W 2 -I {one} {other}")
        asked = await diagnosed(lab, answers, fault.pair, apply=False)
    red = {(it.kind, it.host, it.peer) for it in asked.verdicts() if it.level == "fail"}
    assert ("ping", *fault.pair) in red
    assert [it.cause for it in asked.diagnoses()] == [fault.cause]


def _docker0(lab: Lab, node: str) -> str:
    return lab.ssh(node, "ip -4 -br address show docker0").split()[2].partition("/")[0]


@pytest.mark.parametrize("lab", ["modern"], indirect=True)
@pytest.mark.parametrize("fault", MODERN.values(), ids=MODERN)
async def test_it_is_named_and_mended_on_modern(lab: Lab, answers: Answers, fault: Fault) -> None:
    await cycle(lab, answers, fault)


def _switch(lab: Lab, lines: str) -> None:
    """What is between the nodes drops, as a cloud's security group does."""
    subprocess.run(["ip", "netns", "exec", lab.state.switch, "nft", lines], check=True)


@pytest.mark.parametrize("lab", ["modern"], indirect=True)
async def test_what_gets_lost_between_two_nodes_is_for_others_to_mend(
    lab: Lab, answers: Answers
) -> None:
    chain = "chain bridge between it { type filter hook forward priority 0; }"
    drop = f"ip daddr {lab.address(NODE)} udp dport 8472 drop"
    _switch(lab, f"add table bridge between; add {chain}; add rule bridge between it {drop}")
    try:
        asked = await diagnosed(lab, answers, ("fed-node1", NODE), apply=True)
        other = await diagnosed(lab, answers, ("fed-node1", "fed-node3"), apply=False)
    finally:
        _switch(lab, "delete table bridge between")
    assert other.diagnoses() == []
    [found] = asked.diagnoses()
    assert (found.cause, found.host) == ("lost-between", NODE)
    assert "8472/udp from fed-node1 to fed-node2" in found.why
    assert "security groups" in found.remedy
    assert "not for fedwiz to fix" in asked.result.why
