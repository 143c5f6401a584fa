"""What is secret is found nowhere: not in what is printed, kept or called, not in a crash."""

import json
import os
import pty
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import tomli_w
from textual.widgets import Input

from fedwiz.runs.journal import runs
from screens.dialogs.basic import Ask
from tests.local.test_sudo import ID
from tests.local.test_sudo import SUDO as SUDO_SCRIPT
from tests.support import sshd
from tests.support.canaries import (
    ETCD,
    PHRASE,
    SUDO,
    found,
    in_files,
    loose,
    odd,
    watched,
)
from tests.support.cli_process import Shell, at_a_terminal
from tests.support.patience import GIVE_UP
from tests.support.pilot import on, opened, shown, type_in, until
from tests.support.sshd import Home, keygen

REAL = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)

AUDITED = """\
import os, sys
os.umask(0)
def told(name, args):
    if name in ("os.chmod", "os.chown"):
        print("LATE", name, args[0], file=sys.stderr)
sys.addaudithook(told)
from fedwiz.__main__ import main
sys.argv[0] = "fedwiz"
sys.exit(main())
"""
"""fedwiz where every mode is the one that a file was made with: no umask takes any away, and
whoever mends one afterwards is told of."""


@pytest.mark.parametrize("verb", ["install", "verify", "plan"])
def test_the_state_is_its_owner_s_from_its_first_moment(verb: str, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    words = ["demo", verb, "--pace", "0", "--hosts", "3", "--yes"]
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, *(words if verb == "install" else words[:-1])],
        env=shell.environ(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=GIVE_UP,
    )
    assert done.returncode == 0, done.stderr
    assert "LATE" not in done.stderr
    state = tmp_path / ".local/state/fedwiz"
    assert [path for path in state.rglob("*") if path.is_file()]
    # Of what lies above it, the folders were not there either.
    assert loose(tmp_path / ".local") == []


def test_a_draft_is_its_owner_s_from_its_first_moment(tmp_path: Path) -> None:
    code = (
        "import os; os.umask(0)\n"
        "from fedwiz.wizard.draft import Draft, save\nsave(Draft(page='hosts'))\n"
        "from fedwiz.runs.plans import write_plan\nwrite_plan('a', '{}')\n"
    )
    subprocess.run([sys.executable, "-c", code], env=Shell(tmp_path).environ(), check=True)
    assert loose(tmp_path / ".local") == []
    assert len([it for it in tmp_path.rglob("*") if it.is_file()]) == 2


# Real sessions: sudo's password, a key's passphrase, etcd's password.


class Hosts:
    """Three hosts whose sudo wants a password, and an operator's key with a passphrase."""

    def __init__(self, home: Home) -> None:
        self.home = home
        for at in range(3):
            place = home.path / f"bin{at}"
            place.mkdir()
            for name, text in {
                "id": ID,
                "sudo": SUDO_SCRIPT,
                "says": "",
                "wants": odd(SUDO),
            }.items():
                (place / name).write_text(text)
                (place / name).chmod(0o755)
            home.serve(f"SetEnv PATH={place}:/usr/sbin:/usr/bin:/sbin:/bin")
        home.know(*home.servers)
        home.configure(
            "".join(
                f"Host n{at}\n HostName 127.0.0.1\n Port {it.port}\n"
                for at, it in enumerate(home.servers)
            )
        )
        self.state = home.path / "state"
        self.tmp = home.path / "tmp"
        self.tmp.mkdir()
        self.answers = home.path / "answers.toml"
        self.write()

    def write(self, **more: object) -> None:
        said = {
            "version": 1,
            "name": "lab",
            "network": {"cidr": "10.16.0.0/16"},
            "ssh": {"sudo": "ask", "identity": ["~/.ssh/locked"]},
            "etcd": {"user": "flannel", "endpoints": ["http://127.0.0.1:1"]},
            "host": [
                {"name": f"n{at}", "address": f"n{at}", "role": "node" if at else "master"}
                for at in range(3)
            ],
            **more,
        }
        self.answers.write_text(tomli_w.dumps(said))

    def environ(self) -> dict[str, str]:
        return {
            "FEDWIZ_SUDO_PASSWORD": odd(SUDO),
            "FEDWIZ_ETCD_PASSWORD": odd(ETCD),
            "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(self.tmp),
            "TERM": "xterm",
            "PYTHONFAULTHANDLER": "1",
        }

    @property
    def nowhere(self) -> list[str]:
        """Where a canary is: but for what plays the hosts."""
        spared = [self.home.path / f"bin{at}" for at in range(3)]
        return in_files([self.home.path], spared)

    @property
    def tried(self) -> int:
        files = (self.home.path / f"bin{at}/tries" for at in range(3))
        return sum(file.read_text().count(SUDO) for file in files if file.exists())


