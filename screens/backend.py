"""The page Backend."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from screens.page import Page


class BackendPage(Page):
    """How do packets get from node to node?."""

    STEP = "backend"
    QUESTION = "How do packets get from node to node?"
    HELP: ClassVar[str | None] = "How do packets get from node to node?"

    def content(self) -> ComposeResult:
        """Nothing yet."""
        yield Static("")
