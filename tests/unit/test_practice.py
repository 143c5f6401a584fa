"""The practice cluster: what an install, a verification and a fault come to on simulated hosts.

Everything goes through the verbs themselves; only the hosts are simulated.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedwiz.answers.file import Answers, AnswersError, parse
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all
from fedwiz.engine.verbs import Result
from fedwiz.facts.probes import probes
from fedwiz.facts.values import Firewall
from fedwiz.model.actions import Run, UnreachableError
from fedwiz.model.backends import BACKENDS
from fedwiz.model.events import ActionEnded, Event, Output, RunEnded, Verified
from fedwiz.practice import (
    CLASSIC,
    FAULTS,
    MODERN,
    Generation,
    Practice,
    practice_answers,
    sightings,
    systemd,
)
from fedwiz.practice.machine import Machine
from fedwiz.practice.probes import ANSWERS
from fedwiz.practice.session import command_of
from fedwiz.steps.make import run_script

GENERATIONS = {"classic": CLASSIC, "modern": MODERN}


class Runs:
    """A practice cluster and what was said in the runs on it."""

    def __init__(self, practice: Practice, answers: Answers) -> None:
        self.practice = practice
        self.answers = answers
        self.events: list[Event] = []
        self.number = 0

    def cluster(self) -> verbs.RunContext:
        self.number += 1
        self.events.clear()
        return verbs.RunContext(
            self.answers,
            self.practice,
            self.practice.open_store,
            self.events.append,
            f"run{self.number}",
            practice="practice",
        )

    async def install(self) -> Result:
        result = await verbs.install(self.cluster(), approve_all, asyncio.Event())
        assert self.events[-1] == RunEnded(
            "ok" if result.code == 0 else "failed", result.code, result.why
        )
        return result

    async def plan(self) -> Result:
        return await verbs.plan(self.cluster())

    async def prove(self) -> Result:
        return await verbs.verify(self.cluster())

    def node(self, number: int) -> Machine:
        return self.practice.cluster.nodes()[number - 1]

    def lines(self) -> str:
        return "\n".join(event.line for event in self.events if isinstance(event, Output))

    def lost_pairs(self, kind: str = "ping") -> set[tuple[str, str]]:
        return {
            (event.host, event.peer)
            for event in self.events
            if isinstance(event, Verified) and event.kind == kind and event.level != "pass"
        }


def runs(
    generation: Generation = MODERN,
    *sets: str,
    hosts: int = 4,
    fault: str = "",
    installed: bool = False,
) -> Runs:
    answers = practice_answers(hosts, sets)
    practice = Practice(answers, fault, generation=generation, installed=installed)
    return Runs(practice, answers)


async def well(it: Runs) -> None:
    """An install succeeds, leaves nothing to do, and the next one touches nothing."""
    result = await it.install()
    assert (result.code, result.why) == (0, "")
    left = await it.plan()
    assert left.plan is not None
    assert [task.step for task in left.plan.tasks()] == []
    before = [
        (node.unit("docker.service").pid, node.unit("flanneld.service").pid)
        for node in it.practice.cluster.nodes()
    ]
    again = await it.install()
    assert (again.code, again.why) == (0, "")
    assert not any(isinstance(event, ActionEnded) for event in it.events)
    assert before == [
        (node.unit("docker.service").pid, node.unit("flanneld.service").pid)
        for node in it.practice.cluster.nodes()
    ]


# The install, on healthy hosts.

MADE = [
    (name, kind, switch)
    for name, kind, switch in product(
        GENERATIONS, ("vxlan", "host-gw", "udp", "ipip", "wireguard"), ("restart", "reboot")
    )
    if name == "modern" or kind not in ("ipip", "wireguard")  # flannel 0.9 has neither
]


@pytest.mark.parametrize(("generation", "kind", "switch"), MADE)
async def test_install_proves_the_network_and_leaves_nothing_to_do(
    generation: str, kind: str, switch: str
) -> None:
    await well(runs(GENERATIONS[generation], f"backend.type={kind}", f"docker.switch={switch}"))


@pytest.mark.parametrize("hosts", [3, 5, 9])
async def test_install_on_any_number_of_hosts(hosts: int) -> None:
    await well(runs(hosts=hosts))


def supplied(folder: Path, source: str) -> tuple[str, ...]:
    """A file that passes for an RPM or for flanneld, and the answers that name it."""
    path = folder / "flannel"
    lead = b"\xed\xab\xee\xdb\x03\x00\x00\x00\x00\x01" + b"flannel-0.17.0-3.fc36".ljust(66, b"\0")
    path.write_bytes(lead.ljust(96, b"\0") if source == "rpm" else b"#!/bin/sh\necho v0.17.0\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"flannel.source={source}", f"flannel.path={path}", f"flannel.sha256={digest}"


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("source", ["rpm", "binary"])
async def test_install_from_a_file_of_the_operators(
    tmp_path: Path, generation: str, source: str
) -> None:
    made = replace(GENERATIONS[generation], etcd_v2=True)
    await well(runs(made, *supplied(tmp_path, source)))


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["vxlan", "host-gw", "udp"])
async def test_the_network_is_there_again_after_all_nodes_have_rebooted(
    generation: str, kind: str
) -> None:
    it = runs(GENERATIONS[generation], f"backend.type={kind}")
    await it.install()
    for node in it.practice.cluster.nodes():
        systemd.down(node)
    for node in it.practice.cluster.nodes():
        systemd.up(it.practice.cluster, node)
    assert (await it.prove()).code == 0
    left = await it.plan()
    assert left.plan is not None
    assert not any(left.plan.actions.values())


async def test_nodes_that_flannel_did_not_tell_of_each_other_are_mended() -> None:
    it = runs(replace(MODERN, flannel="0.20.2-1.fc37"))
    assert (await it.install()).code == 0
    assert "flanneld looks again" in it.lines()


CHANGES = {
    "another network": ((), ("network.cidr=10.32.0.0/16",)),
    "another network, by a reboot": ((), ("network.cidr=10.32.0.0/16", "docker.switch=reboot")),
    "smaller subnets": ((), ("network.subnet_len=26",)),
    "from vxlan to host-gw": ((), ("backend.type=host-gw",)),
    "from host-gw to vxlan": (("backend.type=host-gw",), ()),
    "from vxlan to udp": ((), ("backend.type=udp",)),
    "another VNI": ((), ("backend.vni=7",)),
    "another port": ((), ("backend.port=4789",)),
    "direct routing": ((), ("backend.direct_routing=true",)),
    "masquerading": (("flannel.options=[]",), ()),
    "another key in etcd": ((), ("etcd.prefix=/other",)),
}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("change", CHANGES)
async def test_a_network_that_is_there_becomes_the_one_that_is_wanted(
    generation: str, change: str
) -> None:
    first, then = CHANGES[change]
    it = runs(GENERATIONS[generation], *first)
    assert (await it.install()).code == 0
    it.answers = practice_answers(4, then)
    await well(it)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_network_that_was_made_by_hand_is_taken_over(generation: str) -> None:
    await well(runs(GENERATIONS[generation], installed=True))


NETS = st.sampled_from(["10.16.0.0/16", "10.64.0.0/12", "100.64.0.0/16", "192.168.192.0/19"])


@st.composite
def good_answers(draw: st.DrawFn) -> Answers:
    """Answers that can be used, far and wide."""
    nodes = draw(st.integers(2, 8))
    interfaces = st.sampled_from(["", "eth0", "ens3"])
    roles = ["master", *["node"] * nodes]
    hosts = [
        {
            "name": f"h{number}",
            "address": f"10.200.{number // 4}.{10 + number}",
            "role": role,
            "interface": draw(interfaces),
            "label": draw(st.sampled_from(["", f"label-{number}"])),
        }
        for number, role in enumerate(roles)
    ]
    backend = draw(
        st.one_of(
            st.fixed_dictionaries(
                {"type": st.just("vxlan"), "vni": st.integers(1, 9_999_999)},
                optional={
                    "port": st.integers(1, 65535),
                    "direct_routing": st.booleans(),
                    "mtu": st.sampled_from([1200, 1400]),
                },
            ),
            st.fixed_dictionaries({"type": st.just("udp"), "port": st.integers(1, 65535)}),
            st.just({"type": "ipip"}),
        )
    )
    # Routed and masqueraded by docker, a pod is let in nowhere: see the test of that.
    options = [["-ip-masq"]] if backend.get("direct_routing") else [[], ["-ip-masq"]]
    return parse(
        {
            "version": 1,
            "name": "any",
            "host": hosts,
            "network": {"cidr": draw(NETS), "subnet_len": draw(st.integers(24, 28))},
            "backend": backend,
            "etcd": {"prefix": draw(st.sampled_from(["/coreos.com/network", "/a/b-c"]))},
            "flannel": {"options": draw(st.sampled_from(options))},
            "docker": {"switch": draw(st.sampled_from(["restart", "reboot"]))},
        }
    )


@pytest.mark.timeout(300)  # installs on a machine that may be busy
@pytest.mark.parametrize("examples", [8, pytest.param(25, marks=pytest.mark.full)])
def test_install_does_what_any_good_answers_say(examples: int) -> None:
    @settings(max_examples=examples)
    @given(good_answers(), st.booleans())
    def installs(answers: Answers, firewalld: bool) -> None:
        practice = Practice(answers, "firewalld" if firewalld else "")
        asyncio.run(well(Runs(practice, answers)))

    installs()


# What the hosts are asked and told.


def test_every_probe_has_an_answer() -> None:
    answers = practice_answers()
    asked = {probe.name for host in answers.host for probe in probes(answers, host)}
    assert asked == set(ANSWERS)


async def test_every_fact_of_a_host_is_known() -> None:
    """An answer that its probe could not read would leave its field empty."""
    it = runs(fault="firewalld")
    await it.install()
    it.node(1).put("/etc/sysconfig/fedwiz-etcd", "", 0o600)
    known = (await it.plan()).known
    assert known is not None
    node, master = known.hosts["fed-node1"], known.hosts["fed-master"]
    empty = {
        name
        for name in type(node).__dataclass_fields__
        if not getattr(node, name) and not getattr(master, name)
    }
    assert empty == {"read_only", "in_flight", "dnf_lock", "offered", "offered_why"}


@pytest.mark.parametrize("source", ["dnf", "rpm", "binary"])
@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize(("generation", "switch"), [("classic", "restart"), ("modern", "reboot")])
async def test_every_command_of_every_step_has_a_model(
    tmp_path: Path, source: str, kind: str, generation: str, switch: str
) -> None:
    sets = supplied(tmp_path, source) if source != "dnf" else ()
    it = runs(
        GENERATIONS[generation],
        f"backend.type={kind}",
        f"docker.switch={switch}",
        *sets,
        fault="firewalld",
    )
    plan = (await it.plan()).plan
    assert plan is not None
    sent = [action for task in plan.tasks() for action in task.actions]
    assert len(sent) > 20
    for action in sent:
        if isinstance(action, Run) and not action.reboots:
            command_of(action)


@pytest.mark.parametrize(
    "argv", [("reboot",), ("sh", "-c", "true"), ("sh", "-c", "x", "switch.sh")]
)
def test_a_command_without_a_model_is_a_mistake(argv: tuple[str, ...]) -> None:
    with pytest.raises(NotImplementedError, match="no practice host knows"):
        command_of(Run(argv))


# Whether a pair pings is computed.


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_cluster_that_was_made_by_hand_is_proven(generation: str) -> None:
    it = runs(GENERATIONS[generation], installed=True)
    assert (await it.prove()).code == 0


def no_rules(node: Machine) -> None:
    systemd.stop(node, systemd.FORWARD)  # which would put its own back
    node.chains.rules["filter"].get("FLANNEL-FWD", []).clear()
    node.chains.policies["FORWARD"] = "DROP"


def no_direct_routing(node: Machine) -> None:
    node.chains.append("raw", "PREROUTING", "-d 10.16.0.0/16 ! -i docker0 -j DROP")


def other_port(node: Machine) -> None:
    node.links["flannel.1"] = replace(node.links["flannel.1"], port=4789)


def other_mac(node: Machine) -> None:
    node.links["flannel.1"] = replace(node.links["flannel.1"], mac="02:00:00:00:00:01")


def no_routes(node: Machine) -> None:
    node.routes = [route for route in node.routes if route.dev != "flannel.1"]


def walled(node: Machine) -> None:
    node.firewall = Firewall("FedoraServer")


BROKEN: Mapping[str, Callable[[Machine], None]] = {
    "docker 28 drops what is routed": no_direct_routing,
    "the kernel does not forward": lambda node: node.sysctls.update({"net.ipv4.ip_forward": "0"}),
    "flannel's routes are gone": no_routes,
    "flannel's peers are forgotten": lambda node: node.peers.clear(),
    "vxlan listens on another port": other_port,
    "vxlan has another address than its lease": other_mac,
    "firewalld lets nothing in": walled,
    "a rule refuses": lambda node: node.chains.insert("filter", "FORWARD", systemd.REFUSAL),
}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("broken", BROKEN)
async def test_pairs_with_a_broken_node_do_not_ping_and_all_others_do(
    generation: str, broken: str
) -> None:
    it = runs(GENERATIONS[generation], hosts=5)
    assert (await it.install()).code == 0
    BROKEN[broken](it.node(2))
    result = await it.prove()
    names = [node.name for node in it.answers.nodes]
    assert result.code == 7
    assert it.lost_pairs() == {
        (one, other)
        for one in names
        for other in names
        if one != other and "fed-node2" in (one, other)
    }


def peer(**more: str) -> Callable[[Machine, str], None]:
    """Another entry for one peer's subnet."""

    def bend(node: Machine, subnet: str) -> None:
        ways = node.peers["flannel.1"]
        ways[subnet] = replace(ways[subnet], **more)

    return bend


