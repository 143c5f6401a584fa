"""What a simulated host answers to the facts script, probe by probe.

The texts are what the real commands print; the script's own last line says in which order the
answers come and which mark parts them.
"""

import base64
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_interface

from fedwiz.facts.before import BEFORE, TEXT_PARTS
from fedwiz.facts.probes import FILES, HASHED_FILES, MODULES, SYSCTLS, UNITS_READ
from fedwiz.facts.values import Link
from fedwiz.practice.call import Call
from fedwiz.practice.flanneld import SUBNET_ENV, why_no_etcd
from fedwiz.practice.machine import Cluster, Machine, Peer

KEPT_FILES = f"{BEFORE}/files"
"""Where files are that were kept whole."""

ORDER_LINE = re.compile(r'for n in ([\w ]+); do echo "([0-9a-f]+) \$n"')
ENDPOINT = re.compile(r"printf '%s v2 %s\\n' ('[^']*'|\S+) ")
CURL = {
    "connection refused": "curl: (7) Failed to connect to {0}: Connection refused",
    "no route to host": "curl: (7) Failed to connect to {0}: No route to host",
}


async def answer(call: Call) -> int:
    """Answer the whole script."""
    script = call.run.input()
    order = ORDER_LINE.search(script)
    if order is None:
        raise ValueError("a script on standard input that no practice host knows")
    await call.spend(0.6)
    lines = []
    for name in order[1].split():
        said = ANSWERS[name](call.cluster, call.machine, script)
        encoded = base64.encodebytes(said.encode()).decode()
        lines.append(f"{order[2]} {name}\n{encoded}".rstrip())
    call.say(*lines, f"{order[2]} .")
    return 0


def _names(cluster: Cluster, machine: Machine, script: str) -> str:
    return (
        f"{machine.hostname}\n{machine.machine_id}\n{machine.boot_id}\n"
        f"{machine.generation.kernel}\nx86_64\n{time.time():.9f}\n"
    )


def links_json(links: Mapping[str, Link]) -> str:
    """What `ip -json -details address show` prints, its keys that matter."""
    return json.dumps(
        [
            {
                "ifname": link.name,
                "address": link.mac,
                "mtu": link.mtu,
                "flags": ["BROADCAST", "MULTICAST", *(["UP", "LOWER_UP"] if link.up else [])],
                "linkinfo": {
                    "info_kind": link.kind,
                    "info_data": {"id": link.vni, "port": link.port},
                }
                if link.kind
                else {},
                "addr_info": [
                    {
                        "family": "inet",
                        "local": str(ip_interface(text).ip),
                        "prefixlen": ip_interface(text).network.prefixlen,
                    }
                    for text in link.addresses
                ],
            }
            for link in links.values()
        ]
    )


def _routes(cluster: Cluster, machine: Machine, script: str) -> str:
    return json.dumps(
        [
            {"dst": route.to, "dev": route.dev} | ({"gateway": route.via} if route.via else {})
            for route in machine.routes
        ]
    )


def _vteps(machine: Machine) -> Iterator[tuple[str, str, Peer]]:
    """Device, the peer's subnet and the peer, of all vxlan devices."""
    for dev, peers in machine.peers.items():
        if dev in machine.links and machine.links[dev].kind == "vxlan":
            yield from ((dev, subnet, peer) for subnet, peer in peers.items())


def fdb(machine: Machine) -> Iterator[str]:
    """What `bridge fdb show` prints of vxlan devices."""
    for dev, _, peer in _vteps(machine):
        if peer.fdb_mac:
            yield f"{peer.fdb_mac} dev {dev} dst {peer.address} self permanent"


def _neighbours(cluster: Cluster, machine: Machine, script: str) -> str:
    return json.dumps(
        [
            {
                "dst": subnet.partition("/")[0],
                "dev": dev,
                "lladdr": peer.mac,
                "state": ["PERMANENT"],
            }
            for dev, subnet, peer in _vteps(machine)
            if peer.mac
        ]
    )


def _units(cluster: Cluster, machine: Machine, script: str) -> str:
    blocks = []
    for name in UNITS_READ:
        unit = machine.unit(name)
        blocks.append(
            f"Id={name}\nLoadState={unit.load}\nActiveState={unit.active}\n"
            f"UnitFileState={unit.enabled}\nMainPID={unit.pid}\n"
        )
    return "\n".join(blocks)


