"""flanneld's flags, read as Go's flag package reads them, and its choice of an interface."""

import json
import os
import re
import sys
from typing import Any

from .backend import ip
from .log import Log

# name: (default, since, repeatable)
FLAGS: dict[str, tuple[str | bool, tuple[int, ...], bool]] = {
    "etcd-endpoints": ("http://127.0.0.1:4001,http://127.0.0.1:2379", (0, 2), False),
    "etcd-prefix": ("/coreos.com/network", (0, 1), False),
    "etcd-keyfile": ("", (0, 2), False),
    "etcd-certfile": ("", (0, 2), False),
    "etcd-cafile": ("", (0, 2), False),
    "etcd-username": ("", (0, 5, 6), False),
    "etcd-password": ("", (0, 5, 6), False),
    "iface": ("", (0, 1), True),
    "iface-regex": ("", (0, 8), True),
    "iface-can-reach": ("", (0, 18), False),
    "public-ip": ("", (0, 5, 2), False),
    "public-ipv6": ("", (0, 15), False),
    "ip-masq": (False, (0, 1), False),
    "subnet-file": ("/run/flannel/subnet.env", (0, 1), False),
    "subnet-lease-renew-margin": ("60", (0, 7), False),
    "healthz-ip": ("0.0.0.0", (0, 8), False),
    "healthz-port": ("0", (0, 8), False),
    "iptables-resync": ("5", (0, 11), False),
    "iptables-forward-rules": (True, (0, 11), False),
    "v": ("0", (0, 1), False),
    "version": (False, (0, 1), False),
}


class UnfitError(Exception):
    """Why there is no interface to use; also what to log first."""


def usage(version: tuple[int, ...]) -> str:
    lines = ["Usage: flanneld [OPTION]..."]
    for name, (default, since, _) in sorted(FLAGS.items()):
        if version >= since:
            kind = "" if isinstance(default, bool) else " string"
            shown = f" (default {json.dumps(default)})" if default else ""
            lines += [f"  -{name}{kind}", f"    \t{name.replace('-', ' ')}{shown}"]
    return "\n".join(lines) + "\n"


def stop(text: str, version: tuple[int, ...], rc_old: int = 2) -> None:
    sys.stderr.write(text + usage(version))
    raise SystemExit(0 if version >= (0, 8) else rc_old)


def read(argv: list[str], version: tuple[int, ...]) -> dict[str, Any]:
    """The value of every flag: the command line, then FLANNELD_*, then the default."""
    given: dict[str, Any] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if name in ("h", "help"):
            stop("", version)
        if name not in FLAGS or version < FLAGS[name][1]:
            stop(f"flag provided but not defined: -{name}\n", version)
        default, _, repeatable = FLAGS[name]
        if isinstance(default, bool):
            if equals and value.lower() not in ("true", "false", "1", "0", "t", "f"):
                said = f'invalid boolean value "{value}" for -{name}: parse error\n'
                stop(said, version)
            given[name] = not equals or value.lower() in ("true", "1", "t")
            continue
        if not equals:
            if not rest:
                stop(f"flag needs an argument: -{name}\n", version)
            value = rest.pop(0)
        given[name] = [*given.get(name, []), value] if repeatable else value
    for name, (default, _, repeatable) in FLAGS.items():
        if name in given:
            continue
        value = os.environ.get("FLANNELD_" + name.upper().replace("-", "_"), "")
        if isinstance(default, bool):
            given[name] = value.lower() in ("true", "1", "t") if value else default
        elif repeatable:
            given[name] = value.split(",") if value else []
        else:
            given[name] = value or default
    return given


def interfaces() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(ip("-j", "-4", "addr"))
    return [row for row in rows if row.get("ifname")]


def addresses(row: dict[str, Any]) -> list[str]:
    return [each["local"] for each in row.get("addr_info", []) if each.get("scope") == "global"]


def matching(wanted: str) -> dict[str, Any]:
    """The interface of this name or with this address."""
    by_address = re.fullmatch(r"\d+\.\d+\.\d+\.\d+", wanted)
    for row in interfaces():
        if by_address and wanted in addresses(row):
            return {**row, "chosen": wanted}
        if row["ifname"] == wanted:
            if not addresses(row):
                raise UnfitError(f"failed to find IPv4 address for interface {wanted}")
            return row
    if by_address:
        raise UnfitError(f"error looking up interface {wanted}: No interface with given IP found")
    raise UnfitError(
        f"error looking up interface {wanted}: route ip+net: no such network interface"
    )


def default_route() -> str:
    rows = json.loads(ip("-j", "-4", "route", "show", "default") or "[]")
    if not rows:
        raise UnfitError("failed to get default interface: Unable to find default route")
    return str(rows[0]["dev"])


def choose(options: dict[str, Any], log: Log) -> dict[str, Any]:
    """The interface to use: its name, address, MTU, and the address that others are told."""
    row = None
    where = "main.go"
    for wanted in options["iface"]:
        try:
            row = matching(wanted)
            break
        except UnfitError as problem:
            log.info(where, f"Could not find valid interface matching {wanted}: {problem}")
    for pattern in options["iface-regex"] if row is None else []:
        hits = [
            each
            for each in interfaces()
            if addresses(each)
            and (re.search(pattern, each["ifname"]) or re.search(pattern, addresses(each)[0]))
        ]
        if hits:
            row = hits[0]
            break
        log.info(where, f"Could not find valid interface matching {pattern}: no match")
    if row is None and (options["iface"] or options["iface-regex"]):
        log.fault(
            where,
            "Failed to find interface to use that matches the interfaces and/or regexes provided",
        )
        raise SystemExit(1)
    if row is None:
        log.info(where, "Determining IP address of default interface")
        try:
            row = matching(default_route())
        except UnfitError as problem:
            log.fault(where, f"Failed to find any valid interface to use: {problem}")
            raise SystemExit(1) from None
    address = row.get("chosen") or addresses(row)[0]
    log.info(where, f"Using interface with name {row['ifname']} and address {address}")
    public = options["public-ip"]
    if public:
        log.info(where, f"Using {public} as external address")
    else:
        log.info(where, f"Defaulting external address to interface address ({address})")
    return {
        "name": row["ifname"],
        "address": address,
        "mtu": row["mtu"],
        "public": public or address,
    }
