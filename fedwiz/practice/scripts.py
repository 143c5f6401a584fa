"""Models of fedwiz's own shell scripts.

A model applies only if both the script's name and its text match, never to a command that merely
looks like it.
"""

from collections.abc import Mapping

from fedwiz.model.envfile import values, with_values
from fedwiz.practice import backup, dockerd, flanneld, pods, systemd, udp
from fedwiz.practice.call import Call, Command
from fedwiz.practice.commands import dnf, uploaded
from fedwiz.practice.machine import SimulatedFile
from fedwiz.practice.probes import fdb
from fedwiz.practice.trace import trace
from fedwiz.scripts import script
from fedwiz.steps.docker import DUE

DOCKER, FLANNELD = dockerd.DOCKER_UNIT, flanneld.FLANNELD_UNIT


def model(argv: tuple[str, ...]) -> Command | None:
    """The model of the script that `sh -c TEXT NAME.sh ...` runs; None: not a script of fedwiz."""
    name = argv[3].removesuffix(".sh") if len(argv) > 3 else ""
    return SCRIPTS.get(name) if name in SCRIPTS and argv[2] == script(name) else None


FILE_CHANGED = 75
"""Exit status of a script that finds a file changed since the plan was made."""


def _unchanged(call: Call, path: str, seen: str) -> bool:
    """Whether the file is unchanged since the plan; prints a message if not."""
    file = call.machine.files.get(path)
    if seen == "any" or (file.hash().startswith(seen) if file else seen == "absent"):
        return True
    state = f"it has {len(file.text)} bytes of root" if file else "it is gone"
    call.write(
        f"{path} was changed since the plan was made: {state}; look at it, then make a new plan"
    )
    return False


async def put(call: Call) -> int:
    """See scripts/put.sh."""
    mode, path, seen, _ = call.run.argv[4:]
    await call.spend(2.0 if call.run.upload else 0.1)
    new = (
        uploaded(call.run.upload) if call.run.upload else SimulatedFile(call.run.input(reveal=True))
    )
    new.mode = int(mode, 8)
    current = call.machine.files.get(path)
    if (current is None or current.hash() != new.hash()) and not _unchanged(call, path, seen):
        return FILE_CHANGED
    call.machine.files[path] = new
    return 0


async def sysconfig(call: Call) -> int:
    """See scripts/sysconfig.sh."""
    path, seen, *words = call.run.argv[4:]
    await call.spend(0.2)
    if not _unchanged(call, path, seen):
        return FILE_CHANGED
    file = call.machine.files.setdefault(path, SimulatedFile(""))
    file.text = with_values(file.text, dict(zip(words[::2], words[1::2], strict=True)))
    return 0


async def arm(call: Call) -> int:
    """See scripts/arm.sh; no simulated host is cut off long enough to revert a step."""
    name, seconds, *_ = call.run.argv[4:]
    await call.spend(0.1)
    call.machine.armed[name] = int(seconds)
    return 0


async def confirm(call: Call) -> int:
    """See scripts/confirm.sh."""
    for name in call.run.argv[4:] or tuple(call.machine.armed):
        if call.machine.armed.pop(name, None) is not None:
            call.write(f"{name} is confirmed")
    await call.spend(0.1)
    return 0


async def switch(call: Call) -> int:
    """See scripts/switch.sh."""
    network, ready, *stale = call.run.argv[4:]
    machine = call.machine
    docker = machine.running(DOCKER)
    machine.files.pop(DUE, None)
    options_before = machine.files.get(flanneld.DOCKER_OPTIONS)
    if docker:
        call.write("stopping docker")
        await call.spend(2.0)
        systemd.stop(machine, DOCKER)
        machine.drop_link("docker0")
    systemd.stop(machine, FLANNELD)
    env = machine.files.get(flanneld.SUBNET_ENV)
    if env and values(env.text).get("FLANNEL_NETWORK") != network:
        call.write("forgetting the subnet of an earlier network")
        del machine.files[flanneld.SUBNET_ENV]
        machine.files.pop(flanneld.DOCKER_OPTIONS, None)
    for each in stale:
        to, route, via = each.partition(" via ")
        if route:
            machine.routes = [it for it in machine.routes if (it.to, it.via) != (to, via)]
        else:
            machine.drop_link(each)
    why = await _move(call, ready, docker=docker)
    if why:
        await _restore_docker(call, options_before, why, docker=docker)
    return 1 if why else 0


