"""What goes wrong while a package is installed; see tests/support/install_faults.py."""

from collections.abc import Iterator

import pytest

from tests.lab.faults.test_hosts import PLANNED, in_place_of, real_again, reboots
from tests.support.install_faults import Fault, Injected, Scene
from tests.support.lab_operator import Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

SLOW_POST = "/usr/bin/systemd-tmpfiles"
"""What flannel's package runs once its files are there: rpm waits for it in mid-transaction."""

REPO = (
    "rm -rf /root/repo && cp -aL /srv/repo /root/repo && rm /srv/repo && cp -a /root/repo /srv/repo"
)
REPO_BACK = "rm -rf /srv/repo && mv /root/repo /srv/repo && dnf clean all >/dev/null"

SERVE = """python3 -c '
import http.server, os, sys, time
class Slow(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        time.sleep(3)
        super().do_GET()
    def log_message(self, *_): pass
os.chdir("/srv/repo")
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Slow).serve_forever()'"""
REPO_FILE = "/etc/yum.repos.d/fedora.repo"
LONG = f'[ "$2" != flannel.conf ] || sleep 30; exec {SLOW_POST}.real "$@"'
HELD_5 = """systemd-run --quiet --unit=holder python3 -c 'import fcntl, time
f = open("/var/lib/dnf/system-repo.lock", "w")
fcntl.lockf(f, fcntl.LOCK_EX)
open("/run/held", "w")
time.sleep(300)'
until [ -e /run/held ]; do sleep 0.1; done"""
HELD_4 = """systemd-run --quiet --unit=holder sh -c 'sleep 300 & echo $! >/run/held; wait'
until [ -s /run/held ]; do sleep 0.1; done; cp /run/held /var/lib/dnf/rpmdb_lock.pid"""
WARNED = r"fed-node2 +check +warn: dnf-lock: dnf is in use by process \d+ "
WAITS = r"fed-node2 +package +waiting for process \d+, which works with packages: "


def repository_at(url: str) -> str:
    return f"sed -i.away 's|^baseurl=.*|baseurl={url}|' {REPO_FILE}; dnf clean all >/dev/null"


KILLS = (
    '[ "$2" != flannel.conf ] || { pkill -KILL -x "dnf|dnf5"; sleep 1; }; '
    f'exec {SLOW_POST}.real "$@"'
)


def whole(scene: Scene, _said: Said) -> Iterator[str]:
    """What rpm says of a package that was there before its own script had ended."""
    done = scene.lab.run(scene.fault.host, "rpm -q flannel && rpm -V flannel")
    if done.returncode:
        yield f"rpm does not know flannel, or misses some of it: {done.stdout}{done.stderr}"


ROWS = {
    "dnf's lock is held, then freed": Fault(
        where="fed-node2, freed once it is waited for",
        generation="modern",
        inject=HELD_5,
        during=((WAITS, "systemctl stop holder"),),
        code=0,
        says=(WARNED + ".*python3", WAITS + ".*python3", r"fed-node2 +package +ok, "),
    ),
    "dnf's lock is held, then freed (dnf 4)": Fault(
        where="fed-node2, freed once it is waited for",
        inject=HELD_4,
        during=((WAITS, "systemctl stop holder; rm /var/lib/dnf/rpmdb_lock.pid"),),
        code=0,
        says=(WARNED + ".*sleep 300", WAITS + "sleep 300", r"fed-node2 +package +ok, "),
    ),
    "no repository can be reached": Fault(
        where="fed-node2, once the plan is made",
        generation="modern",
        during=((PLANNED, repository_at("http://127.0.0.1:9/")),),
        heal=f"mv {REPO_FILE}.away {REPO_FILE}",
        says=("fed-node2: ", "can't read its package repositories", "install from a file"),
    ),
    "a slow repository": Fault(
        where="fed-node2: 3 s for each answer",
        inject=f"systemd-run --quiet --unit=slow {SERVE}; "
        + repository_at("http://127.0.0.1:8080/"),
        heal=f"systemctl stop slow; mv {REPO_FILE}.away {REPO_FILE}",
        code=0,
        says=(r"fed-node2 +package +ok, ",),
    ),
    "a broken RPM": Fault(
        where="fed-node2's repository",
        inject=REPO + " && for f in /srv/repo/flannel*.rpm; do echo junk >$f; done",
        heal=REPO_BACK,
        says=("fed-node2: package: ", "signature or checksum differ", "see the repository's keys"),
    ),
    "dnf is killed in mid-transaction": Fault(
        where="fed-node2: SIGKILL while rpm runs flannel's script",
        inject=in_place_of(SLOW_POST, KILLS),
        heal=real_again(SLOW_POST),
        says=("fed-node2: package: ", "dnf was killed", "see `dmesg` there"),
        also=whole,
    ),
    "reboot during dnf": Fault(
        where="fed-node2, while rpm runs flannel's script",
        generation="modern",
        inject=in_place_of(SLOW_POST, LONG),
        during=((r"fed-node2 +package +.*(Installing|Running transaction)", reboots),),
        heal=real_again(SLOW_POST),
        rebooted=("fed-node2",),
        says=(
            "fed-node2 has restarted in the middle of `sh package.sh dnf -y install flannel`",
            "run again",
        ),
    ),
}


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(name: str, fault: Fault, injected: Injected) -> None:
    injected(name, fault)
