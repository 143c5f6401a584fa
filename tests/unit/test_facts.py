"""What hosts say in, facts out.  `machines/` holds what the lab's hosts really said."""

import base64
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedwiz.facts import Endpoint, Facts, parse, read, script, version
from fedwiz.facts.probes import probes
from fedwiz.facts.values import Fdb, Firewall, KubeNode, Neighbour, Unit
from tests.support.patience import GIVE_UP
from tests.support.sample_cluster import ANSWERS

MACHINES = Path(__file__).parents[1] / "machines"
MASTER, NODE = ANSWERS.master, ANSWERS.named("fed-node1")


def framed(parts: Mapping[str, str], mark: str = "mark") -> str:
    """As the script prints it."""
    said = "".join(
        f"{mark} {name}\n{base64.encodebytes(text.encode()).decode()}"
        for name, text in parts.items()
    )
    return f"{said}{mark} .\n"


def machine(name: str) -> Facts:
    parts = json.loads((MACHINES / f"{name}.json").read_text())
    host = MASTER if name.endswith("master") else NODE
    return read(ANSWERS, host, framed(parts), "mark", asked_at=1.0)


def test_a_classic_node_before() -> None:
    facts = machine("classic-fed-node1")
    assert (facts.hostname, facts.os, facts.os_version) == ("fed-node1", "fedora", "32")
    assert facts.offered == "0.9.0-7.fc32"
    assert "flannel" not in facts.packages
    assert facts.unit("docker.service").active == "active"
    assert not facts.unit("flanneld.service").there
    assert version(facts.docker_version)[0] == 20
    assert facts.default_link is not None
    assert facts.default_link.name == "eth0"
    assert facts.public_ip("") == facts.default_link.addresses[0].partition("/")[0]
    assert facts.docker_networks == ("172.17.0.0/16",)
    assert "-P FORWARD DROP" in facts.rules["filter"]
    assert facts.subnet_env is None
    assert facts.firewall is None
    assert facts.etcd["http://fed-master:2379"] == Endpoint("3.4.23", v2=True)
    assert facts.free["/"] > 0
    assert facts.sysctls["net.ipv4.ip_forward"] == "1"


@pytest.mark.parametrize(
    ("generation", "flannel", "etcd"), [("classic", (0, 9, 0), 3), ("modern", (0, 21, 5), 3)]
)
def test_a_node_after(generation: str, flannel: tuple[int, ...], etcd: int) -> None:
    facts = machine(f"{generation}-done-fed-node1")
    assert version(facts.flanneld_version) == flannel
    assert facts.unit("flanneld.service") == Unit(
        "loaded", "active", "enabled", facts.unit("flanneld.service").pid
    )
    assert facts.subnet_env is not None
    subnet = facts.subnet_env["FLANNEL_SUBNET"]
    docker0, device = facts.link("docker0"), facts.link("flannel.1")
    assert docker0 is not None
    assert docker0.addresses == (subnet,)
    assert device is not None
    assert (device.kind, device.vni, device.port, device.mtu) == ("vxlan", 1, 8472, 1450)
    assert len(facts.vteps) == 1
    assert facts.files["/etc/sysctl.d/90-fedwiz.conf"].mode == 0o644
    assert facts.unit("fedwiz-forward.service").active == "active"
    assert facts.in_flight == ()


@pytest.mark.parametrize("generation", ["classic", "modern"])
def test_a_master(generation: str) -> None:
    facts = machine(f"{generation}-fed-master")
    assert facts.unit("etcd.service").active == "active"
    assert any(it.endswith(":2379") for it in facts.listening)
    assert [node.name for node in facts.kube_nodes] == ["fed-node1", "fed-node2"]
    assert facts.offered == ""


