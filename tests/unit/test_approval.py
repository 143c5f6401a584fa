"""What lies within an approved plan, and what does not."""

import pytest

from fedwiz.engine.approval import approved_actions, beyond
from fedwiz.engine.plan import Lane, Part, Plan, Task
from fedwiz.model.actions import Run
from fedwiz.steps.make import DIGEST_DIGITS, run_script
from tests.unit.test_plan import whole

SETS = ("sysconfig", "/etc/x", "any", "A", "1", "B", "2")


@pytest.mark.parametrize(
    ("left", "allowed", "more"),
    [
        (run_script("sysconfig", "/etc/x", "0" * DIGEST_DIGITS, "B", "2"), run_script(*SETS), ""),
        (run_script("sysconfig", "/etc/x", "absent", "B", "2"), run_script(*SETS), ""),
        (
            run_script("sysconfig", "/etc/x", "0" * DIGEST_DIGITS, "B", "3"),
            run_script(*SETS),
            "a: It",
        ),
        (run_script("sysconfig", "/etc/x", "--all", "B", "2"), run_script(*SETS), "a: It"),
        (run_script("put", "0600", "/etc/x", "0" * DIGEST_DIGITS), run_script(*SETS), "a: It"),
        (
            run_script("put", "0600", "/etc/x", "1" * DIGEST_DIGITS),
            run_script("put", "0600", "/etc/x", "0" * DIGEST_DIGITS),
            "a: It",
        ),
        (run_script("arm", "firewall", "180", stdin=("code=0\n",)), run_script(*SETS), ""),
    ],
    ids=["fewer", "gone", "another value", "no hash", "another script", "changed since", "guard"],
)
def test_what_an_approved_plan_left_open_may_be_known_by_now(
    left: Run, allowed: Run, more: str
) -> None:
    """Also what takes a step back: it changes nothing that stays."""
    assert beyond(whole(left), approved_actions(whole(allowed))) == more


def plan(*actions: tuple[str, str]) -> Plan:
    lanes = tuple(
        Lane(host, (Task(host, "step", f"Title of {word}", (Run((word,)),)),))
        for host, word in actions
    )
    return Plan(("a", "b"), (Part("nodes", False, lanes),))


APPROVED = plan(("a", "one"), ("a", "two"), ("b", "one"))


@pytest.mark.parametrize(
    ("left", "more"),
    [
        (APPROVED, ""),
        (plan(), ""),
        (plan(("a", "two")), ""),
        (plan(("b", "one"), ("a", "one")), ""),
        (plan(("b", "two")), "b: Title of two"),
        (plan(("a", "three"), ("b", "two")), "a: Title of three"),
    ],
)
def test_what_is_left_of_an_approved_plan_is_within_it(left: Plan, more: str) -> None:
    assert beyond(left, approved_actions(APPROVED)) == more
