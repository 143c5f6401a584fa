"""How a plan gets its approval from what was approved before, and what is kept of that."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedwiz.engine import plan as planning
from fedwiz.engine.approval import (
    NOT_APPROVED,
    Approve,
    Refusal,
    approve_all,
    same_plan,
    save_plan,
    saving,
    within_kept,
    within_plan,
)
from fedwiz.engine.plan import Plan
from fedwiz.facts import ClusterFacts
from fedwiz.runs.plans import load_plan, plans_path, write_plan
from tests.support.sample_cluster import ANSWERS, BARE, answered, on

NODE = "fed-node1"
PLAN = planning.make(ANSWERS, BARE)
LESS = Plan(PLAN.hosts, PLAN.parts[:1])
"""The plan once only its first stage is left."""

OTHER = planning.make(answered("network.cidr=10.30.0.0/16"), BARE)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def refuse(_plan: Plan, _known: ClusterFacts | None) -> Refusal:
    return NOT_APPROVED


def before() -> None:
    save_plan(PLAN, BARE)


def only_less() -> None:
    write_plan(PLAN.digest, '{"facts": {}, "actions": [], "host": ""}')


def damaged() -> None:
    write_plan(PLAN.digest, '{"facts": [], "actions": [["a", 1]]}')


def nothing() -> None:
    pass


CHANGED = on(NODE, BARE, kernel="6.1.0")
DIGEST = PLAN.digest
CASES: dict[
    str, tuple[Callable[[], None], Callable[[], Approve], Plan, ClusterFacts | None, str | None]
] = {
    "the approved plan": (nothing, lambda: within_plan(PLAN), PLAN, BARE, None),
    "what is left of it": (nothing, lambda: within_plan(PLAN), LESS, BARE, None),
    "more than it": (
        nothing,
        lambda: within_plan(LESS),
        PLAN,
        BARE,
        "the plan has changed since you approved it (now also: ",
    ),
    "what a run was approved": (before, lambda: within_kept(DIGEST, None), PLAN, BARE, None),
    "what is left of that": (before, lambda: within_kept(DIGEST, refuse), LESS, BARE, None),
    "more, and nobody to ask": (
        before,
        lambda: within_kept(DIGEST, None),
        OTHER,
        BARE,
        f"more is left than plan {DIGEST}, which was approved (now also: ",
    ),
    "more, and a yes": (only_less, lambda: within_kept(DIGEST, approve_all), PLAN, BARE, None),
    "more, and a no": (
        only_less,
        lambda: within_kept(DIGEST, refuse),
        PLAN,
        BARE,
        NOT_APPROVED.why,
    ),
    "nothing was kept": (
        nothing,
        lambda: within_kept(DIGEST, None),
        LESS,
        BARE,
        f"more is left than plan {DIGEST}",
    ),
    "what was kept can't be read": (
        damaged,
        lambda: within_kept(DIGEST, None),
        LESS,
        BARE,
        f"more is left than plan {DIGEST}",
    ),
    "the same digest": (nothing, lambda: same_plan(DIGEST), PLAN, BARE, None),
    "a digest that was never shown": (
        nothing,
        lambda: same_plan(DIGEST),
        OTHER,
        BARE,
        f"the plan is {OTHER.digest} now, not {DIGEST}, which this machine never showed; look",
    ),
    "a digest whose plan can't be read": (
        damaged,
        lambda: same_plan(DIGEST),
        OTHER,
        BARE,
        f"the plan is {OTHER.digest} now, not {DIGEST}, which this machine never showed",
    ),
    "a plan that was made of nothing": (
        before,
        lambda: same_plan(DIGEST),
        OTHER,
        None,
        f"the plan is {OTHER.digest} now, not {DIGEST}, which this machine never showed",
    ),
    "other answers": (
        before,
        lambda: same_plan(DIGEST),
        OTHER,
        BARE,
        f"the plan is {OTHER.digest} now, not {DIGEST}; since then changed: the answers; look",
    ),
    "another kernel": (
        before,
        lambda: same_plan(DIGEST),
        OTHER,
        CHANGED,
        f"the plan is {OTHER.digest} now, not {DIGEST}; since then changed: {NODE} kernel; look",
    ),
    "a word that is no digest": (nothing, lambda: same_plan("../x"), PLAN, BARE, "the plan is "),
}


@pytest.mark.parametrize(("given", "make", "plan", "known", "why"), CASES.values(), ids=CASES)
async def test_what_is_approved(
    given: Callable[[], None],
    make: Callable[[], Approve],
    plan: Plan,
    known: ClusterFacts | None,
    why: str | None,
) -> None:
    """Only the operator's own no is not about another plan."""
    given()
    refusal = await make()(plan, known)
    if why is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.why.startswith(why)
        assert refusal.stale == (refusal != NOT_APPROVED)


async def test_what_is_approved_is_kept_and_nothing_else() -> None:
    assert await saving(refuse, NODE)(PLAN, BARE) == NOT_APPROVED
    assert not plans_path().exists()
    assert await saving(approve_all, NODE)(PLAN, BARE) is None
    kept = load_plan(DIGEST)
    assert kept is not None
    assert kept.host == NODE
    assert await within_kept(DIGEST, None)(PLAN, BARE) is None


async def test_an_approval_that_can_t_be_kept_is_one(tmp_path: Path) -> None:
    (tmp_path / "fedwiz").write_text("a file where a folder belongs")
    assert await saving(approve_all)(PLAN, replace(BARE)) is None
