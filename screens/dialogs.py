"""Small questions above a page."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from screens.frame import Said
from screens.page import Dialog


class Confirm(Dialog[bool]):
    """Yes or no; the focus is on no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,right,up,down", "other", "Choose", show=False),
    ]
    DEFAULT_CSS = """
    Confirm #buttons { height: auto; align-horizontal: right; margin-top: 1; }
    Confirm Button { margin-left: 2; }
    """

    def __init__(self, title: str, text: str, yes: str, no: str = "No, stay") -> None:
        super().__init__(title)
        self._text, self._yes, self._no = text, yes, no

    def content(self) -> ComposeResult:
        """The text and two buttons."""
        with VerticalScroll(id="answer", can_focus=False):
            yield Static(self._text, markup=False)
        with Horizontal(id="buttons"):
            yield Button(self._no, id="no", compact=True)
            yield Button(self._yes, id="yes", compact=True)

    def on_mount(self) -> None:
        """The safe choice first."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """Give the answer."""
        self.dismiss(event.button.id == "yes")

    def action_other(self) -> None:
        """To the other button."""
        self.focus_next(Button)

    def action_close(self) -> None:
        """Esc means no."""
        self.dismiss(False)


class Ask(Dialog[str]):
    """One line of text.  Given as it was typed, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "OK", show=True)]
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
            hidden: for a secret: what is typed is not shown.
            refuse: what is wrong with an answer; empty: nothing.
        """
        super().__init__(title)
        self._text, self._value, self._placeholder = text, value, placeholder
        self._hidden, self._refuse = hidden, refuse

    def content(self) -> ComposeResult:
        """The text, the field, and what is wrong with what is in it."""
        if self._text:
            yield Static(self._text, markup=False)
        yield Input(self._value, placeholder=self._placeholder, password=self._hidden, id="text")
        yield Said(id="said")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Give the answer, if it will do."""
        event.stop()
        if why := self._refuse(event.value):
            self.query_one(Said).say(why, "block")
            return
        self.dismiss(event.value)

    async def action_submit(self) -> None:
        """As Enter in the field."""
        await self.query_one(Input).action_submit()


class Pick(Dialog[str]):
    """One of several, each with a line that says more."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Choose")]
    DEFAULT_CSS = """
    Pick OptionList { height: auto; max-height: 16; border: none; padding: 0; }
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
        super().__init__(title)
        self._options, self._chosen, self._text = options, chosen, text

    def content(self) -> ComposeResult:
        """The list."""
        if self._text:
            yield Static(self._text, markup=False)
        yield OptionList(*(
            Option(Content.assemble(
                Content(title), Content.styled(f"\n    {more}" if more else "", "$text-muted")
            ))
            for _, title, more in self._options
        ))  # fmt: skip

    def on_mount(self) -> None:
        """To the one that is chosen now."""
        names = [name for name, _, _ in self._options]
        if self._chosen in names:
            self.query_one(OptionList).highlighted = names.index(self._chosen)

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Give it."""
        event.stop()
        self.dismiss(self._options[event.option_index][0])

    def action_select(self) -> None:
        """As Enter in the list."""
        self.query_one(OptionList).action_select()
