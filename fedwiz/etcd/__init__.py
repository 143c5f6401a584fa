"""etcd through a host: the v3 API (gRPC, by the `etcd3` package) or the v2 API (HTTP).

The two APIs keep separate keys, and a flannel uses only one of them, so a store is always opened
for one API. etcd is reached through a port that a host's session forwards: what works here works on
that host, and etcd needs to be open to the hosts only.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fedwiz.etcd.endpoint import TIMEOUT, Endpoint, EtcdError, Kind
from fedwiz.etcd.http import tls_trouble
from fedwiz.etcd.leases import Lease, parse_leases
from fedwiz.etcd.v2 import V2
from fedwiz.etcd.v3 import V3
from fedwiz.model.actions import Run, Secret, Session, Store
from fedwiz.util.sanitize import sanitize

if TYPE_CHECKING:
    from fedwiz.answers.file import Etcd

__all__ = ["EtcdError", "Kind", "Lease", "parse_leases", "store"]

HOST_CA = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
"""Fedora's certificate authorities, which flannel uses if it is given none."""

KINDS_MOST_SPECIFIC_FIRST: tuple[Kind, ...] = (
    "denied",
    "auth",
    "tls",
    "no-api",
    "timeout",
    "unreachable",
)
"""The most informative kind first; used when no endpoint works."""


@asynccontextmanager
async def store(
    session: Session,
    etcd: "Etcd",
    api: str,
    password: Secret | None = None,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - the limit of each request, not of this call
) -> AsyncIterator[Store]:
    """Open etcd through the first of its endpoints that answers.

    Args:
        session: the host through whose connection etcd is reached.
        etcd: the answers' table; its certificate paths are on the host.
        api: `v2` or `v3`.
        password: of `etcd.user`.
        timeout: seconds for each request.

    Raises:
        EtcdError: no endpoint can be used; the message names each and its cause.
        UnreachableError: the session is lost, or its host does not allow forwarding.
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
        raise EtcdError("unreachable", "no etcd endpoint is known; set etcd.endpoints")
    kind = min((error.kind for error in refused), key=KINDS_MOST_SPECIFIC_FIRST.index)
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
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    if etcd.user and password is None:
        raise EtcdError(
            "auth", f"etcd.user is {etcd.user!r}, without a password; set FEDWIZ_ETCD_PASSWORD"
        )
    endpoint = Endpoint(
        url=url,
        host=host,
        port=await stack.enter_async_context(session.forward(host, parts.port or 2379)),
        seen_from=session.name,
        tls=tls,
        ca=await _cat(session, etcd.ca_file or HOST_CA, "ca_file") if tls else "",
        cert=await _cat(session, etcd.cert_file, "cert_file") if tls and etcd.cert_file else "",
        key=await _cat(session, etcd.key_file, "key_file") if tls and etcd.key_file else "",
        user=etcd.user,
        password=password.reveal() if etcd.user and password else "",
        timeout=limit,
    )
    opened = V2(endpoint) if api == "v2" else V3(endpoint)
    stack.push_async_callback(opened.close)
    try:
        # Opening a client sends nothing, so a request shows whether the endpoint works.
        await opened.get(f"{etcd.prefix}/config")
    except EtcdError as error:
        if error.kind in ("unreachable", "tls") and (trouble := await tls_trouble(endpoint)):
            raise trouble from error
        raise
    return opened


async def _cat(session: Session, path: str, key: str) -> str:
    reply = await session.ask(Run(("cat", path), changes=False))
    if reply.code:
        reason = sanitize(reply.err) or f"exit status {reply.code}"
        raise EtcdError(
            "tls",
            f"{session.name} can't read {path}, which etcd's TLS needs ({reason}); set etcd.{key} "
            "to a file of the hosts'",
        )
    return reply.out
