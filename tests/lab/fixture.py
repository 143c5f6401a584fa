"""The lab for tests: a cluster of real hosts by one call, fresh again in about two seconds.

    from tests.lab.fixture import lab_factory, running_labs  # in tests/conftest.py

    def test_it(lab_factory):
        lab = lab_factory("classic", 3)
        assert "docker0" in lab.ssh("fed-node1", "ip -br link")

`lab_factory` gives each generation and size one lab for the test file, reset before every test that
asks for it; at most two of them run at once. Without root or Debian such tests are skipped with the
reason; with FEDWIZ_LAB=require they fail instead, with FEDWIZ_LAB=0 they are skipped anywhere.
"""

import contextlib
import functools
import itertools
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeAlias

import pytest

from . import labs, labstate

PATIENCE = 600.0
"""Seconds after which something on a host is given up; no machine is to be too slow for it."""

_NUMBERS = itertools.count()
"""So that several labs of one kind fit into one process."""


def _session() -> int:
    """The process whose end is the test session's end: with xdist the one that has the workers."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


class SshError(Exception):
    """A command on a host that did not end with 0."""

    def __init__(self, host: str, command: str, done: "subprocess.CompletedProcess[str]") -> None:
        said = (done.stdout + done.stderr).strip()
        super().__init__(f"{host}: {command!r} ended with {done.returncode}: {said}")
        self.returncode = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr


class Lab:
    """A running cluster. `hosts`, `address`, `key` and `user` are all that SSH needs."""

    password = "lab-sudo-pw"  # what sudo asks the user admin for

    def __init__(self, state: labstate.State) -> None:
        self.state = state
        self.name = state.name
        self.generation = state.generation
        self.flannel = state.flannel
        self.subnet = state.subnet
        self.user = state.user
        self.key = Path(state.key)

    @classmethod
    def up(
        cls,
        generation: str = "classic",
        count: int = 4,
        *,
        name: str = "",
        flannel: str | None = None,
        installed: bool = False,
    ) -> "Lab":
        """A new cluster, which ends with this process at the latest.

        An installed one is as fedwiz leaves it with the answers of `Operator`, and has booted
        since. The first of its kind in a test session is installed; the others start from what is
        on its disks. A reset brings it back to there, host keys and all.
        """
        chosen = name or f"t{os.getpid()}-{generation[:1]}{count}{flannel or ''}-{next(_NUMBERS)}"
        images = labs.images(_session()) if installed else None
        owners = {os.getpid(), _session()}
        lab = cls(labs.up(chosen, count, generation, flannel, tuple(owners), images))
        try:
            if images and not lab.state.image:
                lab._install(images)
            if images:
                lab.wait_for_overlay()
        except BaseException:
            lab.down()
            raise
        return lab

    def _install(self, images: Path) -> None:
        from tests.support.lab_operator import Operator  # it imports this module

        home = self.state.folder / "operator"
        home.mkdir()
        said = Operator(self, home).install(timeout=600)
        if said.code:
            raise RuntimeError(f"the cluster can't be installed:\n{said.err}")
        labs.make_image(self.state, images, home)

    def wait_for_overlay(self, timeout: float = PATIENCE) -> None:
        """Until each node of an installed cluster has heard from flannel where the others are."""
        show = "sed -n 's/^FLANNEL_SUBNET=//p' /run/flannel/subnet.env"
        ends = [self.ssh(node, show).strip().split("/")[0] for node in self.nodes]
        script = "".join(f"until ping -q -c 1 -W 1 {end}; do :; done;" for end in ends if end)
        for node in self.nodes:
            self.ssh(node, script, timeout=timeout)

    def installer_home(self, into: Path) -> None:
        """Copy the home folder of whoever installed this cluster: known hosts and journals."""
        shutil.copytree(Path(self.state.image) / "home", into, symlinks=True, dirs_exist_ok=True)

    @property
    def hosts(self) -> list[str]:
        return self.state.names()

    @property
    def master(self) -> str:
        return self.hosts[0]

    @property
    def nodes(self) -> list[str]:
        return self.hosts[1:]

    def address(self, host: str) -> str:
        return self.state.host(host).address

    def netns(self, host: str) -> str:
        return self.state.host(host).netns

    def root(self, host: str) -> Path:
        """The host's file system, as this machine sees it."""
        return self.state.home(self.state.host(host)) / "root"

    def run(
        self, host: str, command: str, *, user: str = "", stdin: str = "", timeout: float = PATIENCE
    ) -> "subprocess.CompletedProcess[str]":
        """A command on a host: as root without a login, as a user that is named by SSH."""
        if user:
            argv = labs.ssh_argv(self.state, host, command, user=user)
        else:
            argv = labs.inside_argv(self.state, self.state.host(host), command)
        return subprocess.run(
            argv,
            input=stdin,
            text=True,
            check=False,
            capture_output=True,
            timeout=timeout,
        )

    def ssh(
        self,
        host: str,
        command: str,
        check: bool = True,
        *,
        user: str = "",
        stdin: str = "",
        timeout: float = PATIENCE,
    ) -> str:
        """What a command on a host writes to stdout; SshError unless it ends with 0."""
        done = self.run(host, command, user=user, stdin=stdin, timeout=timeout)
        if check and done.returncode:
            raise SshError(host, command, done)
        return done.stdout

    def write(self, host: str, path: str, text: str, mode: str = "0644") -> None:
        """Put a file on a host."""
        target = shlex.quote(path)
        self.ssh(host, f"install -D -m {mode} /dev/stdin {target}", stdin=text)

    def known_hosts(self, path: Path | None = None, hosts: list[str] | None = None) -> Path:
        """Write the hosts' true keys (of all, or only of some) where ssh finds them."""
        text = Path(self.state.known_hosts).read_text()
        if hosts is not None:
            kept = [row for row in text.splitlines(True) if row.split(",")[0] in hosts]
            text = "".join(kept)
        target = path or Path(self.state.known_hosts)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return target

    def boot_id(self, host: str) -> str:
        return self.ssh(host, "cat /proc/sys/kernel/random/boot_id").strip()

    def reboot(self, host: str, timeout: float = PATIENCE) -> None:
        """Reboot a host and wait until it has booted again."""
        before = self.boot_id(host)
        self.run(host, "systemctl reboot")
        self.wait_rebooted(host, before, timeout)

    def wait_rebooted(self, host: str, before: str, timeout: float = PATIENCE) -> None:
        """Wait for a host whose boot_id was `before` to be back, its units started."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if labs.has_booted(self.state, self.state.host(host)):
                with contextlib.suppress(SshError, RuntimeError, subprocess.TimeoutExpired):
                    if self.boot_id(host) != before:
                        return
            time.sleep(0.05)
        raise TimeoutError(f"{host} did not come back within {timeout:.0f} s")

    def reset(self) -> None:
        """The same hosts at the same addresses, as new.

        Bare ones have new host keys; installed ones are as they were after the install.
        """
        labs.reset(self.state)
        if self.state.image:
            self.wait_for_overlay()

    def down(self) -> None:
        labs.down(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()


@functools.cache
def why_no_lab() -> str | None:
    """Why no lab can run here, as a sentence, or None. Nothing is built for that."""
    return labs.unavailable()


def require_lab() -> None:
    """Skip the test without a lab, or fail it when FEDWIZ_LAB=require."""
    reason = why_no_lab()
    if reason and os.environ.get("FEDWIZ_LAB", "") not in ("", "0", "1"):
        pytest.fail(f"there are no real hosts: {reason}")
    if reason:
        pytest.skip(reason)


LabFactory = Callable[..., Lab]
Kind: TypeAlias = tuple[str, int, str | None, bool]
"""Generation, number of hosts, flannel if chosen, whether installed."""
RunningLabs: TypeAlias = dict[Kind, Lab]


AT_ONCE = 2
"""Labs that a test file keeps: also one that nobody uses costs several percent of a processor."""


@pytest.fixture(scope="module")
def running_labs() -> Iterator[RunningLabs]:
    """The labs of a test file, those used last at the end; taken down with it."""
    made: RunningLabs = {}
    try:
        yield made
    finally:
        for lab in made.values():
            lab.down()


@pytest.fixture
def lab_factory(running_labs: RunningLabs) -> LabFactory:
    """`lab_factory(generation="classic", count=4, flannel=None)`: a cluster that is as new.

    With `installed=True` it is as fedwiz leaves it after an install, at next to no cost.
    """
    require_lab()

    def fresh(
        generation: str = "classic",
        count: int = 4,
        flannel: str | None = None,
        *,
        installed: bool = False,
    ) -> Lab:
        want: Kind = (generation, count, flannel, installed)
        if want in running_labs:
            lab = running_labs.pop(want)
            lab.reset()
        else:
            while len(running_labs) >= AT_ONCE:
                running_labs.pop(next(iter(running_labs))).down()
            lab = Lab.up(generation, count, flannel=flannel, installed=installed)
        running_labs[want] = lab
        return lab

    return fresh
