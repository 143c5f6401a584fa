"""What goes wrong on the hosts: disks, clocks, answers of any kind; see `install_faults`."""

from collections.abc import Iterator

import pytest

from tests.support.install_faults import Fault, Injected, Scene
from tests.support.lab_operator import Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

PLANNED = r"-  +plan +plan "
"""The line after which things begin to change."""

BOTH = ("fed-node1", "fed-node2")
SOON = {"docker": {"ready_within": 15}}
"""Where flanneld does not get ready it is not waited for as long as on hosts of somebody's."""


def filled(folder: str) -> str:
    """A file system of its own for the folder, with the same files in it and no room left."""
    new = f"/run/{folder.replace('/', '-')}.new"
    return (
        f"mkdir -p {new} && mount -t tmpfs -o size=64m none {new} && cp -a /{folder}/. {new} && "
        f"mount --bind {new} /{folder} && dd if=/dev/zero of=/{folder}/full bs=4k 2>/dev/null; "
        f"! echo more >/{folder}/more 2>/dev/null && rm /{folder}/more"
    )


def read_only(folder: str) -> str:
    return f"mount --bind /{folder} /{folder} && mount -o remount,ro,bind /{folder}"


def in_place_of(path: str, script: str) -> str:
    """A stand-in for a program, which is PATH.real meanwhile."""
    return (
        f"mv {path} {path}.real && printf '%s' '#!/bin/sh\n{script}\n' >{path} && chmod +x {path}"
    )


def real_again(path: str) -> str:
    return f"mv -f {path}.real {path}"


def reboots(scene: Scene) -> None:
    """The host goes down at once, and comes back."""
    before = scene.lab.boot_id(scene.fault.host)
    scene.lab.run(scene.fault.host, "systemctl reboot --force --force")
    scene.lab.wait_rebooted(scene.fault.host, before)


def talks(scene: Scene) -> None:
    scene.operator.answers["ssh"] |= {"user": "ops", "sudo": "nopasswd"}
    scene.ssh(TALK)


def no_escapes(scene: Scene, said: Said) -> Iterator[str]:
    if "\x1b" in said.out + said.err:
        yield "escape codes of the host's reach the operator's terminal"
    megabytes = sum(path.stat().st_size for path in scene.operator.home.rglob("*.jsonl")) >> 20
    if megabytes > 300:
        yield f"the journal has {megabytes} MiB"


TALK = """printf '#!/bin/sh\\necho "\\033[31mhello" you\\n' >/usr/local/bin/talk
chmod +x /usr/local/bin/talk; usermod -s /usr/local/bin/talk ops"""
DATE = """printf '#!/bin/sh
exec /usr/bin/date -d "+1 hour" "$@"
' >/usr/sbin/date; chmod +x /usr/sbin/date"""
FLOOD = 'yes "$(printf "\\033[2J\\033]0;owned\\007\\200\\377 %0900d" 1)" | head -c 100000000; '
FLOODING = in_place_of("/usr/bin/dnf", FLOOD + 'exec /usr/bin/dnf.real "$@"')

ROWS = {
    "disk full on /etc": Fault(
        where="fed-node2, once the plan is made",
        during=((PLANNED, filled("etc")),),
        heal="rm /etc/full",
        says=("fed-node2: ", "file system on the host is full", "make room", "df -h"),
    ),
    "/etc becomes read-only": Fault(
        where="fed-node2, once the plan is made",
        generation="modern",
        during=((PLANNED, read_only("etc")),),
        heal="mount -o remount,rw,bind /etc",
        says=("fed-node2: ", "is read-only", "see .*`mount`"),
    ),
    "/usr is read-only": Fault(
        where="fed-node2, before",
        inject=read_only("usr"),
        heal="mount -o remount,rw,bind /usr && umount -l /usr",
        code=3,
        says=("fed-node2: ", "/usr .*read-only", "rpm-ostree|mount"),
    ),
    "disk full on /": Fault(
        where="fed-node2, where packages go, once the plan is made",
        generation="modern",
        during=((PLANNED, filled("usr/libexec")),),
        heal="rm /usr/libexec/full",
        says=("fed-node2: ", "file system on the host is full", "make room", "df -h"),
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
        says=(r"fed-node2 +package +.*0{80}", r"fed-node2 +package +ok, "),
        also=no_escapes,
    ),
    "a login shell that says what it likes": Fault(
        where="fed-node2",
        inject=talks,
        heal="usermod -s /bin/bash ops; rm /usr/local/bin/talk",
        code=4,
        says=("fed-node2", "does not run commands", "hello you"),
    ),
    "disk full on /run": Fault(
        where="fed-node2, once the plan is made",
        during=(
            (PLANNED, "mount -o remount,size=$(($(df --output=used /run | tail -n 1) + 4))k /run"),
        ),
        heal="mount -o remount,size=20% /run",
        says=("fed-node2: ", "file system on the host is full", "make room", "df -h"),
    ),
}


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(name: str, fault: Fault, injected: Injected) -> None:
    injected(name, fault)
