"""A simulated docker: its bridge, its rules, its containers."""

import json
import re
import shlex
from ipaddress import ip_interface, ip_network

from fedwiz.facts.values import Link
from fedwiz.practice.flanneld import environment
from fedwiz.practice.machine import Container, Machine

DOCKER_UNIT = "docker.service"
DEFAULT_BIP = "172.17.0.1/16"
DAEMON_JSON = "/etc/docker/daemon.json"


def start(machine: Machine) -> bool:
    """Start docker; True once it runs. Failures are logged in the journal."""
    options = _options(machine)
    settings = json.loads(machine.files[DAEMON_JSON].text) if DAEMON_JSON in machine.files else {}
    bip = options.get("bip", "")
    error = ""
    if both := sorted(options.keys() & settings.keys()):
        error = (
            "unable to configure the Docker daemon with file /etc/docker/daemon.json: the "
            "following directives are specified both as a flag and in the configuration file: "
            + ", ".join(both)
        )
    elif bip and machine.refuses_bip:
        error = (
            "failed to start daemon: Error initializing network controller: error creating "
            'default "bridge" network: cannot create network (docker0): conflicts with network '
            "81a4c2d7 (br-81a4c2d7): networks have overlapping IPv4"
        )
    elif "allow-direct-routing" in settings and machine.docker_version < (28, 2):
        error = (
            "unable to configure the Docker daemon with file /etc/docker/daemon.json: the "
            "following directives don't match any configuration option: allow-direct-routing"
        )
    else:
        error = _bridge(machine, bip or settings.get("bip", ""), int(options.get("mtu", 1500)))
    if error:
        machine.log(DOCKER_UNIT, error, "docker.service: Main process exited, status=1/FAILURE")
        return False
    _forwarding(machine)
    _chains(machine, masq=options.get("ip-masq", "true") == "true")
    for number, container in enumerate(machine.containers):
        _join(machine, container, number + 2)
    machine.log(
        DOCKER_UNIT, "Daemon has completed initialization", "API listen on /run/docker.sock"
    )
    return True


def stop(machine: Machine) -> None:
    """Stop docker and its containers; docker0 and its rules stay, those of containers go."""
    for container in machine.containers:
        container.address = ""
    machine.containers = [c for c in machine.containers if not c.name.startswith("fedwiz-probe")]
    machine.chains.rules["raw"]["PREROUTING"].clear()


def run(machine: Machine, name: str) -> Container:
    """Start another container."""
    container = Container(name, machine.pid())
    machine.containers.append(container)
    addresses = {each.address for each in machine.containers}
    number = 2
    while _address(machine, number) in addresses:
        number += 1
    _join(machine, container, number)
    return container


def remove(machine: Machine, name: str) -> None:
    """Remove a container and its rules."""
    for container in machine.containers:
        if container.name == name:
            machine.chains.delete("raw", "PREROUTING", _drop(container.address))
    machine.containers = [each for each in machine.containers if each.name != name]


def _options(machine: Machine) -> dict[str, str]:
    """The relevant options on dockerd's command line."""
    text = machine.read(DOCKER_UNIT)
    env = environment(machine, text)
    starts = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    words: list[str] = []
    for word in starts[-1].split():
        words += shlex.split(env.get(word[1:], "")) if word.startswith("$") else [word]
    pairs = (word.lstrip("-").partition("=")[::2] for word in words if word.startswith("--"))
    return {key: value for key, value in pairs if key in ("bip", "mtu", "ip-masq")}


def _bridge(machine: Machine, bip: str, mtu: int) -> str:
    """Create docker0, or reuse the existing one; returns why that fails, or an empty string."""
    existing = machine.links.get("docker0")
    if existing is None:
        mac = f"02:42:{machine.pid() & 255:02x}:6b:1d:0a"
        machine.add_link(Link("docker0", mac, mtu, True, (bip or DEFAULT_BIP,), "bridge"))
    elif bip and bip not in existing.addresses:
        new, old = ip_interface(bip).ip, ip_interface(existing.addresses[0]).ip
        return f"bridge ip ({new}) does not match existing bridge configuration {old}"
    return ""


def _forwarding(machine: Machine) -> None:
    """Enable forwarding, as docker does; if it was off, docker sets FORWARD's policy to DROP."""
    if machine.docker_version < (28,):
        machine.modules["br_netfilter"] = True
    if machine.sysctls["net.ipv4.ip_forward"] != "1":
        machine.sysctls["net.ipv4.ip_forward"] = "1"
        machine.chains.policies["FORWARD"] = "DROP"


def _chains(machine: Machine, *, masq: bool) -> None:
    """Abridged rules of docker 20.10 and 28; DOCKER-USER is left alone."""
    chains = machine.chains
    leading = ["-j DOCKER-USER"]
    if machine.docker_version >= (28,):
        leading += ["-j DOCKER-FORWARD"]
        chains.rules["filter"]["DOCKER-FORWARD"] = [
            "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-o docker0 -j DOCKER",
            "-i docker0 -j ACCEPT",
        ]
        chains.rules["filter"]["DOCKER"] = ["! -i docker0 -o docker0 -j DROP"]
        chains.chain("filter", "DOCKER-USER")
    else:
        leading += [
            "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-o docker0 -j DOCKER",
            "-i docker0 ! -o docker0 -j ACCEPT",
            "-i docker0 -o docker0 -j ACCEPT",
        ]
        chains.rules["filter"]["DOCKER"] = []
        chains.append("filter", "DOCKER-USER", "-j RETURN")
    rest = [rule for rule in chains.chain("filter", "FORWARD") if rule not in leading]
    chains.rules["filter"]["FORWARD"] = leading + rest
    nat = chains.chain("nat", "POSTROUTING")
    nat[:] = [rule for rule in nat if "! -o docker0" not in rule]
    if masq:
        net = ip_interface(machine.links["docker0"].addresses[0]).network
        nat.insert(0, f"-s {net} ! -o docker0 -j MASQUERADE")


def _address(machine: Machine, number: int) -> str:
    net = ip_network(ip_interface(machine.links["docker0"].addresses[0]).network)
    return str(net.network_address + number)


def _drop(address: str) -> str:
    return f"-d {address}/32 ! -i docker0 -j DROP"


def _join(machine: Machine, container: Container, number: int) -> None:
    """Assign a container's address; docker 28 drops packets routed to it unless told otherwise."""
    container.address = _address(machine, number)
    settings = json.loads(machine.files[DAEMON_JSON].text) if DAEMON_JSON in machine.files else {}
    freed = settings.get("allow-direct-routing") is True or (
        "DOCKER_INSECURE_NO_IPTABLES_RAW=1" in machine.read(DOCKER_UNIT)
    )
    if machine.docker_version >= (28,) and not freed:
        machine.chains.append("raw", "PREROUTING", _drop(container.address))
