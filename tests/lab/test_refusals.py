"""What goes wrong on real hosts: one clear sentence, the right exit code, and docker runs on."""

import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory, RunningLabs, require_lab
from tests.support.host_snapshot import unchanged
from tests.support.install_faults import STATE
from tests.support.lab_operator import Operator, Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

ALL = ("install", "--yes", "--headless")
ASKED = ("install", "--approve", "0" * 12, "--headless")
"""Where a check must refuse: should it not, nothing is changed, and the next test goes on."""

KEY = "/coreos.com/network/config"


def docker_everywhere(lab: Lab) -> None:
    for node in lab.nodes:
        assert lab.ssh(node, "systemctl is-active docker").strip() == "active", node


def docker0(lab: Lab, node: str) -> str:
    return lab.ssh(node, "ip -4 -o address show dev docker0").split()[3]


def sentence(said: Said, code: int, *parts: str) -> str:
    """The last word on stderr; it names what was seen and where, and stderr says it only once more.

    Not counted: the lines of the events themselves, which begin with the time.
    """
    assert said.code == code, said.err
    assert "Traceback" not in said.err
    *lines, last = said.err.splitlines()
    for part in parts:
        assert part in last, said.err
    assert last.startswith("fedwiz: ")
    repeated = [line for line in lines if parts[-1] in line and not re.match(r"\d\d:\d\d:", line)]
    # The output of a command that failed is shown again, and may hold it.
    assert all(line.startswith("  | ") for line in repeated), repeated
    return last


def untouched(lab: Lab) -> None:
    """Nothing of an install is on any node, and nothing in etcd."""
    docker_everywhere(lab)
    for node in lab.nodes:
        assert docker0(lab, node) == "172.17.0.1/16"
        left = lab.ssh(
            node,
            "ls -d /etc/sysconfig/flanneld /run/flannel /etc/systemd/system/"
            "fedwiz-forward.service /run/fedwiz* 2>/dev/null; true",
        )
        assert left == "", left


@contextmanager
def changed(lab: Lab, host: str, before: str, after: str) -> Iterator[None]:
    """Something on a host is different for a while, and then as it was."""
    with unchanged(lab, STATE, *lab.nodes):
        lab.ssh(host, before)
        try:
            yield
        finally:
            lab.ssh(host, after)


@dataclass
class Case:
    """Something wrong on a host, and how it is taken away again."""

    host: str
    before: str
    after: str
    parts: tuple[str, ...]
    code: int = 3


REPO = "rm -rf /root/repo; cp -aL /srv/repo /root/repo; "
REPO_BACK = "rm -rf /srv/repo; mv /root/repo /srv/repo; dnf clean all >/dev/null 2>&1"

DATE = (
    'printf \'#!/bin/sh\nexec /usr/bin/date -d "+2 hours" "$@"\n\' >/usr/sbin/date; '
    "chmod +x /usr/sbin/date"
)

# More of them, with what is done about each, are in the table of faults.
BLOCKS = {
    "no flannel package": Case(
        "fed-node2",
        "cp -a /etc/dnf/dnf.conf /root; printf '\nexcludepkgs=flannel\n' >>/etc/dnf/dnf.conf",
        "mv /root/dnf.conf /etc/dnf/dnf.conf",
        ("fed-node2: ", "dnf offers no flannel", 'flannel.source to "rpm" or "binary"'),
    ),
    "a repository that can't be read": Case(
        "fed-node2",
        "mv /srv/repo/repodata /root; dnf clean all >/dev/null",
        "mv /root/repodata /srv/repo",
        ("fed-node2: ", "the host can't read its package repositories", "repomd.xml"),
    ),
    "a range that overlaps a route": Case(
        "fed-node2",
        "ip route add 10.16.5.0/24 dev eth0",
        "ip route del 10.16.5.0/24",
        ("fed-node2", "10.16.0.0/16", "10.16.5.0/24"),
    ),
    "a full /run": Case(
        "fed-node2",
        "mount -o remount,size=$(($(df --output=used /run | tail -n 1) + 64))k /run",
        "mount -o remount,size=20% /run",
        ("fed-node2: ", "/run has 0 MiB free", "make room on /run"),
    ),
    "docker has a bip of its own": Case(
        "fed-node1",
        "cp -a /etc/sysconfig/docker-network /root; "
        "echo 'DOCKER_NETWORK_OPTIONS=--bip=172.30.0.1/16' >>/etc/sysconfig/docker-network",
        "mv /root/docker-network /etc/sysconfig/docker-network",
        ("fed-node1: ", "/etc/sysconfig/docker-network gives docker --bip", "remove --bip"),
    ),
    "two hosts of one name": Case(
        "fed-node2",
        "hostname fed-node1",
        "hostname fed-node2",
        ("fed-node1, fed-node2", "are all called fed-node1", "hostnamectl set-hostname"),
    ),
    "no sudo for this host": Case(
        "fed-node2",
        "mkdir /root/away; mv /etc/sudoers.d/* /root/away",
        "mv /root/away/* /etc/sudoers.d/; rmdir /root/away",
        ("fed-node2", "sudo on fed-node2 wants ops's password", "ssh.sudo"),
        4,
    ),
}


