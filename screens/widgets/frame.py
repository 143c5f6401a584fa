"""The frame of every page: title, list of steps, status line and keys."""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

PAGE_TITLES = {
    "hosts": "Hosts",
    "network": "Network",
    "backend": "Backend",
    "interfaces": "Interfaces",
    "review": "Review",
    "install": "Install",
    "verify": "Verify",
}
"""The pages in order, with their titles."""


def page_after(page: str, move: str, goal: str, stops: Sequence[str]) -> str:
    """The page that a move leads to; empty: the welcome page.

    Args:
        page: the current page.
        move: `next` leads to the draft's next page, `back` to the previous page of its goal.
        goal: the draft's goal.
        stops: the draft's pages.
    """
    pages = [it for it in PAGE_TITLES if goal == "install" or it in stops]
    here = pages.index(page)
    if move == "back":
        return pages[here - 1] if here else ""
    return next((it for it in pages[here + 1 :] if it in stops), page)


MIN_SIZE = (80, 24)
"""Columns and rows that a page needs."""


class Head(Vertical):
    """Two lines: the page's question with the cluster, then the list of steps."""

    DEFAULT_CSS = """
    Head { height: 3; padding: 0 1; background: $panel; }
    Head Horizontal { height: 1; }
    Head #question { width: 1fr; text-style: bold; }
    Head #cluster { width: auto; color: $text-muted; }
    Head #steps { height: 1; }
    Head #rule { height: 1; color: $panel-darken-3; }
    """

    def __init__(
        self,
        step: str,
        question: str,
        cluster: str = "",
        pages: Collection[str] = tuple(PAGE_TITLES),
    ) -> None:
        """Create the head.

        Args:
            step: the current page.
            question: the page's question.
            cluster: the cluster's name, and whether it is real.
            pages: the pages of the current goal.
        """
        super().__init__()
        self._step, self._question, self._cluster = step, question, cluster
        self._pages = pages

    def compose(self) -> ComposeResult:
        """The two lines."""
        with Horizontal():
            yield Static(self._question, id="question", markup=False)
            yield Static(self._cluster, id="cluster", markup=False)
        yield Static(steps(self._step, self._pages), id="steps")

    def cluster(self, text: str) -> None:
        """Show another cluster."""
        self.query_one("#cluster", Static).update(Content(text))


def steps(now: str, pages: Collection[str] = tuple(PAGE_TITLES)) -> Content:
    """The list of steps, each marked as done, current or to come."""
    parts = list[Content | str]()
    before = now in PAGE_TITLES
    for name, title in PAGE_TITLES.items():
        if name not in pages:
            continue
        if name == now:
            parts.append(Content.styled(f"> {title}", "bold $accent"))
            before = False
        elif before:
            parts.append(Content.styled(f"+ {title}", "$success"))
        else:
            parts.append(Content.styled(f"  {title}", "$text-muted"))
        parts.append("  ")
    return Content.assemble(*parts[:-1])


class Small(Static):
    """Covers a page if the terminal is too small for it."""

    DEFAULT_CSS = """
    Small { layer: over; display: none; width: 100%; height: 100%; background: $background; }
    """
    ALLOW_SELECT: ClassVar[bool] = False

    def render(self) -> Content:
        """The message."""
        width, height = self.app.size
        return Content(
            f"fedwiz needs {MIN_SIZE[0]}x{MIN_SIZE[1]} characters and has {width}x{height}. "
            "Make the terminal larger: nothing is lost."
        )


class KeyBar(Footer):
    """The active keys.  Redrawn only if they change, since the focus moves more often."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._keys: list[tuple[Binding, bool]] = []

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Redraw if other keys are active now."""
        keys = [(it.binding, it.enabled) for it in screen.active_bindings.values()]
        if keys == self._keys or not screen.app.app_focus:
            return
        self._keys = keys
        super().bindings_changed(screen)


class StatusLine(Static):
    """The line above the keys: a hint, or what blocks going on."""

    DEFAULT_CSS = """
    StatusLine { height: auto; max-height: 4; padding: 0 1; color: $text-muted; }
    StatusLine.-warn { color: $text-warning; }
    StatusLine.-block { color: $text-error; }
    StatusLine.-ok { color: $text-success; }
    """

    def say(self, text: str, level: str = "") -> None:
        """Show a sentence with the level `ok`, `warn` or `block`; without a level it is a hint."""
        for each in ("ok", "warn", "block"):
            self.set_class(each == level, f"-{each}")
        sign = {"ok": "+ ", "warn": "! ", "block": "X "}.get(level, "")
        self.update(Content(f"{sign}{text}" if text else ""))


def too_small(width: int, height: int) -> bool:
    """Whether the terminal is too small to show a page."""
    return width < MIN_SIZE[0] or height < MIN_SIZE[1]
