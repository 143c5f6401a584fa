"""etcd by way of a host: the v3 API (gRPC, by the `etcd3` package) or the v2 API (HTTP).

The two APIs keep separate keys, and a flannel speaks one of them only, so a store is always
opened for one.  etcd is reached through a port that a host's session forwards: what answers
here is what answers there, and etcd needs to be open to the hosts only.
"""

import asyncio
import base64
import binascii
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from fedwiz.actions import PutKey, Run, Secret, Session, Store, Unreachable, Value
from fedwiz.etcd_pb import library

if TYPE_CHECKING:
    from fedwiz.answers import Etcd

Kind: TypeAlias = Literal["unreachable", "timeout", "auth", "denied", "tls", "no-api"]
T = TypeVar("T")

TIMEOUT = 10.0
"""Seconds for each request; etcd answers in milliseconds, or has no leader."""

REPLY_LIMIT = 16 << 20
"""Bytes of one answer: a lease is some 200, so this is far more than flannel can have."""

VALUE_LIMIT = 256 << 10
"""Characters kept of one value; flannel's own are below 1000."""

HOST_CA = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
"""Fedora's certificate authorities, which flannel goes by where it is given none."""

TELLING: tuple[Kind, ...] = ("denied", "auth", "tls", "no-api", "timeout", "unreachable")
"""When no endpoint serves: the kind that says most comes first."""


class EtcdError(Unreachable):
    """etcd can't be reached or used; the message says why, and one thing to do."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Way:
    """How one endpoint is reached, and as whom."""

    url: str
    host: str
    """Its name as the hosts know it, which its certificate must carry."""

    port: int
    """On loopback, here; forwarded."""

    seen_from: str
    """Name of the host whose session forwards the port."""

    tls: bool
    ca: str = ""
    """PEM; the key's is kept out of `repr`."""

    cert: str = ""
    key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = TIMEOUT

    def error(self, kind: Kind, cause: str = "", *, key: str = "") -> EtcdError:
        """The kind of error as a sentence: who, why, and one thing to do about it."""
        who = f"etcd at {self.url}, seen from {self.seen_from},"
        return EtcdError(kind, f"{who} {_SENTENCES[kind](self, _plain(cause), key)}")


@asynccontextmanager
async def store(
    session: Session,
    etcd: "Etcd",
    api: str,
    password: Secret | None = None,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - each request's limit, not this call's
) -> AsyncIterator[Store]:
    """Open etcd by the first of its endpoints that answers.

    Args:
        session: the host through whose connection etcd is reached.
        etcd: the answers' table; its certificate paths are the host's.
        api: `v2` or `v3`.
        password: of `etcd.user`.
        timeout: seconds for each request.

    Raises:
        EtcdError: no endpoint can be used; the message names each and its cause.
        Unreachable: the session's host has gone, or does not forward.
    """
    refused: list[EtcdError] = []
    for url in etcd.endpoints:
        async with AsyncExitStack() as stack:
            try:
                opened = await _open(stack, session, etcd, url, api, password, timeout)
            except EtcdError as error:
                refused.append(error)
                continue
            yield opened
            return
    if not refused:
        raise EtcdError("unreachable", "no etcd endpoint is known: set etcd.endpoints")
    kind = min((error.kind for error in refused), key=TELLING.index)
    raise EtcdError(kind, "\n".join(str(error) for error in refused))


async def _open(
    stack: AsyncExitStack,
    session: Session,
    etcd: "Etcd",
    url: str,
    api: str,
    password: Secret | None,
    limit: float,
) -> Store:
    at = urlsplit(url)
    host, tls = at.hostname or "", at.scheme == "https"
    if etcd.user and password is None:
        raise EtcdError(
            "auth", f"etcd.user is {etcd.user!r}, without a password: set FEDWIZ_ETCD_PASSWORD"
        )
    way = Way(
        url=url,
        host=host,
        port=await stack.enter_async_context(session.forward(host, at.port or 2379)),
        seen_from=session.name,
        tls=tls,
        ca=await _cat(session, etcd.ca_file or HOST_CA) if tls else "",
        cert=await _cat(session, etcd.cert_file) if tls and etcd.cert_file else "",
        key=await _cat(session, etcd.key_file) if tls and etcd.key_file else "",
        user=etcd.user,
        password=password.reveal() if etcd.user and password else "",
        timeout=limit,
    )
    opened = _V2(way) if api == "v2" else _V3(way)
    stack.push_async_callback(opened.close)
    await opened.get(f"{etcd.prefix}/config")  # a client opens without a word to the server
    return opened


