"""Page: what all pages share.  Dialog: what is asked above a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, cast

from textual import events
from textual.app import ComposeResult
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
"""Where to go from a page.  What was said there is in the draft already."""


class Page(Screen[Move]):
    """A page of the wizard: it gets the draft and the site, and gives where to go.

    What is said on it goes into the draft at once, by `keep`; so going back, going forward
    and being killed lose nothing.
    """

    STEP: ClassVar[str] = ""
    QUESTION: ClassVar[str] = ""
    HELP: ClassVar[str | None] = ""
    """Shown by F1, in the operator's words; the keys are added to it."""

    LAYERS = ("default", "over")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("ctrl+n", "next", "Next"),
    ]

    def __init__(self, draft: Draft, site: Inventory) -> None:
        super().__init__()
        self.draft = draft
        self.site = site

    @property
    def wizard(self) -> Wizard:
        """The app, as what it is."""
        return cast("Wizard", self.app)

    def compose(self) -> ComposeResult:
        """The frame, and the page's own `content` in it."""
        pages = PAGE_TITLES if self.draft.goal == "install" else self.draft.stops
        yield Head(self.STEP, self.question, self.cluster(), tuple(pages))
        with Vertical(id="body"):
            yield from self.content()
        yield StatusLine(id="said")
        yield KeyBar()
        yield Small()

    def content(self) -> ComposeResult:
        """What is on the page."""
        yield from ()

    @property
    def question(self) -> str:
        """What stands at the top."""
        return self.QUESTION

    def cluster(self) -> str:
        """The cluster's name, and whether it is real."""
        name = sanitize(self.draft.name)
        if not self.draft.practice:
            return name
        fault = "" if self.draft.practice == "healthy" else f": {self.draft.practice}"
        cluster = f"practice cluster{fault}"
        return cluster if name == "practice" else f"{name}, {cluster}"

    def keep(self, draft: Draft) -> None:
        """Take the draft as it is now, and have it written down."""
        self.draft = draft
        self.wizard.keep(draft)

    def say(self, text: str, level: str = "") -> None:
        """Say a sentence above the keys, of the level `ok`, `warn` or `block`."""
        self.query_one("#said", StatusLine).say(text, level)

    def on_resize(self, event: events.Resize) -> None:
        """Cover a page that does not fit."""
        self.set_class(too_small(*event.size), "-small")

    def action_back(self) -> None:
        """To the page before."""
        self.dismiss("back")

    def action_next(self) -> None:
        """To the page after; a page that asks something looks at it first."""
        self.dismiss("next")
