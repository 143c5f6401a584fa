"""A dialog with the questions of a section."""

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from fedwiz.answers.questions import Question
from fedwiz.wizard.draft import Draft
from screens.dialogs.dialog import Dialog
from screens.widgets.form import Field, Fields
from screens.widgets.frame import StatusLine


class Form(Dialog[Draft]):
    """Asks the questions of a section.  Returns a draft with the answers."""

    HELP: ClassVar[str | None] = (
        "Tab or Enter leads to the next field, Shift+Tab back; what is wrong with an answer stands "
        "below it.  An empty field has the answer that it shows in grey.\n\n"
        "Ctrl+N takes the answers, and so does Enter in the last field.  Esc leaves everything "
        "as it was."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "As it was"),
        Binding("ctrl+n", "accept", "Accept"),
        Binding("f1", "app.help", "Help", key_display="F1"),
    ]
    DEFAULT_CSS = """
    Form > #dialog > #questions { height: auto; max-height: 70vh; }
    """

    def __init__(self, title: str, questions: Iterable[Question], draft: Draft) -> None:
        super().__init__(title)
        self._questions, self._draft = tuple(questions), draft

    def content(self) -> ComposeResult:
        """The form fields."""
        with VerticalScroll(id="questions", can_focus=False):
            yield Fields(self._questions, self._draft)
        yield StatusLine(id="said")

    def on_mount(self) -> None:
        """Validate the initial values and focus the first that is wrong."""
        for path in self._judge():
            self.query_one(Fields).to(path)
            return

    @on(Field.Changed)
    def changed(self, event: Field.Changed) -> None:
        """Store an answer and validate it."""
        event.stop()
        self._draft = self._draft.put(event.path, event.value)
        if not self._judge():
            self.query_one("#said", StatusLine).say("")

    def _judge(self) -> dict[str, str]:
        """What is wrong, by path, in the order of the fields."""
        found = self._draft.refusals()
        why = {it.path: found[it.path] for it in self._questions if it.path in found}
        self.query_one(Fields).refuse(why)
        return why

    @on(Fields.Done)
    def action_accept(self) -> None:
        """Close with the answers if they are valid, including a key typed just before."""
        for field in self.query(Field):
            self._draft = self._draft.put(field.question.path, field.value)
        why = self._judge()
        if not why:
            self.dismiss(self._draft)
            return
        many = "one answer" if len(why) == 1 else f"{len(why)} answers"
        self.query_one("#said", StatusLine).say(f"{many} to be corrected first", "block")
        self.query_one(Fields).to(next(iter(why)))
