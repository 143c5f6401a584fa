"""Becoming root, on hosts whose sudo and id are scripts of ours."""

import asyncio
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest

from fedwiz.model.actions import Run, Secret, UnreachableError
from tests.support import sshd
from tests.support.patience import GIVE_UP
from tests.support.sshd import PATIENT, Home, Host, Sshd

pytestmark = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)

ID = '#!/bin/sh\necho "${FAKE_UID:-1000}"\n'
SUDO = """\
#!/bin/sh
# As sudo does: a password only where one is wanted, read byte by byte, three tries.
here=$(dirname "$0") says=$(cat "$here/says") ask=
while [ $# -gt 0 ]; do
  case $1 in
    -n | -k) ;;
    -S) ask=yes ;;
    -p) shift ;;
    --) shift; break ;;
  esac
  shift
done
if [ -e "$here/lecture" ]; then cat "$here/lecture" >&2; fi
if [ "$says" = silence ]; then exec sleep 3600; fi
if [ -n "$says" ]; then echo "$says" >&2; exit 1; fi
if [ -e "$here/wants" ]; then
  [ -n "$ask" ] || { echo "sudo: a password is required" >&2; exit 1; }
  for try in 1 2 3; do
    IFS= read -r given || { echo "sudo: $((try - 1)) incorrect password attempts" >&2; exit 1; }
    printf '%s\\n' "$given" >>"$here/tries"
    [ "$given" != "$(cat "$here/wants")" ] || break
    [ "$try" -lt 3 ] || { echo "sudo: 3 incorrect password attempts" >&2; exit 1; }
  done
fi
FAKE_UID=0 exec "$@"
"""
PASSWORD = Secret("sudo password", "s'e \\cret")
ASK = sshd.Ssh(sudo="ask")


@dataclass
class Sudoer:
    """A host whose user is not root, and what its sudo wants and says."""

    home: Home
    place: Path

    @cached_property
    def server(self) -> Sshd:
        """It starts with whoever comes first."""
        started = self.home.serve(f"SetEnv PATH={self.place}:/usr/bin:/bin")
        self.home.know(started)
        return started

    def wants(self, password: str) -> None:
        (self.place / "wants").write_text(password)

    def says(self, text: str) -> None:
        (self.place / "says").write_text(text)

    @property
    def tries(self) -> list[str]:
        file = self.place / "tries"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def sudoers(home: Home) -> list[Sudoer]:
    made = []
    for n in range(3):
        place = home.path / f"bin{n}"
        place.mkdir()
        for name, text in {"id": ID, "sudo": SUDO, "says": ""}.items():
            (place / name).write_text(text)
            (place / name).chmod(0o755)
        made.append(Sudoer(home, place))
    return made


SHOW = Run(("sh", "-c", "id -u; cat; cat /proc/[0-9]*/cmdline"), stdin=("for the command\n",))


@pytest.mark.parametrize("wanted", [True, False], ids=["password wanted", "NOPASSWD"])
async def test_a_command_sees_its_own_input_and_nothing_of_the_password(
    home: Home, sudoers: list[Sudoer], wanted: bool
) -> None:
    host = sudoers[0]
    if wanted:
        host.wants(PASSWORD.reveal())
    ssh = home.ssh(host.server, answers=ASK, sudo_password=PASSWORD)
    async with ssh.connect("node1") as session:
        reply = await session.ask(SHOW)
        assert reply.out.startswith("0\nfor the command\n")
        assert PASSWORD.reveal() not in reply.out + reply.err
        plain = await session.ask(replace(SHOW, sudo=False))
        assert plain.out.startswith("1000\nfor the command\n")
    assert host.tries == ([PASSWORD.reveal()] * 2 if wanted else [])


@pytest.mark.parametrize("easy", [0, 1], ids=["", "after a host that wants none"])
async def test_a_wrong_password_is_tried_once_on_one_host(
    home: Home, sudoers: list[Sudoer], easy: int
) -> None:
    """That a host wants none says nothing of the password."""
    for sudoer in sudoers[easy:]:
        sudoer.wants("another")
    hosts = [Host(f"node{n}", f"n{n}") for n in range(3)]
    home.configure(
        "".join(
            f"Host n{n}\n HostName 127.0.0.1\n Port {sudoer.server.port}\n"
            for n, sudoer in enumerate(sudoers)
        )
    )
    ssh = home.ssh(22, *hosts, answers=ASK, sudo_password=PASSWORD)
    said: list[str] = []

    async def visit(name: str) -> None:
        try:
            async with ssh.connect(name):
                raise AssertionError("sudo let us in")
        except UnreachableError as why:
            said.append(str(why))

    for host in hosts[:easy]:
        async with ssh.connect(host.name):
            pass
    async with asyncio.TaskGroup() as group:
        for host in hosts[easy:]:
            group.create_task(visit(host.name))
    assert sum("sudo refused the password on" in why for why in said) == 1
    assert sum("was not tried on" in why for why in said) == 2 - easy
    assert sum(len(sudoer.tries) for sudoer in sudoers) == 1


async def test_sudo_without_a_password(home: Home, sudoers: list[Sudoer]) -> None:
    ssh = home.ssh(sudoers[0].server, answers=sshd.Ssh(sudo="nopasswd"))
    async with ssh.connect("node1") as session:
        assert (await session.ask(SHOW)).out.startswith("0\nfor the command\n")


