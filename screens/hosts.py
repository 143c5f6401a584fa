"""The page Hosts."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from screens.page import Page


class HostsPage(Page):
    """Which machines make the cluster?."""

    STEP = "hosts"
    QUESTION = "Which machines make the cluster?"
    HELP: ClassVar[str | None] = "Which machines make the cluster?"

    def content(self) -> ComposeResult:
        """Nothing yet."""
        yield Static("")
