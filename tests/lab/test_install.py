"""The whole procedure on real hosts, from an answer file to containers that ping."""

import json
import shutil
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory
from tests.support.lab_operator import NETWORK, Operator, Said, flanneld_in_one_file

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

GENERATIONS = ("classic", "modern")


def proven(said: Said, nodes: int) -> None:
    """Every pair pings both ways, and each side sees the other's own address."""
    assert said.code == 0, said.err
    assert said.json["ok"] is True
    pings = said.verdicts("ping")
    assert len(pings) == nodes * (nodes - 1)
    for ping in pings:
        assert ping["level"] == "pass", ping
        assert "seen as 10.16." in ping["seen"], ping
        assert not ping["seen"].partition("seen as ")[2].endswith(".0"), ping
        assert ping["why"] == "", ping


def config_by_hand(lab: Lab) -> dict[str, object]:
    """What etcd says through the API that the lab's flannel reads."""
    if lab.flannel == "v2":
        url = "http://fed-master:2379/v2/keys/coreos.com/network/config"
        found = json.loads(lab.ssh("fed-node1", f"curl -s {url}"))["node"]["value"]
    else:
        get = "ETCDCTL_API=3 etcdctl get --print-value-only /coreos.com/network/config"
        found = lab.ssh("fed-master", get)
    said: dict[str, object] = json.loads(found)
    return said


