"""What takes long to load is loaded off the loop, while something is on the screen already."""

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
"""Makes the draft to begin with, off the loop; None: the first page asks."""


async def load(module: str) -> Any:  # noqa: ANN401 - a module, whose names mypy can't know
    """Load a module, and what it needs."""
    loaded = await asyncio.to_thread(importlib.import_module, module)
    if not gc.get_freeze_count():
        # Code is never let go of, so it need not be looked through for what can be: each time the
        # loop would stand still for a tenth of a second.
        gc.freeze()
    return loaded


def mistake(console: "Console") -> "Segments":
    """The exception that is being handled, as its traceback and without its variables."""
    from rich.segment import Segments
    from rich.traceback import Traceback

    return Segments(console.render(Traceback(show_locals=False, width=None)))


def drafted(begin: Begin) -> "Draft | Exception | None":
    """What `begin` makes, or why it was refused; to be called in a thread, as it loads a lot.

    A draft whose install was cut off is none to begin with: the first page offers to go on with it.
    """
    from fedwiz.answers.file import AnswersError
    from fedwiz.wizard.start import interrupted

    try:
        draft = begin()
    except AnswersError as refused:
        return refused
    return None if draft is not None and interrupted(draft) else draft