def _files(cluster: Cluster, machine: Machine, script: str) -> str:
    return "".join(
        f"{path} {held.mode:o} root:root {base64.b64encode(held.text.encode()).decode()}\n"
        for path in FILES
        if (held := machine.files.get(path))
    )


def _hashes(cluster: Cluster, machine: Machine, script: str) -> str:
    held = ((path, machine.files.get(path)) for path in HASHED_FILES)
    return "".join(f"{file.hash()}  {path}\n" for path, file in held if file)


def _sysctls(cluster: Cluster, machine: Machine, script: str) -> str:
    now = dict(machine.sysctls)
    if machine.modules.get("br_netfilter"):
        now.setdefault("net.bridge.bridge-nf-call-iptables", "1")
    return "".join(f"{key} = {now[key]}\n" for key in SYSCTLS if key in now)


def _modules(cluster: Cluster, machine: Machine, script: str) -> str:
    held = machine.modules
    return "".join(f"{name} {int(held[name])}\n" for name in MODULES if name in held)


def _packages(cluster: Cluster, machine: Machine, script: str) -> str:
    return "".join(f"{name} {release}\n" for name, release in machine.packages.items())


def _flanneld(cluster: Cluster, machine: Machine, script: str) -> str:
    for path in ("/usr/bin/flanneld", "/usr/local/bin/flanneld"):
        if held := machine.files.get(path):
            release = held.says or machine.packages.get("flannel", "").partition("-")[0]
            return f"{path}\n{release}\n"
    return ""


def _containers(cluster: Cluster, machine: Machine, script: str) -> str:
    return f"{len(machine.containers)}\n" if machine.running("docker.service") else ""


def _networks(cluster: Cluster, machine: Machine, script: str) -> str:
    bridge = machine.links.get("docker0")
    if bridge is None or not machine.running("docker.service"):
        return ""
    return f"{ip_interface(bridge.addresses[0]).network} \n\n\n"


def _subnet_env(cluster: Cluster, machine: Machine, script: str) -> str:
    held = machine.files.get(SUBNET_ENV)
    return f"{held.text}#read\n" if held else ""


def _rules(cluster: Cluster, machine: Machine, script: str) -> str:
    tables = ("filter", "nat", "raw")
    return "".join("\n".join((f"*{t}", *machine.chains.shown(t), "#read\n")) for t in tables)


def _firewall(cluster: Cluster, machine: Machine, script: str) -> str:
    walls = machine.firewall
    if walls is None:
        return ""
    lines = [f"zone {walls.zone}"]
    for when, opened, sources in (
        ("now", walls.ports, walls.trusted),
        ("later", walls.permanent, walls.trusted_permanent),
    ):
        lines.append(f"{when} ports {' '.join(sorted(p for p in opened if '/' in p))}")
        lines.append(f"{when} protocols {' '.join(sorted(p for p in opened if '/' not in p))}")
        lines.append(f"{when} sources {' '.join(sorted(sources))}")
    return "\n".join(lines) + "\n"


def _disk(cluster: Cluster, machine: Machine, script: str) -> str:
    whole = 40 * 1024 * 1024
    return "".join(
        f"{path} /dev/vda2 {whole} {whole - machine.free} {machine.free} 50% /\n"
        for path in ("/", "/etc", "/run", "/usr", "/var")
    )


def _listening(cluster: Cluster, machine: Machine, script: str) -> str:
    ports = ["0.0.0.0:22"]
    ports += ["*:2379", "*:2380"] if machine.running("etcd.service") else []
    return "".join(f"LISTEN 0 128 {port} 0.0.0.0:*\n" for port in ports)


def _etcd(cluster: Cluster, machine: Machine, script: str) -> str:
    lines = []
    for quoted in ENDPOINT.findall(script):
        url = shlex.split(quoted)[0]
        why = why_no_etcd(cluster, machine, url)
        if why:
            lines += [f"{url} {CURL[why].format(url.rpartition('//')[2])} ", f"{url} v2 000"]
        else:
            keys = cluster.keys
            said = json.dumps({"etcdserver": keys.version, "etcdcluster": keys.version})
            lines += [f"{url} {said}", f"{url} v2 {200 if keys.v2 else 404}"]
    return "\n".join(lines) + "\n"