def no_route(node: Machine, subnet: str) -> None:
    node.routes = [route for route in node.routes if route.to != subnet]


ASTRAY: Mapping[str, Callable[[Machine, str], None]] = {
    "no route": no_route,
    "no neighbour": peer(mac="", fdb="aa:aa:aa:aa:aa:aa"),
    "another MAC": peer(mac="02:00:00:00:00:01"),
    "no FDB entry": peer(fdb=""),
    "another node's address": peer(address="192.168.122.79"),
}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("astray", ASTRAY)
async def test_a_way_that_is_wrong_is_told_of_and_carries_nothing(
    generation: str, astray: str
) -> None:
    it = runs(GENERATIONS[generation])
    await it.install()
    daemon = it.node(1).daemon
    assert daemon is not None
    ASTRAY[astray](it.node(2), daemon.subnet)
    result = await it.prove()
    assert result.code == 7
    assert result.why.startswith("fed-node2 ")
    assert it.lost_pairs("peer") == {("fed-node2", "fed-node1")}
    both = {("fed-node1", "fed-node2"), ("fed-node2", "fed-node1")}
    assert it.lost_pairs() == it.lost_pairs("mtu") == both


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_narrow_card_passes_small_pings_and_no_large_ones(generation: str) -> None:
    it = runs(GENERATIONS[generation])
    await it.install()
    it.node(2).links["eth0"] = replace(it.node(2).links["eth0"], mtu=1400)
    result = await it.prove()
    assert result.code == 7
    assert it.lost_pairs() == it.lost_pairs("peer") == set()
    assert it.lost_pairs("mtu") == {
        ("fed-node1", "fed-node2"),
        ("fed-node2", "fed-node1"),
        ("fed-node3", "fed-node2"),
        ("fed-node2", "fed-node3"),
    }
    seen = {event.seen for event in result.verdicts if event.kind == "mtu"}
    assert seen == {
        "1450 of 1450 bytes; underlay 1500 of 1500",
        "1350 of 1450 bytes; underlay 1400 of 1500",
    }


