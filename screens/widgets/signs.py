"""One sign, one word and one colour for each state, the same on every page.

The signs are of ASCII, as a machine's own console has them; the report uses the same.
"""

from typing import TYPE_CHECKING

from textual.content import Content

from fedwiz.util.sanitize import sanitize

if TYPE_CHECKING:
    from rich.text import Text
    from textual.app import App

SIGNS = {
    "ok": ("+", "success"),
    "pass": ("+", "success"),
    "done": ("+", "success"),
    "warn": ("!", "warning"),
    "unknown": ("?", "warning"),
    "changed": ("X", "error"),
    "block": ("X", "error"),
    "fail": ("X", "error"),
    "failed": ("X", "error"),
    "lost": ("X", "error"),
    "skipped": ("-", "text-muted"),
    "stopped": ("-", "warning"),
    "waiting": (".", "text-muted"),
    "connecting": ("~", "accent"),
    "running": (">", "accent"),
    "reading": ("~", "accent"),
    "": (" ", "text-muted"),
}
"""By word: the sign before it, and the theme's colour."""


def mark(word: str, text: str = "") -> Content:
    """The word, or another text in its place, with its sign and its colour."""
    sign, colour = SIGNS.get(word, (" ", "text-muted"))
    return Content.styled(f"{sign} {text or word}", f"${colour}")


def cell(app: "App[object]", word: str, text: str = "") -> "Text":
    """The same for a table's cell, which the terminal library below draws."""
    from rich.text import Text

    sign, colour = SIGNS.get(word, (" ", "text-muted"))
    named = app.theme_variables.get(colour, "")
    style = named.partition(" ")[0] if named.startswith("#") else ""
    return Text(f"{sign} {text or word}", style=style, no_wrap=True, overflow="ellipsis")


def finding(level: str, where: str, seen: str, remedy: str = "") -> Content:
    """A finding or a verdict: what was seen, and below it one thing to do."""
    said = _lines(seen, 4)
    head = Content.assemble(mark(level), (f"  {sanitize(where)}" if where else ""), f"  {said}")
    return Content.assemble(head, advice(remedy))


def advice(remedy: str) -> Content:
    """One thing to do, on a line of its own below what it is about; empty: nothing."""
    if not remedy:
        return Content("")
    return Content.assemble("\n    -> ", Content.styled(_lines(remedy, 7), "$text-muted"))


def _lines(text: str, indent: int) -> str:
    """Text of a host's, of one line or several, those after the first indented."""
    return f"\n{' ' * indent}".join(map(sanitize, text.splitlines()))
