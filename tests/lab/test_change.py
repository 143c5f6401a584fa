"""A network that is there already: mended, changed, or put there by somebody else."""

from pathlib import Path

import pytest

from tests.lab.fixture import LabFactory
from tests.lab.test_install import GENERATIONS, proven
from tests.support.lab_operator import Operator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_changed_cluster(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path)
    proven(operator.install(), 2)

    # A way to a peer has gone, as flannel 0.18.0 to 0.21.2 loses it.
    dst = lab.address("fed-node2")
    lab.ssh(
        "fed-node1",
        "bridge fdb del $(bridge fdb show dev flannel.1 | "
        f"grep -F ' {dst} ' | cut -d' ' -f1) dev flannel.1",
    )
    assert operator.left() == {"fed-node1": ["peers"]}
    docker = lab.ssh("fed-node1", "systemctl show -p MainPID docker")
    proven(operator.install(), 2)
    assert lab.ssh("fed-node1", "systemctl show -p MainPID docker") == docker

    # Another network, another VNI: nothing of the old one stays.
    operator.answers["network"] = {"cidr": "10.44.0.0/16"}
    operator.answers["backend"] = {"type": "vxlan", "vni": 7}
    said = operator.install()
    assert said.code == 0, said.err
    assert all("seen as 10.44." in it["seen"] for it in said.verdicts("ping"))
    for node in lab.nodes:
        seen = lab.ssh(node, "ip -4 address; ip -4 route; iptables -S DOCKER-USER")
        assert "10.44." in seen
        assert "10.16." not in seen
        assert "flannel.1:" not in seen
    assert operator.left() == {}


def test_a_lease_of_the_operator_s_clone(lab_factory: LabFactory, tmp_path: Path) -> None:
    """subnet.env of another node's, as an image that was cloned has it: nobody shares a subnet."""
    lab = lab_factory("classic", 3)
    operator = Operator(lab, tmp_path)
    proven(operator.install(), 2)
    env = lab.ssh("fed-node1", "cat /run/flannel/subnet.env")
    lab.write("fed-node2", "/run/flannel/subnet.env", env)
    found = operator.fedwiz("check", "--json")
    assert found.code == 3
    blocks = [it for it in found.json["findings"] if it["level"] == "block"]
    assert {it["check"] for it in blocks} == {"leases"}
