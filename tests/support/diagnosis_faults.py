"""A fault on real hosts: it is named, mended, and there again once the remedy is taken back."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedwiz import etcd
from fedwiz.answers.file import Answers
from fedwiz.engine import fix, verbs
from fedwiz.engine.approval import approve_all
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.model.actions import Session
from fedwiz.model.events import Diagnosed, Event, PlanMade, Record, Verified
from fedwiz.ssh.transport import Ssh
from tests.lab.fixture import Lab, require_lab

Do = str | Callable[[Lab], object]
"""A command on the fault's node, or what to do with the lab."""


@dataclass(frozen=True)
class Fault:
    """Something wrong on one node, for the pair of nodes that are asked about."""

    cause: str
    """What it is called, and what must be named first."""

    node: str
    """Where it is, and where it is to be mended."""

    inject: Do
    heal: Do
    """Takes it away, whether or not it was mended."""

    shows: str
    """A command on the node whose output is another one with the fault than without, and the
    same each time that the fault is there."""

    pair: tuple[str, str] = ("fed-node1", "fed-node2")
    healthy: tuple[str, str] | None = ("fed-node1", "fed-node3")
    """A pair that the fault does not touch; None: it touches all."""

    fails: str = "ping"
    """The kind of verdict that fails; empty: none does, and one of kind ping warns."""

    said: tuple[str, ...] = ()
    """What sentence, evidence or remedy must have in them."""


_IMAGE = "lab/sleeper"
_MAKE = f"""\
mkdir -p /root/i/bin && cp /bin/busybox /root/i/bin/sleep
tar -C /root/i -c . | docker import - {_IMAGE} && rm -r /root/i
"""
WITH_IMAGE: Mapping[str, Any] = {"verify": {"image": _IMAGE}}
"""Answers that name an image which `installed` nodes have.

Else each verification makes one on each node and takes it away, which is no part of a fault.
"""


@contextmanager
def installed(generation: str, home: Path) -> Iterator[Lab]:
    """A cluster of that generation on which fedwiz has installed flannel, from that home folder."""
    require_lab()
    with Lab.up(generation, 4, installed=True) as lab:
        lab.installer_home(home)
        for node in lab.nodes:
            # As docker leaves it where it turns forwarding on itself, which it did before the
            # install; since these hosts have booted, fedwiz's setting turns it on before docker.
            lab.ssh(node, "iptables -P FORWARD DROP")
            lab.ssh(node, _MAKE)
        yield lab


@dataclass
class Asked:
    """What came of a verb, and all that it told."""

    result: Result
    records: list[Record] = field(default_factory=list)

    def verdicts(self) -> list[Verified]:
        """Those before anything was mended."""
        events = [record.event for record in self.records]
        end = next((at for at, it in enumerate(events) if isinstance(it, PlanMade)), len(events))
        return [it for it in events[:end] if isinstance(it, Verified)]

    def diagnoses(self) -> list[Diagnosed]:
        return [it.event for it in self.records if isinstance(it.event, Diagnosed)]


def cluster(lab: Lab, answers: Answers, records: list[Record]) -> RunContext:
    """What a verb works on; it tells into `records`."""

    def opener(session: Session, api: str) -> Any:  # noqa: ANN401 - a context manager
        return etcd.store(session, answers.etcd, api)

    def tell(event: Event) -> None:
        records.append(Record(len(records), 0.0, event))

    ssh = Ssh(answers.ssh, answers.host, config=())
    return RunContext(answers, ssh, opener, tell, f"t{len(lab.name)}{id(records):x}")


async def diagnosed(lab: Lab, answers: Answers, pair: tuple[str, str], *, apply: bool) -> Asked:
    """`fedwiz diagnose`, with or without `--apply --yes`."""
    records: list[Record] = []
    result = await fix.diagnose(
        cluster(lab, answers, records),
        pair,
        asyncio.Event(),
        approve=approve_all if apply else None,
    )
    return Asked(result, records)


async def undone(lab: Lab, answers: Answers, records: list[Record]) -> Asked:
    """`fedwiz undo`."""
    told: list[Record] = []
    result = await fix.undo_fix(cluster(lab, answers, told), records, approve_all, asyncio.Event())
    return Asked(result, told)


def _do(lab: Lab, node: str, what: Do) -> None:
    if isinstance(what, str):
        lab.ssh(node, what)
    else:
        what(lab)


@contextmanager
def injected(lab: Lab, fault: Fault) -> Iterator[None]:
    """The fault is there."""
    _do(lab, fault.node, fault.inject)
    try:
        yield
    finally:
        _do(lab, fault.node, fault.heal)


async def cycle(lab: Lab, answers: Answers, fault: Fault) -> None:
    """Inject, diagnose, mend, undo, heal."""
    well = lab.ssh(fault.node, fault.shows)
    with injected(lab, fault):
        ill = lab.ssh(fault.node, fault.shows)
        assert ill != well
        if fault.healthy:
            other = await diagnosed(lab, answers, fault.healthy, apply=False)
            assert [it.cause for it in other.diagnoses()] == []
        asked = await diagnosed(lab, answers, fault.pair, apply=True)
        failed = {it.kind for it in asked.verdicts() if it.level == "fail"}
        assert fault.fails in failed if fault.fails else not failed
        found = asked.diagnoses()
        assert found, asked.verdicts()
        assert (found[0].cause, found[0].host) == (fault.cause, fault.node), found
        text = " ".join((found[0].why, found[0].seen, found[0].remedy))
        for part in fault.said:
            assert part in text
        assert asked.result.code == verbs.OK, (asked.result.why, found)
        assert lab.ssh(fault.node, fault.shows) != ill
        back = await undone(lab, answers, asked.records)
        assert back.result.code == verbs.OK, back.result.why
        assert lab.ssh(fault.node, fault.shows) == ill
