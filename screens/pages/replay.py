"""`fedwiz replay`: the page Install alone, fed by a journal."""

from collections.abc import Sequence
from pathlib import Path

from fedwiz.model.events import Record, RunStarted
from fedwiz.runs.journal import read
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory
from screens.pages.run_page import PlayPage


def page(records: Path | Sequence[Record], speed: float) -> PlayPage:
    """The page that tells a run again.

    Args:
        records: of the run, or where its journal is.
        speed: so many times as fast as it went; 0: all at once.

    Raises:
        ValueError: the journal can't be read, or the speed is below 0.
    """
    if speed < 0:
        raise ValueError(f"a replay's speed is 0 or more, not {speed}")
    told = read(records) if isinstance(records, Path) else tuple(records)
    first = told[0].event if told else None
    run = first if isinstance(first, RunStarted) else RunStarted("", "", ())
    draft = Draft(
        page="install",
        goal="look",
        stops=("install",),
        practice=run.practice,
        said={"name": run.cluster},
    )
    return PlayPage(draft, Inventory(), told, speed)
