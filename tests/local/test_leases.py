"""flannel's leases, as they are in etcd."""

import json

import pytest

from fedwiz.etcd import parse_leases
from fedwiz.model.actions import Value
from tests.support.etcd_servers import CONFIG, SUBNETS


def leased(key: str, value: str, ttl: int | None = 3600) -> Value:
    return Value(f"{SUBNETS}/{key}", value, 7, ttl)


VXLAN = '{"PublicIP":"10.77.0.11","PublicIPv6":null,"BackendType":"vxlan",\
"BackendData":{"VNI":1,"VtepMAC":"BA:d9:d2:49:cf:fb"}}'
OLD = (
    '{"PublicIP":"10.77.0.11","BackendType":"vxlan","BackendData":{"VtepMAC":"ba:d9:d2:49:cf:fb"}}'
)
LEASES: dict[str, tuple[Value, tuple[str, str, str, str, int | None]]] = {
    "vxlan": (
        leased("10.16.29.0-24", VXLAN),
        ("10.16.29.0/24", "10.77.0.11", "vxlan", "ba:d9:d2:49:cf:fb", 1),
    ),
    "vxlan before 0.17": (
        leased("10.16.29.0-24", OLD),
        ("10.16.29.0/24", "10.77.0.11", "vxlan", "ba:d9:d2:49:cf:fb", None),
    ),
    "host-gw": (
        leased("10.16.29.0-24", '{"PublicIP":"10.77.0.11","BackendType":"host-gw"}'),
        ("10.16.29.0/24", "10.77.0.11", "host-gw", "", None),
    ),
    "a reservation": (
        leased("10.16.29.0-24", '{"PublicIP":"10.77.0.11"}', None),
        ("10.16.29.0/24", "10.77.0.11", "", "", None),
    ),
    "two stacks": (
        leased("10.16.29.0-24&fc00::-64", VXLAN),
        ("10.16.29.0/24", "10.77.0.11", "vxlan", "ba:d9:d2:49:cf:fb", 1),
    ),
}


@pytest.mark.parametrize(("value", "seen"), LEASES.values(), ids=LEASES)
def test_a_lease_is_read(value: Value, seen: tuple[str, str, str, str, int | None]) -> None:
    (lease,) = parse_leases([value])
    assert (lease.subnet, lease.public_ip, lease.backend, lease.mac, lease.vni) == seen
    assert (lease.key, lease.revision, lease.ttl, lease.error) == (value.key, 7, value.ttl, "")


WRONG = {
    "no JSON": (leased("10.16.29.0-24", "{"), "not a JSON object"),
    "a list": (leased("10.16.29.0-24", "[1]"), "not a JSON object"),
    "null": (leased("10.16.29.0-24", "null"), "not a JSON object"),
    "too deep": (leased("10.16.29.0-24", "[" * 100_000), "not a JSON object"),
    "no address": (leased("10.16.29.0-24", "{}"), "PublicIP"),
    "a number for an address": (leased("10.16.29.0-24", '{"PublicIP": 1}'), "PublicIP"),
    "a name for an address": (leased("10.16.29.0-24", '{"PublicIP": "n1"}'), "PublicIP"),
    "a key without a length": (leased("10.16.29.0", VXLAN), "not a subnet"),
    "a key with host bits": (leased("10.16.29.7-24", VXLAN), "not a subnet"),
    "a key with a mask": (leased("10.16.29.0-255.255.255.0", VXLAN), "not a subnet"),
    "a key with a signed length": (leased("10.16.29.0-+24", VXLAN), "not a subnet"),
    "a key with a long length": (leased("10.16.29.0-240", VXLAN), "not a subnet"),
    "a key with a name": (leased("lock", VXLAN), "not a subnet"),
    "an empty key": (leased("", VXLAN), "not a subnet"),
}


@pytest.mark.parametrize(("value", "said"), WRONG.values(), ids=WRONG)
def test_a_lease_that_is_none_says_what_is_wrong(value: Value, said: str) -> None:
    (lease,) = parse_leases([value])
    assert said in lease.error


def test_what_is_odd_inside_a_lease_is_left_out() -> None:
    odd = {
        "PublicIP": "10.0.0.1",
        "BackendType": 3,
        "BackendData": {"VNI": True, "VtepMAC": "\x1b[31m"},
    }
    (lease,) = parse_leases([leased("10.16.29.0-24", json.dumps(odd))])
    assert (lease.backend, lease.mac, lease.vni, lease.error) == ("", "", None, "")
    assert parse_leases([leased("10.16.29.0-24", '{"PublicIP":"1.1.1.1","BackendData":[1]}')])


def test_only_what_is_below_subnets_is_a_lease() -> None:
    config = Value(CONFIG, "{}", 3)
    assert parse_leases([config, leased("10.16.29.0-24", VXLAN), config])[0].subnet
    assert len(parse_leases([config, leased("10.16.29.0-24", VXLAN)])) == 1
