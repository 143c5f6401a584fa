"""What goes wrong while docker moves to flannel's subnet; see tests/support/install_faults.py."""

import pytest

from tests.lab.faults.test_hosts import SOON, in_place_of, real_again, reboots
from tests.support.install_faults import Fault, Injected

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

BIP = (
    'case "$*" in *--bip*) echo "failed to start daemon: something in the way" >&2; exit 1;; esac; '
    'exec /usr/sbin/dockerd.real "$@"'
)
DROP_IN = "/etc/systemd/system/flanneld.service.d/x.conf"


def flanneld(lines: str) -> str:
    """Have flanneld's unit say more than fedwiz wrote."""
    return f"mkdir -p {DROP_IN.rpartition('/')[0]} && printf '[Service]\\n{lines}\\n' >{DROP_IN}"


SLOW = 'ExecStartPre=/bin/sh -c "! ls /run/slow || sleep 30"'
AS_BEFORE = f"rm {DROP_IN} && systemctl daemon-reload"

ROWS = {
    "reboot between docker's stop and start": Fault(
        where="fed-node2",
        inject=f"touch /run/slow; {flanneld(SLOW)}",
        during=((r"fed-node2 +switch +starting flanneld", reboots),),
        heal=AS_BEFORE,
        rebooted=("fed-node2",),
        says=(
            "fed-node2 has restarted in the middle of `sh switch.sh 10.16.0.0/16 45`",
            "run again",
        ),
    ),
    "docker refuses the new bip": Fault(
        where="fed-node2",
        generation="modern",
        inject=in_place_of("/usr/sbin/dockerd", BIP),
        heal=real_again("/usr/sbin/dockerd"),
        says=(
            "fed-node2: ",
            "docker did not start on flannel's subnet",
            "docker runs as before",
            "see `journalctl -u docker`",
        ),
    ),
    "docker does not start again at all": Fault(
        where="fed-node2, once it was stopped",
        during=((r"fed-node2 +switch +stopping docker", "chmod -x /usr/sbin/dockerd"),),
        heal="chmod +x /usr/sbin/dockerd",
        no_docker=("fed-node2",),
        says=(
            "fed-node2: ",
            "docker did not start on flannel's subnet",
            "docker does not run",
            "see `journalctl -u docker`",
        ),
    ),
    "flanneld crash-loops": Fault(
        where="fed-node2, which has 15 s",
        answers=SOON,
        inject=flanneld('ExecStart=\\nExecStart=/bin/sh -c "echo panic: runtime error; exit 2"'),
        heal=AS_BEFORE,
        says=(
            "fed-node2: ",
            "flanneld did not get ready within 15 s, and docker runs as before",
            "see `journalctl -u flanneld` there",
        ),
    ),
    "flanneld takes 60 s": Fault(
        where="fed-node2, which has 15 s",
        generation="modern",
        answers=SOON,
        inject=flanneld("ExecStartPre=/bin/sleep 60"),
        heal=AS_BEFORE,
        says=(
            "fed-node2: ",
            "flanneld did not get ready within 15 s, and docker runs as before",
            "see `journalctl -u flanneld` there",
        ),
    ),
}


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(name: str, fault: Fault, injected: Injected) -> None:
    injected(name, fault)
