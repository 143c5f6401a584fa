"""An install that is killed anywhere is gone on with, and ends as an undisturbed one does."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fedwiz import journal as journals
from fedwiz import practice, resume, verbs
from fedwiz.events import ActionEnded, ActionStarted, Record, RunEnded
from fedwiz.facts.kept import BEFORE
from fedwiz.journal import Journal, read
from fedwiz.plan import Plan
from fedwiz.practice import Practice
from fedwiz.practice.machine import Machine
from fedwiz.verbs import Cluster, Result

ANSWERS = practice.practice_answers(3)


class Killed(BaseException):
    """What `kill -9` does, as far as a test's own process can."""


async def everything(_plan: Plan, _result: Result) -> str:
    return ""


async def install(
    machines: Practice,
    approve: verbs.Approve = everything,
    sink: Callable[[Record], None] = lambda _record: None,
) -> tuple[Result | None, Path]:
    """An install with a journal; None where it was killed in its middle."""
    with Journal() as journal:
        journal.subscribe(sink)
        cluster = Cluster(ANSWERS, machines, machines.open_store, journal.emit, journal.id)
        result = None
        try:
            result = await verbs.install(cluster, resume.keeping(approve), asyncio.Event())
        except* Killed:
            pass
        return result, journal.path


def state(machines: Practice) -> dict[str, dict[str, Any]]:
    """All that the hosts remember, but for what counts up.

    A node's subnet, of which it takes any, and its MAC address go by its name.
    """
    cluster = machines.cluster
    names = {}
    for node in cluster.nodes():
        assert node.daemon is not None
        names[node.daemon.subnet.rpartition(".")[0] + "."] = f"subnet of {node.name}."
        names[node.links[node.daemon.device].mac] = f"MAC address of {node.name}"
    return {name: _remembered(machine, names) for name, machine in cluster.machines.items()}


COUNTED = ("pids", "journal", "containers", "spoil")


def _remembered(machine: Machine, names: dict[str, str]) -> dict[str, Any]:
    said = {key: value for key, value in asdict(machine).items() if key not in COUNTED}
    del said["chains"]["counts"]
    if machine.modules["br_netfilter"]:  # the kernel's own value, from that moment on
        said["sysctls"] = {"net.bridge.bridge-nf-call-iptables": "1"} | said["sysctls"]
    if (told := said["files"].get(f"{BEFORE}/names")) is not None:  # its last line is the time
        told["text"] = told["text"].rpartition("\n1")[0]
    for held in said["files"].values():  # which of the two pairs of names the package reads
        held["text"] = "".join(
            line
            for line in held["text"].splitlines(keepends=True)
            if not line.startswith(("FLANNEL_ETCD=", "FLANNEL_ETCD_KEY="))
        )
    said["units"] = {unit: (it.active, it.enabled) for unit, it in machine.units.items()}

    def by_name(part: object) -> str:
        text = repr(part)
        for old, new in names.items():
            text = text.replace(old, new)
        return text

    return {key: sorted(map(by_name, _parts(value))) for key, value in said.items()}


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.items()
    return value if isinstance(value, list) else (value,)


class Cut:
    """Kills the run once so many records are written."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, record: Record) -> None:
        if record.number + 1 >= self.after:
            raise Killed


def cut_down(path: Path, records: int) -> None:
    """What a killed process has written after it was killed: nothing."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:records]))


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], tuple[Record, ...]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("undisturbed")))
        return asyncio.run(_undisturbed())


async def _undisturbed() -> tuple[dict[str, Any], tuple[Record, ...]]:
    machines, records = Practice(ANSWERS), list[Record]()
    result, _ = await install(machines, sink=records.append)
    assert result is not None
    assert result.code == 0
    return state(machines), tuple(records)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


PARTS = 8
"""The records are tried in so many tests, which run side by side."""


@pytest.mark.parametrize("part", range(PARTS))
async def test_at_every_record(
    part: int, undisturbed: tuple[dict[str, Any], tuple[Record, ...]]
) -> None:
    """The run is killed after each of its records, and again before the record of an end.

    Then the host has done what the journal does not know of.
    """
    wanted, records = undisturbed
    for after in range(1 + part, len(records) + 1, PARTS):
        await killed_and_gone_on(wanted, records, after)
        if isinstance(records[after - 1].event, ActionEnded):
            await killed_and_gone_on(wanted, records, after, written=after - 1)


async def killed_and_gone_on(
    wanted: dict[str, Any], records: Sequence[Record], after: int, *, written: int | None = None
) -> None:
    where = f"record {after}: {records[after - 1]}"
    machines = Practice(ANSWERS)
    result, path = await install(machines, sink=Cut(after))
    assert result is None, where
    cut_down(path, after if written is None else written)
    before = resume.unfinished()
    begun = any(isinstance(it.event, ActionStarted) for it in read(path))
    over = isinstance(records[after - 1].event, RunEnded)
    assert (before is not None) == (begun and not over), where
    # What was approved is not asked for again, and nothing beyond it is left.
    approve = resume.within(before.digest, None) if before else everything
    result, _ = await install(machines, approve)
    assert result is not None, where
    assert (result.code, result.why) == (0, ""), where
    assert state(machines) == wanted, where
    assert resume.unfinished() is None
    for kept in journals.runs_path().iterdir():
        kept.unlink()
