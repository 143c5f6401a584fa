"""The guard of a lab: one process that makes everything the lab is made of, and takes it down.

It is there before anything of the lab is, in a session of its own, where no Ctrl+C of whoever wants
the lab reaches it. Whoever wants something says so over a socket: a line of JSON, answered by one.
If that one is gone before the answer, or one of the lab's owners is, the guard takes down what
there is by then, be it half made: nobody else was making it. All waiting is for events.
"""

import contextlib
import dataclasses
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from . import labhost, labimage, labstate
from .labroot import run
from .labstate import Host, State

BOOT = 600.0
"""Seconds after which a host that neither boots nor ends is given up; an idle machine needs one."""

SHUTDOWN = 60.0
"""Seconds in which a host may stop its services in order; some unit may not want to."""

T = TypeVar("T")


class Gone(Exception):  # noqa: N818 - not an error
    """Nobody wants this lab any more."""


@dataclasses.dataclass
class Running:
    """A host as the guard has it."""

    host: Host
    process: "subprocess.Popen[bytes]"
    end: int
    """A file descriptor that is readable once the process has ended."""

    notify: socket.socket
    """Where systemd-nspawn says how far the host is."""

    booted: bool = False


class Guard:
    """Serves one lab until nobody wants it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = labstate.folder_of(name)
        self.state: State | None = None
        self.running: dict[str, Running] = {}
        self.said: list[str] = []
        self.calls: list[socket.socket] = []
        self.events = selectors.DefaultSelector()
        # A signal ends no step halfway: it is one more event.
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.kept_open = [wake, woken]
        self.on(wake, self.gone)

    def on(self, source: int | socket.socket, do: Callable[[], object]) -> None:
        self.events.register(source, selectors.EVENT_READ, do)

    def gone(self) -> None:
        raise Gone

    def turn(self, patience: float | None = None) -> None:
        """Wait for events, and do what is to be done then."""
        for key, _ in self.events.select(patience):
            if self.events.get_map().get(key.fileobj) == key:  # no other has ended it meanwhile
                key.data()

    def until(self, done: Callable[[], bool], patience: float) -> bool:
        """Go on with events until it is done; False where it is not in that many seconds."""
        deadline = time.monotonic() + patience
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.turn(left)
        return True

    # Requests

    def serve(self, first: socket.socket) -> None:
        self.calls.append(first)
        try:
            while True:
                while self.calls:
                    self.answer(self.calls.pop(0))
                self.turn()
        except Gone:
            pass
        finally:
            self.take_down()

    def answer(self, call: socket.socket) -> None:
        with call, call.makefile("rw") as line:
            asked = line.readline()
            if not asked and self.state is None:  # interrupted before it asked for anything
                raise Gone
            if not asked:
                return
            self.on(call, self.gone)  # whoever asks says no more: this is the end of them
            reply: dict[str, Any] = {}
            try:
                self.do(**json.loads(asked))
            except (RuntimeError, OSError, ValueError, SystemExit) as problem:
                known = isinstance(problem, (RuntimeError, SystemExit))
                reply["error"] = str(problem) if known else traceback.format_exc()
                self.take_down()
            finally:
                self.events.unregister(call)
            reply["said"], self.said = self.said, []
            try:
                line.write(json.dumps(reply) + "\n")
                line.flush()
            except OSError:
                raise Gone from None
            if "error" in reply:
                raise Gone

    def do(self, verb: str, **given: Any) -> None:
        if verb == "up":
            self.up(**given)
        elif verb == "reset":
            self.stop()
            self.start()
        elif verb == "image":
            self.image(Path(given["image"]), Path(given["home"]))
        else:
            raise ValueError(verb)

    @property
    def lab(self) -> State:
        if self.state is None:
            raise RuntimeError(f"{self.name} is not up")
        return self.state

    def up(
        self,
        count: int,
        generation: str,
        flannel: str,
        lower: list[str],
        owners: list[int],
        images: str,
    ) -> None:
        for owner in owners:
            try:
                self.on(os.pidfd_open(owner), self.gone)
            except ProcessLookupError:
                raise Gone from None
        fits = labimage.finder(Path(images), generation, flannel, count) if images else None
        with labstate.locked():
            layers = [Path(each) for each in lower]
            self.state = state = labstate.new(self.name, count, generation, flannel, layers, fits)
        labstate.record_pid(self.folder / "guard.pid", os.getpid())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.folder / "guard.sock"))
        listener.listen()
        self.kept_open.append(listener)
        self.on(listener, lambda: self.calls.append(listener.accept()[0]))
        labhost.make_switch(state)
        if state.image:
            labimage.take_keys(state)
        else:
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", state.key)
        self.start()

    def image(self, image: Path, home: Path) -> None:
        """Shut all hosts down, make an image of their disks, and start them from it."""
        state = self.lab
        for it in self.alive():
            labhost.power_off(state, it.host)
        self.until(lambda: not self.alive(), SHUTDOWN)
        self.end()
        self.each(lambda host: labhost.take_off(state, host))
        labimage.make(state, image, home)
        self.each(lambda host: labhost.forget(state, host))
        state.image = str(image)
        state.save()
        self.start()

    # Hosts

    def each(self, work: Callable[[Host], T]) -> list[T]:
        with ThreadPoolExecutor(max(2, len(self.lab.hosts))) as pool:
            return list(pool.map(work, self.lab.hosts))

    def alive(self) -> list[Running]:
        return [it for it in self.running.values() if it.process.returncode is None]

    def start(self) -> None:
        """Furnish and boot every host, and wait until all of them have finished booting."""
        state = self.lab
        public_key = Path(state.key + ".pub").read_text()

        def make(host: Host) -> str:
            root = labhost.mount(state, host)
            labhost.plug(state, host)
            if state.image:  # it has all that, and who knows its hosts knows these
                return ""
            key = labhost.furnish(state, host, root, public_key, uuid.uuid4().hex)
            kind, blob, *_ = key.split()
            return f"{host.name},{host.address} {kind} {blob}\n"

        if known := "".join(self.each(make)):
            Path(state.known_hosts).write_text(known)
        for host in state.hosts:
            self.boot(host)
        self.until(lambda: all(self.has_booted(it) for it in self.running.values()), BOOT)
        for it in self.running.values():
            console = labhost.console(state, it.host)
            if not it.booted:
                raise RuntimeError(f"{it.host.name} does not boot:\n{console[-1500:]}")
            failed = re.findall(r"FAILED.*?\] *(.*)", console)
            self.said += [f"{it.host.name}: {row.strip()}" for row in failed]

    def has_booted(self, it: Running) -> bool:
        """Whether it has; a host that has ended never will."""
        return it.booted or it.process.returncode is not None

    def boot(self, host: Host) -> None:
        state = self.lab
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = state.home(host) / "notify"
        path.unlink(missing_ok=True)
        notify.bind(str(path))
        process = labhost.nspawn(state, host, path)
        it = Running(host, process, os.pidfd_open(process.pid), notify)
        self.running[host.name] = it
        self.on(it.notify, lambda: self.heard(it))
        self.on(it.end, lambda: self.ended(it))

    def heard(self, it: Running) -> None:
        """Nspawn says the host's first process, and passes on that the host has booted."""
        said = it.notify.recv(4096).decode(errors="replace").splitlines()
        for line in said:
            if line.startswith("X_NSPAWN_LEADER_PID="):
                labstate.record_pid(self.lab.leader(it.host), int(line.partition("=")[2]))
        if "READY=1" in said:
            it.booted = True
            self.lab.booted(it.host).touch()

    def ended(self, it: Running) -> None:
        """A host that has rebooted is started again, in a namespace that is as new."""
        self.let_go(it)
        if it.process.returncode != labhost.REBOOTED:
            return
        try:
            labhost.kill_cgroup(self.lab.cgroup(it.host))
            labhost.unplug(self.lab, it.host)
            labhost.plug(self.lab, it.host)
            self.boot(it.host)
        except (RuntimeError, OSError) as problem:
            with labhost.console_path(self.lab, it.host).open("a") as console:
                console.write(f"it can't be started again: {problem}\n")

    def let_go(self, it: Running) -> None:
        """What belonged to a process that has ended."""
        it.process.wait()
        for source in (it.notify, it.end):
            self.events.unregister(source)
        it.notify.close()
        os.close(it.end)
        self.lab.booted(it.host).unlink(missing_ok=True)
        self.lab.leader(it.host).unlink(missing_ok=True)

    def end(self) -> None:
        """End every host at once, as a power failure would."""
        for it in self.alive():
            leader = labhost.leader(self.lab, it.host)
            if leader is None:
                it.process.kill()
            else:  # nspawn sees it, cleans up after itself and ends
                with contextlib.suppress(ProcessLookupError):
                    os.kill(leader, signal.SIGKILL)
        for it in self.alive():
            with contextlib.suppress(subprocess.TimeoutExpired):
                it.process.wait(timeout=10)
            if it.process.returncode is None:
                it.process.kill()
            self.let_go(it)
        self.running = {}

    def stop(self) -> None:
        """End every host and remove what it leaves."""
        self.end()
        self.each(lambda host: labhost.forget(self.lab, host))

    def take_down(self) -> None:
        if self.state is None:  # it has made nothing
            return
        try:
            self.end()
        finally:
            labhost.dismantle(self.name)
            self.state = None
