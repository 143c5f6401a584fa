"""Which files with real hosts prove again what has changed since the last green full run.

`python3 -m tests.support.affected` prints them, a line each, and on stderr why.  It loads the
standard library alone, since it also runs before anything is installed.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = "tests/affected.toml"
RECORD = "tests/full-run.json"
EVERY = "*"
"""In the table: all files with real hosts."""


def rooms(root: Path = ROOT) -> dict[str, list[str]]:
    """The table: the beginnings of paths, and for each the names of files with real hosts.

    Raises:
        OSError, tomllib.TOMLDecodeError, KeyError: it is not there, or no such table.
    """
    table: dict[str, list[str]] = tomllib.loads((root / TABLE).read_text())["rooms"]
    return table


def lab_files(root: Path = ROOT) -> list[str]:
    """All test files that need real hosts, from the project's top; the smoke tests aside."""
    paths = sorted(it.relative_to(root).as_posix() for it in root.glob("tests/lab/**/test_*.py"))
    return [path for path in paths if "smoke" not in path]


def affected(
    changed: Iterable[str], table: Mapping[str, Sequence[str]], every: Sequence[str]
) -> list[str]:
    """Those of `every` that the changed paths call for.

    A path counts for the longest of the table's beginnings that it has, and a test file for
    itself.  What belongs to no room calls for nothing.
    """
    wanted: set[str] = set()
    for path in changed:
        if path in every:
            wanted.add(path)
            continue
        found = max((it for it in table if path.startswith(it)), key=len, default=None)
        names = table[found] if found is not None else ()
        wanted |= {it for it in every if EVERY in names or _name(it) in names}
    return [it for it in every if it in wanted]


def _name(path: str) -> str:
    """As the table has it: `faults/etcd` for tests/lab/faults/test_etcd.py."""
    return path.removeprefix("tests/lab/").removesuffix(".py").replace("test_", "")


def changed_since(commit: str, root: Path = ROOT) -> list[str]:
    """All paths that differ from that commit, and those that git does not know yet.

    Raises:
        LookupError: git, or the commit, is not there.
    """
    found: list[str] = []
    for words in (
        ("diff", "--name-only", "--no-renames", commit),
        ("ls-files", "--others", "--exclude-standard"),
    ):
        try:
            done = subprocess.run(
                ["git", *words], cwd=root, capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            raise LookupError(f"git does not know commit {commit[:12]} here") from None
        found += done.stdout.splitlines()
    return found


def files(root: Path = ROOT) -> tuple[list[str], str]:
    """What is to run, and why in one sentence."""
    every = lab_files(root)
    try:
        commit = str(json.loads((root / RECORD).read_text())["commit"])
        changed = changed_since(commit, root)
    except (OSError, ValueError, KeyError, TypeError):
        return every, f"{RECORD} names no full run: all files with real hosts run"
    except LookupError as problem:
        return every, f"{problem}: all files with real hosts run"
    found = affected(changed, rooms(root), every)
    return found, (
        f"{len(changed)} paths have changed since the full run of {commit[:12]}: "
        f"{len(found)} of {len(every)} files with real hosts run again"
    )


if __name__ == "__main__":
    wanted, why = files()
    print(why, file=sys.stderr)
    print(*wanted, sep="\n")
