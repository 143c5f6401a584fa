"""What versions mean."""

from dataclasses import replace

import pytest

from fedwiz.facts.values import ClusterFacts, Facts, Version
from fedwiz.facts.versions import (
    FIRST_V3,
    FLAGS,
    FLAGS_GONE,
    FLANNEL_VARIABLES,
    LOST_EVENTS,
    NEEDS_CLIENT_CERT,
    adds_forward_rules,
    api,
    api_of,
    docker_drops_routed,
    docker_knows_direct_routing,
    endpoint_variables,
    installed_version,
    needs_forward,
    next_version,
    parse_version,
)
from fedwiz.model.backends import BACKENDS
from tests.support.sample_cluster import (
    ANSWERS,
    BARE,
    DONE,
    FLANNELD_UNIT,
    NODE,
    NODES,
    answered,
    on,
)

PRINTED: dict[str, Version] = {
    "0.5.5": (0, 5, 5),
    "v0.9.0": (0, 9, 0),
    "0.9.0-7.fc32": (0, 9, 0),
    "flanneld version v0.21.5, commit x": (0, 21, 5),
    "v0.28": (0, 28, 0),
    "v0.20.2+git.1": (0, 20, 2),
    "Docker version 28.5.2, build 9.9": (28, 5, 2),
    "error while loading shared libraries: libc.so.6.1": (),
    "/usr/lib64/go-1.2/x": (),
    "unknown": (),
    "": (),
    "9999999999.1": (),
}


@pytest.mark.parametrize(("text", "version"), PRINTED.items())
def test_version_in_what_is_printed(text: str, version: Version) -> None:
    assert parse_version(text) == version


INSTALLED = {
    "none": (Facts(flanneld_version="v0.9.0"), ()),
    "by its own word": (Facts(flanneld="/f", flanneld_version="v0.17.0"), (0, 17, 0)),
    "by its package": (
        Facts(flanneld="/f", flanneld_version="?", packages={"flannel": "0.9.0-7.fc32"}),
        (0, 9, 0),
    ),
    "its own word counts more": (
        Facts(flanneld="/f", flanneld_version="v0.17.0", packages={"flannel": "0.9.0-7"}),
        (0, 17, 0),
    ),
    "it says nothing": (Facts(flanneld="/f"), ()),
}


@pytest.mark.parametrize(("facts", "version"), INSTALLED.values(), ids=INSTALLED)
def test_installed(facts: Facts, version: Version) -> None:
    assert installed_version(facts) == version


RPM = ('flannel.source="rpm"', 'flannel.path="/f.rpm"', f'flannel.sha256="{"a" * 64}"')
SUPPLIED = replace(DONE, supplied=dict.fromkeys(NODES, "0.21.5-1.x86_64"))
NEXT: dict[str, tuple[ClusterFacts, tuple[str, ...], Version]] = {
    "dnf's": (BARE, (), (0, 9, 0)),
    "installed already, whatever dnf offers": (on("*", DONE, offered="0.17.0-1"), (), (0, 9, 0)),
    "dnf's beside one without package": (
        on("*", flanneld="/f", flanneld_version="v0.21.5"),
        (),
        (0, 9, 0),
    ),
    "one without package, and dnf has none": (
        on("*", flanneld="/f", flanneld_version="v0.21.5", offered=""),
        (),
        (0, 21, 5),
    ),
    "the operator's": (SUPPLIED, RPM, (0, 21, 5)),
    "the operator's, of no version": (DONE, RPM, ()),
    "not wanted": (SUPPLIED, (), (0, 9, 0)),
    "none at all": (on("*", offered=""), (), ()),
    "a lost host": (replace(BARE, hosts={}), (), ()),
}


@pytest.mark.parametrize(("known", "sets", "version"), NEXT.values(), ids=NEXT)
def test_next(known: ClusterFacts, sets: tuple[str, ...], version: Version) -> None:
    assert next_version(answered(*sets), "fed-node1", known) == version


