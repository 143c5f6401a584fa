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
    """The v3 API.  etcd3 blocks, so each call has a thread and a time limit."""

    def __init__(self, way: Endpoint) -> None:
        self._way = way
        self._client: Any = None

    @property
    def api(self) -> str:
        """`v3`."""
        return "v3"

    async def close(self) -> None:
        """Close the channel; calls still in their threads end with it."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def get(self, key: str) -> Value | None:
        """The key's value, or None where there is no such key."""

        def ask(client: Any) -> tuple[Value, ...]:  # noqa: ANN401 - etcd3 has no types
            return tuple(_values(client, client.get_response(key).kvs))

        return next(iter(await self._call(key, ask)), None)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        """All keys below a prefix, sorted by key."""
        below = f"{prefix.rstrip('/')}/"

        def ask(client: Any) -> tuple[Value, ...]:  # noqa: ANN401
            return tuple(_values(client, client.get_prefix_response(below).kvs))

        return tuple(sorted(await self._call(below, ask), key=lambda value: value.key))

    async def put(self, put: PutKey) -> bool:
        """Write or delete the key in one transaction; False when it is not as the plan saw it."""

        def ask(client: Any) -> bool:  # noqa: ANN401
            its = client.transactions
            if put.previous is None:
                as_seen = its.create(put.key) == 0
            else:
                as_seen = its.mod(put.key) == put.previous
            gone = put.value is None
            then = its.delete(put.key) if gone else its.put(put.key, put.value)
            done, _ = client.transaction([as_seen], [then], [])
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
            if fresh or not ("auth token" in cause or "auth store" in cause):
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
            pair.value.decode(errors="replace")[:VALUE_LIMIT],
            pair.mod_revision,
            left[pair.lease],
        )


def _why(error: BaseException, grpc: Any) -> tuple[Kind, str]:  # noqa: ANN401
    """Our kind for a status of gRPC's; etcd3 wraps some of them, and loses their text."""
    said = error if isinstance(error, grpc.RpcError) else error.__context__
    if not isinstance(said, grpc.RpcError):
        return "unreachable", str(error)
    code = str(said.code().name)
    # Before the last colons stand gRPC's own layers, and a loopback port that tells nobody much.
    cause = re.sub(r".*(last error|ipv4:[0-9.]+:[0-9]+): ", "", str(said.details() or code))
    low = cause.lower()
    if code == "DEADLINE_EXCEEDED":
        return "timeout", cause
    if code == "UNIMPLEMENTED" or "http1.x" in low or "http status" in low:
        return "no-api", f"serves no v3 API ({cause}); it takes etcd 3, or a flannel before 0.18"
    if code == "UNAVAILABLE":  # whether TLS is the reason, `tls_trouble` finds out
        return "unreachable", cause
    if code == "PERMISSION_DENIED":
        return "denied", cause
    if code == "UNAUTHENTICATED" or "authenticat" in low or "user name" in low or "auth " in low:
        return "auth", cause
    return "unreachable", cause
