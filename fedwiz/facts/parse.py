"""Parse what a host's probes printed: text in, fields of `Facts` out.

Each function raises ValueError, and nothing else, for text that it can't parse; an empty text means
that the probe printed nothing. The text is untrusted.
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
"""Maximum length of a text that is only displayed."""

MAX_EPOCH_SECONDS = 1e11
"""Seconds since 1970; no host's clock is past this."""

MAC = r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}"


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list; raises ValueError for anything else."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, list):
        raise ValueError("not a list")
    yield from (item for item in found if isinstance(item, dict))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """`KEY=value` lines, without quotes."""
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", key):
            yield key, value.strip("\"'")


def names(text: str) -> Fields:
    """Host name, machine-id, boot id, kernel release, architecture and clock, one per line."""
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) < 6:
        raise ValueError("too few lines")
    clock = float(lines[5])
    if not 0 <= clock < MAX_EPOCH_SECONDS:  # also refuses `nan`
        raise ValueError("no time of day")
    return {
        "hostname": lines[0][:MAX_TEXT_CHARS],
        "machine_id": lines[1][:64],
        "boot_id": lines[2][:64],
        "kernel": lines[3][:MAX_TEXT_CHARS],
        "arch": lines[4][:MAX_TEXT_CHARS],
        "clock": clock,
    }


def os_release(text: str) -> Fields:
    """ID and VERSION_ID of os-release."""
    pairs = dict(_pairs(text))
    return {"os": pairs.get("ID", "")[:64], "os_version": pairs.get("VERSION_ID", "")[:64]}