APIS: dict[Version, str] = {
    (): "",
    (0, 5, 5): "v2",
    (0, 17, 0): "v2",
    (0, 18, 0): "v3",
    (0, 28, 9): "v3",
}


@pytest.mark.parametrize(("version", "name"), APIS.items())
def test_api_of(version: Version, name: str) -> None:
    assert api_of(version) == name


def test_the_clusters_api() -> None:
    assert api(ANSWERS, BARE) == "v2"
    assert api(ANSWERS, on("*", offered="0.21.5-1")) == "v3"
    assert api(ANSWERS, on("fed-node1", offered="0.21.5-1")) == "", "not one for all"
    assert api(ANSWERS, on("fed-node1", offered="")) == "v2", "one host has none"
    assert api(ANSWERS, on("*", offered="")) == ""
    assert api(answered('etcd.api="v3"'), BARE) == "v3", "the operator's word"


UNITS = {
    "not there yet": ("", FLANNEL_VARIABLES),
    "the procedure's": (
        "ExecStart=/flanneld ${FLANNEL_ETCD} ${FLANNEL_ETCD_KEY} $FLANNEL_OPTIONS",
        ("FLANNEL_ETCD", "FLANNEL_ETCD_KEY", "FLANNEL_OPTIONS"),
    ),
    "Fedora's": (
        FLANNELD_UNIT,
        ("FLANNEL_ETCD_ENDPOINTS", "FLANNEL_ETCD_PREFIX", "FLANNEL_OPTIONS"),
    ),
    "flanneld-start": ("ExecStart=/usr/bin/flanneld-start $FLANNEL_OPTIONS", FLANNEL_VARIABLES),
    "a comment": ("# ${FLANNEL_ETCD}\n ;$FLANNEL_ETCD_KEY\nExecStart=x", FLANNEL_VARIABLES),
    "no options": (
        "ExecStart=x ${FLANNEL_ETCD_ENDPOINTS} ${FLANNEL_ETCD_PREFIX}",
        ("FLANNEL_ETCD_ENDPOINTS", "FLANNEL_ETCD_PREFIX"),
    ),
}


@pytest.mark.parametrize(("unit", "names"), UNITS.values(), ids=UNITS)
def test_variables_of_a_unit(unit: str, names: tuple[str, ...]) -> None:
    assert endpoint_variables(unit) == names


FORWARD: dict[tuple[Version, str], tuple[bool, bool, bool]] = {
    ((0, 9, 0), NODE.docker_version): (True, False, False),
    ((0, 9, 1), NODE.docker_version): (False, False, False),
    ((0, 21, 5), "Docker version 27.5.1"): (False, False, False),
    ((0, 21, 5), "Docker version 28.0.0"): (True, True, False),
    ((0, 21, 5), "Docker version 28.1.1"): (True, True, False),
    ((0, 21, 5), "Docker version 28.2.0"): (True, True, True),
    ((), "?"): (True, False, False),
}


@pytest.mark.parametrize(("versions", "wanted"), FORWARD.items())
def test_what_must_be_let_through(
    versions: tuple[Version, str], wanted: tuple[bool, bool, bool]
) -> None:
    flannel, docker = versions
    assert wanted == (
        needs_forward(flannel, docker),
        docker_drops_routed(docker),
        docker_knows_direct_routing(docker),
    )
    assert adds_forward_rules(flannel) == (flannel >= (0, 9, 1))


def test_the_tables_agree_with_each_other() -> None:
    assert LOST_EVENTS[0] == FIRST_V3 == NEEDS_CLIENT_CERT
    assert not FLAGS.keys() & FLAGS_GONE.keys()
    assert not any(name.startswith("-") for name in (*FLAGS, *FLAGS_GONE))
    assert all(len(version) == 3 for version in FLAGS.values())
    assert BACKENDS["vxlan"].unknown_to((0, 9, 0), {}) == ()
