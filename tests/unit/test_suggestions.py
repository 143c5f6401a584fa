"""What a draft takes without being typed: etcd's network, a free one, a backend's own options."""

import pytest

from fedwiz.checks.ranges import unused_network
from fedwiz.facts import Route
from fedwiz.practice.machine import Cluster
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.suggestions import choose, proposed
from tests.support.pilot import filled, unsaid
from tests.support.practice_wizard import Bend, etcd_holds, read, untouched


def begun(draft: Draft, bend: Bend = untouched) -> Draft:
    """The draft once the hosts were read."""
    answers, known = read(draft, bend)
    return proposed(draft, known, unused_network(answers, known))


def one_uses(*cidrs: str) -> Bend:
    """A node has routes to these."""

    def bend(machines: Cluster) -> None:
        for cidr in cidrs:
            machines.nodes()[2].routes.append(Route(cidr, "eth0", "192.168.122.1"))

    return bend


HELD = {
    "Network": "10.40.0.0/16",
    "SubnetLen": 25,
    "SubnetMin": "10.40.1.0",
    "Backend": {"Type": "host-gw"},
}
PUBLIC = {"Network": "18.16.0.0/16", "SubnetLen": 24, "Backend": {"Type": "vxlan", "VNI": 1}}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")

BEGUN: dict[str, tuple[Draft, Bend, object]] = {
    "nothing in the way": (unsaid(), untouched, {"cidr": "10.16.0.0/16"}),
    "one host uses the first": (unsaid(), one_uses("10.16.128.0/17"), {"cidr": "10.0.0.0/16"}),
    "all is used": (unsaid(), one_uses(*PRIVATE), None),
    "etcd holds one": (
        unsaid(),
        etcd_holds(HELD),
        {"cidr": "10.40.0.0/16", "subnet_len": 25, "subnet_min": "10.40.1.0"},
    ),
    "a length was said": (
        unsaid().put("network.subnet_len", 26),
        etcd_holds(HELD),
        {"cidr": "10.40.0.0/16", "subnet_len": 26, "subnet_min": "10.40.1.0"},
    ),
    "a public one is verified": (
        unsaid(goal="verify"),
        etcd_holds(PUBLIC),
        {"cidr": "18.16.0.0/16", "subnet_len": 24, "allow_public": True},
    ),
    "a public one is installed": (
        unsaid(goal="install"),
        etcd_holds(PUBLIC),
        {"cidr": "18.16.0.0/16", "subnet_len": 24},
    ),
    "a finished cluster": (
        unsaid(goal="verify"),
        untouched,
        {"cidr": "10.16.0.0/16", "subnet_len": 24},
    ),
    "one was said": (filled("network"), etcd_holds(HELD), {"cidr": "10.16.0.0/16"}),
    "an empty one was said": (
        unsaid().put("network.cidr", ""),
        etcd_holds(HELD),
        {"cidr": ""},
    ),
}
"""What was said, what the machines are like, and the network that the draft has then."""


@pytest.mark.parametrize(("draft", "bend", "network"), BEGUN.values(), ids=BEGUN)
def test_where_no_network_was_said_one_is_there(draft: Draft, bend: Bend, network: object) -> None:
    assert begun(draft, bend).said.get("network") == network


def test_the_backend_is_etcd_s_unless_one_was_said() -> None:
    assert begun(unsaid(), etcd_holds(HELD)).said["backend"] == {"type": "host-gw"}
    draft = unsaid().put("backend.type", "udp")
    assert begun(draft, etcd_holds(HELD)).said["backend"] == {"type": "udp"}
    flannel_s_own = begun(unsaid(), etcd_holds({"Network": "10.40.0.0/16"}))
    assert flannel_s_own.said["backend"] == {"type": "udp"}


def test_choosing_again_leaves_out_what_the_backend_does_not_know() -> None:
    draft = Draft(said={"backend": {"type": "host-gw", "vni": 7}})
    assert choose(draft, "host-gw").said["backend"] == {"type": "host-gw"}
    assert choose(Draft(said={"backend": {"type": "ipsec", "PSK": "x"}}), "udp").held == {}
    assert choose(Draft(held={"udp": "odd"}), "udp").said["backend"] == {"type": "udp"}