def links(text: str) -> Fields:
    """`ip -json -details address`: keys ifname, address, mtu, flags, addr_info, linkinfo."""
    found = []
    for link in _objects(text):
        info = link.get("linkinfo")
        info = info if isinstance(info, dict) else {}
        data = info.get("info_data")
        data = data if isinstance(data, dict) else {}
        addr_info = link.get("addr_info")
        flags = link.get("flags")
        found.append(
            Link(
                name=str(link.get("ifname", ""))[:64],
                mac=str(link.get("address", ""))[:64],
                mtu=_number(link.get("mtu")) or 0,
                up="UP" in flags if isinstance(flags, list) else False,
                addresses=tuple(
                    f"{IPv4Network(address['local']).network_address}/{int(address['prefixlen'])}"
                    for address in (addr_info if isinstance(addr_info, list) else ())
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


def routes(text: str) -> Fields:
    """`ip -json -4 route`: keys dst, dev, gateway.  A host route gets its /32."""
    found = []
    for route in _objects(text):
        to = str(route.get("dst", ""))
        if to != "default":
            to = str(IPv4Network(to, strict=False))
        gateway = str(route.get("gateway", ""))[:64]
        found.append(Route(to, str(route.get("dev", ""))[:64], gateway))
    return {"routes": tuple(found)}


def neighbours(text: str) -> Fields:
    """`ip -json -4 neighbour show`: keys dst, dev, lladdr, state; only flannel's devices.

    The state is a list of words; only lists of one word have ever been seen.
    """
    found = []
    for entry in _objects(text):
        dev, state = str(entry.get("dev", ""))[:64], entry.get("state")
        if dev.startswith("flannel"):
            states = map(str, state if isinstance(state, list) else ())
            mac = re.fullmatch(MAC, str(entry.get("lladdr", "")))
            at = str(IPv4Address(str(entry.get("dst", ""))))
            mac_text = mac.group().lower() if mac else ""
            found.append(Neighbour(at, dev, mac_text, " ".join(states)[:64]))
    return {"neighbours": tuple(found)}


def fdb(text: str) -> Fields:
    """`MAC dev DEV dst ADDRESS self permanent` of `bridge fdb show`; `#read` marks success."""
    entry = rf"^({MAC}) dev (\S{{1,64}}) (?:.* )?dst (\d+\.\d+\.\d+\.\d+)\b"
    found = [
        Fdb(mac.lower(), str(IPv4Address(dst)), dev)
        for mac, dev, dst in re.findall(entry, text, re.MULTILINE)
    ]
    vteps = frozenset(each.dst for each in found)
    return {"vteps": vteps, "fdb": tuple(found) if "#read" in text else None}


def units(text: str) -> Fields:
    """`systemctl show`: blocks of `Key=value`, separated by blank lines."""
    found = {}
    for block in re.split(r"\n\s*\n", text):
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


def files(text: str) -> Fields:
    """`path mode owner base64` lines."""
    found = {}
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) != 4:
            continue
        path, mode, owner, encoded = words
        try:
            content = base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
        except binascii.Error:
            raise ValueError(f"{path} is not base64") from None
        found[path] = File(content, int(mode, 8), owner)
    return {"files": found}


def hashes(text: str) -> Fields:
    """`sha256sum`: `hash  path` lines."""
    found = re.findall(r"^([0-9a-f]{64}) [ *](.+)$", text, re.MULTILINE)
    return {"hashes": {path: hashed for hashed, path in found}}


def sysctls(text: str) -> Fields:
    """`sysctl`: `key = value` lines."""
    return {"sysctls": dict(re.findall(r"^([\w.-]+) = (.*)$", text, re.MULTILINE))}


def modules(text: str) -> Fields:
    """`name 0|1` lines; if a module has several lines, a 1 in any of them counts."""
    found: dict[str, bool] = {}
    for name, used in re.findall(r"^(\w+) ([01])$", text, re.MULTILINE):
        found[name] = found.get(name, False) or used == "1"
    return {"modules": found}


def packages(text: str) -> Fields:
    """`name version-release` lines."""
    return {"packages": dict(re.findall(r"^([\w.+-]+) (\S{1,100})$", text, re.MULTILINE))}


def flanneld(text: str) -> Fields:
    """The path, then the output of `--version`."""
    path, _, printed = text.strip().partition("\n")
    return {"flanneld": path[:MAX_TEXT_CHARS], "flanneld_version": printed.strip()[:MAX_TEXT_CHARS]}


def containers(text: str) -> Fields:
    """A count."""
    return {"containers": int(text.strip() or 0)}


def networks(text: str) -> Fields:
    """Subnets in CIDR form, one line per network; IPv6 is skipped."""
    found = [str(IPv4Network(word)) for word in text.split() if ":" not in word and "/" in word]
    return {"docker_networks": tuple(found)}


def subnet_env(text: str) -> Fields:
    """The file's variables; `#read` marks that the file exists, even if it is empty."""
    if "#read" not in text:
        return {"subnet_env": None}
    return {"subnet_env": {key: value[:MAX_TEXT_CHARS] for key, value in _pairs(text)}}


def rules(text: str) -> Fields:
    """`*table`, then the output of `iptables -S`, then `#read` if the command succeeded."""
    found = {}
    for part in re.split(r"^\*", text, flags=re.MULTILINE)[1:]:
        table, *lines = part.splitlines()
        if "#read" in lines:
            found[table] = tuple(line for line in lines if line.startswith("-"))
    return {"rules": found}


def firewall(text: str) -> Fields:
    """`zone NAME`, then `now|later ports|protocols|sources WORD...`; empty: it is not running."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
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


def disk(text: str) -> Fields:
    """`path` and a line of `df -P` in KiB, whose fourth column is the free space; `ro path`."""
    free, read_only = {}, []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "ro":
            read_only.append(words[1])
        elif len(words) >= 6 and words[4].isdecimal():
            free[words[0]] = int(words[4])
    return {"free": free, "read_only": tuple(read_only)}


def nameservers(text: str) -> Fields:
    """The IPv4 name servers of resolv.conf."""
    servers = re.findall(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$", text, re.MULTILINE)
    return {"nameservers": tuple(servers)}


def listening(text: str) -> Fields:
    """`ss -ltnH`: the fourth column is the local address."""
    rows = (line.split() for line in text.splitlines())
    return {"listening": frozenset(row[3] for row in rows if len(row) > 3)}


def in_flight(text: str) -> Fields:
    """`systemctl list-units --plain`: the first column, without units that are not running work."""
    names = (line.split()[0] for line in text.splitlines() if line.split())
    stay = ("fedwiz-forward.service", "fedwiz-deadman-")
    return {"in_flight": tuple(name for name in names if not name.startswith(stay))}


def etcd(text: str) -> Fields:
    """`URL version-answer` and `URL v2 http-status` lines.

    Source: etcd's /version, JSON with `etcdserver`.
    """
    found: dict[str, Endpoint] = {}
    for line in text.splitlines():
        url, _, answer = line.partition(" ")
        if "://" not in url:
            continue
        if answer.startswith("v2 ") and url in found:
            # With v2 disabled, etcd's router answers this path with 404.
            serves = answer[3:].strip() in ("200", "401")
            found[url] = Endpoint(found[url].version, serves, found[url].error)
            continue
        try:
            version = json.loads(answer)["etcdserver"]
            found[url] = Endpoint(version=str(version)[:64])
        except (ValueError, KeyError, TypeError, RecursionError):
            # Cut off curl's advice on where to read more.
            message = re.split(r"(?<!\s)\s+(?:More details here|curl: try)\b", answer)[0].strip()
            found[url] = Endpoint(error=message[:MAX_TEXT_CHARS] or "no answer within 3 s")
    return {"etcd": found}


def configs(text: str) -> Fields:
    """`v2 JSON` and `v3 JSON`: a key as returned by each API; answers without a key are skipped.

    Source: `node.value` of /v2/keys, base64 `kvs[].value` of /v3/kv/range.
    """
    found = {}
    for line in text.splitlines():
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


def offered(text: str) -> Fields:
    """The `version-release` that dnf would install, or dnf's message if it offers none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and re.fullmatch(r"\d[\w.+~^]*-[\w.+~^]+", lines[-1]):
        return {"offered": lines[-1]}
    return {"offered_why": " ".join(lines)[:MAX_TEXT_CHARS]}


def kube_nodes(text: str) -> Fields:
    """`kubectl get nodes -o json`: items[].metadata.name, .labels, .status.addresses."""
    try:
        items = json.loads(text or "{}").get("items", [])
        found = [
            KubeNode(
                str(item["metadata"]["name"]),
                tuple(str(a["address"]) for a in item.get("status", {}).get("addresses", ())),
                {str(k): str(v) for k, v in item["metadata"].get("labels", {}).items()},
            )
            for item in items
        ]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a list of nodes: {error!r}") from None
    return {"kube_nodes": tuple(found)}