def _dnf_lock(cluster: Cluster, machine: Machine, script: str) -> str:
    return "4711 /usr/bin/dnf -y upgrade " if machine.dnf_busy else ""


def _kube_nodes(cluster: Cluster, machine: Machine, script: str) -> str:
    return json.dumps(
        {
            "items": [
                {
                    "metadata": {
                        "name": node.name,
                        "labels": {"kubernetes.io/hostname": node.name}
                        | ({"name": node.label} if node.label else {}),
                    },
                    "status": {
                        "addresses": [
                            {"type": "InternalIP", "address": node.address},
                            {"type": "Hostname", "address": node.hostname},
                        ]
                    },
                }
                for node in cluster.nodes()
            ]
        }
    )


def _configs(cluster: Cluster, machine: Machine, script: str) -> str:
    """What is not in one of the APIs, or not served, has no answer."""
    key = "/coreos.com/network/config"
    lines = []
    if cluster.keys.serves("v2") and (found := cluster.keys.get("v2", key)):
        lines.append("v2 " + json.dumps({"node": {"value": found.text}}))
    if cluster.keys.serves("v3") and (found := cluster.keys.get("v3", key)):
        encoded = base64.b64encode(found.text.encode()).decode()
        lines.append("v3 " + json.dumps({"kvs": [{"value": encoded}]}))
    return "\n".join(lines)


def _offered(cluster: Cluster, machine: Machine, script: str) -> str:
    if "dnf -q repoquery" not in script or "flannel" in machine.packages:
        return ""
    return f"{machine.offered}\n" if machine.offered else ""


def _kept(cluster: Cluster, machine: Machine, script: str) -> str:
    """What the probe of it prints; nothing where nothing was kept."""
    held = machine.files
    if f"{BEFORE}/names" not in held:
        return ""
    parts = {name: held[f"{BEFORE}/{name}"].text for name in TEXT_PARTS}
    parts["files"] = "".join(
        f"{path} {kept.mode:o} root:root {base64.b64encode(kept.text.encode()).decode()}\n"
        for path in FILES
        if (kept := held.get(f"{KEPT_FILES}{path}"))
    )
    parts["hashes"] = "".join(
        f"{kept.hash()}  {path}\n"
        for path in HASHED_FILES
        if (kept := held.get(f"{KEPT_FILES}{path}"))
    )
    return "".join(
        f"{name} {base64.b64encode(text.encode()).decode()}\n" for name, text in parts.items()
    )


ANSWERS: Mapping[str, Callable[[Cluster, Machine, str], str]] = {
    "names": _names,
    "os": lambda _, machine, __: machine.files["/etc/os-release"].text,
    "selinux": lambda *_: "Enforcing\n",
    "virt": lambda *_: "kvm\n",
    "links": lambda _, machine, __: links_json(machine.links),
    "routes": _routes,
    "neighbours": _neighbours,
    "fdb": lambda _, machine, __: "\n".join((*fdb(machine), "#read\n")),
    "units": _units,
    "files": _files,
    "hashes": _hashes,
    "sysctls": _sysctls,
    "modules": _modules,
    "packages": _packages,
    "flanneld": _flanneld,
    "flanneld_unit": lambda _, machine, __: machine.cat("flanneld.service"),
    "docker_unit": lambda _, machine, __: machine.cat("docker.service"),
    "docker": lambda _, machine, __: (
        f"Docker version {machine.generation.docker}, build practice\n"
        if machine.role == "node"
        else ""
    ),
    "containers": _containers,
    "networks": _networks,
    "subnet_env": _subnet_env,
    "iptables": lambda *_: "iptables v1.8.11 (nf_tables)\n",
    "rules": _rules,
    "firewall": _firewall,
    "disk": _disk,
    "nameservers": lambda *_: "nameserver 127.0.0.53\n",
    "listening": _listening,
    "in_flight": lambda *_: "",
    "kept": _kept,
    "etcd": _etcd,
    "dnf_lock": _dnf_lock,
    "kube_nodes": _kube_nodes,
    "configs": _configs,
    "offered": _offered,
}
"""By the probe's name: what it prints on a host of the cluster; the last argument is the script."""
