"""Labs: bring one up, take it down, start it afresh; each in seconds, all of them by name."""

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from . import labhost, labimage, labroot, labstate
from .labroot import run, say
from .labstate import RUN, Host, State, load, record_pid, recorded_pid

SCRIPT = Path(__file__).resolve().parent / "lab"
BOOT = 90.0  # seconds
T = TypeVar("T")


def unavailable() -> str | None:
    """Why no lab can run on this machine, or None."""
    if os.geteuid() != 0:
        return "the lab needs root"
    if not Path("/etc/debian_version").exists() or not shutil.which("apt-get"):
        return "the lab needs Debian (it installs systemd-container, debootstrap, rpm)"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the lab needs a kernel with overlayfs"
    if not Path("/dev/net/tun").exists():
        return "the lab needs /dev/net/tun"
    try:
        labroot.tools()
    except (RuntimeError, OSError) as problem:
        return f"the lab can't install its tools: {str(problem)[-300:]}"
    probe = f"fedwiz-lab-probe-{os.getpid()}"
    if not labhost.quiet("ip", "netns", "add", probe):
        return "the lab needs network namespaces"
    try:
        for kind in (
            ("br0", "type", "bridge"),
            ("v0", "type", "veth", "peer", "name", "v1"),
            ("x0", "type", "vxlan", "id", "1", "dstport", "8472"),
        ):
            if not labhost.quiet("ip", "-n", probe, "link", "add", *kind):
                return f"the lab needs a kernel with {kind[2]}"
    finally:
        labhost.quiet("ip", "netns", "del", probe)
    return None