async def _cat(session: Session, path: str) -> str:
    reply = await session.ask(Run(("cat", path), changes=False))
    if reply.code:
        said = _plain(reply.err) or f"exit status {reply.code}"
        raise EtcdError("tls", f"{session.name} can't read {path}, which etcd's TLS needs: {said}")
    return reply.out


def _plain(text: str) -> str:
    """A server's words in one line without control characters, at most 300 long."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:300]


def _text(value: str) -> str:
    return value[:VALUE_LIMIT]


# What each kind of error says.


def _unreachable(way: Way, cause: str, _key: str) -> str:
    return (
        f"can't be reached ({cause}): is etcd running, and does ETCD_LISTEN_CLIENT_URLS there "
        f"have an address that {way.seen_from} reaches?"
    )


def _timeout(way: Way, _cause: str, _key: str) -> str:
    return (
        f"gave no answer within {way.timeout:g} s: does a firewall drop the packets, or has "
        "etcd no leader?"
    )


def _auth(way: Way, cause: str, _key: str) -> str:
    if "not enabled" in cause:
        return f"has no users ({cause}): leave etcd.user empty"
    if not way.user:
        return f"asks who is there ({cause}): set etcd.user and FEDWIZ_ETCD_PASSWORD"
    return f"refuses {way.user!r} ({cause}): check etcd.user and FEDWIZ_ETCD_PASSWORD"


def _denied(way: Way, _cause: str, key: str) -> str:
    who = repr(way.user) if way.user else "a stranger"
    return f"denies {who} the key {key}: grant a role that reads and writes it"


def _tls(way: Way, cause: str, _key: str) -> str:
    low = cause.lower()
    if "mismatch" in low or "peer name" in low:
        fix = f"its certificate is not one for {way.host}: name it in etcd.endpoints as it does"
    elif "wrong_version" in low or "record layer" in low:
        fix = "does it speak plain HTTP? Then the endpoint begins with http://"
    elif "verify" in low:
        fix = "etcd.ca_file must name the authority that signed etcd's certificate"
    elif not way.cert:
        fix = "if it asks for a client certificate, set etcd.cert_file and etcd.key_file"
    else:
        fix = "check etcd.ca_file, etcd.cert_file and etcd.key_file"
    return f"agrees on no TLS ({cause}): {fix}"


def _no_api(_way: Way, cause: str, _key: str) -> str:
    return cause


_SENTENCES: Mapping[Kind, Callable[[Way, str, str], str]] = {
    "unreachable": _unreachable,
    "timeout": _timeout,
    "auth": _auth,
    "denied": _denied,
    "tls": _tls,
    "no-api": _no_api,
}


class _V3:
    """The v3 API.  etcd3 blocks, so each call has a thread and a time limit."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._client: Any = None

    @property
    def api(self) -> str:
        return "v3"

    async def close(self) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def get(self, key: str) -> Value | None:
        def ask(client: Any) -> tuple[Value, ...]:  # noqa: ANN401 - etcd3 has no types
            return tuple(_values(client, client.get_response(key).kvs))

        return next(iter(await self._call(key, ask)), None)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        below = f"{prefix.rstrip('/')}/"

        def ask(client: Any) -> tuple[Value, ...]:  # noqa: ANN401
            return tuple(_values(client, client.get_prefix_response(below).kvs))

        return tuple(sorted(await self._call(below, ask), key=lambda value: value.key))

    async def put(self, put: PutKey) -> bool:
        def ask(client: Any) -> bool:  # noqa: ANN401
            its = client.transactions
            if put.previous is None:
                as_seen = its.create(put.key) == 0
            else:
                as_seen = its.mod(put.key) == put.previous
            done, _ = client.transaction([as_seen], [its.put(put.key, put.value)], [])
            return bool(done)

        return await self._call(put.key, ask)

    async def _call(self, key: str, ask: Callable[[Any], T]) -> T:
        return await asyncio.to_thread(self._blocking, key, ask)

    def _blocking(self, key: str, ask: Callable[[Any], T]) -> T:
        """Ask; log in once more where etcd has forgotten us, as it does when it restarts."""
        etcd3, grpc = library().etcd3, library().grpc
        fresh = self._client is None
        try:
            if fresh:
                self._client = self._connect(etcd3, grpc)
            return ask(self._client)
        except (etcd3.Etcd3Exception, grpc.RpcError) as error:
            kind, cause = _why(error, grpc)
            if fresh or "auth token" not in cause and "auth store" not in cause:
                raise self._way.error(kind, cause, key=key) from error
        self._client.close()
        self._client = None
        return self._blocking(key, ask)

    def _connect(self, etcd3: Any, grpc: Any) -> Any:  # noqa: ANN401
        way = self._way

        class Client(etcd3.Etcd3Client):  # type: ignore[misc]  # the base has no types
            def _get_secure_creds(self, ca: bytes, key: bytes, cert: bytes) -> Any:  # noqa: ANN401
                # etcd3 takes paths; this takes what is in the files, so no key meets a disk.
                return grpc.ssl_channel_credentials(ca, key or None, cert or None)

        client = Client(
            host="127.0.0.1",
            port=way.port,
            ca_cert=way.ca.encode() if way.tls else None,  # without one, etcd3 drops to plaintext
            cert_cert=way.cert.encode() if way.cert else None,
            cert_key=way.key.encode() if way.key else None,
            timeout=way.timeout,
            user=way.user or None,
            password=way.password if way.user else None,
            grpc_options=(
                ("grpc.enable_http_proxy", 0),
                ("grpc.max_receive_message_length", REPLY_LIMIT),
                *((("grpc.ssl_target_name_override", way.host),) if way.tls else ()),
            ),
        )
        # The token goes as metadata too; as a credential gRPC refuses it without TLS.
        client.call_credentials = None
        return client


