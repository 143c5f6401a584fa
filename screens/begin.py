"""From a choice on the first page to a draft."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedwiz import practice
from fedwiz.answers import Refused
from fedwiz.begin import new, of_file, verifying
from fedwiz.draft import Draft
from fedwiz.site import begin_practice
from screens.dialogs import Ask, Pick
from screens.first import Choice

if TYPE_CHECKING:
    from screens.app import Fedwiz


async def begun(app: "Fedwiz", choice: Choice) -> Draft | None:
    """The draft that a choice begins; None: the operator thought better of it."""
    match choice.what:
        case "new":
            return new()
        case "verify":
            return verifying()
        case "file":
            said = await app.push_screen_wait(
                Ask("Open an answer file", "Its path:", placeholder="answers.toml",
                    refuse=_refused(of_file))
            )  # fmt: skip
            return of_file(said) if said else None
        case "practice":
            options = [("healthy", "healthy", "All is well.")]
            options += [(name, name, fault.help) for name, fault in practice.FAULTS.items()]
            fault = await app.push_screen_wait(
                Pick("Practice cluster", options, text="What is wrong with it?")
            )
            return begin_practice(Draft(page="hosts", practice=fault)) if fault else None
        case "runs":
            return None


def _refused(make: Callable[[str], object]) -> Callable[[str], str]:
    """What is wrong with a text from which `make` makes something; empty: nothing."""

    def refuse(text: str) -> str:
        try:
            make(text)
        except Refused as refused:
            return str(refused)
        return ""

    return refuse
