"""The page Install."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from screens.page import Page


class InstallPage(Page):
    """Installing."""

    STEP = "install"
    QUESTION = "Installing"
    HELP: ClassVar[str | None] = "Installing"

    def content(self) -> ComposeResult:
        """Nothing yet."""
        yield Static("")
