"""What pages know of the app: the draft that is kept, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from screens.lifecycle import INTERRUPTED, Ending

if TYPE_CHECKING:
    from fedwiz.runs.state import State
    from fedwiz.runs.unfinished import InterruptedRun
    from fedwiz.wizard.draft import Draft
    from fedwiz.wizard.inventory import Inventory


class Wizard(Ending):
    """The app, without its pages."""

    def __init__(self) -> None:
        super().__init__()
        self._unkept = ""
        self.draft: Draft | None = None
        self.site: Inventory | None = None
        self.state: State | None = None
        """Of the last run that was shown; the report is made of it."""

        self.code = INTERRUPTED
        """The exit code: of the last install or verification.  Whoever leaves before that has
        nothing that is proven."""

        self.begun: object = None
        """What the operator approved and the last install was begun with."""

        self.resuming: InterruptedRun | None = None
        """A run that the operator goes on with; the page Install takes it from here."""

        self.proved: str | None = None
        """The run after which the network was verified once more: its own verdicts are old."""

    def keep(self, draft: Draft) -> None:
        """Take the draft as it is now, and write it down, so that a killed wizard goes on there."""
        from fedwiz.wizard.draft import save

        self.draft = draft
        try:
            save(draft)
        except OSError as wrong:
            why = f"What you say can't be kept ({wrong.strerror}): make room in your home folder."
            if why != self._unkept:
                self.notify(why, severity="warning", markup=False)
            self._unkept = why
