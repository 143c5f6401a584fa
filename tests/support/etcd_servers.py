"""Real etcd servers on loopback, and a session that leads to them."""

import asyncio
import http.client
import os
import shutil
import socket
import subprocess
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fedwiz.answers.file import Etcd
from fedwiz.etcd import EtcdError, store
from fedwiz.model.actions import Channel, OnLine, Reply, Run, Secret, Store
from tests.support.patience import GIVE_UP

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

    def hold(self, run: Run) -> AbstractAsyncContextManager[Channel]:
        raise AssertionError(run)

    @asynccontextmanager
    async def forward(self, address: str, port: int) -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as pipes:
            open_ones: set[asyncio.Task[None]] = set()

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if not server.is_serving():  # it was on its way in when this ended
                    writer.close()
                    return
                pipe = pipes.create_task(join(reader, writer, port))
                open_ones.add(pipe)
                pipe.add_done_callback(open_ones.discard)
                # Also one that was ended before it began.
                pipe.add_done_callback(lambda _: writer.transport.abort())

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
        [
            "etcd",
            "--name",
            "test",
            "--data-dir",
            str(data),
            "--listen-client-urls",
            url,
            "--advertise-client-urls",
            url,
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            f"test={peer}",
            *options,
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        errors="replace",
    )
    ready, said, ended = threading.Event(), list[str](), list[bool]()

    def listen() -> None:
        assert server.stderr
        for line in server.stderr:
            said.append(line)
            # As etcd 3.4 has it, and 3.5.
            if "client requests on" in line or "serving client traffic" in line:
                ready.set()
        ended.append(True)
        ready.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert ready.wait(GIVE_UP), "".join(said)
        assert not ended, "".join(said)
        yield f"{scheme}://{host}:{port}"
    finally:
        server.kill()
        server.wait()
        listener.join()
        assert server.stderr
        server.stderr.close()


def v2(port: int, method: str, path: str, body: str = "", login: str = "") -> int:
    """What another v2 client does, e.g. flannel."""
    kind = "json" if body.startswith("{") else "x-www-form-urlencoded"
    headers = {"Content-Type": f"application/{kind}"}
    if login:
        headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP)
    asked.request(method, path, body, headers)
    reply = asked.getresponse()
    reply.read()
    asked.close()
    return reply.status


async def refused(
    etcd: Etcd,
    api: str,
    password: str | None = None,
    timeout: float = GIVE_UP,  # noqa: ASYNC109 - each request's limit, not this call's
) -> EtcdError:
    """Why etcd is not opened."""
    secret = None if password is None else Secret("etcd-password", password)
    with pytest.raises(EtcdError) as caught:
        async with store(Local(), etcd, api, secret, timeout=timeout):
            pass
    return caught.value


class Authority:
    """A certificate authority, and what it signs, as PEM files."""

    def __init__(self, into: Path) -> None:
        self._into = into
        into.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, into.name)])
        self.file = into / "ca.pem"
        self.file.write_bytes(_pem(self._certificate(self._name, self._key, (), authority=True)))

    def sign(self, name: str, *sans: str) -> tuple[str, str]:
        """Paths of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert, file = self._into / f"{name}.pem", self._into / f"{name}-key.pem"
        cert.write_bytes(_pem(self._certificate(subject, key, sans)))
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(cert), str(file)

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        sans: tuple[str, ...],
        *,
        authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        names: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(san)) if san[0].isdigit() else x509.DNSName(san)
            for san in sans
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if authority:
            builder = builder.add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
