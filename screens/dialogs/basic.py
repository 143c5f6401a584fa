"""Small questions above a page.

Their texts may come from hosts, so each line is cleaned; one that is too long for the terminal
scrolls, and what is asked below it stays in sight.
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
"""Keys that move the text of a dialog whose focus is elsewhere."""


def lines(text: str) -> str:
    """A text of several lines, each made fit for a terminal."""
    return "\n".join(map(sanitize, text.splitlines()))


class TextDialog(Dialog[T]):
    """A dialog with a text above what is asked."""

    DEFAULT_CSS = """
    TextDialog #text { height: auto; max-height: 45vh; }
    """

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__(sanitize(title))
        self._text = lines(text)

    def content(self) -> ComposeResult:
        """The text, then what is asked."""
        if self._text:
            with VerticalScroll(id="text", can_focus=False):
                yield Static(self._text, markup=False)
        yield from self.asked()

    def asked(self) -> Iterator[Static | Input | Horizontal | OptionList]:
        """What is asked."""
        yield from ()

    def give(self, answer: T) -> None:
        """Close with an answer, once: a key that was pressed twice is in here twice."""
        if self.is_current:
            self.dismiss(answer)

    def action_scroll(self, rows: int) -> None:
        """Move the text."""
        for text in self.query("#text"):
            text.scroll_relative(y=rows, animate=False)


# Enter belongs to the widget that has the focus, and is shown among the keys.  Were it the
# dialog's own, with priority, it would overtake keys that were typed just before it.
class Answer(Button):
    """One of a few answers."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "press", "Choose")]


class Line(Input):
    """A field of one line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "OK")]


class Options(OptionList):
    """A list of which one is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Choose")]


class Confirm(TextDialog[bool]):
    """Yes or no; the focus is on no, and Esc means no."""

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

    def asked(self) -> Iterator[Horizontal]:
        """Two buttons."""
        yield Horizontal(
            Answer(Content(sanitize(self._no)), id="no", compact=True),
            Answer(Content(sanitize(self._yes)), id="yes", compact=True),
            id="buttons",
        )

    def on_mount(self) -> None:
        """The safe choice first."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """Give the answer."""
        self.give(event.button.id == "yes")

    def action_other(self) -> None:
        """To the other button."""
        self.focus_next(Button)

    def action_up_or_other(self, rows: int) -> None:
        """Move the text, where it is too long to be seen at once; else to the other button."""
        if any(text.max_scroll_y for text in self.query("#text")):
            self.action_scroll(rows)
        else:
            self.action_other()

    def action_close(self) -> None:
        """Esc means no."""
        self.give(False)


class Hidden(Line):
    """A field for a secret: what is in it can't be seen, nor copied from it."""

    def __init__(self, id: str) -> None:  # noqa: A002 - as the widget's own
        super().__init__(password=True, id=id)

    def action_copy(self) -> None:
        """Not to a clipboard."""

    def action_cut(self) -> None:
        """Not to a clipboard."""
        self.delete_selection()


class Ask(TextDialog[str]):
    """One line of text.  Given as it was typed, or None."""

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
        """Ask.

        Args:
            title: of the dialog.
            text: says more.
            value: stands there already.
            placeholder: shown in an empty field.
            hidden: for a secret: what is typed is not shown, and nothing stands there already.
            refuse: what is wrong with an answer; empty: nothing.
        """
        super().__init__(title, text)
        self._value, self._placeholder = value, sanitize(placeholder)
        self._hidden, self._refuse = hidden, refuse

    def asked(self) -> Iterator[Input | Static]:
        """The field, and what is wrong with what is in it."""
        if self._hidden:
            yield Hidden(id="field")
        else:
            yield Line(
                self._value, placeholder=self._placeholder, id="field", select_on_focus=False
            )
        yield StatusLine(id="said")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Give the answer, if it will do."""
        event.stop()
        if why := self._refuse(event.value):
            self.query_one("#said", StatusLine).say(lines(why), "block")
            return
        self.give(event.value)

    @on(Input.Changed)
    def changed(self) -> None:
        """What was said of another answer is void."""
        self.query_one("#said", StatusLine).say("")


class TypeName(Ask):
    """Asks for a name to be typed, letter by letter, before something that can't be undone.

    Gives the name; anything else is None.
    """

    def __init__(self, title: str, text: str, name: str) -> None:
        super().__init__(title, f"{text}\n\nType {name} to do this.", refuse=self._wrong)
        self._wanted = name

    def _wrong(self, text: str) -> str:
        if text.strip() == self._wanted:
            return ""
        return f"Type {sanitize(self._wanted)}, exactly; Esc goes back and nothing is done."


class Pick(TextDialog[str]):
    """One of several, each with a line that says more."""

    DEFAULT_CSS = """
    Pick #text { max-height: 25vh; margin-bottom: 1; }
    Pick OptionList { height: auto; max-height: 50vh; border: none; padding: 0; }
    """

    def __init__(
        self, title: str, options: Sequence[tuple[str, str, str]], chosen: str = "", text: str = ""
    ) -> None:
        """Ask.

        Args:
            title: of the dialog.
            options: for each: what is given, its title, and a line that says more.
            chosen: where the focus is at first.
            text: above them.
        """
        super().__init__(title, text)
        self._options, self._chosen = options, chosen

    def asked(self) -> Iterator[OptionList]:
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
        """To the one that is chosen now."""
        names = [name for name, _, _ in self._options]
        options = self.query_one(OptionList)
        if names:
            options.highlighted = names.index(self._chosen) if self._chosen in names else 0
        options.focus()
        # Where it is to scroll is known once it has its place.
        self.call_after_refresh(options.scroll_to_highlight)

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Give it."""
        event.stop()
        self.give(self._options[event.option_index][0])
