"""systemd of a simulated host: dependencies between units, and booting."""

import re
from dataclasses import replace

from fedwiz.facts.values import Unit
from fedwiz.practice import dockerd, flanneld
from fedwiz.practice.machine import Cluster, Machine, new_id

FORWARD = "fedwiz-forward.service"
RULE = re.compile(r"-s (\S+) -d \1 -j ACCEPT")
REFUSAL = "-j REJECT --reject-with icmp-host-prohibited"


def start(cluster: Cluster, machine: Machine, name: str) -> bool:
    """Start a unit and its requirements; True once it is active."""
    if not machine.cat(name):
        machine.log(name, f"Failed to start {name}: Unit {name} not found.")
        return False
    if machine.running(name):
        return True
    docker = name == dockerd.DOCKER_UNIT
    required = docker and machine.unit(flanneld.FLANNELD_UNIT).enabled == "enabled"
    if required and not start(cluster, machine, flanneld.FLANNELD_UNIT):
        machine.log(name, "Dependency failed for Docker Application Container Engine.")
        return False
    done = True
    if docker:
        done = dockerd.start(machine)
    elif name == flanneld.FLANNELD_UNIT:
        done = flanneld.start(cluster, machine)
    elif name == FORWARD:
        _forward(machine)
    tries = name == flanneld.FLANNELD_UNIT and "Restart=always" in machine.read(name)
    _set(
        machine,
        name,
        active="active" if done else "activating" if tries else "failed",
        pid=machine.pid() if done else 0,
    )
    if docker and done:
        _after_docker(cluster, machine)
    return done


def _after_docker(cluster: Cluster, machine: Machine) -> None:
    """Start the units that are wanted by docker."""
    if machine.unit(FORWARD).enabled == "enabled":
        _set(machine, FORWARD, active="inactive")
        start(cluster, machine, FORWARD)
    if machine.damage is not None:
        machine.damage(machine)


def stop(machine: Machine, name: str) -> None:
    """Stop a unit and those that require it."""
    if machine.running(name):
        if name == dockerd.DOCKER_UNIT:
            dockerd.stop(machine)
        elif name == flanneld.FLANNELD_UNIT:
            flanneld.stop(machine)
        elif name == FORWARD:
            _forward(machine, present=False)
    if machine.unit(name).there:
        _set(machine, name, active="inactive", pid=0)
    if name == dockerd.DOCKER_UNIT and machine.running(FORWARD):  # PartOf=
        stop(machine, FORWARD)
    required = name == flanneld.FLANNELD_UNIT and machine.unit(name).enabled == "enabled"
    if required and machine.running(dockerd.DOCKER_UNIT):
        stop(machine, dockerd.DOCKER_UNIT)


def enable(machine: Machine, name: str, *, wanted: bool = True) -> None:
    """Enable or disable a unit at boot."""
    _set(machine, name, enabled="enabled" if wanted else "disabled")


def reload(machine: Machine) -> None:
    """Reload all unit files."""
    machine.loaded.clear()


def _set(
    machine: Machine, name: str, *, active: str = "", enabled: str = "", pid: int = -1
) -> None:
    unit = machine.unit(name)
    machine.units[name] = Unit(
        "loaded", active or unit.active, enabled or unit.enabled, unit.pid if pid < 0 else pid
    )


def _forward(machine: Machine, *, present: bool = True) -> None:
    """The effect of fedwiz's forward unit on iptables, read from its text."""
    rule = RULE.search(machine.read(FORWARD))
    if rule is None:
        raise ValueError(f"{FORWARD} is not one that a practice host knows")
    has_docker_user = "DOCKER-USER" in machine.chains.rules["filter"]
    for chain in ("DOCKER-USER", "FORWARD"):
        machine.chains.delete("filter", chain, rule[0])
    if present:
        machine.chains.insert("filter", "DOCKER-USER" if has_docker_user else "FORWARD", rule[0])


def down(machine: Machine) -> None:
    """Shut the host down: what is only in memory is lost."""
    for name in list(machine.units):
        stop(machine, name)
    machine.files = {
        path: file for path, file in machine.files.items() if not path.startswith("/run/")
    }
    for link in [each for each in machine.links.values() if each.kind]:
        machine.drop_link(link.name)
    machine.routes = [r for r in machine.routes if r.to == "default" or not r.via]
    machine.chains.flush()
    machine.modules = dict.fromkeys(machine.modules, False)
    machine.sysctls = {"net.ipv4.ip_forward": "0", "net.ipv4.conf.all.rp_filter": "2"}
    machine.journal.clear()
    machine.loaded.clear()


def up(cluster: Cluster, machine: Machine) -> None:
    """Boot the host."""
    machine.boot_id = new_id(machine.name, f"boot after {machine.boot_id}")
    for path, file in sorted(machine.files.items()):
        if path.startswith("/etc/modules-load.d/"):
            for module in file.text.split():
                if module in machine.modules:
                    machine.modules[module] = True
    for path, file in sorted(machine.files.items()):
        if path.startswith("/etc/sysctl.d/"):
            for key, value in re.findall(r"^([\w.-]+) = (.*)$", file.text, re.MULTILINE):
                write_sysctl(machine, key, value)
    if machine.firewall:
        firewall = machine.firewall
        machine.firewall = replace(
            firewall, ports=firewall.permanent, trusted=firewall.trusted_permanent
        )
    enabled = [name for name, unit in machine.units.items() if unit.enabled == "enabled"]
    for name in sorted(enabled, key=lambda name: (name == dockerd.DOCKER_UNIT, name == FORWARD)):
        start(cluster, machine, name)


def write_sysctl(machine: Machine, key: str, value: str) -> bool:
    """Set a sysctl; False if the kernel currently has none of that name."""
    if key.startswith("net.bridge.") and not machine.modules.get("br_netfilter"):
        return False
    machine.sysctls[key] = value
    return True