@pytest.mark.parametrize(("only", "kinds"), [(("peer",), {"peer"}), (("mtu",), {"mtu"})])
async def test_some_kinds_are_proven_alone(only: tuple[str, ...], kinds: set[str]) -> None:
    it = runs(installed=True)
    result = await verbs.verify(it.cluster(), only=only, pair=("fed-node1", "fed-node3"))
    assert result.code == 0
    assert {event.kind for event in result.verdicts} == kinds
    assert {(event.host, event.peer) for event in result.verdicts} == {
        ("fed-node1", "fed-node3"),
        ("fed-node3", "fed-node1"),
    }


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_where_forward_drops_pods_get_out_and_nobody_gets_in(generation: str) -> None:
    it = runs(GENERATIONS[generation])
    await it.install()
    no_rules(it.node(2))
    # Of no host in the answers: skipped, and not what is wrong.
    api = "v2" if generation == "classic" else "v3"
    lease = '{"PublicIP":"192.0.2.9","BackendType":"vxlan"}'
    it.practice.cluster.keys.set(api, "/coreos.com/network/subnets/10.16.250.0-24", lease)
    result = await it.prove()
    assert result.code == 7
    assert result.why.startswith("fed-node1: "), result.why
    assert it.lost_pairs() == {("fed-node1", "fed-node2"), ("fed-node3", "fed-node2")}


