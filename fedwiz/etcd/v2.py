"""etcd's v2 API: JSON over HTTP."""

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

from fedwiz.etcd.endpoint import VALUE_LIMIT, Endpoint
from fedwiz.etcd.http import context, exchange
from fedwiz.model.actions import PutKey, Value

NOT_V2 = "answers, but not as etcd's v2 API does; is the endpoint etcd's?"


class V2:
    """The v2 API over HTTP/1.0: one request per connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._tls = context(endpoint) if endpoint.tls else None

    @property
    def api(self) -> str:
        """`v2`."""
        return "v2"

    async def close(self) -> None:
        """Nothing to close: no connection stays open between requests."""

    async def get(self, key: str) -> Value | None:
        """The key's value, or None if the key does not exist."""
        status, data = await self._ask("GET", key, {"quorum": "true"})
        if status == 404:
            return None
        return next((v for v in self._leaves(data) if v.key == key), None)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        """All keys below a prefix, sorted by key."""
        ask = {"quorum": "true", "recursive": "true"}
        status, data = await self._ask("GET", prefix.rstrip("/"), ask)
        if status == 404:
            return ()
        below = f"{prefix.rstrip('/')}/"
        return tuple(
            sorted((v for v in self._leaves(data) if v.key.startswith(below)), key=lambda v: v.key)
        )

    async def put(self, put: PutKey) -> bool:
        """Write or delete the key in one transaction; False if it has changed since the plan."""
        unchanged = {"prevExist": "false"}
        if put.previous is not None:
            unchanged = {"prevIndex": str(put.previous)}
        if put.value is None:
            status, _ = await self._ask("DELETE", put.key, unchanged)
            return status == 200
        status, _ = await self._ask("PUT", put.key, unchanged, urlencode({"value": put.value}))
        return status not in (404, 412)

    async def _ask(
        self, method: str, key: str, query: Mapping[str, str], form: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """The status (200, 201, 404 no such key, 412 changed meanwhile) and the JSON object.

        Source: https://etcd.io/docs/v2.3/api/, and errorcode.md beside it.
        """
        body = form.encode()
        lines = [
            f"{method} /v2/keys{quote(key)}?{urlencode(query)} HTTP/1.0",
            f"Host: {urlsplit(self._endpoint.url).netloc}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        ]
        if self._endpoint.user:
            login = f"{self._endpoint.user}:{self._endpoint.password}".encode()
            lines.append(f"Authorization: Basic {base64.b64encode(login).decode()}")
        request = "\r\n".join([*lines, "", ""]).encode() + body
        return self._checked(await self._exchange(request), key)

    async def _exchange(self, request: bytes) -> bytes:
        try:
            return await exchange(self._endpoint, request, self._tls)
        except TimeoutError as error:
            raise self._endpoint.error("timeout") from error
        except ssl.SSLError as error:
            raise self._endpoint.error("tls", error.reason or str(error)) from error
        except OSError as error:
            raise self._endpoint.error("unreachable", error.strerror or str(error)) from error

    def _checked(self, reply: bytes, key: str) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object of a valid reply."""
        if not reply:
            raise self._endpoint.error("unreachable", "the connection was closed without an answer")
        head, _, body = reply.partition(b"\r\n\r\n")
        status = _status(head)
        data = _object(body)
        if status == 404 and "errorCode" not in data:
            raise self._endpoint.error(
                "no-api",
                "serves no v2 API; set ETCD_ENABLE_V2=true there, or install flannel >= 0.18",
            )
        if status not in (200, 201, 404, 412) and "errorCode" in data:
            self._raise_refusal(status, f"{data.get('message', '')}", key)
        if status not in (200, 201, 404, 412) or not data:
            raise self._endpoint.error("no-api", NOT_V2)
        return status, data

    def _raise_refusal(self, status: int, message: str, key: str) -> NoReturn:
        if status == 401:  # etcd does not say when a known user lacks the right
            also = ", or its role has no right to it" if self._endpoint.user else ""
            raise self._endpoint.error("auth", f"{message} for {key}{also}")
        if status == 403:
            raise self._endpoint.error("denied", message, key=key)
        raise self._endpoint.error("unreachable", f"{status} {message}")

    def _leaves(self, data: Mapping[str, Any]) -> Iterator[Value]:
        """All keys with a value at a node and below it; directories have none."""
        pending = [data.get("node")]
        while pending:
            match pending.pop():
                case {"dir": True, "nodes": list(below)}:
                    pending.extend(below)
                case {"dir": True}:
                    pass
                case {
                    "key": str(key),
                    "value": str(value),
                    "modifiedIndex": int(index),
                    **rest,
                } if (
                    type(index) is int  # JSON's true is an int in Python
                ):
                    ttl = rest.get("ttl")
                    yield Value(key, value[:VALUE_LIMIT], index, ttl if type(ttl) is int else None)
                case _:
                    raise self._endpoint.error("no-api", NOT_V2)


def _status(head: bytes) -> int:
    """The status in the first line of a reply; 0 if it is not HTTP."""
    match head.split(b"\r\n", 1)[0].split(b" ", 2):
        case [version, code, *_] if version.startswith(b"HTTP/1.") and code.isdigit():
            return int(code[:3])
    return 0


def _object(body: bytes) -> dict[str, Any]:
    """The body's JSON object; empty if it is anything else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
