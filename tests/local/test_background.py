"""A terminal that stands still holds nothing up, and has it all when it goes on."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest

from fedwiz.cli import output
from fedwiz.util.background import BackgroundWriter
from fedwiz.wizard.draft import save
from tests.support.cli_process import Shell, at_a_terminal, unread
from tests.support.patience import GIVE_UP
from tests.support.pilot import filled

STOP, GO_ON, NEXT = "\x13", "\x11", "\x0e"
"""Ctrl+S and Ctrl+Q at a terminal that heeds them, and Ctrl+N."""


class Still(StringIO):
    """A stream that nobody reads from until somebody does."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = threading.Event()

    def write(self, text: str) -> int:
        self.reader.wait()
        return super().write(text)


def test_who_writes_does_not_wait_for_who_reads() -> None:
    stream = Still()
    with output.background_output():
        for number in range(1000):
            output.write(stream, f"{number}\n")
        assert stream.getvalue() == ""
        stream.reader.set()
    assert stream.getvalue().split() == [str(number) for number in range(1000)]


def test_what_could_not_be_written_is_told() -> None:
    behind, done = BackgroundWriter(), list[int]()
    for act in (lambda: done.append(1), lambda: done.append(1 // 0), lambda: done.append(3)):
        behind.do(act)
    with pytest.raises(ZeroDivisionError):
        behind.end()
    assert done == [1]
    behind.end()
    behind.do(lambda: done.append(4))
    behind.end()
    assert done == [1, 4]


def test_an_install_in_lines_ends_at_a_terminal_that_stands_still(tmp_path: Path) -> None:
    words = ("demo", "install", "--yes", "--pace", "0", "--hosts", "3")
    with at_a_terminal(Shell(tmp_path), *words) as terminal:
        terminal.until("install of")
        terminal.type(STOP)
        assert unread(terminal.running, tmp_path) == 0
        terminal.type(GO_ON)
        assert terminal.end() == 0
        assert terminal.seen.count("docker runs on") == 2


def insisted(running: "subprocess.Popen[bytes]") -> int:
    """Press Ctrl+C until it ends; with which code it does.

    The first one may come so soon after the run's last record that the run itself still hears it.
    """
    end = time.monotonic() + GIVE_UP
    while time.monotonic() < end:
        running.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return running.wait(1)
    raise AssertionError("it does not end")


def test_ctrl_c_leaves_whoever_does_not_read(tmp_path: Path) -> None:
    """A pipe this time: at a terminal Ctrl+C makes it go on."""
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
    words = ("-m", "fedwiz", "demo", "install", "--yes", "--pace", "0", "--hosts", "3")
    shell = Shell(tmp_path)
    with subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=writes,
        stderr=writes,
        env=shell.environ(),
        cwd=tmp_path,
    ) as running:
        try:
            os.close(writes)
            os.read(reads, 1)  # it has begun, and so has its journal
            assert unread(running, tmp_path) == 0
            assert insisted(running) == 130
        finally:
            running.kill()
            os.close(reads)


def test_the_wizard_s_install_ends_at_a_terminal_that_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    save(filled("review"))
    with at_a_terminal(Shell(tmp_path), "demo", "--pace", "0.2") as terminal:
        terminal.until("Nothing is changed before you")
        terminal.type(NEXT)
        terminal.until("Containers will stop")
        terminal.type("practice\r")
        terminal.until("sh keep.sh")
        assert unread(terminal.running, tmp_path) == 0
        terminal.until("the network is verified")
        terminal.leave_wizard()
