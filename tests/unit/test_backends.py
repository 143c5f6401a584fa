"""What each backend says of itself."""

import json

import pytest

from fedwiz.model.backends import (
    ALWAYS,
    BACKENDS,
    LEFT_OUT,
    Backend,
    Option,
    Options,
    Version,
)

EVERY = list(BACKENDS.values())


def test_the_procedures_backend_is_the_first() -> None:
    assert next(iter(BACKENDS)) == "vxlan"
    assert json.dumps(BACKENDS["vxlan"].config({})) == '{"Type": "vxlan", "VNI": 1}'


CONFIG: dict[str, tuple[str, Options, dict[str, object]]] = {
    "a default is left out": ("udp", {"port": 8285}, {"Type": "udp"}),
    "what differs is said": ("udp", {"port": 9}, {"Type": "udp", "Port": 9}),
    "the VNI is always said": ("vxlan", {}, {"Type": "vxlan", "VNI": 1}),
    "in flannel's spelling": (
        "vxlan",
        {"direct_routing": True, "gbp": True, "mtu": 1400, "port": 4789, "vni": 7},
        {
            "Type": "vxlan",
            "VNI": 7,
            "Port": 4789,
            "GBP": True,
            "DirectRouting": True,
            "MTU": 1400,
        },
    ),
    "nothing to say": ("host-gw", {}, {"Type": "host-gw"}),
    "seconds, as flannel counts them": (
        "wireguard",
        {"persistent_keepalive_interval": 25},
        {"Type": "wireguard", "PersistentKeepaliveInterval": 25},
    ),
}


@pytest.mark.parametrize(("name", "options", "said"), CONFIG.values(), ids=CONFIG)
def test_config(name: str, options: Options, said: dict[str, object]) -> None:
    assert BACKENDS[name].config(options) == said


SEEN_FROM_OUTSIDE: dict[str, tuple[str, Options, tuple[str, ...], str, int]] = {
    # name, options: ports, device, MTU on a link of 1500
    "vxlan": ("vxlan", {}, ("8472/udp",), "flannel.1", 1450),
    "vxlan, other VNI and port": (
        "vxlan",
        {"vni": 42, "port": 4789},
        ("4789/udp",),
        "flannel.42",
        1450,
    ),
    "vxlan, its MTU is the outer one": (
        "vxlan",
        {"mtu": 1400},
        ("8472/udp",),
        "flannel.1",
        1350,
    ),
    "host-gw": ("host-gw", {}, (), "", 1500),
    "udp": ("udp", {}, ("8285/udp",), "flannel0", 1472),
    "wireguard": ("wireguard", {}, ("51820/udp",), "flannel-wg", 1420),
    "ipip": ("ipip", {}, (), "flannel.ipip", 1480),
    "alloc": ("alloc", {}, (), "", 1500),
}


@pytest.mark.parametrize(
    ("name", "options", "ports", "device", "mtu"),
    SEEN_FROM_OUTSIDE.values(),
    ids=SEEN_FROM_OUTSIDE,
)
def test_ports_device_and_mtu(
    name: str, options: Options, ports: tuple[str, ...], device: str, mtu: int
) -> None:
    backend = BACKENDS[name]
    assert backend.ports(options) == ports
    assert backend.device(options) == device
    assert backend.mtu(1500, options) == mtu


def test_ipip_is_let_in_by_its_number_which_every_firewalld_knows() -> None:
    assert BACKENDS["ipip"].protocols == ("4",)


UNKNOWN: dict[str, tuple[str, Options, Version, list[str]]] = {
    "the procedure's, on Fedora's last": ("vxlan", {}, (0, 9, 0), []),
    "an option that is younger": (
        "vxlan",
        {"mtu": 1400, "learning": True},
        (0, 12, 0),
        ["mtu needs flannel 0.21.3 or later"],
    ),
    "an option left at its default": ("vxlan", {"mtu": 0}, (0, 9, 0), []),
    "a backend that is younger": (
        "wireguard",
        {},
        (0, 9, 0),
        ["wireguard needs flannel 0.16.0 or later"],
    ),
    "just old enough": ("ipip", {"direct_routing": True}, (0, 10, 0), []),
}


@pytest.mark.parametrize(("name", "options", "flannel", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_a_flannel_can_not_do(
    name: str, options: Options, flannel: Version, said: list[str]
) -> None:
    assert list(BACKENDS[name].unknown_to(flannel, options)) == said


def test_a_backend_that_flannel_removed_says_so() -> None:
    gone = Backend("gce", "", "", 0, until=(0, 20, 0))
    assert gone.unknown_to((0, 19, 2), {}) == ()
    assert gone.unknown_to((0, 20, 0), {}) == ("flannel 0.20.0 and later has no gce",)


REFUSED: dict[str, tuple[str, str, object, bool]] = {
    "in range": ("vxlan", "vni", 9_999_999, False),
    "no room for its device's name": ("vxlan", "vni", 16_777_215, True),
    "0 is the kernel's port": ("vxlan", "port", 0, False),
    "no port": ("vxlan", "port", 65536, True),
    "0 is not a valid port of the udp backend's": ("udp", "port", 0, True),
    "negative": ("vxlan", "mtu", -1, True),
    "too small to carry anything": ("vxlan", "mtu", 575, True),
    "a flag is not a number": ("vxlan", "vni", True, True),
    "a number is not a flag": ("vxlan", "gbp", 1, True),
    "text": ("vxlan", "vni", "1", True),
    "a table": ("vxlan", "gbp", {}, True),
}


@pytest.mark.parametrize(("name", "key", "value", "bad"), REFUSED.values(), ids=REFUSED)
def test_option_values(name: str, key: str, value: object, bad: bool) -> None:
    option = BACKENDS[name].option(key)
    assert option is not None
    assert bool(option.refuse(value)) == bad


@pytest.mark.parametrize("backend", EVERY, ids=lambda b: b.name)
def test_every_entry_is_whole(backend: Backend) -> None:
    assert backend.title
    assert backend.help
    assert backend.name not in LEFT_OUT
    assert len({option.name for option in backend.options}) == len(backend.options)
    assert backend.since >= ALWAYS
    if backend.port:
        assert backend.option(backend.port) is not None
    for option in backend.options:
        assert option.refuse(option.default) == ""
        assert option.title.endswith("?"), f"{option.name} asks nothing"
        assert option.kind in (int, bool, str)
    for value in (1, 9_999_999):
        assert len(backend.device({"vni": value})) <= 15, "the kernel takes 15 characters"


def test_no_option_takes_a_secret() -> None:
    names = {o.key for b in EVERY for o in b.options}
    assert not names & {"PSK", "AccessKeyID", "AccessKeySecret"}


def test_an_option_that_a_backend_lacks_is_none() -> None:
    assert BACKENDS["host-gw"].option("vni") is None
    assert isinstance(BACKENDS["vxlan"].option("vni"), Option)
