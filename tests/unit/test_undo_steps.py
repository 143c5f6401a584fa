"""What is known and what was kept in, commands of the way back out."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fedwiz.facts import Backup, ClusterFacts, Facts, File, Firewall, Link, Route, Unit
from fedwiz.facts import before as keeping
from fedwiz.model.actions import PutKey, Run, Value
from fedwiz.steps import UNDO_STEPS
from fedwiz.steps.backup import SAVED, TOUCHED, keep
from fedwiz.steps.docker import DOCKER_DROP_IN, FORWARD_UNIT, forward_unit
from fedwiz.steps.host import LINK_FILE, LINK_TEXT
from fedwiz.steps.undo import left_alone
from tests.support.sample_cluster import (
    ANSWERS,
    BARE,
    DONE,
    NODE,
    NODES,
    RUNS,
    STOPPED,
    answered,
    on,
)

BY_NAME = {step.name: step for step in UNDO_STEPS}
N1 = "fed-node1"
ASKED = frozenset(TOUCHED)
WAS = Backup(NODE, ASKED)


def with_backup(known: ClusterFacts, was: Facts = NODE, **fields: Any) -> ClusterFacts:
    """With what was kept on fed-node1, and more of its facts."""
    return on(N1, known, backup=Backup(was, ASKED), **fields)


def shown(name: str, known: ClusterFacts) -> list[str]:
    step = BY_NAME[name]
    host = ANSWERS.master if step.role == "master" else ANSWERS.named(N1)
    return [action.brief for action in step.left(ANSWERS, host, known)]


def files(*paths: str, **texts: str) -> dict[str, File]:
    return {path: File(WRITTEN[path], 0o644) for path in paths} | {
        path: File(text, 0o644) for path, text in texts.items()
    }


WRITTEN = {LINK_FILE: LINK_TEXT, FORWARD_UNIT: forward_unit("10.16.0.0/16")}
DOCKER = NODE.unit("docker.service")
LATER = replace(DOCKER, pid=DOCKER.pid + 1)
OFF = {**NODE.units, "flanneld.service": STOPPED}
DEVICE = Link("flannel.1", "46:f1:d0:18:d0:77", 1450, True, ("10.16.29.0/32",), "vxlan", 1, 8472)
MOVED = tuple(
    replace(link, addresses=("10.16.29.1/24",)) if link.name == "docker0" else link
    for link in NODE.links
)
ON_FLANNEL: dict[str, Any] = {
    "links": (*MOVED, DEVICE),
    "units": {**NODE.units, "flanneld.service": RUNS},
}
HOP = Route("10.16.83.0/24", "eth0", "192.168.122.36")

BACK: Mapping[str, tuple[ClusterFacts, list[str]]] = {
    "nothing was kept": (BARE, []),
    "all as it was": (with_backup(BARE), []),
    "a file that was not there": (
        with_backup(BARE, files=files(LINK_FILE)),
        [f"sh back.sh leave off disabled {LINK_FILE}"],
    ),
    "a file that somebody changed since": (
        with_backup(BARE, files={LINK_FILE: File(LINK_TEXT + "# mine\n", 0o644)}),
        [],
    ),
    "a file that was another one": (
        with_backup(
            BARE, replace(NODE, files={LINK_FILE: File("# old\n", 0o644)}), files=files(LINK_FILE)
        ),
        [f"sh back.sh leave off disabled {LINK_FILE}"],
    ),
    "docker on flannel's subnet": (
        with_backup(BARE, **ON_FLANNEL),
        ["sh back.sh move off disabled flannel.1"],
    ),
    "docker stopped in the middle": (
        with_backup(BARE, units={**OFF, "docker.service": STOPPED}),
        ["sh back.sh move off disabled"],
    ),
    "flanneld runs, docker never did": (
        with_backup(
            BARE,
            replace(NODE, units=OFF | {"docker.service": STOPPED}),
            units={**OFF, "docker.service": STOPPED, "flanneld.service": RUNS},
        ),
        ["sh back.sh leave off disabled"],
    ),
    "enabled alone": (
        with_backup(BARE, units={**OFF, "flanneld.service": Unit("loaded", "inactive", "enabled")}),
        ["sh back.sh leave off disabled"],
    ),
    "a route of host-gw's": (
        with_backup(BARE, routes=(*NODE.routes, HOP)),
        ["sh back.sh leave off disabled '10.16.83.0/24 via 192.168.122.36'"],
    ),
    "a route that was there": (
        with_backup(BARE, replace(NODE, routes=(*NODE.routes, HOP)), routes=(*NODE.routes, HOP)),
        [],
    ),
    "a device that was there": (with_backup(BARE, replace(NODE, **ON_FLANNEL), **ON_FLANNEL), []),
    "a device that was there, now with another address": (
        with_backup(
            BARE,
            replace(NODE, **ON_FLANNEL),
            **ON_FLANNEL | {"links": (*MOVED, replace(DEVICE, addresses=("10.44.3.0/32",)))},
        ),
        ["sh back.sh leave 45 enabled flannel.1"],
    ),
    "flannel was there, and stands still": (
        with_backup(BARE, replace(NODE, **ON_FLANNEL), links=(*MOVED, DEVICE)),
        ["sh back.sh leave 45 enabled"],
    ),
}


@pytest.mark.parametrize(("known", "lines"), BACK.values(), ids=BACK)
def test_docker_and_files_go_back(known: ClusterFacts, lines: list[str]) -> None:
    assert shown("back", known) == lines


@pytest.mark.parametrize("seconds", [5, 600])
def test_a_flanneld_of_before_gets_the_seconds_that_it_may_take(seconds: int) -> None:
    answers = answered(f"docker.ready_within={seconds}")
    known, _ = BACK["flannel was there, and stands still"]
    [run] = BY_NAME["back"].left(answers, answers.named(N1), known)
    assert isinstance(run, Run)
    assert run.brief == f"sh back.sh leave {seconds} enabled"
    assert run.timeout >= seconds + 300


@pytest.mark.parametrize(
    ("docker", "bridge"), [(DOCKER, "leave"), (LATER, "move")], ids=["never restarted", "restarted"]
)
def test_docker_starts_anew_only_if_it_has_taken_what_goes(docker: Unit, bridge: str) -> None:
    text = "# Written by fedwiz.\n[Service]\nEnvironmentFile=-/run/flannel/docker\n"
    known = with_backup(
        BARE,
        files={DOCKER_DROP_IN: File(text, 0o644)},
        units={**NODE.units, "docker.service": docker},
    )
    [run] = BY_NAME["back"].left(ANSWERS, ANSWERS.named(N1), known)
    assert isinstance(run, Run)
    assert run.brief == f"sh back.sh {bridge} off disabled {DOCKER_DROP_IN}"
    assert run.interrupts == (bridge == "move")
    assert f"--- {DOCKER_DROP_IN}" in run.diff


def test_nothing_is_kept_twice_nor_for_nothing() -> None:
    def keeps(known: ClusterFacts) -> list[str]:
        return [it.brief for it in keep.left(ANSWERS, ANSWERS.named(N1), known)]

    assert keeps(BARE) == ["sh keep.sh -"]
    assert keeps(on(N1, BARE, firewall=Firewall("public"))) == ["sh keep.sh public"]
    assert keeps(with_backup(BARE)) == []


def test_what_is_left_alone_is_said() -> None:
    mine = with_backup(BARE, files={LINK_FILE: File("# mine\n", 0o644)})
    assert left_alone(ANSWERS, ANSWERS.named(N1), mine) == [
        f"{LINK_FILE} was changed since fedwiz wrote it"
    ]
    assert shown("forget", mine) == [
        f"sh forget.sh '{LINK_FILE} was changed since fedwiz wrote it'"
    ]
    newer = with_backup(
        BARE, replace(NODE, packages={"flannel": "0.9.0-7"}), packages={"flannel": "0.21.5-1"}
    )
    assert shown("unpackage", newer) == []
    [said] = left_alone(ANSWERS, ANSWERS.named(N1), newer)
    assert said.startswith("flannel is 0.21.5-1, and was 0.9.0-7")


FLANNELD = (
    'FLANNEL_ETCD="http://fed-master:2379"\nFLANNEL_ETCD_KEY="/coreos.com/network"\n'
    'FLANNEL_OPTIONS="-ip-masq"\n'
)
CUT = {
    "as fedwiz wrote it": (FLANNELD, True),
    "as somebody changed it": (FLANNELD.replace("-ip-masq", "-ip-masq -v=4"), False),
    "in which nothing can be read": ("$(", False),
}


@pytest.mark.parametrize(("text", "goes"), CUT.values(), ids=CUT)
def test_what_rpm_saved_goes_only_as_fedwiz_wrote_it_also_once_the_package_is_gone(
    text: str, goes: bool
) -> None:
    """An undo that was cut off right after `dnf remove`, which renames what was changed."""
    gone = with_backup(BARE, files={SAVED[0]: File(text, 0o644)})
    assert "flannel" not in gone.hosts[N1].packages
    assert [SAVED[0] in brief for brief in shown("unpackage", gone)] == [True] * goes
    said = left_alone(ANSWERS, ANSWERS.named(N1), gone)
    assert said == ([] if goes else [f"{SAVED[0]} was changed since fedwiz wrote it"])


MASQ = "-A POSTROUTING -s 10.16.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE"
OLD = "-A POSTROUTING -s 10.44.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE"
OWN = "-A DOCKER-USER -s 10.16.0.0/16 -d 10.16.0.0/16 -j ACCEPT"
RULES: Mapping[str, tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], list[str]]] = {
    "of this network": ({"nat": ()}, {"nat": (MASQ,)}, [f"nat -D {MASQ[3:]}"]),
    "that were there": ({"nat": (MASQ,)}, {"nat": (MASQ,)}, []),
    "once more": ({"nat": (MASQ,)}, {"nat": (MASQ, MASQ)}, [f"nat -D {MASQ[3:]}"]),
    "of an earlier network": (
        {"nat": ()},
        {"nat": (OLD, "-A POSTROUTING -s 10.44.0.0/16 -d 10.44.0.0/16 -j RETURN")},
        [
            "nat -D POSTROUTING -s 10.44.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE",
            "nat -D POSTROUTING -s 10.44.0.0/16 -d 10.44.0.0/16 -j RETURN",
        ],
    ),
    "flannel's chains, jumps first": (
        {"filter": ()},
        {
            "filter": (
                "-N FLANNEL-FWD",
                '-A FORWARD -m comment --comment "x y" -j FLANNEL-FWD',
                "-A FLANNEL-FWD -s 10.16.0.0/16 -j ACCEPT",
            )
        },
        [
            'filter -D FORWARD -m comment --comment "x y" -j FLANNEL-FWD',
            "filter -F FLANNEL-FWD",
            "filter -X FLANNEL-FWD",
        ],
    ),
    "in a chain of flannel's that was there": (
        {"filter": ("-N FLANNEL-FWD",)},
        {"filter": ("-N FLANNEL-FWD", "-A FLANNEL-FWD -s 10.16.0.0/16 -j ACCEPT")},
        ["filter -D FLANNEL-FWD -s 10.16.0.0/16 -j ACCEPT"],
    ),
    "of an earlier network, whose packets it accepted": (
        {"filter": ()},
        {
            "filter": (
                "-A FORWARD -s 10.44.0.0/16 -j ACCEPT",
                "-A FORWARD -d 10.44.0.0/16 -j ACCEPT",
            )
        },
        [
            "filter -D FORWARD -d 10.44.0.0/16 -j ACCEPT",
            "filter -D FORWARD -s 10.44.0.0/16 -j ACCEPT",
        ],
    ),
    "somebody else's, who accepts one way": (
        {"filter": ()},
        {"filter": ("-A FORWARD -s 192.0.2.0/24 -j ACCEPT",)},
        [],
    ),
    "somebody else's": ({"filter": ()}, {"filter": ("-A INPUT -s 192.0.2.0/24 -j DROP",)}, []),
    "a policy": (
        {"filter": ("-P FORWARD DROP",)},
        {"filter": ("-P FORWARD ACCEPT",)},
        ["filter -P FORWARD DROP"],
    ),
    "the operator's own, gone": ({"filter": (OWN,)}, {"filter": ()}, [f"filter -I {OWN[3:]}"]),
    "a table that could not be read then": ({}, {"nat": (MASQ,)}, []),
}


@pytest.mark.parametrize(("was", "now", "lines"), RULES.values(), ids=RULES)
def test_rules_go_back(
    was: dict[str, tuple[str, ...]], now: dict[str, tuple[str, ...]], lines: list[str]
) -> None:
    known = with_backup(BARE, replace(NODE, rules=was), rules=now)
    runs = list(BY_NAME["unrule"].left(ANSWERS, ANSWERS.named(N1), known))
    said = [line for run in runs if isinstance(run, Run) for line in run.input().splitlines()]
    assert said == lines


def test_the_firewall_and_the_kernel_go_back_where_fedwiz_changed_them() -> None:
    was = Firewall("public", frozenset({"22/tcp"}), frozenset({"22/tcp", "8472/udp"}))
    now = Firewall(
        "public",
        frozenset({"22/tcp", "8472/udp"}),
        frozenset({"22/tcp", "8472/udp"}),
        frozenset({"10.16.0.0/16"}),
        frozenset(),
    )
    known = with_backup(BARE, replace(NODE, firewall=was), firewall=now)
    assert shown("shut", known) == [
        "firewall-cmd --zone=public --remove-port=8472/udp",
        "firewall-cmd --zone=trusted --remove-source=10.16.0.0/16",
    ]
    old = replace(NODE, sysctls={"net.ipv4.ip_forward": "0"}, modules={"br_netfilter": True})
    known = with_backup(
        BARE,
        old,
        sysctls={"net.ipv4.ip_forward": "1"},
        modules={"br_netfilter": True, "vxlan": True},
    )
    assert shown("unset", known) == ["sysctl -w net.ipv4.ip_forward=0", "sh unload.sh vxlan"]


CONFIG = ANSWERS.config_json()
KEY = "/coreos.com/network/config"


def etcd(api: str, config: str | None, *leases: str, all_of: bool = True) -> ClusterFacts:
    """DONE, with what was kept on the master and on the nodes."""
    known = on(
        "fed-master", DONE, backup=Backup(Facts(), frozenset(), api, config, frozenset(leases))
    )
    for name in NODES if all_of else NODES[:1]:
        known = on(name, known, backup=WAS)
    return known


LEASES = [lease.key for lease in DONE.store.leases]
DELETED = [f"ETCDCTL_API=2 etcdctl rm {key}" for key in LEASES]
RESERVED = replace(DONE.store.leases[0], ttl=None)
"""What somebody made by hand, and what stays for good."""

RELEASED: Mapping[str, tuple[ClusterFacts, list[str]]] = {
    "all nodes'": (etcd("v2", None), DELETED),
    "but a reservation": (
        replace(
            etcd("v2", None), store=replace(DONE.store, leases=(RESERVED, *DONE.store.leases[1:]))
        ),
        DELETED[1:],
    ),
    "but one that was there": (etcd("v2", None, LEASES[0]), DELETED[1:]),
    "of those alone that are undone": (etcd("v2", None, all_of=False), DELETED[:1]),
    "read by another API": (etcd("v3", None), []),
    "nothing was kept": (DONE, []),
}
UNCONFIG: Mapping[str, tuple[ClusterFacts, list[str]]] = {
    "was not there": (etcd("v2", None), [f"ETCDCTL_API=2 etcdctl rm {KEY}", "sh forget.sh"]),
    "was as it is": (etcd("v2", CONFIG), ["sh forget.sh"]),
    "was another": (etcd("v2", "{}"), [f"ETCDCTL_API=2 etcdctl set {KEY} '{{}}'", "sh forget.sh"]),
    "is another's now": (
        replace(etcd("v2", None), store=replace(DONE.store, config=Value(KEY, "{}", 9))),
        [f"sh forget.sh 'etcd'\"'\"'s {KEY} says something else than these answers'"],
    ),
    "a node still needs it": (etcd("v2", None, all_of=False), []),
    "a node could not be asked": (
        replace(
            etcd("v2", None),
            hosts={
                name: facts for name, facts in etcd("v2", None).hosts.items() if name != NODES[2]
            },
        ),
        [],
    ),
}


def going(config: str | None) -> ClusterFacts:
    """The same, where flanneld ran on fed-node1 before."""
    return on(N1, etcd("v2", config), backup=Backup(replace(NODE, **ON_FLANNEL), ASKED))


RECONFIG: Mapping[str, tuple[ClusterFacts, list[str], list[str]]] = {
    "was another": (going("{}"), [f"ETCDCTL_API=2 etcdctl set {KEY} '{{}}'"], ["sh forget.sh"]),
    "was as it is": (going(CONFIG), [], ["sh forget.sh"]),
    "was not there": (going(None), [], UNCONFIG["was not there"][1]),
    "nobody had flannel": (etcd("v2", "{}"), [], UNCONFIG["was another"][1]),
    "a node still needs it": (on(NODES[1], going("{}"), backup=None), [], []),
}


@pytest.mark.parametrize(("known", "first", "last"), RECONFIG.values(), ids=RECONFIG)
def test_the_key_goes_back_first_where_a_flannel_of_before_goes_on(
    known: ClusterFacts, first: list[str], last: list[str]
) -> None:
    assert (shown("reconfig", known), shown("unconfig", known)) == (first, last)


@pytest.mark.parametrize(("known", "lines"), RELEASED.values(), ids=RELEASED)
def test_leases_go_where_the_nodes_went(known: ClusterFacts, lines: list[str]) -> None:
    assert shown("release", known) == lines


@pytest.mark.parametrize(("known", "lines"), UNCONFIG.values(), ids=UNCONFIG)
def test_the_key_goes_back_while_it_is_fedwiz_s(known: ClusterFacts, lines: list[str]) -> None:
    assert shown("unconfig", known) == lines
    for put in BY_NAME["unconfig"].left(ANSWERS, ANSWERS.master, known):
        if isinstance(put, PutKey):  # the one that the plan saw, or none
            assert put.previous == (DONE.store.config and DONE.store.config.revision)


def test_what_etcd_held_is_read_as_it_was_told() -> None:
    stored = DONE.store
    parts = dict.fromkeys(keeping.TEXT_PARTS, "") | {"files": "", "hashes": ""}
    parts |= {"names": "a\nb\nc\nd\ne\n1.0\n", "links": "[]", "routes": "[]"}
    parts["etcd"] = keeping.etcd_as_json("v2", stored.config, stored.leases)
    said = "".join(f"{name} {_b64(text)}\n" for name, text in parts.items())
    found = keeping.parse_backup(said)["backup"]
    assert (found.api, found.config, found.leases) == ("v2", CONFIG, frozenset(LEASES))
    assert keeping.parse_backup("") == {"backup": None}
    for wrong in (
        said[:40],
        said.replace("units", "unit", 1),
        _with(parts, etcd="{}"),
        _with(parts, etcd="[1"),
        _with(parts, etcd='{"api":1,"config":{},"leases":[]}'),
        _with(parts, links="{"),
        "etcd ~~\n",
    ):
        with pytest.raises(ValueError, match=r"."):
            keeping.parse_backup(wrong)


def _with(parts: Mapping[str, str], **more: str) -> str:
    return "".join(f"{name} {_b64(text)}\n" for name, text in {**parts, **more}.items())


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
