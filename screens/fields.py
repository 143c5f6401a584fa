"""Forms that know no question by name: they are made from the questions' declarations."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Checkbox, Input, Select, Static

from fedwiz.answers import QUESTIONS, Question
from fedwiz.clean import clean
from fedwiz.draft import Draft
from fedwiz.questions import as_text, from_text
from screens.frame import Said
from screens.page import Dialog


def asked(section: str, backend: str = "", but: Iterable[str] = ()) -> tuple[Question, ...]:
    """A section's questions, of the backend's own those of this one only.

    Args:
        section: as in the answer file.
        backend: the one that is chosen.
        but: paths that are asked elsewhere.
    """
    left_out = set(but)
    return tuple(
        it
        for it in QUESTIONS
        if it.path.startswith(f"{section}.") and it.path not in left_out
        and it.backend in ("", backend)
    )  # fmt: skip


class Field(Vertical):
    """One question: its title, a field, its help, and what is wrong with the answer."""

    DEFAULT_CSS = """
    Field { height: auto; margin-bottom: 1; }
    Field .help { color: $text-muted; }
    Field Checkbox { border: none; padding: 0; background: $surface; }
    Field Said { padding: 0; }
    """

    class Changed(Message):
        """Another answer stands in the field."""

        def __init__(self, path: str, value: object) -> None:
            super().__init__()
            self.path = path
            self.value = value
            """One of TOML's types; None: the default."""

    def __init__(self, question: Question, value: object) -> None:
        super().__init__()
        self.question = question
        self._value = value

    def compose(self) -> ComposeResult:
        """As the kind of the question wants it."""
        it, value = self.question, self._value
        if it.kind == "flag":
            ticked = value if isinstance(value, bool) else bool(it.default)
            yield Checkbox(it.title, ticked, compact=True)
        else:
            yield Static(it.title, markup=False)
        if it.kind == "choice":
            choices = [(choice, choice) for choice in it.choices]
            now = value if value in it.choices else it.default
            yield Select(choices, value=now, allow_blank=False, compact=True)
        elif it.kind != "flag":
            sample = f"such as {it.sample}" if it.sample else ""
            shown = as_text(it.default) if it.default else sample
            yield Input(as_text(value), placeholder=shown, compact=True)
        if it.help:
            yield Static(it.help, classes="help", markup=False)
        yield Said()

    def refuse(self, why: str) -> None:
        """Say what is wrong; empty: nothing is."""
        self.query_one(Said).say(clean(why), "block" if why else "")
        self.query_one(Said).display = bool(why)

    @on(Input.Changed)
    def typed(self, event: Input.Changed) -> None:
        """Tell the answer."""
        event.stop()
        self.post_message(self.Changed(self.question.path, from_text(self.question, event.value)))

    @on(Checkbox.Changed)
    def ticked(self, event: Checkbox.Changed) -> None:
        """Tell the answer."""
        event.stop()
        value = None if event.value == self.question.default else event.value
        self.post_message(self.Changed(self.question.path, value))

    @on(Select.Changed)
    def selected(self, event: Select.Changed) -> None:
        """Tell the answer."""
        event.stop()
        value = None if event.value == self.question.default else event.value
        self.post_message(self.Changed(self.question.path, value))


class Fields(VerticalScroll):
    """Several questions, one below the other."""

    DEFAULT_CSS = """
    Fields { height: auto; max-height: 100%; }
    """

    def __init__(self, questions: Iterable[Question], draft: Draft) -> None:
        super().__init__(can_focus=False)
        self._questions, self._draft = tuple(questions), draft

    def compose(self) -> ComposeResult:
        """A field for each."""
        for question in self._questions:
            yield Field(question, self._draft.get(question.path))

    def refuse(self, why: Mapping[str, str]) -> None:
        """Say under each field what is wrong with it, by the path of its question."""
        for field in self.query(Field):
            field.refuse(why.get(field.question.path, ""))


class Form(Dialog[Draft]):
    """The questions of a section, above a page.  Gives the draft with the answers."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n,enter", "accept", "Accept", key_display="^n"),
    ]
    DEFAULT_CSS = """
    Form > #dialog { height: 90%; }
    Form Fields { height: 1fr; }
    """

    def __init__(self, title: str, questions: Iterable[Question], draft: Draft) -> None:
        super().__init__(title)
        self._questions, self._draft = tuple(questions), draft

    def content(self) -> ComposeResult:
        """The fields."""
        yield Fields(self._questions, self._draft)
        yield Said(id="said")

    def on_mount(self) -> None:
        """Judge what stands there already."""
        self._judge()

    @on(Field.Changed)
    def changed(self, event: Field.Changed) -> None:
        """Take an answer, and judge it."""
        self._draft = self._draft.put(event.path, event.value)
        self._judge()

    def _judge(self) -> dict[str, str]:
        paths = {it.path for it in self._questions}
        why = {key: text for key, text in self._draft.refusals().items() if key in paths}
        self.query_one(Fields).refuse(why)
        return why

    def action_accept(self) -> None:
        """Give the answers, if they will do."""
        if why := self._judge():
            self.query_one("#said", Said).say(f"{len(why)} to be put right first", "block")
            return
        self.dismiss(self._draft)
