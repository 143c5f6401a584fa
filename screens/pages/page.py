"""Base class of all pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, cast

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen

from fedwiz.util.sanitize import sanitize
from screens.widgets.frame import PAGE_TITLES, Head, KeyBar, Small, StatusLine, too_small

if TYPE_CHECKING:
    from fedwiz.wizard.draft import Draft
    from fedwiz.wizard.inventory import Inventory
    from screens.wizard import Wizard

Move = Literal["next", "back", "first", "quit"]
"""Where to go from a page.  Its answers are in the draft already."""


class Page(Screen[Move]):
    """A page of the wizard: gets the draft and the inventory, returns a move.

    `keep` saves each answer at once, so that going back, going forward and being killed lose
    nothing.
    """

    STEP: ClassVar[str] = ""
    QUESTION: ClassVar[str] = ""
    HELP: ClassVar[str | None] = ""
    """Shown by F1, with the keys added; written for operators."""

    LAYERS = ("default", "over")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("ctrl+n", "next", "Next"),
    ]

    def __init__(self, draft: Draft, inventory: Inventory) -> None:
        super().__init__()
        self.draft = draft
        self.inventory = inventory

    @property
    def wizard(self) -> Wizard:
        """The app."""
        return cast("Wizard", self.app)

    def compose(self) -> ComposeResult:
        """The page's own `content` in a frame."""
        pages = PAGE_TITLES if self.draft.goal == "install" else self.draft.stops
        yield Head(self.STEP, self.question, self.cluster(), tuple(pages))
        with Vertical(id="body"):
            yield from self.content()
        yield StatusLine(id="said")
        yield KeyBar()
        yield Small()

    def content(self) -> ComposeResult:
        """The page's widgets."""
        yield from ()

    @property
    def question(self) -> str:
        """The page's title."""
        return self.QUESTION

    def cluster(self) -> str:
        """The cluster's name, and whether it is a practice cluster."""
        name = sanitize(self.draft.name)
        if not self.draft.practice:
            return name
        fault = "" if self.draft.practice == "healthy" else f": {self.draft.practice}"
        cluster = f"practice cluster{fault}"
        return cluster if name == "practice" else f"{name}, {cluster}"

    def keep(self, draft: Draft) -> None:
        """Replace the draft and save it."""
        self.draft = draft
        self.wizard.keep(draft)

    def say(self, text: str, level: str = "") -> None:
        """Show a sentence above the keys, with the level `ok`, `warn` or `block`."""
        self.query_one("#said", StatusLine).say(text, level)

    def on_resize(self, event: events.Resize) -> None:
        """Cover a page that does not fit the terminal."""
        self.set_class(too_small(*event.size), "-small")

    def dismiss(self, result: Move | None = None) -> AwaitComplete:
        """Leave the page; its workers are cancelled first, since they use its widgets."""
        self.workers.cancel_node(self)
        return super().dismiss(result)

    def action_back(self) -> None:
        """Go to the previous page."""
        self.dismiss("back")

    def action_next(self) -> None:
        """Go to the next page; subclasses check their answers first."""
        self.dismiss("next")
