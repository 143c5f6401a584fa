"""Verification on real hosts, where flannel was put by hand, as the published procedure has it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from fedwiz import etcd
from fedwiz.answers import file as forms
from fedwiz.answers.file import Answers
from fedwiz.engine.connections import Connections, connect_all, read_facts
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Reply, Run, Session
from fedwiz.model.events import Event
from fedwiz.ssh.transport import Ssh
from fedwiz.verify import Verdict, ok, pods, verify
from tests.lab.fixture import Lab, require_lab
from tests.support.host_snapshot import unchanged

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

NETWORK = "10.16.0.0/16"
CONFIG = f'{{"Network":"{NETWORK}","SubnetLen":24,"Backend":{{"Type":"vxlan","VNI":1}}}}'
PREFIX = "/coreos.com/network"
SYSCONFIG = (
    'FLANNEL_ETCD="http://fed-master:2379"\nFLANNEL_ETCD_KEY="/coreos.com/network"\n'
    'FLANNEL_ETCD_ENDPOINTS="http://fed-master:2379"\nFLANNEL_ETCD_PREFIX="/coreos.com/network"\n'
    'FLANNEL_OPTIONS="{options}"\n'
)
SWITCH = """
systemctl -q is-active docker.socket && systemctl stop docker.socket
systemctl stop docker; ip link delete docker0; systemctl start flanneld && systemctl start docker
"""
SUBNET = "sed -n 's/FLANNEL_SUBNET=//p' /run/flannel/subnet.env"
ACCEPT = f"-s {NETWORK} -d {NETWORK} -j ACCEPT"
# containerd writes its stacks to a file there when a busy machine keeps it from answering docker.
LEFT = """
docker ps -a --format '{{.Names}}'; docker image ls -q; ip netns list
ls /run/systemd/transient 2>/dev/null | grep fedwiz
ls -d /run/fedwiz* /tmp/* 2>/dev/null | grep -v -e systemd-private -e 'containerd.*stacks'
pgrep -af 'fedwiz-probe|sleep [0-9]' | grep -v pgrep
ip -br link | grep -e fwp -e veth
iptables-save | grep -e 'icmp-type 8'; true
"""

GONE = (
    "timeout 60 sh -c 'while ls /run/systemd/transient | grep -q fedwiz || "
    "pgrep -f [f]edwiz-probe; do sleep 0.2; done'"
)
"""Waits for what ends by itself, at a fraction of what it costs to ask docker."""


@dataclass
class Done:
    """One verification."""

    verdicts: tuple[Verdict, ...]
    asked: dict[str, int]
    """How often each node was asked something."""

    def of(self, kind: str, level: str) -> set[tuple[str, str]]:
        found = (it for it in self.verdicts if (it.kind, it.level) == (kind, level))
        return {(it.host, it.peer) for it in found}

    def pings(self, level: str) -> set[tuple[str, str]]:
        return self.of("ping", level)

    def why(self, host: str, peer: str = "") -> str:
        mine = (it for it in self.verdicts if (it.host, it.peer) == (host, peer))
        return "; ".join(it.why for it in mine if it.why)


@dataclass
class Counting:
    """A session that counts the questions."""

    session: Session
    asked: int = field(default=0, init=False)

    async def ask(self, run: Run) -> Reply:
        self.asked += 1
        return await self.session.ask(run)


def pairs_of(lab: Lab, *nodes: str) -> set[tuple[str, str]]:
    """All ordered pairs in which one of the nodes is."""
    return {
        (one, other)
        for one in lab.nodes
        for other in lab.nodes
        if one != other and {one, other} & set(nodes)
    }


def answers_for(lab: Lab, **more: object) -> Answers:
    hosts = [
        {"name": name, "address": lab.address(name), "role": "node" if number else "master"}
        for number, name in enumerate(lab.hosts)
    ]
    ssh = {"identity": [str(lab.key)], "known_hosts": str(lab.known_hosts()), "user": lab.user}
    base = {"name": "lab", "ssh": ssh, "host": hosts, "network": {"cidr": NETWORK}}
    return forms.parse({"version": 1} | base | more)


@asynccontextmanager
async def reached(answers: Answers) -> AsyncIterator[tuple[Connections, ClusterFacts]]:
    """Sessions and facts, as the verb has them."""
    told: list[Event] = []

    def opener(session: Session, api: str) -> Any:  # noqa: ANN401 - a context manager
        return etcd.store(session, answers.etcd, api)

    ssh = Ssh(answers.ssh, answers.host, config=())
    async with connect_all(answers, ssh, opener, told.append) as ways:
        yield ways, await read_facts(ways)


async def verified(lab: Lab, **more: object) -> Done:
    answers = answers_for(lab, **more)
    async with reached(answers) as (ways, known):
        counting = {name: Counting(session) for name, session in ways.sessions.items()}
        sessions: Any = counting
        verdicts = await verify(answers, sessions, known, lambda _: None, ways.lost)
        return Done(verdicts, {name: counting[name].asked for name in lab.nodes})


def procedure(lab: Lab, node: str, options: str = "-ip-masq") -> None:
    """The published procedure on one node, by hand; nothing more."""
    lab.ssh(node, "systemctl start docker && dnf -y install flannel")
    lab.write(node, "/etc/sysconfig/flanneld", SYSCONFIG.format(options=options))
    lab.ssh(node, "systemctl enable flanneld; " + SWITCH)


def let_through(lab: Lab, node: str) -> None:
    """What the procedure lacks for this generation's docker."""
    if lab.generation == "modern":
        lab.write(node, "/etc/docker/daemon.json", '{"allow-direct-routing": true}')
        lab.ssh(node, "systemctl restart docker")
        lab.ssh(node, f"iptables -I DOCKER-USER {ACCEPT}")
    else:
        lab.ssh(node, f"iptables -I FORWARD {ACCEPT}")


@contextmanager
def broken(lab: Lab, node: str, fault: str, mended: str) -> Iterator[None]:
    """A fault that is there for a while; then all is as it was, for the tests that follow."""
    with unchanged(lab):
        lab.ssh(node, fault)
        try:
            yield
        finally:
            lab.ssh(node, mended)


def left_behind(lab: Lab) -> str:
    return "".join(lab.ssh(node, LEFT) for node in lab.nodes)


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A cluster that the published procedure was carried out on, and nothing more."""
    require_lab()
    with Lab.up(request.param, 4) as cluster:
        command = "etcdctl set" if cluster.flannel == "v2" else "etcdctl put"
        api = f"ETCDCTL_API={cluster.flannel.removeprefix('v')}"
        cluster.ssh(cluster.master, f"{api} {command} {PREFIX}/config '{CONFIG}'")
        for node in cluster.nodes:
            procedure(cluster, node)
        yield cluster


@pytest.fixture(scope="module")
def bare(lab: Lab) -> Done:
    """What is verified before anything is done that the procedure does not tell."""
    return asyncio.run(verified(lab))


@pytest.fixture(scope="module")
def healthy(lab: Lab, bare: Done) -> Lab:
    """The same cluster, after what the procedure lacks."""
    assert bare.verdicts
    for node in lab.nodes:
        let_through(lab, node)
    return lab


async def test_the_procedure_to_the_letter_is_red_though_docker0_pings(
    lab: Lab, bare: Done
) -> None:
    assert bare.pings("fail") == pairs_of(lab, *lab.nodes)
    assert {it.kind for it in bare.verdicts if it.level == "fail"} == {"ping"}
    word = "allow-direct-routing" if lab.generation == "modern" else "FORWARD policy"
    assert word in bare.why("fed-node1", "fed-node2")
    docker0 = lab.ssh("fed-node2", "ip -4 -br address show docker0").split()[2].split("/")[0]
    lab.ssh("fed-node1", f"ping -c 1 -W 2 {docker0}")


async def test_a_healthy_cluster_passes_and_each_sees_the_others_own_address(healthy: Lab) -> None:
    done = await verified(healthy)
    assert {(it.level, it.why) for it in done.verdicts} == {("pass", "")}
    for kind in ("peer", "ping", "mtu"):
        assert done.of(kind, "pass") == pairs_of(healthy, *healthy.nodes)
    for verdict in done.verdicts:
        if verdict.kind == "mtu":
            assert verdict.seen == "1450 of 1450 bytes; underlay 1500 of 1500"
        if verdict.kind == "ping":
            subnet = healthy.ssh(verdict.host, SUBNET)
            own = re.escape(subnet.rpartition(".")[0])
            assert re.fullmatch(rf"3/3, [\d./]+ ms, seen as {own}\.\d+", verdict.seen)
    assert done.asked == dict.fromkeys(healthy.nodes, 5)  # each question has its own time limit
    assert left_behind(healthy) == ""


FORWARD_DROP = (
    "iptables-save >/root/saved; iptables -P FORWARD DROP; iptables -F DOCKER-USER; "
    f"iptables -D FORWARD {ACCEPT} 2>/dev/null; iptables -F FLANNEL-FWD 2>/dev/null; true"
)
DPORT = "INPUT -p udp --dport 8472 -j DROP"
FAULTS = {
    "no forwarding": ("sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1", 2),
    # docker itself lets out what comes from docker0, and the answers to it back in.
    "policy": (FORWARD_DROP, "iptables-restore </root/saved", 1),
    "port closed": (f"iptables -I {DPORT}", f"iptables -D {DPORT}", 2),
}


@pytest.mark.parametrize(("fault", "mended", "ways"), FAULTS.values(), ids=FAULTS)
async def test_a_fault_on_a_node_is_red_for_its_pairs_alone(
    healthy: Lab, fault: str, mended: str, ways: int
) -> None:
    red = pairs_of(healthy, "fed-node2")
    if ways == 1:
        red = {(one, other) for one, other in red if other == "fed-node2"}
    with broken(healthy, "fed-node2", fault, mended):
        done = await verified(healthy)
    assert done.pings("fail") == red
    assert done.pings("pass") == pairs_of(healthy, *healthy.nodes) - red
    assert all(it.why for it in done.verdicts if it.level == "fail")


PEERS_SUBNET = "N=$(sed -n 's/FLANNEL_SUBNET=//p' /run/flannel/subnet.env); echo ${N%.1/*}.0"
MAC = "ip -br link show flannel.1"
WAYS = {
    "route": ("ip route del {net}/24", "ip route add {net}/24 via {net} dev flannel.1 onlink"),
    "neighbour": (
        "ip neighbour del {net} dev flannel.1",
        "ip neighbour replace {net} lladdr {mac} dev flannel.1 nud permanent",
    ),
    "another MAC": (
        "ip neighbour replace {net} lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent",
        "ip neighbour replace {net} lladdr {mac} dev flannel.1 nud permanent",
    ),
    "FDB": (
        "bridge fdb del {mac} dev flannel.1",
        "bridge fdb replace {mac} dev flannel.1 dst {address} self",
    ),
}


@pytest.mark.parametrize(("fault", "mended"), WAYS.values(), ids=WAYS)
async def test_a_way_that_is_gone_is_red_for_that_peer_alone(
    healthy: Lab, fault: str, mended: str
) -> None:
    here, there = "fed-node2", "fed-node1"
    said = {
        "net": healthy.ssh(there, PEERS_SUBNET).strip(),
        "mac": healthy.ssh(there, MAC).split()[2],
        "address": healthy.address(there),
    }
    with broken(healthy, here, fault.format(**said), mended.format(**said)):
        done = await verified(healthy)
    assert done.of("peer", "fail") == {(here, there)}
    assert done.of("ping", "fail") == done.of("mtu", "skipped") == {(here, there), (there, here)}
    assert done.of("mtu", "fail") == set()
    ping = next(it for it in done.verdicts if (it.kind, it.host) == ("ping", there) and it.why)
    assert "`systemctl restart flanneld` there" in ping.why


async def test_a_narrow_interface_is_red_for_large_packets_alone(healthy: Lab) -> None:
    mended = "ip link set eth0 mtu 1500; ip route flush cache"
    with broken(healthy, "fed-node2", "ip link set eth0 mtu 1400", mended):
        done = await verified(healthy)
    assert done.of("mtu", "fail") == pairs_of(healthy, "fed-node2")
    assert done.pings("fail") == done.of("peer", "fail") == set()
    for verdict in done.verdicts:
        if verdict.kind == "mtu" and verdict.level == "fail":
            # veth takes 4 bytes more than its MTU, for a VLAN tag.
            assert re.fullmatch(r"135[0-4] of 1450 bytes; underlay 140[0-4] of 1500", verdict.seen)
            assert "(eth0 of fed-node2 passes 1400)" in verdict.why
            assert "`backend.mtu` to 1400" in verdict.why
    assert done.asked == dict.fromkeys(healthy.nodes, 5)


async def test_an_underlay_that_answers_no_ping_is_no_failure(healthy: Lab) -> None:
    rule = "INPUT -i eth0 -p icmp -j DROP"
    with broken(healthy, "fed-node2", f"iptables -I {rule}", f"iptables -D {rule}"):
        done = await verified(healthy)
    assert ok(done.verdicts)
    unknown = {(it.host, it.peer) for it in done.verdicts if "not known" in it.seen}
    assert unknown == pairs_of(healthy, "fed-node2")


LEASES = {
    "flanneld down": (
        "systemctl kill -s KILL flanneld; systemctl stop flanneld",
        "systemctl reset-failed flanneld; systemctl start flanneld docker",
        "flanneld does not run on fed-node2",
    ),
    "etcd out of reach": (
        "iptables -I OUTPUT -p tcp --dport 2379 -j REJECT",
        "iptables -D OUTPUT -p tcp --dport 2379 -j REJECT",
        "fed-node2 does not reach etcd at http://fed-master:2379",
    ),
}


@pytest.mark.parametrize(("fault", "mended", "why"), LEASES.values(), ids=LEASES)
async def test_a_lease_that_nobody_renews_is_red(
    healthy: Lab, fault: str, mended: str, why: str
) -> None:
    with broken(healthy, "fed-node2", fault, mended):
        done = await verified(healthy)
    failed = [(it.kind, it.host) for it in done.verdicts if it.level == "fail"]
    assert failed == [("lease", "fed-node2")]
    assert why in done.why("fed-node2")


async def test_a_node_whose_docker_is_not_on_flannel_is_red_and_not_pinged(healthy: Lab) -> None:
    away = "systemctl stop docker.socket docker; ip link delete docker0"
    plain = """sed -i 's/--bip=[0-9./]*/--bip=172.17.0.1\\/16/' /run/flannel/docker"""
    fault = f"cp /run/flannel/docker /root; {plain}; {away}; systemctl start docker"
    mended = f"{away}; mv /root/docker /run/flannel; systemctl start docker"
    with broken(healthy, "fed-node3", fault, mended):
        done = await verified(healthy)
    assert done.pings("fail") == pairs_of(healthy, "fed-node3")
    assert "get 172.17.0.2, which is not in its subnet" in done.why("fed-node3", "fed-node1")
    assert "docker has not taken flannel's subnet" in done.why("fed-node3")


