"""What a lab is while it runs: its names, addresses and files, kept in /run/fedwiz-lab/NAME."""

import contextlib
import fcntl
import ipaddress
import json
import os
import re
import select
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .labroot import run

RUN = Path("/run/fedwiz-lab")
CGROUPS = Path("/sys/fs/cgroup")
MASTER = "fed-master"
OCTETS = (77, 36, 127)  # the first nodes have the addresses of the published procedure


@dataclass
class Host:
    name: str
    address: str
    role: str  # master or node
    netns: str
    label: str
    number: int
    mac: str


@dataclass
class State:
    name: str
    generation: str
    flannel: str
    subnet: str
    gateway: str
    operator: str  # this machine's own address in the lab
    operator_link: str
    switch: str  # the namespace of the bridge
    user: str
    key: str
    known_hosts: str
    lower: list[str]
    image: str = ""
    """The folder of the image that the hosts start from, if any (labimage.py)."""

    hosts: list[Host] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return RUN / self.name

    def host(self, name: str) -> Host:
        for host in self.hosts:
            if host.name == name:
                return host
        raise SystemExit(f"lab: {self.name} has no host {name}: {', '.join(self.names())}")

    def names(self) -> list[str]:
        return [host.name for host in self.hosts]

    def home(self, host: Host) -> Path:
        """The folder of one host: root (its file system), upper, work, console.log."""
        return self.folder / "hosts" / host.name

    def leader(self, host: Host) -> Path:
        """The file with the host's first process, as this machine numbers it, while it runs."""
        return self.home(host) / "leader"

    def booted(self, host: Host) -> Path:
        """A file that is there from the end of the host's boot to its shutdown."""
        return self.home(host) / "booted"

    def cgroup(self, host: Host) -> str:
        return f"fedwiz-lab-{self.name}-{host.name}"

    def save(self) -> None:
        path = self.folder / "lab.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n")
        part.rename(path)


def folder_of(name: str) -> Path:
    """Where a lab's files are: always below RUN, as `down` removes all of it."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,19}", name):
        raise SystemExit("lab: a name is up to 20 of a-z, 0-9 and '-'")
    return RUN / name


def load(name: str) -> State:
    try:
        text = (folder_of(name) / "lab.json").read_text()
    except FileNotFoundError:
        raise SystemExit(f"lab: no lab named {name} is up") from None
    raw: dict[str, Any] = json.loads(text)
    hosts = [Host(**each) for each in raw.pop("hosts")]
    return State(**raw, hosts=hosts)


def descriptions() -> Iterator[dict[str, Any]]:
    """What all labs say of themselves: also those of other checkouts, while some of them end."""
    for path in RUN.glob("*/lab.json"):
        with contextlib.suppress(FileNotFoundError):
            yield json.loads(path.read_text())


def labs() -> list[str]:
    return sorted(path.parent.name for path in RUN.glob("*/lab.json"))


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Only one lab at a time chooses its subnet."""
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (RUN / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def free_subnets() -> list[ipaddress.IPv4Network]:
    """Each 192.168.x.0/24 from .122 on that this machine has no address or route in."""
    taken: list[ipaddress.IPv4Network] = []
    for row in json.loads(run("ip", "-j", "-4", "route", "show", "table", "all") or "[]"):
        target = str(row.get("dst", ""))
        if re.match(r"\d", target):
            taken.append(ipaddress.IPv4Network(target, strict=False))
    taken += [ipaddress.IPv4Network(lab["subnet"]) for lab in descriptions()]
    every = [ipaddress.IPv4Network(f"192.168.{third}.0/24") for third in range(122, 254)]
    free = [it for it in every if not any(it.overlaps(each) for each in taken)]
    if not free:
        raise SystemExit("lab: every subnet from 192.168.122.0/24 to 192.168.253.0/24 is in use")
    return free


def new(
    name: str,
    count: int,
    generation: str,
    flannel: str,
    lower: list[Path],
    image_for: Callable[[ipaddress.IPv4Network], Path] | None = None,
) -> State:
    """Claim a name and a subnet, one that there is an image for if possible.

    The caller holds the lock.
    """
    folder = folder_of(name)
    if not 1 <= count <= 60:
        raise SystemExit("lab: between 1 and 60 hosts")
    if folder.exists():
        raise SystemExit(f"lab: {name} is up already (`lab down --name {name}` ends it)")
    free = free_subnets()
    subnet, image = free[0], ""
    for each in free if image_for else ():
        if image_for and image_for(each).is_dir():
            subnet, image = each, str(image_for(each))
            break
    folder.mkdir(mode=0o755)
    third = str(subnet.network_address).split(".")[2]
    state = State(
        name=name,
        generation=generation,
        flannel=flannel,
        subnet=str(subnet),
        gateway=str(subnet[254]),
        operator=str(subnet[1]),
        operator_link=f"fwlab{third}",
        switch=f"fedwiz-lab-{name}-sw",
        user="root",
        key=str(folder / "id_ed25519"),
        known_hosts=str(folder / "known_hosts"),
        lower=[str(each) for each in lower],
        image=image,
    )
    for number in range(count):
        host = MASTER if number == 0 else f"fed-node{number}"
        last = 76 if number == 0 else OCTETS[number - 1] if number <= 3 else 126 + number
        state.hosts.append(
            Host(
                name=host,
                address=str(subnet[last]),
                role="node" if number else "master",
                netns=f"fedwiz-lab-{name}-{host}",
                label=f"{host}-label",
                number=number,
                mac=f"52:54:00:{int(third):02x}:00:{last:02x}",
            )
        )
    state.save()
    return state


def started(pid: int) -> str | None:
    """When a process was started (so that its pid alone is never trusted), None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def record_pid(path: Path, pid: int) -> None:
    part = path.with_suffix(".part")
    part.write_text(f"{pid} {started(pid)}\n")
    part.rename(path)


def recorded_pid(path: Path) -> int | None:
    """The recorded process, if it is still the one that was recorded."""
    try:
        pid, _, mark = path.read_text().strip().partition(" ")
    except FileNotFoundError:
        return None
    return int(pid) if pid and started(int(pid)) == mark else None


def wait_for_end(pid: int, patience: float | None = None) -> bool:
    """Until that process has ended; False where it has not in that many seconds."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([end], [], [], patience)[0])
    finally:
        os.close(end)
