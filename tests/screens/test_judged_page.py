"""What the pages Network and Backend find in what was said, without a screen."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from textual.content import Content

from fedwiz.answers.file import Answers
from fedwiz.checks import Finding
from fedwiz.checks.ranges import unused_network
from fedwiz.facts import ClusterFacts, Link
from fedwiz.model import addresses
from fedwiz.model.backends import BACKENDS
from fedwiz.practice.machine import Cluster
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.suggestions import choose, proposed
from screens.pages import backend as backends
from screens.pages import network as networks
from screens.pages.backend import about, unknown_backend, word
from screens.pages.network import part
from screens.widgets.findings import findings_content, why_blocked
from tests.support.pilot import filled, unsaid
from tests.support.practice_wizard import Bend, apart, etcd_holds, read, small, untouched


def line(content: Content) -> str:
    """A text of several lines, as one."""
    return " ".join(content.plain.split())


@cache
def healthy() -> tuple[Answers, ClusterFacts]:
    """The practice cluster as it is."""
    return read(filled("network"))


# A network.

TYPED = {
    "": "not a network",
    "10.20.0.0": "it has no length",
    "10.20.0.1/16": "did you mean 10.20.0.0/16?",
    "10.20.0.0/33": "the length after `/`",
    "10.20.0.0/29": "too small for flannel",
    "127.0.0.0/8": "no container can use",
    "fd00::/64": "an IPv6 network",
    "[/x]": "not a network",
    "192.168.0.0/16": "contains the address of fed-master",
    "10.20.0.0/24": "a number from 26 to 30, such as 26",
    "10.254.0.0/16": "overlaps 10.254.0.0/16 (Kubernetes' service addresses in Fedora's guide)",
    "10.0.0.0/8": "overlaps 10.254.0.0/16",
    "18.16.0.0/16": "18.16.0.0/16 is public",
}
"""What is typed, and what keeps one from going on with it."""


@pytest.mark.parametrize(("cidr", "why"), TYPED.items(), ids=[*TYPED])
def test_what_is_wrong_with_a_network_is_found(cidr: str, why: str) -> None:
    found = networks.findings(filled("network").put("network.cidr", cidr), *healthy())
    assert line(findings_content(found)).startswith("X block")
    assert why in line(findings_content(found))
    assert why in why_blocked(found)


def found_of(draft: Draft, bend: Bend = untouched) -> list[Finding]:
    """What is found of the network that a page begins with."""
    answers, known = read(draft, bend)
    return networks.findings(proposed(draft, known, unused_network(answers, known)), answers, known)


def test_another_network_than_etcd_s_is_warned_of() -> None:
    found = found_of(filled("network"), etcd_holds({"Network": "10.40.0.0/16"}))
    assert "will change:" in line(findings_content(found))
    assert "Network 10.40.0.0/16 -> 10.16.0.0/16" in line(findings_content(found))
    assert why_blocked(found) == ""


def test_a_public_network_that_runs_can_be_verified_and_not_installed() -> None:
    config = {"Network": "18.16.0.0/16", "SubnetLen": 24, "Backend": {"Type": "vxlan", "VNI": 1}}
    assert why_blocked(found_of(unsaid(goal="verify"), etcd_holds(config))) == ""
    blocked = why_blocked(found_of(unsaid(goal="install"), etcd_holds(config)))
    assert blocked.startswith("18.16.0.0/16 is public")


def test_a_finished_cluster_is_right_at_once() -> None:
    """Its docker0 and its routes are flannel's, and no overlap."""
    found = found_of(unsaid(goal="verify", stops=("hosts", "network", "verify")))
    assert {it.level for it in found} == {"ok"}


def test_what_several_hosts_share_is_said_once() -> None:
    def bend(machines: Cluster) -> None:
        for machine in machines.machines.values():
            machine.links["br0"] = Link("br0", "02:00:00:00:00:01", 1500, True, ("10.16.3.1/24",))

    seen = line(findings_content(found_of(filled("network", size=8), bend)))
    assert seen.count("overlaps") == 1
    assert "fed-master, fed-node1, fed-node2, fed-node3 and 4 more" in seen


def test_while_the_hosts_are_read_no_network_is_missing_yet() -> None:
    answers, _ = healthy()
    for draft, busy, seen in (
        (unsaid(), True, ""),
        (unsaid(), False, "X block missing -> Which addresses do the containers get?"),
        (unsaid().put("network.cidr", ""), True, "X block '': not a network"),
        (unsaid().put("network.cidr", "1"), True, "X block '1': not a network"),
    ):
        found = networks.findings(draft, answers, None, busy=busy)
        assert line(findings_content(found)).startswith(seen), draft
        assert bool(found) == bool(seen)


def test_a_length_says_what_it_gives() -> None:
    def said(length: int, chosen: int = 24, nodes: int = 5) -> str:
        rows = addresses.lengths("10.16.0.0/16")
        return part(next(it for it in rows if it.subnet_len == length), chosen, nodes).plain

    assert said(18) == "/18             3            16,381   X no room for 5 nodes"
    assert said(24) == "/24           255               253   + chosen"
    assert said(30).rstrip() == "/30        16,383                 1"
    assert said(18, chosen=18).endswith("   X chosen, no room for 5 nodes")
    assert said(18, nodes=1).rstrip() == "/18             3            16,381"