async def test_where_docker_is_off_a_namespace_stands_in(healthy: Lab) -> None:
    before = healthy.ssh("fed-node3", "ip -4 -br address; ip -4 route")
    off = "systemctl stop docker.socket docker"
    with broken(healthy, "fed-node3", off, "systemctl start docker"):
        done = await verified(healthy)
        assert left_behind_without_docker(healthy, "fed-node3") == ""
    assert done.pings("pass") == pairs_of(healthy, *healthy.nodes)
    assert "a bare namespace stood in" in done.why("fed-node3", "fed-node1")
    assert "a bare namespace stood in" in done.why("fed-node1", "fed-node3")
    assert "fed-node3" not in done.why("fed-node1", "fed-node2")
    assert healthy.ssh("fed-node3", "ip -4 -br address; ip -4 route") == before


def left_behind_without_docker(lab: Lab, node: str) -> str:
    """Docker's client would start it through its socket."""
    active = lab.run(node, "systemctl is-active docker").stdout
    assert active == "inactive\n"
    return lab.ssh(node, LEFT.split("\n", 2)[2])


async def test_nat_between_containers_is_a_warning(healthy: Lab) -> None:
    """Without -ip-masq docker hides its containers behind flannel's device."""
    node = "fed-node1"
    subnet = healthy.ssh(node, SUBNET).strip()
    network = subnet.split("/")[0].rpartition(".")[0] + ".0/24"
    rule = f"POSTROUTING -s {network} ! -o docker0 -j MASQUERADE"
    with broken(healthy, node, f"iptables -t nat -I {rule}", f"iptables -t nat -D {rule}"):
        done = await verified(healthy)
    assert done.pings("pass") == pairs_of(healthy, *healthy.nodes)
    seen = next(
        it for it in done.verdicts if (it.kind, it.host, it.peer) == ("ping", node, "fed-node2")
    )
    assert seen.seen.endswith(f"seen as {network.partition('/')[0]} (NAT)")
    assert "-ip-masq" in seen.why
    assert done.why("fed-node2", node) == ""


