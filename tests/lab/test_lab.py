"""The lab itself: its hosts are what tests of the product take them for."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import labroot, labstate
from tests.lab.fixture import PATIENCE, Lab, LabFactory, require_lab
from tests.lab.labstate import RUN
from tests.support.lab_operator import Operator

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
    """Of five hosts: no other test has an image of those, whichever subnets are free."""
    require_lab()

    def lease(lab: Lab) -> str:
        return lab.ssh("fed-node1", "cat /run/flannel/subnet.env")

    with Lab.up("classic", 5, installed=True) as first:
        boots = {first.boot_id("fed-node1")}
        images = {first.subnet: (first.state.image, lease(first))}
        with Lab.up("classic", 5, installed=True) as other:
            boots.add(other.boot_id("fed-node1"))
            images[other.subnet] = (other.state.image, lease(other))
    assert len(set(images.values())) == 2  # each has disks that know its own addresses
    with Lab.up("classic", 5, installed=True) as second:
        assert images[second.subnet] == (second.state.image, lease(second))
        assert second.boot_id("fed-node1") not in boots


SMALL = """
import os
from pathlib import Path
import pytest
from tests.lab.fixture import LabFactory, lab_factory, running_labs

pytestmark = pytest.mark.timeout(900)

def test_it(lab_factory: LabFactory) -> None:
    lab_factory("classic", 2)
    Path(os.environ["MARK"]).touch()
    lab = lab_factory("classic", 2)  # a reset
    lab.ssh(lab.master, "touch /root/used; sleep infinity")
"""


@dataclass
class Small:
    """A small test run of its own, in a process group of its own."""

    process: "subprocess.Popen[bytes]"
    mark: Path

    def names(self) -> list[str]:
        """Its labs, by the pid in their names: it has them itself, or its workers do."""
        found = []
        for folder in RUN.glob("t*-*"):
            pid = int(folder.name[1:].partition("-")[0])
            stat = Path(f"/proc/{pid}/stat")
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                if self.process.pid in (pid, parent):
                    found.append(folder.name)
        return found


def hosts(name: str, file: str) -> list[Path]:
    return list((RUN / name / "hosts").glob(f"*/{file}"))


MOMENTS: Mapping[str, Callable[[Small, str], object]] = {
    "the folder is there": lambda _, name: (RUN / name).exists(),
    "the switch is there": lambda _, name: Path(f"/run/netns/fedwiz-lab-{name}-sw").exists(),
    "a disk is mounted": lambda _, name: any(it.is_mount() for it in hosts(name, "root")),
    "a host boots": lambda _, name: hosts(name, "leader"),
    "the hosts are to end": lambda run, _: run.mark.exists(),
    "the hosts have ended": lambda run, name: run.mark.exists() and not hosts(name, "leader"),
    "a host boots again": lambda run, name: (
        run.mark.exists() and not hosts(name, "booted") and hosts(name, "leader")
    ),
    "a host is in use": lambda run, name: any(hosts(name, "upper/root/used")),
}

ALONE, GROUP = os.kill, os.killpg
CUTS = [
    ("the folder is there", signal.SIGINT, GROUP, 0),
    ("the folder is there", signal.SIGTERM, ALONE, 2),
    ("the switch is there", signal.SIGHUP, ALONE, 0),
    ("the switch is there", signal.SIGINT, GROUP, 2),
    ("a disk is mounted", signal.SIGINT, ALONE, 0),
    ("a host boots", signal.SIGTERM, ALONE, 0),
    ("a host boots", signal.SIGHUP, GROUP, 2),
    ("the hosts are to end", signal.SIGINT, ALONE, 2),
    ("the hosts have ended", signal.SIGKILL, ALONE, 0),
    ("a host boots again", signal.SIGINT, GROUP, 0),
    ("a host is in use", signal.SIGKILL, ALONE, 2),
    ("a host is in use", signal.SIGINT, GROUP, 2),
]
"""When, which signal, to pytest alone or to its process group, and how many workers it has."""


@contextlib.contextmanager
def small_run(folder: Path, workers: int) -> Iterator[Small]:
    test, mark = folder / "test_small.py", folder / "mark"
    test.write_text(SMALL)
    root = str(Path(__file__).parents[2])
    argv = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder)]
    argv += ["-p", "no:cacheprovider", "-n", str(workers), str(test)]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": root, "MARK": str(mark)},
            cwd=folder,
        )
    try:
        yield Small(process, mark)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(true: Callable[[], object], otherwise: Callable[[], str]) -> None:
    """Wait for something that comes, on any machine; what does not come is a failure."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)  # looking costs as much as what is waited for


PLACES = (
    "run/fedwiz-lab/{name}",
    "run/netns/fedwiz-lab-{name}-*",
    "sys/fs/cgroup/fedwiz-lab-{name}-*",
    "sys/fs/cgroup/*/fedwiz-lab-{name}-*",
    "run/systemd/nspawn/*/fwl-{name}-*",
)


def left_of(name: str) -> list[str]:
    """What there is of a lab anywhere on this machine."""
    found = [str(it) for place in PLACES for it in Path("/").glob(place.format(name=name))]
    found += [row for row in Path("/proc/self/mountinfo").read_text().splitlines() if name in row]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if name in line or name in (process / "cgroup").read_text():
                found.append(f"{process}: {line}")
    return found


def index_of(link: str) -> str:
    """The kernel's number of a network link of this machine, empty where there is none."""
    try:
        return Path("/sys/class/net", link, "ifindex").read_text().strip()
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize(
    ("moment", "sign", "kill", "workers"),
    CUTS,
    ids=[f"{when}, {sign.name} to {how.__name__}, {n} workers" for when, sign, how, n in CUTS],
)
def test_a_test_run_that_is_cut_off_leaves_nothing(
    moment: str,
    sign: signal.Signals,
    kill: Callable[[int, int], None],
    workers: int,
    tmp_path: Path,
) -> None:
    require_lab()
    labroot.build("classic")  # that is kept in any case
    with small_run(tmp_path, workers) as run:
        names: list[str] = []

        def now() -> bool:
            names[:] = run.names()
            said = (tmp_path / "out").read_text()
            assert run.process.poll() is None, said
            return any(MOMENTS[moment](run, name) for name in names)

        until(now, lambda: f"{moment}: never")
        links = [
            (link, index)
            for it in names
            if (RUN / it / "lab.json").exists()
            and (index := index_of(link := labstate.load(it).operator_link))
        ]
        kill(run.process.pid, sign)
        run.process.wait(PATIENCE)
        until(lambda: not any(map(left_of, names)), lambda: f"left: {list(map(left_of, names))}")
    assert names
    # Another lab may have taken the subnet, and with it the name, since.
    assert not [link for link, index in links if index_of(link) == index]
