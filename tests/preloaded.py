"""fedwiz as processes of their own that need not be loaded again, which is most of a start.

A server loads once what verbs on hosts import. Each run is a fork of it that gets its own words,
environment, folder and files, and does from there on what `python -W error -m fedwiz` does; signals
and the exit status are those of any process. How fedwiz starts by itself other tests say.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

LOADED = (
    "fedwiz.cli.online", "fedwiz.cli.resume", "fedwiz.cli.mending", "fedwiz.cli.follow",
    "fedwiz.cli.run", "fedwiz.report", "fedwiz.site", "fedwiz.undo",
)  # fmt: skip
"""With all that they import."""

MOST = 1 << 17
STATUS = struct.Struct("i")


class Run:
    """One run of fedwiz; what `subprocess.Popen` offers of it."""

    def __init__(
        self,
        words: tuple[str, ...],
        environ: Mapping[str, str],
        folder: Path,
        stdout: int | IO[str] = subprocess.DEVNULL,
        stderr: int | IO[str] = subprocess.PIPE,
    ) -> None:
        self.args = words
        self.returncode: Any = None  # as Popen has it: a number once it has ended
        self.stderr: IO[str] | None = None
        ours, theirs = os.pipe()
        opened = [theirs]

        def place(where: int | IO[str]) -> int:
            if not isinstance(where, int):
                return where.fileno()
            if where == subprocess.PIPE:
                reader, writer = os.pipe()
                self.stderr = os.fdopen(reader)
            else:
                writer = os.open(os.devnull, os.O_WRONLY)
            opened.append(writer)
            return writer

        asked = json.dumps([words, dict(environ), str(folder)]).encode()
        try:
            self.pid = _server().begin(asked, [theirs, place(stdout), place(stderr)])
        finally:
            for number in opened:
                os.close(number)
        self._end = os.fdopen(ours, "rb", buffering=0)

    def poll(self) -> int | None:
        """The exit status, once it has ended."""
        self._ended(0)
        return None if self.returncode is None else int(self.returncode)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, as soon as it has ended."""
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return int(self.returncode)

    def _ended(self, timeout: float | None) -> Any:  # noqa: ANN401 - as `returncode`
        if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
            said = self._end.read(STATUS.size)
            assert said, "the server of runs has ended"
            self.returncode = os.waitstatus_to_exitcode(*STATUS.unpack(said))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self.stderr:
            self.stderr.close()
        self.wait()
        self._end.close()


class _Server:
    """The process that all runs are forks of."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(__file__).parent.parent)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.preloaded", str(number)],
                env={**kept, "PYTHONPATH": root}, cwd=root, pass_fds=[number],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self.process.returncode = 0  # it ends with this process, at the end of its input
        self._socket = ours
        atexit.register(ours.close)

    def begin(self, asked: bytes, files: list[int]) -> int:
        socket.send_fds(self._socket, [asked], files)
        said = self._socket.recv(MOST)
        assert said, "fedwiz can't be loaded: see what it says above"
        return int(said)


@functools.cache
def _server() -> _Server:
    return _Server()


def _serve(asking: socket.socket) -> tuple[list[str], dict[str, str], str, list[int]]:
    """Begin runs and tell their ends, until nobody can ask any more; returns in each run."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asking.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                end = running.pop(ended[0])
                os.write(end, STATUS.pack(ended[1]))
                os.close(end)
        if asking.fileno() in ready:
            asked, files, _, _ = socket.recv_fds(asking, MOST, 3)
            if not asked:
                asking.close()
                sys.exit()
            end, *out = files
            if pid := os.fork():
                running[pid] = end
                for number in out:
                    os.close(number)
                asking.send(str(pid).encode())
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)
            asking.close()
            for number in (end, woken, wake, *running.values()):
                os.close(number)
            words, environ, folder = json.loads(asked)
            return words, environ, folder, out


def main() -> NoReturn:
    """The server; and, in its forks, fedwiz."""
    for name in LOADED:
        import_module(name)
    gc.collect()
    gc.freeze()
    words, environ, folder, out = _serve(socket.socket(fileno=int(sys.argv[1])))
    for number, place in zip(out, (1, 2), strict=True):
        os.dup2(number, place)
        os.close(number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv[1:] = words
    runpy.run_module("fedwiz", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
