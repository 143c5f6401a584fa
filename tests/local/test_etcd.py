"""etcd by both APIs, against real servers (Debian: `apt-get install etcd-server`)."""

import ast
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import pytest

from fedwiz.answers.file import Etcd
from fedwiz.etcd import store
from fedwiz.etcd.etcd3_shim import library
from fedwiz.model.actions import PutKey
from fedwiz.scripts import script
from tests.support.etcd_servers import (
    BOTH,
    CONFIG,
    SUBNETS,
    Local,
    Opens,
    etcd_server,
    free_port,
    refused,
    v2,
)
from tests.support.patience import GIVE_UP


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd_server(tmp_path_factory.mktemp("plain"), "--enable-v2=true") as url:
        yield url


@pytest.fixture
def keys(plain: str, api: str) -> Opens:
    """Opens an empty etcd by each of its APIs."""
    port = int(plain.rpartition(":")[2])
    v2(port, "DELETE", "/v2/keys/coreos.com?recursive=true")
    client = library().etcd3.Etcd3Client(host="127.0.0.1", port=port, timeout=GIVE_UP)
    client.delete_prefix("/")
    client.close()
    return lambda: store(Local(), Etcd(endpoints=(plain,)), api, timeout=GIVE_UP)


@BOTH
async def test_a_key_is_written_once_and_then_only_over_what_was_seen(
    keys: Opens, api: str
) -> None:
    async with keys() as etcd:
        assert await etcd.get(CONFIG) is None
        assert await etcd.put(PutKey(CONFIG, 'first & "ü" 100% +', api))
        seen = await etcd.get(CONFIG)
        assert seen
        assert (seen.key, seen.text, seen.ttl) == (CONFIG, 'first & "ü" 100% +', None)
        assert not await etcd.put(PutKey(CONFIG, "second", api)), "it is there already"
        assert not await etcd.put(PutKey(CONFIG, "second", api, previous=seen.revision + 100))
        assert await etcd.get(CONFIG) == seen
        assert await etcd.put(PutKey(CONFIG, "second", api, previous=seen.revision))
        assert not await etcd.put(PutKey(CONFIG, "third", api, previous=seen.revision))
        then = await etcd.get(CONFIG)
        assert then
        assert then.text == "second"
        assert then.revision > seen.revision


@BOTH
async def test_a_host_takes_a_key_away_only_while_it_says_what_was_written(
    keys: Opens, plain: str, api: str
) -> None:
    ours, url = '{"a": "ü & 100 %"}', plain.replace("fed-master", "127.0.0.1")
    async with keys() as etcd:
        assert await etcd.put(PutKey(CONFIG, ours, api))
        for value, code in (("{}", 1), (ours, 0)):
            done = await asyncio.create_subprocess_exec(
                *("sh", "-c", script("etcd-key"), "etcd-key.sh"),
                *(api, url, CONFIG, value, "", "", ""),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            said, _ = await done.communicate()
            assert done.returncode == code, said
            there = await etcd.get(CONFIG)
            assert (there is None) is (code == 0)


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
                "network/a/b/c",
                "network/config",
                "network/subnets/10.2.0.0-24",
            ]
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
            client = library().etcd3.Etcd3Client(host="127.0.0.1", port=port, timeout=GIVE_UP)
            lease = client.lease(600)
            for name in names[:2]:
                client.put(f"{SUBNETS}/{name}", "x", lease=lease)
            client.close()
        await etcd.put(PutKey(f"{SUBNETS}/{names[2]}", "x", api))
        first, second, reserved = await etcd.under(SUBNETS)
        assert first.ttl
        assert 500 < first.ttl <= 600
        assert second.ttl
        assert 500 < second.ttl <= 600
        assert reserved.ttl is None


async def test_the_two_apis_keep_separate_keys(plain: str) -> None:
    etcd = Etcd(endpoints=(plain,), prefix="/separate")
    async with (
        store(Local(), etcd, "v2", timeout=GIVE_UP) as two,
        store(Local(), etcd, "v3", timeout=GIVE_UP) as three,
    ):
        assert await two.put(PutKey("/separate/config", "of v2", "v2"))
        assert await three.get("/separate/config") is None


async def test_bytes_that_are_no_text_are_read_all_the_same(plain: str) -> None:
    client = library().etcd3.Etcd3Client(host="127.0.0.1", port=int(plain.rpartition(":")[2]))
    client.put("/bytes/config", b"\xff\xfe{")
    client.put("/bytes/long", b"x" * 300_000)
    client.close()
    async with store(Local(), Etcd(endpoints=(plain,)), "v3", timeout=GIVE_UP) as opened:
        seen = await opened.get("/bytes/config")
        assert seen
        assert seen.text == "\ufffd\ufffd{"
        long = await opened.get("/bytes/long")
        assert long
        assert len(long.text) == 256 << 10


