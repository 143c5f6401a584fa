"""The page Verify."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from screens.page import Page


class VerifyPage(Page):
    """Does the network work?."""

    STEP = "verify"
    QUESTION = "Does the network work?"
    HELP: ClassVar[str | None] = "Does the network work?"

    def content(self) -> ComposeResult:
        """Nothing yet."""
        yield Static("")
