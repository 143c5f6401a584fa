"""What a step is, and its place in an install."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts
from fedwiz.model.actions import Action

Left: TypeAlias = Callable[[Answers, Host, ClusterFacts], Iterator[Action]]
"""What remains to be done on a host: nothing if it is already right."""

Stage: TypeAlias = Literal["config", "nodes", "peers", "mend", "back", "etcd"]
STAGES: tuple[Stage, ...] = ("config", "nodes", "peers")
"""Stages of an install, in order; a stage begins when all hosts have finished the one before.
`mend` is the stage of a fix and of its undo; `back` and `etcd` are those of undoing an install."""

GATES: frozenset[Stage] = frozenset({"config", "back"})
"""If one of these fails, no later stage starts on any host."""


Together: TypeAlias = Callable[[Answers, ClusterFacts], Iterator[tuple[str, Action]]]
"""The same for all hosts at once, each action with the name of its host."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of STEPS."""

    name: str
    title: str
    left: Left
    role: Literal["master", "node"] = "node"
    stage: Stage = "nodes"
    together: Together | None = None
    """Set only if what remains on one host depends on all the others."""

    cuts: bool = False
    """It could cut the operator off: guarded by the dead-man switch (see `guard`)."""

    def everywhere(self, answers: Answers, known: ClusterFacts) -> dict[str, tuple[Action, ...]]:
        """What remains on each host of its role; hosts that could not be read are left out."""
        hosts = [it for it in answers.host if it.role == self.role and it.name in known.hosts]
        if self.together is None:
            return {host.name: tuple(self.left(answers, host, known)) for host in hosts}
        found: dict[str, list[Action]] = {host.name: [] for host in hosts}
        for name, action in self.together(answers, known):
            found[name].append(action)
        return {name: tuple(actions) for name, actions in found.items()}


def step(
    name: str,
    title: str,
    role: Literal["master", "node"] = "node",
    stage: Stage = "nodes",
    *,
    cuts: bool = False,
) -> Callable[[Left], Step]:
    """Turn a function that yields the remaining actions into a step."""
    return lambda left: Step(name, title, left, role, stage, cuts=cuts)


def step_of_all(name: str, title: str, stage: Stage) -> Callable[[Together], Step]:
    """Turn a function that yields the remaining actions of all nodes at once into a step."""

    def make_step(together: Together) -> Step:
        def left(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Action]:
            yield from (action for at, action in together(answers, known) if at == host.name)

        return Step(name, title, left, stage=stage, together=together)

    return make_step
