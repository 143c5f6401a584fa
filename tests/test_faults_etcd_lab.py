"""What goes wrong with etcd, and with hosts that answer anything; see tests/faulttable.py."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faulttable import Fault, Scene, went
from tests.lab.fixture import LabFactory
from tests.operator import Operator
from tests.test_etcd_lab import OURS, PASSWORD, PKI, with_certificates, with_users
from tests.test_faults_hosts_lab import BOTH, in_place_of, real_again

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PROXY = """\
import socket, subprocess, sys, threading, time
mode, write = sys.argv[1], b"PUT /v2/keys/coreos.com/network/config"
OTHER = "curl -sX PUT http://127.0.0.1:2378/v2/keys/coreos.com/network/config -d value=" \\
    "%7B%22Network%22:%2210.99.0.0/16%22%7D"
def pump(source, target, asks):
    try:
        while data := source.recv(65536):
            if asks and mode == "gone" and write in data:
                subprocess.run(["systemctl", "stop", "etcd"])
            if asks and mode == "changed" and write in data:
                subprocess.run(OTHER.split(), check=True)
            if not asks and mode == "slow":
                time.sleep(5)
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
def serve(near):
    try:
        far = socket.create_connection(("127.0.0.1", 2378))
    except OSError:
        near.close()
        return
    threading.Thread(target=pump, args=(near, far, True), daemon=True).start()
    pump(far, near, False)
listener = socket.create_server(("0.0.0.0", 2379))
while True:
    near, _ = listener.accept()
    threading.Thread(target=serve, args=(near,), daemon=True).start()
"""
"""Stands before etcd: etcd stops, or another writes, just when fedwiz writes; or all is slow."""

MOVE = (
    "sed -i.away 's|^ETCD_LISTEN_CLIENT_URLS=.*|ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2378|' "
    "/etc/etcd/etcd.conf && systemctl restart etcd && "
    "systemd-run --quiet --unit=before-etcd python3 /root/proxy.py "
)
BACK = (
    "systemctl stop before-etcd; mv /etc/etcd/etcd.conf.away /etc/etcd/etcd.conf; "
    "systemctl restart etcd"
)


def behind(mode: str) -> Callable[[Scene], None]:
    def put(scene: Scene) -> None:
        scene.lab.write("fed-master", "/root/proxy.py", PROXY)
        scene.lab.ssh("fed-master", MOVE + mode)

    return put


def talks(scene: Scene) -> None:
    scene.operator.answers["ssh"] |= {"user": "ops", "sudo": "nopasswd"}
    scene.ssh(TALK)


def other_ca(scene: Scene) -> None:
    with_certificates(scene.lab, scene.operator.home)
    scene.operator.answers["etcd"] = {**OURS, "ca_file": f"{PKI}/other.pem"}


def our_ca(scene: Scene) -> None:
    scene.operator.answers["etcd"] = OURS


def wrong_password(scene: Scene) -> None:
    with_users(scene.lab)
    scene.operator.answers["etcd"] = {"user": "flannel"}
    scene.operator.environ["FEDWIZ_ETCD_PASSWORD"] = f"{PASSWORD}?"


def right_password(scene: Scene) -> None:
    scene.operator.environ["FEDWIZ_ETCD_PASSWORD"] = PASSWORD


TALK = """printf '#!/bin/sh\\necho "\\033[31mhello" you\\n' >/usr/local/bin/talk
chmod +x /usr/local/bin/talk; usermod -s /usr/local/bin/talk ops"""
DATE = """printf '#!/bin/sh
exec /usr/bin/date -d "+1 hour" "$@"
' >/usr/sbin/date; chmod +x /usr/sbin/date"""
NOT_READY = "flanneld did not get ready within 45 s, and docker runs as before"
FLOOD = 'yes "$(printf "\\033[2J\\033]0;owned\\007\\200\\377 %0900d" 1)" | head -c 100000000; '
FLOODING = in_place_of("/usr/bin/dnf", FLOOD + 'exec /usr/bin/dnf.real "$@"')

