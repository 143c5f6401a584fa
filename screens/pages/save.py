"""Save a report, or answers, where the operator wants them."""

import asyncio
from functools import partial
from pathlib import Path

from fedwiz import report
from fedwiz.report import changes
from fedwiz.runs.state import State
from fedwiz.util import files
from fedwiz.util.sanitize import sanitize
from screens.dialogs.basic import Ask, Confirm
from screens.pages.page import Page


async def save_report(page: Page, state: State, run: str) -> None:
    """Ask for a path and save the report there.

    Args:
        page: asks, and shows the result.
        state: the run's state.
        run: the run's id.
    """
    answer = await page.wizard.push_screen_wait(
        Ask(
            "Save the report",
            "Where to?  Its ending says what is written: .md Markdown, .json JSON, "
            ".html a page for "
            "a browser, .xml JUnit's for continuous integration.",
            f"{sanitize(state.cluster).replace('/', '-') or 'cluster'}-report.md",
            refuse=why_report_unwritable,
        )
    )
    if answer is None:
        return
    path = path_of(answer)
    since = await asyncio.to_thread(changes.since, state)
    await put(page, path, report_as(path, state, run, since), report.MODE)


async def save_answers(page: Page, name: str, text: str) -> None:
    """Ask for a path and save an answer file there.

    Args:
        page: asks, and shows the result.
        name: the cluster's name, the default for the file name.
        text: the file's content.
    """
    answer = await page.wizard.push_screen_wait(
        Ask(
            "Save the answers",
            f"Where to?  A name alone is a file in {short(Path.cwd())}.",
            f"{sanitize(name).replace('/', '-') or 'cluster'}.toml",
            refuse=why_unwritable,
        )
    )
    if answer is not None:
        await put(page, path_of(answer), text)


async def put(page: Page, path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file; ask before overwriting one.

    Args:
        page: asks, and shows the result.
        path: the file.
        text: its content.
        mode: its permissions before the umask; by default for the operator only.
    """
    there = f"{path}\n\nThere is such a file already, and it would be replaced."
    if await asyncio.to_thread(path.exists) and not await page.wizard.push_screen_wait(
        Confirm("Replace the file?", there, "Yes, replace it", "No, keep it")
    ):
        return
    try:
        await asyncio.to_thread(partial(files.write, path, text, mode=mode))
    except OSError as wrong:
        page.say(f"Not saved: {path}: {wrong.strerror or wrong}; try another place.", "block")
    else:
        page.say(f"Saved: {short(path)}", "ok")


def short(path: Path) -> str:
    """The path as one types it, with `~`."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def path_of(text: str) -> Path:
    """The absolute path of what was typed.

    Raises:
        RuntimeError: there is no such user.
    """
    return Path(text.strip()).expanduser().absolute()


def report_as(path: Path, state: State, run: str, since: changes.Drift | None) -> str:
    """The report of a run, in the format of the file's suffix."""
    return report.FORMS[path.suffix.lower()](state, run, since)


def why_report_unwritable(text: str) -> str:
    """Why a report can't be written there; empty: it can."""
    if Path(text.strip()).suffix.lower() not in report.FORMS:
        return f"its name ends in {', '.join(report.FORMS)}, such as report.md"
    return why_unwritable(text)


def why_unwritable(text: str) -> str:
    """Why nothing can be written there; empty: something can."""
    if not text.strip():
        return "write the path of a file"
    try:
        path = path_of(text)
    except RuntimeError:
        return "nobody is known by that name; write the whole path"
    return f"{path} is a directory; name a file in it" if path.is_dir() else ""
