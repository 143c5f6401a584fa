"""Verification on real hosts, where flannel was put by hand, as the published procedure has it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from fedwiz import answers as forms
from fedwiz import etcd
from fedwiz.actions import Session
from fedwiz.answers import Answers
from fedwiz.events import Event
from fedwiz.facts import Known
from fedwiz.reach import Reach, gather, reach
from fedwiz.transport import Ssh
from fedwiz.verify import Verdict, ok, pods, verify
from tests.lab.fixture import Lab, require_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

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
LEFT = """
docker ps -a --format '{{.Names}}'; docker image ls -q; ip netns list
ls /run/systemd/transient 2>/dev/null | grep fedwiz
ls -d /run/fedwiz* /tmp/* 2>/dev/null | grep -v systemd-private
pgrep -af 'fedwiz-probe|sleep [0-9]' | grep -v pgrep
ip -br link | grep -e fwp -e veth
iptables-save | grep -e 'icmp-type 8'; true
"""


@dataclass
class Done:
    """One verification."""

    verdicts: tuple[Verdict, ...]
    seconds: float

    def pings(self, level: str) -> set[tuple[str, str]]:
        found = (it for it in self.verdicts if it.kind == "ping" and it.level == level)
        return {(it.host, it.peer) for it in found}

    def why(self, host: str, peer: str = "") -> str:
        return "; ".join(it.why for it in self.verdicts if it.host == host and it.peer == peer)


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
async def reached(answers: Answers) -> AsyncIterator[tuple[Reach, Known]]:
    """Sessions and facts, as the verb has them."""
    told: list[Event] = []

    def opener(session: Session, api: str) -> Any:  # noqa: ANN401 - a context manager
        return etcd.store(session, answers.etcd, api)

    ssh = Ssh(answers.ssh, answers.host, config=())
    async with reach(answers, ssh, opener, told.append) as ways:
        yield ways, await gather(ways)


async def verified(lab: Lab, **more: object) -> Done:
    answers = answers_for(lab, **more)
    async with reached(answers) as (ways, known):
        began = time.monotonic()
        verdicts = await verify(answers, ways.sessions, known, lambda _: None, ways.lost)
        return Done(verdicts, time.monotonic() - began)


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
    assert done.pings("pass") == pairs_of(healthy, *healthy.nodes)
    for verdict in done.verdicts:
        if verdict.kind == "ping":
            subnet = healthy.ssh(verdict.host, SUBNET)
            own = re.escape(subnet.rpartition(".")[0])
            assert re.fullmatch(rf"3/3, [\d./]+ ms, seen as {own}\.\d+", verdict.seen)
    assert done.seconds < 10  # some 2 s on an idle machine; this one may not be idle
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
    assert ok((await verified(healthy)).verdicts)


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
    seen = next(it for it in done.verdicts if (it.host, it.peer) == (node, "fed-node2"))
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


async def test_a_user_with_sudo_verifies_as_root_does(healthy: Lab) -> None:
    ssh = {"identity": [str(healthy.key)], "known_hosts": str(healthy.known_hosts())}
    done = await verified(healthy, ssh=ssh | {"user": "ops", "sudo": "nopasswd"})
    assert {(it.level, it.why) for it in done.verdicts} == {("pass", "")}


async def test_a_connection_that_is_cut_leaves_nothing_behind(
    healthy: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "LIFE", 4)
    answers, name = answers_for(healthy), pods.new_name()
    async with reached(answers) as (ways, _):
        for node in healthy.nodes:
            assert pods.read_up((await ways.sessions[node].ask(pods.up(name, "none"))).out).pod
    assert left_behind(healthy).count(name) >= 2 * len(healthy.nodes)
    deadline = time.monotonic() + 60
    while left_behind(healthy):
        assert time.monotonic() < deadline, left_behind(healthy)
        await asyncio.sleep(0.5)  # the hosts' own clocks are what is waited for
