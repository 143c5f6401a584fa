"""Real hosts are after the way back as they were before the install, wherever that ended."""

import re
import signal
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory
from tests.operator import NETWORK, Operator, Said
from tests.snapshot import differs, snapshot

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

STOPPED = {
    "after the package": (r"fed-node1 +sysconfig ", signal.SIGINT),
    "after the files": (r"fed-node2 +enable ", signal.SIGINT),
    "in the switch": (r"fed-node1 +switch +stopping docker", signal.SIGKILL),
}
"""What is seen of an install when it ends, and how."""


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


def undone(operator: Operator) -> Said:
    settled(operator.lab)
    said = operator.fedwiz("undo", "--yes", "--headless", "--json")
    assert said.code == 0, said.err
    return said


def container(lab: Lab, node: str) -> str:
    """The address of a container that docker runs there, once the host has pinged it."""
    lab.ssh(node, "docker image inspect lab/busy >/dev/null 2>&1 || "
            "tar -C / -ch bin/busybox | docker import - lab/busy")  # fmt: skip
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
    before = {host: snapshot(lab, host) for host in lab.hosts}

    def as_before(what: str) -> None:
        for host in lab.hosts:
            found = list(differs(before[host], snapshot(lab, host)))
            assert found == [], f"{what}: {host}"
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

    for what, (seen, how) in STOPPED.items():
        cut(operator, seen, how)
        undone(operator)
        as_before(what)

    operator.answers["backend"] = {"type": "host-gw"}
    assert operator.install("--no-verify").code == 0
    assert NETWORK[:6] in lab.ssh("fed-node1", "ip route")
    undone(operator)
    as_before("host-gw")
