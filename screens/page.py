"""Page: what all pages share.  Dialog: what is asked above a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from fedwiz.clean import clean
from screens.frame import LEAST, STEPS, Head, Keys, Said, Small

if TYPE_CHECKING:
    from fedwiz.draft import Draft
    from fedwiz.site import Site
    from screens.app import Fedwiz

Move = Literal["next", "back", "first", "quit"]
"""Where to go from a page.  What was said there is in the draft already."""

T = TypeVar("T")


def too_small(width: int, height: int) -> bool:
    """Whether a page can't be shown."""
    return width < LEAST[0] or height < LEAST[1]


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

    def __init__(self, draft: Draft, site: Site) -> None:
        super().__init__()
        self.draft = draft
        self.site = site

    @property
    def wizard(self) -> Fedwiz:
        """The app, as what it is."""
        return cast("Fedwiz", self.app)

    def compose(self) -> ComposeResult:
        """The frame, and the page's own `content` in it."""
        pages = STEPS if self.draft.goal == "install" else self.draft.stops
        yield Head(self.STEP, self.question, self.cluster(), tuple(pages))
        with Vertical(id="body"):
            yield from self.content()
        yield Said(id="said")
        yield Keys()
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
        name = clean(self.draft.name)
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
        self.query_one("#said", Said).say(text, level)

    def on_resize(self, event: events.Resize) -> None:
        """Cover a page that does not fit."""
        self.set_class(too_small(*event.size), "-small")

    def action_back(self) -> None:
        """To the page before."""
        self.dismiss("back")

    def action_next(self) -> None:
        """To the page after; a page that asks something looks at it first."""
        self.dismiss("next")


class Dialog(ModalScreen[T]):
    """A question above a page; Esc closes it without an answer."""

    TITLE_TEXT: ClassVar[str] = ""
    LAYERS = ("default", "over")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > #dialog {
        width: 74; max-width: 96%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1;
        border-title-color: $text; border-title-style: bold;
    }
    Dialog > #dialog > #answer { height: auto; }
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._said = title

    def compose(self) -> ComposeResult:
        """The frame, and the dialog's own `content` in it."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._said)
            yield from self.content()
        yield Keys()
        yield Small()

    def content(self) -> ComposeResult:
        """What is asked."""
        yield from ()

    def on_resize(self, event: events.Resize) -> None:
        """Cover a dialog that does not fit."""
        self.set_class(too_small(*event.size), "-small")

    def action_close(self) -> None:
        """No answer."""
        self.dismiss(None)


class Help(Dialog[None]):
    """What a page is for, and its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,enter,q", "close", "Close")]
    DEFAULT_CSS = """
    Help > #dialog > VerticalScroll { height: auto; max-height: 100%; }
    """

    def __init__(self, title: str, text: str, keys: list[tuple[str, str]]) -> None:
        super().__init__(title)
        self._text, self._keys = text, keys

    def content(self) -> ComposeResult:
        """The text, then a line for each key."""
        wide = max((len(key) for key, _ in self._keys), default=0)
        keys = "\n".join(f"{key:>{wide}}  {about}" for key, about in self._keys)
        with VerticalScroll():
            yield Static(self._text.strip() + "\n", markup=False)
            yield Static(Content.assemble(Content.styled("Keys\n", "bold"), keys))
