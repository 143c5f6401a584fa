"""What a step is, and where in an install it stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedwiz.actions import Action
from fedwiz.answers import Answers, Host
from fedwiz.facts.values import Known

Left: TypeAlias = Callable[[Answers, Host, Known], Iterator[Action]]
"""What is still left to do on a host: nothing where it is right already."""

Stage: TypeAlias = Literal["config", "nodes", "peers"]
STAGES: tuple[Stage, ...] = ("config", "nodes", "peers")
"""In order; a stage begins when all hosts have ended the one before."""

GATES: frozenset[Stage] = frozenset({"config"})
"""Where one of these fails, nothing after it is done on any host."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of STEPS."""

    name: str
    title: str
    left: Left
    role: Literal["master", "node"] = "node"
    stage: Stage = "nodes"


def step(
    name: str, title: str, role: Literal["master", "node"] = "node", stage: Stage = "nodes"
) -> Callable[[Left], Step]:
    """Make a step of the function that says what is left to do."""
    return lambda left: Step(name, title, left, role, stage)
