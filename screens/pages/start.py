"""From a choice on the welcome page to a draft."""

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from fedwiz import practice
from fedwiz.answers.file import AnswersError
from fedwiz.runs.interrupted import InterruptedRun
from fedwiz.util.words import count
from fedwiz.wizard.draft import Draft, load_saved
from fedwiz.wizard.start import begin_practice, from_file, new, resuming, verifying
from screens.dialogs.basic import SCROLL, Line, Pick, TextDialog, lines
from screens.pages.runs import Runs
from screens.pages.welcome import GoalChosen
from screens.widgets.frame import PAGE_TITLES, StatusLine
from screens.widgets.signs import finding

if TYPE_CHECKING:
    from screens.wizard import Wizard

GO_ON = "go on"
"""Key of an option; must not be the name of a fault."""


class PathLine(Line):
    """An input for a path."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "Open")]


class OpenFile(TextDialog[Draft]):
    """Asks for an answer file, and shows everything that is wrong with it."""

    BINDINGS: ClassVar[list[BindingType]] = [*SCROLL]
    DEFAULT_CSS = """
    OpenFile Input { margin-top: 1; }
    OpenFile #refusals { height: auto; max-height: 45vh; }
    """

    def __init__(self) -> None:
        super().__init__("Open an answer file", "Its path; ~ is your home folder.")

    def content(self) -> ComposeResult:
        """The input, and the file's errors below it."""
        yield Static(self._text, markup=False)
        yield PathLine(placeholder="answers.toml", id="field", select_on_focus=False)
        with VerticalScroll(id="refusals", can_focus=False):
            yield Static("")
        yield StatusLine(id="said")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Read the file in a thread."""
        event.stop()
        self.run_worker(self._open(event.value.strip()), group="open", exclusive=True)

    @on(Input.Changed)
    def changed(self) -> None:
        """Clear the errors, which were about another file."""
        self._show_errors(Content(""), "")

    async def _open(self, path: str) -> None:
        if not path:
            self._show_errors(
                Content(""), "give the path of an answer file, such as ~/answers.toml"
            )
            return
        try:
            draft = await asyncio.to_thread(from_file, path)
        except AnswersError as refused:
            wrong = [finding("block", key, lines(text)) for key, text in refused.why.items()]
            many = "one thing" if len(wrong) == 1 else f"{len(wrong)} things"
            self._show_errors(
                Content("\n").join(wrong), f"{many} to be corrected first; up and down scroll"
            )
        else:
            self.give(draft)

    def _show_errors(self, wrong: Content, message: str) -> None:
        box = self.query_one("#refusals", VerticalScroll)
        box.query_one(Static).update(wrong)
        box.scroll_home(animate=False)
        self.query_one("#said", StatusLine).say(message, "block" if message else "")

    def action_scroll(self, rows: int) -> None:
        """Scroll the errors."""
        self.query_one("#refusals").scroll_relative(y=rows, animate=False)


async def draft_for(app: "Wizard", choice: GoalChosen) -> Draft | None:
    """The draft for a choice; None: the operator cancelled."""
    match choice.what:
        case "new":
            draft: Draft | None = new()
        case "verify":
            draft = verifying()
        case "file":
            draft = await app.push_screen_wait(OpenFile())
        case "practice":
            return await _practice(app)
        case "resume":
            return await _resume(app, choice.before)
        case "runs":
            draft = await app.push_screen_wait(Runs())
    if draft is None or draft.practice or draft.goal == "look":
        return draft
    return await _replace_saved(app, draft, "Start over")


async def _resume(app: "Wizard", before: InterruptedRun | None) -> Draft | None:
    """A draft that resumes a run, which the install page then does."""
    if before is None:
        return None
    try:
        draft = await asyncio.to_thread(resuming, before)
    except AnswersError as refused:
        why = "; ".join(refused.why.values())
        app.notify(f"{before.run.id}: {why}", severity="warning", markup=False, timeout=10)
        return None
    chosen: Draft | None = draft
    if draft.goal == "install":
        chosen = await _replace_saved(app, draft, f"Resume {before.name}")
    app.resuming = before if chosen is draft else None
    return chosen


async def _replace_saved(app: "Wizard", draft: Draft, title: str) -> Draft | None:
    """The new draft if it may replace the saved one; else the saved one, or None.

    Args:
        app: the wizard.
        draft: the new draft.
        title: its description.
    """
    before = await asyncio.to_thread(load_saved)
    if before is None or not loses_work(before, draft):
        return draft
    options = [
        (GO_ON, f"Continue where you were: {PAGE_TITLES[before.page]}", _about(before)),
        ("anew", title, "What you said then is forgotten."),
    ]
    text = "What you said before is kept, and only one such can be."
    chosen = await app.push_screen_wait(Pick("Continue, or start over?", options, text=text))
    return {GO_ON: before, "anew": draft}.get(chosen or "")


async def _practice(app: "Wizard") -> Draft | None:
    """A practice cluster: the saved one, or a new one with a chosen fault."""
    before = await asyncio.to_thread(_saved_practice)
    options = [("healthy", "healthy", "All is well.")]
    options += [(name, name, fault.help) for name, fault in practice.FAULTS.items()]
    if before is not None:
        title = f"Continue where you were: {PAGE_TITLES[before.page]}"
        options.insert(0, (GO_ON, title, f"{before.practice}: {_about(before)}"))
    fault = await app.push_screen_wait(
        Pick("Practice cluster", options, text="What is wrong with it?")
    )
    if fault == GO_ON:
        return before
    return begin_practice(Draft(page="hosts", practice=fault)) if fault else None


def _saved_practice() -> Draft | None:
    """The saved practice draft, whatever its fault."""
    found = (load_saved(name) for name in ("healthy", *practice.FAULTS))
    return next((it for it in found if it is not None and it.candidates), None)


def loses_work(before: Draft, draft: Draft) -> bool:
    """Whether replacing the saved draft would lose work."""
    if draft.run and before.run == draft.run:
        return False
    fresh = verifying() if before.goal == "verify" else new()
    return bool(before.candidates or before.typed or before.file or before.said != fresh.said)


def _about(draft: Draft) -> str:
    """A short description of a draft."""
    hosts = count(len(draft.chosen), "host")
    goal = "verify " if draft.goal == "verify" else ""
    return f"{goal}{draft.name or 'no name yet'}, {hosts} chosen"
