"""The commands of an install's steps, as a simulated host carries them out."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedwiz.practice import admin_commands, systemd
from fedwiz.practice.call import Call, Command, strange
from fedwiz.practice.generations import flannel_package
from fedwiz.practice.machine import HeldPort

NUMBER = re.compile(rb"(?<![\d.])v?(0\.\d{1,3}\.\d{1,3})(?![\d.])")
SUPPLIED = "0.21.5"
"""The version of a binary that does not tell: nothing is run on a practice host."""


def uploaded(source: str) -> HeldPort:
    """A local file as it arrives: its hash, and what it calls itself."""
    data = Path(source).expanduser().read_bytes()
    if data[:4] == b"\xed\xab\xee\xdb":  # an RPM says its name in its lead
        says = data[10:76].partition(b"\0")[0].decode("ascii", "replace").partition("-")[2]
    else:
        found = NUMBER.search(data) or NUMBER.search(Path(source).name.encode())
        says = found[1].decode() if found else SUPPLIED
    return HeldPort("", 0o644, hashlib.sha256(data).hexdigest(), says)


async def rm(call: Call) -> int:
    """`rm -f PATH`."""
    await call.spend(0.1)
    for path in call.run.argv[2:]:
        call.machine.files.pop(path, None)
    return 0


async def modprobe(call: Call) -> int:
    """`modprobe MODULE`."""
    (name,) = call.run.argv[1:]
    await call.spend(0.2)
    if name not in call.machine.modules:
        call.say(f"modprobe: FATAL: Module {name} not found.")
        return 1
    call.machine.modules[name] = True
    return 0


async def sysctl(call: Call) -> int:
    """`sysctl -w KEY=VALUE`."""
    key, _, value = call.run.argv[2].partition("=")
    await call.spend(0.1)
    if not systemd.write_sysctl(call.machine, key, value):
        call.say(f"sysctl: cannot stat /proc/sys/{key.replace('.', '/')}: No such file")
        return 1
    call.say(f"{key} = {value}")
    return 0


async def systemctl(call: Call) -> int:
    """`systemctl daemon-reload`, or a verb and units."""
    verb, *names = call.run.argv[1:]
    await call.spend(0.3)
    if verb == "daemon-reload":
        systemd.reload(call.machine)
        return 0
    for name in names:
        if not call.machine.unit(name).there:
            call.say(f"Failed to {verb} unit: Unit {name} does not exist")
            return 1
        if verb in ("enable", "disable"):
            systemd.enable(call.machine, name, wanted=verb == "enable")
        elif verb == "stop":
            systemd.stop(call.machine, name)
        elif verb == "restart":
            systemd.stop(call.machine, name)
            if not systemd.start(call.cluster, call.machine, name):
                call.say(f"Job for {name} failed because the control process exited.")
                return 1
        elif verb != "reload":
            raise strange(call.run)
    return 0


async def dnf(call: Call) -> int:
    """See scripts/package.sh: dnf installs flannel, or a package's file, or removes flannel."""
    *_, verb, what = call.run.argv
    machine = call.machine
    if machine.dnf_busy:
        call.say("waiting for process 4711, which works with packages: /usr/bin/dnf -y upgrade")
        busy = machine.dnf_busy
        await call.spend(busy)
        machine.dnf_busy = 0.0
    if verb == "remove":
        return await _remove(call, what)
    release = machine.offered
    if what.startswith("/"):
        release = machine.files[what].says
    await call.spend(3.0)
    if not release:
        call.say(f"No match for argument: {what}", f"Error: Unable to find a match: {what}")
        return 1
    five = machine.generation.dnf5
    call.say(*_transaction(release, five=five))
    await call.spend(4.0)
    call.say("Running transaction" if five else "Running transaction check")
    await call.spend(5.0)
    for path, text in flannel_package(release).items():
        if path not in machine.files or not path.startswith("/etc/"):
            machine.put(path, text, 0o755 if "/bin/" in path or "libexec" in path else 0o644)
    machine.packages["flannel"] = release
    systemd.reload(machine)
    call.say(
        f"[3/3] Installing flannel-0:{release}   100% |  21.4 MiB/s |  31.6 MiB |  00m01s"
        if five
        else f"Installed:\n  flannel-{release}.x86_64",
        "Complete!",
    )
    return 0


async def _remove(call: Call, name: str) -> int:
    """A package goes; rpm keeps settings of its that were changed."""
    machine = call.machine
    await call.spend(4.0)
    for path, text in flannel_package(machine.packages.pop(name)).items():
        held = machine.files.pop(path, None)
        if held and path.startswith("/etc/") and held.text != text:
            machine.files[f"{path}.rpmsave"] = held
    systemd.reload(machine)
    call.say("Complete!")
    return 0


def _transaction(release: str, *, five: bool) -> list[str]:
    """The table that dnf shows before it begins."""
    if five:
        return [
            "Updating and loading repositories:",
            "Repositories loaded.",
            "Package   Arch    Version           Repository      Size",
            "Installing:",
            f" flannel  x86_64  0:{release}  fedora      31.6 MiB",
            "Transaction Summary:",
            " Installing:         1 package",
        ]
    return [
        "Last metadata expiration check: 0:12:05 ago.",
        "Dependencies resolved.",
        " Package    Architecture   Version            Repository     Size",
        "Installing:",
        f" flannel    x86_64         {release}       fedora        8.6 M",
        "Install  1 Package",
        "Downloading Packages:",
    ]


async def firewall_cmd(call: Call) -> int:
    """`firewall-cmd [--permanent] [--zone=ZONE] --add-port=|--add-protocol=|--add-source=`.

    And the same with `--remove-`.
    """
    await call.spend(0.4)
    walls = call.machine.firewall
    if walls is None:
        call.say("FirewallD is not running")
        return 252
    words = call.run.argv[1:]
    later = "--permanent" in words
    for word in words:
        flag, _, value = word.partition("=")
        verb, _, what = flag.removeprefix("--").partition("-")
        trusted = what == "source" and "--zone=trusted" in words
        if verb in ("add", "remove") and (what in ("port", "protocol") or trusted):
            name = (
                ("trusted_permanent" if later else "trusted")
                if trusted
                else ("permanent" if later else "ports")
            )
            held: frozenset[str] = getattr(walls, name)
            changed: Any = {name: held | {value} if verb == "add" else held - {value}}
            walls = replace(walls, **changed)
        elif word not in ("--permanent", "--zone=trusted", f"--zone={walls.zone}"):
            raise strange(call.run)
    call.machine.firewall = walls
    call.say("success")
    return 0


async def tell_version(call: Call) -> int:
    """What the operator's file says of itself, uploaded for that moment only."""
    await call.spend(1.0)
    call.say(uploaded(call.run.upload).says)
    return 0


COMMANDS: Mapping[str, Command] = {
    **admin_commands.COMMANDS,
    "firewall-cmd": firewall_cmd,
    "modprobe": modprobe,
    "rm": rm,
    "sysctl": sysctl,
    "systemctl": systemctl,
}
"""By their first word."""
