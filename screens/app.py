"""The wizard: one app that walks its pages and keeps what is said on them."""

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

from fedwiz.runs.unfinished import interrupted_run
from fedwiz.util import files
from screens.dialogs.dialog import Help
from screens.lazy import Begin, drafted, load, mistake
from screens.pages.welcome import WelcomePage
from screens.themes import DARK, LIGHT
from screens.widgets.frame import PAGE_TITLES, beside, too_small
from screens.wizard import Wizard

if TYPE_CHECKING:
    from fedwiz.model.events import Record
    from fedwiz.wizard.draft import Draft


@dataclass(frozen=True)
class Play:
    """A recorded run that is to be told again, and nothing else."""

    records: Path | Sequence[Record]
    speed: float = 1.0
    """So many times as fast as it went; 0: all at once."""


_TEXTUAL_S = ("app.focus_next", "app.focus_previous", "screen.copy_text")
"""Actions of every Textual screen, which need no mention."""

AT_ANY_SIZE = frozenset({"ctrl+c", "ctrl+q"})
"""Keys that count also where the terminal is too small to show what they do."""


class Fedwiz(Wizard):
    """The wizard.  Gives the exit code of the last install or verification."""

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
        """Nothing is loaded yet.

        Args:
            begin: makes the draft to begin with; without one the first page asks.
            play: show this run in place of all pages.
        """
        super().__init__()
        self._begin, self._play = begin, play
        self.refused: Exception | None = None
        """Why there was nothing to begin with; for whoever started the app."""

    def compose(self) -> ComposeResult:
        """What is there until a page can be."""
        yield Static("fedwiz\nloading", id="loading")

    def on_mount(self) -> None:
        """Show something at once, and load the rest while it is there."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.animation_level = "none"
        self.run_worker(self._walk(), group="walk")

    # From page to page.

    async def _walk(self) -> None:
        """Walk until the operator leaves."""
        if self._play is not None:
            await self._replay(self._play)
            return
        if self._begin is not None:
            made = await asyncio.to_thread(drafted, self._begin)
            if isinstance(made, Exception):
                self._refuse(made)
                return
            self.draft = made
        while self.return_code is None:  # until somebody has said `exit`
            if self.draft is None:
                await self._first()
            else:
                await self._page(self.draft)

    async def _replay(self, play: Play) -> None:
        """Show a recorded run, and nothing else."""
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
        """Ask what is to be done; load all pages in the meantime."""
        left = await asyncio.to_thread(interrupted_run)
        self._loaded()
        page = WelcomePage(left)
        self.run_worker(load("screens.pages.flow"), group="load")
        choice = await self.push_screen_wait(page)
        begun = (await load("screens.pages.start")).begun
        self.draft = await begun(self, choice)
        if self.draft is not None:
            self.keep(self.draft)

    async def _page(self, draft: Draft) -> None:
        """Show the draft's page, and go where it leads."""
        flow = await load("screens.pages.flow")
        if self.site is None:
            self.site = flow.inventory(draft)
            self.site.ask = self.ask_secret
        self._loaded()
        move = await self.push_screen_wait(flow.FLOW[draft.page](draft, self.site))
        draft = self.draft or draft
        if move == "quit":
            self.exit(self.code)
            return
        page = "" if move == "first" else beside(draft.page, move, draft.goal, draft.stops)
        if page:
            self.keep(replace(draft, page=page))
        else:
            self.draft = self.site = self.state = None

    def _refuse(self, why: Exception) -> None:
        """End: there is nothing to begin with."""
        self.refused = why
        self.exit(2)

    def _loaded(self) -> None:
        """A page takes the place of what was there while it was loaded."""
        self.screen_stack[0].query("#loading").remove()

    # What every page can do.

    async def on_event(self, event: events.Event) -> None:
        """Let no key through to a page that can't be seen."""
        hidden = too_small(*self.size)
        if isinstance(event, events.Key) and hidden and event.key not in AT_ANY_SIZE:
            return
        await super().on_event(event)

    def _fatal_error(self) -> None:
        """A mistake of ours is told without what variables held: a password may be among it."""
        self._exit_renderables.append(mistake(self.console))
        self._close_messages_no_wait()

    async def ask_secret(self, question: str) -> str | None:
        """Ask for a password; None: the operator gives none."""
        from screens.dialogs.basic import Ask

        return await self.push_screen_wait(
            Ask(question, "It is kept in memory only, until you leave.", hidden=True)
        )

    def action_help(self) -> None:
        """What this page is for, and its keys."""
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
        """As it stands on the keyboard: F2, not f2."""
        shown = super().get_key_display(binding)
        return shown.upper() if re.fullmatch(r"f\d+", shown) else shown

    def _bindings_of(self, page: Screen[Any]) -> Iterator[Binding]:
        """The bindings that mean something on this page, each action once."""
        said = set[str]()
        for node, binding, enabled, _ in page.active_bindings.values():
            ours = (node is page or node is self) and binding.action not in _TEXTUAL_S
            if ours and enabled and binding.description and binding.action not in said:
                said.add(binding.action)
                yield binding

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action that has a key, for the command palette."""
        nodes = {id(it.binding): it.node for it in screen.active_bindings.values()}
        for binding in self._bindings_of(screen):
            if binding.action == "command_palette":
                continue
            act = partial(self.run_action, binding.action, nodes.get(id(binding), screen))
            key = self.get_key_display(binding)
            yield SystemCommand(binding.description, binding.tooltip or f"Key: {key}", act)

    def action_turn_theme(self) -> None:
        """Between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_save_all(self) -> None:
        """Save what is on the screen, and the report of what was done or proven."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        page = getattr(self.screen, "STEP", "") or "fedwiz"
        saved = {f"{stamp}-{page}.svg": self.export_screenshot()}
        if self.state is not None:
            from fedwiz import report

            saved[f"{stamp}-report.md"] = report.markdown(self.state)
        self.run_worker(self._save(user_state_path("fedwiz") / "saved", saved), group="save")

    async def _save(self, place: Path, saved: Mapping[str, str]) -> None:
        """Write texts into files of a folder, and say where."""
        try:
            for name, text in saved.items():
                await asyncio.to_thread(files.write, place / name, text)
        except OSError as wrong:
            self.notify(f"Not saved: {place}: {wrong.strerror}", severity="error", markup=False)
            return
        self.notify(f"Saved in {place}: {', '.join(saved)}", markup=False)

    def action_leave(self) -> None:
        """Leave, after a question."""
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
            await self.push_screen_wait(Help("The install goes on", text, []))
            return
        text = "What you said is kept: `fedwiz` goes on from here."
        if await self.push_screen_wait(Confirm("Leave fedwiz?", text, "Yes, leave")):
            self.exit(self.code)

    def action_interrupt(self) -> None:
        """Stop what runs; where nothing does, ask whether to leave."""
        if self.stop is not None:
            self.ask_to_stop()
        else:
            self.action_leave()


def run(begin: Begin | None = None) -> int:
    """The wizard, until the operator leaves it; gives the exit code.

    Raises:
        Refused: what it is to begin with can't be used.
    """
    return _ended(Fedwiz(begin))


def replay(records: Path | Sequence[Record], speed: float = 1.0) -> int:
    """Show a recorded run on the page Install, until the operator leaves it.

    Args:
        records: of the run, or where its journal is.
        speed: so many times as fast as it went; 0: all at once.

    Raises:
        ValueError: the journal can't be read.
    """
    return _ended(Fedwiz(play=Play(records, speed)))


def _ended(app: Fedwiz) -> int:
    code = app.run()
    if app.refused is not None:
        raise app.refused
    return (app.return_code or 0) if code is None else code
