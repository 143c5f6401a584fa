"""Dead-man switch: the host reverts a step by itself if the step cut the operator off.

It is armed before the step, and reverts it unless fedwiz confirms over a new connection that the
host is still reachable.
"""

import shlex
from collections.abc import Iterable
from dataclasses import replace

from fedwiz.model.actions import Action, Run
from fedwiz.steps.make import run_script
from fedwiz.steps.table import Step

BOOT = "boot"
"""Tells arm.sh that the step is a reboot."""

CONFIRM_SECONDS = 600
"""Seconds that reverting may take; a confirmation that comes too late waits for its end."""


def guarded(step: Step, actions: tuple[Action, ...], seconds: int) -> tuple[Action, ...]:
    """The actions of a step; if it could cut the operator off, between arming and confirming.

    If no action can be reverted there is nothing to arm. The armed timer survives a reboot if the
    step is one.

    The actions' own undo is for this moment only: later, an install is never undone by one step
    without the others.
    """
    runs = [action for action in actions if isinstance(action, Run)]
    unguarded = tuple(replace(it, back=None) if isinstance(it, Run) else it for it in actions)
    if not step.cuts or not any(run.back for run in runs):
        return unguarded
    arm_arguments = (BOOT,) if any(run.reboots for run in runs) else ()
    arm = run_script("arm", step.name, str(seconds), *arm_arguments, stdin=(undo_script(runs),))
    confirm = run_script("confirm", step.name, fresh=seconds, timeout=CONFIRM_SECONDS)
    return (arm, *unguarded, confirm)


def undo_script(runs: Iterable[Run]) -> str:
    """Shell that reverts a step, the last action first; it tries all of them, even if one fails."""
    undo_actions = [run.back for run in runs if run.back is not None]
    # An action that makes a service reload its files is its own undo, and must run last.
    reloads = [action for action in undo_actions if action.argv in {run.argv for run in runs}]
    lines = [_line(action) for action in reversed(undo_actions) if action not in reloads]
    lines += [_line(action) for action in reloads]
    checked = [f"{line} || code=1" for line in lines]
    return "\n".join(["code=0", *checked, "exit $code", "# end", ""])


def _line(run: Run) -> str:
    stdin = f"printf %s {shlex.quote(run.input())} | " if run.stdin else ""
    return stdin + run.shown


def is_guard(action: Action) -> bool:
    """It arms or confirms, and changes nothing permanently."""
    return isinstance(action, Run) and (bool(action.fresh) or arms(action))


def arms(action: Action) -> bool:
    """It arms the switch."""
    return isinstance(action, Run) and action.argv[3:4] == ("arm.sh",)
