"""Models of the commands that an install runs."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedwiz.practice import admin_commands, systemd
from fedwiz.practice.call import Call, Command, unmodelled
from fedwiz.practice.generations import flannel_package
from fedwiz.practice.machine import SimulatedFile

NUMBER = re.compile(rb"(?<![\d.])v?(0\.\d{1,3}\.\d{1,3})(?![\d.])")
SUPPLIED = "0.21.5"
"""The version of a binary that does not reveal it: practice hosts run nothing."""


def uploaded(source: str) -> SimulatedFile:
    """A local file once uploaded: its hash, and the version it reports."""
    data = Path(source).expanduser().read_bytes()
    if data[:4] == b"\xed\xab\xee\xdb":  # the lead of an RPM contains its name
        reported = data[10:76].partition(b"\0")[0].decode("ascii", "replace").partition("-")[2]
    else:
        match = NUMBER.search(data) or NUMBER.search(Path(source).name.encode())
        reported = match[1].decode() if match else SUPPLIED
    return SimulatedFile("", 0o644, hashlib.sha256(data).hexdigest(), reported)


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
        call.write(f"modprobe: FATAL: Module {name} not found.")
        return 1
    call.machine.modules[name] = True
    return 0


async def sysctl(call: Call) -> int:
    """`sysctl -w KEY=VALUE`."""
    key, _, value = call.run.argv[2].partition("=")
    await call.spend(0.1)
    if not systemd.write_sysctl(call.machine, key, value):
        call.write(f"sysctl: cannot stat /proc/sys/{key.replace('.', '/')}: No such file")
        return 1
    call.write(f"{key} = {value}")
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
            call.write(f"Failed to {verb} unit: Unit {name} does not exist")
            return 1
        if verb in ("enable", "disable"):
            systemd.enable(call.machine, name, wanted=verb == "enable")
        elif verb == "stop":
            systemd.stop(call.machine, name)
        elif verb == "restart":
            systemd.stop(call.machine, name)
            if not systemd.start(call.cluster, call.machine, name):
                call.write(f"Job for {name} failed because the control process exited.")
                return 1
        elif verb != "reload":
            raise unmodelled(call.run)
    return 0


async def dnf(call: Call) -> int:
    """See scripts/package.sh: dnf installs flannel or a package file, or removes flannel."""
    *_, verb, what = call.run.argv
    machine = call.machine
    if machine.dnf_busy:
        call.write("waiting for process 4711, which works with packages: /usr/bin/dnf -y upgrade")
        busy = machine.dnf_busy
        await call.spend(busy)
        machine.dnf_busy = 0.0
    if verb == "remove":
        return await _remove(call, what)
    release = machine.offered
    if what.startswith("/"):
        release = machine.files[what].reported
    await call.spend(3.0)
    if not release:
        call.write(f"No match for argument: {what}", f"Error: Unable to find a match: {what}")
        return 1
    five = machine.generation.dnf5
    call.write(*_transaction(release, five=five))
    await call.spend(4.0)
    call.write("Running transaction" if five else "Running transaction check")
    await call.spend(5.0)
    for path, text in flannel_package(release).items():
        if path not in machine.files or not path.startswith("/etc/"):
            machine.put(path, text, 0o755 if "/bin/" in path or "libexec" in path else 0o644)
    machine.packages["flannel"] = release
    systemd.reload(machine)
    call.write(
        f"[3/3] Installing flannel-0:{release}   100% |  21.4 MiB/s |  31.6 MiB |  00m01s"
        if five
        else f"Installed:\n  flannel-{release}.x86_64",
        "Complete!",
    )
    return 0


async def _remove(call: Call, name: str) -> int:
    """Remove a package; like rpm, keep changed configuration files as .rpmsave."""
    machine = call.machine
    await call.spend(4.0)
    for path, text in flannel_package(machine.packages.pop(name)).items():
        file = machine.files.pop(path, None)
        if file and path.startswith("/etc/") and file.text != text:
            machine.files[f"{path}.rpmsave"] = file
    systemd.reload(machine)
    call.write("Complete!")
    return 0


def _transaction(release: str, *, five: bool) -> list[str]:
    """The transaction table that dnf prints first."""
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
    firewall = call.machine.firewall
    if firewall is None:
        call.write("FirewallD is not running")
        return 252
    words = call.run.argv[1:]
    permanent = "--permanent" in words
    for word in words:
        flag, _, value = word.partition("=")
        verb, _, what = flag.removeprefix("--").partition("-")
        trusted = what == "source" and "--zone=trusted" in words
        if verb in ("add", "remove") and (what in ("port", "protocol") or trusted):
            name = (
                ("trusted_permanent" if permanent else "trusted")
                if trusted
                else ("permanent" if permanent else "ports")
            )
            values: frozenset[str] = getattr(firewall, name)
            changed: Any = {name: values | {value} if verb == "add" else values - {value}}
            firewall = replace(firewall, **changed)
        elif word not in ("--permanent", "--zone=trusted", f"--zone={firewall.zone}"):
            raise unmodelled(call.run)
    call.machine.firewall = firewall
    call.write("success")
    return 0


async def flanneld_version(call: Call) -> int:
    """The version that the operator's file reports; it is uploaded just for this call."""
    await call.spend(1.0)
    call.write(uploaded(call.run.upload).reported)
    return 0


COMMANDS: Mapping[str, Command] = {
    **admin_commands.COMMANDS,
    "firewall-cmd": firewall_cmd,
    "modprobe": modprobe,
    "rm": rm,
    "sysctl": sysctl,
    "systemctl": systemctl,
}
"""By the first word of the command."""
