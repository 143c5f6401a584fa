"""What is known about flannel and docker by version: pure functions that contact no host.

Source: flannel's tags v0.1.0 to v0.28.9 and docker's 1.13 to 28.5, read and tested.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from fedwiz.answers.file import Answers
from fedwiz.facts.values import ClusterFacts, Facts, Version

FLANNEL_VARIABLES = (
    "FLANNEL_ETCD",
    "FLANNEL_ETCD_KEY",
    "FLANNEL_ETCD_ENDPOINTS",
    "FLANNEL_ETCD_PREFIX",
    "FLANNEL_OPTIONS",
)
"""Variables that Fedora's flanneld units may read: the names used by the procedure, and those of
the packages since 0.5.5-7."""

FIRST_V3: Version = (0, 18, 0)
"""This release and all later ones read only etcd's v3 API; all earlier ones only v2."""

REFUSED: frozenset[Version] = frozenset({(0, 19, 2), (0, 20, 0)})
"""These releases can't use etcd without a client certificate."""

LOST_EVENTS: tuple[Version, Version] = ((0, 18, 0), (0, 21, 2))
"""First and last release that loses events of etcd's watch, and with them peers' routes."""

NEEDS_CLIENT_CERT: Version = (0, 18, 0)
"""From this release on, flannel honours `-etcd-cafile` only together with a client certificate."""

NEEDS_BR_NETFILTER: Version = (0, 26, 0)
"""From this release on, flanneld exits at once if `br_netfilter` is not loaded."""

STEALS_SUBNET: tuple[Version, Version] = ((0, 8, 0), (0, 17, 0))
"""First and last release that takes the subnet in its `subnet.env` from the node that owns it."""

CLOCKS_APART = 1800.0
"""Seconds. flannel renews a lease one hour before it expires, by the node's own clock, so clocks
that differ by half an hour are far too close to that limit."""

FLAGS: Mapping[str, Version] = MappingProxyType(
    {
        "ip-masq": (0, 1, 0),
        "v": (0, 1, 0),
        "logtostderr": (0, 1, 0),
        "alsologtostderr": (0, 1, 0),
        "log_dir": (0, 1, 0),
        "stderrthreshold": (0, 1, 0),
        "vmodule": (0, 1, 0),
        "etcd-prefix": (0, 1, 0),
        "iface": (0, 1, 0),
        "subnet-file": (0, 1, 0),
        "etcd-endpoints": (0, 2, 0),
        "etcd-keyfile": (0, 2, 0),
        "etcd-certfile": (0, 2, 0),
        "etcd-cafile": (0, 2, 0),
        "public-ip": (0, 5, 2),
        "etcd-username": (0, 5, 6),
        "etcd-password": (0, 5, 6),
        "subnet-lease-renew-margin": (0, 7, 0),
        "kube-subnet-mgr": (0, 7, 0),
        "iface-regex": (0, 8, 0),
        "healthz-ip": (0, 8, 0),
        "healthz-port": (0, 8, 0),
        "kube-api-url": (0, 8, 0),
        "kubeconfig-file": (0, 8, 0),
        "iptables-resync": (0, 11, 0),
        "iptables-forward-rules": (0, 11, 0),
        "net-config-path": (0, 12, 0),
        "public-ipv6": (0, 15, 0),
        "set-node-network-unavailable": (0, 15, 0),
        "iface-can-reach": (0, 18, 0),
        "ip-blackhole-route": (0, 27, 1),
        "ip-masq-fully-random-disable": (0, 27, 4),
    }
)
"""flanneld's flags without dashes, and the first release that knows each."""

FLAGS_GONE: Mapping[str, Version] = MappingProxyType(
    {
        "listen": (0, 8, 0),
        "remote": (0, 8, 0),
        "remote-keyfile": (0, 8, 0),
        "remote-certfile": (0, 8, 0),
        "remote-cafile": (0, 8, 0),
        "networks": (0, 8, 0),
        "subnet-dir": (0, 8, 0),
        "watch-networks": (0, 8, 0),
    }
)
"""Flags of the former client and server mode, and the first release without them."""


def parse_version(text: str) -> Version:
    """The version in the output of flanneld or a package: always three numbers, or empty.

    Lenient, since distributions print strings of their own. The number must stand at the start of a
    word, so that a library's name in an error message does not count.
    """
    found = re.search(r"(?<![\w./-])v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def installed_version(facts: Facts) -> Version:
    """The version of the installed flannel, by flanneld or its package; empty: not installed."""
    if not facts.flanneld and "flannel" not in facts.packages:
        return ()
    return parse_version(facts.flanneld_version) or parse_version(facts.packages.get("flannel", ""))


def next_version(answers: Answers, host_name: str, known: ClusterFacts) -> Version:
    """The version of flannel that a host will run after the plan; empty: unknown.

    With `dnf`, an installed flannel stays, whatever dnf offers.
    """
    facts = known.hosts.get(host_name)
    if facts is None:
        return ()
    if answers.flannel.source != "dnf":
        return parse_version(known.supplied.get(host_name, ""))
    if "flannel" in facts.packages:
        return installed_version(facts)
    return parse_version(facts.offered) or installed_version(facts)


def api_of(version: Version) -> str:
    """The etcd API that this flannel reads: `v2` or `v3`; empty if the version is."""
    if not version:
        return ""
    return "v3" if version >= FIRST_V3 else "v2"


def api(answers: Answers, known: ClusterFacts) -> str:
    """The etcd API that the nodes' flannel will read; empty if unknown, or not the same for all.

    An API that the operator sets takes precedence; a check compares it with the versions.
    """
    if answers.etcd.api != "auto":
        return answers.etcd.api
    found = {api_of(next_version(answers, host.name, known)) for host in answers.nodes} - {""}
    return found.pop() if len(found) == 1 else ""


def endpoint_variables(unit_text: str) -> tuple[str, ...]:
    """The FLANNEL_VARIABLES that a flanneld unit reads, in their order.

    All of them if the unit is unknown, or starts a script that reads them instead
    (`flanneld-start`, which takes either pair).
    """
    lines = (line for line in unit_text.splitlines() if not line.lstrip().startswith(("#", ";")))
    names_read = set(re.findall(r"\$\{?(\w+)", "\n".join(lines)))
    if not any(name.startswith("FLANNEL_ETCD") for name in names_read):
        return FLANNEL_VARIABLES
    return tuple(name for name in FLANNEL_VARIABLES if name in names_read)


def adds_forward_rules(version: Version) -> bool:
    """Whether this flannel adds rules that let its network pass docker's FORWARD policy, DROP."""
    return version >= (0, 9, 1)


def docker_version(text: str) -> Version:
    """The version in `Docker version 28.5.2, build x`; empty where there is none."""
    return parse_version(text)


def docker_drops_routed(version_text: str) -> bool:
    """Whether this docker drops packets that are routed directly to a container's address."""
    return docker_version(version_text) >= (28,)


def docker_knows_direct_routing(version_text: str) -> bool:
    """Whether this docker has `allow-direct-routing`; 28.0 and 28.1 need a variable instead."""
    return docker_version(version_text) >= (28, 2)


def needs_forward(version: Version, docker_version_text: str) -> bool:
    """Whether the installer must add rules of its own that accept flannel's network."""
    return not adds_forward_rules(version) or docker_drops_routed(docker_version_text)