def test_this_machine_answers_every_question() -> None:
    """The script is shell that runs, on whatever this is; its answer is whole."""
    text, mark = script(ANSWERS, MASTER)
    done = subprocess.run(
        ["sh", "-s"], input=text, capture_output=True, text=True, check=False, timeout=GIVE_UP
    )
    for probe in probes(ANSWERS, MASTER):
        assert f"{mark} {probe.name}\n" in done.stdout, probe.name
    facts = read(ANSWERS, MASTER, done.stdout, mark)
    assert facts.hostname
    assert facts.kernel
    assert facts.clock > 1e9


def test_the_script_is_shell() -> None:
    for host in ANSWERS.host:
        said = subprocess.run(["sh", "-n"], input=script(ANSWERS, host)[0], text=True, check=False)
        assert said.returncode == 0


def test_an_answer_that_is_cut_off_is_none() -> None:
    whole = framed({"names": "a"})
    with pytest.raises(ValueError, match="not whole"):
        read(ANSWERS, NODE, whole[:-4], "mark")


def test_an_answer_that_is_garbled_is_none() -> None:
    garbled = framed({"names": "a", "os": "ID=fedora"}).replace("SUQ9", "\x1b[2J")
    with pytest.raises(ValueError, match="garbled"):
        read(ANSWERS, NODE, garbled, "mark")


def test_a_mark_in_an_answer_parts_nothing() -> None:
    facts = read(ANSWERS, NODE, framed({"os": "ID=x\nmark .\nmark links\n[]"}), "mark")
    assert facts.os == "x"
    assert facts.links == ()


