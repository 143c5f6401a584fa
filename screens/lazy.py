"""Load slow modules in a thread while the first screen is already shown."""

import asyncio
import gc
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segments

    from fedwiz.wizard.draft import Draft

Begin = Callable[[], "Draft | None"]
"""Makes the draft to start with, called in a thread; None: the first page asks."""


async def load(module: str) -> Any:  # noqa: ANN401 - mypy can't know a module's names
    """Import a module and its dependencies in a thread."""
    loaded = await asyncio.to_thread(importlib.import_module, module)
    if not gc.get_freeze_count():
        # Code is never freed, so exclude it from garbage collection: each full collection would
        # block the loop for a tenth of a second.
        gc.freeze()
    return loaded


def mistake(console: "Console") -> "Segments":
    """The traceback of the current exception, without local variables."""
    from rich.segment import Segments
    from rich.traceback import Traceback

    return Segments(console.render(Traceback(show_locals=False, width=None)))


def drafted(begin: Begin) -> "Draft | Exception | None":
    """The draft that `begin` makes, or why it was refused.  Slow: call it in a thread.

    If the draft's install was interrupted, return None: the first page then offers to resume it.
    """
    from fedwiz.answers.file import AnswersError
    from fedwiz.wizard.start import interrupted

    try:
        draft = begin()
    except AnswersError as refused:
        return refused
    return None if draft is not None and interrupted(draft) else draft
