"""The cluster's lock on real hosts: two operators, dead ones, and connections that go."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from fedwiz.engine.lock import Lock, LockTimes
from fedwiz.model.actions import Secret
from fedwiz.model.events import Event, LockMoved
from fedwiz.ssh.transport import Ssh
from tests.lab.fixture import LabFactory
from tests.support import sshd
from tests.support.lab_operator import Operator
from tests.support.patience import GIVE_UP
from tests.support.preloaded import Run
from tests.support.sshd import Host

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

CUT = """
p=$(pgrep -of '[l]ock.sh')
until case $(cat /proc/$p/comm) in sshd*) true ;; *) false ;; esac; do
  p=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status)
done
kill -9 "$p"
"""
"""Ends the connection that holds the lock, as the master sees it."""

BOB = r"""
(cd /run/fedwiz && exec setsid sh -c 'exec 9>>lock; flock 9; rm -f lock.?*; printf "%s\n" \
  "token 0123456789abcdef" "who bob@desk" "from 192.0.2.9" "since $(date +%s)" "verb install" \
  "run r" "cluster lab" >lock.holder; sleep 60') </dev/null >/dev/null 2>&1 &
"""
"""Another operator, who gets the lock as soon as it is free."""

FREE = f"flock -w {GIVE_UP:.0f} /run/fedwiz/lock true"


@dataclass
class Going:
    """A fedwiz that runs."""

    process: Run
    said: str = ""

    def until(self, pattern: str) -> None:
        """Wait for a line of this kind."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if re.search(pattern, line):
                return
        raise AssertionError(f"never said {pattern!r}:\n{self.said}")

    def end(self) -> int:
        assert self.process.stderr is not None
        self.said += self.process.stderr.read()
        return self.process.wait(GIVE_UP)


Begin: TypeAlias = Callable[..., Going]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins a fedwiz; none outlives the test, whatever it comes to."""
    with ExitStack() as stack:

        def begun(operator: Operator, verb: str, *more: str) -> Going:
            process = stack.enter_context(operator.begin(verb, *more))
            stack.callback(process.kill)
            return Going(process)

        yield begun


INSTALL = ("install", "--yes", "--headless")


def as_root(_operator: Operator) -> None:
    """Nothing to say."""


def with_sudo(operator: Operator) -> None:
    operator.answers["ssh"] |= {"user": "admin", "sudo": "ask"}
    operator.environ["FEDWIZ_SUDO_PASSWORD"] = operator.lab.password


USERS = [("modern", as_root), ("classic", with_sudo)]


@pytest.mark.parametrize(("generation", "user"), USERS)
def test_two_at_once(
    begin: Begin,
    generation: str,
    user: Callable[[Operator], None],
    lab_factory: LabFactory,
    tmp_path: Path,
) -> None:
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path, environ={"LOGNAME": "alice"})
    user(operator)
    idle = operator.fedwiz("watch")
    assert (idle.code, "nobody is changing this cluster" in idle.err) == (0, True)

    both = [begin(operator, *INSTALL), begin(operator, *INSTALL)]
    # Whoever comes second has to be told who came first.
    while True:
        watching = begin(operator, "watch")
        watching.until("fedwiz: ")
        if "nobody" not in watching.said:
            break
        assert watching.end() == 0
    ends = sorted((going.end(), going.said) for going in both)
    assert [code for code, _ in ends] == [0, 8], ends
    assert watching.end() == 0, watching.said

    won, lost = (said for _, said in ends)
    address = lab.ssh(lab.master, "echo $SSH_CONNECTION", user="root").split()[0]
    last = lost.splitlines()[-1]
    taken = (
        rf"alice@\S+ \({re.escape(address)}\) has been changing this cluster since \d\d:\d\d UTC"
    )
    assert re.search(taken + r" \(install, run [0-9a-f-]+\); wait, or watch it", last), last
    # The watcher saw every line that the run itself showed.
    ours = [line for line in won.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    theirs = [line for line in watching.said.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert theirs == ours
    modes = lab.ssh(lab.master, "stat -c '%a %U' /run/fedwiz /run/fedwiz/lock*").splitlines()
    assert modes == ["700 root", *["600 root"] * 3]


def test_lost_and_had_again(begin: Begin, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory("modern", 3)
    going = begin(Operator(lab, tmp_path), *INSTALL)
    going.until(r"package .*\$ ")
    lab.ssh(lab.master, CUT)
    assert going.end() == 0, going.said
    assert re.search(r"lock +lost; no new step starts .*lock +reacquired", going.said, re.DOTALL)


def test_somebody_else_takes_it_meanwhile(
    begin: Begin, lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory("modern", 3)
    going = begin(Operator(lab, tmp_path), *INSTALL)
    going.until(r"package .*\$ ")
    lab.ssh(lab.master, BOB + CUT)
    assert going.end() == 8, going.said
    last = going.said.splitlines()[-1]
    assert "the cluster's lock was lost, and bob@desk (192.0.2.9) has been changing" in last
    assert lab.ssh("fed-node1", "systemctl is-active flanneld; true").strip() != "active"


def test_a_killed_holder_frees_it(begin: Begin, lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory("classic", 3)
    going = begin(Operator(lab, tmp_path), *INSTALL)
    going.until(r"\$ ")
    assert lab.run(lab.master, "flock -n /run/fedwiz/lock true").returncode
    going.process.kill()
    lab.ssh(lab.master, FREE)


HOLE = r"""
port=$(tr '\0' '\n' </proc/$(pgrep -of '[l]ock.sh')/environ |
  sed -n 's/^SSH_CONNECTION=[^ ]* \([^ ]*\) .*/\1/p')
iptables -I INPUT -p tcp --dport 22 --sport "$port" -j DROP
iptables -I OUTPUT -p tcp --sport 22 --dport "$port" -j DROP
"""
"""From here on nothing gets through on the connection that holds the lock; nobody ends it."""

QUICK = LockTimes(silence=6, beat=0.5, patience=60, pause=0.2)


@pytest.mark.parametrize("user", ["root", "admin"])
async def test_a_black_hole_frees_it(user: str, lab_factory: LabFactory) -> None:
    lab = lab_factory("modern", 3)
    said = sshd.Ssh(
        identity=(str(lab.key),),
        known_hosts=str(lab.known_hosts()),
        user=user,
        sudo="no" if user == "root" else "ask",
    )
    hosts = [Host(name, lab.address(name)) for name in lab.hosts]
    ssh = Ssh(said, hosts, sudo_password=Secret("sudo", lab.password), config=[])
    events, stop = asyncio.Queue[Event](), asyncio.Event()
    lock = Lock("install", "r", "lab", ssh, lab.master, events.put_nowait, QUICK)
    async with lock.acquire():
        assert await lock.may_begin(stop) == ""
        await asyncio.to_thread(lab.ssh, lab.master, HOLE)
        began = time.monotonic()
        async with asyncio.timeout(GIVE_UP):
            lost = await events.get()
        assert isinstance(lost, LockMoved)
        assert not lost.held
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lock.may_begin(stop), 0.5)
        # It is had again as soon as the master has given up the connection of before.
        async with asyncio.timeout(GIVE_UP):
            assert await events.get() == LockMoved(held=True)
        assert time.monotonic() - began > QUICK.silence - 2 * QUICK.beat
        assert await lock.may_begin(stop) == ""
    await asyncio.to_thread(lab.ssh, lab.master, FREE)
