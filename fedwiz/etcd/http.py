"""Bytes to and from an etcd endpoint, in plain or through TLS, and which of the two it wants."""

import asyncio
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

from fedwiz.etcd.endpoint import REPLY_LIMIT, Endpoint, EtcdError


async def exchange(way: Endpoint, request: bytes, tls: ssl.SSLContext | None) -> bytes:
    """Send one request and read until the other side closes, as HTTP/1.0 does.

    Raises:
        OSError: no connection, no TLS (`ssl.SSLError`), no end in time (`TimeoutError`).
        EtcdError: an answer beyond all measure.
    """
    async with asyncio.timeout(way.timeout):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", way.port, ssl=tls, server_hostname=way.host if tls else None
        )
        reply = bytearray()
        try:
            writer.write(request)
            while chunk := await reader.read(1 << 16):
                reply += chunk
                if len(reply) > REPLY_LIMIT:
                    raise way.error("no-api", f"answers with more than {REPLY_LIMIT} bytes")
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
    return bytes(reply)


def context(way: Endpoint) -> ssl.SSLContext:
    """TLS as etcd's own clients do it: one authority, and a certificate of ours if there is one.

    Python loads a key from files only, so it lies in a directory of mode 0700 meanwhile.
    """
    try:
        made = ssl.create_default_context(cadata=way.ca)
    except (ssl.SSLError, ValueError) as error:
        raise way.error("tls", f"etcd.ca_file holds no certificate in PEM: {error}") from error
    # Python 3.13 refuses authorities without key identifiers, which Go's tools make and take.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if way.cert:
        try:
            with tempfile.TemporaryDirectory(prefix="fedwiz-") as private:
                cert, key = Path(private, "cert.pem"), Path(private, "key.pem")
                cert.write_text(way.cert)
                key.touch(0o600)
                key.write_text(way.key)
                made.load_cert_chain(cert, key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise way.error(
                "tls", f"the client's certificate and key don't fit: {error}"
            ) from error
    return made


async def tls_trouble(way: Endpoint) -> EtcdError | None:
    """What TLS has to do with an endpoint that can't be used; None: nothing.

    Asked by a handshake of our own, since gRPC's words for each cause change with its version,
    and a wrong `http` or `https` looks like a port where nobody listens.
    """
    hello = f"GET /version HTTP/1.0\r\nHost: {way.host}\r\n\r\n".encode()
    try:
        if not way.tls:
            return way.error("tls", "it speaks TLS") if await _speaks_tls(way, hello) else None
        await exchange(way, hello, context(way))
    except ssl.SSLCertVerificationError as error:
        return way.error("tls", f"certificate verify failed: {error.verify_message}")
    except OSError as error:
        with suppress(OSError):
            if (await exchange(way, hello, None)).startswith(b"HTTP/"):
                return way.error("tls", "it speaks plain HTTP")
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return way.error("tls", error.reason or str(error))
    return None


async def _speaks_tls(way: Endpoint, hello: bytes) -> bool:
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    try:
        return bool(await exchange(way, hello, anyone))
    except ssl.SSLError as error:  # it wants a certificate, and says so in TLS
        return "ALERT" in (error.reason or "").upper()
    except OSError:
        return False
