"""Saving a report, or answers, where the operator wants them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from fedwiz import keep, report
from fedwiz.clean import clean
from fedwiz.state import State
from screens.dialogs import Ask, Confirm
from screens.page import Page


async def save_report(page: Page, state: State, run: str) -> None:
    """Ask for a place, and save the report there.

    Args:
        page: asks, and says what came of it.
        state: of the run.
        run: its id.
    """
    said = await page.wizard.push_screen_wait(Ask(
        "Save the report",
        "Where to?  Its ending says what is written: .md Markdown, .txt text, .json JSON.",
        f"{clean(state.cluster).replace('/', '-') or 'cluster'}-report.md",
        refuse=_unfit,
    ))  # fmt: skip
    if said is None:
        return
    path = _path(said)
    await put(page, path, FORMS[path.suffix](state, run))


async def save_answers(page: Page, name: str, text: str) -> None:
    """Ask for a place, and save an answer file there.

    Args:
        page: asks, and says what came of it.
        name: the cluster's, after which the file is named unless the operator says otherwise.
        text: what will be in it.
    """
    said = await page.wizard.push_screen_wait(Ask(
        "Save the answers",
        f"Where to?  A name alone is a file in {short(Path.cwd())}.",
        f"{clean(name).replace('/', '-') or 'cluster'}.toml",
        refuse=unfit,
    ))  # fmt: skip
    if said is not None:
        await put(page, _path(said), text)


async def put(page: Page, path: Path, text: str) -> None:
    """Write a file for the operator's eyes only; one that is there only if that is wanted."""
    there = f"{path}\n\nThere is such a file already, and it would be replaced."
    if await asyncio.to_thread(path.exists) and not await page.wizard.push_screen_wait(
        Confirm("Replace the file?", there, "Yes, replace it", "No, keep it")
    ):
        return
    try:
        await asyncio.to_thread(keep.write, path, text)
    except OSError as wrong:
        page.say(f"Not saved: {path}: {wrong.strerror or wrong}; try another place.", "block")
    else:
        page.say(f"Saved: {short(path)}", "ok")


def short(path: Path) -> str:
    """The path as one types it."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _path(text: str) -> Path:
    """Raises RuntimeError: there is no such user."""
    return Path(text.strip()).expanduser().absolute()


def _unfit(text: str) -> str:
    """Why a report can't be written there; empty: it may."""
    if Path(text.strip()).suffix not in FORMS:
        return f"its name ends in {', '.join(FORMS)}, such as report.md"
    return unfit(text)


def unfit(text: str) -> str:
    """Why nothing can be written there; empty: it may."""
    if not text.strip():
        return "write the path of a file"
    try:
        path = _path(text)
    except RuntimeError:
        return "nobody is known by that name; write the whole path"
    return f"{path} is a directory; name a file in it" if path.is_dir() else ""


def _as_json(state: State, run: str) -> str:
    return json.dumps(report.as_json(state, run), indent=2) + "\n"


FORMS: Mapping[str, Callable[[State, str], str]] = {
    ".md": lambda state, _: report.markdown(state),
    ".txt": lambda state, _: report.text(state),
    ".json": _as_json,
}
"""The report's forms, by the ending of its file."""