@pytest.fixture(scope="module")
def shared(running_labs: RunningLabs) -> Lab:
    """One cluster for all that must change nothing: that it did not is part of each test."""
    require_lab()
    want = ("classic", 3, None, False)
    if want in running_labs:
        running_labs[want].reset()
    else:
        running_labs[want] = Lab.up("classic", 3)
    return running_labs[want]


@pytest.fixture
def operator(shared: Lab, tmp_path: Path) -> Operator:
    return Operator(shared, tmp_path)


@pytest.mark.parametrize("case", BLOCKS.values(), ids=BLOCKS)
def test_what_is_wrong_is_found_before_anything_changes(
    case: Case, shared: Lab, operator: Operator
) -> None:
    if case.code == 4:
        operator.answers["ssh"] |= {"user": "ops", "sudo": "nopasswd"}
    with changed(shared, case.host, case.before, case.after):
        sentence(operator.fedwiz(*ASKED), case.code, *case.parts)
        untouched(shared)


def unreachable(operator: Operator) -> None:
    operator.answers["host"][2]["address"] = operator.lab.subnet.rpartition(".")[0] + ".250"


def no_listener(operator: Operator) -> None:
    operator.answers["ssh"]["port"] = 23


def wrong_password(operator: Operator) -> None:
    operator.answers["ssh"] |= {"user": "admin", "sudo": "ask"}
    operator.environ["FEDWIZ_SUDO_PASSWORD"] = "not this one"


def changed_key(operator: Operator) -> None:
    """known_hosts has another host's key for fed-node1."""
    path = operator.lab.known_hosts(operator.home / ".ssh/known_hosts")
    lines = {line.split(",")[0]: line for line in path.read_text().splitlines()}
    _, _, another = lines["fed-node2"].partition(" ")
    lines["fed-node1"] = f"{lines['fed-node1'].partition(' ')[0]} {another}"
    path.write_text("\n".join(lines.values()) + "\n")


def wrong_pin(operator: Operator) -> None:
    operator.answers["host"][1]["host_key"] = "SHA256:" + "A" * 43


def no_key(operator: Operator) -> None:
    operator.answers["ssh"]["identity"] = [str(operator.home / "nothing")]


WAYS: dict[str, tuple[Callable[[Operator], None], tuple[str, ...]]] = {
    "unreachable host": (unreachable, ("fed-node2: ", ".250")),
    "nothing listens": (no_listener, ("nothing listens at", "ssh.port")),
    "wrong password": (wrong_password, ("sudo refused the password on", "give the right one")),
    "changed host key": (changed_key, ("fed-node1's host key has changed", "known_hosts")),
    "wrong pinned key": (wrong_pin, ("fed-node1", "SHA256:AAAA")),
    "no such key": (no_key, ("the key file", "ssh.identity")),
}


