"""The page Interfaces."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from screens.page import Page


class InterfacesPage(Page):
    """Which interface carries the packets on each host?."""

    STEP = "interfaces"
    QUESTION = "Which interface carries the packets on each host?"
    HELP: ClassVar[str | None] = "Which interface carries the packets on each host?"

    def content(self) -> ComposeResult:
        """Nothing yet."""
        yield Static("")
