"""The flannel backends that fedwiz offers: one entry each; nothing else needs to change.

Source: flannel v0.28.9, `pkg/backend/*` and `Documentation/backends.md`; the versions are those of
the tags in which an option first appears.

Deliberately left out, see `LEFT_OUT`: backends that need a secret inside flannel's configuration
(every reader of etcd sees it, and a plan would show it), that run the operator's own commands, or
that flannel itself has removed. WireGuard's `PSK` is left out for the first reason, and its `Mode`
and `ListenPortV6` because fedwiz's networks are IPv4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

Value: TypeAlias = int | bool | str
Version: TypeAlias = tuple[int, int, int]
Options: TypeAlias = Mapping[str, Value]

ALWAYS: Version = (0, 0, 0)
"""Known to every flannel still in use."""

KERNEL_VXLAN_PORT = 8472
"""The kernel's port where flannel's `Port` is 0; IANA assigned another one, 4789."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a backend."""

    name: str
    """Its key in the answers: `direct_routing`."""

    key: str
    """Its key in flannel's JSON: `DirectRouting`."""

    kind: type
    """`int`, `bool` or `str`."""

    default: Value
    title: str
    help: str
    low: int | None = None
    high: int | None = None
    """Inclusive bounds of a number. The default is valid even outside them: 0 often means `let the
    kernel choose`."""

    since: Version = ALWAYS
    """The first flannel that knows it; older ones ignore it silently."""

    def refuse(self, value: object) -> str:
        """What is wrong with a value and what would be valid; empty if it is valid."""
        if type(value) is not self.kind:
            return f"it is {_KINDS[self.kind]}"
        if value == self.default or not isinstance(value, int):
            return ""
        if (self.low is not None and value < self.low) or (
            self.high is not None and value > self.high
        ):
            return f"it is {self.default} or a number from {self.low} to {self.high}"
        return ""


_KINDS: Mapping[type, str] = MappingProxyType(
    {int: "a number without quotes", bool: "true or false, without quotes", str: "text in quotes"}
)


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend: how packets travel between nodes."""

    name: str
    """Its `Type` in flannel's JSON."""

    title: str
    help: str
    overhead: int
    """Bytes by which the containers' MTU is smaller than the interface's."""

    port: str = ""
    """Name of the option that holds the UDP port; empty: it uses none."""

    protocols: tuple[str, ...] = ()
    """IP protocols to accept, as numbers: firewalld takes those whatever `/etc/protocols` calls
    them (4 is `ipencap` on Debian, where `ipip` is 94)."""

    same_link: bool = False
    """All nodes must share one layer 2 network."""

    modules: tuple[str, ...] = ()
    """Kernel modules that it needs."""

    since: Version = ALWAYS
    until: Version | None = None
    """The first flannel without it; None: the newest still has it."""

    link: str = ""
    """Name of its network device, with `{option}` placeholders; empty: it has none."""

    options: tuple[Option, ...] = ()

    def option(self, name: str) -> Option | None:
        """The option of that name, or None."""
        return next((option for option in self.options if option.name == name), None)

    def complete(self, options: Options) -> dict[str, Value]:
        """Every option's value, in order: the given one, otherwise the default."""
        return {option.name: options.get(option.name, option.default) for option in self.options}

    def ports(self, options: Options) -> tuple[str, ...]:
        """The ports to open, in firewalld's notation: `8472/udp`."""
        if not self.port:
            return ()
        return (f"{self.complete(options)[self.port] or KERNEL_VXLAN_PORT}/udp",)

    def device(self, options: Options) -> str:
        """Its network device on a node (`flannel.1`); empty: it has none."""
        return self.link.format(**self.complete(options))

    def mtu(self, uplink: int, options: Options) -> int:
        """The containers' MTU that flannel will set, in bytes.

        Args:
            uplink: MTU of the node's interface.
            options: the backend's options; their `mtu` is that of the outer packet, like
                `uplink`.
        """
        chosen = self.complete(options).get("mtu") or uplink
        return int(chosen) - self.overhead

    def config(self, options: Options) -> dict[str, Value]:
        """The value of `Backend` in flannel's JSON.

        Only what differs from flannel's defaults, so that an old flannel gets no key that it does
        not know; but always the VNI, as the procedure writes it.
        """
        result: dict[str, Value] = {"Type": self.name}
        for option in self.options:
            value = options.get(option.name, option.default)
            if value != option.default or option.name == "vni":
                result[option.key] = value
        return result

    def unknown_to(self, flannel: Version, options: Options) -> tuple[str, ...]:
        """What a flannel of that version does not support, as sentences; empty: nothing."""
        problems = []
        if flannel < self.since:
            problems.append(f"{self.name} needs flannel {dotted(self.since)} or later")
        if self.until is not None and flannel >= self.until:
            problems.append(f"flannel {dotted(self.until)} and later has no {self.name}")
        for option in self.options:
            given = options.get(option.name, option.default) != option.default
            if given and flannel < option.since:
                problems.append(f"{option.name} needs flannel {dotted(option.since)} or later")
        return tuple(problems)