@pytest.mark.parametrize(("spoil", "parts"), WAYS.values(), ids=WAYS)
def test_a_host_that_does_not_let_us_in(
    spoil: Callable[[Operator], None], parts: tuple[str, ...], shared: Lab, operator: Operator
) -> None:
    spoil(operator)
    said = operator.fedwiz(*ASKED)
    last = sentence(said, 4, *parts)
    assert "not this one" not in said.out + said.err
    assert not re.search(r"(fed-node\d): .*\1: ", last), "it is named once"
    untouched(shared)


def test_something_else_listens_there(shared: Lab, operator: Operator) -> None:
    """A port that sends megabytes of anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                    with peer:
                        for _ in range(64):
                            peer.sendall(b"\x1b[2J\0HTTP/1.1 400 Bad Request\r\n" * 1000)
                except OSError:
                    return

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        config = operator.home / ".ssh/config"
        port = server.getsockname()[1]
        config.write_text(f"Host other\n  HostName 127.0.0.1\n  Port {port}\n")
        operator.answers["host"][1]["address"] = "other"
        sentence(operator.fedwiz(*ASKED), 4, "fed-node1")
        server.shutdown(socket.SHUT_RDWR)
    untouched(shared)


def test_etcd_has_another_network_through_the_other_api(shared: Lab, operator: Operator) -> None:
    """It is told, and the install writes where this flannel reads."""
    put = f'ETCDCTL_API=3 etcdctl put {KEY} \'{{"Network":"10.99.0.0/16"}}\''
    with changed(shared, "fed-master", put, f"ETCDCTL_API=3 etcdctl del {KEY}"):
        said = operator.fedwiz("plan", "--json")
        assert said.code == 0
        keep, put = said.json["hosts"]["fed-master"]
        assert (keep["step"], put["step"]) == ("keep", "config")
        assert put["shown"].startswith("ETCDCTL_API=2 etcdctl set")
        found = operator.fedwiz("check", "--json").json["findings"]
        [it] = [it for it in found if it["level"] == "warn" and it["check"] == "etcd-config"]
        assert "v3" in it["seen"]
        assert "10.99.0.0/16" in it["seen"]


def test_an_approved_plan_that_is_stale(shared: Lab, operator: Operator) -> None:
    digest = operator.fedwiz("plan", "--json").json["digest"]
    with changed(
        shared,
        "fed-node2",
        "echo 'FLANNEL_ETCD=\"http://fed-master:2379\"' >/etc/sysconfig/flanneld",
        "rm /etc/sysconfig/flanneld",
    ):
        stale = operator.fedwiz("install", "--approve", digest, "--headless")
        sentence(stale, 9, "fed-node2 files", "look at `fedwiz plan` again")
    untouched(shared)
    assert operator.fedwiz("plan", "--json").json["digest"] == digest


def test_an_accepted_block_is_a_warning(shared: Lab, operator: Operator) -> None:
    with changed(shared, "fed-node2", DATE, "rm /usr/sbin/date"):
        said = operator.fedwiz("check", "--json", "--accept", "clock")
    assert said.code == 0
    assert [it["check"] for it in said.json["findings"] if it["level"] == "warn"] == ["clock"]


def test_after_all_of_these_the_same_command_goes_through(shared: Lab, operator: Operator) -> None:
    """The last of those on the shared cluster."""
    untouched(shared)
    said = operator.fedwiz(*ALL)
    assert said.code == 0, said.err
    assert operator.left() == {}


REFUSES = """#!/bin/sh
case "$*" in *--bip*) echo "failed to start daemon: something in the way" >&2; exit 1;; esac
exec /usr/sbin/dockerd.real "$@"
"""
NEVER = "/etc/systemd/system/flanneld.service.d/x.conf"


def test_what_fails_on_one_host_leaves_the_others_alone(
    lab_factory: LabFactory, tmp_path: Path
) -> None:
    """Three hosts fail, each in a way of its own; then one, in another way; then none."""
    lab = lab_factory("modern", 5)
    operator = Operator(lab, tmp_path, {"docker": {"ready_within": 15}})
    lab.write("fed-node2", NEVER, "[Service]\nExecStart=\nExecStart=/bin/sleep 1000\n")
    lab.ssh("fed-node3", "mv /usr/sbin/dockerd /usr/sbin/dockerd.real")
    lab.write("fed-node3", "/usr/sbin/dockerd", REFUSES, "0755")
    lab.ssh("fed-node4", REPO + "for f in /srv/repo/flannel*.rpm; do echo junk >$f; done")

    last = sentence(operator.fedwiz(*ALL), 5, "the same command continues from here")
    assert "flanneld did not get ready within 15 s, and docker runs as before" in last
    assert "docker did not start on flannel's subnet, and docker runs as before" in last
    assert last.count("see `journalctl -u") == 2
    assert re.search(r"fed-node4: package: .*(checksum|signature)", last)
    docker_everywhere(lab)
    assert docker0(lab, "fed-node1").startswith("10.16.")
    for node in lab.nodes[1:]:
        assert docker0(lab, node) == "172.17.0.1/16"
        # Nothing is left that would keep docker from starting at the next boot.
        assert lab.run(node, "systemctl is-enabled flanneld").stdout.strip() != "enabled"

    before = lab.ssh("fed-node1", "systemctl show -p MainPID docker flanneld")
    lab.ssh("fed-node2", f"rm {NEVER}; systemctl daemon-reload")
    lab.ssh("fed-node3", "mv -f /usr/sbin/dockerd.real /usr/sbin/dockerd")
    lab.ssh("fed-node4", REPO_BACK)
    lab.ssh(
        "fed-node4",
        "mount -t tmpfs -o size=16k none /etc/sysconfig; "
        "dd if=/dev/zero of=/etc/sysconfig/full bs=4k 2>/dev/null; true",
    )
    sentence(operator.fedwiz(*ALL), 5, "fed-node4: package: ", "a file system on the host is full")
    docker_everywhere(lab)
    for node in lab.nodes[:3]:
        assert docker0(lab, node).startswith("10.16.")

    lab.ssh("fed-node4", "umount /etc/sysconfig")
    said = operator.fedwiz(*ALL)
    assert said.code == 0, said.err
    assert operator.left() == {}
    assert lab.ssh("fed-node1", "systemctl show -p MainPID docker flanneld") == before


def pressed(operator: Operator, moment: str, presses: int) -> Said:
    """Ctrl+C during an install, when it says something; a second time when it has answered."""
    heard = []
    with operator.begin("install", "--yes", "--headless") as running:
        assert running.stderr is not None
        for line in running.stderr:
            heard.append(line)
            if presses and re.search(moment, line):
                running.send_signal(signal.SIGINT)
                presses, moment = presses - 1, "press again to quit now"
    return Said(running.returncode, "", "".join(heard))


def test_ctrl_c_once_lets_what_runs_end_and_twice_leaves_it_to_the_hosts(
    lab_factory: LabFactory, tmp_path: Path
) -> None:
    """The second one goes on from where the first one has stopped, and the third one ends it."""
    lab = lab_factory("classic", 3)
    operator = Operator(lab, tmp_path)
    once = pressed(operator, r"fed-node1 +package +\$ sh package.sh dnf", 1)
    sentence(once, 130, "stopped by the operator", "the same command continues from here")
    assert re.search(r"fed-node1 +package +ok, ", once.err)
    assert "sysconfig  $" not in once.err
    assert lab.run("fed-node1", "rpm -q flannel").returncode == 0
    docker_everywhere(lab)

    twice = pressed(operator, r"fed-node1 +switch +stopping docker", 2)
    sentence(twice, 130, "closed by the operator", "the same command continues from here")
    for node in lab.nodes:  # what must not be cut in half goes on
        lab.ssh(
            node,
            "while systemctl list-units --no-legend --state=active,activating "
            "'fedwiz-switch*' 'fedwiz-package*' | grep -q .; do sleep 0.2; done",
        )
    docker_everywhere(lab)
    assert docker0(lab, "fed-node1").startswith("10.16.")

    again = operator.fedwiz(*ALL)
    assert again.code == 0, again.err