async def test_without_flannels_masquerading_a_pod_is_seen_as_its_node() -> None:
    it = runs(MODERN, "flannel.options=[]")
    assert (await it.install()).code == 0
    seen = [
        event.seen for event in it.events if isinstance(event, Verified) and event.kind == "ping"
    ]
    assert len(seen) == 6
    assert all("(NAT)" in text for text in seen)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("sets", [("backend.type=host-gw",), ("backend.direct_routing=true",)])
async def test_routed_pods_that_hide_behind_their_nodes_are_not_let_in(
    generation: str, sets: tuple[str, ...]
) -> None:
    """By docker's masquerading they get the node's address, which is not in the network."""
    it = runs(GENERATIONS[generation], *sets, "flannel.options=[]")
    assert (await it.install()).code != 0


async def test_alloc_moves_no_packets() -> None:
    it = runs(MODERN, "backend.type=alloc")
    assert (await it.install()).code == 7
    assert len(it.lost_pairs()) == 6


async def test_udp_carries_nothing_while_flanneld_is_down() -> None:
    it = runs(CLASSIC, "backend.type=udp")
    await it.install()
    it.node(1).daemon = None
    assert (await it.prove()).code == 7


async def test_where_docker_is_off_a_namespace_stands_in_for_a_container() -> None:
    it = runs()
    for node in it.practice.cluster.nodes():
        systemd.stop(node, "docker.service")
        systemd.enable(node, "docker.service", wanted=False)
    assert (await it.install()).code == 0
    assert all(not node.running("docker.service") for node in it.practice.cluster.nodes())
    assert not [link for link in it.node(1).links if link.startswith("fwp")]