HELD = "docker ps -aq; docker image ls -q | sort; docker inspect mine"


async def test_an_image_that_is_there_is_used_and_kept_and_others_stay(healthy: Lab) -> None:
    image = "tar -C / -ch bin/busybox | docker import - lab/busy"
    make = f"{image}; mkdir -p /root/i/bin && cp /bin/busybox /root/i/bin/sleep && "
    make += "tar -C /root/i -c . | docker import - lab/sleeper; "
    make += "docker run -d --name mine --entrypoint sleep lab/sleeper 600"
    # lab/busy has no sleep of that name, so the node's own image takes its place.
    gone = "docker rm -f mine; docker image rm -f lab/busy lab/sleeper; rm -rf /root/i"
    with broken(healthy, "fed-node1", make, gone):
        before = healthy.ssh("fed-node1", HELD)
        for name in ("lab/sleeper", "lab/busy"):
            done = await verified(healthy, verify={"image": name})
            assert ok(done.verdicts)
        after = healthy.ssh("fed-node1", HELD)
        assert after == before
    assert left_behind(healthy) == ""


async def test_a_connection_that_is_cut_leaves_nothing_behind(
    healthy: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "POD_SECONDS", 4)
    answers, name = answers_for(healthy), pods.new_name()
    async with reached(answers) as (ways, _):
        for node in healthy.nodes:
            assert pods.read_up((await ways.sessions[node].ask(pods.up(name, "none"))).out).pod
    assert left_behind(healthy).count(name) >= 2 * len(healthy.nodes)
    for node in healthy.nodes:  # the hosts' own clocks are what is waited for
        healthy.ssh(node, GONE)
    assert left_behind(healthy) == ""


async def test_a_user_with_sudo_verifies_as_root_does(healthy: Lab) -> None:
    """The last on each cluster: after all that was broken and mended there it is green again."""
    ssh = {"identity": [str(healthy.key)], "known_hosts": str(healthy.known_hosts())}
    done = await verified(healthy, ssh=ssh | {"user": "ops", "sudo": "nopasswd"})
    assert {(it.level, it.why) for it in done.verdicts} == {("pass", "")}
