"""The type of a cause, one row of CAUSES, and the building blocks of fixes."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from fedwiz.diagnose.values import Case, Diagnosis, Fix
from fedwiz.model.actions import Run

Cause: TypeAlias = Callable[[Case], Iterator[Diagnosis]]
"""Examines a case and yields what it finds; nothing if it is not the cause."""


def fix_command(host: str, do: tuple[str, ...], undo: tuple[str, ...], **more: Any) -> Fix:  # noqa: ANN401 - Run's own fields
    """A command on a host and the one that undoes it; `more` applies to both."""
    undo_run = Run(undo, **more)
    return Fix(host, Run(do, undo=undo_run.brief, back=undo_run, **more))


def is_lost(
    case: Case, host: str, own_hops: tuple[str, ...] = (), peer_hops: tuple[str, ...] = ()
) -> bool:
    """Whether what a node sends to the other one gets lost.

    If no loss could be counted at any hop, a lost ping is enough.

    Args:
        case: the two nodes.
        host: the node that sends the ping or the answer.
        own_hops: hops of `SENDS` where it would get lost on this node.
        peer_hops: hops of `RECEIVES` where it would get lost on the other node.
    """
    if case.lost is None:
        return not case.pings
    return case.lost_at(*own_hops, host=host) or case.lost_at(*peer_hops, host=case.peer(host))


def loss_summary(case: Case) -> str:
    """Between which hops packets were lost, in one sentence; empty: none were."""
    if case.lost is None:
        return ""
    hops_before = [hop for hop in case.hops[: case.hops.index(case.lost)] if hop.count]
    packets, lost = ("pings", "answers")[case.lost.direction == "back"], case.lost
    end = f"none to `{lost.name}` of {lost.host}"
    if not hops_before:
        return f"of {case.sent} pings {end}"
    last = hops_before[-1]
    return f"{last.count} {packets} came to `{last.name}` of {last.host}, and {end}"
