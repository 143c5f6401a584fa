"""An etcd endpoint, and the error messages for one that can't be used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fedwiz.model.actions import UnreachableError
from fedwiz.util.sanitize import sanitize

Kind: TypeAlias = Literal["unreachable", "timeout", "auth", "denied", "tls", "no-api"]

TIMEOUT = 10.0
"""Seconds for each request; etcd answers in milliseconds, unless it has no leader."""

REPLY_LIMIT = 16 << 20
"""Maximum bytes of a reply: a lease takes some 200, so flannel never comes near."""

VALUE_LIMIT = 256 << 10
"""Characters of a value that are kept; flannel's own values are below 1000."""


class EtcdError(UnreachableError):
    """etcd can't be reached or used; the message ends with `; ` and what to do."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How one endpoint is reached, and with which credentials."""

    url: str
    host: str
    """The name that the hosts use, which its certificate must carry."""

    port: int
    """The forwarded port on the local loopback."""

    seen_from: str
    """Name of the host whose session forwards the port."""

    tls: bool
    ca: str = ""
    """This and the two below are PEM; secrets are excluded from `repr`."""

    cert: str = ""
    key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = TIMEOUT

    def error(self, kind: Kind, cause: str = "", *, key: str = "") -> EtcdError:
        """An error of that kind as a sentence: which endpoint, why, and one thing to do."""
        subject = f"etcd at {self.url}, seen from {self.seen_from},"
        return EtcdError(kind, f"{subject} {_SENTENCES[kind](self, sanitize(cause)[:300], key)}")


# One sentence for each kind of error.


def _unreachable(endpoint: Endpoint, cause: str, _key: str) -> str:
    return (
        f"can't be reached ({cause}); is etcd running, and does ETCD_LISTEN_CLIENT_URLS there "
        f"have an address that {endpoint.seen_from} reaches?"
    )


def _timeout(endpoint: Endpoint, _cause: str, _key: str) -> str:
    return (
        f"gave no answer within {endpoint.timeout:g} s; does a firewall drop the packets, or has "
        "etcd no leader?"
    )


def _auth(endpoint: Endpoint, cause: str, _key: str) -> str:
    if "not enabled" in cause:
        return f"has no users ({cause}); leave etcd.user empty"
    if not endpoint.user:
        return f"asks who is there ({cause}); set etcd.user and FEDWIZ_ETCD_PASSWORD"
    return f"refuses {endpoint.user!r} ({cause}); check etcd.user and FEDWIZ_ETCD_PASSWORD"


def _denied(endpoint: Endpoint, _cause: str, key: str) -> str:
    user = repr(endpoint.user) if endpoint.user else "a stranger"
    return f"denies {user} the key {key}; grant a role that reads and writes it"


def _tls(endpoint: Endpoint, cause: str, _key: str) -> str:
    low = cause.lower()
    if "speaks" in low:
        fix = f"begin the endpoint with {'http' if endpoint.tls else 'https'}://"
    elif "mismatch" in low:
        fix = "etcd.endpoints must use a name or an address that the certificate has"
    elif "expired" in low or "not yet valid" in low:
        fix = "renew it, or set the clocks right"
    elif "verify" in low:
        fix = "etcd.ca_file must name the authority that signed etcd's certificate"
    elif not endpoint.cert:
        fix = "if it asks for a client certificate, set etcd.cert_file and etcd.key_file"
    else:
        fix = "check etcd.ca_file, etcd.cert_file and etcd.key_file"
    return f"agrees on no TLS ({cause}); {fix}"


def _no_api(_endpoint: Endpoint, cause: str, _key: str) -> str:
    return cause


_SENTENCES: Mapping[Kind, Callable[[Endpoint, str, str], str]] = {
    "unreachable": _unreachable,
    "timeout": _timeout,
    "auth": _auth,
    "denied": _denied,
    "tls": _tls,
    "no-api": _no_api,
}
