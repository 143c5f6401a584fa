"""The scripts of the way back, run by a real sh on a host that is a folder."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from fedwiz.scripts import script
from tests.local.test_scripts import RUNNING, Host
from tests.support.patience import GIVE_UP


class Kept(Host):
    """A host on which something was kept, /var, /run and the files in that folder."""

    def __init__(self, home: Path, *units: str) -> None:
        super().__init__(home, *units)
        self.before = home / "var/lib/fedwiz/before"
        self.etc = home / "etc"
        self.etc.mkdir()

    def keep(self, *absent: Path, whole: tuple[Path, ...] = ()) -> None:
        (self.before / "files").mkdir(parents=True)
        (self.before / "absent").write_text("".join(f"{path}\n" for path in absent))
        (self.before / "docker0").write_text("172.17.0.1/16\n")
        for path in whole:
            copy = Path(f"{self.before}/files{path}")
            copy.parent.mkdir(parents=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(path.stat().st_mode)

    def sent(self, name: str) -> str:
        text = script(name)
        for place in ("/run/", "/var/lib/", "/etc/"):
            text = text.replace(place, f"{self.home}{place}")
        return text

    def begin(self, name: str, *argv: str, **environ: str) -> subprocess.Popen[str]:
        path = f"{self.home}/bin:{os.environ['PATH']}"
        return subprocess.Popen(
            ["sh", "-c", self.sent(name), f"{name}.sh", *argv],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"HOME": str(self.home), "PATH": path, **environ},
            start_new_session=True,
        )

    def done(self, name: str, *argv: str, **environ: str) -> tuple[int, str]:
        process = self.begin(name, *argv, **environ)
        said = process.communicate(timeout=GIVE_UP)[0]
        return process.returncode, said


@pytest.fixture
def host(tmp_path: Path) -> Kept:
    return Kept(tmp_path, *RUNNING, "flanneld.service")


def test_files_are_as_they_were_with_their_folders(host: Kept) -> None:
    old, new = host.etc / "daemon.json", host.etc / "made/by/fedwiz.conf"
    old.write_text("{}\n")
    old.chmod(0o640)
    host.keep(new, new.parent, new.parent.parent, whole=(old,))
    old.write_text('{"allow-direct-routing": true}\n')
    old.chmod(0o644)
    new.parent.mkdir(parents=True)
    new.touch()
    mine = host.etc / "mine.conf"
    mine.touch()
    code, said = host.done("back", "leave", "off", "disabled", str(old), str(new), str(mine))
    assert code == 0, said
    assert (old.read_text(), old.stat().st_mode & 0o777) == ("{}\n", 0o640)
    assert not (host.etc / "made").exists()
    assert mine.exists(), "of which nothing was kept"
    assert sorted(path.name for path in host.etc.iterdir()) == ["daemon.json", "mine.conf"]
    assert host.units == set(RUNNING), "flanneld alone has stopped"


def test_a_file_that_is_a_link_is_one_again(host: Kept) -> None:
    link, mine = host.etc / "docker/daemon.json", host.etc / "mine.json"
    mine.write_text("{}\n")
    link.parent.mkdir()
    link.symlink_to("../mine.json")
    code, said = host.done("keep", "-")
    assert code == 0, said
    link.unlink()
    link.write_text('{"allow-direct-routing": true}\n')
    code, said = host.done("back", "leave", "off", "disabled", str(link))
    assert code == 0, said
    assert link.is_symlink()
    assert (link.readlink(), mine.read_text()) == (Path("../mine.json"), "{}\n")


def test_a_folder_that_somebody_uses_stays(host: Kept) -> None:
    new = host.etc / "made/fedwiz.conf"
    host.keep(new, new.parent)
    new.parent.mkdir()
    new.touch()
    (new.parent / "mine.conf").touch()
    assert host.done("back", "leave", "off", "disabled", str(new))[0] == 0
    assert [path.name for path in new.parent.iterdir()] == ["mine.conf"]


def test_docker_and_its_users_run_again_and_know_their_subnet(host: Kept) -> None:
    host.keep(host.home / "run/flannel")
    code, said = host.done("back", "move", "off", "disabled")
    assert code == 0, said
    assert host.units == set(RUNNING)
    assert not host.due.exists()
    assert not (host.home / "run/flannel").exists()
    assert not (host.home / "run/systemd").exists() or not list(
        (host.home / "run/systemd").rglob("*.conf")
    )
    # Its ip says 10.16.1.1/24: that is not what was kept.
    assert "and ran on 172.17.0.1/16 before" in said


def test_one_that_was_killed_is_made_good_by_the_next(host: Kept) -> None:
    host.keep()
    process = host.begin("back", "move", "off", "disabled", SLOW="60")
    host.wait_for("stop flanneld.service")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "docker.service" not in host.units
    code, said = host.done("back", "move", "off", "disabled")
    assert code == 0, said
    assert host.units == set(RUNNING)
    assert not host.due.exists()


def test_one_that_is_stopped_ends_with_docker_running(host: Kept) -> None:
    host.keep()
    process = host.begin("back", "move", "off", "disabled", SLOW="1")
    host.wait_for("stop flanneld.service")
    os.killpg(process.pid, signal.SIGTERM)
    said = process.communicate(timeout=GIVE_UP)[0]
    assert process.returncode == 1, said
    assert set(RUNNING) <= host.units


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("switch", ("10.16.0.0/16", "1")),
        ("settle", ("docker", "1")),
        ("restart", ("keep", "leave", "-", "1")),
        ("restart", ("wait", "leave", "-", "1")),
        ("back", ("move", "1", "enabled")),
    ],
)
def test_flanneld_gets_the_seconds_that_it_is_given(
    name: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """Then docker runs all the same."""
    host = Kept(tmp_path, *RUNNING)
    host.keep()
    _, said = host.done(name, *words, FLANNELD="hangs")
    assert "did not get ready within 1 s" in said or "did not come up within 1 s of" in said
    assert host.units == set(RUNNING)


def test_without_what_was_kept_nothing_is_touched(host: Kept) -> None:
    code, said = host.done("back", "move", "off", "disabled")
    assert code == 1
    assert "any more" in said
    assert host.units == {*RUNNING, "flanneld.service"}


def test_what_is_kept_is_whole_private_and_never_written_over(host: Kept) -> None:
    there = host.etc / "sysconfig/flanneld"
    there.parent.mkdir()
    there.write_text("# mine\n")
    there.chmod(0o640)
    code, said = host.done("keep", "-")
    assert code == 0, said
    copy = Path(f"{host.before}/files{there}")
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == ("# mine\n", 0o640)
    absent = (host.before / "absent").read_text().splitlines()
    assert f"{host.etc}/docker/daemon.json" in absent
    assert f"{host.etc}/docker" in absent
    assert str(there) not in absent
    assert host.before.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in host.before.iterdir() if path.is_file()} == {
        0o600
    }
    there.write_text("# fedwiz's\n")
    code, said = host.done("keep", "-")
    assert code == 0
    assert "stays as it is" in said
    assert copy.read_text() == "# mine\n"
    assert [path.name for path in host.before.parent.iterdir()] == ["before"]


def test_what_can_t_be_kept_whole_is_not_kept(host: Kept) -> None:
    there = host.etc / "sysconfig/flanneld"
    there.parent.mkdir()
    there.touch()
    (host.home / "bin/cp").write_text("#!/bin/sh\nexit 1\n")
    (host.home / "bin/cp").chmod(0o755)
    code, said = host.done("keep", "-")
    assert code == 1
    assert said.splitlines()[-1] == f"{there} could not be kept"
    assert list(host.before.parent.iterdir()) == []


def test_a_lock_that_somebody_holds_outlives_what_is_forgotten(host: Kept) -> None:
    host.keep()
    run = host.home / "run/fedwiz"
    run.mkdir()
    for name in ("lock", "fedwiz-switch-1.log"):
        (run / name).touch()
    code, said = host.done("forget", "/etc/a was changed")
    assert (code, said) == (0, "left as it is: /etc/a was changed\n")
    assert [path.name for path in run.iterdir()] == ["lock"]
    assert not host.before.parent.exists()
