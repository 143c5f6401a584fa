"""etcd's v3 API: gRPC, by the `etcd3` package."""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from fedwiz.etcd.endpoint import REPLY_LIMIT, VALUE_LIMIT, Endpoint, Kind
from fedwiz.etcd.etcd3_shim import library
from fedwiz.model.actions import PutKey, Value

T = TypeVar("T")


class V3:
    """The v3 API. etcd3 blocks, so each call runs in a thread with a time limit."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: Any = None

    @property
    def api(self) -> str:
        """`v3`."""
        return "v3"

    async def close(self) -> None:
        """Close the channel; this also ends calls still running in threads."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def get(self, key: str) -> Value | None:
        """The key's value, or None if the key does not exist."""

        def ask(client: Any) -> tuple[Value, ...]:  # noqa: ANN401 - etcd3 has no types
            return tuple(_values(client, client.get_response(key).kvs))

        return next(iter(await self._call(key, ask)), None)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        """All keys below a prefix, sorted by key."""
        below = f"{prefix.rstrip('/')}/"

        def ask(client: Any) -> tuple[Value, ...]:  # noqa: ANN401 - etcd3 and grpc have no types
            return tuple(_values(client, client.get_prefix_response(below).kvs))

        return tuple(sorted(await self._call(below, ask), key=lambda value: value.key))

    async def put(self, put: PutKey) -> bool:
        """Write or delete the key in one transaction; False if it has changed since the plan."""

        def ask(client: Any) -> bool:  # noqa: ANN401 - etcd3 and grpc have no types
            conditions = client.transactions
            if put.previous is None:
                unchanged = conditions.create(put.key) == 0
            else:
                unchanged = conditions.mod(put.key) == put.previous
            deleted = put.value is None
            change = conditions.delete(put.key) if deleted else conditions.put(put.key, put.value)
            done, _ = client.transaction([unchanged], [change], [])
            return bool(done)

        return await self._call(put.key, ask)

    async def _call(self, key: str, ask: Callable[[Any], T]) -> T:
        return await asyncio.to_thread(self._blocking, key, ask)

    def _blocking(self, key: str, ask: Callable[[Any], T]) -> T:
        """Send the request; log in again if etcd has dropped our token, as it does on restart."""
        etcd3, grpc = library().etcd3, library().grpc
        fresh = self._client is None
        try:
            if fresh:
                self._client = self._connect(etcd3, grpc)
            return ask(self._client)
        except (etcd3.Etcd3Exception, grpc.RpcError) as error:
            kind, cause = _kind_and_cause(error, grpc)
            if fresh or not ("auth token" in cause or "auth store" in cause):
                raise self._endpoint.error(kind, cause, key=key) from error
        self._client.close()
        self._client = None
        return self._blocking(key, ask)

    def _connect(self, etcd3: Any, grpc: Any) -> Any:  # noqa: ANN401 - etcd3 and grpc have no types
        endpoint = self._endpoint

        class Client(etcd3.Etcd3Client):  # type: ignore[misc]  # the base has no types
            def _get_secure_creds(self, ca: bytes, key: bytes, cert: bytes) -> Any:  # noqa: ANN401 - etcd3 and grpc have no types
                # etcd3 expects paths; this passes the contents, so that no key is written to disk.
                return grpc.ssl_channel_credentials(ca, key or None, cert or None)

        client = Client(
            host="127.0.0.1",
            port=endpoint.port,
            # Without a CA, etcd3 falls back to plaintext.
            ca_cert=endpoint.ca.encode() if endpoint.tls else None,
            cert_cert=endpoint.cert.encode() if endpoint.cert else None,
            cert_key=endpoint.key.encode() if endpoint.key else None,
            timeout=endpoint.timeout,
            user=endpoint.user or None,
            password=endpoint.password if endpoint.user else None,
            grpc_options=(
                ("grpc.enable_http_proxy", 0),
                ("grpc.max_receive_message_length", REPLY_LIMIT),
                *((("grpc.ssl_target_name_override", endpoint.host),) if endpoint.tls else ()),
            ),
        )
        # The token is sent as metadata anyway; gRPC refuses it as a credential without TLS.
        client.call_credentials = None
        return client


def _values(client: Any, pairs: Sequence[Any]) -> Iterator[Value]:  # noqa: ANN401 - etcd3 and grpc have no types
    """The keys with the remaining time of their leases; each lease is looked up once."""
    remaining: dict[int, int | None] = {0: None}
    for pair in pairs:
        if pair.lease not in remaining:
            remaining[pair.lease] = max(0, client.get_lease_info(pair.lease).TTL)
        yield Value(
            pair.key.decode(errors="replace"),
            pair.value.decode(errors="replace")[:VALUE_LIMIT],
            pair.mod_revision,
            remaining[pair.lease],
        )


def _kind_and_cause(error: BaseException, grpc: Any) -> tuple[Kind, str]:  # noqa: ANN401 - etcd3 and grpc have no types
    """Map a gRPC status to our kind of error; etcd3 wraps some of them and loses their text."""
    status = error if isinstance(error, grpc.RpcError) else error.__context__
    if not isinstance(status, grpc.RpcError):
        return "unreachable", str(error)
    code = str(status.code().name)
    # The text before the last match is gRPC's own layers, and a loopback port of no interest.
    cause = re.sub(r".*(last error|ipv4:[0-9.]+:[0-9]+): ", "", str(status.details() or code))
    low = cause.lower()
    if code == "DEADLINE_EXCEEDED":
        return "timeout", cause
    if code == "UNIMPLEMENTED" or "http1.x" in low or "http status" in low:
        return "no-api", f"serves no v3 API ({cause}); it takes etcd 3, or a flannel before 0.18"
    if code == "UNAVAILABLE":  # `tls_trouble` finds out whether TLS is the reason
        return "unreachable", cause
    if code == "PERMISSION_DENIED":
        return "denied", cause
    if code == "UNAUTHENTICATED" or "authenticat" in low or "user name" in low or "auth " in low:
        return "auth", cause
    return "unreachable", cause