def _values(client: Any, pairs: Sequence[Any]) -> Iterator[Value]:  # noqa: ANN401
    """The keys with what is left of their leases, each lease asked about once."""
    left: dict[int, int | None] = {0: None}
    for pair in pairs:
        if pair.lease not in left:
            left[pair.lease] = max(0, client.get_lease_info(pair.lease).TTL)
        yield Value(
            pair.key.decode(errors="replace"),
            _text(pair.value.decode(errors="replace")),
            pair.mod_revision,
            left[pair.lease],
        )


def _why(error: BaseException, grpc: Any) -> tuple[Kind, str]:  # noqa: ANN401
    """gRPC's status as our kind; etcd3 wraps some of them, and loses their text."""
    said = error if isinstance(error, grpc.RpcError) else error.__context__
    if not isinstance(said, grpc.RpcError):
        return "unreachable", str(error)
    code, cause = str(said.code().name), str(said.details() or "")
    low = cause.lower()
    if code == "DEADLINE_EXCEEDED":
        return "timeout", cause
    if code == "UNIMPLEMENTED" or "http1.x" in low or "http status" in low:
        return "no-api", f"serves no v3 API ({cause}): it takes etcd 3; for an old one, api = v2"
    if code == "UNAVAILABLE" and ("ssl" in low or "handshake" in low or "peer name" in low):
        return "tls", cause
    if code == "PERMISSION_DENIED":
        return "denied", cause
    if code == "UNAUTHENTICATED" or "authenticat" in low or "user name" in low or "auth " in low:
        return "auth", cause
    return "unreachable", f"{code}: {cause}"


class _V2:
    """The v2 API, as HTTP/1.0: one request on one connection, answered whole."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._tls = _context(way) if way.tls else None

    @property
    def api(self) -> str:
        return "v2"

    async def close(self) -> None:
        """Nothing stays open between requests."""

    async def get(self, key: str) -> Value | None:
        status, said = await self._ask("GET", key, {"quorum": "true"})
        if status == 404:
            return None
        return next((v for v in self._leaves(said) if v.key == key), None)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        ask = {"quorum": "true", "recursive": "true"}
        status, said = await self._ask("GET", prefix.rstrip("/"), ask)
        if status == 404:
            return ()
        below = f"{prefix.rstrip('/')}/"
        return tuple(
            sorted((v for v in self._leaves(said) if v.key.startswith(below)), key=lambda v: v.key)
        )

    async def put(self, put: PutKey) -> bool:
        as_seen = {"prevExist": "false"}
        if put.previous is not None:
            as_seen = {"prevIndex": str(put.previous)}
        status, _ = await self._ask("PUT", put.key, as_seen, urlencode({"value": put.value}))
        return status not in (404, 412)

    async def _ask(
        self, method: str, key: str, query: Mapping[str, str], form: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """The status (200, 201, 404 no such key, 412 not as it was) and the JSON object.

        Source: https://etcd.io/docs/v2.3/api/, errorcode.md beside it.
        """
        body = form.encode()
        lines = [
            f"{method} /v2/keys{quote(key)}?{urlencode(query)} HTTP/1.0",
            f"Host: {urlsplit(self._way.url).netloc}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        ]
        if self._way.user:
            login = f"{self._way.user}:{self._way.password}".encode()
            lines.append(f"Authorization: Basic {base64.b64encode(login).decode()}")
        request = "\r\n".join([*lines, "", ""]).encode() + body
        return self._understood(await self._exchange(request), key)
