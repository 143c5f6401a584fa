"""How a draft begins: from nothing, from an answer file, for a proof alone, for practice."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fedwiz import practice
from fedwiz.answers.file import AnswersError, overlay, read
from fedwiz.runs.unfinished import InterruptedRun, interrupted_run
from fedwiz.wizard.draft import Draft, kept, with_sets

NAME = "fedora-lab"
"""What a cluster is called until the operator says otherwise."""

VERIFY_PAGES = ("hosts", "network", "verify")
"""The pages that a verification by itself needs."""


def new() -> Draft:
    """A new install."""
    return Draft(page="hosts", said={"name": NAME})


def verifying() -> Draft:
    """The proof alone, of a cluster that is there."""
    return Draft(page="hosts", goal="verify", stops=VERIFY_PAGES, said={"name": NAME})


def from_file(path: str, sets: Iterable[str] = ()) -> Draft:
    """The draft of an answer file, at the first page that it leaves open.

    Raises:
        Refused: it can't be read, or says what no page could put right.
    """
    draft = Draft.of(overlay(read(Path(path)), list(sets)), path)
    return replace(draft, page=draft.stops[0])


def interrupted(draft: Draft) -> bool:
    """Whether a run was cut off since a draft's install was begun, so that it comes first.

    The first page, or the first question, offers to go on with it.
    """
    if draft.practice or draft.goal != "install" or draft.page not in ("install", "verify"):
        return False
    left = interrupted_run()
    if left is None or left.run.cluster != draft.name:
        return False
    return draft.page == "install" or left.run.id != draft.run  # else it is proven there


def resuming(before: InterruptedRun) -> Draft:
    """The draft that goes on with a run, on the page that shows it: what was said then.

    Raises:
        Refused: its answers are not kept, or can't be used.
    """
    run, was = before.run, kept()
    file = run.path.with_suffix(".toml")
    if was is None or was.run != run.id or was.goal != "install":
        if not file.is_file():
            raise AnswersError(
                {run.id: "its answers are not kept here: give them to `fedwiz resume`, as -a FILE"}
            )
        was = Draft.of(read(file))
    draft = replace(was, page="install", run=run.id, accepted=before.accepted)
    if run.verb == "undo":
        draft = replace(draft, goal="undo", stops=("install",))
    draft.answers()
    return draft


def begin_practice(draft: Draft) -> Draft:
    """The draft of a practice cluster, with what its fault puts into the answers."""
    fault = practice.FAULTS.get(draft.practice)
    draft = with_sets(draft, fault.sets) if fault else draft
    draft = draft if draft.name else draft.put("name", "practice")
    return replace(draft, typed=draft.typed or "192.168.122.0/24")


def practice_draft(fault: str, size: int, pace: float, sets: Iterable[str] = ()) -> Draft:
    """The draft of a practice cluster; one that was kept of the same is gone on with.

    Args:
        fault: its name, or `healthy`.
        size: hosts.
        pace: real seconds for each simulated one.
        sets: `--set`s of the operator's, which win.

    Raises:
        Refused: a set that can't be followed.
    """
    before = kept(fault)
    if before is not None and before.size == size:
        draft = replace(before, pace=pace)
    else:
        draft = begin_practice(Draft(page="hosts", practice=fault, size=size, pace=pace))
    return with_sets(draft, sets)
