"""What goes wrong on the hosts: disks, packages, daemons, shells; see tests/faulttable.py."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faulttable import Fault, went
from tests.lab.fixture import LabFactory
from tests.operator import Operator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PLANNED = r"-  +plan +plan "
"""The line after which things begin to change."""


def filled(folder: str) -> str:
    """A file system of its own for the folder, with the same files in it and no room left."""
    return (
        f"mkdir -p /run/{folder}.new && mount -t tmpfs -o size=64m none /run/{folder}.new && "
        f"cp -a /{folder}/. /run/{folder}.new && mount --bind /run/{folder}.new /{folder} && "
        f"dd if=/dev/zero of=/{folder}/full bs=4k 2>/dev/null; true"
    )


def read_only(folder: str) -> str:
    return f"mount --bind /{folder} /{folder} && mount -o remount,ro,bind /{folder}"


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
        heal="umount /etc",
        says=("fed-node2: ", "is read-only", "see `mount`"),
    ),
}


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(
    name: str, fault: Fault, lab_factory: LabFactory, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    went(name, fault, Operator(lab_factory(fault.generation, 3), tmp_path), record_property)
