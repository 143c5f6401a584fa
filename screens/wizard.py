"""The app's interface to its pages: the draft, the inventory and the last run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from screens.lifecycle import INTERRUPTED, Ending

if TYPE_CHECKING:
    from fedwiz.runs.interrupted import InterruptedRun
    from fedwiz.runs.state import State
    from fedwiz.wizard.draft import Draft
    from fedwiz.wizard.inventory import Inventory


class Wizard(Ending):
    """The app without its pages."""

    def __init__(self) -> None:
        super().__init__()
        self._save_error = ""
        self.draft: Draft | None = None
        self.inventory: Inventory | None = None
        self.state: State | None = None
        """The state of the last run that was shown; the report is made from it."""

        self.code = INTERRUPTED
        """The exit code of the last install or verification; until one has ended, INTERRUPTED."""

        self.started_with: object = None
        """The approval that the last install was started with."""

        self.resuming: InterruptedRun | None = None
        """A run that the operator wants to resume; the install page picks it up here."""

        self.verified_after: str | None = None
        """The run after which the network was verified again: its own verdicts are outdated."""

    def keep(self, draft: Draft) -> None:
        """Replace the draft and save it, so that a killed wizard can continue from it."""
        from fedwiz.wizard.draft import save

        self.draft = draft
        try:
            save(draft)
        except OSError as wrong:
            why = f"What you say can't be kept ({wrong.strerror}): make room in your home folder."
            if why != self._save_error:
                self.notify(why, severity="warning", markup=False)
            self._save_error = why
