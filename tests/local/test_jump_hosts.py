"""Many hosts behind one bastion: one connection, also when it is refused or cut."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from fedwiz.model.actions import Run, UnreachableError
from fedwiz.ssh.transport import Ssh
from tests.support import sshd
from tests.support.patience import GIVE_UP
from tests.support.sshd import Home, Host, Sshd

pytestmark = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)
HOSTS = [Host(f"node{n}", f"n{n}") for n in range(20)]
MANY = pytest.mark.parametrize("count", [9, pytest.param(20, marks=pytest.mark.full)])
"""More of them than are connected to at once, `width`; each login takes a processor its time."""


def behind(home: Home, bastion: Sshd, host: Sshd, jumps: dict[int, str] | None = None) -> Ssh:
    """Twenty hosts, which are one sshd, behind a bastion."""
    home.configure(
        f"Host bastion b2\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n"
        f"Host n*\n HostName 127.0.0.1\n Port {host.port}\n HostKeyAlias behind\n"
        + "".join(f"Host n{n}\n ProxyJump {jump}\n" for n, jump in (jumps or {}).items())
        + "Host n*\n ProxyJump bastion\n"
    )
    home.known_hosts.write_text(f"[127.0.0.1]:{bastion.port} {bastion.key}\nbehind {host.key}\n")
    return home.ssh(22, *HOSTS, answers=sshd.Ssh(width=8))


@MANY
async def test_many_hosts_at_once_share_one_connection(count: int, home: Home) -> None:
    bastion, host = home.serve(), home.serve("MaxStartups 100")
    # Two names of one bastion are one bastion.
    ssh = behind(home, bastion, host, {1: "b2", 2: f"root@127.0.0.1:{bastion.port}"})
    all_in = asyncio.Barrier(count)

    async def visit(name: str) -> None:
        async with ssh.connect(name) as session:
            assert (await session.ask(Run(("true",)))).code == 0
            await all_in.wait()

    async with asyncio.TaskGroup() as group:
        for it in HOSTS[:count]:
            group.create_task(visit(it.name))
    assert bastion.logins() == 1
    assert host.logins() == count


async def refusals(ssh: Ssh) -> set[str]:
    said: list[str] = []

    async def visit(name: str) -> None:
        try:
            async with ssh.connect(name):
                raise AssertionError(name)
        except UnreachableError as why:
            said.append(str(why))

    async with asyncio.TaskGroup() as group:
        for it in HOSTS:
            group.create_task(visit(it.name))
    assert len(said) == len(HOSTS)
    return set(said)


async def test_a_bastion_that_refuses_is_asked_once_for_all(home: Home) -> None:
    bastion, host = home.serve(authorized="# nobody"), home.serve()
    (said,) = await refusals(behind(home, bastion, host))
    assert said.startswith("bastion refuses the keys of root")
    assert len(re.findall("Connection closed by authenticating user", bastion.stop())) == 1


def sessions(server: Sshd) -> list[int]:
    assert server.process is not None
    pid = server.process.pid
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@MANY
async def test_a_bastion_that_was_cut_is_opened_once_more_for_all(count: int, home: Home) -> None:
    bastion, host = home.serve(), home.serve("MaxStartups 100")
    ssh = behind(home, bastion, host)
    async with ssh.connect("node0") as first:
        for pid in sessions(bastion):
            os.kill(pid, 9)
        with pytest.raises(UnreachableError):
            await first.ask(Run(("true",)))
        done: list[str] = []

        async def visit(name: str) -> None:
            async with ssh.connect(name) as session:
                assert (await session.ask(Run(("true",)))).code == 0
                done.append(name)

        async with asyncio.TaskGroup() as group:
            for it in HOSTS[:count]:
                group.create_task(visit(it.name))
    assert len(done) == count
    assert bastion.logins() == 2


async def test_who_gives_up_waiting_takes_nothing_from_the_others(home: Home) -> None:
    bastion, host = home.serve(), home.serve()
    ssh = behind(home, bastion, host)
    started = asyncio.Event()

    async def give_up() -> None:
        started.set()
        async with ssh.connect("node0"):
            pass

    async def visit(name: str) -> None:
        async with ssh.connect(name) as session:
            assert (await session.ask(Run(("true",)))).code == 0

    async with asyncio.TaskGroup() as group:
        gone = group.create_task(give_up())
        for it in HOSTS[1:4]:
            group.create_task(visit(it.name))
        await started.wait()
        gone.cancel()


async def test_hops_that_lead_back_by_another_name_are_said(home: Home) -> None:
    home.configure(
        "Host a a2\n HostName 127.0.0.1\nHost b\n HostName 127.0.0.2\n"
        "Host n1 b\n ProxyJump a\nHost a\n ProxyJump b\nHost a2\n ProxyJump b\n"
    )
    for host in ("n1", "a", "a2", "b"):
        with pytest.raises(UnreachableError, match=r"ProxyJump leads back to [ab]"):
            async with asyncio.timeout(GIVE_UP), home.ssh(22, Host(address=host)).connect("node1"):
                pass
