"""How long an install takes in the lab, against a floor; and how often it waits for a host.

    .venv/bin/python -m tests.bench.install [--runs 5] [--generation classic] [--hosts 4]

The floor is one ssh per host, all at once, each running the bare commands of the plan as one
script.  Both start from fresh hosts, in turns.  Round trips are counted by a TCP proxy before
each host's sshd: a burst that goes up and one that comes back are one.
"""

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import labs
from tests.lab.fixture import Lab
from tests.support.lab_operator import Operator


def installed(operator: Operator) -> float:
    """Seconds of checks, plan and apply."""
    began = time.monotonic()
    said = operator.install("--no-verify")
    took = time.monotonic() - began
    assert said.code == 0, said.err
    return took


def by_hand(lab: Lab, scripts: dict[str, str]) -> float:
    """Seconds of one ssh per host at once, each with its script on standard input."""
    began = time.monotonic()
    running = []
    for host, script in scripts.items():
        argv = labs.ssh_argv(lab.state, host, "sh -s")
        ssh = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert ssh.stdin is not None
        ssh.stdin.write(script)
        ssh.stdin.close()
        running.append((host, ssh))
    for host, ssh in running:
        assert ssh.wait() == 0, f"{host}: {ssh.stderr.read() if ssh.stderr else ''}"
    return time.monotonic() - began


@dataclass
class Line:
    """A host behind a proxy."""

    address: str
    port: int = 0
    trips: int = 0
    up: bool = False

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        while data := await reader.read(1 << 16):
            if self.up and not up:
                self.trips += 1
            self.up = up
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self.address, 22)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.carry(reader, back, up=True))
            group.create_task(self.carry(there, writer, up=False))


@asynccontextmanager
async def counted(lab: Lab) -> AsyncIterator[dict[str, Line]]:
    """A proxy before each host."""
    async with AsyncExitStack() as stack:
        lines = {}
        for host in lab.hosts:
            line = Line(lab.address(host))
            server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
            await stack.enter_async_context(server)
            line.port = server.sockets[0].getsockname()[1]
            lines[host] = line
        yield lines


async def trips(lab: Lab, home: Path) -> dict[str, int]:
    """Round trips per host from connect to the end of an install, verification included."""
    async with counted(lab) as lines:
        operator = Operator(lab, home)
        config = [
            f"Host by-{name}\n  HostName 127.0.0.1\n  Port {line.port}\n  User root\n"
            f"  IdentityFile {lab.key}\n"
            for name, line in lines.items()
        ]
        (home / ".ssh/config").write_text("".join(config))
        for host in operator.answers["host"]:
            host["address"] = f"by-{host['name']}"
        del operator.answers["ssh"]
        said = await asyncio.to_thread(operator.install)
        assert said.code == 0, said.err
        return {name: line.trips for name, line in lines.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--generation", default="classic", choices=("classic", "modern"))
    parser.add_argument("--hosts", type=int, default=4)
    options = parser.parse_args()
    ours, floors = [], []
    with Lab.up(options.generation, options.hosts) as lab, tempfile.TemporaryDirectory() as top:
        for number in range(options.runs):
            home = Path(top) / str(number)
            home.mkdir()
            operator = Operator(lab, home)
            scripts = {
                host: operator.fedwiz("plan", "--shell", "--host", host).out for host in lab.hosts
            }
            floors.append(by_hand(lab, scripts))
            lab.reset()
            (home / ".ssh/known_hosts").unlink()
            ours.append(installed(operator))
            lab.reset()
            ratio = ours[-1] / floors[-1]
            print(
                f"run {number + 1}: install {ours[-1]:.2f} s, floor {floors[-1]:.2f} s, {ratio:.2f}"
            )
        ratios = [a / b for a, b in zip(ours, floors, strict=True)]
        print(
            f"{options.generation}, {options.hosts} hosts: "
            f"install {statistics.median(ours):.2f} s, floor {statistics.median(floors):.2f} s; "
            f"ratio: median {statistics.median(ratios):.2f}, "
            f"{min(ratios):.2f} to {max(ratios):.2f}"
        )
        last = Path(top) / "trips"
        last.mkdir()
        counts = asyncio.run(trips(lab, last))
        print("round trips:", ", ".join(f"{host} {count}" for host, count in counts.items()))


if __name__ == "__main__":
    main()
