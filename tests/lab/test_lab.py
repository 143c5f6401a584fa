"""The lab itself: its hosts are what tests of the product take them for."""

import json
import os
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory

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
