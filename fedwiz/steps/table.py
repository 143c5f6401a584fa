"""What a step is, and where in an install it stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts
from fedwiz.model.actions import Action

Left: TypeAlias = Callable[[Answers, Host, ClusterFacts], Iterator[Action]]
"""What is still left to do on a host: nothing where it is right already."""

Stage: TypeAlias = Literal["config", "nodes", "peers", "mend", "back", "etcd"]
STAGES: tuple[Stage, ...] = ("config", "nodes", "peers")
"""Of an install, in order; a stage begins when all hosts have ended the one before.  `mend` is
that of a remedy, or of its way back; `back` and `etcd` are those of an install's."""

GATES: frozenset[Stage] = frozenset({"config", "back"})
"""Where one of these fails, nothing after it is done on any host."""


Together: TypeAlias = Callable[[Answers, ClusterFacts], Iterator[tuple[str, Action]]]
"""The same of all hosts at once, each action with its host's name."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of STEPS."""

    name: str
    title: str
    left: Left
    role: Literal["master", "node"] = "node"
    stage: Stage = "nodes"
    together: Together | None = None
    """Only where what is left on one host depends on all the others."""

    cuts: bool = False
    """It could cut the operator off: the host takes it back unless it can still be reached."""

    def everywhere(self, answers: Answers, known: ClusterFacts) -> dict[str, tuple[Action, ...]]:
        """What is left on each host of its role; hosts that could not be asked are not in it."""
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
    """Make a step of the function that says what is left to do."""
    return lambda left: Step(name, title, left, role, stage, cuts=cuts)


def step_of_all(name: str, title: str, stage: Stage) -> Callable[[Together], Step]:
    """Make a step of the function that says of all nodes at once what is left to do."""

    def made(together: Together) -> Step:
        def left(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Action]:
            yield from (action for at, action in together(answers, known) if at == host.name)

        return Step(name, title, left, stage=stage, together=together)

    return made