async def _move(call: Call, ready: str, *, docker: bool) -> str:
    """Start flanneld, then docker on its subnet; returns why that failed, or an empty string."""
    machine = call.machine
    call.write("starting flanneld")
    machine.journal.pop(FLANNELD, None)
    await call.spend(2.0)
    if not systemd.start(call.cluster, machine, FLANNELD):
        failed = machine.unit(FLANNELD).active == "failed"
        await call.spend(1.0 if failed else float(ready))
        call.write("flanneld said:", *machine.journal[FLANNELD][-20:])
        return "flanneld failed" if failed else f"flanneld did not get ready within {ready} s"
    env = machine.files[flanneld.SUBNET_ENV].text
    call.write(env)
    if not docker:
        return ""
    call.write("starting docker")
    machine.journal.pop(DOCKER, None)
    await call.spend(3.0)
    if not systemd.start(call.cluster, machine, DOCKER):
        call.write("docker said:", *machine.journal[DOCKER][-20:])
        return "docker did not start on flannel's subnet"
    subnet = values(env)["FLANNEL_SUBNET"]
    if subnet not in machine.links["docker0"].addresses:
        systemd.stop(machine, DOCKER)
        return f"docker0 is not {subnet}: docker did not take flannel's options"
    call.write(f"docker runs on {subnet}")
    return ""


async def _restore_docker(
    call: Call, options_before: SimulatedFile | None, why: str, *, docker: bool
) -> None:
    """Start docker as it was, without waiting for flanneld."""
    machine = call.machine
    call.write("taking docker back to what it was")
    systemd.stop(machine, FLANNELD)
    systemd.enable(machine, FLANNELD, wanted=False)
    machine.files.pop(flanneld.DOCKER_OPTIONS, None)
    if options_before:
        machine.files[flanneld.DOCKER_OPTIONS] = options_before
    if not machine.running(DOCKER):
        machine.drop_link("docker0")
    await call.spend(2.0)
    call.write(why + _start_docker(call) if docker else why)


def _start_docker(call: Call) -> str:
    """Start docker without flannel; returns the outcome as text."""
    done = systemd.start(call.cluster, call.machine, DOCKER)
    return ", and docker runs as before" if done else ", and docker does not run"


async def settle(call: Call) -> int:
    """See scripts/settle.sh."""
    wanted, up = call.run.argv[4:]
    machine = call.machine
    docker = wanted == "docker"
    await call.spend(1.0)
    if docker:
        systemd.start(call.cluster, machine, DOCKER)
    if machine.running(FLANNELD) and (not docker or machine.running(DOCKER)):
        call.write(machine.files[flanneld.SUBNET_ENV].text)
        return 0
    await call.spend(float(up))
    why = f"flanneld or docker did not come up within {up} s of the reboot"
    call.write("they said:", *machine.journal.get(FLANNELD, ()), *machine.journal.get(DOCKER, ()))
    if docker and not machine.running(DOCKER):
        systemd.stop(machine, FLANNELD)
        systemd.enable(machine, FLANNELD, wanted=False)
        machine.files.pop(flanneld.DOCKER_OPTIONS, None)
        why += _start_docker(call)
    call.write(why)
    return 1


async def peers(call: Call) -> int:
    """See scripts/peers.sh."""
    kind, *wanted = call.run.argv[4:]
    machine = call.machine

    def missing() -> list[str]:
        lines = "\n".join(fdb(machine))
        vias = {route.via for route in machine.routes}
        present = {p for p in wanted if (f" dst {p} " in lines if kind == "fdb" else p in vias)}
        return [peer for peer in wanted if peer not in present]

    await call.spend(0.5)
    if not missing():
        return 0
    await call.spend(10.0)
    if lost := missing():
        call.write(f"no way to {' '.join(lost)}: flanneld looks again")
        # Killed, not stopped, so that docker, which requires it, keeps running.
        flanneld.stop(machine)
        await call.spend(6.0)
        flanneld.start(call.cluster, machine)
    if lost := missing():
        await call.spend(25.0)
        call.write(f"still no way to {' '.join(lost)}", *machine.journal.get(FLANNELD, ())[-20:])
        return 1
    return 0


async def units(call: Call) -> int:
    """See scripts/units.sh."""
    call.write(*call.machine.unseen_units)
    return 0


async def hold(_call: Call) -> int:
    """Never run: `PracticeSession.hold` opens a channel instead."""
    raise NotImplementedError


async def _lock_look(call: Call) -> int:
    """See scripts/lock-look.sh."""
    token, offset, most = call.run.argv[4:]
    call.write(*call.cluster.locks.look(token, int(offset), int(most)))
    return 0


SCRIPTS: Mapping[str, Command] = {
    "arm": arm,
    "confirm": confirm,
    "put": put,
    "package": dnf,
    "sysconfig": sysconfig,
    "switch": switch,
    "settle": settle,
    "peers": peers,
    "units": units,
    "pod-up": pods.up,
    "pod-count": pods.count,
    "pod-ping": pods.ping,
    "pod-mtu": pods.mtu,
    "pod-down": pods.down,
    "meet": pods.meet,
    "udp-listen": udp.listen,
    "udp-send": udp.send,
    "udp-tell": udp.tell,
    "trace": trace,
    "lock": hold,
    "lock-look": _lock_look,
    "keep": backup.back_up,
    "back": backup.undo,
    "unrule": backup.unrule,
    "unload": backup.unload,
    "forget": backup.forget,
}
"""By the script's name; the files are in fedwiz/scripts."""
