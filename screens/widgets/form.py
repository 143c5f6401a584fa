"""Forms generated from the declarations of questions; no question is hard-coded."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from fedwiz.answers.file import QUESTIONS, Question
from fedwiz.answers.questions import as_text, from_text
from fedwiz.answers.rules import clip
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard.draft import Draft
from screens.widgets.frame import StatusLine

MAX_ANSWER_CHARS = 4096
"""Longest answer in characters; anything longer was pasted by mistake."""

YES_NO = (("no", False), ("yes", True))


def section_questions(
    section: str, backend: str = "", but: Iterable[str] = ()
) -> tuple[Question, ...]:
    """A section's questions; of those that depend on the backend, only the given backend's.

    Args:
        section: as in the answer file.
        backend: the chosen backend.
        but: paths to leave out because they are asked elsewhere.
    """
    left_out = set(but)
    return tuple(
        it
        for it in QUESTIONS
        if it.path.startswith(f"{section}.")
        and it.path not in left_out
        and it.backend in ("", backend)
    )


def copy_answers(draft: Draft, answers: Draft, questions: Iterable[Question]) -> Draft:
    """Copy the answers to these questions, and nothing else, from one draft to another."""
    for it in questions:
        draft = draft.put(it.path, answers.get(it.path))
    return draft


class ChoiceField(Widget, can_focus=True):
    """Radio buttons on one line: `( ) no  (*) yes`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Choose", key_display="</>"),
        Binding("right", "move(1)", "Choose", show=False),
        Binding("space", "turn", "Choose the next", show=False),
        Binding("enter", "done", "Done", show=False),
    ]
    ALLOW_SELECT: ClassVar[bool] = False
    DEFAULT_CSS = """
    ChoiceField { height: 1; width: 1fr; color: $text-muted; }
    """

    class Changed(Message):
        """Another option was chosen."""

        def __init__(self, value: str | bool) -> None:
            super().__init__()
            self.value = value

    class Submitted(Message):
        """Enter was pressed."""

    def __init__(self, choices: Sequence[tuple[str, str | bool]], value: object) -> None:
        """Create the field.  If no option has the value, none is chosen.

        Args:
            choices: for each its label and its value.
            value: the chosen value.
        """
        super().__init__()
        self._choices = choices
        self._at = next(
            (at for at, (_, it) in enumerate(choices) if type(it) is type(value) and it == value),
            None,
        )

    def render(self) -> Content:
        """The labels with their radio buttons."""
        parts = [
            Content.styled(f"(*) {word}", "bold $primary")
            if at == self._at
            else Content(f"( ) {word}")
            for at, (word, _) in enumerate(self._choices)
        ]
        return Content("   ").join(parts)

    def _choose(self, at: int) -> None:
        if at != self._at:
            self._at = at
            self.refresh()
            self.post_message(self.Changed(self._choices[at][1]))

    def action_move(self, step: int) -> None:
        """Choose the neighbouring option."""
        now = self._at if self._at is not None else -step if step > 0 else len(self._choices)
        self._choose(min(max(now + step, 0), len(self._choices) - 1))

    def action_turn(self) -> None:
        """Choose the next option; after the last comes the first."""
        self._choose(0 if self._at is None else (self._at + 1) % len(self._choices))

    def action_done(self) -> None:
        """Report that Enter was pressed."""
        self.post_message(self.Submitted())

    def on_click(self, event: events.Click) -> None:
        """Choose the option that was clicked."""
        end = -1
        for at, (word, _) in enumerate(self._choices):
            end += len(word) + 7
            if event.x <= end:
                self._choose(at)
                return


