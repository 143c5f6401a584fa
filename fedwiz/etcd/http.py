"""Exchanges bytes with an etcd endpoint, plain or through TLS, and detects which it wants."""

import asyncio
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

from fedwiz.etcd.endpoint import REPLY_LIMIT, Endpoint, EtcdError


async def exchange(endpoint: Endpoint, request: bytes, tls: ssl.SSLContext | None) -> bytes:
    """Send one request and read until the peer closes, as in HTTP/1.0.

    Raises:
        OSError: no connection, a TLS failure (`ssl.SSLError`) or a timeout (`TimeoutError`).
        EtcdError: the reply is too large.
    """
    async with asyncio.timeout(endpoint.timeout):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", endpoint.port, ssl=tls, server_hostname=endpoint.host if tls else None
        )
        reply = bytearray()
        try:
            writer.write(request)
            while chunk := await reader.read(1 << 16):
                reply += chunk
                if len(reply) > REPLY_LIMIT:
                    raise endpoint.error("no-api", f"answers with more than {REPLY_LIMIT} bytes")
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
    return bytes(reply)


def context(endpoint: Endpoint) -> ssl.SSLContext:
    """A TLS context like etcd's own clients': one CA, and a client certificate if there is one.

    Python loads a key from files only, so it is stored in a directory of mode 0700 meanwhile.
    """
    try:
        tls = ssl.create_default_context(cadata=endpoint.ca)
    except (ssl.SSLError, ValueError) as error:
        raise endpoint.error("tls", f"etcd.ca_file holds no certificate in PEM: {error}") from error
    # Python 3.13 rejects CAs without key identifiers, which Go's tools create and accept.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if endpoint.cert:
        try:
            with tempfile.TemporaryDirectory(prefix="fedwiz-") as private:
                cert, key = Path(private, "cert.pem"), Path(private, "key.pem")
                cert.write_text(endpoint.cert)
                key.touch(0o600)
                key.write_text(endpoint.key)
                tls.load_cert_chain(cert, key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise endpoint.error(
                "tls", f"the client's certificate and key don't fit: {error}"
            ) from error
    return tls


async def tls_trouble(endpoint: Endpoint) -> EtcdError | None:
    """Diagnose whether TLS is why an endpoint can't be used; None: it is not.

    A handshake of our own finds out, since gRPC's messages for each cause change with its version,
    and the wrong choice of `http` or `https` looks like a port where nothing listens.
    """
    hello = f"GET /version HTTP/1.0\r\nHost: {endpoint.host}\r\n\r\n".encode()
    try:
        if not endpoint.tls:
            return (
                endpoint.error("tls", "it speaks TLS")
                if await _speaks_tls(endpoint, hello)
                else None
            )
        await exchange(endpoint, hello, context(endpoint))
    except ssl.SSLCertVerificationError as error:
        return endpoint.error("tls", f"certificate verify failed: {error.verify_message}")
    except OSError as error:
        with suppress(OSError):
            if (await exchange(endpoint, hello, None)).startswith(b"HTTP/"):
                return endpoint.error("tls", "it speaks plain HTTP")
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return endpoint.error("tls", error.reason or str(error))
    return None


async def _speaks_tls(endpoint: Endpoint, hello: bytes) -> bool:
    accept_any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    accept_any.check_hostname = False
    accept_any.verify_mode = ssl.CERT_NONE
    try:
        return bool(await exchange(endpoint, hello, accept_any))
    except ssl.SSLError as error:  # it demands a certificate, and the alert proves TLS
        return "ALERT" in (error.reason or "").upper()
    except OSError:
        return False