# Faults.

SAID = {
    "no-etcd": "etcd does not run",
    "v2-only": "has no v3 API",
    "public-cidr": "public addresses",
    "overlap": "overlaps 10.16.0.0/16 (route",
    "duplicate-name": "all called fed-node1",
    "nat-twins": "has 10.0.2.15",
    "firewalld": "",
    "forward-drop": "fedwiz diagnose -a FILE fed-node1 fed-node2",
    "no-forwarding": "pings lost",
    "port-closed": "pings lost",
    "stale-mac": "for the MAC of",
    "missing-route": "has no route to",
    "dnf-locked": "",
    "flaky-ssh": "connection to fed-node2 was lost",
    "docker-refuses": "overlaps one of docker's other networks",
    "no-package": "dnf offers no flannel",
    "disk-full": "/ has 3 MiB free",
    "never-ready": "etcd does not answer in time",
    "locked": "bob@laptop (192.168.122.1) has been changing this cluster since",
    "changed-key": "host key of fed-node2 (192.168.122.78) is not the one",
    "unreachable": "does not answer on port 22",
}


def test_every_fault_is_tried() -> None:
    assert SAID.keys() == FAULTS.keys()
    assert all(fault.help.endswith(".") and "\n" not in fault.help for fault in FAULTS.values())


@pytest.mark.parametrize("name", [name for name in FAULTS if not FAULTS[name].sets])
@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_fault_ends_as_told_harms_nobody_and_the_next_run_completes(
    generation: str, name: str
) -> None:
    it = runs(GENERATIONS[generation], fault=name)
    before = {node.name: node.unit("docker.service").pid for node in it.practice.cluster.nodes()}
    result = await it.install()
    assert result.code == FAULTS[name].ends, result.why
    blocks = [finding.seen for finding in result.findings if finding.level == "block"]
    assert SAID[name] in "; ".join([result.why, *blocks])
    assert "\n" not in result.why
    for node in it.practice.cluster.nodes():
        assert node.running("docker.service"), node.journal
        assert "docker0" in node.links
        if result.code in (2, 3, 4):
            assert node.unit("docker.service").pid == before[node.name]
            assert "flannel" not in node.packages
    it.practice.repair()
    await well(it)


