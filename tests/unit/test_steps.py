"""Facts in, commands out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fedwiz.answers.file import Answers
from fedwiz.facts.values import ClusterFacts, File, Firewall, Link, Route, Unit
from fedwiz.model.actions import Action, PutKey, Run, Secret, Value
from fedwiz.steps import STEPS
from fedwiz.steps.docker import DAEMON_JSON, DOCKER_DROP_IN, DUE, FORWARD_UNIT, forward_unit
from fedwiz.steps.flannel import BINARY, DROP_IN_TEXT, SYSCONFIG
from fedwiz.steps.host import LINK_FILE, LINK_TEXT, MODULES_FILE, SYSCTL_FILE
from tests.support.sample_cluster import (
    ANSWERS,
    BARE,
    DONE,
    NODE,
    RUNS,
    answered,
    on,
    stored,
)

BY_NAME = {step.name: step for step in STEPS}
NET = "10.16.0.0/16"


def left(name: str, known: ClusterFacts = BARE, answers: Answers = ANSWERS) -> list[Action]:
    step = BY_NAME[name]
    host = answers.master if step.role == "master" else answers.named("fed-node1")
    return list(step.left(answers, host, known))


def shown(name: str, known: ClusterFacts = BARE, answers: Answers = ANSWERS) -> list[str]:
    return [brief(action) for action in left(name, known, answers)]


def brief(action: Action) -> str:
    """What is done; of a file its mode and its path."""
    words = action.brief.split()
    return " ".join(words[:4]) if words[:2] == ["sh", "put.sh"] else action.brief


def has(known: ClusterFacts, **texts: str) -> ClusterFacts:
    """The cluster with files on fed-node1, by their names in FILES."""
    there = {FILES[name]: File(text, 0o644) for name, text in texts.items()}
    files = known.hosts["fed-node1"].files
    return on("fed-node1", known, files={**files, **there})


FILES = {
    "sysctl": SYSCTL_FILE,
    "modules": MODULES_FILE,
    "link": LINK_FILE,
    "sysconfig": SYSCONFIG,
    "daemon": DAEMON_JSON,
    "drop_in": DOCKER_DROP_IN,
    "forward": FORWARD_UNIT,
}
BRIDGE = "net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n"
SYSCTLS = NODE.sysctls


def put(path: str) -> str:
    return f"sh put.sh 0644 {path}"


STRICT = {**SYSCTLS, "net.ipv4.conf.all.rp_filter": "1"}
LOADED = {"br_netfilter": True, "vxlan": True}
LISTED = "br_netfilter\nvxlan\n"
SET = has(on("*", modules=LOADED), sysctl=BRIDGE, modules=LISTED)


def again(**fields: Any) -> ClusterFacts:
    """A kernel that was set up before, with something else now."""
    return on("*", SET, **fields, files=SET.hosts["fed-node1"].files)


KERNEL: Mapping[str, tuple[ClusterFacts, list[str]]] = {
    "all there but the files": (on("*", modules=LOADED), [put(MODULES_FILE), put(SYSCTL_FILE)]),
    "all there": (SET, []),
    "a module to load": (
        again(modules={"br_netfilter": False, "vxlan": True}),
        ["modprobe br_netfilter"],
    ),
    "a module that the kernel has not": (
        has(
            on("*", modules={"vxlan": True}), sysctl="net.ipv4.ip_forward = 1\n", modules="vxlan\n"
        ),
        [],
    ),
    "no forwarding": (
        again(sysctls={**SYSCTLS, "net.ipv4.ip_forward": "0"}),
        ["sysctl -w net.ipv4.ip_forward=1"],
    ),
    "a strict rp_filter": (
        again(sysctls=STRICT),
        [put(SYSCTL_FILE), "sysctl -w net.ipv4.conf.all.rp_filter=2"],
    ),
    "a strict rp_filter, loosened before": (
        has(
            again(sysctls={**SYSCTLS, "net.ipv4.conf.all.rp_filter": "2"}),
            sysctl=BRIDGE + "net.ipv4.conf.all.rp_filter = 2\n",
        ),
        [],
    ),
}


@pytest.mark.parametrize(("known", "wanted"), KERNEL.values(), ids=KERNEL)
def test_kernel(known: ClusterFacts, wanted: list[str]) -> None:
    assert shown("kernel", known) == wanted


def test_the_link_file_is_written_once() -> None:
    assert shown("link") == [put(LINK_FILE)]
    assert shown("link", has(BARE, link=LINK_TEXT)) == []


def test_networkmanager_is_told_only_where_it_is() -> None:
    assert shown("networkmanager") == []
    runs = on("*", units={**NODE.units, "NetworkManager.service": RUNS})
    assert shown("networkmanager", runs)[-1] == "systemctl reload NetworkManager.service"


PORT, WALL = "8472/udp", Firewall("public")
OPENED = Firewall(
    "public", frozenset({PORT}), frozenset({PORT}), frozenset({NET}), frozenset({NET})
)
FIREWALL: Mapping[str, tuple[Firewall | None, list[str]]] = {
    "no firewalld": (None, []),
    "closed": (
        WALL,
        [
            "firewall-cmd --zone=public --add-port=8472/udp",
            "firewall-cmd --permanent --zone=public --add-port=8472/udp",
            "firewall-cmd --zone=trusted --add-source=10.16.0.0/16",
            "firewall-cmd --permanent --zone=trusted --add-source=10.16.0.0/16",
        ],
    ),
    "open": (OPENED, []),
    "open until the next reload": (
        replace(OPENED, permanent=frozenset()),
        ["firewall-cmd --permanent --zone=public --add-port=8472/udp"],
    ),
}


@pytest.mark.parametrize(("wall", "wanted"), FIREWALL.values(), ids=FIREWALL)
def test_firewall(wall: Firewall | None, wanted: list[str]) -> None:
    assert shown("firewall", on("*", firewall=wall)) == wanted


CONFIG = ANSWERS.config_json()


def test_config_is_written_where_there_is_none() -> None:
    assert left("config") == [
        PutKey(
            "/coreos.com/network/config",
            CONFIG,
            "v2",
            None,
            "",
            "delete /coreos.com/network/config",
        )
    ]


def test_config_is_compared_as_json_and_replaced_at_the_revision_that_was_seen() -> None:
    spaced = json.dumps(json.loads(CONFIG), indent=2, sort_keys=True)
    key = "/coreos.com/network/config"
    assert left("config", stored(config=Value(key, spaced, 9))) == []
    [written] = left("config", stored(config=Value(key, '{"Network": "10.1.0.0/16"}', 9)))
    assert isinstance(written, PutKey)
    assert written.previous == 9


SHA = "a" * 64
RPM = ("flannel.source=rpm", "flannel.path=/tmp/flannel-0.9.0-7.rpm", f"flannel.sha256={SHA}")
BIN = ("flannel.source=binary", "flannel.path=/tmp/flanneld", f"flannel.sha256={SHA}")
FROM_RPM = replace(BARE, supplied=dict.fromkeys(BARE.hosts, "0.9.0-7.fc32"))
FROM_FILE = replace(BARE, supplied=dict.fromkeys(BARE.hosts, "v0.21.5"))
UPLOADED = "/var/lib/fedwiz/flannel.rpm"
PACKAGE: Mapping[str, tuple[ClusterFacts, Answers, list[str]]] = {
    "dnf": (BARE, ANSWERS, ["sh package.sh dnf -y install flannel"]),
    "dnf, installed": (DONE, ANSWERS, []),
    "rpm": (
        FROM_RPM,
        answered(*RPM),
        [
            f"sh put.sh 0600 {UPLOADED}",
            f"sh package.sh dnf -y install {UPLOADED}",
            f"rm -f {UPLOADED}",
        ],
    ),
    "rpm, installed": (
        replace(DONE, supplied=dict.fromkeys(BARE.hosts, "0.9.0-7.fc32")),
        answered(*RPM),
        [],
    ),
    "rpm, an older one installed": (
        replace(DONE, supplied=dict.fromkeys(BARE.hosts, "0.9.0-8.fc33")),
        answered(*RPM),
        [
            f"sh put.sh 0600 {UPLOADED}",
            f"sh package.sh dnf -y install {UPLOADED}",
            f"rm -f {UPLOADED}",
        ],
    ),
    "binary": (
        FROM_FILE,
        answered(*BIN),
        [f"sh put.sh 0755 {BINARY}"],
    ),
    "binary, there": (on("*", FROM_FILE, hashes={BINARY: SHA}), answered(*BIN), []),
}


@pytest.mark.parametrize(("known", "answers", "wanted"), PACKAGE.values(), ids=PACKAGE)
def test_package(known: ClusterFacts, answers: Answers, wanted: list[str]) -> None:
    assert shown("package", known, answers) == wanted


def test_what_is_uploaded_is_checked_before_it_is_used() -> None:
    upload, *_ = left("package", FROM_RPM, answered(*RPM))
    assert isinstance(upload, Run)
    assert upload.upload == "/tmp/flannel-0.9.0-7.rpm"
    assert upload.argv[-2:] == ("any", SHA)
    older = on("*", FROM_FILE, hashes={BINARY: "b" * 64})
    for known, there in ((FROM_FILE, "absent"), (older, "b" * 64)):
        [upload] = left("package", known, answered(*BIN))
        assert isinstance(upload, Run)
        assert upload.argv[-2:] == (there, SHA)


def test_a_file_is_written_over_the_one_that_was_read_alone() -> None:
    [new] = left("link")
    [changed] = left("link", has(BARE, link="# mine\n"))
    assert isinstance(new, Run)
    assert isinstance(changed, Run)
    whole = hashlib.sha256(LINK_TEXT.encode()).hexdigest()[:16]
    assert new.argv[-2:] == ("absent", whole)
    assert changed.argv[-2:] == (hashlib.sha256(b"# mine\n").hexdigest()[:16], whole)


OLD_UNIT = "[Service]\nExecStart=/usr/bin/flanneld -etcd-endpoints=${FLANNEL_ETCD} -etcd-prefix=${FLANNEL_ETCD_KEY} $FLANNEL_OPTIONS\n"  # noqa: E501
URL = "http://fed-master:2379"
SYSCONF: Mapping[str, tuple[ClusterFacts, Answers, dict[str, str]]] = {
    "no package yet: both pairs": (
        BARE,
        ANSWERS,
        {
            "FLANNEL_ETCD": URL,
            "FLANNEL_ETCD_KEY": "/coreos.com/network",
            "FLANNEL_ETCD_ENDPOINTS": URL,
            "FLANNEL_ETCD_PREFIX": "/coreos.com/network",
            "FLANNEL_OPTIONS": "-ip-masq",
        },
    ),
    "a unit of old names": (
        on("*", flanneld_unit=OLD_UNIT),
        ANSWERS,
        {
            "FLANNEL_ETCD": URL,
            "FLANNEL_ETCD_KEY": "/coreos.com/network",
            "FLANNEL_OPTIONS": "-ip-masq",
        },
    ),
    "right already": (DONE, ANSWERS, {}),
    "another interface": (
        DONE,
        answered("host.fed-node1.interface=eth1"),
        {"FLANNEL_OPTIONS": "-ip-masq -iface=eth1"},
    ),
    "no certificates any more": (
        has(
            DONE,
            sysconfig=DONE.hosts["fed-node1"].files[SYSCONFIG].text
            + 'FLANNELD_ETCD_CAFILE="/ca"\nFLANNELD_ETCD_USERNAME=""\n',
        ),
        ANSWERS,
        {"FLANNELD_ETCD_CAFILE": ""},
    ),
    "certificates": (
        DONE,
        answered(
            'etcd.endpoints=["https://fed-master:2379"]',
            "etcd.ca_file=/etc/etcd/ca.pem",
            "etcd.cert_file=/etc/etcd/c.pem",
            "etcd.key_file=/etc/etcd/k.pem",
        ),
        {
            "FLANNEL_ETCD_ENDPOINTS": "https://fed-master:2379",
            "FLANNELD_ETCD_CAFILE": "/etc/etcd/ca.pem",
            "FLANNELD_ETCD_CERTFILE": "/etc/etcd/c.pem",
            "FLANNELD_ETCD_KEYFILE": "/etc/etcd/k.pem",
        },
    ),
}


@pytest.mark.parametrize(("known", "answers", "wanted"), SYSCONF.values(), ids=SYSCONF)
def test_sysconfig(known: ClusterFacts, answers: Answers, wanted: dict[str, str]) -> None:
    words = [word for pair in wanted.items() for word in pair]
    runs = left("sysconfig", known, answers)
    there = known.hosts["fed-node1"].files.get(SYSCONFIG)
    seen = hashlib.sha256(there.text.encode()).hexdigest()[:16] if there else "absent"
    if "flannel" not in known.hosts["fed-node1"].packages:
        seen = "any"  # the package brings one
    assert [run.argv[3:] for run in runs if isinstance(run, Run)] == (
        [("sysconfig.sh", SYSCONFIG, seen, *words)] if wanted else []
    )


def test_the_etcd_password_goes_into_a_file_of_root_s_and_is_never_shown() -> None:
    answers = answered("etcd.user=flannel")
    known = replace(BARE, etcd_password=Secret("etcd password", 'a"b$c'))
    runs = [run for run in left("unit", known, answers) if isinstance(run, Run)]
    secret = next(run for run in runs if "fedwiz-etcd" in run.shown)
    assert "a" + '"b' not in secret.shown + secret.input() + repr(secret)
    assert secret.input(reveal=True) == 'FLANNELD_ETCD_PASSWORD="a\\"b\\$c"\n'
    assert secret.argv[4:] == ("0600", "/etc/sysconfig/fedwiz-etcd", "absent", "line")
    assert any("EnvironmentFile=/etc/sysconfig/fedwiz-etcd" in run.input() for run in runs)


DEAF = "# /usr/lib/systemd/system/docker.service\n[Service]\nExecStart=/usr/bin/dockerd -H fd://\n"
HEARS = f"{DEAF}# {DOCKER_DROP_IN}\n[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_NETWORK_OPTIONS\n"  # noqa: E501
DOCKER28 = "Docker version 28.5.2, build ecc6942"


def test_docker_of_fedora_s_needs_nothing() -> None:
    assert left("docker") == []


def test_a_docker_unit_that_ignores_the_options_is_made_to_hear_them() -> None:
    first, reload = left("docker", on("*", docker_unit=DEAF))
    assert isinstance(first, Run)
    assert first.input().splitlines()[2:] == [
        "ExecStart=",
        "ExecStart=/usr/bin/dockerd -H fd:// $DOCKER_NETWORK_OPTIONS",
    ]
    assert reload.shown == "systemctl daemon-reload"
    done = has(on("*", docker_unit=HEARS), drop_in=first.input())
    assert left("docker", done) == []


DAEMON: Mapping[str, tuple[str, str | None, Any]] = {
    "docker 20": ("Docker version 20.10.24", None, None),
    "docker 28, no file": (DOCKER28, None, {"allow-direct-routing": True}),
    "docker 28, a file": (
        DOCKER28,
        '{"live-restore": true}',
        {"live-restore": True, "allow-direct-routing": True},
    ),
    "docker 28, set": (DOCKER28, '{"allow-direct-routing": true}', None),
    "docker 28, a file that is not JSON": (DOCKER28, "{", None),
    "docker 28, a file that is not UTF-8": (DOCKER28, '{"labels": ["gr\udcf6sse"]}', None),
}


@pytest.mark.parametrize(("docker", "text", "after"), DAEMON.values(), ids=DAEMON)
def test_daemon_json(docker: str, text: str | None, after: object) -> None:
    known = on("*", docker_version=docker)
    known = known if text is None else has(known, daemon=text)
    runs = [run for run in left("docker", known) if isinstance(run, Run)]
    assert [json.loads(run.input()) for run in runs] == ([] if after is None else [after])


def test_docker_28_0_gets_a_variable_since_it_has_no_such_key() -> None:
    first, _ = left("docker", on("*", docker_version="Docker version 28.0.1"))
    assert isinstance(first, Run)
    assert "Environment=DOCKER_INSECURE_NO_IPTABLES_RAW=1" in first.input()


FORWARDED = [
    put(FORWARD_UNIT),
    "systemctl daemon-reload",
    "systemctl enable fedwiz-forward.service",
    "systemctl restart fedwiz-forward.service",
]
RULE = f"-A DOCKER-USER -s {NET} -d {NET} -j ACCEPT"
REJECTS = {"filter": ("-P FORWARD ACCEPT", "-A FORWARD -j REJECT --reject-with icmp-host-prohib")}
UNITS = {**NODE.units, "fedwiz-forward.service": RUNS}
NEW = on("*", offered="0.21.5-1.fc42")
FORWARD: Mapping[str, tuple[ClusterFacts, list[str]]] = {
    "flannel 0.9.0 adds no rules": (BARE, FORWARDED),
    "flannel 0.21.5 and docker 20": (NEW, []),
    "docker 28 drops first": (on("*", NEW, docker_version=DOCKER28), FORWARDED),
    "a REJECT stands before": (on("*", NEW, rules=REJECTS), FORWARDED),
    "done": (has(on("*", units=UNITS, rules={"filter": (RULE,)}), forward=forward_unit(NET)), []),
    "the rule has gone": (has(on("*", units=UNITS), forward=forward_unit(NET)), FORWARDED[3:]),
    "of another network": (
        has(on("*", units=UNITS, rules={"filter": (RULE,)}), forward=forward_unit("10.9.0.0/16")),
        ["systemctl stop fedwiz-forward.service", *FORWARDED[:2], FORWARDED[3]],
    ),
}


def test_a_flannel_that_is_told_to_add_no_rules_adds_none() -> None:
    answers = answered('flannel.options=["-ip-masq", "-iptables-forward-rules=false"]')
    assert shown("forward", NEW, answers) == FORWARDED


@pytest.mark.parametrize(("known", "wanted"), FORWARD.values(), ids=FORWARD)
def test_forward(known: ClusterFacts, wanted: list[str]) -> None:
    assert shown("forward", known) == wanted


READY = on(
    "*",
    DONE,
    files={
        **DONE.hosts["fed-node1"].files,
        "/etc/systemd/system/flanneld.service.d/60-fedwiz.conf": File(DROP_IN_TEXT, 0o644),
    },
)
"""Nothing is left for the steps before the switch."""

N1 = READY.hosts["fed-node1"]
STALE = Link("flannel.2", "aa:bb:cc:dd:ee:ff", 1450, True, ("10.16.29.0/32",), "vxlan", 2, 8472)
THIN = tuple(replace(link, mtu=1350) if link.name == "flannel.1" else link for link in N1.links)
OLD_DOCKER0 = tuple(
    replace(link, addresses=("172.17.0.1/16",)) if link.name == "docker0" else link
    for link in N1.links
)
ENV = dict(N1.subnet_env or {})
PORTED = tuple(replace(it, port=4789) if it.name == "flannel.1" else it for it in N1.links)
OLD_ROUTES = "'10.16.83.0/24 via 192.168.122.36' '10.9.4.0/24 via 192.168.122.127'"
TWICE = tuple(
    replace(it, addresses=(*it.addresses, "10.16.5.0/32")) if it.name == "flannel.1" else it
    for it in N1.links
)
IDLE = {**N1.units, "docker.service": Unit("loaded", "inactive", "disabled")}
SWITCH: Mapping[str, tuple[ClusterFacts, list[str]]] = {
    "bare": (BARE, [f"sh switch.sh {NET} 45"]),
    "done": (READY, []),
    "docker does not run": (on("fed-node1", READY, units=IDLE, links=OLD_DOCKER0), []),
    "docker0 is elsewhere": (on("fed-node1", READY, links=OLD_DOCKER0), [f"sh switch.sh {NET} 45"]),
    "flanneld is down": (
        on("fed-node1", READY, units={**N1.units, "flanneld.service": Unit("loaded", "failed")}),
        [f"sh switch.sh {NET} 45"],
    ),
    "no subnet.env": (
        on("fed-node1", READY, subnet_env=None),
        [f"sh switch.sh {NET} 45 flannel.1"],
    ),
    "subnet.env is garbage": (
        on("fed-node1", READY, subnet_env={"FLANNEL_SUBNET": "$(reboot)"}),
        [f"sh switch.sh {NET} 45 flannel.1"],
    ),
    "leftovers of another VNI and MTU": (
        on("fed-node1", READY, links=(*THIN, STALE), subnet_env=None),
        [f"sh switch.sh {NET} 45 flannel.1 flannel.2"],
    ),
    "a device with an earlier subnet too": (
        on("fed-node1", READY, links=TWICE),
        [f"sh switch.sh {NET} 45 flannel.1"],
    ),
    "another port": (on("fed-node1", READY, links=PORTED), [f"sh switch.sh {NET} 45 flannel.1"]),
    "subnet.env of a larger network": (
        on("fed-node1", READY, subnet_env={**ENV, "FLANNEL_NETWORK": "10.0.0.0/8"}),
        [f"sh switch.sh {NET} 45"],
    ),
    "a subnet of another length": (
        on("fed-node1", READY, subnet_env={**ENV, "FLANNEL_SUBNET": "10.16.29.1/25"}),
        [f"sh switch.sh {NET} 45 flannel.1"],
    ),
    "an earlier run ended before its switch": (
        on("fed-node1", READY, files={**N1.files, DUE: File("", 0o600)}),
        [f"sh switch.sh {NET} 45"],
    ),
    "routes of host-gw's, the old network's among them": (
        on(
            "fed-node1",
            READY,
            subnet_env={**ENV, "FLANNEL_NETWORK": "10.9.0.0/16"},
            routes=(
                *N1.routes,
                Route("10.16.83.0/24", "eth0", "192.168.122.36"),
                Route("10.9.4.0/24", "eth0", "192.168.122.127"),
                Route("10.7.0.0/16", "eth0", "192.168.122.127"),
                Route("10.16.7.0/24", "eth0", "192.168.122.1"),  # no peer's: somebody else's
            ),
        ),
        [f"sh switch.sh {NET} 45 {OLD_ROUTES}"],
    ),
    "another config": (
        stored(READY, config=Value("k", '{"Network":"10.1.0.0/16"}', 3)),
        [f"sh switch.sh {NET} 45"],
    ),
}


@pytest.mark.parametrize(("known", "wanted"), SWITCH.values(), ids=SWITCH)
def test_switch(known: ClusterFacts, wanted: list[str]) -> None:
    assert shown("switch", known) == wanted


def test_the_switch_is_one_unit_and_says_that_it_stops_containers() -> None:
    [switch] = left("switch")
    assert isinstance(switch, Run)
    assert switch.unit
    assert switch.interrupts
    [alone] = left("switch", on("*", units=IDLE))
    assert isinstance(alone, Run)
    assert not alone.interrupts


def test_a_reboot_is_followed_by_a_look_at_what_came_up() -> None:
    reboot, settle = left("switch", answers=answered("docker.switch=reboot"))
    assert isinstance(reboot, Run)
    assert reboot.reboots
    assert reboot.interrupts
    assert settle.brief == "sh settle.sh docker 90"
    assert isinstance(settle, Run)
    assert settle.unit, "its way back is not cut in half either"


@pytest.mark.parametrize("seconds", [5, 600])
def test_flanneld_gets_the_seconds_that_it_may_take_and_what_waits_for_it_more(
    seconds: int,
) -> None:
    said = f"docker.ready_within={seconds}"
    [switch] = left("switch", answers=answered(said))
    _, settle = left("switch", answers=answered(said, "docker.switch=reboot"))
    assert switch.brief == f"sh switch.sh {NET} {seconds}"
    assert settle.brief == f"sh settle.sh docker {seconds + 45}", "docker starts after it"
    for run in (switch, settle):
        assert isinstance(run, Run)
        assert run.timeout >= seconds + 300


def test_what_a_running_daemon_would_not_see_is_noted_before_it_is_written() -> None:
    """Or a run that ends in between would leave nothing to do for the next one."""
    docker28 = on("fed-node1", READY, docker_version=DOCKER28)
    assert left("docker", docker28)
    assert shown("due", docker28) == ["sh put.sh 0600 /run/fedwiz/switch-due"]
    assert shown("due", READY) == []
    assert shown("due", BARE) == [], "flanneld has to be started there anyway"
    order = list(BY_NAME)
    assert all(order.index("due") < order.index(each) for each in ("package", "docker", "switch"))


def test_a_cluster_that_still_runs_another_backend_is_not_done() -> None:
    """A run that ended after it wrote the config: etcd says host-gw, the nodes do vxlan."""
    known = stored(READY, config=Value("k", GW.config_json(), 8))
    assert shown("switch", known, GW) == [f"sh switch.sh {NET} 45 flannel.1"]


PEERS = "192.168.122.36 192.168.122.127"
GW = answered("backend.type=host-gw")
ROUTES = tuple(Route(f"10.16.{n}.0/24", "eth0", to) for n, to in enumerate(PEERS.split()))
PLAIN = tuple(link for link in N1.links if link.name != "flannel.1")
GW_READY = stored(
    on("*", READY, routes=ROUTES, links=PLAIN), config=Value("k", GW.config_json(), 8)
)
PEER: Mapping[str, tuple[ClusterFacts, Answers, list[str]]] = {
    "bare": (BARE, ANSWERS, [f"sh peers.sh fdb {PEERS}"]),
    "done": (READY, ANSWERS, []),
    "one is missing": (
        on("fed-node1", READY, vteps=frozenset({"192.168.122.36"})),
        ANSWERS,
        [f"sh peers.sh fdb {PEERS}"],
    ),
    "host-gw": (BARE, GW, [f"sh peers.sh route {PEERS}"]),
    "host-gw, done": (GW_READY, GW, []),
    "udp keeps it to itself": (BARE, answered("backend.type=udp"), []),
}


@pytest.mark.parametrize(("known", "answers", "wanted"), PEER.values(), ids=PEER)
def test_peers(known: ClusterFacts, answers: Answers, wanted: list[str]) -> None:
    assert shown("peers", known, answers) == wanted


def test_every_step_that_changes_something_says_how_it_is_taken_back() -> None:
    told = [
        (name, action.brief)
        for name in BY_NAME
        for action in left(name)
        if not action.undo and not action.brief.startswith(("systemctl daemon-reload", "sh peers"))
    ]
    assert told == []
