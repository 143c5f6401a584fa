"""The way to the hosts, against a real sshd on loopback."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fedwiz.model.actions import Run, Secret, UnreachableError
from fedwiz.ssh.known_hosts import KeyRefusedError, UnknownKeyError, fingerprint
from fedwiz.ssh.transport import Ssh
from tests.support import sshd
from tests.support.sshd import PATIENT, Home, Host, keygen

pytestmark = pytest.mark.skipif(bool(sshd.WHY_NOT), reason=sshd.WHY_NOT)


async def refusal(ssh: Ssh, name: str = "node1") -> str:
    with pytest.raises(UnreachableError) as caught:
        async with ssh.connect(name):
            pass
    return str(caught.value)


# Host keys


async def test_an_unknown_key_is_refused_and_named(home: Home) -> None:
    server = home.serve()
    with pytest.raises(UnknownKeyError) as caught:
        async with home.ssh(server).connect("node1"):
            pass
    shown = fingerprint(server.key.split()[1])
    assert caught.value.fingerprint == shown
    assert f"node1's host key is not known yet (ssh-ed25519 {shown})" in str(caught.value)
    assert not home.known_hosts.exists()


async def test_a_new_key_is_accepted_written_down_and_known_from_then_on(home: Home) -> None:
    server = home.serve()
    async with home.ssh(server, accept_new=True).connect("node1"):
        pass
    assert home.known_hosts.read_text() == f"[127.0.0.1]:{server.port} {server.key}\n"
    async with home.ssh(server).connect("node1") as session:
        assert (await session.ask(Run(("true",)))).code == 0


async def test_a_key_accepted_by_hand_is_that_key_alone(home: Home) -> None:
    server = home.serve()
    ssh = home.ssh(server)
    with pytest.raises(UnknownKeyError) as caught:
        async with ssh.connect("node1"):
            pass
    await ssh.accept(caught.value)
    async with ssh.connect("node1"):
        pass


async def test_a_name_is_hashed_where_ssh_config_says_so(home: Home) -> None:
    home.configure("Host *\n  HashKnownHosts yes\n")
    async with home.ssh(home.serve(), accept_new=True).connect("node1"):
        pass
    assert home.known_hosts.read_text().startswith("|1|")


async def test_a_changed_key_stops_even_where_new_ones_are_accepted(home: Home) -> None:
    server = home.serve()
    other = keygen(home.path / "other")
    home.known_hosts.write_text(f"# mine\n[127.0.0.1]:{server.port} {other}\n")
    why = await refusal(home.ssh(server, accept_new=True))
    assert f"line 2 of {home.known_hosts}" in why
    for key in (server.key, other):
        assert fingerprint(key.split()[1]) in why


async def test_a_host_is_asked_for_the_type_of_key_that_is_known(home: Home) -> None:
    server = home.serve(f"HostKey {home.path}/second", kind="rsa")
    keygen(home.path / "second")
    server.stop()
    server.start()
    home.know(server)  # its RSA key, though ed25519 would be preferred
    async with home.ssh(server).connect("node1"):
        pass
    assert len(home.known_hosts.read_text().splitlines()) == 1


@pytest.mark.parametrize("fits", [True, False])
async def test_a_pin_outweighs_the_files(home: Home, fits: bool) -> None:
    server = home.serve()
    other = keygen(home.path / "other")
    home.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other if fits else server.key}\n")
    pin = fingerprint((server.key if fits else other).split()[1])
    ssh = home.ssh(server, Host(host_key=pin), accept_new=True)
    if fits:
        async with ssh.connect("node1"):
            return
    with pytest.raises(KeyRefusedError, match="the answers pin"):
        async with ssh.connect("node1"):
            pass


async def test_a_host_certificate_is_good_where_its_authority_is_known(home: Home) -> None:
    server = home.serve(f"HostCertificate {home.path}/sshd0/host_key-cert.pub")
    authority = keygen(home.path / "ca")
    sshd.certify(home.path / "ca", server.folder / "host_key.pub", "127.0.0.1")
    server.stop()
    server.start()
    home.known_hosts.write_text(f"@cert-authority * {authority}\n")
    async with home.ssh(server).connect("node1"):
        pass


# No way in


async def test_who_is_refused_learns_what_to_do(home: Home) -> None:
    server = home.serve(authorized=keygen(home.path / "somebody"))
    home.know(server)
    why = await refusal(home.ssh(server))
    assert why.startswith("node1 refuses the keys of root: `ssh-copy-id -p ")


async def test_a_port_where_nothing_listens(home: Home) -> None:
    assert "nothing listens at 127.0.0.1 port" in await refusal(home.ssh(sshd.free_port()))


async def test_a_port_that_does_not_answer(home: Home) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (first, second):  # the queue is full now, and the next one hears nothing
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        why = await refusal(home.ssh(full.getsockname()[1], limits=replace(PATIENT, connect=0.3)))
    assert "does not answer within 0.3 s" in why


async def test_a_port_that_takes_the_connection_and_says_nothing(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        why = await refusal(home.ssh(silent.getsockname()[1], limits=replace(PATIENT, login=0.5)))
    assert "no login within 0.5 s" in why


async def test_a_host_that_does_not_exist(home: Home) -> None:
    why = await refusal(home.ssh(22, Host(address="no-such-host.invalid")))
    assert "correct its `address`" in why


async def test_a_line_of_ssh_config_that_can_not_be_used(home: Home) -> None:
    home.configure("Host *\n  Port many\n")
    assert "line 2" in await refusal(home.ssh(22))


async def test_a_key_file_that_is_not_there(home: Home) -> None:
    answers = sshd.Ssh(identity=("~/.ssh/lost",))
    assert "correct `ssh.identity`" in await refusal(home.ssh(22, answers=answers))


async def test_a_host_that_runs_nothing(home: Home) -> None:
    server = home.serve("ForceCommand echo This account is not available.")
    home.know(server)
    assert "This account is not available" in await refusal(home.ssh(server))


# Keys


async def test_a_locked_key_is_asked_for_once_for_all_hosts(home: Home) -> None:
    locked = keygen(home.path / "locked", passphrase="open sesame")
    servers = [home.serve(authorized=locked) for _ in range(3)]
    home.know(*servers)
    asked: list[str] = []

    async def ask(path: str) -> Secret:
        asked.append(path)
        await asyncio.sleep(0)
        return Secret("passphrase", "open sesame")

    hosts = [Host(f"node{n}", f"n{n}") for n in range(3)]
    home.configure(
        "".join(
            f"Host n{n}\n HostName 127.0.0.1\n Port {server.port}\n"
            for n, server in enumerate(servers)
        )
    )
    answers = sshd.Ssh(identity=(str(home.path / "locked"),))
    ssh = home.ssh(22, *hosts, answers=answers, passphrase=ask)

    async def visit(name: str) -> None:
        async with ssh.connect(name):
            pass

    async with asyncio.TaskGroup() as group:
        for host in hosts:
            group.create_task(visit(host.name))
    assert asked == [str(home.path / "locked")]


async def test_a_wrong_passphrase_is_said(home: Home) -> None:
    server = home.serve(authorized=keygen(home.path / "locked", passphrase="open sesame"))
    home.know(server)

    async def ask(_: str) -> Secret:
        return Secret("passphrase", "wrong")

    answers = sshd.Ssh(identity=(str(home.path / "locked"),))
    assert "not the passphrase of" in await refusal(
        home.ssh(server, answers=answers, passphrase=ask)
    )


@pytest.fixture
def agent(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An agent with a key that no file holds; gives its public half."""
    key = keygen(home.path / "held")
    place = home.path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        subprocess.run(["ssh-add", "-q", home.path / "held"], check=True)
        (home.path / "held").unlink()
        yield key
    finally:
        process.terminate()
        process.communicate()


