"""Causes in the state of nodes and of etcd: what is found, what explains, and what mends show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from fedwiz.answers.file import Answers
from fedwiz.diagnose import Diagnosis, causes
from fedwiz.diagnose.refused import refusing
from fedwiz.diagnose.values import Case, Hop, Look
from fedwiz.facts.values import ClusterFacts, Endpoint, Facts, File, Firewall, Link, Unit
from fedwiz.model.actions import PutKey, Run
from fedwiz.verify import nodes
from fedwiz.verify.values import Pod, Up
from tests.support.sample_cluster import (
    ADDRESSES,
    ANSWERS,
    DONE,
    MACS,
    MASTER,
    STOPPED,
    SUBNETS,
    URL,
    answered,
    lease,
    on,
    stored,
)

N1, N2, N3 = "fed-node1", "fed-node2", "fed-node3"
DOCKER_UNIT = DONE.hosts[N1].docker_unit + "EnvironmentFile=-/run/flannel/docker\n"
WELL = on("*", DONE, docker_unit=DOCKER_UNIT)
SYSCONFIG = "/etc/sysconfig/flanneld"
LEASES = {
    name: lease(f"{SUBNETS[name]}.0/24", ADDRESSES[name], MACS[name]) for name in (N1, N2, N3)
}


@dataclass(frozen=True)
class Row:
    """A cluster with a fault, and what is said of the pair node1 -> node2."""

    known: ClusterFacts
    cause: str
    host: str = N2
    explains: bool = True
    said: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    """By host and what is shown in one line."""

    pings: bool = False
    lost: str = ""
    """The hop that packets get to no more."""

    looks: Mapping[str, Look] = field(default_factory=dict)
    ups: Mapping[str, Up] = field(default_factory=dict)
    answers: Answers = ANSWERS


def case_of(row: Row, pair: tuple[str, str] = (N1, N2)) -> Case:
    hops = (Hop("there", N2, row.lost, 0),) if row.lost else ()
    sent = 3 if row.pings else 0
    net = nodes.overlay(row.answers, row.known)
    return Case(row.answers, row.known, net, *pair, row.ups, row.looks, hops, sent, sent)


def units(host: str, **more: Unit) -> dict[str, Any]:
    named = {f"{name}.service": unit for name, unit in more.items()}
    return {"units": {**WELL.hosts[host].units, **named}}


def config(text: str) -> dict[str, Any]:
    return {"files": {SYSCONFIG: File(text, 0o644)}}


def links(host: str, **more: str) -> dict[str, Any]:
    """With another address of that interface, which is made where it is not there."""
    held = {link.name: link for link in WELL.hosts[host].links}
    made = {
        name: replace(held[name], addresses=(text,))
        if name in held
        else Link(name, "52:54:00:00:09:09", 1500, True, (text,))
        for name, text in more.items()
    }
    return {"links": tuple({**held, **made}.values())}


def env(host: str, subnet: str) -> dict[str, Any]:
    """On another subnet, docker and all."""
    said = {**(WELL.hosts[host].subnet_env or {}), "FLANNEL_SUBNET": subnet}
    return {"subnet_env": said, **links(host, docker0=subnet)}


TEXT = WELL.hosts[N2].files[SYSCONFIG].text
DOWN = Unit("loaded", "inactive", "enabled")
FAILED = Unit("loaded", "failed", "enabled")
STARTING = Unit("loaded", "activating", "enabled")
AGAIN = {"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "9"}
WITH_ETH9 = links(N2, eth9="10.99.9.2/24")
NAT = on(N2, WELL, **env(N2, "10.16.29.1/24"))
NAT = on(N2, NAT, **links(N2, eth9="10.0.2.15/24", docker0="10.16.29.1/24"))
NAT = on(N1, NAT, **links(N1, eth9="10.0.2.15/24"))
NAT = on("*", NAT, **config(TEXT.replace("-ip-masq", "-ip-masq -iface=eth9")))
NAT = stored(NAT, leases=(lease("10.16.29.0/24", "10.0.2.15"), LEASES[N3]))
NO_ETCD = {"etcd": {URL: Endpoint(error="curl: (7) Failed to connect: Connection refused")}}
OUTPUT = f"-A OUTPUT -d {ADDRESSES[MASTER]}/32 -p tcp -m tcp --dport 2379 -j REJECT"
INPUT = f"-A INPUT -s {ADDRESSES[N2]}/32 -p tcp -j DROP"


LEARNT = (f"{N1} sh peers.sh fdb {ADDRESSES[N2]}", f"{N2} sh peers.sh fdb {ADDRESSES[N1]}")
"""What waits until both nodes know of each other again."""


def filtered(host: str, *rules: str) -> dict[str, Any]:
    held = WELL.hosts[host].rules
    return {"rules": {**held, "filter": (*held["filter"], *rules)}}


ABSENT = replace(
    WELL, hosts={name: it for name, it in WELL.hosts.items() if name != N2}, lost={N2: "no route"}
)
ROWS = {
    "not there": Row(
        ABSENT,
        "unreachable",
        said=("no route", f"`ssh {ADDRESSES[N2]}`", "could not be asked"),
    ),
    "no container": Row(
        WELL,
        "no-container",
        said=("no space left", "`systemctl restart docker` on fed-node2"),
        ups={N2: Up(error="no space left")},
    ),
    "no container, and no docker": Row(
        WELL,
        "no-container",
        said=("docker does not run there",),
        ups={N2: Up(docker=False, error="no subnet")},
    ),
    "docker0 elsewhere": Row(
        on(N2, WELL, **links(N2, docker0="172.17.0.1/16")),
        "docker-astray",
        said=("has not taken 10.16.83.1/24", "172.17.0.1/16"),
        fixes=(f"{N2} sh restart.sh skip move - 45",),
    ),
    "containers elsewhere": Row(
        WELL,
        "docker-astray",
        said=("a container got 172.18.0.2", "see `systemctl cat docker`"),
        ups={N2: Up("", True, Pod(7, "net:[4]", IPv4Address("172.18.0.2"), 1450))},
    ),
    "docker that heeds no options": Row(
        on(N2, on("*", DONE), docker_unit="", **links(N2, docker0="172.17.0.1/16")),
        "docker-astray",
        said=("`fedwiz install`",),
    ),
    "stopped, and the data path stays": Row(
        on(N2, WELL, **units(N2, flanneld=DOWN)),
        "flanneld-down",
        explains=False,
        pings=True,
        looks={N2: Look(log=("Stopping flanneld.service - x",))},
        said=("flanneld does not run on fed-node2: it was stopped", "Restart=always"),
        fixes=(f"{N2} sh restart.sh keep leave - 45",),
    ),
    "stopped with docker": Row(
        on(N2, WELL, **units(N2, flanneld=DOWN, docker=DOWN)),
        "flanneld-down",
        lost="forwarding-in",
        fixes=(f"{N2} sh restart.sh keep leave - 45", f"{N2} systemctl start docker.service"),
    ),
    "ended without its lease": Row(
        stored(on(N2, WELL, **units(N2, flanneld=DOWN)), leases=(LEASES[N1], LEASES[N3])),
        "flanneld-down",
        looks={N2: Look(log=("Starting flanneld", "Lease has been revoked. Shutting down."))},
        said=("its lease was deleted or ran out, and it ended",),
        fixes=(f"{N2} sh restart.sh keep leave - 45",),
    ),
    "stopped, and it panics then": Row(
        on(N2, WELL, **units(N2, flanneld=FAILED)),
        "flanneld-down",
        explains=False,
        pings=True,
        looks={N2: Look(log=("Starting x", "Stopping x", "panic: close of closed channel"))},
        said=("it was stopped",),
        fixes=(f"{N2} sh restart.sh keep leave - 45",),
    ),
    "failed": Row(
        on(N2, WELL, **units(N2, flanneld=FAILED)),
        "flanneld-down",
        explains=False,
        pings=True,
        looks={N2: Look(log=("connection refused", "Starting x", "out of subnets"))},
        said=("it failed, and all subnets of the network are leased",),
        fixes=(f"{N2} sh restart.sh keep leave - 45",),
    ),
    "a flag that it does not know": Row(
        on(N2, WELL, **units(N2, flanneld=STARTING), **config(TEXT.replace("-ip-masq", "-nope"))),
        "flanneld-restarting",
        explains=False,
        pings=True,
        looks={N2: Look(AGAIN, ("flag provided but not defined: -nope",))},
        said=("over and over", "does not know one of its flags", 'FLANNEL_OPTIONS is "-nope"'),
        fixes=(f"{N2} sh restart.sh keep leave 0644 45",),
    ),
    "nobody's fault but the config's": Row(
        on(N2, WELL, **units(N2, flanneld=STARTING)),
        "flanneld-restarting",
        explains=False,
        pings=True,
        looks={N2: Look({"SubState": "start"}, ("out of subnets",))},
        said=("is not ready, and waits", "delete the leases of hosts that are gone"),
    ),
    "no lease": Row(
        stored(WELL, leases=(LEASES[N1], LEASES[N3])),
        "lease-missing",
        said=("etcd has no lease of that node's", "10.16.83.1/24"),
        fixes=(f"{N2} sh restart.sh keep leave - 45", *LEARNT),
    ),
    "a cloned subnet.env": Row(
        stored(on(N2, WELL, **env(N2, "10.16.29.1/24")), leases=(LEASES[N1], LEASES[N3])),
        "lease-taken",
        said=("fed-node2 and fed-node1 both have", "its lease is fed-node1's"),
        fixes=(f"{N2} sh restart.sh forget move - 45", *LEARNT),
    ),
    "one address": Row(
        NAT,
        "same-public-ip",
        host=N1,
        said=("fed-node1 and fed-node2 publish one address",),
        fixes=tuple(f"{host} sh restart.sh forget move 0644 45" for host in (N1, N2)),
    ),
    "an interface that peers do not reach": Row(
        stored(
            on(N2, WELL, **WITH_ETH9, **config(TEXT.replace("-ip-masq", "-ip-masq -iface=eth9"))),
            leases=(LEASES[N1], lease("10.16.83.0/24", "10.99.9.2", MACS[N2]), LEASES[N3]),
        ),
        "wrong-interface",
        lost="arriving",
        said=("publishes 10.99.9.2, which fed-node1 does not reach", "take the other -iface out"),
        fixes=(f"{N2} sh restart.sh keep move 0644 45", *LEARNT),
    ),
    "another prefix": Row(
        on(N2, WELL, **config(TEXT.replace("coreos.com", "atomic.io"))),
        "other-prefix",
        explains=False,
        pings=True,
        said=("under /atomic.io/network in etcd",),
        fixes=(f"{N2} sh restart.sh keep leave 0644 45",),
    ),
    "another prefix, and no lease": Row(
        stored(
            on(N2, WELL, **config(TEXT.replace("coreos.com", "atomic.io"))),
            leases=(LEASES[N1], LEASES[N3]),
        ),
        "other-prefix",
        said=("no lease under /coreos.com/network is of fed-node2",),
        fixes=(f"{N2} sh restart.sh keep leave 0644 45",),
    ),
    "the other API": Row(
        stored(on(N2, WELL, **units(N2, flanneld=STARTING)), config=None, other="{}"),
        "other-api",
        host=MASTER,
        explains=False,
        pings=True,
        said=("not in etcd's v2, which flannel reads: it is in v3",),
        fixes=(
            f"{MASTER} ETCDCTL_API=2 etcdctl set {ANSWERS.key} '{ANSWERS.config_json()}'",
            f"{N2} sh restart.sh wait leave - 45",
        ),
    ),
    "no way to etcd, by a rule of its own": Row(
        on(N2, WELL, **NO_ETCD, **filtered(N2, OUTPUT)),
        "etcd-unreachable",
        explains=False,
        pings=True,
        said=("it is refused, by `-A OUTPUT", "and the firewall's own rules too"),
        fixes=(f"{N2} iptables -w -I OUTPUT -d {ADDRESSES[MASTER]} -p tcp --dport 2379 -j ACCEPT",),
    ),
    "no way to etcd, by a rule of the master's": Row(
        on(N2, on(MASTER, WELL, **filtered(MASTER, INPUT)), **NO_ETCD),
        "etcd-unreachable",
        host=MASTER,
        explains=False,
        pings=True,
        said=("-A INPUT -s",),
        fixes=(f"{MASTER} iptables -w -I INPUT -s {ADDRESSES[N2]} -p tcp --dport 2379 -j ACCEPT",),
    ),
    "no way to etcd, by firewalld": Row(
        on(N2, on(MASTER, WELL, firewall=Firewall("public")), **NO_ETCD),
        "etcd-unreachable",
        host=MASTER,
        explains=False,
        pings=True,
        said=("firewalld on fed-master", "--permanent"),
        fixes=(f"{MASTER} firewall-cmd --zone=public --add-port=2379/tcp",),
    ),
    "no way to etcd, and nobody knows why": Row(
        on(N2, WELL, **NO_ETCD),
        "etcd-unreachable",
        explains=False,
        pings=True,
        said=(f"`curl {URL}/version`",),
    ),
    "a clock, with chronyd": Row(
        on(N2, WELL, skew=-7000.0, **units(N2, chronyd=STOPPED)),
        "clock-skew",
        explains=False,
        pings=True,
        said=("7000 s behind the others", "chronyc makestep"),
        fixes=(f"{N2} sh clock.sh step",),
    ),
    "a clock, without": Row(
        on(N2, WELL, skew=7000.0),
        "clock-skew",
        explains=False,
        pings=True,
        said=("7000 s ahead of the others", "have chronyd or another"),
    ),
}


def only(row: Row) -> Diagnosis:
    (found,) = causes(case_of(row))
    return found


@pytest.mark.parametrize("name", ROWS)
def test_the_cause_is_named_and_no_other(name: str) -> None:
    row = ROWS[name]
    it = only(row)
    assert (it.cause, it.host, it.explains) == (row.cause, row.host, row.explains), it
    text = "\n".join((it.why, it.seen, it.remedy))
    assert [part for part in row.said if part not in text] == [], text
    assert tuple(f"{mend.host} {mend.do.brief}" for mend in it.fixes) == row.fixes


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.host == N2])
def test_a_pair_that_is_not_concerned_is_told_nothing(name: str) -> None:
    assert causes(case_of(replace(ROWS[name], pings=True, lost=""), (N3, N1))) == ()


def test_what_explains_the_loss_stands_before_what_is_wrong_besides() -> None:
    sysctls = {**WELL.hosts[N2].sysctls, "net.ipv4.ip_forward": "0"}
    both = on(N2, WELL, skew=7200.0, sysctls=sysctls)
    found = causes(case_of(Row(both, "", lost="routing-in")))
    assert [(it.cause, it.explains) for it in found] == [
        ("ip-forward", True),
        ("clock-skew", False),
    ]


def test_nothing_is_wrong_with_a_cluster_that_is_right() -> None:
    assert causes(case_of(Row(WELL, "", pings=True))) == ()


def test_a_cluster_that_told_nothing_is_called_nothing() -> None:
    silent = replace(WELL, hosts=dict.fromkeys(WELL.hosts, Facts()))
    found = causes(case_of(Row(silent, "", pings=True)))
    assert found == ()


@pytest.mark.parametrize("skew", [0.0, 20.0, -1700.0])
def test_a_clock_that_does_no_harm_is_no_cause(skew: float) -> None:
    assert causes(case_of(Row(on(N2, WELL, skew=skew), "", pings=True))) == ()


def test_another_interface_that_peers_reach_is_no_cause() -> None:
    assert causes(case_of(replace(ROWS["an interface that peers do not reach"], pings=True))) == ()


def test_an_address_that_was_never_the_nodes_own_is_its_operators_choice() -> None:
    """As behind a NAT, with -public-ip."""
    moved = on(N2, WELL, **links(N2, eth0="192.168.122.99/24"))
    assert only(Row(moved, "", lost="arriving")).cause == "unknown"


def test_one_endpoint_that_answers_is_enough() -> None:
    both = f"{URL},http://other:2379".split(",")
    ends = {URL: Endpoint(error="refused"), both[1]: Endpoint("3.4.23", v2=True)}
    known = on(N2, WELL, etcd=ends)
    row = Row(known, "", pings=True, answers=answered(f"etcd.endpoints={both}".replace("'", '"')))
    assert "etcd-unreachable" not in [it.cause for it in causes(case_of(row))]


def test_the_old_settings_come_back_as_they_were_byte_by_byte() -> None:
    text = "# of ours\n\nFLANNEL_ETCD_PREFIX=/atomic.io/network\nODD='1'"
    row = Row(on(N2, WELL, files={SYSCONFIG: File(text, 0o600)}), "other-prefix", pings=True)
    do = only(row).fixes[0].do
    assert isinstance(do, Run)
    assert do.back is not None
    assert (do.back.input(), do.back.argv[-2]) == (text, "0600")
    assert '/coreos.com/network"' in do.input()
    assert "# of ours" in do.input()
    assert "+FLANNEL_ETCD_PREFIX" in do.diff


def test_settings_with_a_password_are_not_kept_for_the_way_back() -> None:
    text = f'{TEXT.replace("coreos.com", "atomic.io")}FLANNELD_ETCD_PASSWORD="x"\n'
    do = only(Row(on(N2, WELL, **config(text)), "other-prefix", pings=True)).fixes[0].do
    assert do.back is None


def test_where_etcd_has_users_there_is_no_way_back_that_writes_into_it() -> None:
    row = ROWS["a cloned subnet.env"]
    do = only(row).fixes[0].do
    assert do.back is not None
    assert do.back.argv[4:10] == ("recall", "move", "-", "45", "v2", URL)
    do = only(replace(row, answers=answered("etcd.user=root"))).fixes[0].do
    assert do.back is None
    assert "nothing" in do.undo


@pytest.mark.parametrize("name", ["a cloned subnet.env", "the other API"])
def test_flanneld_gets_the_seconds_that_it_may_take_and_the_remedy_more(name: str) -> None:
    slow = replace(ROWS[name], answers=answered("docker.ready_within=600"))
    said = [mend.do for mend in only(slow).fixes if " restart.sh " in f" {mend.do.brief} "]
    runs = [it for it in said if isinstance(it, Run)]
    assert runs
    for run in (*runs, *(run.back for run in runs if isinstance(run.back, Run))):
        assert run.argv[7] == "600"
        assert run.timeout > 600


def test_a_key_that_was_written_goes_again_if_it_is_unchanged() -> None:
    do = only(ROWS["the other API"]).fixes[0].do
    assert isinstance(do, PutKey)
    assert do.back is not None
    said = do.back.argv[3:]
    assert said == ("etcd-key.sh", "v2", URL, do.key, do.value, "", "", "")


PACKET = ("INPUT", "10.9.0.4", "", 2379)
DROP = "-A INPUT -p tcp -m tcp --dport 2379 -j DROP"
WIDE = "-A INPUT -p tcp -m tcp --dport 2000:3000 -j REJECT --reject-with x"
REFUSING = {
    "nothing": ((), ""),
    "a rule": ((DROP,), DROP),
    "one of a comment": (
        ('-A INPUT -m comment --comment "keep out" -j DROP',),
        '-A INPUT -m comment --comment "keep out" -j DROP',
    ),
    "a range": ((WIDE,), WIDE),
    "another port": (("-A INPUT -p tcp -m tcp --dport 2380 -j DROP",), ""),
    "another source": (("-A INPUT -s 10.8.0.0/16 -j DROP",), ""),
    "a source": (("-A INPUT -s 10.9.0.0/16 -j DROP",), "-A INPUT -s 10.9.0.0/16 -j DROP"),
    "accepted before": (("-A INPUT -s 10.9.0.4/32 -j ACCEPT", DROP), ""),
    "a match that is not known": (
        ("-A INPUT -i lo -j ACCEPT", "-A INPUT ! -s 1.2.3.4 -j DROP"),
        "",
    ),
    "a chain": (("-A INPUT -j IN", "-A IN -p tcp -j DROP"), "-A IN -p tcp -j DROP"),
    "a chain that returns": (("-A INPUT -j IN", "-A IN -j RETURN", "-A IN -j DROP"), ""),
    "a chain that never ends": (("-A INPUT -j INPUT",), ""),
    "the policy": (("-P INPUT DROP",), "-P INPUT DROP"),
    "another protocol": (("-A INPUT -p udp -j DROP",), ""),
    "no rule at all": (("-A INPUT", "-A INPUT -j", "x", "-A INPUT -p tcp -m -j DROP"), ""),
}


@pytest.mark.parametrize("name", REFUSING)
def test_a_rule_is_suspected_only_where_it_is_certain(name: str) -> None:
    rules, wanted = REFUSING[name]
    assert refusing(rules, *PACKET) == wanted
