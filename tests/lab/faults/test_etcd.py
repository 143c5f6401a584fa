"""What goes wrong with etcd; see tests/support/install_faults.py."""

from collections.abc import Callable

import pytest

from tests.lab.faults.test_hosts import BOTH, SOON
from tests.lab.test_etcd import OURS, PASSWORD, PKI, with_certificates, with_users
from tests.support.install_faults import Fault, Injected, Scene

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

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


NOT_READY = "flanneld did not get ready within 15 s, and docker runs as before"

ROWS = {
    "etcd is down before": Fault(
        where="fed-master",
        host="fed-master",
        inject="systemctl stop etcd",
        heal="systemctl start etcd",
        code=3,
        red=BOTH,
        says=("fed-master: ", "etcd does not run", "systemctl enable --now etcd"),
    ),
    "etcd goes down at the write": Fault(
        where="fed-master: a proxy",
        host="fed-master",
        inject=behind("gone"),
        heal=BACK,
        red=BOTH,
        says=("fed-master: config: ", "is etcd running"),
    ),
    "etcd goes down after the write": Fault(
        where="fed-master, while dnf works; flanneld has 15 s",
        host="fed-master",
        generation="modern",
        answers=SOON,
        during=((r"fed-node2 +package +\$", "systemctl stop etcd"),),
        heal="systemctl start etcd",
        red=BOTH,
        says=("fed-node1, fed-node2: ", NOT_READY, "see `journalctl -u flanneld` there"),
    ),
    "etcd is slow": Fault(
        where="fed-master: a proxy, 5 s for each answer",
        host="fed-master",
        generation="modern",
        inject=behind("slow"),
        heal=BACK,
        code=3,
        red=BOTH,
        says=("etcd takes the connection and gives no answer within 3 s", "see its load"),
    ),
    "the key is changed by another": Fault(
        where="fed-master: a proxy, just before the write",
        host="fed-master",
        inject=behind("changed"),
        heal=BACK,
        code=9,
        red=BOTH,
        says=("was changed since the plan was made", "10.99.0.0/16", "make a new plan"),
    ),
    "etcd shows another authority's certificate": Fault(
        where="fed-master",
        host="fed-master",
        inject=other_ca,
        heal=our_ca,
        spoils=True,
        code=3,
        red=BOTH,
        says=("no trust in its certificate", "etcd.ca_file"),
    ),
    "etcd refuses the password": Fault(
        where="fed-master",
        host="fed-master",
        generation="modern",
        inject=wrong_password,
        heal=right_password,
        spoils=True,
        code=3,
        red=BOTH,
        says=("refuses 'flannel'", "FEDWIZ_ETCD_PASSWORD"),
    ),
}


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(name: str, fault: Fault, injected: Injected) -> None:
    injected(name, fault)
