"""The wizard app: shows one page after the other and saves the draft."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from platformdirs import user_state_path
from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from fedwiz.runs.interrupted import interrupted_run
from fedwiz.util import files
from screens.dialogs.dialog import Help
from screens.lazy import Begin, drafted, load, mistake
from screens.pages.welcome import WelcomePage
from screens.themes import DARK, LIGHT
from screens.widgets.frame import PAGE_TITLES, page_after, too_small
from screens.wizard import Wizard

if TYPE_CHECKING:
    from fedwiz.model.events import Record
    from fedwiz.wizard.draft import Draft


@dataclass(frozen=True)
class Play:
    """A recorded run to play back instead of the wizard's pages."""

    records: Path | Sequence[Record]
    speed: float = 1.0
    """Playback speed as a multiple of the original; 0: all at once."""


_TEXTUAL_S = ("app.focus_next", "app.focus_previous", "screen.copy_text")
"""Actions that Textual gives every screen; the help and the palette leave them out."""

AT_ANY_SIZE = frozenset({"ctrl+c", "ctrl+q"})
"""Keys that work even if the terminal is too small to show a page."""


class Fedwiz(Wizard):
    """The wizard.  Its exit code is that of the last install or verification."""

    TITLE = "fedwiz"
    CSS_PATH = "fedwiz.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,question_mark", "help", "Help", key_display="F1"),
        Binding("ctrl+p", "command_palette", "All actions", show=False, priority=True),
        Binding(
            "ctrl+s", "save_all", "Save a screenshot and the report", show=False, priority=True
        ),
        Binding("ctrl+t", "turn_theme", "Dark or light", show=False),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
        Binding("ctrl+c", "interrupt", "Stop what runs, or quit", show=False, priority=True),
    ]

    def __init__(self, begin: Begin | None = None, play: Play | None = None) -> None:
        """Create the app without loading anything heavy.

        Args:
            begin: makes the draft to start with; without one the first page asks.
            play: a recorded run to show instead of all pages.
        """
        super().__init__()
        self._begin, self._play = begin, play
        self.refused: Exception | None = None
        """Why there is no draft to start with; `run` raises it after the app has ended."""

    def compose(self) -> ComposeResult:
        """A placeholder until the first page is ready."""
        yield Static("fedwiz\nloading", id="loading")

    def on_mount(self) -> None:
        """Show the placeholder at once and load the rest in the background."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.animation_level = "none"
        self.run_worker(self._walk(), group="walk")

    # Navigation.

    async def _walk(self) -> None:
        """Show pages until the operator leaves."""
        if self._play is not None:
            await self._replay(self._play)
            return
        if self._begin is not None:
            made = await asyncio.to_thread(drafted, self._begin)
            if isinstance(made, Exception):
                self._refuse(made)
                return
            self.draft = made
        while self.return_code is None:  # set by `exit`
            if self.draft is None:
                await self._first()
            else:
                await self._page(self.draft)

    async def _replay(self, play: Play) -> None:
        """Show a recorded run and nothing else."""
        flow = await load("screens.pages.replay")
        try:
            page = await asyncio.to_thread(flow.page, play.records, play.speed)
        except ValueError as wrong:
            self._refuse(wrong)
        else:
            self._loaded()
            await self.push_screen_wait(page)
            self.exit(0)

    async def _first(self) -> None:
        """Ask for a goal, and load all other pages meanwhile."""
        interrupted = await asyncio.to_thread(interrupted_run)
        self._loaded()
        page = WelcomePage(interrupted)
        self.run_worker(load("screens.pages.flow"), group="load")
        choice = await self.push_screen_wait(page)
        draft_for = (await load("screens.pages.start")).draft_for
        self.draft = await draft_for(self, choice)
        if self.draft is not None:
            self.keep(self.draft)

    async def _page(self, draft: Draft) -> None:
        """Show the draft's page, then follow its move."""
        flow = await load("screens.pages.flow")
        if self.inventory is None:
            self.inventory = flow.inventory(draft)
            self.inventory.ask = self.ask_secret
            self.inventory.tell = self.warn
        self._loaded()
        move = await self.push_screen_wait(flow.FLOW[draft.page](draft, self.inventory))
        draft = self.draft or draft
        if move == "quit":
            self.exit(self.code)
            return
        page = "" if move == "first" else page_after(draft.page, move, draft.goal, draft.stops)
        if page:
            self.keep(replace(draft, page=page))
        else:
            self.draft = self.inventory = self.state = None

    def _refuse(self, why: Exception) -> None:
        """Exit, because there is no draft to start with."""
        self.refused = why
        self.exit(2)

    def _loaded(self) -> None:
        """Remove the placeholder now that a page is ready."""
        self.screen_stack[0].query("#loading").remove()

    # Actions of every page.

    async def on_event(self, event: events.Event) -> None:
        """Drop keys while the terminal is too small to show the page."""
        hidden = too_small(*self.size)
        if isinstance(event, events.Key) and hidden and event.key not in AT_ANY_SIZE:
            return
        await super().on_event(event)

    def _fatal_error(self) -> None:
        """Print a crash without local variables: they may contain a password."""
        self._exit_renderables.append(mistake(self.console))
        self._close_messages_no_wait()

    async def ask_secret(self, question: str) -> str | None:
        """Ask for a password; None: the operator cancelled."""
        from screens.dialogs.basic import Ask

        return await self.push_screen_wait(
            Ask(question, "It is kept in memory only, until you leave.", hidden=True)
        )

    def warn(self, sentence: str) -> None:
        """Say something that concerns no host alone."""
        self.notify(sentence, severity="warning", markup=False)

    def action_help(self) -> None:
        """Show what this page is for, and its keys."""
        page = self.screen
        if isinstance(page, Help):
            return
        title = PAGE_TITLES.get(getattr(page, "STEP", ""), "fedwiz")
        keys = [
            (self.get_key_display(it), it.tooltip or it.description)
            for it in self._bindings_of(page)
        ]
        self.push_screen(Help(title, page.HELP or "", keys))

    def get_key_display(self, binding: Binding) -> str:
        """Show keys as printed on the keyboard: F2, not f2."""
        shown = super().get_key_display(binding)
        return shown.upper() if re.fullmatch(r"f\d+", shown) else shown

    def _bindings_of(self, page: Screen[Any]) -> Iterator[Binding]:
        """The active bindings of this page, one per action."""
        actions = set[str]()
        for node, binding, enabled, _ in page.active_bindings.values():
            ours = (node is page or node is self) and binding.action not in _TEXTUAL_S
            if ours and enabled and binding.description and binding.action not in actions:
                actions.add(binding.action)
                yield binding

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer every action that has a key in the command palette."""
        nodes = {id(it.binding): it.node for it in screen.active_bindings.values()}
        for binding in self._bindings_of(screen):
            if binding.action == "command_palette":
                continue
            act = partial(self.run_action, binding.action, nodes.get(id(binding), screen))
            key = self.get_key_display(binding)
            yield SystemCommand(binding.description, binding.tooltip or f"Key: {key}", act)

    def action_turn_theme(self) -> None:
        """Toggle between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_save_all(self) -> None:
        """Save a screenshot, and the report of the last run."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        page = getattr(self.screen, "STEP", "") or "fedwiz"
        saved = {f"{stamp}-{page}.svg": self.export_screenshot()}
        if self.state is not None:
            from fedwiz import report

            saved[f"{stamp}-report.md"] = report.markdown(self.state)
        self.run_worker(self._save(user_state_path("fedwiz") / "saved", saved), group="save")

    async def _save(self, folder: Path, texts: Mapping[str, str]) -> None:
        """Write texts to files in a folder and show where they are."""
        try:
            for name, text in texts.items():
                await asyncio.to_thread(files.write, folder / name, text)
        except OSError as wrong:
            self.notify(f"Not saved: {folder}: {wrong.strerror}", severity="error", markup=False)
            return
        self.notify(f"Saved in {folder}: {', '.join(texts)}", markup=False)

    def action_leave(self) -> None:
        """Leave after a confirmation."""
        self.run_worker(self._leave(), group="leave", exclusive=True)

    async def _leave(self) -> None:
        from screens.dialogs.basic import Confirm

        if isinstance(self.screen, Confirm):
            return
        if self._play is not None:
            self.exit(0)
            return
        if self.stop is not None:
            text = (
                "An install is running.  Ctrl+C lets what runs end and begins nothing new; "
                "leave when it has stopped."
            )
            await self.push_screen_wait(Help("The install is running", text, []))
            return
        text = "Your answers are saved: `fedwiz` continues from here."
        if await self.push_screen_wait(Confirm("Leave fedwiz?", text, "Yes, leave")):
            self.exit(self.code)

    def action_interrupt(self) -> None:
        """Stop the current run; if there is none, ask whether to leave."""
        if self.stop is not None:
            self.ask_to_stop()
        else:
            self.action_leave()


def run(begin: Begin | None = None) -> int:
    """Run the wizard until the operator leaves it; returns the exit code.

    Raises:
        AnswersError: the draft to start with is invalid.
    """
    return _ended(Fedwiz(begin))


def replay(records: Path | Sequence[Record], speed: float = 1.0) -> int:
    """Play back a recorded run on the install page until the operator leaves it.

    Args:
        records: the run's records, or the path of its journal.
        speed: as a multiple of the original; 0: all at once.

    Raises:
        ValueError: the journal can't be read.
    """
    return _ended(Fedwiz(play=Play(records, speed)))


def _ended(app: Fedwiz) -> int:
    code = app.run()
    if app.refused is not None:
        raise app.refused
    return (app.return_code or 0) if code is None else code
