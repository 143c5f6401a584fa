"""`fedwiz replay`: only the install page, fed from a journal."""

from collections.abc import Sequence
from pathlib import Path

from fedwiz.model.events import Record, RunStarted
from fedwiz.runs.journal import read
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory
from screens.pages.run_page import PlayPage


def page(records: Path | Sequence[Record], speed: float) -> PlayPage:
    """The page that plays back a run.

    Args:
        records: the run's records, or the path of its journal.
        speed: as a multiple of the original; 0: all at once.

    Raises:
        ValueError: the journal can't be read, or the speed is negative.
    """
    if speed < 0:
        raise ValueError(f"a replay's speed is 0 or more, not {speed}")
    loaded = read(records) if isinstance(records, Path) else tuple(records)
    first = loaded[0].event if loaded else None
    run = first if isinstance(first, RunStarted) else RunStarted("", "", ())
    draft = Draft(
        page="install",
        goal="look",
        stops=("install",),
        practice=run.practice,
        said={"name": run.cluster},
    )
    return PlayPage(draft, Inventory(), loaded, speed)
