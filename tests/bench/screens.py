"""How quick the wizard is: the page Install under a thousand lines a second, and the first paint.

    .venv/bin/python -m tests.bench.screens [--seconds 10] [--size 120x40]

Each measurement is a process of its own in a terminal of its own (a pty that is read at once), so
what is drawn is really written.  A key's latency is the time from the moment that it is there
until it was handled and what it changed was drawn.
"""

import argparse
import asyncio
import fcntl
import json
import os
import pty
import random
import resource
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual import events
from textual.pilot import Pilot

from fedwiz.model.events import Event, Output, PlanMade, Record, RunStarted, StepStarted

ROOT = Path(__file__).parents[2]
KEYS = {
    9: ("tab", "shift+tab", "up", "down", "left", "right"),
    100: ("up", "down", "pageup", "pagedown", "home", "end", "f"),
}
LINES = 1000
"""A second, of all hosts together."""


def begun(hosts: int) -> list[Record]:
    """A run in whose middle all hosts are."""
    names = tuple(f"fed-node{number}" for number in range(hosts))
    said: list[Event] = [
        RunStarted("install", "bench", names),
        PlanMade("0123456789ab", dict.fromkeys(names, 20)),
        *(StepStarted(name, "package", "Install flannel", 20) for name in names),
    ]
    now = time.time()
    return [Record(number, now, event) for number, event in enumerate(said)]


async def speak(page: Any, hosts: int, seconds: float) -> int:  # noqa: ANN401 - a page of the wizard
    """Tell lines, each host in its turn; how many it got to tell."""
    began, told, pause = time.monotonic(), 0, 0.01
    while (past := time.monotonic() - began) < seconds:
        while told < past * LINES:
            line = f"line {told} of a package manager that says what it does, at some length"
            event = Output(f"fed-node{told % hosts}", "package", line)
            page.sink(Record(1000 + told, time.time(), event))
            told += 1
        await asyncio.sleep(pause)
    return told


async def lag(seconds: float) -> list[float]:
    """How much later than it wanted a coroutine goes on, in milliseconds."""
    found, pause = [], 0.005
    began = time.monotonic()
    while (before := time.monotonic()) - began < seconds:
        await asyncio.sleep(pause)
        found.append(max(time.monotonic() - before - pause, 0.0) * 1000)
    return found


async def press(app: Any, page: Any, key: str) -> float:  # noqa: ANN401
    """Milliseconds until a key was handled, and what it changed was drawn."""
    done = asyncio.Event()
    began = time.monotonic()
    app.post_message(events.Key(key, None))

    # The key goes from queue to queue; this goes after it.
    def at_page() -> None:
        target = page.focused or page
        target.call_later(lambda: page.call_after_refresh(done.set))

    app.call_later(lambda: page.call_later(at_page))
    await done.wait()
    return (time.monotonic() - began) * 1000


async def presses(app: Any, page: Any, hosts: int, seconds: float) -> list[float]:  # noqa: ANN401
    """Press keys at random."""
    found, chance, began = [], random.Random(1), time.monotonic()  # noqa: S311 - no secret
    while time.monotonic() - began < seconds:
        found.append(await press(app, page, chance.choice(KEYS[hosts])))
        await asyncio.sleep(chance.uniform(0.01, 0.06))
    return found


def rss() -> float:
    """MB of memory that this process holds."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def inside(hosts: int, seconds: float, out: Path) -> None:
    """Measure in this process, whose terminal is the one to draw on."""
    from screens.app import Fedwiz, Play
    from screens.pages.run_page import PlayPage

    app, found = Fedwiz(play=Play(begun(hosts), 0)), dict[str, Any]()

    async def work(pilot: Pilot[Any]) -> None:
        while not (isinstance(app.screen, PlayPage) and len(app.screen.state.hosts) == hosts):
            await pilot.pause(0.1)
        page = app.screen
        page.speed = 1.0
        await asyncio.sleep(1)
        used, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        async with asyncio.TaskGroup() as group:
            told = group.create_task(speak(page, hosts, seconds))
            late = group.create_task(lag(seconds))
            keys = group.create_task(presses(app, page, hosts, seconds))
        took = time.monotonic() - wall
        now = resource.getrusage(resource.RUSAGE_SELF)
        cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        found.update(
            {
                "keys": keys.result(),
                "lag": late.result(),
                "lines": told.result() / took,
                "cpu": cpu / took,
                "rss": rss(),
                "left": page.pending,
            }
        )
        app.exit(0)

    app.run(auto_pilot=work)
    out.write_text(json.dumps(found))


def in_terminal(
    argv: Sequence[str], size: tuple[int, int], until: bytes = b"", home: str = ""
) -> tuple[float, int]:
    """Run a command in a terminal of its own.

    Args:
        argv: the command.
        size: columns and rows.
        until: seen in what it writes, it is ended.
        home: of its state.

    Returns:
        Seconds that it took, and bytes that it wrote.
    """
    above, below = pty.openpty()
    fcntl.ioctl(below, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "XDG_STATE_HOME": home,
        "COLORTERM": "truecolor",
    }
    began, seen, count = time.monotonic(), b"", 0
    running = subprocess.Popen(
        argv, stdin=below, stdout=below, stderr=below, env=environ, cwd=ROOT, start_new_session=True
    )
    os.close(below)
    try:
        while running.poll() is None:
            if not select.select([above], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(above, 1 << 16)
            except OSError:
                break
            count, seen = count + len(data), (seen + data)[-4096:]
            if until and until in seen:
                return time.monotonic() - began, count
        running.wait()
        return time.monotonic() - began, count
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        os.close(above)


def spread(values: Sequence[float]) -> str:
    """Median, a high percentile, and the worst."""
    cuts = statistics.quantiles(values, n=100)
    return (
        f"p50 {cuts[49]:5.1f}  p95 {cuts[94]:5.1f}  p99 {cuts[98]:5.1f}  max {max(values):5.1f} ms"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--inside", nargs=2, metavar=("HOSTS", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(int(options.inside[0]), options.seconds, Path(options.inside[1]))
        return
    wide, _, high = options.size.partition("x")
    size = int(wide), int(high)
    with tempfile.TemporaryDirectory() as home:
        for hosts in KEYS:
            out = Path(home) / "out.json"
            argv = [
                sys.executable,
                "-m",
                "tests.bench.screens",
                "--seconds",
                str(options.seconds),
                "--inside",
                str(hosts),
                str(out),
            ]
            _, count = in_terminal(argv, size, home=home)
            told = json.loads(out.read_text())
            what = "panes" if hosts <= 9 else "hosts in the table"
            print(
                f"{hosts} {what}, {options.size}, {told['lines']:.0f} of {LINES} lines/s, "
                f"{told['left']} not yet shown"
            )
            print(f"  key  {spread(told['keys'])}  ({len(told['keys'])} keys)")
            print(f"  lag  {spread(told['lag'])}")
            print(
                f"  CPU {told['cpu']:.0%}  memory {told['rss']:.0f} MB  "
                f"written {count / options.seconds / 1e6:.2f} MB/s"
            )
        start = [sys.executable, "-c", "from screens.app import run; run()"]
        took = [in_terminal(start, size, b"New install", home)[0] for _ in range(7)]
        print(
            f"first paint: median {statistics.median(took):.2f} s, "
            f"{min(took):.2f} to {max(took):.2f}"
        )


if __name__ == "__main__":
    main()
