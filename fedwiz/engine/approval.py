"""Approval: how a plan gets it, what lies within it, and what has changed since.

A verb is given an `Approve` and asks it once it has a plan.  Each face makes its own, which puts
the question to the operator; those made here answer from a plan that was approved before, and ask
only where more than that is left to do.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TypeAlias

from fedwiz.engine.plan import Plan, hashed, sent
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Action, PutKey
from fedwiz.runs.plans import SavedPlan, load_plan, write_plan
from fedwiz.steps.guard import is_guard
from fedwiz.steps.make import ANY, LISTED, SEEN


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan is not carried out."""

    why: str
    stale: bool = False
    """The plan goes beyond the one that was approved, or is another one."""


Approve: TypeAlias = Callable[[Plan, ClusterFacts | None], Awaitable[Refusal | None]]
"""Asked to approve a plan that was made of these facts; None: it is approved."""

NOT_APPROVED = Refusal("not approved; nothing was changed")
"""The operator's no."""


async def approve_all(_plan: Plan, _known: ClusterFacts | None) -> None:
    """Approves any plan."""


def within_plan(approved: Plan) -> Approve:
    """Approves what lies within a plan that the operator approved a moment ago."""

    async def approve(plan: Plan, _known: ClusterFacts | None) -> Refusal | None:
        more = beyond(plan, approved_actions(approved))
        if not more:
            return None
        why = f"the plan has changed since you approved it (now also: {more})"
        return Refusal(why, stale=True)

    return approve


def within_kept(digest: str, ask: Approve | None) -> Approve:
    """Approves what lies within a plan that an earlier run had approved.

    Args:
        digest: of that plan.
        ask: for anything more; None: nobody can be asked.
    """
    before = load_plan(digest)

    async def approve(plan: Plan, known: ClusterFacts | None) -> Refusal | None:
        more = beyond(plan, before.actions if before else ())
        if not more:
            return None
        if ask is not None:
            return await ask(plan, known)
        why = (
            f"more is left than plan {digest}, which was approved (now also: {more}): look at "
            "`fedwiz plan`, then give --yes, or --approve with its digest"
        )
        return Refusal(why, stale=True)

    return approve


def same_plan(digest: str) -> Approve:
    """Approves the plan of that digest and no other; of another one it says what has changed."""

    async def approve(plan: Plan, known: ClusterFacts | None) -> Refusal | None:
        if plan.digest == digest:
            return None
        text = f"the plan is {plan.digest} now, not {digest}"
        before = load_plan(digest)
        if before is None or known is None:
            why = f"{text}, which this machine never showed; look at `fedwiz plan`"
        else:
            changed = ", ".join(changed_facts(before.facts, fingerprints(known)))
            why = f"{text}; since then changed: {changed or 'the answers'}"
            why += "; look at `fedwiz plan` again"
        return Refusal(why, stale=True)

    return approve


def saving(approve: Approve, host: str = "") -> Approve:
    """The same, and what is approved is kept, so that a later run need not ask for it again.

    Args:
        approve: asked.
        host: the node that alone is taken back; empty: all of them, or the plan is not an undo.
    """

    async def approve_and_save(plan: Plan, known: ClusterFacts | None) -> Refusal | None:
        refusal = await approve(plan, known)
        if refusal is None:
            with suppress(OSError):  # then it will be asked for
                save_plan(plan, known, host)
        return refusal

    return approve_and_save


def save_plan(plan: Plan, known: ClusterFacts | None, host: str = "") -> None:
    """Keep a plan under its digest, for a later run.

    What it was made of is for an approval to say what has changed since; what it does, for
    `resume` to go on within it once it was approved.

    Args:
        plan: as it is shown.
        known: what it was made of.
        host: the node that alone is taken back; empty: all of them, or the plan is not an undo.

    Raises:
        OSError: it can't be written.
    """
    actions = tuple(map(tuple, approved_actions(plan)))
    facts = fingerprints(known) if known else {}
    write_plan(plan.digest, SavedPlan(actions, facts, host).text)


# What lies within an approved plan.


def approved_actions(plan: Plan) -> list[list[str]]:
    """What is approved with a plan: of each action the host, a hash, and its words."""
    return [[task.host, *_named(action)] for task in plan.tasks() for action in task.actions]


def beyond(plan: Plan, approved: Iterable[Sequence[str]]) -> str:
    """The first thing that a plan would do beyond what was approved; empty: there is none.

    An action is within an approved one that has all its words and in all else is the same: where
    a package is there by now, fewer of its settings may have to be set, and it is known what its
    file says.  What arms and confirms changes nothing that stays, and is made of what is left.

    Args:
        plan: what is left.
        approved: as `approved_actions` gives them.
    """
    known: dict[tuple[str, ...], list[Sequence[str]]] = {}
    for host, rest, *words in approved:
        known.setdefault((host, rest), []).append(words)
    for task in plan.tasks():
        for action in task.actions:
            rest, *words = _named(action)
            alike = known.get((task.host, rest), ())
            if not (is_guard(action) or any(_part(words, of) for of in alike)):
                return f"{task.host}: {task.title}"
    return ""


def _part(words: Sequence[str], of: Sequence[str]) -> bool:
    """Whether all words are among the others, in their order."""
    left = iter(of)
    return all(
        any(word == it or (it == ANY and SEEN.fullmatch(word)) for it in left) for word in words
    )


def _named(action: Action) -> list[str]:
    """A hash of all that is sent but the words, and the words; a script's text by its hash."""
    if isinstance(action, PutKey):
        return [hashed(sent(action))]
    # Not the diff: what the file was is for the words to say, where that decides something.
    lines = action.input().splitlines() if LISTED.intersection(action.argv[3:4]) else []
    rest = [
        "" if lines else action.input(),
        action.upload,
        action.sudo,
        action.timeout,
        action.unit,
        action.reboots,
    ]
    words = (hashed([word]) if "\n" in word else word for word in action.argv)
    return [hashed(rest), *words, *lines]


# What has changed since a plan was made.

VOLATILE = frozenset(
    {
        "clock",
        "skew",
        "free",
        "listening",
        "containers",
        "dnf_lock",
        "in_flight",
        "neighbours",
        "fdb",
    }
)
"""Facts that change by themselves, and decide nothing in a plan."""


def fingerprints(known: ClusterFacts) -> dict[str, str]:
    """`HOST FACT` -> a hash of it: enough to say which fact changed, without keeping the facts."""
    found = {
        f"{host} {each.name}": getattr(facts, each.name)
        for host, facts in known.hosts.items()
        for each in fields(facts)
        if each.name not in VOLATILE
    }
    found["etcd config"] = known.store.config
    return {
        name: hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()[:16]
        for name, value in found.items()
    }


def changed_facts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of facts that differ, of two `fingerprints`."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
