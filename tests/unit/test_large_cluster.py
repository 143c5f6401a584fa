"""A large cluster: judging and planning take each node up so often, however many there are."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache

import pytest

from fedwiz import practice
from fedwiz.answers.file import Answers
from fedwiz.checks import judge
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all
from fedwiz.engine.connections import connect_all, read_facts
from fedwiz.engine.plan import Lane, Part, Plan, Task, make, scripts
from fedwiz.engine.verbs import RunContext
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.model.actions import Run


class Asked(Mapping[str, Facts]):
    """The hosts' facts, and how often one host's were taken up."""

    def __init__(self, facts: Mapping[str, Facts]) -> None:
        self.facts, self.times = facts, 0

    def __getitem__(self, host: str) -> Facts:
        self.times += 1
        return self.facts[host]

    def __iter__(self) -> Iterator[str]:
        return iter(self.facts)

    def __len__(self) -> int:
        return len(self.facts)


async def _read(hosts: int, *, done: bool) -> tuple[Answers, ClusterFacts]:
    answers = practice.practice_answers(hosts)
    there = practice.Practice(answers)

    if done:
        cluster = RunContext(answers, there, there.open_store, lambda _: None, "run")
        assert (
            await verbs.install(cluster, approve_all, asyncio.Event(), verified=False)
        ).code == 0
    async with connect_all(answers, there, there.open_store, lambda _: None) as ways:
        return answers, await read_facts(ways)


@cache
def read(hosts: int, state: str) -> tuple[Answers, ClusterFacts]:
    return asyncio.run(_read(hosts, done=state == "installed"))


Work = Callable[[Answers, ClusterFacts], object]
WORK: Mapping[str, tuple[Work, str]] = {
    "a plan from nothing": (make, "bare"),
    "a plan where nothing is left": (make, "installed"),
    "findings before": (judge, "bare"),
    "findings after": (judge, "installed"),
}


@pytest.mark.parametrize(("work", "state"), WORK.values(), ids=WORK)
def test_each_more_node_is_as_much_more_work(work: Work, state: str) -> None:
    times = []
    for hosts in (6, 12, 18):
        answers, known = read(hosts, state)
        asked = Asked(known.hosts)
        work(answers, replace(known, hosts=asked))
        times.append(asked.times)
    first, second, third = times
    assert first > 0
    assert third - second == second - first


def test_nothing_is_left_to_do_on_the_installed_ones() -> None:
    answers, known = read(18, "installed")
    assert not any(make(answers, known).actions.values())


def test_the_scripts_of_many_hosts_name_their_plan_once() -> None:
    """Its name is a hash of all that is in it."""
    named = list[str]()

    class Named(Plan):
        @property
        def digest(self) -> str:
            named.append(super().digest)
            return named[-1]

    answers, _ = read(18, "bare")
    hosts = tuple(host.name for host in answers.host)
    lanes = tuple(Lane(it, (Task(it, "link", "Link", (Run(("true",)),)),)) for it in hosts)
    said = scripts(Named(hosts, (Part("nodes", False, lanes),)), answers)
    assert len(named) == 1
    assert [script.count(named[0]) for script in said.values()] == [1] * 18