# A backend.

NAMES = list(BACKENDS)


def no_modules(machines: Cluster) -> None:
    machines.nodes()[0].modules.clear()
    machines.nodes()[0].modules["vxlan"] = True


def leftover(machines: Cluster) -> None:
    machines.nodes()[0].links["flannel.1"] = Link(
        "flannel.1", "46:f1:d0:18:d0:01", 1450, True, ("10.16.5.0/32",), "vxlan", 1, 8472
    )


def old(machines: Cluster) -> None:
    for node in machines.nodes():
        node.offered = "0.9.0-7.fc32"


VXLAN = {"Network": "10.16.0.0/16", "SubnetLen": 24, "Backend": {"Type": "vxlan", "VNI": 1}}

JUDGED: dict[str, tuple[Bend, dict[str, str], str, str]] = {
    "healthy": (untouched, dict.fromkeys(NAMES, "ok"), "vxlan", "containers get 1450"),
    "two links": (
        apart,
        {"host-gw": "block", "vxlan": "ok"},
        "host-gw",
        "host-gw needs one link, and the nodes are on 2",
    ),
    "modules": (
        no_modules,
        {"vxlan": "ok", "wireguard": "block", "ipip": "block", "udp": "block", "alloc": "ok"},
        "ipip",
        "has no ipip",
    ),
    "mtu": (small, {"vxlan": "warn", "host-gw": "warn"}, "vxlan", "the nodes' MTUs differ"),
    "leftover": (
        leftover,
        {"host-gw": "warn", "vxlan": "ok"},
        "host-gw",
        "flannel.1 of an earlier flannel",
    ),
    "old": (
        old,
        {"wireguard": "block"},
        "wireguard",
        "wireguard needs flannel 0.16.0 or later; this is 0.9.0",
    ),
    "etcd": (etcd_holds(VXLAN), {"vxlan": "ok", "udp": "warn"}, "udp", "Backend.Type vxlan -> udp"),
}
"""What the machines are like; what is said of each; a backend, and what is found of it."""


def of_backends(
    draft: Draft, read: tuple[Answers, ClusterFacts], names: Sequence[str] = NAMES
) -> dict[str, list[Finding]]:
    """What is found of each backend."""
    answers, known = read
    others = backends.other_answers(draft, answers)
    return {name: backends.findings(draft, name, others, known) for name in names}


@pytest.mark.parametrize("case", JUDGED)
def test_each_backend_is_judged_against_these_hosts(case: str) -> None:
    bend, words, name, finding = JUDGED[case]
    draft = filled("backend")
    found = of_backends(draft, read(draft, bend))
    assert {it: word(found[it], read=True, busy=False) for it in words} == words
    assert finding in line(findings_content(found[name]))


def test_a_host_that_could_not_be_read_is_named_and_stops_nobody() -> None:
    draft = filled("backend", "unreachable")
    found = of_backends(draft, read(draft))["vxlan"]
    assert "fed-node2 not judged: it could not be read" in line(findings_content(found))
    assert why_blocked(found) == ""


def test_before_the_hosts_are_read_only_a_wrong_option_is_judged() -> None:
    draft = filled("backend", backend={"vni": 0})
    for name, busy, state in (
        ("udp", True, "reading"),
        ("udp", False, "unknown"),
        ("vxlan", True, "block"),
        ("vxlan", False, "block"),
    ):
        found = backends.findings(draft, name, None, None)
        assert word(found, read=False, busy=busy) == state
        assert word(found, read=True, busy=False) == ("block" if state == "block" else "")


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "another's option": ({"type": "host-gw", "vni": 7}, "host-gw has no such option"),
    "no backend": ({"type": "ipsec"}, "not offered, since its pre-shared key"),
    "no word": ({"type": 7}, "'7'"),
}


@pytest.mark.parametrize(("table", "why"), ODD.values(), ids=ODD)
def test_what_a_file_got_wrong_is_put_right_by_choosing(table: dict[str, Any], why: str) -> None:
    draft = filled("backend", backend=table)
    name = str(table["type"])
    if name in BACKENDS:
        assert why in why_blocked(of_backends(draft, healthy())[name])
    else:
        assert why in unknown_backend(name)
        assert unknown_backend(name).endswith(": choose one with Enter.")
    right = choose(draft, "host-gw")
    assert right.said["backend"] == {"type": "host-gw"}
    assert right.refusals() == {}
    assert why_blocked(of_backends(right, healthy())["host-gw"]) == ""


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=NAMES)
def test_it_is_said_what_each_needs_and_costs(backend: Any) -> None:  # noqa: ANN401
    plain = about(backend, {}).plain
    assert backend.help in plain
    for each in (*backend.modules, *backend.ports({})):
        assert each in plain
    assert ("all nodes on one link" in plain) == backend.same_link
    assert (f"{backend.overhead} bytes" in plain) == bool(backend.overhead)


def test_what_it_opens_is_what_was_said() -> None:
    assert "4789/udp" in about(BACKENDS["vxlan"], {"port": 4789}).plain
    assert "8472/udp" in about(BACKENDS["vxlan"], {"port": "x"}).plain
