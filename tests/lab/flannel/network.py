"""flannel's network config and its way to a lease, as the lab's flanneld knows them."""

import ipaddress
import json
import random
from dataclasses import dataclass
from typing import Any

from .log import Log
from .store import TTL, ExistsError, Lease, RefusalError, Store

Net = ipaddress.IPv4Network
STRICT = (0, 10, 0)


class InvalidError(Exception):
    """A network config that flannel does not take."""


@dataclass
class Config:
    network: Net
    length: int
    low: ipaddress.IPv4Address
    high: ipaddress.IPv4Address
    backend: str
    options: dict[str, Any]

    def fits(self, subnet: Net) -> bool:
        return subnet.prefixlen == self.length and self.low <= subnet.network_address <= self.high


def decode(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as problem:
        if problem.pos >= len(text.rstrip()):
            raise InvalidError("unexpected end of JSON input") from None
        char = text[problem.pos]
        shown = "'\\''" if char == "'" else f"'{char}'"
        raise InvalidError(f"invalid character {shown} looking for beginning of value") from None
    if not isinstance(value, dict):
        kind = {str: "string", list: "array", bool: "bool"}.get(type(value), "number")
        raise InvalidError(f"json: cannot unmarshal {kind} into Go value of type subnet.Config")
    return {key.lower(): each for key, each in value.items()}


def number(raw: dict[str, Any], key: str, name: str) -> int:
    value = raw.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        kind = "string" if isinstance(value, str) else f"number {value}"
        raise InvalidError(
            f"json: cannot unmarshal {kind} into Go struct field Config.{name} of type uint"
        )
    return value


def address(raw: dict[str, Any], key: str) -> ipaddress.IPv4Address | None:
    value = raw.get(key)
    if value in (None, "", "0.0.0.0"):
        return None
    try:
        return ipaddress.IPv4Address(str(value))
    except ValueError:
        raise InvalidError(f"error parsing IP address {value!r}") from None


def network_of(raw: dict[str, Any], version: tuple[int, ...]) -> Net:
    given = raw.get("network")
    if given is None:
        if version >= (0, 19, 2):
            raise InvalidError("please define a correct Network parameter in the flannel config")
        given = "0.0.0.0/0"
    try:
        return Net(str(given) if "/" in str(given) else "none", strict=False)
    except ValueError:
        raise InvalidError(f"invalid CIDR address: {given}") from None


def length_of(raw: dict[str, Any], prefix: int, strict: bool) -> int:
    length = number(raw, "subnetlen", "SubnetLen")
    if not strict:
        if length and length < prefix:
            raise InvalidError("HostSubnet is larger network than Network")
        return length or (24 if prefix < 24 else prefix + 1)
    if length > 30:
        raise InvalidError("SubnetLen must be less than /31")
    if length and length < prefix + 2:
        raise InvalidError("Network must be able to accommodate at least four subnets")
    if not length and prefix > 28:
        raise InvalidError("Network is too small. Minimum useful network prefix is /28")
    return length or (24 if prefix <= 22 else prefix + 2)


def parse(text: str, version: tuple[int, ...]) -> Config:
    raw = decode(text)
    strict = version >= STRICT
    network = network_of(raw, version)
    length = length_of(raw, network.prefixlen, strict)
    size = 1 << (32 - length)
    low = address(raw, "subnetmin")
    high = address(raw, "subnetmax")
    for name, given in (("SubnetMin", low), ("SubnetMax", high)):
        if given is None:
            continue
        if given not in network:
            raise InvalidError(f"{name} is not in the range of the Network")
        if strict and int(given) % size:
            raise InvalidError(f"{name} is not on a SubnetLen boundary: {given}/{length}")
    low = low or ipaddress.IPv4Address((int(network.network_address) + size) & 0xFFFFFFFF)
    high = high or ipaddress.IPv4Address(int(network.broadcast_address) + 1 - size)
    options = raw.get("backend")
    if options is None:
        backend, options = "udp", {}
    elif isinstance(options, dict):
        options = {key.lower(): value for key, value in options.items()}
        backend = str(options.get("type", "")).lower()
    else:
        raise InvalidError("error decoding Backend property of config")
    return Config(network, length, low, high, backend, options)


def net(subnet: str) -> Net:
    return Net(subnet, strict=False)


def allocate(config: Config, leases: list[Lease]) -> str:
    """One of the first hundred free subnets, at random."""
    size = 1 << (32 - config.length)
    taken = [net(lease.subnet) for lease in leases]
    free: list[str] = []
    start = int(config.low)
    while start <= int(config.high) and len(free) < 100:
        subnet = f"{ipaddress.IPv4Address(start)}/{config.length}"
        if not any(net(subnet).overlaps(each) for each in taken):
            free.append(subnet)
        start += size
    if not free:
        raise RefusalError("out of subnets")
    return random.choice(free)  # noqa: S311 - flannel's own way


class Manager:
    """Takes a lease in flannel's order: the one of this address, the previous one, a free one."""

    def __init__(self, store: Store, version: tuple[int, ...], log: Log) -> None:
        self.store = store
        self.version = version
        self.log = log
        self.previous: str | None = None

    def acquire(self, config: Config, ip: str, attrs: dict[str, Any]) -> tuple[str, float | None]:
        for _ in range(10):
            try:
                return self.attempt(config, ip, attrs)
            except ExistsError as problem:
                if self.version >= (0, 18):
                    raise RefusalError(str(problem)) from None
        raise RefusalError("Max retries reached trying to acquire a subnet")

    def reuse(self, lease: Lease, attrs: dict[str, Any]) -> tuple[str, float | None]:
        ttl = TTL if lease.expires or self.version >= (0, 18) else 0
        return lease.subnet, self.store.update(lease.subnet, attrs, ttl)

    def attempt(self, config: Config, ip: str, attrs: dict[str, Any]) -> tuple[str, float | None]:
        say, where = self.log.info, "local_manager.go"
        leases = self.store.leases()
        mine = next((each for each in leases if each.attrs.get("PublicIP") == ip), None)
        if mine and config.fits(net(mine.subnet)):
            say(where, f"Found lease ({mine.subnet}) for current IP ({ip}), reusing")
            return self.reuse(mine, attrs)
        if mine:
            said = "but not compatible with current config, deleting"
            say(where, f"Found lease ({mine.subnet}) for current IP ({ip}) {said}")
            self.store.delete(mine.subnet)
        chosen = None
        if self.previous:
            held = next((each for each in leases if each.subnet == self.previous), None)
            fits = config.fits(net(self.previous))
            if held and self.version < (0, 18):
                if fits:
                    said = "matching previously leased subnet, reusing"
                    say(where, f"Found lease ({held.subnet}) {said}")
                    return self.reuse(held, attrs)
                said = "matching previously leased subnet but not compatible"
                say(where, f"Found lease ({held.subnet}) {said} with current config, deleting")
                self.store.delete(held.subnet)
            elif fits and not held:
                say(where, f"Found previously leased subnet ({self.previous}), reusing")
                chosen = self.previous
            elif not fits:
                said = "that is not compatible with the Etcd network config, ignoring"
                self.log.fault(where, f"Found previously leased subnet ({self.previous}) {said}")
        if not chosen:
            chosen = allocate(config, leases)
        expires = self.store.create(chosen, attrs)
        say(where, f"Allocated lease ({chosen}) to current node ({ip}) ")
        return chosen, expires
