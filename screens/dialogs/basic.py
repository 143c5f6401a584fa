"""Basic dialogs: confirm, ask for a line, pick one of several.

Their texts may come from hosts, so each line is sanitized.  A text that is too long for the
terminal scrolls, and the question below it stays visible.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from fedwiz.util.sanitize import sanitize
from screens.dialogs.dialog import Dialog, T
from screens.widgets.frame import StatusLine

SCROLL: tuple[BindingType, ...] = (
    Binding("up", "scroll(-1)", "Scroll up", show=False),
    Binding("down", "scroll(1)", "Scroll down", show=False),
    Binding("pageup", "scroll(-8)", "Scroll up", show=False),
    Binding("pagedown", "scroll(8)", "Scroll down", show=False),
)
"""Keys that scroll the text of a dialog whose focus is elsewhere."""


def lines(text: str) -> str:
    """Sanitize a text of several lines for the terminal."""
    return "\n".join(map(sanitize, text.splitlines()))


class TextDialog(Dialog[T]):
    """A dialog with a text above its question."""

    DEFAULT_CSS = """
    TextDialog #text { height: auto; max-height: 45vh; }
    """

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__(sanitize(title))
        self._text = lines(text)

    def content(self) -> ComposeResult:
        """The text, then the question."""
        if self._text:
            with VerticalScroll(id="text", can_focus=False):
                yield Static(self._text, markup=False)
        yield from self.question_widgets()

    def question_widgets(self) -> Iterator[Static | Input | Horizontal | OptionList]:
        """The widgets of the question."""
        yield from ()

    def give(self, answer: T) -> None:
        """Close with an answer, but only once: a key pressed twice arrives twice."""
        if self.is_current:
            self.dismiss(answer)

    def action_scroll(self, rows: int) -> None:
        """Scroll the text."""
        for text in self.query("#text"):
            text.scroll_relative(y=rows, animate=False)


# Enter is bound on the focused widget, and so shown among the keys.  Bound on the dialog with
# priority, it would overtake keys typed just before it.
class Answer(Button):
    """A button for one of a few answers."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "press", "Choose")]


class Line(Input):
    """A single-line input."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "OK")]


class Options(OptionList):
    """A list to choose one option from."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Choose")]


class Confirm(TextDialog[bool]):
    """Asks yes or no; the focus starts on no, and Esc means no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "No"),
        Binding("left,right", "other", "No or yes", key_display="←→"),
        Binding("up", "up_or_other(-1)", "Scroll up", show=False),
        Binding("down", "up_or_other(1)", "Scroll down", show=False),
        *SCROLL[2:],
    ]
    DEFAULT_CSS = """
    Confirm #text { max-height: 65vh; }
    Confirm #buttons { height: auto; align-horizontal: right; margin-top: 1; }
    Confirm Button { margin-left: 2; }
    """

    def __init__(self, title: str, text: str, yes: str, no: str = "No, stay") -> None:
        super().__init__(title, text)
        self._yes, self._no = yes, no

    def question_widgets(self) -> Iterator[Horizontal]:
        """The two buttons."""
        yield Horizontal(
            Answer(Content(sanitize(self._no)), id="no", compact=True),
            Answer(Content(sanitize(self._yes)), id="yes", compact=True),
            id="buttons",
        )

    def on_mount(self) -> None:
        """Focus the safe choice."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """Close with the answer."""
        self.give(event.button.id == "yes")

    def action_other(self) -> None:
        """Focus the other button."""
        self.focus_next(Button)

    def action_up_or_other(self, rows: int) -> None:
        """Scroll the text if it does not fit; otherwise focus the other button."""
        if any(text.max_scroll_y for text in self.query("#text")):
            self.action_scroll(rows)
        else:
            self.action_other()

    def action_close(self) -> None:
        """Answer no on Esc."""
        self.give(False)


class Hidden(Line):
    """An input for a secret, neither shown nor copied."""

    def __init__(self, id: str) -> None:
        super().__init__(password=True, id=id)

    def action_copy(self) -> None:
        """Never copy a secret to the clipboard."""

    def action_cut(self) -> None:
        """Never copy a secret to the clipboard."""
        self.delete_selection()


class Ask(TextDialog[str]):
    """Asks for a line of text.  Returns it as typed, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *SCROLL,
    ]
    DEFAULT_CSS = """
    Ask Input { margin-top: 1; }
    """

    def __init__(
        self,
        title: str,
        text: str = "",
        value: str = "",
        placeholder: str = "",
        *,
        hidden: bool = False,
        refuse: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Ask for a line.

        Args:
            title: the dialog's title.
            text: an explanation.
            value: the initial value.
            placeholder: shown while the field is empty.
            hidden: the value is a secret: do not show it, and start empty.
            refuse: returns what is wrong with an answer; empty: nothing.
        """
        super().__init__(title, text)
        self._value, self._placeholder = value, sanitize(placeholder)
        self._hidden, self._refuse = hidden, refuse

    def question_widgets(self) -> Iterator[Input | Static]:
        """The field, and an error line below it."""
        if self._hidden:
            yield Hidden(id="field")
        else:
            yield Line(
                self._value, placeholder=self._placeholder, id="field", select_on_focus=False
            )
        yield StatusLine(id="said")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Close with the answer if it is valid."""
        event.stop()
        if why := self._refuse(event.value):
            self.query_one("#said", StatusLine).say(lines(why), "block")
            return
        self.give(event.value)

    @on(Input.Changed)
    def changed(self) -> None:
        """Clear the error, which was about another answer."""
        self.query_one("#said", StatusLine).say("")


class TypeName(Ask):
    """Asks the operator to type a name in full before something irreversible.

    Returns the name; any other input returns None.
    """

    def __init__(self, title: str, text: str, name: str) -> None:
        super().__init__(title, f"{text}\n\nType {name} to do this.", refuse=self._wrong)
        self._wanted = name

    def _wrong(self, text: str) -> str:
        if text.strip() == self._wanted:
            return ""
        return f"Type {sanitize(self._wanted)}, exactly; Esc goes back and nothing is done."


class Pick(TextDialog[str]):
    """Asks for one of several options, each with a description."""

    DEFAULT_CSS = """
    Pick #text { max-height: 25vh; margin-bottom: 1; }
    Pick OptionList { height: auto; max-height: 50vh; border: none; padding: 0; }
    """

    def __init__(
        self, title: str, options: Sequence[tuple[str, str, str]], chosen: str = "", text: str = ""
    ) -> None:
        """Ask for an option.

        Args:
            title: the dialog's title.
            options: for each its value, its title and a description.
            chosen: the option focused at first.
            text: shown above the options.
        """
        super().__init__(title, text)
        self._options, self._chosen = options, chosen

    def question_widgets(self) -> Iterator[OptionList]:
        """The list."""
        yield Options(
            *(
                Option(
                    Content.assemble(
                        Content(sanitize(title)),
                        Content.styled(f"\n    {sanitize(more)}" if more else "", "$text-muted"),
                    )
                )
                for _, title, more in self._options
            )
        )

    def on_mount(self) -> None:
        """Move the cursor to the current choice."""
        names = [name for name, _, _ in self._options]
        options = self.query_one(OptionList)
        if names:
            options.highlighted = names.index(self._chosen) if self._chosen in names else 0
        options.focus()
        # The list has no size to scroll in before the first layout.
        self.call_after_refresh(options.scroll_to_highlight)

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Close with the option."""
        event.stop()
        self.give(self._options[event.option_index][0])
