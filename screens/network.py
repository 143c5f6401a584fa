"""The page Network."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from screens.page import Page


class NetworkPage(Page):
    """Which addresses do the containers get?."""

    STEP = "network"
    QUESTION = "Which addresses do the containers get?"
    HELP: ClassVar[str | None] = "Which addresses do the containers get?"

    def content(self) -> ComposeResult:
        """Nothing yet."""
        yield Static("")
