"""Whether a lab can run on this machine; if not, a sentence: what is missing, where, and a cure."""

import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import labroot
from .labroot import run
from .labstate import RUN

LAB = ("", "0", "1", "require")
"""What FEDWIZ_LAB may be: where it can run, never, where it can run, or fail where it can't."""

ROOT_MB = 1300
"""What building the root file system of one generation takes; half of it stays."""

LAB_MB = 400
"""What the two labs of a test worker write at most; etcd alone sets 128 MB aside for each."""


@dataclass(frozen=True)
class Room:
    """Space that is needed somewhere, in MB."""

    place: Path
    what: str
    needed: int
    free: int
    cure: str


class Machine(Protocol):
    """What is asked about a machine, in the order in which it is asked."""

    @property
    def wanted(self) -> str: ...  # FEDWIZ_LAB
    @property
    def uid(self) -> int: ...
    @property
    def system(self) -> str: ...  # its name, for people
    @property
    def has_apt(self) -> bool: ...
    @property
    def kernel_lacks(self) -> str: ...  # the first thing that it lacks
    @property
    def not_installed(self) -> tuple[str, str]: ...  # a package, and why it can't be
    @property
    def rooms(self) -> Iterable[Room]: ...


def unavailable(machine: Machine) -> str | None:
    """Why no lab can run there, or None."""
    if machine.wanted not in LAB:
        return f"FEDWIZ_LAB={machine.wanted} means nothing: set it to 0 or require, or unset it"
    if machine.wanted == "0":
        return "FEDWIZ_LAB=0 leaves out what needs real hosts: unset it to run that, too"
    if machine.uid != 0:
        return f"real hosts need root, and this is user {machine.uid}: run the same with sudo"
    if not machine.has_apt:
        return (
            f"real hosts are made of Debian's packages, and {machine.system} has no apt-get: "
            "run the same on Debian"
        )
    if lacking := machine.kernel_lacks:
        return f"the kernel of this machine has no {lacking}: run the same on one that has"
    package, why = machine.not_installed
    if package:
        return f"{package} can't be installed here ({why}): mend that and `apt-get install` it"
    for room in machine.rooms:
        if room.free < room.needed:
            return (
                f"{room.what} take {room.needed} MB in {room.place}, and {room.free} MB are free "
                f"there: {room.cure}"
            )
    return None


class Here:
    """This machine. Nothing is built; missing Debian packages are installed."""

    def __init__(self, wanted: str | None = None) -> None:
        self.wanted = os.environ.get("FEDWIZ_LAB", "") if wanted is None else wanted
        self.uid = os.geteuid()

    @property
    def system(self) -> str:
        try:
            return platform.freedesktop_os_release().get("PRETTY_NAME", "this system")
        except OSError:
            return "this system"

    @property
    def has_apt(self) -> bool:
        return Path("/etc/debian_version").exists() and bool(shutil.which("apt-get"))

    @property
    def kernel_lacks(self) -> str:
        if "overlay" not in Path("/proc/filesystems").read_text():
            return "overlay file system (`modprobe overlay` may bring it)"
        if not Path("/dev/net/tun").exists():
            return "/dev/net/tun (`modprobe tun` may bring it)"
        for kind in ("bridge", "veth", "vxlan id 1 dstport 8472"):
            try:
                # In a namespace that ends with it, whatever becomes of this process.
                run("unshare", "--net", "ip", "link", "add", "probe0", "type", *kind.split())
            except RuntimeError:
                return f"network devices of kind {kind.split()[0]} in a namespace of their own"
        return ""

    @property
    def not_installed(self) -> tuple[str, str]:
        try:
            labroot.tools()
        except (RuntimeError, OSError) as problem:
            lines = str(problem).strip().splitlines()
            return " ".join(labroot.missing()), lines[-1][:200]
        return "", ""

    @property
    def rooms(self) -> list[Room]:
        unbuilt = [
            gen for gen in labroot.GENERATIONS.values() if not labroot.base_dir(gen).is_dir()
        ]
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        return [
            Room(
                labroot.cache(),
                "the root file systems of real hosts",
                ROOT_MB * len(unbuilt),
                free_mb(labroot.cache()),
                "make room, or name a folder on a larger disk in FEDWIZ_LAB_CACHE",
            ),
            Room(
                RUN,
                "the disks of real hosts",
                LAB_MB * workers,
                free_mb(RUN),
                "make room, or mount a larger file system there",
            ),
        ]


def free_mb(folder: Path) -> int:
    """What is free where the folder is, or would be."""
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    return shutil.disk_usage(there).free // 2**20