def dotted(version: Version) -> str:
    """`0.9.1`."""
    return ".".join(map(str, version))


def _mtu(since: Version) -> Option:
    return Option(
        "mtu",
        "MTU",
        int,
        0,
        "How large may a packet between two nodes be, in bytes?",
        "0: as large as the node's interface allows.  Set it where nodes differ in this.",
        576,
        65535,
        since,
    )


_DIRECT = Option(
    "direct_routing",
    "DirectRouting",
    bool,
    False,
    "Route directly between nodes on one link?",
    "Packets between nodes on the same link are not wrapped; all others are.",
    since=(0, 9, 0),
)

_ALL = (
    Backend(
        "vxlan",
        "VXLAN, in the kernel",
        "Works over any routed network.  The procedure's own choice.",
        50,
        "port",
        modules=("vxlan",),
        link="flannel.{vni}",
        options=(
            # flannel.<VNI> must fit into the kernel's limit of 15 characters: at most 7 digits.
            Option(
                "vni",
                "VNI",
                int,
                1,
                "Which VXLAN network identifier?",
                "Any number that no other VXLAN between these nodes uses.",
                1,
                9_999_999,
            ),
            Option(
                "port",
                "Port",
                int,
                0,
                "Which UDP port carries the packets?",
                "0: the kernel's own, 8472.  Change it where a hypervisor eats that.",
                1,
                65535,
            ),
            Option(
                "gbp",
                "GBP",
                bool,
                False,
                "Use VXLAN group based policy?",
                "Only where something else on the nodes reads the group marks.",
            ),
            _DIRECT,
            Option(
                "learning",
                "Learning",
                bool,
                False,
                "Let the kernel learn MAC addresses?",
                "flannel writes them by itself; only for unusual networks.",
                since=(0, 12, 0),
            ),
            _mtu((0, 21, 3)),
        ),
    ),
    Backend(
        "host-gw",
        "Plain routes",
        "The fastest; all nodes must be on one link, and most clouds block it.",
        0,
        same_link=True,
    ),
    Backend(
        "udp",
        "UDP, in flanneld itself",
        "Slow, and packets stop when flanneld does; only where the kernel has nothing better.",
        28,
        "port",
        modules=("tun",),
        link="flannel0",
        options=(
            Option(
                "port",
                "Port",
                int,
                8285,
                "Which UDP port carries the packets?",
                "The same on all nodes.",
                1,
                65535,
            ),
        ),
    ),
    Backend(
        "wireguard",
        "WireGuard, encrypted, in the kernel",
        "Encrypts between nodes; needs flannel 0.16 and a kernel of 5.6 or later.",
        80,
        "listen_port",
        modules=("wireguard",),
        since=(0, 16, 0),
        link="flannel-wg",
        options=(
            Option(
                "listen_port",
                "ListenPort",
                int,
                51820,
                "Which UDP port carries the packets?",
                "The same on all nodes.",
                1,
                65535,
            ),
            Option(
                "persistent_keepalive_interval",
                "PersistentKeepaliveInterval",
                int,
                0,
                "After how many quiet seconds is a sign of life sent?",
                "0: never.  25 keeps a way through a NAT open.",
                1,
                65535,
            ),
            _mtu((0, 18, 0)),
        ),
    ),
    Backend(
        "ipip",
        "IP in IP, in the kernel",
        "Less overhead than VXLAN, works over routers that pass IP protocol 4.",
        20,
        protocols=("4",),
        modules=("ipip",),
        since=(0, 10, 0),
        link="flannel.ipip",
        options=(_DIRECT,),
    ),
    Backend(
        "alloc",
        "Subnets only",
        "Gives each node its subnet and moves no packets: containers on different nodes reach "
        "each other only where something else routes between them.",
        0,
    ),
)

BACKENDS: Mapping[str, Backend] = MappingProxyType({backend.name: backend for backend in _ALL})
"""By flannel's `Type`, the recommended one first."""

_REMOVED = "flannel removed it in 0.20.0"
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "ipsec": "its pre-shared key would stand readable in etcd and in the plan; "
        "wireguard encrypts",
        "tencent-vpc": "its access key would stand readable in etcd and in the plan",
        "extension": "it runs commands from etcd as root on every node",
        "aws-vpc": _REMOVED,
        "gce": _REMOVED,
        "ali-vpc": _REMOVED,
    }
)
"""flannel's backends that fedwiz does not offer, each with the reason."""
