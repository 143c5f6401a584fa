"""Checks of etcd: whether it is reachable, through which API, and what it contains."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from fedwiz.answers.file import Answers, Etcd
from fedwiz.checks.finding import (
    Finding,
    block,
    check,
    duplicates,
    ok,
    published,
    reached_hosts,
    unread,
    warn,
)
from fedwiz.etcd.leases import Lease, parse_leases
from fedwiz.facts.values import ClusterFacts, Endpoint, version
from fedwiz.facts.versions import STEALS_SUBNET, api_of, next_version
from fedwiz.util.words import count, some

LOOPBACK = ("127.", "[::1]", "::1")
NO_V2 = (3, 6)
"""etcd has no v2 API at all from this version on."""


@check("etcd-reachable", "Does every node reach etcd?", about="nodes")
def etcd_reachable(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Without etcd, flannel of the v3 era waits for ever without a message.

    One working endpoint is enough: flannel tries them in turn.
    """
    versions = set()
    for host, facts in reached_hosts(answers, known, "nodes"):
        ends = {url: facts.etcd.get(url) for url in answers.etcd.endpoints}
        good = {end.version for end in ends.values() if end and end.version}
        versions |= good
        for url, end in ends.items():
            if end is None:
                yield unread(f"the answer of {url}", host.name, "see that curl is there")
            elif not end.version:
                listeners = _listeners(url, answers, known)
                why, remedy = _no_tls(url, end, answers.etcd) or _unreached(url, end, listeners)
                yield (warn if good else block)(f"{url}: {why}", remedy, host.name)
    yield ok(f"every node reaches etcd {some(sorted(versions))}")


def _listeners(url: str, answers: Answers, known: ClusterFacts) -> list[str]:
    """What listens on the endpoint's port on the master, if the endpoint is the master's."""
    name, port = urlsplit(url).hostname or "", _port(url)
    for host, facts in reached_hosts(answers, known, "master"):
        addresses = {text.partition("/")[0] for link in facts.links for text in link.addresses}
        if name in {host.name.lower(), host.address.lower(), facts.hostname.lower()} | addresses:
            return sorted(each for each in facts.listening if _ends(each, port))
    return []


NOT_TLS = r"wrong version number|packet length|too_long|\(35\).*(?:unexpected eof|syscall)"
"""curl's messages if the reply to its TLS handshake is not TLS, or if there is no reply."""


def _no_tls(url: str, end: Endpoint, etcd: Etcd) -> tuple[str, str] | None:
    """The TLS problem behind an error and its remedy; None: it is not about TLS.

    Source: curl 7.88 with OpenSSL 3.0 and curl 8.14 with 3.5, at etcd 3.4 and 3.5.
    """
    lowered, message = end.error.lower(), end.error
    if not url.startswith("https:"):
        if "empty reply" in lowered or "https server" in lowered:
            return f"it takes no plain http ({message})", "begin the endpoint with https://"
        return None
    for key in ("ca_file", "cert_file", "key_file"):
        path = getattr(etcd, key)
        if path and path in message:
            return (
                f"etcd.{key} can't be used here: {message}",
                f"put {path} on this host, as PEM, or set etcd.{key} to where it is",
            )
    if re.search(NOT_TLS, lowered):
        return f"it speaks no TLS ({message})", "begin the endpoint with http://"
    if "alert" in lowered or "(55)" in lowered or "(56)" in lowered:
        # TLS 1.3 rejects a client certificate only after the handshake.
        if etcd.cert_file:
            remedy = "set etcd.cert_file to a certificate that etcd's ETCD_TRUSTED_CA_FILE signed"
            return f"it refuses the client certificate ({message})", remedy
        remedy = "set etcd.cert_file and etcd.key_file to a client certificate and its key"
        return f"it asks for a client certificate ({message})", remedy
    if "subject name" in lowered:
        remedy = "name etcd in etcd.endpoints by a name or an address that its certificate has"
        return f"its certificate is another host's: {message}", remedy
    if "expired" in lowered or "not yet valid" in lowered:
        return f"its certificate is not valid now: {message}", "renew it, or set the clocks right"
    if any(word in lowered for word in ("certificate", "ssl", "tls", "x509", "issuer")):
        return (
            f"no trust in its certificate: {message}",
            "set etcd.ca_file to the CA that signed it, and see that the file is on this host",
        )
    return None


