"""What keeps a step from cutting the operator off: a dead-man's switch on the host.

It is armed before the step and takes the step back by itself, unless fedwiz shows over a new
connection that the host can still be reached.
"""

import shlex
from collections.abc import Iterable
from dataclasses import replace

from fedwiz.model.actions import Action, Run
from fedwiz.steps.make import run_script
from fedwiz.steps.table import Step

BOOT = "boot"
"""What arm.sh is told of a step that is a reboot."""

CONFIRM_SECONDS = 600
"""Seconds that a way back may take, which the confirmation waits for where it comes too late."""


def guarded(step: Step, actions: tuple[Action, ...], seconds: int) -> tuple[Action, ...]:
    """A step's actions; of one that could cut the operator off, between arming and confirming.

    Where nothing takes them back there is nothing to arm.  What waits outlives a reboot where the
    step is one.

    Their ways back are for that moment only: what an install has done is not taken back by one
    step without the others.
    """
    runs = [action for action in actions if isinstance(action, Run)]
    plain = tuple(replace(it, back=None) if isinstance(it, Run) else it for it in actions)
    if not step.cuts or not any(run.back for run in runs):
        return plain
    boot = (BOOT,) if any(run.reboots for run in runs) else ()
    arm = run_script("arm", step.name, str(seconds), *boot, stdin=(way_back(runs),))
    confirm = run_script("confirm", step.name, fresh=seconds, timeout=CONFIRM_SECONDS)
    return (arm, *plain, confirm)


def way_back(runs: Iterable[Run]) -> str:
    """Shell that takes a step back, the last action first; all of it is tried."""
    backs = [run.back for run in runs if run.back is not None]
    # What has a service read its files again is its own way back, and comes after them.
    again = [back for back in backs if back.argv in {run.argv for run in runs}]
    lines = [_line(back) for back in reversed(backs) if back not in again]
    lines += [_line(back) for back in again]
    tried = [f"{line} || code=1" for line in lines]
    return "\n".join(["code=0", *tried, "exit $code", "# end", ""])


def _line(run: Run) -> str:
    given = f"printf %s {shlex.quote(run.input())} | " if run.stdin else ""
    return given + run.shown


def is_guard(action: Action) -> bool:
    """It arms or confirms, and changes nothing that stays."""
    return isinstance(action, Run) and (bool(action.fresh) or arms(action))


def arms(action: Action) -> bool:
    """It arms."""
    return isinstance(action, Run) and action.argv[3:4] == ("arm.sh",)
