"""New drafts: empty, from an answer file, for verification only, or for practice."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fedwiz import practice
from fedwiz.answers.file import AnswersError, overlay, read
from fedwiz.runs.interrupted import InterruptedRun, interrupted_run
from fedwiz.wizard.draft import Draft, load_saved, with_sets

NAME = "fedora-lab"
"""The default name of a cluster."""

VERIFY_PAGES = ("hosts", "network", "verify")
"""The pages that a verification alone needs."""


def new() -> Draft:
    """A draft of a new install."""
    return Draft(page="hosts", said={"name": NAME})


def verifying() -> Draft:
    """A draft that only verifies an existing cluster."""
    return Draft(page="hosts", goal="verify", stops=VERIFY_PAGES, said={"name": NAME})


def from_file(path: str, sets: Iterable[str] = ()) -> Draft:
    """The draft of an answer file, at the first page with an open question.

    Raises:
        AnswersError: it can't be read, or has errors that no page can fix.
    """
    draft = Draft.of(overlay(read(Path(path)), list(sets)), path)
    return replace(draft, page=draft.stops[0])


def interrupted(draft: Draft) -> bool:
    """Whether a run was interrupted after the draft's install started, so that it comes first.

    The welcome page, or the first question, offers to resume it.
    """
    if draft.practice or draft.goal != "install" or draft.page not in ("install", "verify"):
        return False
    unfinished = interrupted_run()
    if unfinished is None or unfinished.run.cluster != draft.name:
        return False
    # That run is verified on its own page.
    return draft.page == "install" or unfinished.run.id != draft.run


def resuming(before: InterruptedRun) -> Draft:
    """The draft that resumes a run, on the page that shows it, with the answers of that run.

    Raises:
        AnswersError: its answers were not saved, or can't be used.
    """
    run, draft_of_run = before.run, load_saved()
    file = run.path.with_suffix(".toml")
    if draft_of_run is None or draft_of_run.run != run.id or draft_of_run.goal != "install":
        if not file.is_file():
            raise AnswersError(
                {run.id: "its answers are not kept here: give them to `fedwiz resume`, as -a FILE"}
            )
        draft_of_run = Draft.of(read(file))
    draft = replace(draft_of_run, page="install", run=run.id, accepted=before.accepted)
    if run.verb == "undo":
        draft = replace(draft, goal="undo", stops=("install",))
    draft.answers()
    return draft


def begin_practice(draft: Draft) -> Draft:
    """The draft of a practice cluster, with the answers that its fault sets."""
    fault = practice.FAULTS.get(draft.practice)
    draft = with_sets(draft, fault.sets) if fault else draft
    draft = draft if draft.name else draft.put("name", "practice")
    return replace(draft, typed=draft.typed or "192.168.122.0/24")


def practice_draft(fault: str, size: int, pace: float, sets: Iterable[str] = ()) -> Draft:
    """The draft of a practice cluster; resumes a saved one of the same fault and size.

    Args:
        fault: its name, or `healthy`.
        size: number of hosts.
        pace: real seconds for each simulated one.
        sets: the operator's `--set` overrides, which take precedence.

    Raises:
        AnswersError: an override that can't be applied.
    """
    saved = load_saved(fault)
    if saved is not None and saved.size == size:
        draft = replace(saved, pace=pace)
    else:
        draft = begin_practice(Draft(page="hosts", practice=fault, size=size, pace=pace))
    return with_sets(draft, sets)
