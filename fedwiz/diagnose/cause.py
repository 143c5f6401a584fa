"""What a cause is: a row of CAUSES; and what remedies are made of."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from fedwiz.actions import Run
from fedwiz.diagnose.values import Case, Diagnosis, Mend

Cause: TypeAlias = Callable[[Case], Iterator[Diagnosis]]
"""Looks at a case, and tells what it finds; nothing where it is not the cause."""


def mend(host: str, do: tuple[str, ...], back: tuple[str, ...], **more: Any) -> Mend:  # noqa: ANN401 - Run's own fields
    """A command on a host, and the one that takes it back; both interrupt, or none."""
    undo = Run(back, **more)
    return Mend(host, Run(do, undo=undo.brief, back=undo, **more))
