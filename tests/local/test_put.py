"""Files that hosts are sent: whole or not at all, and never over what somebody else has changed."""

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedwiz.scripts import script
from fedwiz.steps.make import hashed
from tests.support.patience import GIVE_UP

TEXT = "one line\nand another\n"
OLD = "of before\n"
SECRET = 'FLANNELD_ETCD_PASSWORD="a b"\n'


@dataclass
class Case:
    """What is there, what is sent, and what comes of it."""

    there: str | None
    sent: str
    code: int
    after: str | None
    seen: str = "absent"
    whole: str = hashed(TEXT)
    said: str = ""


LOST, STALE = "did not arrive whole, and the file is as it was", "was changed since the plan"
CASES = {
    "a new one": Case(None, TEXT, 0, TEXT),
    "over the one that was read": Case(OLD, TEXT, 0, TEXT, hashed(OLD)),
    "an empty one": Case(None, "", 0, "", whole=hashed("")),
    "over whatever is there": Case(OLD, TEXT, 0, TEXT, "any"),
    "cut off before the first byte": Case(OLD, "", 1, OLD, hashed(OLD), said=LOST),
    "cut off in the middle": Case(OLD, TEXT[:11], 1, OLD, hashed(OLD), said=LOST),
    "cut off, a new one": Case(None, TEXT[:-1], 1, None, said=LOST),
    "somebody has changed it": Case(OLD + "#\n", TEXT, 75, OLD + "#\n", hashed(OLD), said=STALE),
    "somebody has made it": Case(OLD, TEXT, 75, OLD, said="it has 10 bytes of root, written at 20"),
    "somebody has taken it away": Case(None, TEXT, 75, None, hashed(OLD), said="it is gone"),
    "sent once more": Case(TEXT, TEXT, 0, TEXT, hashed(OLD)),
    "longer than what is read of one": Case(
        "x" * 70_000, TEXT, 0, TEXT, hashlib.sha256(b"x" * 65536).hexdigest()[:16]
    ),
    "a secret": Case(None, SECRET, 0, SECRET, whole="line"),
    "a secret that is cut off": Case(None, SECRET[:-1], 1, None, whole="line", said=LOST),
    "no secret at all": Case(None, "", 1, None, whole="line", said=LOST),
}


def put(path: Path, sent: str, seen: str, whole: str, mode: str = "0640") -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", script("put"), "put.sh", mode, path, seen, whole],
        input=sent,
        capture_output=True,
        text=True,
        check=False,
        timeout=GIVE_UP,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_file_is_whole_or_as_it_was(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "deep/60-fedwiz.conf"
    if case.there is not None:
        path.parent.mkdir()
        path.write_text(case.there)
    code, said = put(path, case.sent, case.seen, case.whole)
    assert code == case.code, said
    assert re.search(case.said, said)
    assert (path.read_text() if path.exists() else None) == case.after
    left = [each.name for each in path.parent.iterdir()]
    assert left == ([path.name] if path.exists() else [])
    if not code:
        assert path.stat().st_mode & 0o777 == 0o640
    else:
        assert said.startswith(("what was sent for ", str(path)))


def test_one_that_is_killed_leaves_the_file_and_the_next_clears_up(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(OLD)
    argv = ["sh", "-c", script("put"), "put.sh", "0644", str(path), hashed(OLD), hashed(TEXT)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdin
        process.stdin.write(TEXT[:5].encode())
        process.stdin.flush()
        new = tmp_path / ".daemon.json.fedwiz"
        while not (new.exists() and new.stat().st_size):
            os.sched_yield()
        assert new.stat().st_mode & 0o777 == 0o600, "a secret is root's from the start"
        os.killpg(process.pid, 9)
    assert path.read_text() == OLD
    assert put(path, TEXT, hashed(OLD), hashed(TEXT)) == (0, "")
    assert [each.name for each in tmp_path.iterdir()] == ["daemon.json"]


@pytest.mark.parametrize("name", ["put", "sysconfig"])
def test_one_whose_connection_has_gone_leaves_nothing_beside_the_file(
    name: str, tmp_path: Path
) -> None:
    """Nobody hears what it says then: a shell that SIGPIPE ends must clear up all the same."""
    path = tmp_path / "flanneld"
    path.write_text(OLD)
    words = {
        "put": ("0644", path, hashed(OLD), hashed(TEXT)),
        "sysconfig": (path, "absent", "A", 1),
    }
    nobody, out = os.pipe()
    os.close(nobody)
    argv = ["sh", "-c", script(name), f"{name}.sh", *map(str, words[name])]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, timeout=GIVE_UP
    )
    os.close(out)
    assert done.returncode == 1
    assert path.read_text() == OLD
    assert [each.name for each in tmp_path.iterdir()] == ["flanneld"]


def test_a_link_stays_one_and_an_owner_too(tmp_path: Path) -> None:
    path, real = tmp_path / "daemon.json", tmp_path / "elsewhere/daemon.json"
    real.parent.mkdir()
    real.write_text(OLD)
    os.chown(real, 12, 34)
    path.symlink_to(real)
    assert put(path, TEXT, hashed(OLD), hashed(TEXT)) == (0, "")
    assert path.is_symlink()
    assert real.read_text() == TEXT
    assert (real.stat().st_uid, real.stat().st_gid) == (12, 34)


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").mkdir()
    code, said = put(tmp_path / "daemon.json", TEXT, "absent", hashed(TEXT))
    assert code == 75, said
    assert not list((tmp_path / "daemon.json").iterdir())


EDITS = {
    "as it was read": ("A=1\n", hashed("A=1\n"), 0, 'A="2"\n'),
    "none yet": (None, "absent", 0, 'A="2"\n'),
    "whatever the package brings": ("A=1\n", "any", 0, 'A="2"\n'),
    "changed since": ("A=3\n", hashed("A=1\n"), 75, "A=3\n"),
    "made since": ("A=3\n", "absent", 75, "A=3\n"),
    "gone since": (None, hashed("A=1\n"), 75, None),
    "sent once more": ('A="2"\n', hashed("A=1\n"), 0, 'A="2"\n'),
}


@pytest.mark.parametrize(("there", "seen", "code", "after"), EDITS.values(), ids=EDITS)
def test_variables_are_set_in_the_file_that_was_read(
    there: str | None, seen: str, code: int, after: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "etc/flanneld"
    if there is not None:
        path.parent.mkdir()
        path.write_text(there)
        path.chmod(0o604)
    argv = ["sh", "-c", script("sysconfig"), "sysconfig.sh", str(path), seen, "A", "2"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=GIVE_UP)
    assert done.returncode == code, done.stderr
    assert (path.read_text() if path.exists() else None) == after
    assert [each.name for each in path.parent.iterdir()] == ([path.name] if path.exists() else [])
    if there is not None and after is not None:
        assert path.stat().st_mode & 0o777 == 0o604
    if code:
        assert f"{path} was changed since the plan was made: it" in done.stdout