async def test_a_key_in_the_agent_is_enough(home: Home, agent: str) -> None:
    server = home.serve(authorized=agent)
    home.know(server)
    async with home.ssh(server).connect("node1"):
        pass


# Ways


async def test_hosts_behind_a_bastion_share_its_one_connection(home: Home) -> None:
    bastion, *behind = [home.serve() for _ in range(4)]
    home.know(bastion, *behind)
    home.configure(
        f"Host bastion\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n"
        + "".join(
            f"Host n{n}\n HostName 127.0.0.1\n Port {server.port}\n ProxyJump bastion\n"
            for n, server in enumerate(behind)
        )
    )
    hosts = [Host(f"node{n}", f"n{n}") for n in range(3)]
    ssh = home.ssh(22, *hosts)
    ready = asyncio.Barrier(3)

    async def visit(name: str) -> None:
        async with ssh.connect(name) as session:
            assert (await session.ask(Run(("true",)))).code == 0
            await ready.wait()

    async with asyncio.TaskGroup() as group:
        for host in hosts:
            group.create_task(visit(host.name))
    assert bastion.logins() == 1


async def test_a_bastion_that_is_unknown_is_the_one_named(home: Home) -> None:
    bastion, behind = home.serve(), home.serve()
    home.know(behind)
    home.configure(
        f"Host node1\n HostName 127.0.0.1\n Port {behind.port}\n"
        f" ProxyJump root@127.0.0.1:{bastion.port}\n"
    )
    ssh = home.ssh(22, Host(address="node1"))
    with pytest.raises(UnknownKeyError) as caught:
        async with ssh.connect("node1"):
            pass
    assert caught.value.host == f"root@127.0.0.1:{bastion.port}"
    await ssh.accept(caught.value)
    async with ssh.connect("node1"):
        pass


async def test_a_jump_that_leads_back_is_said(home: Home) -> None:
    home.configure("Host *\n ProxyJump bastion\n")
    assert "ProxyJump leads back to bastion" in await refusal(home.ssh(22))
