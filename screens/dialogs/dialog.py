"""Base class of dialogs, and the help dialog."""

from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from screens.widgets.frame import KeyBar, Small, too_small

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A dialog on top of a page; Esc closes it without an answer."""

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
        self._heading = title

    def compose(self) -> ComposeResult:
        """The dialog's own `content` in a frame."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._heading)
            yield from self.content()
        yield KeyBar()
        yield Small()

    def content(self) -> ComposeResult:
        """The dialog's widgets."""
        yield from ()

    def on_resize(self, event: events.Resize) -> None:
        """Cover a dialog that does not fit the terminal."""
        self.set_class(too_small(*event.size), "-small")

    def action_close(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class Help(Dialog[None]):
    """Shows what a page is for, and its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,enter,q", "close", "Close")]
    DEFAULT_CSS = """
    Help > #dialog > VerticalScroll { height: auto; max-height: 100%; }
    """

    def __init__(self, title: str, text: str, keys: list[tuple[str, str]]) -> None:
        super().__init__(title)
        self._text, self._keys = text, keys

    def content(self) -> ComposeResult:
        """The text, then a line for each key."""
        width = max((len(key) for key, _ in self._keys), default=0)
        keys = "\n".join(f"{key:>{width}}  {about}" for key, about in self._keys)
        with VerticalScroll():
            yield Static(self._text.strip() + "\n", markup=False)
            yield Static(Content.assemble(Content.styled("Keys\n", "bold"), keys))