@pytest.mark.parametrize("name", [name for name in FAULTS if FAULTS[name].sets])
def test_a_fault_in_the_answers_is_refused(name: str) -> None:
    with pytest.raises(AnswersError, match=SAID[name]):
        practice_answers(fault=name)
    assert FAULTS[name].ends == 2


@pytest.mark.parametrize("name", ["docker-refuses", "never-ready"])
@pytest.mark.parametrize("switch", ["restart", "reboot"])
async def test_docker_is_taken_back_where_it_was_and_the_others_go_on(
    name: str, switch: str
) -> None:
    it = runs(MODERN, f"docker.switch={switch}", "docker.ready_within=9", fault=name)
    result = await it.install()
    assert result.code == 5
    if name == "never-ready":
        late = {"restart": "did not get ready within 9 s", "reboot": "did not come up within 54 s"}
        assert late[switch] in result.why
    assert it.node(2).links["docker0"].addresses == ("172.17.0.1/16",)
    assert "docker runs as before" in it.lines()
    assert it.node(1).links["docker0"].addresses[0].startswith("10.16.")
    it.practice.repair()
    await well(it)


async def test_a_private_address_on_another_card_helps_against_the_nat_twins() -> None:
    sets = [f"host.fed-node{number}.interface=eth0" for number in (1, 2, 3)]
    await well(runs(MODERN, *sets, fault="nat-twins"))


async def test_a_locked_dnf_is_waited_for() -> None:
    it = runs(fault="dnf-locked")
    await it.install()
    assert "waiting for process 4711, which works with packages: /usr/bin/dnf" in it.lines()


async def test_a_lost_connection_says_no_more_and_what_ran_goes_on() -> None:
    it = runs(fault="flaky-ssh")
    async with it.practice.connect("fed-node2") as session:
        run = run_script("package", "dnf", "-y", "install", "flannel", unit="fedwiz-package-x")
        with pytest.raises(UnreachableError, match="was lost before the end"):
            await session.run(run, lambda line: None)
        with pytest.raises(UnreachableError):
            await session.ask(Run(("sh", "-s")))
    assert "flannel" in it.node(2).packages
    heard: list[str] = []
    async with it.practice.connect("fed-node2") as session:
        assert await session.run(run, heard.append) == 0
        assert await session.run(replace(run, unit=""), heard.append) == 0
    assert heard[-1] == "Complete!"


@pytest.mark.parametrize("switch", ["restart", "reboot"])
async def test_what_runs_on_a_host_ends_there_although_the_run_is_closed(switch: str) -> None:
    """Ctrl+C twice while docker is stopped: the operator is gone, docker comes back."""
    main, stops = asyncio.current_task(), [True]
    assert main is not None

    async def sleep(_seconds: float) -> None:
        await asyncio.sleep(0)
        if stops and not it.node(2).running("docker.service"):
            stops.clear()
            main.cancel()
            await asyncio.sleep(0)

    answers = practice_answers(4, (f"docker.switch={switch}",))
    it = Runs(Practice(answers, sleep=sleep), answers)
    with pytest.raises(asyncio.CancelledError):
        await it.install()
    main.uncancel()
    assert it.events[-1] == RunEnded("stopped", 130, "closed by the operator")
    assert it.node(2).running("docker.service")
    assert it.node(2).running("flanneld.service")
    await well(it)


# Time.


async def test_time_goes_by_at_the_pace_that_is_wanted() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    answers = practice_answers(3)
    it = Runs(Practice(answers, pace=0.5, sleep=sleep), answers)
    await it.install()
    assert 20 < sum(slept) < 200  # of two nodes side by side
    slept.clear()
    it = Runs(Practice(answers, sleep=sleep), answers)
    await it.install()
    assert sum(slept) == 0


def test_the_hosts_that_are_found_are_those_of_the_answers() -> None:
    found = {(host.name, host.address) for host in sightings(5)}
    assert found == {(host.name, host.address) for host in practice_answers(5).host}
    assert len({host.fingerprint for host in sightings(5)}) == 5
    assert all(len(host.fingerprint) == len("SHA256:") + 43 for host in sightings(5))
