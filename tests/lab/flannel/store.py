"""Reads and writes of the lab's flanneld in etcd: the v2 keys API, or v3 through its gateway."""

import base64
import http.client
import json
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

TTL = 24 * 3600
KEY = re.compile(r"(\d+\.\d+\.\d+\.\d+)-(\d+)$")


class RefusalError(Exception):
    """What etcd, or the way to it, said instead of an answer."""


class ExistsError(Exception):
    """The key is there already."""


@dataclass
class Lease:
    subnet: str  # 10.1.2.0/24
    attrs: dict[str, Any]
    expires: float | None  # None: a reservation


class Store(Protocol):
    def config(self) -> str: ...
    def leases(self) -> list[Lease]: ...
    def create(self, subnet: str, attrs: dict[str, Any]) -> float | None: ...
    def update(self, subnet: str, attrs: dict[str, Any], ttl: int) -> float | None: ...
    def delete(self, subnet: str) -> None: ...


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def subnet_of(key: str) -> str | None:
    found = KEY.search(key.rsplit("/", 1)[-1])
    return f"{found[1]}/{found[2]}" if found else None


def reason(problem: OSError, where: str) -> str:
    """An error of the network in the words of Go's library."""
    if isinstance(problem, ssl.SSLError):
        if "CERTIFICATE_VERIFY_FAILED" in str(problem):
            return "x509: certificate signed by unknown authority"
        return f"remote error: tls: {problem.reason or 'bad certificate'}"
    if isinstance(problem, socket.gaierror):
        return f"dial tcp: lookup {where.rsplit(':', 1)[0]}: no such host"
    if isinstance(problem, TimeoutError):
        return f"dial tcp {where}: i/o timeout"
    return f"dial tcp {where}: connect: {(problem.strerror or str(problem)).lower()}"


class Client:
    """One kept connection to the first endpoint that answers."""

    def __init__(self, endpoints: list[str], tls: ssl.SSLContext | None) -> None:
        self.endpoints = endpoints
        self.tls = tls
        self.link: http.client.HTTPConnection | None = None
        self.headers: dict[str, str] = {}

    def connect(self, endpoint: str) -> http.client.HTTPConnection:
        url = urlsplit(endpoint)
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        if url.scheme == "https":
            context = self.tls or ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=5, context=context)
        return http.client.HTTPConnection(host, port, timeout=5)

    def ask(self, verb: str, path: str, body: str = "", kind: str = "") -> tuple[int, str]:
        headers = dict(self.headers)
        if kind:
            headers["Content-Type"] = kind
        errors: list[str] = []
        for number, endpoint in enumerate([""] * bool(self.link) + self.endpoints):
            link = self.link if not endpoint and self.link else self.connect(endpoint)
            try:
                link.request(verb, path, body or None, headers)
                answer = link.getresponse()
                text = answer.read().decode()
            except (OSError, http.client.HTTPException) as problem:
                link.close()
                self.link = None
                if endpoint:
                    where = urlsplit(endpoint).netloc
                    said = problem if isinstance(problem, OSError) else OSError("unexpected EOF")
                    errors.append(f"error #{number}: {reason(said, where)}")
                continue
            self.link = link
            return answer.status, text
        raise RefusalError(
            "client: etcd cluster is unavailable or misconfigured; " + "; ".join(errors)
            if errors
            else "client: no endpoints available"
        )