@contextlib.contextmanager
def unwinding(name: str) -> Iterator[None]:
    """Take the lab down again when what is done with it fails or is interrupted."""

    def interrupted(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = None
    with contextlib.suppress(ValueError):  # not in the main thread: then no handler
        before = signal.signal(signal.SIGTERM, interrupted)
    try:
        yield
    except BaseException:
        down(name)
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def each(state: State, work: Callable[[Host], T]) -> list[T]:
    with ThreadPoolExecutor(max(2, len(state.hosts))) as pool:
        return list(pool.map(work, state.hosts))


def make_room() -> None:
    """Every systemd takes some ten inotify instances of root's; 128 are too few for many hosts."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text()) < 4096:
        limit.write_text("4096")


def up(
    name: str,
    count: int = 4,
    generation: str = "classic",
    flannel: str | None = None,
    owner: int | None = None,
    images: Path | None = None,
) -> State:
    """Start a lab; with an owner (a pid), the lab ends when that process has ended.

    Where a folder of images is given and one of them fits, the hosts start from it; whether they
    did is in the state.
    """
    lower = labroot.build(generation)
    labroot.tools()
    make_room()
    flavour = flannel or labroot.GENERATIONS[generation].flannel
    image_for = images and functools.partial(labimage.path_in, images, generation, flavour, count)
    with labstate.locked():
        state = labstate.new(name, count, generation, flavour, lower, image_for or None)
        with unwinding(name):
            labhost.make_switch(state)
    with unwinding(name):
        if state.image:
            for file in labimage.KEYS:
                shutil.copy2(Path(state.image) / file, state.folder)
        else:
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", state.key)
        start(state)
        if owner:
            guard = [sys.executable, str(SCRIPT), "_guard", name, str(owner)]
            detached(guard, state.folder / "guard.pid")
    return state


def detached(argv: list[str], pid_file: Path) -> None:
    with (pid_file.parent / "keeper.log").open("ab") as log:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    record_pid(pid_file, child.pid)
    child.returncode = 0  # it outlives this process on purpose: nothing waits for it


def start(state: State) -> None:
    """Furnish and boot every host, and wait until all of them have finished booting."""
    public_key = Path(state.key + ".pub").read_text()

    def boot(host: Host) -> str:
        root = labhost.mount(state, host)
        known = ""
        if not state.image:  # it has all that, and who knows its hosts knows these
            key = labhost.furnish(state, host, root, public_key, uuid.uuid4().hex)
            kind, blob, *_ = key.split()
            known = f"{host.name},{host.address} {kind} {blob}\n"
        argv = [sys.executable, str(SCRIPT), "_keep", state.name, host.name]
        detached(argv, state.home(host) / "pid")
        return known

    if known := "".join(each(state, boot)):
        Path(state.known_hosts).write_text(known)
    each(state, lambda host: wait(state, host))


def make_image(state: State, images: Path, home: Path) -> None:
    """Shut the hosts down, make an image of them, and start them again from it.

    Args:
        state: the lab; from now on a reset brings it back to this image.
        images: the folder that the image goes to.
        home: the home folder of whoever installed something there; it goes into the image.
    """
    image = labimage.path_in(
        images, state.generation, state.flannel, len(state.hosts), state.subnet
    )

    def shut_down(host: Host) -> None:
        labhost.power_off(state, host)
        labstate.end(state.home(host) / "pid")
        labhost.kill_cgroup(state, host)
        labhost.unmount(state, host)

    with unwinding(state.name):
        each(state, shut_down)
        labimage.make(state, image, home)
        each(state, lambda host: labhost.forget(state, host))
        state.image = str(image)
        state.save()
        start(state)


def images(owner: int) -> Path:
    """The folder of images that ends with that process."""
    folder = labimage.folder_for(owner)
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return folder
    detached([sys.executable, str(SCRIPT), "_sweep", str(owner)], folder / "pid")
    return folder


def stop(state: State) -> None:
    """End every host and remove what it leaves."""

    def finish(host: Host) -> None:
        labstate.end(state.home(host) / "pid")
        labhost.kill_cgroup(state, host)
        labhost.forget(state, host)

    each(state, finish)


def down(name: str) -> None:
    folder = labstate.folder_of(name)
    if not (folder / "lab.json").exists():  # one that was interrupted before it had anything
        shutil.rmtree(folder, ignore_errors=True)
        return
    state = load(name)
    if recorded_pid(state.folder / "guard.pid") != os.getpid():
        labstate.end(state.folder / "guard.pid")
    stop(state)
    labhost.drop_switch(state)
    shutil.rmtree(state.folder, ignore_errors=True)


def reset(state: State) -> None:
    """The same hosts at the same addresses, as new."""
    with unwinding(state.name):
        stop(state)
        start(state)


def guard(name: str, owner: int) -> None:
    """Take the lab down when its owner is gone."""
    mark = labstate.started(owner)
    while mark and labstate.started(owner) == mark:
        if not (labstate.folder_of(name) / "lab.json").exists():
            return
        time.sleep(0.5)
    down(name)


def ssh_argv(state: State, host: str, *command: str, user: str = "") -> list[str]:
    target = state.host(host)
    return [
        *("ssh", "-F", "/dev/null", "-i", state.key, "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={state.known_hosts}", "-o", "StrictHostKeyChecking=yes"),
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"),
        # Those that the hosts would choose take five times as long.
        *("-o", "KexAlgorithms=curve25519-sha256"),
        *("-l", user or state.user, target.address, *command),
    ]


def inside_argv(state: State, host: Host, command: str) -> list[str]:
    """A command as root on a host, not by SSH: a login there takes a hundred times as long.

    Raises:
        RuntimeError: the host does not run.
    """
    leader = labhost.leader(state, host)
    if leader is None:
        raise RuntimeError(f"{host.name} does not run")
    return [
        *("nsenter", "--target", str(leader), "--all", "--root", "--wd"),
        *("/usr/bin/env", "-i", "-C", "/root", "HOME=/root", "USER=root", "LOGNAME=root"),
        *("SHELL=/bin/bash", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        *("/bin/bash", "-c", command),
    ]


def answers(host: Host) -> bool:
    try:
        with socket.create_connection((host.address, 22), timeout=1) as link:
            return link.recv(8).startswith(b"SSH-")
    except OSError:
        return False


def wait(state: State, host: Host) -> None:
    """Until the host has booted; a unit that failed at boot is said, not an error."""
    deadline = time.monotonic() + BOOT
    while not answers(host):
        if time.monotonic() > deadline or not recorded_pid(state.home(host) / "pid"):
            log = state.home(host) / "console.log"
            said = log.read_text(errors="replace")[-1500:] if log.exists() else ""
            raise RuntimeError(f"{host.name} does not boot:\n{said}")
        time.sleep(0.05)
    script = "systemctl is-system-running --wait; systemctl --failed --plain --no-legend"
    done = subprocess.run(
        inside_argv(state, host, f"timeout {BOOT:.0f} sh -c '{script}'"),
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if not done.stdout.startswith("running"):
        say(f"{host.name}: {' '.join((done.stdout + done.stderr).split())}")


def status(state: State) -> dict[str, bool]:
    return {host.name: bool(recorded_pid(state.home(host) / "pid")) for host in state.hosts}
