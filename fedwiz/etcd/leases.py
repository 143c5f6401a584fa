"""flannel's leases as stored in etcd: which node has which subnet."""

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
    """`10.16.29.0/24`; empty if the key is not one of flannel's."""

    revision: int
    ttl: int | None
    """Seconds until it expires; None: a reservation, which does not expire."""

    public_ip: str = ""
    """The node's address."""

    backend: str = ""
    """Lower case; empty for `udp` and `alloc`, which store none."""

    mac: str = ""
    """MAC of the node's `flannel.<VNI>` device, for vxlan."""

    vni: int | None = None
    """None for other backends, and for flannel before 0.17, which stored none."""

    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The whole value."""

    error: str = ""
    """What is wrong with the key or the value; the other fields hold what was valid. Empty:
    nothing."""


def parse_leases(values: Iterable[Value]) -> tuple[Lease, ...]:
    """The leases among the keys below flannel's prefix, in the order of their keys.

    Source: flannel's `MakeSubnetKey` (`a.b.c.d-len`, and for dual stack `a.b.c.d-len&v6-len`) and
    `LeaseAttrs` as JSON. Keys outside `subnets/` are left out.
    """
    return tuple(_lease(value) for value in values if "/subnets/" in value.key)


def _lease(value: Value) -> Lease:
    errors: list[str] = []
    subnet = _subnet(value.key.rpartition("/")[2])
    if not subnet:
        errors.append("the key is not a subnet: flannel writes a.b.c.d-length")
    data = _object(value.text)
    if data is None:
        errors.append("the value is not a JSON object")
        data = {}
    elif not _is_address(data.get("PublicIP")):
        errors.append("PublicIP is not an IPv4 address")
    inner = data.get("BackendData")
    more = inner if isinstance(inner, dict) else {}
    vni = more.get("VNI")
    return Lease(
        key=value.key,
        subnet=subnet,
        revision=value.revision,
        ttl=value.ttl,
        public_ip=data["PublicIP"] if _is_address(data.get("PublicIP")) else "",
        backend=_short_text(data.get("BackendType")).lower(),
        mac=_short_text(more.get("VtepMAC")).lower(),
        vni=vni if type(vni) is int else None,
        data=data,
        error="; ".join(errors),
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
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_address(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(IPv4Address(value))
    except ValueError:
        return False


def _short_text(value: object) -> str:
    """A short text of printable characters; empty if it is not one."""
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 64 else ""