TWO_UNITS = (
    "Id=a.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=7\n\n"
    "Id=b.service\nLoadState=not-found\nActiveState=inactive\n"
)
OPENED = (
    "zone public\nnow ports 8472/udp 22/tcp\nnow protocols esp\nnow sources 10.0.0.0/8\n"
    "later ports \nlater protocols \nlater sources \n"
)
Parser = Callable[[str], Mapping[str, Any]]
PARSED: Mapping[str, tuple[Parser, str, dict[str, Any]]] = {
    "units": (
        parse.units,
        TWO_UNITS,
        {"units": {"a.service": Unit("loaded", "active", "enabled", 7), "b.service": Unit()}},
    ),
    "firewall": (
        parse.firewall,
        OPENED,
        {
            "firewall": Firewall(
                "public",
                frozenset({"8472/udp", "22/tcp", "esp"}),
                frozenset(),
                frozenset({"10.0.0.0/8"}),
                frozenset(),
            )
        },
    ),
    "no firewall": (parse.firewall, "", {"firewall": None}),
    "etcd v2 off": (
        parse.etcd,
        'http://m:2379 {"etcdserver":"3.5.30","etcdcluster":"3.5.0"}\nhttp://m:2379 v2 404\n',
        {"etcd": {"http://m:2379": Endpoint("3.5.30")}},
    ),
    "etcd v2 that asks for a user": (
        parse.etcd,
        'http://m:2379 {"etcdserver":"3.3.11","etcdcluster":"3.3.0"}\nhttp://m:2379 v2 401\n',
        {"etcd": {"http://m:2379": Endpoint("3.3.11", v2=True)}},
    ),
    "etcd's certificate, and curl's lecture": (
        parse.etcd,
        "https://m:2379 curl: (60) SSL: no issuer More details here: https://curl.se/docs",
        {"etcd": {"https://m:2379": Endpoint(error="curl: (60) SSL: no issuer")}},
    ),
    "etcd down": (
        parse.etcd,
        "http://m:2379 curl: (7) Failed to connect\nhttp://m:2379 v2 000\n",
        {"etcd": {"http://m:2379": Endpoint(error="curl: (7) Failed to connect")}},
    ),
    "a config in both APIs": (
        parse.configs,
        'v2 {"action":"get","node":{"value":"a"}}\nv3 {"header":{},"kvs":[{"value":"Yg=="}]}\n',
        {"etcd_configs": {"v2": "a", "v3": "b"}},
    ),
    "a config in neither": (
        parse.configs,
        'v2 {"errorCode":100}\nv3 {"header":{}}\n',
        {"etcd_configs": {}},
    ),
    "offered": (parse.offered, "0.9.0-7.fc32\n", {"offered": "0.9.0-7.fc32"}),
    "offered none": (parse.offered, "Error: repo\n", {"offered_why": "Error: repo"}),
    "a table that failed": (
        parse.rules,
        "*filter\n-P FORWARD DROP\n#read\n*nat\n",
        {"rules": {"filter": ("-P FORWARD DROP",)}},
    ),
    "an empty subnet.env": (parse.subnet_env, "#read\n", {"subnet_env": {}}),
    "no subnet.env": (parse.subnet_env, "", {"subnet_env": None}),
    "neighbours of flannel's devices alone": (
        parse.neighbours,
        (
            '[{"dst":"192.168.122.1","dev":"eth0","lladdr":"1e:3d:23:bc:92:aa","state":["REACHABLE"]},'
            '{"dst":"10.16.99.0","dev":"flannel.1","lladdr":"5E:a3:84:fc:37:ba","state":["PERMANENT"]},'
            '{"dst":"10.16.14.0","dev":"flannel.1","state":["FAILED"]}]'
        ),
        {
            "neighbours": (
                Neighbour("10.16.99.0", "flannel.1", "5e:a3:84:fc:37:ba", "PERMANENT"),
                Neighbour("10.16.14.0", "flannel.1", "", "FAILED"),
            )
        },
    ),
    "no neighbours": (parse.neighbours, "[ ]\n", {"neighbours": ()}),
    "the FDB": (
        parse.fdb,
        (
            "5E:a3:84:fc:37:ba dev flannel.1 dst 192.168.122.36 self permanent\n"
            "00:00:00:00:00:00 dev flannel.1 dst 239.1.1.1 via eth0 self permanent\n"
            "33:33:00:00:00:01 dev flannel.1 self permanent\n"
            "5e:a3:84:fc:37:bb dev flannel.1 vlan 1 dst fd00::7 self permanent\n#read\n"
        ),
        {
            "vteps": {"192.168.122.36", "239.1.1.1"},
            "fdb": (
                Fdb("5e:a3:84:fc:37:ba", "192.168.122.36", "flannel.1"),
                Fdb("00:00:00:00:00:00", "239.1.1.1", "flannel.1"),
            ),
        },
    ),
    "an empty FDB": (parse.fdb, "#read\n", {"vteps": set(), "fdb": ()}),
    "no FDB": (parse.fdb, "", {"vteps": set(), "fdb": None}),
    "disk": (
        parse.disk,
        "/ /dev/vda 100 60 40 60% /\n/etc /dev/vda 100 60 40 60% /\nro /etc\n",
        {"free": {"/": 40, "/etc": 40}, "read_only": ("/etc",)},
    ),
    "nodes": (
        parse.kube_nodes,
        '{"items":[{"metadata":{"name":"n","labels":{"a":"b"}},"status":{"addresses":[{"address":"1.2.3.4"}]}}]}',
        {"kube_nodes": (KubeNode("n", ("1.2.3.4",), {"a": "b"}),)},
    ),
}


@pytest.mark.parametrize(("parser", "said", "wanted"), PARSED.values(), ids=PARSED)
def test_a_parser(parser: Parser, said: str, wanted: dict[str, Any]) -> None:
    assert parser(said) == wanted


ODD = st.one_of(
    st.text(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "ifname",
                        "addr_info",
                        "linkinfo",
                        "info_data",
                        "flags",
                        "mtu",
                        "dst",
                        "local",
                        "prefixlen",
                        "family",
                        "items",
                        "metadata",
                        "name",
                        "labels",
                        "status",
                        "addresses",
                        "etcdserver",
                        "dev",
                        "lladdr",
                        "state",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    ).map(json.dumps),
)


@settings(max_examples=300)
@given(ODD)
def test_whatever_a_host_says_a_parser_refuses_with_one_kind_of_error(said: str) -> None:
    for probe in probes(ANSWERS, MASTER) + probes(ANSWERS, NODE):
        try:
            fields = probe.read(said)
        except ValueError:
            continue
        Facts(**fields)
