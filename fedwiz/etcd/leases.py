"""flannel's leases: which subnet is whose, as etcd has it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from fedwiz.model.actions import Value


@dataclass(frozen=True, slots=True)
class Lease:
    """One subnet of the overlay, and the node that has it."""

    key: str
    subnet: str
    """`10.16.29.0/24`; empty where the key isn't one of flannel's."""

    revision: int
    ttl: int | None
    """Seconds until it expires; None: a reservation, which stays."""

    public_ip: str = ""
    """The node's address."""

    backend: str = ""
    """Lower case; empty for `udp` and `alloc`, which write none."""

    mac: str = ""
    """Of the node's `flannel.<VNI>` device, with vxlan."""

    vni: int | None = None
    """None with other backends, and with flannel before 0.17, which wrote none."""

    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The whole value."""

    error: str = ""
    """Not empty: what is wrong with the key or the value; the fields above are what was right."""


def parse_leases(values: Iterable[Value]) -> tuple[Lease, ...]:
    """The leases among the keys below flannel's prefix, in the order of their keys.

    Source: flannel's `MakeSubnetKey` (`a.b.c.d-len`, and with two stacks
    `a.b.c.d-len&v6-len`) and `LeaseAttrs` as JSON.  Keys outside `subnets/` are left out.
    """
    return tuple(_lease(value) for value in values if "/subnets/" in value.key)


def _lease(value: Value) -> Lease:
    wrong: list[str] = []
    subnet = _subnet(value.key.rpartition("/")[2])
    if not subnet:
        wrong.append("the key is no subnet: flannel writes a.b.c.d-length")
    data = _object(value.text)
    if data is None:
        wrong.append("the value is no JSON object")
        data = {}
    elif not _is_address(data.get("PublicIP")):
        wrong.append("PublicIP is no IPv4 address")
    inner = data.get("BackendData")
    more = inner if isinstance(inner, dict) else {}
    vni = more.get("VNI")
    return Lease(
        key=value.key,
        subnet=subnet,
        revision=value.revision,
        ttl=value.ttl,
        public_ip=data["PublicIP"] if _is_address(data.get("PublicIP")) else "",
        backend=_word(data.get("BackendType")).lower(),
        mac=_word(more.get("VtepMAC")).lower(),
        vni=vni if type(vni) is int else None,
        data=data,
        error="; ".join(wrong),
    )


def _subnet(name: str) -> str:
    address, dash, length = name.partition("&")[0].rpartition("-")
    try:
        network = IPv4Network(f"{address}/{int(length)}")
    except ValueError:
        return ""
    return str(network) if dash and length.isascii() and length.isdigit() else ""


def _object(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _is_address(said: object) -> bool:
    try:
        return isinstance(said, str) and bool(IPv4Address(said))
    except ValueError:
        return False


def _word(said: object) -> str:
    """A short text of printable characters, or nothing."""
    return said if isinstance(said, str) and said.isprintable() and len(said) <= 64 else ""
