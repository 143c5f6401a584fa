"""The result of an install: the sentence that states it, and where to go next."""

import time
from pathlib import Path
from typing import NamedTuple

from fedwiz.engine import lock, verbs
from fedwiz.model.events import Record, RunEnded
from fedwiz.report import outcome_line
from fedwiz.runs.journal import read
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import count
from screens.pages.page import Move

CUT_OFF = "its end is not recorded"
HINTS = ("; the same command continues from here", "; the same command goes on from here")
"""A hint for the command line; a page has a key for it.  The second is in journals of 0.1."""


class Sentence(NamedTuple):
    """A sentence for the status line."""

    text: str
    level: str = ""
    """`ok`, `warn` or `block`; empty: a hint."""


def reason(state: State) -> str:
    """Why the run ended, without the command line's hint."""
    why = state.why
    for hint in HINTS:
        why = why.removesuffix(hint)
    return why.rstrip(".")


def outcome(state: State, *, undoes: bool = False) -> Sentence:
    """The result of one's own run, and what to do next.

    Args:
        state: the state of the run, which has ended.
        undoes: the run was an undo.
    """
    code, why, many = state.code, reason(state), count(len(state.hosts), "host")
    if code == verbs.OK and undoes:
        done = why or "All is as it was before the install"
        return Sentence(f"{done}.  Ctrl+N: the first page.", "ok")
    if code == verbs.OK:
        done = f"Done on all {many}, and the network is verified"
        return Sentence(f"{done}.  Ctrl+N shows the verification.", "ok")
    if code == verbs.NOT_PROVEN:
        text = f"Installed, but not verified: {why}.  Ctrl+N shows the verification."
        return Sentence(text, "warn")
    if code == verbs.STALE:
        text = f"Nothing was changed: {why}.  Ctrl+N: look at it again, at Review."
        return Sentence(text, "block")
    if code == verbs.LOCKED:
        text = f"{why.replace(lock.WATCH_HINT, '')}.  w: watch that run.  r: try again."
        return Sentence(text, "block")
    if code == verbs.INTERRUPTED:
        return Sentence(f"Stopped: {operations_left(state)}.  r continues from here.", "warn")
    # What to do comes first, in case the reason does not fit.
    red = f"{len(state.red)} of {many} failed: " * (state.planned > 0 and bool(state.red))
    return Sentence(f"{red}r tries again.  {why}{'' if why.endswith('?') else '.'}", "block")


def outcome_of_another(state: State) -> Sentence:
    """The result of another operator's run, and what to do next."""
    return Sentence(f"That run has ended: {outcome_line(state)}.  r: try yours again.", "warn")


def end_unknown(why: str) -> Sentence:
    """Why the end of another operator's run is unknown, and what to do next."""
    return Sentence(f"{_capital(sanitize(why))}.  r: try yours again.", "warn")


def operations_left(state: State) -> str:
    """How much of the plan is left to do."""
    operations = sum(host.left for host in state.hosts.values())
    if not state.planned:
        return "nothing was changed"
    return f"{operations} of {state.planned} operations are left"


def onward(state: State, goal: str, *, another: bool, retryable: bool) -> Move | Sentence:
    """Where Ctrl+N leads after a run, or a sentence that says why it stays.

    Args:
        state: the state of the run shown.
        goal: the draft's goal.
        another: it is another operator's run.
        retryable: `r` has something to retry.
    """
    if goal == "undo":
        return "first"
    if another:
        text = "This is another operator's run.  r: try yours again; Esc leads to Review."
        return Sentence(text, "warn")
    if state.code in (verbs.OK, verbs.NOT_PROVEN) or goal == "look":
        return "next"
    if state.code in (None, verbs.STALE) or not retryable:
        return "back"
    text = f"{_capital(operations_left(state))}: r tries again; Esc leads to Review."
    return Sentence(text, "warn")


class LoadedRun(NamedTuple):
    """A recorded run."""

    records: tuple[Record, ...] = ()
    """Always with an end; one is made up if none is recorded."""

    cut_off: str = ""
    """That no end is recorded; empty: one is."""

    trouble: Sentence | None = None
    """Why there are no records."""


def load_run(path: Path) -> LoadedRun:
    """Read a run from its journal."""
    try:
        records = read(path)
    except ValueError as wrong:
        text = f"The record of the run can't be read: {wrong}.  Ctrl+N: back to Review."
        return LoadedRun(trouble=Sentence(text, "warn"))
    if not records:
        return LoadedRun(trouble=Sentence("Nothing was started.  Ctrl+N: back to Review."))
    last = records[-1]
    if isinstance(last.event, RunEnded):
        return LoadedRun(records)
    began = time.strftime("%H:%M", time.localtime(records[0].at))
    end = RunEnded("unknown", verbs.FAILED, f"interrupted: {CUT_OFF}")
    records += (Record(last.number + 1, last.at, end),)
    return LoadedRun(records, f"The run of {began} was interrupted: {CUT_OFF}")


def _capital(text: str) -> str:
    """Capitalize the first letter only; `str.capitalize` would lower-case the rest of a name."""
    return text[:1].upper() + text[1:]
