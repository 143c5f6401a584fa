"""The answers of a simulated host to the facts script, probe by probe.

The texts are those that the real commands print; the script's last line defines the order of the
answers and the separator between them.
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
"""Where backed-up files are stored."""

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
        output = ANSWERS[name](call.cluster, call.machine, script)
        encoded = base64.encodebytes(output.encode()).decode()
        lines.append(f"{order[2]} {name}\n{encoded}".rstrip())
    call.write(*lines, f"{order[2]} .")
    return 0


def _names(cluster: Cluster, machine: Machine, script: str) -> str:
    return (
        f"{machine.hostname}\n{machine.machine_id}\n{machine.boot_id}\n"
        f"{machine.generation.kernel}\nx86_64\n{time.time():.9f}\n"
    )


def links_json(links: Mapping[str, Link]) -> str:
    """The relevant keys of the output of `ip -json -details address show`."""
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
    """Device, peer subnet and peer, of all vxlan devices."""
    for dev, peers in machine.peers.items():
        if dev in machine.links and machine.links[dev].kind == "vxlan":
            yield from ((dev, subnet, peer) for subnet, peer in peers.items())


def fdb(machine: Machine) -> Iterator[str]:
    """The output of `bridge fdb show` for vxlan devices."""
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
        f"{path} {file.mode:o} root:root {base64.b64encode(file.text.encode()).decode()}\n"
        for path in FILES
        if (file := machine.files.get(path))
    )


def _hashes(cluster: Cluster, machine: Machine, script: str) -> str:
    files = ((path, machine.files.get(path)) for path in HASHED_FILES)
    return "".join(f"{file.hash()}  {path}\n" for path, file in files if file)


def _sysctls(cluster: Cluster, machine: Machine, script: str) -> str:
    values = dict(machine.sysctls)
    if machine.modules.get("br_netfilter"):
        values.setdefault("net.bridge.bridge-nf-call-iptables", "1")
    return "".join(f"{key} = {values[key]}\n" for key in SYSCTLS if key in values)


def _modules(cluster: Cluster, machine: Machine, script: str) -> str:
    modules = machine.modules
    return "".join(f"{name} {int(modules[name])}\n" for name in MODULES if name in modules)


def _packages(cluster: Cluster, machine: Machine, script: str) -> str:
    return "".join(f"{name} {release}\n" for name, release in machine.packages.items())


def _flanneld(cluster: Cluster, machine: Machine, script: str) -> str:
    for path in ("/usr/bin/flanneld", "/usr/local/bin/flanneld"):
        if file := machine.files.get(path):
            release = file.reported or machine.packages.get("flannel", "").partition("-")[0]
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
    file = machine.files.get(SUBNET_ENV)
    return f"{file.text}#read\n" if file else ""


def _rules(cluster: Cluster, machine: Machine, script: str) -> str:
    tables = ("filter", "nat", "raw")
    return "".join("\n".join((f"*{t}", *machine.chains.shown(t), "#read\n")) for t in tables)


def _firewall(cluster: Cluster, machine: Machine, script: str) -> str:
    firewall = machine.firewall
    if firewall is None:
        return ""
    lines = [f"zone {firewall.zone}"]
    for when, opened, sources in (
        ("now", firewall.ports, firewall.trusted),
        ("later", firewall.permanent, firewall.trusted_permanent),
    ):
        lines.append(f"{when} ports {' '.join(sorted(p for p in opened if '/' in p))}")
        lines.append(f"{when} protocols {' '.join(sorted(p for p in opened if '/' not in p))}")
        lines.append(f"{when} sources {' '.join(sorted(sources))}")
    return "\n".join(lines) + "\n"


def _disk(cluster: Cluster, machine: Machine, script: str) -> str:
    total = 40 * 1024 * 1024
    return "".join(
        f"{path} /dev/vda2 {total} {total - machine.free} {machine.free} 50% /\n"
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
        error = why_no_etcd(cluster, machine, url)
        if error:
            lines += [f"{url} {CURL[error].format(url.rpartition('//')[2])} ", f"{url} v2 000"]
        else:
            keys = cluster.keys
            versions = json.dumps({"etcdserver": keys.version, "etcdcluster": keys.version})
            lines += [f"{url} {versions}", f"{url} v2 {200 if keys.v2 else 404}"]
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
    """A key that is missing in an API, or an API that is not served, gives no line."""
    key = "/coreos.com/network/config"
    lines = []
    if cluster.keys.serves("v2") and (value := cluster.keys.get("v2", key)):
        lines.append("v2 " + json.dumps({"node": {"value": value.text}}))
    if cluster.keys.serves("v3") and (value := cluster.keys.get("v3", key)):
        encoded = base64.b64encode(value.text.encode()).decode()
        lines.append("v3 " + json.dumps({"kvs": [{"value": encoded}]}))
    return "\n".join(lines)


def _offered(cluster: Cluster, machine: Machine, script: str) -> str:
    if "dnf -q repoquery" not in script or "flannel" in machine.packages:
        return ""
    return f"{machine.offered}\n" if machine.offered else ""


def _backup(cluster: Cluster, machine: Machine, script: str) -> str:
    """The backup as its probe prints it; empty if there is none."""
    files = machine.files
    if f"{BEFORE}/names" not in files:
        return ""
    parts = {name: files[f"{BEFORE}/{name}"].text for name in TEXT_PARTS}
    parts["files"] = "".join(
        f"{path} {file.mode:o} root:root {base64.b64encode(file.text.encode()).decode()}\n"
        for path in FILES
        if (file := files.get(f"{KEPT_FILES}{path}"))
    )
    parts["hashes"] = "".join(
        f"{file.hash()}  {path}\n"
        for path in HASHED_FILES
        if (file := files.get(f"{KEPT_FILES}{path}"))
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
    "kept": _backup,
    "etcd": _etcd,
    "dnf_lock": _dnf_lock,
    "kube_nodes": _kube_nodes,
    "configs": _configs,
    "offered": _offered,
}
"""By the probe's name: its output on a host of the cluster; the last argument is the script."""