@BOTH
async def test_the_next_endpoint_is_tried_where_one_fails(plain: str, api: str) -> None:
    closed = f"http://fed-gone:{free_port()}"
    etcd = Etcd(endpoints=(closed, plain))
    async with store(Local(), etcd, api, timeout=GIVE_UP) as opened:
        assert opened.api == api
        await opened.get(CONFIG)


@pytest.fixture(scope="module")
def v3_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd_server(tmp_path_factory.mktemp("v3"), "--enable-v2=false") as url:
        yield url


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
        async with asyncio.timeout(GIVE_UP):
            error = await refused(Etcd(endpoints=(end,)), api, timeout=1.5)
    assert error.kind == "timeout"
    assert "1.5 s" in str(error)


@asynccontextmanager
async def says(*replies: bytes) -> AsyncIterator[str]:
    """A server that is no etcd: it answers whatever comes with the same bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(1 << 16)
            for reply in replies:
                writer.write(reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://fed-master:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def found(body: str) -> bytes:
    return f"HTTP/1.0 200 OK\r\n\r\n{body}".encode()


NOT_V2 = {
    "a page": found("<html>"),
    "no object": found("[]"),
    "no node": found("{}"),
    "a node of numbers": found('{"node": {"key": 1, "value": 2, "modifiedIndex": 3}}'),
    "a node without an index": found('{"node": {"key": "/k", "value": "v"}}'),
    "an index that is a truth": found('{"node": {"key":"/k","value":"v","modifiedIndex":true}}'),
    "nodes that are none": found('{"node": {"dir": true, "nodes": [7]}}'),
    "too deep": found("[" * 100_000),
    "a number without end": found("9" * 5_000),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a teapot": b"HTTP/1.1 418 I'm a teapot\r\n\r\n",
    "bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("reply", NOT_V2.values(), ids=NOT_V2)
async def test_what_is_not_etcd_is_not_taken_for_it(reply: bytes) -> None:
    async with says(reply) as url:
        error = await refused(Etcd(endpoints=(url,)), "v2")
    assert error.kind == "no-api"
    assert "not as etcd's v2 API does" in str(error)


async def test_an_answer_without_end_is_cut_off() -> None:
    async with says(found(""), *[b"x" * (1 << 20)] * 20) as url:
        error = await refused(Etcd(endpoints=(url,)), "v2")
    assert error.kind == "no-api"
    assert "bytes" in str(error)


async def test_an_http_server_is_no_v3() -> None:
    async with says(found("<html>")) as url:
        error = await refused(Etcd(endpoints=(url,)), "v3")
    assert error.kind in ("no-api", "unreachable")


async def test_a_servers_words_reach_no_terminal_as_codes() -> None:
    body = json.dumps({"errorCode": 300, "message": "\x1b[31mraft\nline\x07" * 99})
    async with says(f"HTTP/1.0 500 Oh\r\n\r\n{body}".encode()) as url:
        error = await refused(Etcd(endpoints=(url,)), "v2")
    assert str(error).isprintable()
    assert len(str(error)) < 600


def test_the_messages_are_those_that_etcd3_has() -> None:
    """descriptors.bin was taken from etcd3's modules, which protobuf can't import."""
    from google.protobuf import descriptor_pb2

    ours = descriptor_pb2.FileDescriptorSet()
    ours.ParseFromString(resources.files("fedwiz.etcd").joinpath("descriptors.bin").read_bytes())
    assert [file.name for file in ours.file] == ["kv.proto", "auth.proto", "rpc.proto"]
    found = find_spec("etcd3")  # which imports nothing
    assert found is not None
    assert found.origin is not None
    for file in ours.file:
        name = f"etcdrpc/{file.name.removesuffix('.proto')}_pb2.py"
        tree = ast.parse((Path(found.origin).parent / name).read_text())
        (theirs,) = (
            ast.literal_eval(node.value.args[0]).encode("latin1")
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword)
            and node.arg == "serialized_pb"
            and isinstance(node.value, ast.Call)
        )
        assert descriptor_pb2.FileDescriptorProto.FromString(theirs) == file


@pytest.mark.parametrize(
    "before", ["", "import google.protobuf.message, google.protobuf.descriptor_pb2"]
)
def test_etcd3_loads_without_a_word_or_a_setting(before: str) -> None:
    code = f"{before}\nfrom fedwiz.etcd.etcd3_shim import library\nlibrary().etcd3.Etcd3Client"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@BOTH
async def test_proxies_of_the_operator_are_not_asked(
    plain: str, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with store(Local(), Etcd(endpoints=(plain,)), api, timeout=GIVE_UP) as opened:
        assert opened.api == api
