"""What an install came to: the sentence that says so, and where the keys lead from there."""

import time
from pathlib import Path
from typing import NamedTuple

from fedwiz.engine import lock, verbs
from fedwiz.model.events import Record, RunEnded
from fedwiz.report import outcome_line
from fedwiz.runs.journal import read
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from screens.pages.page import Move

CUT_OFF = "its end is not recorded"
RESUME = "; the same command goes on from here"
"""What the command line is told, and a page has a key for."""


class Sentence(NamedTuple):
    """What a page says above its keys."""

    text: str
    level: str = ""
    """`ok`, `warn` or `block`; empty: a hint."""


def reason(state: State) -> str:
    """Why the run ended as it did, for a page."""
    return state.why.removesuffix(RESUME).rstrip(".")


def outcome(state: State, *, undoes: bool = False) -> Sentence:
    """What a run of one's own came to, and what can be done now.

    Args:
        state: of the run, which has ended.
        undoes: it took an install back.
    """
    code, why, many = state.code, reason(state), _hosts(len(state.hosts))
    if code == verbs.OK and undoes:
        done = why or "All is as it was before the install"
        return Sentence(f"{done}.  Ctrl+N: the first page.", "ok")
    if code == verbs.OK:
        done = f"Done on all {many}, and the network is proven"
        return Sentence(f"{done}.  Ctrl+N shows the verification.", "ok")
    if code == verbs.NOT_PROVEN:
        said = f"Installed, and not proven: {why}.  Ctrl+N shows the verification."
        return Sentence(said, "warn")
    if code == verbs.STALE:
        said = f"Nothing was changed: {why}.  Ctrl+N: look at it again, at Review."
        return Sentence(said, "block")
    if code == verbs.LOCKED:
        said = f"{why.replace(lock.WATCH_HINT, '')}.  w: watch that run.  r: try again."
        return Sentence(said, "block")
    if code == verbs.INTERRUPTED:
        return Sentence(f"Stopped: {left(state)}.  r goes on from here.", "warn")
    # What to do comes first: the reason may be longer than there is room for.
    red = f"{len(state.red)} of {many} did not get through: " * (
        state.planned > 0 and bool(state.red)
    )
    return Sentence(f"{red}r tries again.  {why}{'' if why.endswith('?') else '.'}", "block")


def outcome_of_another(state: State) -> Sentence:
    """What another operator's run came to, and what can be done now."""
    return Sentence(f"That run has ended: {outcome_line(state)}.  r: try yours again.", "warn")


def unwatched(why: str) -> Sentence:
    """Why the end of another operator's run is not known, and what can be done now."""
    return Sentence(f"{_capital(sanitize(why))}.  r: try yours again.", "warn")


def left(state: State) -> str:
    """How much of the plan is still to be done."""
    operations = sum(host.left for host in state.hosts.values())
    if not state.planned:
        return "nothing was changed"
    return f"{operations} of {state.planned} operations are left"


def onward(state: State, goal: str, *, another: bool, again: bool) -> Move | Sentence:
    """Where Ctrl+N leads once nothing runs; a sentence where one stays.

    Args:
        state: of the run that is shown.
        goal: the draft's.
        another: it is another operator's.
        again: r has something to try again.
    """
    if goal == "undo":
        return "first"
    if another:
        said = "This is another operator's run.  r: try yours again; Esc leads to Review."
        return Sentence(said, "warn")
    if state.code in (verbs.OK, verbs.NOT_PROVEN) or goal == "look":
        return "next"
    if state.code in (None, verbs.STALE) or not again:
        return "back"
    said = f"{_capital(left(state))}: r tries again; Esc leads to Review."
    return Sentence(said, "warn")


class Recalled(NamedTuple):
    """A run that was begun before, as it is recorded."""

    records: tuple[Record, ...] = ()
    """With an end, also where none is recorded."""

    cut_off: str = ""
    """That it has none; empty: it has."""

    trouble: Sentence | None = None
    """Why there are no records."""


def recalled(path: Path) -> Recalled:
    """What a journal has of a run."""
    try:
        records = read(path)
    except ValueError as wrong:
        said = f"The record of the run can't be read: {wrong}.  Ctrl+N: back to Review."
        return Recalled(trouble=Sentence(said, "warn"))
    if not records:
        return Recalled(trouble=Sentence("Nothing was begun.  Ctrl+N: back to Review."))
    last = records[-1]
    if isinstance(last.event, RunEnded):
        return Recalled(records)
    began = time.strftime("%H:%M", time.localtime(records[0].at))
    end = RunEnded("unknown", verbs.FAILED, f"cut off: {CUT_OFF}")
    records += (Record(last.number + 1, last.at, end),)
    return Recalled(records, f"The run of {began} was cut off: {CUT_OFF}")


def _capital(text: str) -> str:
    """With a large letter first; `capitalize` makes all others small, also those of names."""
    return text[:1].upper() + text[1:]


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
