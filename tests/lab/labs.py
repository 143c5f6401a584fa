"""Labs: bring one up, take it down, start it afresh; each in seconds, all of them by name."""

import contextlib
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import labcheck, labhost, labimage, labroot, labstate
from .labroot import say
from .labstate import Host, State, load, recorded_pid

SCRIPT = Path(__file__).resolve().parent / "lab"
GUARD = 120.0
"""Seconds in which a guard takes its lab down, on any machine; one that does not is killed."""


def unavailable(wanted: str | None = None) -> str | None:
    """Why no lab can run on this machine, as a sentence, or None.

    Args:
        wanted: what counts as FEDWIZ_LAB; None: what it is.
    """
    return labcheck.unavailable(labcheck.Here(wanted))


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
    owners: Sequence[int] = (),
    images: Path | None = None,
) -> State:
    """Start a lab; with owners (pids), the lab ends when one of these processes has ended.

    Where a folder of images is given and one of them fits, the hosts start from it; whether they
    did is in the state.
    """
    labstate.folder_of(name)
    lower = labroot.build(generation)
    labroot.tools()
    make_room()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            guard = detached("_guard", name, stdin=theirs)
        try:
            ask(
                ours,
                verb="up",
                count=count,
                generation=generation,
                flannel=flannel or labroot.GENERATIONS[generation].flannel,
                lower=[str(each) for each in lower],
                owners=list(owners),
                images=str(images or ""),
            )
        except BaseException:
            ours.close()
            ended(guard)
            raise
    return load(name)


def detached(*words: str, **streams: Any) -> int:
    """Start this program as a process that outlives this one and hears no Ctrl+C; its pid."""
    child = subprocess.Popen(
        # With as little of Python as it needs: the rest takes longer to load than the program.
        [sys.executable, "-I", "-S", str(SCRIPT), *words],
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **streams},
        start_new_session=True,
        cwd="/",
    )
    child.returncode = 0  # it outlives this process on purpose: nothing waits for it
    return child.pid


def ended(guard: int) -> None:
    """Wait until a guard has taken its lab down, and forget it where it was a child."""
    if not labstate.wait_for_end(guard, GUARD):
        with contextlib.suppress(ProcessLookupError):
            os.kill(guard, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(guard, 0)


def ask(guard: socket.socket, **request: Any) -> None:
    """Have a lab's guard do something.

    Raises:
        RuntimeError: it can't, and has taken the lab down.
    """
    with guard.makefile("rw") as line:
        line.write(json.dumps(request) + "\n")
        line.flush()
        reply = json.loads(line.readline() or '{"error": "the guard of the lab was ended"}')
    for text in reply.get("said", []):
        say(text)
    if "error" in reply:
        raise RuntimeError(reply["error"].removeprefix("lab: "))


def ask_for(state: State, **request: Any) -> None:
    """The same by name; when this is interrupted, the lab is down."""
    guard = recorded_pid(state.folder / "guard.pid")
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(str(state.folder / "guard.sock"))
        except OSError:
            raise RuntimeError(f"{state.name} has no guard any more: `lab down` it") from None
        try:
            ask(link, **request)
        except BaseException:
            link.close()
            if guard:
                ended(guard)
            raise


def make_image(state: State, images: Path, home: Path) -> None:
    """Shut the hosts down, make an image of them, and start them again from it.

    Args:
        state: the lab; from now on a reset brings it back to this image.
        images: the folder that the image goes to.
        home: the home folder of whoever installed something there; it goes into the image.
    """
    find = labimage.finder(images, state.generation, state.flannel, len(state.hosts))
    image = str(find(ipaddress.IPv4Network(state.subnet)))
    ask_for(state, verb="image", image=image, home=str(home))
    state.image = image


def images(owner: int) -> Path:
    """The folder of images that ends with that process."""
    folder = labimage.folder_for(owner)
    with labstate.locked():
        if not folder.is_dir():
            ours, theirs = os.pipe()
            with open(ours) as made:  # noqa: PTH123 - a file descriptor
                detached("_sweep", str(owner), stdout=theirs)
                os.close(theirs)
                made.readline()
    return folder


def down(name: str) -> None:
    """Take a lab down: its guard does, or without one whoever asks."""
    folder = labstate.folder_of(name)
    if guard := recorded_pid(folder / "guard.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(guard, signal.SIGTERM)
        ended(guard)
    if folder.exists():
        labhost.dismantle(name)


def reset(state: State) -> None:
    """The same hosts at the same addresses, as new."""
    ask_for(state, verb="reset")


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


def has_booted(state: State, host: Host) -> bool:
    """Whether it has, and does not shut down."""
    return state.booted(host).exists() and labhost.leader(state, host) is not None


def status(state: State) -> dict[str, bool]:
    return {host.name: labhost.leader(state, host) is not None for host in state.hosts}
