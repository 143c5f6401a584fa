"""Runs as fedwiz itself records them, kept in tests/journals for tests and `fedwiz replay`.

    .venv/bin/python -m tests.support.record_journals            # all; the last two need the lab
    .venv/bin/python -m tests.support.record_journals stopped    # by name

Nothing of the machine that records may get into them: home and state are in a folder of their
own, and `tests/unit/test_recorded.py` looks.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

from fedwiz import etcd
from fedwiz.answers.file import load
from fedwiz.engine import verbs
from fedwiz.engine.plan import Plan
from fedwiz.facts import ClusterFacts
from fedwiz.runs.journal import Journal
from fedwiz.ssh import transport
from tests.lab.fixture import Lab
from tests.support.lab_operator import Operator
from tests.support.sample_runs import RECORDED

ROOT = Path(__file__).parents[2]
QUICK = ("--pace", "0.05")

Recording = Callable[[Path], Path]
"""Makes a run, given a folder of its own; where the journal is."""


def _only_journal(home: Path) -> Path:
    [path] = home.rglob("*.jsonl")
    return path


def demo(*words: str, ends: int, press: str = "") -> Recording:
    """A run on the practice cluster.

    Args:
        words: what comes after `fedwiz demo`.
        ends: its exit status.
        press: Ctrl+C is pressed at the first line on stderr that this pattern is found in.
    """

    def record(home: Path) -> Path:
        argv = [sys.executable, "-m", "fedwiz", "demo", *words]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(home)}
        running = subprocess.Popen(
            argv,
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        waits = re.compile(press) if press else None
        for line in running.stderr or ():
            if waits and waits.search(line):
                running.send_signal(signal.SIGINT)
                waits = None
        if waits or running.wait() != ends:
            raise SystemExit(f"{' '.join(words)}: {running.returncode}, pressed: {not waits}")
        return _only_journal(home)

    return record


def all_well(home: Path) -> Path:
    """Four real hosts, from nothing to a network that is proven."""
    with Lab.up("modern", 4) as lab:
        operator = Operator(lab, home)
        operator.answers["name"] = "fedora-lab"
        said = operator.install()
    if said.code:
        raise SystemExit(said.err)
    return _only_journal(home)


def lost_at_the_gate(home: Path) -> Path:
    """Four real hosts; etcd on the master goes between the plan and its approval."""
    with Lab.up("classic", 4) as lab:
        operator = Operator(lab, home)
        operator.answers["name"] = "fedora-lab"
        answers = load(operator.file)

        async def approve(_plan: Plan, _known: ClusterFacts | None) -> None:
            lab.ssh("fed-master", "systemctl stop etcd")

        with Journal(home / "gate.jsonl") as journal, patch.dict(os.environ, HOME=str(home)):
            ssh = transport.Ssh(answers.ssh, answers.host, accept_new=True)
            cluster = verbs.RunContext(
                answers,
                ssh,
                lambda session, api: etcd.store(session, answers.etcd, api, None),
                journal.emit,
                journal.id,
            )
            result = asyncio.run(verbs.install(cluster, approve, asyncio.Event()))
    if result.code != verbs.FAILED:
        raise SystemExit(f"lost-at-the-gate: {result}")
    return home / "gate.jsonl"


INSTALL = ("install", "--yes", "--headless", *QUICK)
RECORDINGS: Mapping[str, Recording] = {
    "one-fails": demo(*INSTALL, "--fault", "docker-refuses", ends=5),
    # Three at once: some are done, some have begun, and one waits for its turn.  With `peers`, for
    # which all wait, none would be done.
    "stopped": demo(
        *INSTALL,
        "--hosts",
        "8",
        "--set",
        "ssh.width=3",
        "--set",
        "backend.direct_routing=true",
        ends=130,
        press=r"fed-node5 +package +Install",
    ),
    "sixty-hosts": demo(*INSTALL, "--hosts", "60", "--fault", "docker-refuses", ends=5),
    "check-blocks": demo("check", *QUICK, "--fault", "nat-twins", ends=3),
    "all-well": all_well,
    "lost-at-the-gate": lost_at_the_gate,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.record_journals")
    parser.add_argument("name", nargs="*", help=", ".join(RECORDINGS))
    names = parser.parse_args().name
    if unknown := [name for name in names if name not in RECORDINGS]:
        parser.error(f"{unknown[0]}: there are {', '.join(RECORDINGS)}")
    for name in names or RECORDINGS:
        with tempfile.TemporaryDirectory() as home:
            made = RECORDINGS[name](Path(home))
            shutil.copyfile(made, RECORDED / f"{name}.jsonl")


if __name__ == "__main__":
    main()