async def test_without_sudo_a_command_runs_as_it_is(home: Home, sudoers: list[Sudoer]) -> None:
    async with home.ssh(sudoers[0].server).connect("node1") as session:
        assert (await session.ask(SHOW)).out.startswith("1000\nfor the command\n")


async def test_root_needs_no_sudo(home: Home) -> None:
    server = home.serve()
    home.know(server)
    async with home.ssh(server, answers=ASK).connect("node1") as session:
        assert (await session.ask(Run(("id", "-u")))).out == "0\n"


LECTURE = """
We trust you have received the usual lecture from the local System
Administrator. It usually boils down to these three things:

    #1) Respect the privacy of others.

For security reasons, the password you type will not be visible.

"""


async def test_a_lecture_is_no_refusal(home: Home, sudoers: list[Sudoer]) -> None:
    host = sudoers[0]
    host.wants(PASSWORD.reveal())
    (host.place / "lecture").write_text(LECTURE)
    async with home.ssh(host.server, answers=ASK, sudo_password=PASSWORD).connect("node1") as it:
        assert (await it.ask(SHOW)).out.startswith("0\nfor the command\n")


async def test_a_sudo_that_says_nothing_is_not_waited_for(
    home: Home, sudoers: list[Sudoer]
) -> None:
    sudoers[0].says("silence")
    ssh = home.ssh(
        sudoers[0].server, answers=ASK, sudo_password=PASSWORD, limits=replace(PATIENT, sudo=2)
    )
    with pytest.raises(UnreachableError, match="sudo for root on node1 gave no answer within 2 s"):
        async with asyncio.timeout(GIVE_UP), ssh.connect("node1"):  # it is silent for an hour
            pass


NO_MORE = {
    "English": "sudo: 1 incorrect password attempt",
    "German": "sudo: 1 falsche Passworteingabe",
    "sudo-rs": "sudo: Authentication failed, try again.",
    "faillock": "The account is locked due to 3 failed logins.",
    "nothing": " ",
}
GO_ON = {
    "not a sudoer": "ops is not in the sudoers file.",
    "a broken file": "sudo: /etc/sudoers:3:1: syntax error",
    "a terminal": "sudo: sorry, you must have a tty to run sudo",
}


SEEN = ("English", "nothing", *GO_ON)
"""Those that the default tier looks at."""


@pytest.mark.parametrize(
    ("text", "more"),
    [
        pytest.param(text, more, id=name, marks=() if name in SEEN else pytest.mark.full)
        for words, more in ((NO_MORE, False), (GO_ON, True))
        for name, text in words.items()
    ],
)
async def test_after_what_may_be_a_refused_password_no_other_host_gets_it(
    home: Home, sudoers: list[Sudoer], text: str, more: bool
) -> None:
    first, second = sudoers[:2]
    first.says(text)
    second.wants(PASSWORD.reveal())
    home.configure(
        "".join(
            f"Host n{n}\n HostName 127.0.0.1\n Port {it.server.port}\n"
            for n, it in enumerate((first, second))
        )
    )
    ssh = home.ssh(22, Host("a", "n0"), Host("b", "n1"), answers=ASK, sudo_password=PASSWORD)
    with pytest.raises(UnreachableError):
        async with ssh.connect("a"):
            pass
    if more:
        async with ssh.connect("b"):
            return
    with pytest.raises(UnreachableError, match="was not tried on b, for a refused it"):
        async with ssh.connect("b"):
            pass
    assert second.tries == []


REFUSED = {
    "not a sudoer": ("root is not in the sudoers file.", "`wheel` group"),
    "newer words": ("Sorry, user root may not run sudo on n1.", "`wheel` group"),
    "requiretty": ("sudo: sorry, you must have a tty to run sudo", "!requiretty"),
    "password": ("sudo: a password is required", 'set `ssh.sudo` to "ask"'),
    "missing": ("env: 'sudo': No such file or directory", "says: env: 'sudo'"),
    "broken": ("sudo: parse error in /etc/sudoers", "sudo on node1 says: sudo: parse error"),
}


@pytest.mark.parametrize(("said", "remedy"), REFUSED.values(), ids=REFUSED)
async def test_what_sudo_refuses_comes_with_a_remedy(
    home: Home, sudoers: list[Sudoer], said: str, remedy: str
) -> None:
    sudoers[0].says(said)
    ssh = home.ssh(sudoers[0].server, answers=sshd.Ssh(sudo="nopasswd"))
    with pytest.raises(UnreachableError) as caught:
        async with ssh.connect("node1"):
            pass
    assert remedy in str(caught.value)


@pytest.mark.skipif(shutil.which("sudo") is not None, reason="this machine has a sudo")
async def test_a_host_without_sudo(home: Home, sudoers: list[Sudoer]) -> None:
    (sudoers[0].place / "sudo").unlink()
    ssh = home.ssh(sudoers[0].server, answers=ASK, sudo_password=PASSWORD)
    with pytest.raises(UnreachableError, match="has no sudo"):
        async with ssh.connect("node1"):
            pass


async def test_a_password_that_nobody_gave(home: Home, sudoers: list[Sudoer]) -> None:
    with pytest.raises(UnreachableError, match="none was given"):
        async with home.ssh(sudoers[0].server, answers=ASK).connect("node1"):
            pass
