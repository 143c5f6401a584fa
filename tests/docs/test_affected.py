"""Which files with real hosts run again after a change."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import affected

EVERY = [
    "tests/lab/test_lab.py",
    "tests/lab/test_install.py",
    "tests/lab/test_undo.py",
    "tests/lab/faults/test_etcd.py",
]
TABLE = {
    "fedwiz/": ["install"],
    "fedwiz/engine/undo": ["undo"],
    "fedwiz/etcd/": ["faults/etcd"],
    "fedwiz/report/": [],
    "tests/lab/": ["*"],
}


@pytest.mark.parametrize(
    ("changed", "files"),
    [
        ([], []),
        (["README.md", "tests/unit/test_plan.py"], []),
        (["fedwiz/engine/plan.py"], [1]),
        (["fedwiz/engine/undo.py"], [2]),
        (["fedwiz/engine/undo.py", "fedwiz/new.py"], [1, 2]),
        (["fedwiz/report/text.py"], []),
        (["tests/lab/labs.py"], [0, 1, 2, 3]),
        (["tests/lab/test_undo.py"], [2]),
        (["tests/lab/test_lab.py"], [0]),
        (["tests/lab/faults/test_etcd.py"], [3]),
        (["fedwiz/etcd/v3.py"], [3]),
    ],
)
def test_what_changed_says_what_runs(changed: list[str], files: list[int]) -> None:
    assert affected.affected(changed, TABLE, EVERY) == [EVERY[at] for at in files]


def test_the_table_speaks_of_what_there_is() -> None:
    every = affected.lab_files()
    for path, wanted in affected.rooms().items():
        assert list(affected.ROOT.glob(f"{path}*")), path
        for name in set(wanted) - {affected.EVERY}:
            assert affected.affected([path], {path: [name]}, every), f"{path}: {name}"


def test_every_file_with_real_hosts_belongs_to_a_room() -> None:
    """By its own name, not by a `*` alone."""
    table = affected.rooms()
    rooms = [path for path in table if path.startswith(("fedwiz/", "screens/"))]
    every = [path for path in affected.lab_files() if not path.startswith("tests/lab/")]
    assert affected.affected(rooms, table, every) == every


def test_as_a_program_it_prints_what_runs_and_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.affected"],
        cwd=affected.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files, why = affected.files()
    assert (done.stdout.split(), done.stderr) == (files, f"{why}\n")


def git(root: Path, *words: str) -> str:
    name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *name, *words], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_git_tells_what_changed_also_what_it_does_not_know_yet(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for name in ("same", "edited", "moved"):
        (tmp_path / name).write_text(f"{name}\n" * 9)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "edited").write_text("other\n")
    git(tmp_path, "mv", "moved", "there")
    git(tmp_path, "commit", "-qam", "second")
    (tmp_path / "new").touch()
    assert affected.changed_since(commit, tmp_path) == ["edited", "moved", "there", "new"]


def test_where_git_does_not_help_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="git does not know commit 0123456789ab here"):
        affected.changed_since("0123456789abcdef", tmp_path)