def pids(lab: Lab) -> list[str]:
    show = "systemctl show -p MainPID,ActiveEnterTimestampMonotonic flanneld docker"
    return [lab.ssh(node, show) for node in lab.nodes]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_whole_procedure(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory(generation, 4)
    operator = Operator(lab, tmp_path)
    lab.ssh("fed-node1", "printf '%s\\n' '# mine' 'KEPT=\"yes\"' >/etc/sysconfig/flanneld")

    proven(operator.install(), 3)
    assert config_by_hand(lab) == {
        "Network": NETWORK,
        "SubnetLen": 24,
        "Backend": {"Type": "vxlan", "VNI": 1},
    }
    kept = lab.ssh("fed-node1", "cat /etc/sysconfig/flanneld").splitlines()
    assert kept[:2] == ["# mine", 'KEPT="yes"']

    before = pids(lab)
    again = operator.install()
    proven(again, 3)
    assert operator.left() == {}
    assert pids(lab) == before
    proven(operator.fedwiz("verify", "--json"), 3)

    for node in lab.nodes:
        lab.reboot(node)
    proven(operator.fedwiz("verify", "--json"), 3)
    assert operator.left() == {}

    # docker's policy without the rules that let pods through: the procedure's own end.
    lab.ssh(
        "fed-node2",
        "systemctl stop fedwiz-forward; iptables -P FORWARD DROP; "
        "iptables -D FORWARD -s 10.16.0.0/16 -j ACCEPT; true",
    )
    lab.ssh("fed-node2", "iptables -F FLANNEL-FWD 2>/dev/null; true")
    red = operator.fedwiz("verify", "--json")
    assert red.code == 7
    failed = {(it["host"], it["peer"]) for it in red.verdicts("ping") if it["level"] == "fail"}
    # What comes in is dropped; what goes out from docker0, and its answers, docker lets pass.
    assert failed == {("fed-node1", "fed-node2"), ("fed-node3", "fed-node2")}
    assert "fed-node2" in red.err
    assert operator.left() == {"fed-node2": ["forward"]}
    proven(operator.install(), 3)


BACKENDS = ("host-gw", "udp")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_another_backend(
    generation: str, backend: str, lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path, {"backend": {"type": backend}})
    proven(operator.install(), 2)
    assert operator.left() == {}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_switch_by_reboot(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path, {"docker": {"switch": "reboot"}})
    boots = [lab.boot_id(node) for node in lab.nodes]
    proven(operator.install(), 2)
    assert all(lab.boot_id(node) != boot for node, boot in zip(lab.nodes, boots, strict=True))
    assert operator.left() == {}


def test_a_user_that_needs_sudo_with_a_password(lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory("classic", 3)
    operator = Operator(lab, tmp_path, environ={"FEDWIZ_SUDO_PASSWORD": lab.password})
    operator.answers["ssh"] |= {"user": "admin", "sudo": "ask"}
    said = operator.install()
    proven(said, 2)
    journals = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert lab.password not in said.out + said.err + journals


def test_a_user_that_needs_sudo_without_a_password(lab_factory: LabFactory, tmp_path: Path) -> None:
    operator = Operator(lab_factory("modern", 3), tmp_path)
    operator.answers["ssh"] |= {"user": "ops", "sudo": "nopasswd"}
    proven(operator.install(), 2)


def test_through_a_jump_host(lab_factory: LabFactory, tmp_path: Path) -> None:
    """The nodes are known by names that only ssh_config knows, behind the master."""
    lab = lab_factory("classic", 3)
    operator = Operator(lab, tmp_path)
    lines = []
    for host in operator.answers["host"]:
        lines += [f"Host lab-{host['name']}", f"  HostName {host['address']}"]
        lines += ["  User root", f"  IdentityFile {lab.key}"]
        if host["role"] == "node":
            lines.append("  ProxyJump lab-fed-master")
        host["address"] = f"lab-{host['name']}"
    (tmp_path / ".ssh/config").write_text("\n".join(lines) + "\n")
    del operator.answers["ssh"]
    proven(operator.install(), 2)


def test_an_rpm_of_the_operator_s(lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory("classic", 3)
    rpm = lab.ssh("fed-node1", "ls /srv/repo/flannel-*.rpm | head -n 1").strip()
    local = tmp_path / Path(rpm).name
    shutil.copy(lab.root("fed-node1") / rpm.lstrip("/"), local)
    sha256 = lab.ssh("fed-node1", f"sha256sum {rpm}").split()[0]
    for node in lab.nodes:
        lab.ssh(node, "rm -rf /srv/repo/*flannel*")
    source = {"source": "rpm", "path": str(local), "sha256": sha256}
    operator = Operator(lab, tmp_path, {"flannel": source})
    proven(operator.install(), 2)
    assert operator.left() == {}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_binary_of_the_operator_s(
    generation: str, lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory(generation, 3)
    local = tmp_path / "flanneld"
    sha256 = flanneld_in_one_file(lab, local)
    source = {"source": "binary", "path": str(local), "sha256": sha256}
    operator = Operator(lab, tmp_path, {"flannel": source})
    proven(operator.install(), 2)
    assert operator.left() == {}
    lab.reboot("fed-node1")
    proven(operator.fedwiz("verify", "--json"), 2)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_firewalld_runs(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory(generation, 3)
    for node in lab.nodes:
        lab.ssh(node, "systemctl start firewalld && systemctl restart docker")
    operator = Operator(lab, tmp_path)
    proven(operator.install(), 2)
    # It may take docker's rules with it; the one that lets pods through comes back by itself.
    lab.ssh(
        "fed-node1",
        "firewall-cmd --reload; for i in $(seq 100); do "
        f"iptables -C DOCKER-USER -s {NETWORK} -d {NETWORK} -j ACCEPT && break; "
        "sleep 0.1; done",
    )
    proven(operator.fedwiz("verify", "--json"), 2)


def test_docker_that_does_not_run_is_left_alone(lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory("classic", 3)
    lab.ssh("fed-node2", "systemctl disable --now docker.socket docker")
    operator = Operator(lab, tmp_path)
    said = operator.install()
    assert said.code == 0, said.err
    assert any("docker does not run on fed-node2" in it["why"] for it in said.verdicts("ping"))
    assert lab.ssh("fed-node2", "systemctl is-active flanneld").strip() == "active"
    assert lab.run("fed-node2", "systemctl is-active docker").stdout.strip() == "inactive"
    assert operator.left() == {}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_plan_by_hand(generation: str, lab_factory: LabFactory, tmp_path: Path) -> None:
    """`plan --shell`, run by a person, has the same effect: the next plan is empty.

    The master's comes on standard input, the nodes' are files.
    """
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path)
    scripts = dict[str, str]()
    for host in lab.hosts:
        script = operator.fedwiz("plan", "--shell", "--host", host)
        assert script.code == 0, script.err
        scripts[host] = script.out
    for node in lab.nodes:
        lab.write(node, "/root/plan.sh", scripts[node])
    lab.ssh("fed-master", "sh", stdin=scripts["fed-master"])
    for node in lab.nodes:
        lab.ssh(node, "systemd-run --quiet --unit=by-hand sh /root/plan.sh")
    for node in lab.nodes:
        lab.ssh(
            node,
            "while systemctl -q is-active by-hand; do sleep 0.2; done; "
            "! systemctl -q is-failed by-hand",
            timeout=180,
        )
    assert operator.left() == {}
    proven(operator.fedwiz("verify", "--json"), 2)