ROWS = {
    "etcd is down before": Fault(
        where="fed-master", host="fed-master",
        inject="systemctl stop etcd",
        heal="systemctl start etcd",
        code=3, red=BOTH,
        says=("fed-master: ", "etcd does not run", "systemctl enable --now etcd"),
    ),
    "etcd goes down at the write": Fault(
        where="fed-master: a proxy", host="fed-master",
        inject=behind("gone"),
        heal=BACK,
        red=BOTH,
        says=("fed-master: config: ", "is etcd running"),
    ),
    "etcd goes down after the write": Fault(
        where="fed-master, while dnf works", host="fed-master",
        generation="modern",
        during=((r"fed-node2 +package +\$", "systemctl stop etcd"),),
        heal="systemctl start etcd",
        red=BOTH,
        says=("fed-node1, fed-node2: ", NOT_READY, "see `journalctl -u flanneld` there"),
    ),
    "etcd is slow": Fault(
        where="fed-master: a proxy, 5 s for each answer", host="fed-master",
        generation="modern",
        inject=behind("slow"),
        heal=BACK,
        code=3, red=BOTH,
        says=("etcd takes the connection and gives no answer within 3 s", "see its load"),
    ),
    "the key is changed by another": Fault(
        where="fed-master: a proxy, just before the write", host="fed-master",
        inject=behind("changed"),
        heal=BACK,
        code=9, red=BOTH,
        says=("was changed since the plan was made", "10.99.0.0/16", "make a new plan"),
    ),
    "etcd shows another authority's certificate": Fault(
        where="fed-master", host="fed-master",
        inject=other_ca,
        heal=our_ca,
        code=3, red=BOTH,
        says=("no trust in its certificate", "etcd.ca_file"),
    ),
    "etcd refuses the password": Fault(
        where="fed-master", host="fed-master",
        generation="modern",
        inject=wrong_password,
        heal=right_password,
        code=3, red=BOTH,
        says=("refuses 'flannel'", "FEDWIZ_ETCD_PASSWORD"),
    ),
    "a clock is off by an hour": Fault(
        where="fed-node2 (a stand-in for date)",
        inject=DATE,
        heal="rm /usr/sbin/date",
        code=3,
        says=("fed-node2: ", "36.. s ahead of the others", "chronyc makestep"),
    ),
    "a host answers the questions with garbage": Fault(
        where="fed-node2 (a stand-in for base64)",
        generation="modern",
        inject=in_place_of("/usr/bin/base64", "head -c 3000 /dev/urandom"),
        heal=real_again("/usr/bin/base64"),
        code=4,
        says=("fed-node2 did not answer as a Linux host does", "garbled", "try `ssh` to it"),
    ),
    "a host answers with 100 MB": Fault(
        where="fed-node2 (a stand-in for base64)",
        inject=in_place_of("/usr/bin/base64", "head -c 100000000 /dev/zero"),
        heal=real_again("/usr/bin/base64"),
        code=4,
        says=("fed-node2 answers", "more than 8 MiB", "look what it says there"),
    ),
    "dnf says 100 MB of escape codes": Fault(
        where="fed-node2 (a stand-in for dnf)",
        generation="modern",
        during=((r"-  +plan +plan ", FLOODING),),
        heal=real_again("/usr/bin/dnf"),
        code=0,
        says=(r"fed-node2 +package +ok, ",),
    ),
    "a login shell that says what it likes": Fault(
        where="fed-node2",
        inject=talks,
        heal="usermod -s /bin/bash ops",
        code=4,
        says=("fed-node2", "does not run commands", "hello you"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(
    name: str, fault: Fault, lab_factory: LabFactory, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    went(name, fault, Operator(lab_factory(fault.generation, 3), tmp_path), record_property)
