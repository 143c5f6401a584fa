"""The page Review."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from screens.page import Page


class ReviewPage(Page):
    """Is this what is to be done?."""

    STEP = "review"
    QUESTION = "Is this what is to be done?"
    HELP: ClassVar[str | None] = "Is this what is to be done?"

    def content(self) -> ComposeResult:
        """Nothing yet."""
        yield Static("")
