"""What a host's answers mean: text in, fields of `Facts` out.

Each function raises ValueError, and nothing else, on what it can't read; a missing answer
is an empty text.  The text is untrusted.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from fedwiz.facts.values import (
    Endpoint,
    Fdb,
    File,
    Firewall,
    KubeNode,
    Link,
    Neighbour,
    Route,
    Unit,
)

Fields = Mapping[str, Any]
MAX_TEXT_CHARS = 300
"""Characters kept of a text that is only shown."""

MAX_EPOCH_SECONDS = 1e11
"""Seconds since 1970 that no clock of a host's has reached."""

MAC = r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}"


def _objects(said: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list; ValueError for anything else."""
    try:
        found = json.loads(said)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, list):
        raise ValueError("not a list")
    yield from (item for item in found if isinstance(item, dict))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _pairs(said: str) -> Iterator[tuple[str, str]]:
    """`KEY=value` lines, quotes taken off."""
    for line in said.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", key):
            yield key, value.strip("\"'")


def names(said: str) -> Fields:
    """Host name, machine-id, boot id, kernel release, architecture, clock: a line each."""
    lines = [line.strip() for line in said.splitlines()]
    if len(lines) < 6:
        raise ValueError("too few lines")
    clock = float(lines[5])
    if not 0 <= clock < MAX_EPOCH_SECONDS:  # nor is it `nan`
        raise ValueError("no time of day")
    return {
        "hostname": lines[0][:MAX_TEXT_CHARS],
        "machine_id": lines[1][:64],
        "boot_id": lines[2][:64],
        "kernel": lines[3][:MAX_TEXT_CHARS],
        "arch": lines[4][:MAX_TEXT_CHARS],
        "clock": clock,
    }


def os_release(said: str) -> Fields:
    """os-release's ID and VERSION_ID."""
    pairs = dict(_pairs(said))
    return {"os": pairs.get("ID", "")[:64], "os_version": pairs.get("VERSION_ID", "")[:64]}


def links(said: str) -> Fields:
    """`ip -json -details address`: keys ifname, address, mtu, flags, addr_info, linkinfo."""
    found = []
    for link in _objects(said):
        info = link.get("linkinfo")
        info = info if isinstance(info, dict) else {}
        data = info.get("info_data")
        data = data if isinstance(data, dict) else {}
        held = link.get("addr_info")
        flags = link.get("flags")
        found.append(
            Link(
                name=str(link.get("ifname", ""))[:64],
                mac=str(link.get("address", ""))[:64],
                mtu=_number(link.get("mtu")) or 0,
                up="UP" in flags if isinstance(flags, list) else False,
                addresses=tuple(
                    f"{IPv4Network(address['local']).network_address}/{int(address['prefixlen'])}"
                    for address in (held if isinstance(held, list) else ())
                    if isinstance(address, dict)
                    and address.get("family") == "inet"
                    and {"local", "prefixlen"} <= address.keys()
                    and _number(address["prefixlen"]) in range(33)
                ),
                kind=str(info.get("info_kind", ""))[:64],
                vni=_number(data.get("id")),
                port=_number(data.get("port")),
            )
        )
    return {"links": tuple(found)}


def routes(said: str) -> Fields:
    """`ip -json -4 route`: keys dst, dev, gateway.  A host's route gets its /32."""
    found = []
    for route in _objects(said):
        to = str(route.get("dst", ""))
        if to != "default":
            to = str(IPv4Network(to, strict=False))
        gateway = str(route.get("gateway", ""))[:64]
        found.append(Route(to, str(route.get("dev", ""))[:64], gateway))
    return {"routes": tuple(found)}


def neighbours(said: str) -> Fields:
    """`ip -json -4 neighbour show`: keys dst, dev, lladdr, state; flannel's devices alone.

    The state is a list of words, and of one in all that was ever seen.
    """
    found = []
    for entry in _objects(said):
        dev, state = str(entry.get("dev", ""))[:64], entry.get("state")
        if dev.startswith("flannel"):
            words = map(str, state if isinstance(state, list) else ())
            mac = re.fullmatch(MAC, str(entry.get("lladdr", "")))
            at = str(IPv4Address(str(entry.get("dst", ""))))
            held = mac.group().lower() if mac else ""
            found.append(Neighbour(at, dev, held, " ".join(words)[:64]))
    return {"neighbours": tuple(found)}


def fdb(said: str) -> Fields:
    """`MAC dev DEV dst ADDRESS self permanent` of `bridge fdb show`; a mark says it was read."""
    entry = rf"^({MAC}) dev (\S{{1,64}}) (?:.* )?dst (\d+\.\d+\.\d+\.\d+)\b"
    found = [
        Fdb(mac.lower(), str(IPv4Address(dst)), dev)
        for mac, dev, dst in re.findall(entry, said, re.MULTILINE)
    ]
    vteps = frozenset(each.dst for each in found)
    return {"vteps": vteps, "fdb": tuple(found) if "#read" in said else None}


def units(said: str) -> Fields:
    """`systemctl show`: blocks of `Key=value` parted by empty lines."""
    found = {}
    for block in re.split(r"\n\s*\n", said):
        pairs = dict(_pairs(block))
        if name := pairs.get("Id"):
            pid = pairs.get("MainPID", "0")
            found[name] = Unit(
                load=pairs.get("LoadState", ""),
                active=pairs.get("ActiveState", ""),
                enabled=pairs.get("UnitFileState", ""),
                pid=int(pid) if pid.isdecimal() else 0,
            )
    return {"units": found}


def files(said: str) -> Fields:
    """`path mode owner base64` lines."""
    found = {}
    for line in said.splitlines():
        words = line.split(" ")
        if len(words) != 4:
            continue
        path, mode, owner, encoded = words
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
        except binascii.Error:
            raise ValueError(f"{path} is not base64") from None
        found[path] = File(text, int(mode, 8), owner)
    return {"files": found}


def hashes(said: str) -> Fields:
    """`sha256sum`: `hash  path` lines."""
    found = re.findall(r"^([0-9a-f]{64}) [ *](.+)$", said, re.MULTILINE)
    return {"hashes": {path: hashed for hashed, path in found}}


def sysctls(said: str) -> Fields:
    """`sysctl`: `key = value` lines."""
    return {"sysctls": dict(re.findall(r"^([\w.-]+) = (.*)$", said, re.MULTILINE))}


def modules(said: str) -> Fields:
    """`name 0|1` lines; the last line on a module counts if it says 1."""
    found: dict[str, bool] = {}
    for name, used in re.findall(r"^(\w+) ([01])$", said, re.MULTILINE):
        found[name] = found.get(name, False) or used == "1"
    return {"modules": found}


def packages(said: str) -> Fields:
    """`name version-release` lines."""
    return {"packages": dict(re.findall(r"^([\w.+-]+) (\S{1,100})$", said, re.MULTILINE))}


def flanneld(said: str) -> Fields:
    """The path, then what `--version` printed."""
    path, _, printed = said.strip().partition("\n")
    return {"flanneld": path[:MAX_TEXT_CHARS], "flanneld_version": printed.strip()[:MAX_TEXT_CHARS]}


def containers(said: str) -> Fields:
    """A count."""
    return {"containers": int(said.strip() or 0)}


def networks(said: str) -> Fields:
    """Subnets in CIDR form, a line for each network; IPv6 is left out."""
    found = [str(IPv4Network(word)) for word in said.split() if ":" not in word and "/" in word]
    return {"docker_networks": tuple(found)}


def subnet_env(said: str) -> Fields:
    """The file's variables; a mark says that the file is there, empty or not."""
    if "#read" not in said:
        return {"subnet_env": None}
    return {"subnet_env": {key: value[:MAX_TEXT_CHARS] for key, value in _pairs(said)}}


def rules(said: str) -> Fields:
    """`*table`, then `iptables -S`, then a mark if that went well."""
    found = {}
    for part in re.split(r"^\*", said, flags=re.MULTILINE)[1:]:
        table, *lines = part.splitlines()
        if "#read" in lines:
            found[table] = tuple(line for line in lines if line.startswith("-"))
    return {"rules": found}


def firewall(said: str) -> Fields:
    """`zone NAME`, then `now|later ports|protocols|sources WORD...`; empty: it does not run."""
    lines = [line.split() for line in said.splitlines() if line.strip()]
    if not lines:
        return {"firewall": None}
    opened: dict[tuple[str, bool], set[str]] = {}
    zone = ""
    for words in lines:
        if words[0] == "zone" and len(words) > 1:
            zone = words[1][:64]
        elif len(words) > 1:
            opened.setdefault((words[0], words[1] == "sources"), set()).update(words[2:])
    return {
        "firewall": Firewall(
            zone,
            frozenset(opened.get(("now", False), ())),
            frozenset(opened.get(("later", False), ())),
            frozenset(opened.get(("now", True), ())),
            frozenset(opened.get(("later", True), ())),
        )
    }


def disk(said: str) -> Fields:
    """`path` and a line of `df -P` in KiB, whose fourth column is what is free; `ro path`."""
    free, read_only = {}, []
    for line in said.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "ro":
            read_only.append(words[1])
        elif len(words) >= 6 and words[4].isdecimal():
            free[words[0]] = int(words[4])
    return {"free": free, "read_only": tuple(read_only)}


def nameservers(said: str) -> Fields:
    """resolv.conf's IPv4 servers."""
    servers = re.findall(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$", said, re.MULTILINE)
    return {"nameservers": tuple(servers)}


def listening(said: str) -> Fields:
    """`ss -ltnH`: the fourth column is the local address."""
    rows = (line.split() for line in said.splitlines())
    return {"listening": frozenset(row[3] for row in rows if len(row) > 3)}


def in_flight(said: str) -> Fields:
    """`systemctl list-units --plain`: the first column, but for those that are no work."""
    names = (line.split()[0] for line in said.splitlines() if line.split())
    stay = ("fedwiz-forward.service", "fedwiz-deadman-")
    return {"in_flight": tuple(name for name in names if not name.startswith(stay))}


def etcd(said: str) -> Fields:
    """`URL version-answer` and `URL v2 http-status` lines.

    Source: etcd's /version, JSON with `etcdserver`.
    """
    found: dict[str, Endpoint] = {}
    for line in said.splitlines():
        url, _, answer = line.partition(" ")
        if "://" not in url:
            continue
        if answer.startswith("v2 ") and url in found:
            # With v2 off the router knows no such path: 404.
            serves = answer[3:].strip() in ("200", "401")
            found[url] = Endpoint(found[url].version, serves, found[url].error)
            continue
        try:
            version = json.loads(answer)["etcdserver"]
            found[url] = Endpoint(version=str(version)[:64])
        except (ValueError, KeyError, TypeError, RecursionError):
            # After its own words curl tells where one may read more.
            said_once = re.split(r"(?<!\s)\s+(?:More details here|curl: try)\b", answer)[0].strip()
            found[url] = Endpoint(error=said_once[:MAX_TEXT_CHARS] or "no answer within 3 s")
    return {"etcd": found}


def configs(said: str) -> Fields:
    """`v2 JSON` and `v3 JSON`: a key as each API gives it; what is no key is left out.

    Source: `node.value` of /v2/keys, base64 `kvs[].value` of /v3/kv/range.
    """
    found = {}
    for line in said.splitlines():
        api, _, answer = line.partition(" ")
        try:
            if api == "v2":
                found[api] = str(json.loads(answer)["node"]["value"])[:MAX_TEXT_CHARS]
            elif api == "v3":
                value = json.loads(answer)["kvs"][0]["value"]
                found[api] = base64.b64decode(value).decode("utf-8", "replace")[:MAX_TEXT_CHARS]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            continue
    return {"etcd_configs": found}


def offered(said: str) -> Fields:
    """The `version-release` that dnf would install, or what it said instead."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if lines and re.fullmatch(r"\d[\w.+~^]*-[\w.+~^]+", lines[-1]):
        return {"offered": lines[-1]}
    return {"offered_why": " ".join(lines)[:MAX_TEXT_CHARS]}


def kube_nodes(said: str) -> Fields:
    """`kubectl get nodes -o json`: items[].metadata.name, .labels, .status.addresses."""
    try:
        items = json.loads(said or "{}").get("items", [])
        found = [
            KubeNode(
                str(item["metadata"]["name"]),
                tuple(str(a["address"]) for a in item.get("status", {}).get("addresses", ())),
                {str(k): str(v) for k, v in item["metadata"].get("labels", {}).items()},
            )
            for item in items
        ]
    except (KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise ValueError(f"not a list of nodes: {wrong!r}") from None
    return {"kube_nodes": tuple(found)}
