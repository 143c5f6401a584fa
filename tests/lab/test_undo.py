"""Real hosts are after the way back as they were before the install, wherever that ended."""

import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory
from tests.lab.test_deadman import CUT, CUTS
from tests.lab.test_refusals import docker0, docker_everywhere, sentence
from tests.support.host_snapshot import as_they_were, differs, snapshot, snapshots
from tests.support.lab_operator import NETWORK, Operator, Said, flanneld_in_one_file

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

SWITCH = (r"fed-node1 +switch +stopping docker", signal.SIGKILL)
STOPPED = {
    "classic": {
        "after what is kept": (r"fed-node1 +kernel ", signal.SIGINT),
        "after the package": (r"fed-node1 +sysconfig ", signal.SIGINT),
        "in the switch": SWITCH,
    },
    "modern": {
        "after flanneld's settings": (r"fed-node1 +unit ", signal.SIGKILL),
        "after the files": (r"fed-node2 +enable ", signal.SIGINT),
        "in the switch": SWITCH,
    },
}
"""What is seen of an install when it ends, and how; the simulated hosts have every moment."""


def cut(operator: Operator, seen: str, how: signal.Signals) -> None:
    """An install that is ended once a line of it is seen."""
    with operator.begin("install", "--yes", "--headless") as run:
        assert run.stderr is not None
        lines = []
        for line in run.stderr:
            lines.append(line)
            if re.search(seen, line):
                run.send_signal(how)
                break
        lines += run.stderr
    assert run.returncode in (130, -signal.SIGKILL), "".join(lines)


def settled(lab: Lab) -> None:
    """What still runs of fedwiz's on the hosts has ended, but for what would take a step back."""
    busy = "systemctl list-units --plain --no-legend --state=active,activating 'fedwiz-*.service'"
    for node in lab.nodes:
        lab.ssh(node, f"while {busy} | grep -vE 'forward|deadman'; do sleep 0.2; done")


def undone(operator: Operator, *more: str) -> Said:
    settled(operator.lab)
    said = operator.fedwiz("undo", "--yes", "--headless", "--json", *more)
    assert said.code == 0, said.err
    return said


def container(lab: Lab, node: str) -> str:
    """The address of a container that docker runs there, once the host has pinged it."""
    lab.ssh(
        node,
        "docker image inspect lab/busy >/dev/null 2>&1 || "
        "tar -C / -ch bin/busybox | docker import - lab/busy",
    )
    lab.ssh(node, "docker run -d --name box lab/busy /bin/busybox sleep 60")
    address = "docker inspect -f '{{.NetworkSettings.IPAddress}}' box"
    found = lab.ssh(node, f"a=$({address}); ping -c 1 -W 3 $a >/dev/null && echo $a").strip()
    lab.ssh(node, "docker rm -f box")
    return found


@pytest.mark.parametrize("generation", ["classic", "modern"])
def test_hosts_are_as_before(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path)
    if generation == "modern":
        operator.answers["ssh"] |= {"user": "ops", "sudo": "nopasswd"}
    lab.ssh("fed-node2", "printf '%s\\n' '# mine' 'KEPT=\"yes\"' >/etc/sysconfig/flanneld")
    before = snapshots(lab)

    def as_before(what: str) -> None:
        sys.stdout.write(f"{what}:\n")
        as_they_were(lab, before)
        left = (
            "{ ETCDCTL_API=3 etcdctl get --prefix --keys-only /coreos.com; "
            "curl -s 'http://127.0.0.1:2379/v2/keys/coreos.com?recursive=true'; }"
        )
        assert "10." not in lab.ssh("fed-master", left, check=False), what

    said = operator.install()
    assert said.code == 0, said.err
    assert list(differs(before["fed-node1"], snapshot(lab, "fed-node1")))
    undone(operator)
    as_before("a finished install")
    assert container(lab, "fed-node1").startswith("172.17.")
    again = operator.fedwiz("undo", "--yes", "--headless")
    assert again.code == 0
    assert "nothing was kept on fed-node1, fed-node2" in again.err

    for what, (seen, how) in STOPPED[generation].items():
        cut(operator, seen, how)
        undone(operator)
        as_before(what)

    operator.answers["backend"] = {"type": "host-gw"}
    assert operator.install("--no-verify").code == 0
    assert NETWORK[:6] in lab.ssh("fed-node1", "ip route")
    undone(operator)
    as_before("host-gw")


ARMED = "ls -d /run/fedwiz/deadman-* /var/lib/fedwiz/deadman-* /etc/systemd/system/fedwiz-deadman*"


