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
    """The v2 API, as HTTP/1.0: one request on one connection, answered whole."""

    def __init__(self, way: Endpoint) -> None:
        self._way = way
        self._tls = context(way) if way.tls else None

    @property
    def api(self) -> str:
        """`v2`."""
        return "v2"

    async def close(self) -> None:
        """Nothing stays open between requests."""

    async def get(self, key: str) -> Value | None:
        """The key's value, or None where there is no such key."""
        status, said = await self._ask("GET", key, {"quorum": "true"})
        if status == 404:
            return None
        return next((v for v in self._leaves(said) if v.key == key), None)

    async def under(self, prefix: str) -> tuple[Value, ...]:
        """All keys below a prefix, sorted by key."""
        ask = {"quorum": "true", "recursive": "true"}
        status, said = await self._ask("GET", prefix.rstrip("/"), ask)
        if status == 404:
            return ()
        below = f"{prefix.rstrip('/')}/"
        return tuple(
            sorted((v for v in self._leaves(said) if v.key.startswith(below)), key=lambda v: v.key)
        )

    async def put(self, put: PutKey) -> bool:
        """Write or delete the key in one transaction; False when it is not as the plan saw it."""
        as_seen = {"prevExist": "false"}
        if put.previous is not None:
            as_seen = {"prevIndex": str(put.previous)}
        if put.value is None:
            status, _ = await self._ask("DELETE", put.key, as_seen)
            return status == 200
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

    async def _exchange(self, request: bytes) -> bytes:
        try:
            return await exchange(self._way, request, self._tls)
        except TimeoutError as error:
            raise self._way.error("timeout") from error
        except ssl.SSLError as error:
            raise self._way.error("tls", error.reason or str(error)) from error
        except OSError as error:
            raise self._way.error("unreachable", error.strerror or str(error)) from error

    def _understood(self, reply: bytes, key: str) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object of an answer that is etcd's and no refusal."""
        if not reply:
            raise self._way.error("unreachable", "the connection was closed without an answer")
        head, _, body = reply.partition(b"\r\n\r\n")
        status = _status(head)
        said = _object(body)
        if status == 404 and "errorCode" not in said:
            raise self._way.error(
                "no-api",
                "serves no v2 API; set ETCD_ENABLE_V2=true there, or install flannel >= 0.18",
            )
        if status not in (200, 201, 404, 412) and "errorCode" in said:
            self._refused(status, f"{said.get('message', '')}", key)
        if status not in (200, 201, 404, 412) or not said:
            raise self._way.error("no-api", NOT_V2)
        return status, said

    def _refused(self, status: int, message: str, key: str) -> NoReturn:
        if status == 401:  # no words of its own for a known user who may not
            also = ", or its role has no right to it" if self._way.user else ""
            raise self._way.error("auth", f"{message} for {key}{also}")
        if status == 403:
            raise self._way.error("denied", message, key=key)
        raise self._way.error("unreachable", f"{status} {message}")

    def _leaves(self, said: Mapping[str, Any]) -> Iterator[Value]:
        """All keys that hold a value, in a node and below it; a directory holds none."""
        waiting = [said.get("node")]
        while waiting:
            match waiting.pop():
                case {"dir": True, "nodes": list(below)}:
                    waiting.extend(below)
                case {"dir": True}:
                    pass
                case {
                    "key": str(key),
                    "value": str(value),
                    "modifiedIndex": int(index),
                    **rest,
                } if (
                    type(index) is int  # JSON's true is an int to Python
                ):
                    ttl = rest.get("ttl")
                    yield Value(key, value[:VALUE_LIMIT], index, ttl if type(ttl) is int else None)
                case _:
                    raise self._way.error("no-api", NOT_V2)


def _status(head: bytes) -> int:
    """The status of an answer's first line; 0 where it isn't HTTP."""
    match head.split(b"\r\n", 1)[0].split(b" ", 2):
        case [version, code, *_] if version.startswith(b"HTTP/1.") and code.isdigit():
            return int(code[:3])
    return 0


def _object(body: bytes) -> dict[str, Any]:
    """The body's JSON object; empty where it is anything else."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
