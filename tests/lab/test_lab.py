"""The lab itself: its hosts are what tests of the product take them for."""

import json
import os
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory, require_lab
from tests.operator import Operator

pytestmark = pytest.mark.lab

CONFIG = '{"Network":"10.60.0.0/16","Backend":{"Type":"vxlan"}}'


def start_flannel(lab: Lab, prefix: str = "/coreos.com/network") -> None:
    """Flannel on every node, the way the published procedure does it."""
    if lab.flannel == "v2":
        url = f"http://fed-master:2379/v2/keys{prefix}/config"
        lab.ssh(lab.master, f"curl -sf -XPUT {url} --data-urlencode value@-", stdin=CONFIG)
    else:
        lab.ssh(lab.master, f"ETCDCTL_API=3 etcdctl put {prefix}/config", stdin=CONFIG)
    for node in lab.nodes:
        lab.ssh(node, "dnf -y install flannel && systemctl enable flanneld")
        text = lab.ssh(node, "cat /etc/sysconfig/flanneld")
        text = text.replace("127.0.0.1", "fed-master").replace("/atomic.io/network", prefix)
        lab.write(node, "/etc/sysconfig/flanneld", text)
        lab.ssh(
            node,
            "systemctl stop docker && ip link delete docker0"
            " && systemctl start flanneld && systemctl start docker",
        )


@pytest.mark.parametrize("generation", ["classic", "modern"])
def test_flannel_gives_every_node_a_subnet_and_a_way_to_the_others(
    lab_factory: LabFactory,
    generation: str,
) -> None:
    lab = lab_factory(generation, 3)
    start_flannel(lab)
    seen = set()
    for node in lab.nodes:
        subnet = lab.ssh(node, ". /run/flannel/subnet.env; echo $FLANNEL_SUBNET").strip()
        bridge = json.loads(lab.ssh(node, "ip -j -4 addr show docker0"))[0]["addr_info"][0]
        assert subnet == f"{bridge['local']}/{bridge['prefixlen']}"
        seen.add(subnet)
    assert len(seen) == len(lab.nodes)
    for node in lab.nodes:
        for route in seen:
            lab.ssh(node, f"ping -c 1 -W 5 {route.split('/')[0]}")


def test_a_reboot_keeps_files_and_forgets_the_kernel(
    lab_factory: LabFactory,
) -> None:
    lab = lab_factory("classic", 2)
    node = lab.nodes[0]
    before = lab.boot_id(node)
    lab.ssh(node, "touch /root/kept && ip link add gone type bridge && iptables -N GONE")
    lab.reboot(node)
    assert lab.boot_id(node) != before
    assert lab.ssh(node, "ls /root/kept; systemctl is-active docker") == "/root/kept\nactive\n"
    assert "gone" not in lab.ssh(node, "ip link; iptables -S")


def test_users_reach_root_their_own_ways(lab_factory: LabFactory) -> None:
    lab = lab_factory("classic", 2)
    node = lab.nodes[0]
    assert lab.ssh(node, "sudo -n id -u", user="ops").strip() == "0"
    assert lab.run(node, "sudo -n id -u", user="admin").returncode != 0
    asked = lab.ssh(node, "sudo -S -p '' id -u", user="admin", stdin=lab.password + "\n")
    assert asked.strip() == "0"


def test_labs_live_side_by_side_and_leave_nothing(
    lab_factory: LabFactory,
) -> None:
    first = lab_factory("classic", 2)
    with Lab.up("classic", 1, name=f"side{os.getpid()}") as second:
        assert first.subnet != second.subnet
        assert second.ssh(second.master, "systemctl is-active etcd") == "active\n"
        folder = second.state.folder
        switch = second.state.switch
    assert not folder.exists()
    assert not Path("/run/netns", switch).exists()
    assert first.ssh(first.master, "hostname") == "fed-master\n"


@pytest.mark.parametrize("generation", ["classic", "modern"])
def test_an_installed_cluster_is_proven_and_so_it_is_after_a_reset(
    lab_factory: LabFactory, generation: str, tmp_path: Path
) -> None:
    lab = lab_factory(generation, 3, installed=True)
    image, known = lab.state.image, lab.known_hosts().read_text()
    assert Operator(lab, tmp_path).left() == {}
    for node in lab.nodes:
        lab.ssh(node, "touch /root/mark && dnf -y remove flannel && rm /etc/sysconfig/flanneld*")
    assert Operator(lab, tmp_path).left() != {}

    lab.reset()

    lab.installer_home(tmp_path)  # these hosts are known there
    assert lab.known_hosts().read_text() == known
    operator = Operator(lab, tmp_path)
    assert operator.left() == {}
    proof = operator.fedwiz("verify", "--json")
    assert proof.code == 0, proof.err
    assert len(proof.verdicts("ping")) == 2
    assert lab.state.image == image
    assert "mark" not in "".join(lab.ssh(node, "ls /root") for node in lab.nodes)


def test_what_was_installed_once_is_there_for_the_next_cluster_of_its_kind() -> None:
    require_lab()
    with Lab.up("classic", 3, installed=True) as first:
        boot = first.boot_id("fed-node1")
        lease = first.ssh("fed-node1", "cat /run/flannel/subnet.env")
        image, subnet = first.state.image, first.subnet
        with Lab.up("classic", 3, installed=True) as other:
            assert other.subnet != subnet  # each has disks that know its own addresses
            assert other.state.image != image
    with Lab.up("classic", 3, installed=True) as second:
        assert (second.state.image, second.subnet) == (image, subnet)
        assert second.ssh("fed-node1", "cat /run/flannel/subnet.env") == lease
        assert second.boot_id("fed-node1") != boot