def test_a_reboot_that_cuts_the_operator_off_is_taken_back_and_undone(
    lab_factory: LabFactory, tmp_path: Path
) -> None:
    """A flanneld without package, moved to by a reboot; on one node nobody gets in after that."""
    lab = lab_factory("modern", 3)
    local = tmp_path / "flanneld"
    sha256 = flanneld_in_one_file(lab, local)
    operator = Operator(
        lab,
        tmp_path,
        {
            "flannel": {"source": "binary", "path": str(local), "sha256": sha256},
            "docker": {"switch": "reboot"},
        },
    )
    operator.answers["ssh"]["confirm_within"] = 10
    lab.ssh("fed-node1", "systemctl enable --now firewalld && systemctl restart docker")
    lab.write("fed-node2", CUT, CUTS)
    lab.write("fed-node2", "/etc/docker/daemon.json", '{"log-level": "warn"}\n')
    lab.ssh("fed-node2", "systemctl daemon-reload && systemctl restart docker")
    before = snapshots(lab)
    boots = {node: lab.boot_id(node) for node in lab.nodes}

    last = sentence(operator.install(), 5, "the same command continues from here")
    assert "fed-node2: switch: switch was taken back, since no new connection" in last
    docker_everywhere(lab)
    assert docker0(lab, "fed-node1").startswith("10.16.")
    assert docker0(lab, "fed-node2") == "172.17.0.1/16"
    assert all(lab.boot_id(node) != boot for node, boot in boots.items())
    assert [lab.run(node, ARMED).stdout for node in lab.nodes] == ["", ""]

    undone(operator)
    as_they_were(lab, before)


FORMER = """\
FLANNEL_ETCD="http://fed-master:2379"
FLANNEL_ETCD_KEY="/coreos.com/network"
FLANNEL_OPTIONS="-ip-masq"
"""
KEY = "http://127.0.0.1:2379/v2/keys/coreos.com/network/config"
THEIRS = '{"Network":"10.44.0.0/16","Backend":{"Type":"vxlan"}}'


def test_hosts_that_had_things_of_their_own_have_them_again(
    lab_factory: LabFactory, tmp_path: Path
) -> None:
    """One had flannel by hand; one a firewall, docker on a bridge of its own, and two by a file."""
    lab = lab_factory("classic", 3)
    rpm = lab.ssh("fed-node1", "ls /srv/repo/flannel-*.rpm | head -n 1").strip()
    local = tmp_path / Path(rpm).name
    shutil.copy(lab.root("fed-node1") / rpm.lstrip("/"), local)
    sha256 = lab.ssh("fed-node1", f"sha256sum {rpm}").split()[0]
    operator = Operator(
        lab,
        tmp_path,
        {
            "flannel": {"source": "rpm", "path": str(local), "sha256": sha256},
            "backend": {"type": "udp"},
        },
    )

    lab.ssh("fed-master", f"curl -sf -X PUT {KEY} --data-urlencode 'value={THEIRS}'")
    lab.ssh("fed-node1", "dnf -y install flannel")
    lab.write("fed-node1", "/etc/sysconfig/flanneld", FORMER, "0640")
    lab.ssh(
        "fed-node1",
        "systemctl stop docker.socket docker; ip link del docker0; "
        "systemctl enable --now flanneld && systemctl start docker && "
        "iptables -P FORWARD ACCEPT && "
        "iptables -A FORWARD -s 10.44.0.0/16 -j ACCEPT",
    )
    assert docker0(lab, "fed-node1").startswith("10.44.")
    lab.ssh(
        "fed-node2",
        "systemctl start firewalld && "
        "sed -i 's/^DOCKER_NETWORK_OPTIONS=.*/DOCKER_NETWORK_OPTIONS=--bip=192.168.99.1\\/24/' "
        "/etc/sysconfig/docker-network && systemctl restart docker && "
        "sed -i 's/^DOCKER_NETWORK_OPTIONS=.*/DOCKER_NETWORK_OPTIONS=/' "
        "/etc/sysconfig/docker-network",
    )
    assert docker0(lab, "fed-node2") == "192.168.99.1/24"
    before = snapshots(lab)

    said = operator.install()
    assert said.code == 0, said.err
    alone = operator.fedwiz("undo", "--yes", "--headless", "--host", "fed-node1")
    sentence(alone, 2, "fed-node1 had flannel on the network that", "undo them all")
    undone(operator, "--host", "fed-node2")
    as_they_were(lab, before, "fed-node2")
    assert docker0(lab, "fed-node1").startswith("10.16.")
    undone(operator)
    as_they_were(lab, before)
    assert THEIRS in lab.ssh("fed-master", f"curl -s {KEY}").replace("\\", "")