class V2:
    """etcd's v2 keys API."""

    def __init__(self, client: Client, prefix: str, user: str, password: str) -> None:
        self.client = client
        self.root = "/v2/keys" + quote("/" + prefix.strip("/"))
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            client.headers["Authorization"] = f"Basic {token}"

    def call(self, verb: str, path: str, **form: object) -> dict[str, Any]:
        body = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in form.items())
        kind = "application/x-www-form-urlencoded" if body else ""
        status, text = self.client.ask(verb, self.root + path, body, kind)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RefusalError(
                "client: response is invalid json."
                " The endpoint is probably not valid etcd cluster endpoint"
            )
        if status >= 400:
            code = answer.get("errorCode", status)
            cause, index = answer.get("cause"), answer.get("index")
            said = f"{code}: {answer.get('message')} ({cause}) [{index}]"
            raise ExistsError(said) if code == 105 else RefusalError(said)
        return answer

    def config(self) -> str:
        node = self.call("GET", "/config?quorum=true")["node"]
        return str(node.get("value", ""))

    def leases(self) -> list[Lease]:
        try:
            top = self.call("GET", "/subnets?quorum=true&recursive=true")["node"]
        except RefusalError as problem:
            if str(problem).startswith("100:"):
                return []
            raise
        found: list[Lease] = []
        for node in top.get("nodes", []):
            subnet = subnet_of(node["key"])
            try:
                attrs = json.loads(node.get("value", ""))
            except ValueError:
                continue
            if subnet and isinstance(attrs, dict):
                ttl = node.get("ttl")
                found.append(Lease(subnet, attrs, time.time() + ttl if ttl else None))
        return found

    def put(self, subnet: str, attrs: dict[str, Any], **form: object) -> float | None:
        path = "/subnets/" + subnet.replace("/", "-")
        self.call("PUT", path, value=compact(attrs), **form)
        return time.time() + TTL if form.get("ttl") else None

    def create(self, subnet: str, attrs: dict[str, Any]) -> float | None:
        return self.put(subnet, attrs, ttl=TTL, prevExist="false")

    def update(self, subnet: str, attrs: dict[str, Any], ttl: int) -> float | None:
        return self.put(subnet, attrs, **({"ttl": ttl} if ttl else {}))

    def delete(self, subnet: str) -> None:
        self.call("DELETE", "/subnets/" + subnet.replace("/", "-"))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class V3:
    """etcd's v3 API, through its JSON gateway."""

    def __init__(self, client: Client, prefix: str, user: str, password: str) -> None:
        self.client = client
        self.root = "/" + prefix.strip("/")
        self.login = {"name": user, "password": password} if user else None

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.login and "Authorization" not in self.client.headers:
            _, text = self.client.ask("POST", "/v3/auth/authenticate", compact(self.login))
            self.client.headers["Authorization"] = str(json.loads(text).get("token", ""))
        status, text = self.client.ask("POST", "/v3" + path, compact(body), "application/json")
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {}
        if status >= 400 or not isinstance(answer, dict):
            self.client.headers.pop("Authorization", None)
            raise RefusalError(str(answer.get("error", text.strip()) if answer else text.strip()))
        return answer

    def config(self) -> str:
        rows = self.call("/kv/range", {"key": b64(self.root + "/config")}).get("kvs")
        if not rows:
            raise RefusalError(
                "flannel config not found in etcd store."
                " Did you create your config using etcdv3 API?"
            )
        return base64.b64decode(rows[0].get("value", "")).decode()

    def leases(self) -> list[Lease]:
        first, after = self.root + "/subnets/", self.root + "/subnets0"
        rows = self.call("/kv/range", {"key": b64(first), "range_end": b64(after)}).get("kvs", [])
        found: list[Lease] = []
        for row in rows:
            subnet = subnet_of(base64.b64decode(row["key"]).decode())
            try:
                attrs = json.loads(base64.b64decode(row.get("value", "")))
            except ValueError:
                continue
            if subnet and isinstance(attrs, dict):
                expires = time.time() + TTL if row.get("lease", "0") != "0" else None
                found.append(Lease(subnet, attrs, expires))
        return found

    def put(self, subnet: str, attrs: dict[str, Any], only_new: bool) -> float | None:
        granted = self.call("/lease/grant", {"TTL": TTL})["ID"]
        key = b64(f"{self.root}/subnets/{subnet.replace('/', '-')}")
        write = {"request_put": {"key": key, "value": b64(compact(attrs)), "lease": granted}}
        new = {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
        body = {"compare": [new] if only_new else [], "success": [write], "failure": []}
        if not self.call("/kv/txn", body).get("succeeded"):
            raise ExistsError("subnet already exists")
        return time.time() + TTL

    def create(self, subnet: str, attrs: dict[str, Any]) -> float | None:
        return self.put(subnet, attrs, only_new=True)

    def update(self, subnet: str, attrs: dict[str, Any], ttl: int) -> float | None:
        return self.put(subnet, attrs, only_new=False)

    def delete(self, subnet: str) -> None:
        key = f"{self.root}/subnets/{subnet.replace('/', '-')}"
        self.call("/kv/deleterange", {"key": b64(key)})
