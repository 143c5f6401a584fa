"""fedwiz as processes of their own that need not be loaded again, which is most of a start.

A server loads once what verbs and the wizard import. Each run is a fork of it that gets its own
words, environment, folder, files and terminal, and does from there on what `python -W error -m
fedwiz` does; signals and the exit status are those of any process. What counts before that, such as
what Python itself does with a variable, is for a process that is started.
"""

import atexit
import fcntl
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
import termios
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

LOADED = (
    "fedwiz.cli.cluster_verbs",
    "fedwiz.cli.resume",
    "fedwiz.cli.diagnose",
    "fedwiz.cli.watch_run",
    "fedwiz.cli.runner",
    "fedwiz.cli.plain.flow",
    "fedwiz.practice",
    "fedwiz.report",
    "fedwiz.wizard.inventory",
    "fedwiz.engine.undo",
)
"""With all that they import; and the screens."""

MOST = 1 << 17
STATUS = struct.Struct("i")


class Run:
    """One run of fedwiz; what `subprocess.Popen` offers of it."""

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        *,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.DEVNULL,
        stderr: int | IO[Any] = subprocess.PIPE,
        terminal: bool = False,
        ignored: Sequence[signal.Signals] = (),
    ) -> None:
        """Begin it.

        Args:
            words: after the command's name.
            environ: all of it.
            folder: where it runs.
            stdin: where it reads, as `Popen` has it; so the others.
            stdout: where it writes.
            stderr: where it says what it does.
            terminal: standard input is one, and becomes that of a session of its own.
            ignored: signals that are, from the beginning, as `nohup` has it.
        """
        self.args = words
        self.returncode: Any = None  # as Popen has it: a number once it has ended
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        ours, theirs = os.pipe()
        opened = [theirs]

        def place(where: int | IO[Any], name: str) -> int:
            if not isinstance(where, int):
                return where.fileno()
            if where >= 0:
                return where
            if where == subprocess.DEVNULL:
                number = os.open(os.devnull, os.O_RDWR)
            else:
                reader, writer = os.pipe()
                number, kept, mode = (
                    (reader, writer, "w") if name == "stdin" else (writer, reader, "r")
                )
                setattr(self, name, os.fdopen(kept, mode))
            opened.append(number)
            return number

        asked = json.dumps([words, dict(environ), str(folder), terminal, list(ignored)]).encode()
        try:
            files = [place(stdin, "stdin"), place(stdout, "stdout"), place(stderr, "stderr")]
            self.pid = _server().begin(asked, [theirs, *files])
        finally:
            for number in opened:
                os.close(number)
        self._end = os.fdopen(ours, "rb", buffering=0)

    def communicate(self, typed: str = "", timeout: float | None = None) -> tuple[str, str]:
        """Type something, and read what it writes up to its end.

        Args:
            typed: for its standard input, where that is a pipe.
            timeout: seconds to wait for its end.

        Returns:
            What it wrote to standard output and to standard error, as far as they are pipes.

        Raises:
            subprocess.TimeoutExpired: it does not end; nothing of it is left.
        """

        def write() -> None:
            if self.stdin:
                with suppress(BrokenPipeError), self.stdin:
                    self.stdin.write(typed)

        with ThreadPoolExecutor(3) as threads:
            threads.submit(write)
            read = [
                threads.submit(stream.read if stream else str)
                for stream in (self.stdout, self.stderr)
            ]
            try:
                self.wait(timeout)
            except BaseException:
                self.kill()
                raise
        return read[0].result(), read[1].result()

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
            with self._end:
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
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()
        self.wait()


class _Server:
    """The process that all runs are forks of."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(__file__).parents[2])
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.support.preloaded", str(number)],
                env={**kept, "PYTHONPATH": root},
                cwd=root,
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
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


def _serve(asking: socket.socket) -> tuple[list[Any], list[int]]:
    """Begin runs and tell their ends, until nobody can ask any more; returns in each run."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    # A Ctrl+C ends the tests, and this with them: at the end of its input.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
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
            asked, files, _, _ = socket.recv_fds(asking, MOST, 4)
            if not asked:
                asking.close()
                sys.exit()
            end, *own = files
            if pid := os.fork():
                running[pid] = end
                for number in own:
                    os.close(number)
                asking.send(str(pid).encode())
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)
            signal.signal(signal.SIGINT, interrupted)
            asking.close()
            for number in (end, woken, wake, *running.values()):
                os.close(number)
            return json.loads(asked), own


def main() -> NoReturn:
    """The server; and, in its forks, fedwiz."""
    root = Path(__file__).parents[2]
    screens = (path.relative_to(root).with_suffix("") for path in root.glob("screens/**/*.py"))
    for name in (*LOADED, *sorted(".".join(path.parts) for path in screens)):
        import_module(name.removesuffix(".__init__"))
    gc.collect()
    gc.freeze()
    asked, own = _serve(socket.socket(fileno=int(sys.argv[1])))
    words, environ, folder, terminal, ignored = asked
    for place, number in enumerate(own):
        os.dup2(number, place)
        os.close(number)
    if terminal:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        # As Python does at its start.
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv[1:] = words
    runpy.run_module("fedwiz", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
