"""What a cause is: a row of CAUSES; and what remedies are made of."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from fedwiz.diagnose.values import Case, Diagnosis, Fix
from fedwiz.model.actions import Run

Cause: TypeAlias = Callable[[Case], Iterator[Diagnosis]]
"""Looks at a case, and tells what it finds; nothing where it is not the cause."""


def mend(host: str, do: tuple[str, ...], back: tuple[str, ...], **more: Any) -> Fix:  # noqa: ANN401 - Run's own fields
    """A command on a host, and the one that takes it back; both interrupt, or none."""
    undo = Run(back, **more)
    return Fix(host, Run(do, undo=undo.brief, back=undo, **more))


def loses(case: Case, host: str, own: tuple[str, ...] = (), peers: tuple[str, ...] = ()) -> bool:
    """Whether what a node sends to the other one is lost.

    Where nothing was lost at any hop that could be counted, that the ping is lost must do.

    Args:
        case: the two nodes.
        host: the one that sends; the ping, or the answer to it.
        own: hops of `SENDS` where it would be lost, on this node.
        peers: hops of `RECEIVES`, on the other one.
    """
    if case.lost is None:
        return not case.pings
    return case.lost_at(*own, host=host) or case.lost_at(*peers, host=case.peer(host))


def counted(case: Case) -> str:
    """Between which hops packets were lost, in one sentence; empty: none were."""
    if case.lost is None:
        return ""
    before = [hop for hop in case.hops[: case.hops.index(case.lost)] if hop.count]
    what, to = ("pings", "answers")[case.lost.way == "back"], case.lost
    end = f"none to `{to.name}` of {to.host}"
    if not before:
        return f"of {case.sent} pings {end}"
    return f"{before[-1].count} {what} came to `{before[-1].name}` of {before[-1].host}, and {end}"
