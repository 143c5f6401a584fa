"""From a choice on the first page to a draft."""

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
from fedwiz.runs.unfinished import InterruptedRun
from fedwiz.wizard.draft import Draft, kept
from fedwiz.wizard.start import begin_practice, from_file, new, resuming, verifying
from screens.dialogs.basic import SCROLL, Line, Pick, TextDialog, lines
from screens.pages.runs import Runs
from screens.pages.welcome import GoalChosen
from screens.widgets.frame import PAGE_TITLES, StatusLine
from screens.widgets.signs import finding

if TYPE_CHECKING:
    from screens.wizard import Wizard

GO_ON = "go on"
"""No fault is called so."""


class PathLine(Line):
    """A field for a path."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "Open")]


class OpenFile(TextDialog[Draft]):
    """Asks for an answer file; what is wrong with one is said in full."""

    BINDINGS: ClassVar[list[BindingType]] = [*SCROLL]
    DEFAULT_CSS = """
    OpenFile Input { margin-top: 1; }
    OpenFile #refusals { height: auto; max-height: 45vh; }
    """

    def __init__(self) -> None:
        super().__init__("Open an answer file", "Its path; ~ is your home folder.")

    def content(self) -> ComposeResult:
        """The field, and below it what is wrong with the file."""
        yield Static(self._text, markup=False)
        yield PathLine(placeholder="answers.toml", id="field", select_on_focus=False)
        with VerticalScroll(id="refusals", can_focus=False):
            yield Static("")
        yield StatusLine(id="said")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Open it, off the loop."""
        event.stop()
        self.run_worker(self._open(event.value.strip()), group="open", exclusive=True)

    @on(Input.Changed)
    def changed(self) -> None:
        """What was said of another file is void."""
        self._tell(Content(""), "")

    async def _open(self, path: str) -> None:
        if not path:
            self._tell(Content(""), "give the path of an answer file, such as ~/answers.toml")
            return
        try:
            draft = await asyncio.to_thread(from_file, path)
        except AnswersError as refused:
            wrong = [finding("block", key, lines(text)) for key, text in refused.why.items()]
            count = len(wrong)
            many = "one thing" if count == 1 else f"{count} things"
            self._tell(
                Content("\n").join(wrong), f"{many} to be put right first; up and down scroll"
            )
        else:
            self.give(draft)

    def _tell(self, wrong: Content, said: str) -> None:
        box = self.query_one("#refusals", VerticalScroll)
        box.query_one(Static).update(wrong)
        box.scroll_home(animate=False)
        self.query_one("#said", StatusLine).say(said, "block" if said else "")

    def action_scroll(self, rows: int) -> None:
        """Move what is wrong."""
        self.query_one("#refusals").scroll_relative(y=rows, animate=False)


async def begun(app: "Wizard", choice: GoalChosen) -> Draft | None:
    """The draft that a choice begins; None: the operator thought better of it."""
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
            return await _resumed(app, choice.before)
        case "runs":
            draft = await app.push_screen_wait(Runs())
    if draft is None or draft.practice or draft.goal == "look":
        return draft
    return await _replacing(app, draft, "Begin anew")


async def _resumed(app: "Wizard", before: InterruptedRun | None) -> Draft | None:
    """The draft that goes on with a run, which the page Install then does."""
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
        chosen = await _replacing(app, draft, f"Go on with {before.name}")
    app.resuming = before if chosen is draft else None
    return chosen


async def _replacing(app: "Wizard", draft: Draft, title: str) -> Draft | None:
    """The draft, if it may take the place of the one that is kept; else that one, or none.

    Args:
        app: the wizard.
        draft: the new one.
        title: of what it is for.
    """
    before = await asyncio.to_thread(kept)
    if before is None or not at_stake(before, draft):
        return draft
    options = [
        (GO_ON, f"Go on where you were: {PAGE_TITLES[before.page]}", _about(before)),
        ("anew", title, "What you said then is forgotten."),
    ]
    text = "What you said before is kept, and only one such can be."
    chosen = await app.push_screen_wait(Pick("Go on, or begin anew?", options, text=text))
    return {GO_ON: before, "anew": draft}.get(chosen or "")


async def _practice(app: "Wizard") -> Draft | None:
    """A practice cluster: the one that is kept, or one with the fault that is chosen."""
    before = await asyncio.to_thread(_kept_practice)
    options = [("healthy", "healthy", "All is well.")]
    options += [(name, name, fault.help) for name, fault in practice.FAULTS.items()]
    if before is not None:
        title = f"Go on where you were: {PAGE_TITLES[before.page]}"
        options.insert(0, (GO_ON, title, f"{before.practice}: {_about(before)}"))
    fault = await app.push_screen_wait(
        Pick("Practice cluster", options, text="What is wrong with it?")
    )
    if fault == GO_ON:
        return before
    return begin_practice(Draft(page="hosts", practice=fault)) if fault else None


def _kept_practice() -> Draft | None:
    """The practice draft that is kept, whatever its fault."""
    found = (kept(name) for name in ("healthy", *practice.FAULTS))
    return next((it for it in found if it is not None and it.candidates), None)


def at_stake(before: Draft, draft: Draft) -> bool:
    """Whether the operator would miss what was said before, if this draft took its place."""
    if draft.run and before.run == draft.run:
        return False
    fresh = verifying() if before.goal == "verify" else new()
    return bool(before.candidates or before.typed or before.file or before.said != fresh.said)


def _about(draft: Draft) -> str:
    """What tells it from others."""
    count = len(draft.chosen)
    hosts = "1 host" if count == 1 else f"{count} hosts"
    goal = "verify " if draft.goal == "verify" else ""
    return f"{goal}{draft.name or 'no name yet'}, {hosts} chosen"
