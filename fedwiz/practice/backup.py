"""Models of the scripts that back up a host before an install and undo it."""

import copy

from fedwiz.facts.before import BEFORE
from fedwiz.practice import dockerd, flanneld, probes, systemd
from fedwiz.practice.call import Call
from fedwiz.practice.machine import Machine, SimulatedFile
from fedwiz.practice.probes import KEPT_FILES
from fedwiz.steps.backup import PACKAGED, TOUCHED
from fedwiz.steps.docker import DUE

FORWARD = systemd.FORWARD


async def back_up(call: Call) -> int:
    """See scripts/keep.sh."""
    (zone,) = call.run.argv[4:]
    machine = call.machine
    await call.spend(0.5)
    if f"{BEFORE}/names" in machine.files:
        call.write(f"{BEFORE} is there already, and stays as it is")
        return 0
    parts = {
        name: probes.ANSWERS[name](call.cluster, machine, "")
        for name in ("names", "links", "routes", "units", "sysctls", "rules", "firewall")
    }
    parts["modules"] = "".join(f"{name} 1\n" for name, on in machine.modules.items() if on)
    parts["packages"] = "".join(
        f"{name} {release}\n" for name, release in machine.packages.items() if name == "flannel"
    )
    parts["asked"] = "".join(f"{path}\n" for path in (*TOUCHED, PACKAGED))
    parts["etcd"] = call.run.input()
    if zone == "-":
        parts["firewall"] = ""
    for name, text in parts.items():
        machine.put(f"{BEFORE}/{name}", text, 0o600)
    for path in TOUCHED:
        if path in machine.files:
            machine.files[f"{KEPT_FILES}{path}"] = copy.copy(machine.files[path])
    call.write(f"kept in {BEFORE}")
    return 0


async def undo(call: Call) -> int:
    """See scripts/back.sh."""
    docker, daemon, enabled, *items = call.run.argv[4:]
    machine = call.machine
    if not any(path.startswith(BEFORE) for path in machine.files):
        call.write(f"there is no {BEFORE} any more")
        return 1
    await call.spend(1.0)
    if docker != "leave":
        call.write("stopping docker")
        await call.spend(2.0)
        systemd.stop(machine, dockerd.DOCKER_UNIT)
    _unbind(machine, daemon, enabled)
    if docker != "leave":
        machine.drop_link("docker0")
    for item in items:
        _restore(call, item)
    own = any(path.startswith(f"{KEPT_FILES}/run/flannel/") for path in machine.files)
    if daemon == "off" and not own:
        for path in [path for path in machine.files if path.startswith("/run/flannel/")]:
            del machine.files[path]
    systemd.reload(machine)
    if daemon not in ("off", "leave"):
        systemd.start(call.cluster, machine, flanneld.FLANNELD_UNIT)
    if enabled == "enabled":
        systemd.enable(machine, flanneld.FLANNELD_UNIT)
    if docker == "move" and not await _start_docker(call):
        return 1
    if docker != "leave":
        machine.files.pop(DUE, None)
    return 0


async def _start_docker(call: Call) -> bool:
    """Start docker again and report its address."""
    call.write("starting docker")
    await call.spend(3.0)
    if not systemd.start(call.cluster, call.machine, dockerd.DOCKER_UNIT):
        call.write("docker did not start; see `journalctl -u docker` there")
        return False
    bridge = call.machine.links["docker0"]
    call.write(f"docker runs on {' '.join(bridge.addresses)}, as before")
    return True


def _unbind(machine: Machine, daemon: str, enabled: str) -> None:
    """Unbind docker from flanneld and the forward unit, and stop both."""
    if machine.unit(FORWARD).there:
        systemd.enable(machine, FORWARD, wanted=False)
        systemd.stop(machine, FORWARD)
    if enabled != "leave" and machine.unit(flanneld.FLANNELD_UNIT).there:
        systemd.enable(machine, flanneld.FLANNELD_UNIT, wanted=False)
    if daemon != "leave":
        systemd.stop(machine, flanneld.FLANNELD_UNIT)


def _restore(call: Call, item: str) -> None:
    """Restore a backed-up file, or remove one that is new; remove a route or a device."""
    machine = call.machine
    to, route, via = item.partition(" via ")
    if item.startswith("/"):
        saved = machine.files.get(f"{KEPT_FILES}{item}")
        if saved:
            machine.files[item] = SimulatedFile(
                saved.text, saved.mode, saved.sha256, saved.reported
            )
        else:
            machine.files.pop(item, None)
        call.write(f"{item} is as it was" if saved else f"{item} is gone")
    elif route:
        machine.routes = [it for it in machine.routes if (it.to, it.via) != (to, via)]
    else:
        machine.drop_link(item)


async def unrule(call: Call) -> int:
    """See scripts/unrule.sh."""
    await call.spend(0.3)
    chains = call.machine.chains
    for line in call.run.input().splitlines():
        table, flag, chain, *rest = line.split(" ")
        if flag == "-D":
            chains.delete(table, chain, " ".join(rest))
        elif flag == "-I":
            chains.insert(table, chain, " ".join(rest))
        elif flag == "-P":
            chains.policies[chain] = rest[0]
        else:  # -F, then -X
            chains.rules[table].pop(chain, None)
    return 0


async def unload(call: Call) -> int:
    """See scripts/unload.sh."""
    await call.spend(0.2)
    for name in call.run.argv[4:]:
        call.machine.modules[name] = False
        call.write(f"{name} is unloaded")
    return 0


async def forget(call: Call) -> int:
    """See scripts/forget.sh."""
    await call.spend(0.1)
    call.write(*(f"left as it is: {leftover}" for leftover in call.run.argv[4:]))
    removed = ("/var/lib/fedwiz/", "/run/fedwiz/")
    files = call.machine.files
    call.machine.files = {
        path: file for path, file in files.items() if not path.startswith(removed)
    }
    return 0