def _unreached(url: str, end: Endpoint, listeners: list[str]) -> tuple[str, str]:
    """Why an endpoint did not answer, by curl's message and the master's listeners; a remedy."""
    lowered, parts = end.error.lower(), urlsplit(url)
    name, port = parts.hostname or "", _port(url)
    if "resolve" in lowered:
        return f"the name {name} is not known here", f"put {name} into /etc/hosts of this host"
    inside_only = all(each.startswith(LOOPBACK) for each in listeners)
    if listeners and (inside_only or "refused" in lowered):
        listen = f'ETCD_LISTEN_CLIENT_URLS="{parts.scheme or "http"}://0.0.0.0:{port}"'
        remedy = (
            f"in /etc/etcd/etcd.conf: {listen}, and ETCD_ADVERTISE_CLIENT_URLS with an address "
            "that nodes reach; then systemctl restart etcd"
        )
        return f"etcd listens on {some(listeners)} of the master only", remedy
    opened = (
        f"on etcd's host: firewall-cmd --add-port={port}/tcp && "
        f"firewall-cmd --permanent --add-port={port}/tcp"
    )
    if "no route" in lowered or "prohibited" in lowered:
        return "no route to host: a firewall refuses it", opened
    if "bytes received" in lowered:  # curl waited for the reply, not for the connection
        slow = "see its load and its disk there: `journalctl -u etcd`, `etcdctl endpoint status`"
        return "etcd takes the connection and gives no answer within 3 s", slow
    if "timed out" in lowered or "timeout" in lowered or "no answer" in lowered:
        return "no answer: something on the way drops it", opened
    if listeners:
        return f"not let in, though etcd listens on the master ({end.error})", opened
    if "refused" in lowered or "connect" in lowered:
        return "nothing listens there", "systemctl enable --now etcd on its host"
    return end.error or "no answer", f"see that `curl {url}/version` answers on this host"


def _port(url: str) -> int:
    try:
        return urlsplit(url).port or 2379
    except ValueError:
        return 2379


def _ends(listener: str, port: int) -> bool:
    return listener.rpartition(":")[2] == str(port)


