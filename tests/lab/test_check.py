"""Where no real hosts can run one sentence says what is missing, where, and what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.fixture import require_lab
from tests.lab.labcheck import Room, unavailable
from tests.lab.labroot import TOOLS

LAB = str(Path(__file__).with_name("lab"))
CACHE = Room(Path("/var/cache/fedwiz-lab"), "the root file systems", 2600, 99000, "make room")
RUN = Room(Path("/run/fedwiz-lab"), "the disks", 400, 400, "mount a larger one")


@dataclass(frozen=True)
class Given:
    """A machine on which a lab can run, but for what a row says."""

    wanted: str = ""
    uid: int = 0
    system: str = "Debian GNU/Linux 12 (bookworm)"
    has_apt: bool = True
    kernel_lacks: str = ""
    not_installed: tuple[str, str] = ("", "")
    rooms: Iterable[Room] = (CACHE, RUN)


SENTENCES: Mapping[str, tuple[Given, str | None]] = {
    "all is there": (Given(), None),
    "asked for": (Given(wanted="require"), None),
    "left out": (
        Given(wanted="0"),
        "FEDWIZ_LAB=0 leaves out what needs real hosts: unset it to run that, too",
    ),
    "misspelt": (
        Given(wanted="requrie", uid=1000),
        "FEDWIZ_LAB=requrie means nothing: set it to 0 or require, or unset it",
    ),
    "no root": (
        Given(uid=1000, has_apt=False),
        "real hosts need root, and this is user 1000: run the same with sudo",
    ),
    "not Debian": (
        Given(system="Fedora Linux 42", has_apt=False),
        (
            "real hosts are made of Debian's packages, and Fedora Linux 42 has no apt-get: run the "
            "same on Debian"
        ),
    ),
    "no vxlan": (
        Given(kernel_lacks="network devices of kind vxlan"),
        (
            "the kernel of this machine has no network devices of kind vxlan: run the same on one "
            "that has"
        ),
    ),
    "no systemd-container": (
        Given(not_installed=("systemd-container", "E: Unable to locate package")),
        (
            "systemd-container can't be installed here (E: Unable to locate package): "
            "mend that and `apt-get install` it"
        ),
    ),
    "no room to build": (
        Given(rooms=(Room(CACHE.place, CACHE.what, 2600, 2599, CACHE.cure), RUN)),
        (
            "the root file systems take 2600 MB in /var/cache/fedwiz-lab, and 2599 MB are free "
            "there: make room"
        ),
    ),
    "no room to run": (
        Given(rooms=(CACHE, Room(RUN.place, RUN.what, 400, 60, RUN.cure))),
        "the disks take 400 MB in /run/fedwiz-lab, and 60 MB are free there: mount a larger one",
    ),
}


@pytest.mark.parametrize(("machine", "said"), SENTENCES.values(), ids=SENTENCES)
def test_one_sentence_says_what_is_missing(machine: Given, said: str | None) -> None:
    assert unavailable(machine) == said


HERE = {
    "all is there": (":", "real hosts can run here"),
    "no Debian": (
        "mkdir $T/etc; echo PRETTY_NAME=Odd >$T/etc/os-release; mount --bind $T/etc /etc",
        (
            "lab: real hosts are made of Debian's packages, and Odd has no apt-get: "
            "run the same on Debian"
        ),
    ),
    "no package": (
        "PATH=$T/bin",
        (
            "lab: systemd-container can't be installed here (E: no such package): "
            "mend that and `apt-get install` it"
        ),
    ),
    "no room to build": (
        "mkdir $T/small; mount -t tmpfs -o size=9m none $T/small; export FEDWIZ_LAB_CACHE=$T/small",
        (
            "lab: the root file systems of real hosts take 2600 MB in {T}/small, and 9 MB are free "
            "there: make room, or name a folder on a larger disk in FEDWIZ_LAB_CACHE"
        ),
    ),
    "no room to run": (
        "mkdir -p /run/fedwiz-lab; mount -t tmpfs -o size=9m none /run/fedwiz-lab",
        (
            "lab: the disks of real hosts take 400 MB in /run/fedwiz-lab, and 9 MB are free there: "
            "make room, or mount a larger file system there"
        ),
    ),
}
"""What is done to what `lab check` sees of this machine, and what it says then."""


def without_nspawn(folder: Path) -> None:
    """All programs that the lab needs, but for systemd-nspawn, and an apt-get that has none."""
    folder.mkdir()
    for program in ("unshare", *(it for it in TOOLS if it != "systemd-nspawn")):
        (folder / program).symlink_to(shutil.which(program) or program)
    apt = folder / "apt-get"
    apt.write_text('#!/bin/sh\n[ "$1" = update ] || { echo "E: no such package" >&2; exit 100; }\n')
    apt.chmod(0o755)
    (folder / "env").symlink_to("/usr/bin/env")


@pytest.mark.lab
@pytest.mark.parametrize(("before", "said"), HERE.values(), ids=HERE)
def test_this_machine_is_asked(before: str, said: str, tmp_path: Path) -> None:
    require_lab()
    without_nspawn(tmp_path / "bin")
    argv = ["unshare", "--mount", "sh", "-ec", f'{before}; exec "$@"', "sh"]
    done = subprocess.run(
        [*argv, sys.executable, LAB, "check"],
        env={**os.environ, "T": str(tmp_path), "PYTEST_XDIST_WORKER_COUNT": "1"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.stdout + done.stderr).splitlines()[-1:] == [said.replace("{T}", str(tmp_path))]
    assert done.returncode == (1 if said.startswith("lab: ") else 0)
