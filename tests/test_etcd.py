"""etcd by both APIs, against real servers on loopback (Debian: `apt-get install etcd-server`)."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fedwiz.actions import OnLine, PutKey, Reply, Run, Secret, Store, Value
from fedwiz.answers import Etcd
from fedwiz.etcd import EtcdError, Lease, parse_leases, store
from fedwiz.etcd.library import library

CONFIG = "/coreos.com/network/config"
SUBNETS = "/coreos.com/network/subnets"
Opens: TypeAlias = Callable[[], AbstractAsyncContextManager[Store]]
BOTH = pytest.mark.parametrize("api", ["v2", "v3"])


class Local:
    """A session with this machine: what a host's name leads to is on loopback."""

    name = "fed-node1"

    async def run(self, run: Run, on_line: OnLine) -> int:
        raise NotImplementedError

    async def ask(self, run: Run) -> Reply:
        assert not run.changes
        done = await asyncio.create_subprocess_exec(
            *run.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await done.communicate()
        return Reply(done.returncode or 0, out.decode(), err.decode())

    @asynccontextmanager
    async def forward(self, address: str, port: int) -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as pipes:
            open_ones: set[asyncio.Task[None]] = set()

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                pipe = pipes.create_task(join(reader, writer, port))
                open_ones.add(pipe)
                pipe.add_done_callback(open_ones.discard)

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                server.close()
                for pipe in open_ones:
                    pipe.cancel()


async def join(near: asyncio.StreamReader, back: asyncio.StreamWriter, port: int) -> None:
    """Carry bytes both ways until one side ends; what can't be reached is closed, as ssh does."""
    there: asyncio.StreamWriter | None = None
    with suppress(OSError):
        try:
            far, there = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(pump(near, there))
                ways.create_task(pump(far, back))
        finally:
            for writer in (back, there):
                if writer is not None:
                    writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def etcd_server(
    data: Path, *options: str, scheme: str = "http", host: str = "fed-master"
) -> Iterator[str]:
    """A real etcd; its endpoint as hosts would know it."""
    if not shutil.which("etcd"):
        if os.environ.get("FEDWIZ_LAB") == "require":
            pytest.fail("etcd is not here: apt-get install etcd-server")
        pytest.skip("etcd is not here: apt-get install etcd-server")
    port, peer = free_port(), f"http://127.0.0.1:{free_port()}"
    url = f"{scheme}://127.0.0.1:{port}"
    server = subprocess.Popen(
        ["etcd", "--name", "test", "--data-dir", str(data),
         "--listen-client-urls", url, "--advertise-client-urls", url,
         "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
         "--initial-cluster", f"test={peer}", *options],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, errors="replace",
    )  # fmt: skip
    ready, said = threading.Event(), []

    def listen() -> None:
        assert server.stderr
        for line in server.stderr:
            said.append(line)
            if "client requests on" in line:
                ready.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert ready.wait(30), "".join(said)
        yield f"{scheme}://{host}:{port}"
    finally:
        server.kill()
        server.wait()
        listener.join()
        assert server.stderr
        server.stderr.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd_server(tmp_path_factory.mktemp("plain"), "--enable-v2=true") as url:
        yield url


@pytest.fixture
def keys(plain: str, api: str) -> Opens:
    """Opens an empty etcd by each of its APIs."""
    port = int(plain.rpartition(":")[2])
    v2(port, "DELETE", "/v2/keys/coreos.com?recursive=true")
    client = library().etcd3.Etcd3Client(host="127.0.0.1", port=port, timeout=5)
    client.delete_prefix("/")
    client.close()
    return lambda: store(Local(), Etcd(endpoints=(plain,)), api)


def v2(port: int, method: str, path: str, body: str = "", login: str = "") -> int:
    """What another v2 client does, e.g. flannel."""
    kind = "json" if body.startswith("{") else "x-www-form-urlencoded"
    headers = {"Content-Type": f"application/{kind}"}
    if login:
        headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    asked.request(method, path, body, headers)
    reply = asked.getresponse()
    reply.read()
    asked.close()
    return reply.status


@BOTH
async def test_a_key_is_written_once_and_then_only_over_what_was_seen(
    keys: Opens, api: str
) -> None:
    async with keys() as etcd:
        assert await etcd.get(CONFIG) is None
        assert await etcd.put(PutKey(CONFIG, 'first & "ü" 100% +', api))
        seen = await etcd.get(CONFIG)
        assert seen and (seen.key, seen.text, seen.ttl) == (CONFIG, 'first & "ü" 100% +', None)
        assert not await etcd.put(PutKey(CONFIG, "second", api)), "it is there already"
        assert not await etcd.put(PutKey(CONFIG, "second", api, previous=seen.revision + 100))
        assert await etcd.get(CONFIG) == seen
        assert await etcd.put(PutKey(CONFIG, "second", api, previous=seen.revision))
        assert not await etcd.put(PutKey(CONFIG, "third", api, previous=seen.revision))
        then = await etcd.get(CONFIG)
        assert then and then.text == "second" and then.revision > seen.revision


@BOTH
async def test_a_key_that_has_gone_is_not_written_over(keys: Opens, api: str) -> None:
    async with keys() as etcd:
        assert not await etcd.put(PutKey(CONFIG, "x", api, previous=3))
        assert await etcd.get(CONFIG) is None


@BOTH
async def test_under_gives_the_keys_below_and_no_neighbours(keys: Opens, api: str) -> None:
    async with keys() as etcd:
        assert await etcd.under("/coreos.com/network") == ()
        for key in (
            "network/subnets/10.2.0.0-24",
            "network/config",
            "network2/config",
            "network/a/b/c",
        ):
            assert await etcd.put(PutKey(f"/coreos.com/{key}", key, api))
        for prefix in ("/coreos.com/network", "/coreos.com/network/"):
            found = await etcd.under(prefix)
            assert [value.text for value in found] == [
                "network/a/b/c", "network/config", "network/subnets/10.2.0.0-24"
            ]  # fmt: skip
        assert await etcd.get("/coreos.com/network/a") is None, "a directory has no value"


@BOTH
async def test_a_lease_has_its_seconds_and_a_reservation_none(
    keys: Opens, api: str, plain: str
) -> None:
    async with keys() as etcd:
        port = int(plain.rpartition(":")[2])
        names = ["10.16.1.0-24", "10.16.2.0-24", "10.16.3.0-24"]
        if api == "v2":
            for name in names[:2]:
                v2(port, "PUT", f"/v2/keys{SUBNETS}/{name}?ttl=600", "value=x")
        else:
            client = library().etcd3.Etcd3Client(host="127.0.0.1", port=port, timeout=5)
            lease = client.lease(600)
            for name in names[:2]:
                client.put(f"{SUBNETS}/{name}", "x", lease=lease)
            client.close()
        await etcd.put(PutKey(f"{SUBNETS}/{names[2]}", "x", api))
        first, second, reserved = await etcd.under(SUBNETS)
        assert first.ttl and 500 < first.ttl <= 600
        assert second.ttl and 500 < second.ttl <= 600
        assert reserved.ttl is None


async def test_the_two_apis_keep_separate_keys(plain: str) -> None:
    etcd = Etcd(endpoints=(plain,), prefix="/separate")
    async with store(Local(), etcd, "v2") as two, store(Local(), etcd, "v3") as three:
        assert await two.put(PutKey("/separate/config", "of v2", "v2"))
        assert await three.get("/separate/config") is None


async def test_bytes_that_are_no_text_are_read_all_the_same(plain: str) -> None:
    client = library().etcd3.Etcd3Client(host="127.0.0.1", port=int(plain.rpartition(":")[2]))
    client.put("/bytes/config", b"\xff\xfe{")
    client.put("/bytes/long", b"x" * 300_000)
    client.close()
    async with store(Local(), Etcd(endpoints=(plain,)), "v3") as opened:
        seen = await opened.get("/bytes/config")
        assert seen and seen.text == "\ufffd\ufffd{"
        long = await opened.get("/bytes/long")
        assert long and len(long.text) == 256 << 10


@BOTH
async def test_the_next_endpoint_is_tried_where_one_fails(plain: str, api: str) -> None:
    closed = f"http://fed-gone:{free_port()}"
    async with store(Local(), Etcd(endpoints=(closed, plain)), api) as opened:
        assert opened.api == api
        await opened.get(CONFIG)


@pytest.fixture(scope="module")
def v3_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd_server(tmp_path_factory.mktemp("v3"), "--enable-v2=false") as url:
        yield url


async def refused(etcd: Etcd, api: str, password: str | None = None) -> EtcdError:
    secret = None if password is None else Secret("etcd-password", password)
    with pytest.raises(EtcdError) as caught:
        async with store(Local(), etcd, api, secret, timeout=1.5):
            pass
    print(caught.value.kind, caught.value)
    return caught.value


async def test_a_server_without_v2_says_how_to_get_it(v3_only: str) -> None:
    error = await refused(Etcd(endpoints=(v3_only,)), "v2")
    assert error.kind == "no-api"
    assert v3_only in str(error)
    assert "ETCD_ENABLE_V2=true" in str(error)


@BOTH
async def test_a_closed_port_is_unreachable_and_every_endpoint_is_named(api: str) -> None:
    ends = tuple(f"http://fed-{name}:{free_port()}" for name in ("one", "two"))
    error = await refused(Etcd(endpoints=ends), api)
    assert error.kind == "unreachable"
    assert all(end in str(error) for end in ends)
    assert "ETCD_LISTEN_CLIENT_URLS" in str(error)


@BOTH
async def test_a_port_that_never_answers_is_a_timeout(api: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        end = f"http://fed-master:{silent.getsockname()[1]}"
        error = await refused(Etcd(endpoints=(end,)), api)
    assert error.kind == "timeout"
    assert "1.5 s" in str(error)