@check("etcd-api", "Does etcd speak the API that flannel reads?", about="nodes")
def etcd_api(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Flannel before 0.18 reads only v2, later ones only v3; the two stores are separate."""
    by_api: dict[str, list[str]] = {}
    for host, _ in reached_hosts(answers, known, "nodes"):
        by_api.setdefault(api_of(next_version(answers, host.name, known)), []).append(host.name)
    unknown = by_api.pop("", [])
    if unknown:
        yield warn(
            f"which API flannel on {some(unknown)} will read is not known: not judged",
            "see the check `flannel-package`",
        )
    forced = answers.etcd.api
    for api, hosts in by_api.items():
        if forced not in ("auto", api):
            yield block(
                f'etcd.api is "{forced}", but flannel on {some(hosts)} reads {api}',
                'set etcd.api to "auto"',
            )
    ends = _answering(answers, known)
    if by_api and not ends:
        yield unread("etcd's version", remedy="see the check `etcd-reachable`")
    for url, end in ends.items():
        for api in by_api:
            yield from _serves(url, end, api)
    yield ok(f"etcd serves {some(sorted(by_api))}, which flannel reads")


def _answering(answers: Answers, known: ClusterFacts) -> dict[str, Endpoint]:
    """Each endpoint that answered any node, as one of the nodes saw it."""
    return {
        url: end
        for _, facts in reached_hosts(answers, known, "nodes")
        for url, end in facts.etcd.items()
        if end.version and url in answers.etcd.endpoints
    }


def _serves(url: str, end: Endpoint, api: str) -> Iterator[Finding]:
    number = version(end.version)
    newer = 'flannel.source = "rpm" or "binary" with flannel 0.21.3 or later'
    if api == "v2" and not end.v2:
        if number >= NO_V2:
            yield block(
                f"etcd {end.version} at {url} has no v2 API, and flannel before 0.18 needs it",
                newer,
            )
        else:
            yield block(
                f"etcd {end.version} at {url} does not serve v2, and flannel before 0.18 needs it",
                "put ETCD_ENABLE_V2=true into /etc/etcd/etcd.conf and restart etcd; or use "
                + newer,
            )
    elif api == "v3" and number and number < (3,):
        yield block(
            f"etcd {end.version} at {url} has no v3 API, and flannel from 0.18 needs it",
            "upgrade etcd to 3.4 or later, or use a flannel before 0.18",
        )


@check("etcd-store", "Can fedwiz read etcd?")
def etcd_store(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Through a host, just as the plan will write it."""
    store = known.store
    if not store.api:  # other checks block and say why
        yield unread(answers.key, remedy="see the checks `flannel-package` and `etcd-api`")
    elif store.error:
        seen, _, remedy = store.error.rpartition("; ")
        if not seen:
            seen, remedy = store.error, "see the checks `etcd-reachable` and `etcd-api`"
        yield block(f"{answers.key} could not be read: {seen}", remedy)
    else:
        yield ok(f"read through the {store.api} API")


@check("etcd-config", "Does etcd hold another network already?")
def etcd_config(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Nodes running on the old network notice nothing until flanneld restarts."""
    store = known.store
    if store.error or not store.api:
        yield unread(answers.key, remedy="see the check `etcd-store`")
        return
    if store.other:
        other = "v2" if store.api == "v3" else "v3"
        yield warn(
            f"the {other} API also holds a {answers.key}, which this flannel does not see: "
            f"{store.other[:120]}",
            f"delete it through {other}, unless another flannel reads it",
        )
    if store.config is None:
        yield ok(f"{answers.key} is not there yet, and will be written")
        return
    was, will = _object(store.config.text), _object(answers.config_json()) or {}
    if was is None:
        yield warn(
            f"{answers.key} holds no JSON object, and will be replaced",
            "see the plan for the old value, and keep it if something else wrote it",
        )
    elif was != will:
        moved = count(len(parse_leases(store.leases)), "leased subnet")
        yield warn(
            f"{answers.key} will change: {some(_changes(was, will))}; {moved} of the old one",
            "go on only if containers on all nodes may move to new addresses",
        )
    else:
        yield ok(f"{answers.key} is as the answers want it")


def _object(text: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _changes(was: Mapping[str, Any], will: Mapping[str, Any]) -> Iterator[str]:
    old, new = _flat(was), _flat(will)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{key} {old.get(key, 'unset')} -> {new.get(key, 'unset')}"


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if key == "Backend" and isinstance(value, dict):
            found |= {f"Backend.{name}": str(each)[:60] for name, each in value.items()}
        else:
            found[key] = str(value)[:60]
    return found


@check("leases", "Does every subnet in etcd belong to one of the nodes?")
def leases(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Stale leases send packets to hosts that are gone; a shared lease makes two nodes one."""
    yield from _same_subnet(answers, known)
    if known.store.error or not known.store.api:
        yield unread("the leases", remedy="see the check `etcd-store`")
        return
    found = parse_leases(known.store.leases)
    for lease in found:
        if lease.error:
            yield warn(f"{lease.key}: {lease.error}", _delete(known.store.api, lease))
    for address, keys in duplicates((lease.key, lease.public_ip) for lease in found):
        yield warn(
            f"{address} has {len(keys)} subnets: {some(key.rpartition('/')[2] for key in keys)}",
            "delete all but the one in that host's /run/flannel/subnet.env",
        )
    silent = {host.name for host in answers.nodes} - {
        host.name
        for host, facts in reached_hosts(answers, known, "nodes")
        if facts.public_ip(host.interface)
    }
    ours = {"", *published(answers, known)}
    foreign = [it for it in found if it.public_ip not in ours]
    if silent and foreign:
        # One of them may belong to such a node, so nobody must be told to delete it.
        yield unread(f"whose each subnet is: the address of {some(sorted(silent))}")
        return
    for lease in foreign:
        left = f"; it expires in {lease.ttl // 3600} h" if lease.ttl is not None else ""
        yield warn(
            f"{lease.subnet or lease.key} is leased to {lease.public_ip}, which no node has{left}",
            _delete(known.store.api, lease),
        )
    yield ok(f"{count(len(found), 'lease')}, each of one of the nodes")


def _delete(api: str, lease: Lease) -> str:
    verb = "rm" if api == "v2" else "del"
    return f"if that host is gone: ETCDCTL_API={api[1:]} etcdctl {verb} {shlex.quote(lease.key)}"


def _same_subnet(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    subnets = [
        (host.name, (facts.subnet_env or {}).get("FLANNEL_SUBNET", ""))
        for host, facts in reached_hosts(answers, known, "nodes")
    ]
    low, high = STEALS_SUBNET
    for subnet, owners in duplicates(subnets):
        thieves = [name for name in owners if low <= next_version(answers, name, known) <= high]
        note = "; flannel would take it from the node that has it" if thieves else ""
        yield block(
            f"{some(owners)} both have the subnet {subnet} in /run/flannel/subnet.env{note}",
            f"on {some(owners[1:])}: systemctl stop docker flanneld && rm /run/flannel/subnet.env",
        )
