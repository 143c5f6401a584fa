"""Someone at a shell: fedwiz as a process of its own, in a pipe or at a terminal.  No network."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any

import pytest

from fedwiz import cli
from fedwiz.model.events import RunEnded
from fedwiz.runs.journal import read
from tests.support.patience import GIVE_UP
from tests.support.preloaded import Run

ROOT = Path(__file__).parents[2]
ANSWERS = ROOT / "tests/answers"

Running = subprocess.Popen[bytes] | Run
"""What the two have in common."""


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the document is
        return json.loads(self.out)

    @property
    def last(self) -> str:
        """The last word: why it did not do what it was asked."""
        return self.err.splitlines()[-1]


@dataclass
class Shell:
    """A home folder, and someone who types there."""

    home: Path

    def environ(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": str(ROOT), **more}

    def fedwiz(self, *words: str, typed: str = "", **environ: str) -> Said:
        """Run it in a pipe, with this on its standard input."""
        _is_loaded(environ)
        pipe = subprocess.PIPE
        with Run(
            words, self.environ(**environ), self.home, stdin=pipe, stdout=pipe, stderr=pipe
        ) as run:
            out, err = run.communicate(typed, GIVE_UP)
        assert "Traceback" not in err, err
        return Said(run.wait(), out, err)

    def started(self, *words: str, **environ: str) -> Said:
        """The same as a process that Python starts, with nothing on its standard input."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "fedwiz", *words],
            env=self.environ(**environ),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=GIVE_UP,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def call(self, *words: str) -> Said:
        """The same in this process, with nothing on its standard input: no program is started."""
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(StringIO()) as out,
            redirect_stderr(StringIO()) as err,
        ):
            for name in set(os.environ) - {"PATH"}:
                patch.delenv(name)
            patch.setenv("HOME", str(self.home))
            patch.chdir(self.home)
            patch.setattr(sys, "stdin", StringIO())
            try:
                code = cli.main(words)
            except SystemExit as end:  # argparse's
                code = int(end.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    def demo(self, *words: str, **environ: str) -> Said:
        return self.fedwiz("demo", *words, "--pace", "0", "--hosts", "3", **environ)


_ON = ("7", "25")
"""The modes that a terminal has of itself: lines wrap, and there is a cursor."""


def _is_loaded(environ: Mapping[str, str]) -> None:
    """Nothing here is for Python's start, which a fork of what is loaded does not see."""
    assert not any(name.startswith("PYTHON") for name in environ), "it is to be started"


class Terminal:
    """What a command shows at a terminal of its own, and whoever types there."""

    def __init__(self, running: Running, ours: int, home: Path) -> None:
        self.running, self.home = running, home
        self.seen = ""
        self._ours = ours
        self._before = termios.tcgetattr(ours)

    def until(self, wanted: str) -> str:
        """What it shows from now up to some words.

        Raises:
            AssertionError: they never come; with what came.
        """
        said, began = "", time.monotonic()
        while wanted not in said:
            more = self._more() if time.monotonic() - began < GIVE_UP else ""
            said += more
            assert more, f"{wanted!r} never came:\n{self.seen}"
        return said

    def more(self) -> None:
        """Let it show something more.

        Raises:
            AssertionError: it does not.
        """
        assert self._more(), f"nothing more came:\n{self.seen}"

    def type(self, text: str) -> None:
        """Type it, as it is."""
        os.write(self._ours, text.encode())

    def resize(self, width: int, height: int) -> None:
        """Make it so many columns and rows."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def hang_up(self) -> None:
        """Have it go, as where its window is closed."""
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, self._ours)
        os.close(null)

    def not_restored(self) -> list[str]:
        """What is not as it was before the command.

        Modes of a terminal by their numbers, as ECMA-48, xterm and kitty have them.
        """
        modes = dict(re.findall(r"\x1b\[\?(\d+)([hl])", self.seen))
        wrong = [f"mode {it} is {now}" for it, now in modes.items() if (now == "h") != (it in _ON)]
        if self.seen.count("\x1b[>") != self.seen.count("\x1b[<u"):
            wrong.append("keys are told in kitty's way")
        now = termios.tcgetattr(self._ours)
        return wrong + ["it reads and echoes in another way"] * (now != self._before)

    def leave_wizard(self) -> None:
        """By its keys, when all went well: the terminal is as it was."""
        self.type("\x11")
        self.until("Leave fedwiz?")
        self.type("\x1b[C\r")
        assert self.end() == 0
        assert self.not_restored() == []

    def end(self) -> int:
        """Let it come to its end; the exit code."""
        while self._more():
            pass
        return self.running.wait(GIVE_UP)

    def _more(self) -> str:
        """What it shows next; empty at its end."""
        there, _, _ = select.select([self._ours], [], [], GIVE_UP)
        if not there:
            return ""
        with suppress(OSError):
            said = os.read(self._ours, 1 << 16).decode(errors="replace")
            self.seen += said
            return said
        return ""


def by_hand(
    piped: str, place: Path, typed: str = "", argv: Sequence[str] = ("/bin/sh",)
) -> "subprocess.CompletedProcess[str]":
    """A shell that a person pipes a script into, and that asks at the terminal.

    Args:
        piped: what comes on standard input.
        place: all programs that there are.
        typed: what has been typed at the terminal by then.
        argv: the shell, and its script where that is a file.
    """
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    try:
        return subprocess.run(
            argv,
            input=piped,
            env={"PATH": str(place)},
            cwd=place.parent,
            encoding="utf-8",
            capture_output=True,
            check=False,
            timeout=60,
            start_new_session=True,
            pass_fds=(theirs,),
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
        )
    finally:
        os.close(theirs)
        os.close(ours)


def unread(running: Running, home: Path) -> int:
    """Read nothing until the last run has ended, by its journal; with which code it did.

    Args:
        running: the command, which then has only to be read.
        home: where its journal is.

    Raises:
        AssertionError: the run does not end, or the command does.
    """
    began = time.monotonic()
    while time.monotonic() - began < GIVE_UP:
        last = read(max(home.glob(".local/state/fedwiz/runs/*.jsonl")))[-1].event
        if isinstance(last, RunEnded):
            return last.code
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it has ended: {running.wait(0.1)}")
    raise AssertionError("the run does not end while nobody reads")


@contextmanager
def at_a_terminal(
    shell: Shell,
    *words: str,
    environ: Mapping[str, str] | None = None,
    out: IO[str] | None = None,
    ignored: Sequence[signal.Signals] = (),
    started: bool = False,
) -> Iterator[Terminal]:
    """The command with a terminal of its own, 80 columns and 24 rows.

    Args:
        shell: where.
        words: after the command's name.
        environ: more of it.
        out: where its standard output goes, if not to the terminal.
        ignored: signals that are, from the beginning, as `nohup` has it.
        started: by Python, as a program of its own, and not as a fork of what is loaded.
    """

    def begin() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = shell.environ(**{"TERM": "xterm", **(environ or {})})
    running: Running
    if started:
        running = subprocess.Popen(
            [sys.executable, "-m", "fedwiz", *words],
            stdin=theirs,
            stdout=out or theirs,
            stderr=theirs,
            env=env,
            cwd=shell.home,
            start_new_session=True,
            preexec_fn=begin,
        )
    else:
        _is_loaded(environ or {})
        running = Run(
            words,
            env,
            shell.home,
            stdin=theirs,
            stdout=out or theirs,
            stderr=theirs,
            terminal=True,
            ignored=ignored,
        )
    os.close(theirs)
    try:
        yield Terminal(running, ours, shell.home)
    finally:
        running.kill()
        running.wait()
        os.close(ours)
