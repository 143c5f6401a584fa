"""Whatever hosts and etcd say, judging ends, and says something for every check."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fedwiz.answers.file import Answers
from fedwiz.checks import CHECKS, judge
from fedwiz.facts.values import (
    ClusterFacts,
    Endpoint,
    Facts,
    File,
    Firewall,
    KubeNode,
    Link,
    Route,
    Stored,
    Unit,
)
from fedwiz.model.actions import Value
from fedwiz.util.sanitize import sanitize
from tests.support.sample_cluster import ADDRESSES, BARE, DONE, NODES, URL, answered

WORDS = st.text(max_size=12) | st.sampled_from(
    ["fed-node1", "10.0.2.15", "eth0", "docker0", "v0.9.0", "28.5.2", "0.20.0-1", "\x1b[1m", "1"]
)
CIDRS = st.sampled_from(
    ["0.0.0.0/0", "10.16.0.0/16", "10.16.3.0/24", "10.254.0.0/16", "1.2.3.4/32"]
)
HELD = st.sampled_from(["10.0.2.15/24", "10.16.3.1/24", "192.168.122.77/24", "127.0.0.1/8"])
"""What the parsers have let through is well formed; all else is anybody's text."""

LINKS = st.builds(
    Link,
    st.sampled_from(["lo", "eth0", "eth1", "docker0", "flannel.1", "flannel0", "\n"]),
    WORDS,
    st.integers(0, 70_000),
    st.booleans(),
    st.lists(HELD, max_size=2).map(tuple),
    WORDS,
    st.none() | st.integers(),
    st.none() | st.integers(),
)
ROUTES = st.builds(Route, st.just("default") | CIDRS, st.sampled_from(["eth0", "eth9"]), WORDS)
UNITS = st.builds(
    Unit, st.sampled_from(["loaded", "not-found", ""]), st.sampled_from(["active", "failed", ""])
)
PATHS = st.sampled_from(
    ["/etc/docker/daemon.json", "/etc/sysconfig/docker", "/etc/sysconfig/docker-network"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["bip", "Network", "Backend", "PublicIP"]), inner)
    ),
    max_leaves=5,
)
TEXTS = WORDS | JSON.map(json.dumps) | st.just("[" * 5_000)
SOME = st.integers(0, 10**7)


def _tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


def _by(
    keys: st.SearchStrategy[str], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[Mapping[str, Any]]:
    return st.dictionaries(keys, values, max_size=4)


def _services() -> st.SearchStrategy[str]:
    return st.sampled_from(["etcd.service", "docker.service", "firewalld.service", "x.service"])


FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        (
            "hostname",
            "machine_id",
            "os",
            "kernel",
            "arch",
            "selinux",
            "offered",
            "offered_why",
            "flanneld",
            "flanneld_version",
            "flanneld_unit",
            "docker_version",
            "docker_unit",
            "iptables",
            "dnf_lock",
        ),
        WORDS,
    ),
    **dict.fromkeys(("read_only", "nameservers", "in_flight"), _tuples(WORDS)),
    "clock": st.floats(0, 1e10),
    "skew": st.floats(-1e6, 1e6),
    "links": _tuples(LINKS),
    "routes": _tuples(ROUTES),
    "units": _by(_services(), UNITS),
    "files": _by(PATHS, st.builds(File, TEXTS, st.just(0o644))),
    "sysctls": _by(st.sampled_from(["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"]), WORDS),
    "modules": _by(st.sampled_from(["vxlan", "br_netfilter"]), st.booleans()),
    "packages": _by(st.just("flannel"), WORDS),
    "containers": SOME,
    "docker_networks": _tuples(CIDRS),
    "subnet_env": st.none()
    | _by(st.sampled_from(["FLANNEL_NETWORK", "FLANNEL_SUBNET"]), WORDS | HELD),
    "rules": _by(st.sampled_from(["filter", "nat"]), _tuples(WORDS)),
    "firewall": st.none() | st.builds(Firewall, WORDS, st.frozensets(WORDS, max_size=2)),
    "free": _by(st.sampled_from(["/", "/etc", "/run", "/usr", "/var"]), SOME),
    "listening": st.frozensets(WORDS | st.just("127.0.0.1:2379"), max_size=3),
    "etcd": _by(st.just(URL), st.builds(Endpoint, WORDS, st.booleans(), WORDS)),
    "kube_nodes": _tuples(st.builds(KubeNode, WORDS, _tuples(WORDS), _by(WORDS, WORDS))),
}


@st.composite
def _known(draw: st.DrawFn) -> ClusterFacts:
    """A cluster of which some facts are missing and some are strange."""
    base = draw(st.sampled_from([BARE, DONE]))
    hosts = dict(base.hosts)
    for name in draw(st.lists(st.sampled_from(list(ADDRESSES)), max_size=3, unique=True)):
        changed = draw(st.lists(st.sampled_from(list(FIELDS)), max_size=5, unique=True))
        whole = draw(st.sampled_from([hosts[name], Facts()]))
        hosts[name] = replace(whole, **{field: draw(FIELDS[field]) for field in changed})
    for name in draw(st.lists(st.sampled_from(list(ADDRESSES)), max_size=2, unique=True)):
        del hosts[name]
    return ClusterFacts(
        hosts,
        draw(st.just(base.store) | STORED),
        supplied=draw(_by(st.sampled_from(NODES), WORDS)),
        lost=draw(_by(st.sampled_from(list(ADDRESSES)), WORDS)),
    )


KEYS = st.sampled_from(["", "10.16.3.0-24", "10.16.4.0-24&fc00::-64", "x", "300.1.1.1-24"])
VALUES = st.builds(
    Value, KEYS.map("/coreos.com/network/subnets/{}".format), TEXTS, SOME, st.none() | SOME
)
STORED = st.builds(
    Stored, st.sampled_from(["", "v2", "v3"]), st.none() | VALUES, _tuples(VALUES), WORDS, WORDS
)
FILE = ('flannel.source="binary"', 'flannel.path="/f"', f'flannel.sha256="{"a" * 64}"')
ANSWERS = [
    answered(),
    answered('backend.type="host-gw"', 'host.fed-node1.interface="eth1"', "flannel.options=[]"),
    answered('backend.type="udp"', 'etcd.api="v3"', 'host.fed-node2.interface="192.168.122.36"'),
    answered('etcd.endpoints=["https://[fd00::1]:2379"]', *FILE),
]


@given(answers=st.sampled_from(ANSWERS), known=_known())
def test_every_check_has_a_word_on_whatever_was_read(answers: Answers, known: ClusterFacts) -> None:
    said = judge(answers, known)
    assert {finding.check for finding in said} == {check.name for check in CHECKS}
    for finding in said:
        assert finding.level == "ok" or finding.remedy
        assert sanitize(finding.seen) == finding.seen
        assert sanitize(finding.remedy) == finding.remedy
        assert finding.check == "reachable" or finding.host not in known.lost