@pytest.fixture
def hosts(home: Home) -> Hosts:
    (home.path / ".ssh/id_ed25519").unlink()
    home.key = keygen(home.path / ".ssh/locked", passphrase=odd(PHRASE))
    return Hosts(home)


VERBS: dict[str, tuple[str, ...]] = {
    "check, as JSON": ("check", "--json"),
    "install": ("install", "--yes", "--headless"),
    "verify": ("verify", "--report", "r.html", "--report", "r.xml", "--report", "r.md"),
    "diagnose": ("diagnose", "n1", "n2"),
}


@REAL
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=verb, marks=() if verb == "install" else pytest.mark.full)
        for verb, words in VERBS.items()
    ],
)
def test_a_run_tells_no_secret(words: tuple[str, ...], hosts: Hosts) -> None:
    shell = Shell(hosts.home.path)
    with (
        watched() as watch,
        at_a_terminal(
            shell, *words, "-a", str(hosts.answers), environ=hosts.environ(), started=True
        ) as terminal,
    ):
        terminal.until("Passphrase of")
        terminal.type(odd(PHRASE) + "\r")
        code = terminal.end()
    assert "Traceback" not in terminal.seen
    assert code != 0, "they are no hosts of Fedora's"
    assert hosts.tried >= 3, terminal.seen
    assert found(terminal.seen) == []
    assert hosts.nowhere == []
    assert not watch.seen
    assert watch.turns > 5
    assert runs(hosts.state / "fedwiz/runs")
    for run in runs(hosts.state / "fedwiz/runs"):
        words = "replay", run.id, "--speed", "0", "--headless"
        told = shell.fedwiz(*words, XDG_STATE_HOME=str(hosts.state))
        assert found(told.out + told.err) == []


BROKEN = """\
import sys
from fedwiz.{module} import {owner}
def broken(*args, **more):
    canary = args
    raise RuntimeError("the disk bent")
{owner}.{name} = broken
from fedwiz.__main__ import main
sys.argv[0] = "fedwiz"
sys.exit(main())
"""
CRASHES = {
    "where a run is written": ("runs.journal", "Journal", "emit"),
    "where hosts are asked": ("ssh.session", "SshSession", "ask"),
    "where a connection begins": ("ssh.transport", "Ssh", "connect"),
}
MODES: dict[str, tuple[str, ...]] = {"": (), "development mode": ("-X", "dev")}


@REAL
@pytest.mark.parametrize(
    ("place", "more"),
    [  # in the default tier each place, and both modes
        pytest.param(
            place, more, id=f"{where}-{mode}", marks=pytest.mark.full if at % 4 in (1, 2) else ()
        )
        for at, ((where, place), (mode, more)) in enumerate(product(CRASHES.items(), MODES.items()))
    ],
)
def test_a_crash_tells_no_secret(
    place: tuple[str, str, str], more: tuple[str, ...], hosts: Hosts
) -> None:
    module, owner, name = place
    code = BROKEN.format(module=module, owner=owner, name=name)
    key = hosts.home.path / ".ssh/locked"
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", odd(PHRASE), "-N", "", "-f", key], check=True)
    done = subprocess.run(
        [sys.executable, *more, "-c", code, "check", "-a", str(hosts.answers)],
        env={**Shell(hosts.home.path).environ(), **hosts.environ()},
        cwd=hosts.home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=GIVE_UP,
    )
    assert "the disk bent" in done.stderr, done.stderr
    assert found(done.stdout + done.stderr) == []
    assert hosts.nowhere == []


PROXIED = """\
import os, sys
open(sys.argv[1], "w").write(repr(dict(os.environ)))
"""