class Field(Vertical):
    """One question: title, input, help and error."""

    DEFAULT_CSS = """
    Field { height: auto; margin-bottom: 1; padding-left: 1; border-left: blank; }
    Field:focus-within { border-left: outer $primary; }
    Field Input { background: $panel; }
    Field .help { color: $text-muted; }
    Field StatusLine { padding: 0; display: none; }
    """

    class Changed(Message):
        """The answer has changed."""

        def __init__(self, path: str, value: object) -> None:
            super().__init__()
            self.path = path
            self.value = value
            """A TOML value; None: the default."""

    class Done(Message):
        """Enter was pressed in the field."""

        def __init__(self, field: "Field") -> None:
            super().__init__()
            self.field = field

    def __init__(self, question: Question, value: object) -> None:
        super().__init__()
        self.question = question
        self._value = value
        self.why = ""
        """What is wrong with the answer; empty: nothing."""

    def compose(self) -> ComposeResult:
        """The title, an input that suits the question's kind, the help and the error."""
        it, value = self.question, self._value
        yield Static(it.title, markup=False)
        now = it.default if value is None else value
        if it.kind == "flag":
            yield ChoiceField(YES_NO, now)
        elif it.kind == "choice":
            yield ChoiceField([(choice, choice) for choice in it.choices], now)
        else:
            sample = f"such as {it.sample}" if it.sample else ""
            shown = as_text(it.default) if it.default not in (None, "", ()) else sample
            yield Input(
                typed(value),
                placeholder=shown,
                compact=True,
                max_length=MAX_ANSWER_CHARS,
                select_on_focus=False,
            )
        more = 'Blanks between them; "" for none.' if it.kind == "list" and it.default else ""
        if help_text := f"{it.help}  {more}".strip():
            yield Static(help_text, classes="help", markup=False)
        yield StatusLine()

    @property
    def control(self) -> Widget:
        """The widget that takes the focus."""
        return self.query_one("Input, ChoiceField")

    @property
    def value(self) -> object:
        """The answer in the input right now, even if its Changed message is still queued."""
        at = self.control
        return from_text(self.question, at.value) if isinstance(at, Input) else self._value

    def refuse(self, why: str) -> None:
        """Show what is wrong; empty: nothing."""
        why = refusal(self.question, self._value, why)
        if why == self.why:
            return
        self.why = why
        line = self.query_one(StatusLine)
        line.say(why, "block" if why else "")
        line.display = bool(why)
        if why and self.has_focus_within:
            self.scroll_visible(animate=False)

    def _post_changed(self, value: object) -> None:
        if type(value) is not type(self._value) or value != self._value:
            self._value = value
            self.post_message(self.Changed(self.question.path, value))

    def on_descendant_focus(self) -> None:
        """Scroll the whole question into view, not only its input."""
        self.scroll_visible(animate=False)

    @on(Input.Changed)
    def typed_in(self, event: Input.Changed) -> None:
        """Report the answer; initially the shown value, since a file may have quoted a number."""
        event.stop()
        self._post_changed(from_text(self.question, event.value))

    @on(ChoiceField.Changed)
    def chosen(self, event: ChoiceField.Changed) -> None:
        """Report the answer."""
        event.stop()
        self._post_changed(None if event.value == self.question.default else event.value)

    @on(Input.Submitted)
    @on(ChoiceField.Submitted)
    def submitted(self, event: Message) -> None:
        """Report that Enter was pressed."""
        event.stop()
        self.post_message(self.Done(self))


def typed(value: object) -> str:
    """An answer as one types it; an empty list differs from no answer."""
    return '""' if isinstance(value, (list, tuple)) and not value else as_text(value)


def refusal(it: Question, value: object, why: str) -> str:
    """The error to show below a field; empty: nothing is wrong.

    Args:
        it: the question.
        value: its answer; None: the default.
        why: what the answers' own validation says, which knows nothing of forms.
    """
    if it.kind == "number" and isinstance(value, str):
        right = it.default if it.default is not None else it.sample
        why = f"{clip(value)} is not a number; write one such as {right}"
    elif it.kind == "list" and isinstance(value, str):
        why = f"{clip(value)}: a quotation mark is left open; close it"
    elif it.kind == "flag" and value is not None and not isinstance(value, bool):
        why = f"{clip(value)} is neither yes nor no; Space chooses"
    return sanitize(why)


class Fields(Vertical):
    """Several questions, one below the other; Enter moves from each to the next."""

    DEFAULT_CSS = """
    Fields { height: auto; }
    """

    class Done(Message):
        """Enter was pressed in the last field."""

    def __init__(self, questions: Iterable[Question], draft: Draft) -> None:
        super().__init__()
        self._questions, self._draft = tuple(questions), draft

    def compose(self) -> ComposeResult:
        """One field per question."""
        for question in self._questions:
            yield Field(question, self._draft.get(question.path))

    def refuse(self, why: Mapping[str, str]) -> None:
        """Show each field's error, by the path of its question."""
        for field in self.query(Field):
            field.refuse(why.get(field.question.path, ""))

    def to(self, path: str) -> None:
        """Focus the field of a question."""
        for field in self.query(Field):
            if field.question.path == path:
                field.control.focus()

    @on(Field.Done)
    def done(self, event: Field.Done) -> None:
        """Focus the next field."""
        event.stop()
        fields = list(self.query(Field))
        after = fields[fields.index(event.field) + 1 :]
        if after:
            after[0].control.focus()
        else:
            self.post_message(self.Done())
