"""Finding hosts: what a search is about, what files know, and a live look at loopback."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import asyncssh
import pytest

from fedwiz.discover import (
    ScanLimits,
    Sighting,
    Source,
    Target,
    discover,
    expand,
    known_hosts,
    libvirt,
    ssh_config,
)
from fedwiz.discover.sources import host_names
from tests.support.cost import ratio
from tests.support.patience import GIVE_UP

look_at = partial(discover, limits=ScanLimits(connect_seconds=GIVE_UP, handshake_seconds=GIVE_UP))

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIGhvc3RrZXlvZnRlc3RzMDEyMzQ1Njc4OWFiY2RlZg=="

EXPANDED: dict[str, tuple[list[str], list[tuple[str, int, str]]]] = {
    "an address": (["192.168.122.76"], [("192.168.122.76", 22, "")]),
    "with a port": (["192.168.122.76:2222"], [("192.168.122.76", 2222, "")]),
    "a name": (["fed-master"], [("fed-master", 22, "fed-master")]),
    "a name with a port": (["fed-master:2222"], [("fed-master", 2222, "fed-master")]),
    "a name like a range": (["fed-node1-3"], [("fed-node1-3", 22, "fed-node1-3")]),
    "a network": (["10.0.0.0/30"], [("10.0.0.1", 22, ""), ("10.0.0.2", 22, "")]),
    "a host's network": (["10.0.0.2/30"], [("10.0.0.1", 22, ""), ("10.0.0.2", 22, "")]),
    "a network of one": (["10.0.0.7/32"], [("10.0.0.7", 22, "")]),
    "a network of two": (["10.0.0.0/31"], [("10.0.0.0", 22, ""), ("10.0.0.1", 22, "")]),
    "a short range": (["10.0.0.9-10"], [("10.0.0.9", 22, ""), ("10.0.0.10", 22, "")]),
    "a long range": (["10.0.0.255-10.0.1.0"], [("10.0.0.255", 22, ""), ("10.0.1.0", 22, "")]),
    "a range with a port": (["10.0.0.9-9:23"], [("10.0.0.9", 23, "")]),
    "a line of /etc/hosts": (
        ["192.168.122.76\tfed-master  fed-master.local # it"],
        [("192.168.122.76", 22, "fed-master")],
    ),
    "nothing": (["", "  ", "# 10.0.0.1"], []),
    "twice": (
        ["10.0.0.1", "10.0.0.1 fed-master", "10.0.0.0/30"],
        [("10.0.0.1", 22, "fed-master"), ("10.0.0.2", 22, "")],
    ),
}


@pytest.mark.parametrize(("said", "meant"), EXPANDED.values(), ids=EXPANDED)
def test_what_a_search_is_about(said: list[str], meant: list[tuple[str, int, str]]) -> None:
    assert [(t.address, t.port, t.name) for t in expand(said)] == meant


REFUSED = {
    "IPv6": ("fe80::1", "only IPv4"),
    "an IPv6 network": ("2001:db8::/64", "only IPv4"),
    "IPv6 in a line": ("::1 localhost", "only IPv4"),
    "a user": ("root@fed-master", "leave out what is before the `@`"),
    "a large network": ("10.0.0.0/8", "at most 4096"),
    "a large range": ("10.0.0.0-10.1.0.0", "at most 4096"),
    "a range backwards": ("10.0.0.40-10", "ends before it begins"),
    "a part above 255": ("10.0.0.300", "not an IPv4 address"),
    "a range beyond 255": ("10.0.0.10-300", "not an IPv4 address"),
    "a short address": ("10.0.0", "not an IPv4 address"),
    "a mask too long": ("10.0.0.0/33", "not an IPv4 network"),
    "no port": ("10.0.0.1:", "a port from 1 to 65535"),
    "a port too high": ("10.0.0.1:65536", "a port from 1 to 65535"),
    "port 0": ("10.0.0.1:0", "a port from 1 to 65535"),
    "no name": ("fed_master", "letters, digits"),
    "an option": ("-oProxyCommand=x", "letters, digits"),
    "a URL": ("ssh://fed-master", "after the `:`"),
    "codes": ("\x1b]0;x\x07", "letters, digits"),
    "a line without an address": ("fed-master 10.0.0.1", "not an IPv4 address"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_what_no_search_can_be_about(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as caught:
        expand([text])
    assert str(caught.value).isprintable()


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="only IPv4") as caught:
        expand(["10.0.0.300", "10.0.0.1", "fe80::1", "a_b"])
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "'10.0.0.300'",
        "'fe80",
        "'a_b'",
    ]


def test_a_search_has_a_limit_in_all() -> None:
    with pytest.raises(ValueError, match="at most 4096"):
        expand(["10.0.0.0/20", "10.1.0.0/20"])


def test_ssh_config_by_its_own_rules(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        """
        Port 2200
        Host fed-master m
            HostName 192.168.122.76
            port=2222
        host "fed-node1"
            HostName = %h.lab  # its name there
        Host *.lab !fed-node2 fed-node2
            HostName 192.0.2.9
        Match host fed-node1
            HostName 203.0.113.1
        Host worse
            HostName $(reboot)
        Host *
            Port 2300
            Include PLACE/more/*
        Match exec "touch PLACE/ran"
            User somebody
        """.replace("Port 2200\n", "").replace("PLACE", str(tmp_path))
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a").write_text("Host fed-node9\n HostName 192.0.2.19\n")
    source = ssh_config(path)
    assert source.targets == (
        Target("192.168.122.76", 2222, "fed-master", "ssh config"),
        Target("192.168.122.76", 2222, "m", "ssh config"),
        Target("fed-node1.lab", 2300, "fed-node1", "ssh config"),
        Target("fed-node2", 2300, "fed-node2", "ssh config"),
        Target("192.0.2.19", 2300, "fed-node9", "ssh config"),
    )
    note = source.notes[0]
    assert note.endswith(f"of {path}: Match exec is not followed here, for it would run a command")
    assert not (tmp_path / "ran").exists()


NAMED = {
    "names": ('Host a "b" c.lab\nHOST=d # not e\n Port 3\n', ["a", "b", "c.lab", "d"]),
    "patterns": ("Host * a? !b\nHost [c] d\n", ["[c]", "d"]),
    "Match": ("Match host a\n Port 3\nHost b\n", ["b"]),
    "once": ("Host a b\nHost b a\n", ["a", "b"]),
    "a quote without its twin": ('Host "a\nHost b\n', ["b"]),
    "Include": ("Include {at}/inner/*\nHost a\n", ["i", "j", "a"]),
    "Include by a variable": ("Include ${{PLACE}}/inner/*\n", ["i", "j"]),
    "Include from home": ("Include ~/inner/one\nInclude ../inner/two\n", ["i", "j"]),
    "Include of itself": ("Include {at}/config\nHost a\n", ["a"]),
    "Include of nothing": ("Include {at}/none ~nobody-here/x\nHost a\n", ["a"]),
}


@pytest.mark.parametrize(("text", "names"), NAMED.values(), ids=NAMED)
def test_which_hosts_an_ssh_config_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    for folder in (".ssh", "inner"):
        (tmp_path / folder).mkdir()
    (tmp_path / "inner/one").write_text("Host i\n")
    (tmp_path / "inner/two").write_text("Host j\nMatch exec x\n")
    (tmp_path / "config").write_text(text.format(at=tmp_path))
    assert list(host_names(tmp_path / "config")[0]) == names


def test_an_ssh_config_that_ssh_can_not_use_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text('Host odd\n  HostName "unbalanced\n')
    assert ssh_config(path).targets == ()
    (note,) = ssh_config(path).notes
    assert note.startswith(f"ssh can't use its configuration ({path} line 2: invalid quotes")
    assert note.endswith("(left out: odd)")


def test_known_hosts_tells_what_it_hides(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(
        f"fed-master,192.168.122.76 ssh-ed25519 {KEY}\n"
        f"fed-master,192.168.122.76 ssh-rsa {KEY}\n"
        f"[fed-node1]:2222 ssh-ed25519 {KEY}\n"
        f"|1|c2FsdA==|aGFzaA== ssh-ed25519 {KEY}\n"
        f"|1|c2FsdB==|aGFzaB== ssh-ed25519 {KEY}\n"
        f"@cert-authority *.lab ssh-ed25519 {KEY}\n"
        f"@revoked fed-gone ssh-ed25519 {KEY}\n"
        f"*.lab,fe80::1 ssh-ed25519 {KEY}\n"
        f"[fed-node2]:99999 ssh-ed25519 {KEY}\n"
        "# a comment\nnonsense\n"
    )
    source = known_hosts(path)
    assert source.targets == (
        Target("192.168.122.76", 22, "fed-master", "known_hosts"),
        Target("fed-node1", 2222, "fed-node1", "known_hosts"),
    )
    assert source.notes == (f"{path}: 2 hashed entries don't say whose they are",)


def test_libvirt_knows_its_guests(tmp_path: Path) -> None:
    guests = [
        {
            "ip-address": "192.168.122.76",
            "mac-address": "52:54:00:00:00:01",
            "hostname": "fed-master",
            "expiry-time": 1700000000,
        },
        {"ip-address": "192.168.122.77", "mac-address": "52:54:00:00:00:02"},
        {"ip-address": "192.168.122.78", "hostname": "\x1b[31m; reboot"},
        {"ip-address": "fd00::1", "hostname": "six"},
        {"ip-address": 7},
        "odd",
    ]
    (tmp_path / "virbr0.status").write_text(json.dumps(guests))
    (tmp_path / "virbr1.status").write_text("")
    (tmp_path / "virbr2.status").write_text("[" * 100_000)
    (tmp_path / "virbr0.macs").write_text(json.dumps(guests[:1]))
    (tmp_path / "old.leases").write_text(
        "1700000000 52:54:00:00:00:09 192.168.123.9 fed-node9 *\n"
        "1700000000 52:54:00:00:00:08 192.168.123.8 * 01:52\n"
        "duid 00:01\n\n"
    )
    source = libvirt(tmp_path)
    assert source.targets == (
        Target("192.168.123.9", 22, "fed-node9", "libvirt"),
        Target("192.168.123.8", 22, "", "libvirt"),
        Target("192.168.122.76", 22, "fed-master", "libvirt"),
        Target("192.168.122.77", 22, "", "libvirt"),
        Target("192.168.122.78", 22, "", "libvirt"),
    )
    assert source.notes == ()


@pytest.mark.parametrize("read", [ssh_config, known_hosts, libvirt])
def test_what_is_not_there_is_a_note(tmp_path: Path, read: Callable[[Path], object]) -> None:
    source = read(tmp_path / "none")
    assert isinstance(source, Source)
    assert source.targets == ()
    assert len(source.notes) == 1
    assert "No such file" in source.notes[0]


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """A server that is no sshd."""
    over = asyncio.Event()

    async def until_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await serve(reader, writer)
            await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(until_over, address, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await server.wait_closed()


class Counting(asyncssh.SSHServer):
    """An SSH server that counts who comes, and who tries to log in."""

    visits = 0
    logins = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        Counting.visits += 1

    def begin_auth(self, username: str) -> bool:
        Counting.logins += 1
        return True


@pytest.fixture
async def sshd() -> AsyncIterator[tuple[int, str]]:
    """Its port and its key's fingerprint."""
    Counting.visits = Counting.logins = 0
    keys = [asyncssh.generate_private_key(kind) for kind in ("ssh-rsa", "ssh-ed25519")]
    server = await asyncssh.create_server(
        Counting, "0.0.0.0", 0, server_host_keys=keys, server_version="Test_1.0"
    )
    yield server.sockets[0].getsockname()[1], keys[1].get_fingerprint()
    server.close()
    await server.wait_closed()


async def test_a_host_is_seen_by_one_visit_without_a_login(sshd: tuple[int, str]) -> None:
    port, fingerprint = sshd
    steps: list[tuple[int, int, Sighting | None]] = []
    targets = expand([f"127.0.0.2:{port}", f"127.0.0.3:{port}"])
    named = (*targets, Target("127.0.0.2", port, "fed-master", "known_hosts"))
    seen = await look_at(named, on_progress=lambda *step: steps.append(step))
    assert seen == (
        Sighting(
            "127.0.0.2",
            port,
            "fed-master",
            "SSH-2.0-Test_1.0",
            "ssh-ed25519",
            fingerprint,
            "known_hosts",
        ),
        Sighting("127.0.0.3", port, "", "SSH-2.0-Test_1.0", "ssh-ed25519", fingerprint, ""),
    )
    assert [step[:2] for step in steps] == [(1, 2), (2, 2)]
    assert {step[2] for step in steps} == set(seen)
    assert (Counting.visits, Counting.logins) == (2, 0)


async def test_a_name_is_looked_up_and_one_that_leads_nowhere_is_passed_over(
    sshd: tuple[int, str],
) -> None:
    port, _ = sshd
    steps: list[tuple[int, int]] = []
    seen = await look_at(
        expand([f"localhost:{port}", f"127.0.0.1:{port}", "no-such-host.invalid"]),
        on_progress=lambda done, total, _seen: steps.append((done, total)),
    )
    assert [(s.address, s.name) for s in seen] == [("127.0.0.1", "localhost")]
    assert sorted(steps) == [(1, 2), (2, 2)], "one visit for two names, and one for nobody"


def test_a_network_of_254_costs_little_more_than_its_connections() -> None:
    async def look(port: int) -> None:
        assert await discover(expand([f"127.0.7.0/24:{port}"])) == ()

    async def connect(port: int) -> None:
        for at in range(1, 255):
            with socket.socket() as plug:
                plug.setblocking(False)
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.get_running_loop().sock_connect(plug, (f"127.0.7.{at}", port))

    with socket.socket() as silent:
        silent.bind(("0.0.0.0", 0))  # nobody else takes it, and nobody listens
        port = silent.getsockname()[1]
        assert ratio(lambda: asyncio.run(look(port)), lambda: asyncio.run(connect(port))) < 10


async def test_as_many_hosts_are_looked_at_at_once_as_is_said() -> None:
    """Each is silent until all of them have their visitor, or one too many has come."""
    there, most, full = 0, 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there, most
        there += 1
        most = max(most, there)
        if there == 16:
            full.set()
        await full.wait()
        there -= 1
        writer.transport.abort()

    async with listening(serve, "0.0.0.0") as port, asyncio.timeout(GIVE_UP):
        await look_at(expand([f"127.0.8.1-60:{port}"]), width=16)
    assert most == 16


async def test_sixty_hosts_at_once(sshd: tuple[int, str]) -> None:
    port, fingerprint = sshd
    seen = await look_at(expand([f"127.0.8.1-60:{port}"]), width=16)
    assert [s.address for s in seen] == [f"127.0.8.{n}" for n in range(1, 61)]
    assert {s.fingerprint for s in seen} == {fingerprint}
    assert Counting.visits == 60


def saying(*parts: bytes) -> Serve:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


ODD: dict[str, tuple[tuple[bytes, ...], str]] = {
    "silence": ((), ""),
    "a web server": ((b"HTTP/1.0 400 Bad Request\r\n\r\n",), ""),
    "bytes": ((b"\x00\xff\xfe\n" * 99,), ""),
    "codes": ((b"\x1b]0;owned\x07\x1b[2J\r\n",), ""),
    "ten megabytes of one line": ((b"x" * (1 << 20),) * 10, ""),
    "ten megabytes of lines": ((b"x\r\n" * (1 << 18),) * 13, ""),
    "an old version": ((b"SSH-1.5-old\r\n",), ""),
    "a banner and no more": ((b"SSH-2.0-Slow_1\r\n",), "SSH-2.0-Slow_1"),
    "a banner of codes": ((b"SSH-2.0-\x1b]0;owned\x07\x1b[31mRed\x1b[0m\r\n",), "SSH-2.0-Red"),
    "a banner, then zeros": ((b"SSH-2.0-Bad_1\r\n" + b"\x00" * 99,), "SSH-2.0-Bad_1"),
    "a banner, then bytes": ((b"SSH-2.0-Bad_1\r\n" + bytes(range(256)),), "SSH-2.0-Bad_1"),
}


@pytest.mark.parametrize(("parts", "banner"), ODD.values(), ids=ODD)
async def test_what_is_no_sshd_does_no_harm(parts: tuple[bytes, ...], banner: str) -> None:
    limits = ScanLimits(connect_seconds=GIVE_UP, handshake_seconds=1 if banner else 0.3)
    async with listening(saying(*parts)) as port:
        seen = await discover([Target("127.0.0.1", port)], limits=limits)
    assert [(s.banner, s.fingerprint) for s in seen] == ([(banner, "")] if banner else [])


async def test_a_search_can_be_cut_short() -> None:
    here = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        here.set()

    async with listening(serve, "0.0.0.0") as port:
        async with asyncio.TaskGroup() as tasks:
            search = tasks.create_task(look_at(expand([f"127.0.9.0/24:{port}"])))
            await here.wait()
            search.cancel()
        assert search.cancelled()
        left = [task for task in asyncio.all_tasks() if "until_over" not in repr(task)]
        assert left == [asyncio.current_task()], "nobody is left looking"