@REAL
def test_a_program_that_ssh_config_names_is_not_given_the_passwords(hosts: Hosts) -> None:
    """ProxyCommand runs here, as the operator: its environment is for all of its own to see."""
    dump, place = hosts.home.path / "dump.py", hosts.home.path / "given"
    dump.write_text(PROXIED)
    config = f"Host *\n ProxyCommand {sys.executable} {dump} {place}\n"
    hosts.home.configure(config)
    done = Shell(hosts.home.path).started("check", "-a", str(hosts.answers), **hosts.environ())
    assert done.code != 0
    assert place.exists(), done.err
    assert "HOME" in place.read_text()
    assert found(place.read_text()) == []


STARTED = """\
import os, sys
def told(name, args):
    if name in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork"):
        print("STARTED", name, args, sorted(os.environ.items()), file=sys.stderr)
sys.addaudithook(told)
from fedwiz.__main__ import main
sys.argv[0] = "fedwiz"
sys.exit(main())
"""


@REAL
def test_no_program_that_is_started_is_given_the_passwords(hosts: Hosts) -> None:
    """One is, where a library of asyncssh's looks for another by asking the compiler."""
    done = subprocess.run(
        [sys.executable, "-c", STARTED, "check", "-a", str(hosts.answers)],
        env={**Shell(hosts.home.path).environ(), **hosts.environ()},
        cwd=hosts.home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=GIVE_UP,
    )
    assert "ended: failed" in done.stderr, done.stderr
    assert found(done.stderr) == []


# The wizard.


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_what_is_typed_into_a_password_dialog_is_on_no_picture(state_home: Path) -> None:
    async with opened(size=(100, 30)) as pilot:
        given: list[str | None] = []
        await pilot.app.push_screen(Ask("sudo password", "of root", hidden=True), given.append)
        await on(pilot, Ask)
        for at, letter in enumerate(SUDO, 1):
            await type_in(pilot, letter)
            picture = pilot.app.export_screenshot()
            assert SUDO[: max(at, 4)] not in picture
            assert SUDO[: max(at, 4)] not in shown(pilot.app)
        assert pilot.app.screen.query_one(Input).value == SUDO
        await pilot.press("ctrl+s")
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: given)
        assert given == [SUDO]
    assert in_files([state_home]) == []


CRASHING = """\
from screens.app import Fedwiz
async def broken(self):
    said, held = "HERE"[::-1], {"password": "THERE"[::-1]}
    raise RuntimeError("the page bent")
Fedwiz._walk = broken
Fedwiz().run()
""".replace("THERE", ETCD[::-1]).replace("HERE", SUDO[::-1])
"""Backwards, since a traceback has the lines of the file."""


def test_a_crash_of_the_wizard_s_tells_no_secret(tmp_path: Path) -> None:
    """Textual shows the variables of whatever raised; fedwiz's page does not."""
    script = tmp_path / "crash.py"
    script.write_text(CRASHING)
    shell = Shell(tmp_path)
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=shell.environ(TERM="xterm", COLUMNS="100", LINES="30"),
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while more := os.read(ours, 1 << 16):
            said += more
    except OSError:
        pass
    running.wait()
    os.close(ours)
    assert b"the page bent" in said, said[-2000:]
    assert found(said) == []


def test_a_canary_that_is_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text(f"x{odd(SUDO)}")
    assert in_files([tmp_path]) == [f"{tmp_path}/a/b: {[SUDO]}"]
    assert in_files([tmp_path], [tmp_path / "a"]) == []
    (tmp_path / "a/b").chmod(0o640)
    assert any("a/b" in it for it in loose(tmp_path))
    assert found(json.dumps({"a": odd(PHRASE)})) == [PHRASE]
    sleeper = [sys.executable, "-c", "input()", SUDO]
    with watched() as watch:
        process = subprocess.Popen(sleeper, stdin=subprocess.PIPE, env={"A": ETCD})
        while watch.turns < 3 or len(watch.seen) < 2:
            os.sched_yield()
        process.communicate(b"\n")
    assert any(it.startswith("words") for it in watch.seen)
    assert any(it.startswith("environment") for it in watch.seen)
