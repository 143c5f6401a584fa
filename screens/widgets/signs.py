"""The sign, word and colour of each state, the same on every page.

The signs are ASCII, which every console can show; the report uses the same.
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
"""By state word: its sign and its theme colour."""


def mark(word: str, text: str = "") -> Content:
    """The word, or another text instead, with its sign and colour."""
    sign, colour = SIGNS.get(word, (" ", "text-muted"))
    return Content.styled(f"{sign} {text or word}", f"${colour}")


def cell(app: "App[object]", word: str, text: str = "") -> "Text":
    """The same as a Rich text, for the cell of a DataTable."""
    from rich.text import Text

    sign, colour = SIGNS.get(word, (" ", "text-muted"))
    named = app.theme_variables.get(colour, "")
    style = named.partition(" ")[0] if named.startswith("#") else ""
    return Text(f"{sign} {text or word}", style=style, no_wrap=True, overflow="ellipsis")


def finding(level: str, where: str, seen: str, remedy: str = "") -> Content:
    """A finding or a verdict: what was seen, and the remedy on a line below it."""
    text = _lines(seen, 4)
    head = Content.assemble(mark(level), (f"  {sanitize(where)}" if where else ""), f"  {text}")
    return Content.assemble(head, advice(remedy))


def advice(remedy: str) -> Content:
    """A remedy on an indented line of its own; empty: none."""
    if not remedy:
        return Content("")
    return Content.assemble("\n    -> ", Content.styled(_lines(remedy, 7), "$text-muted"))


def _lines(text: str, indent: int) -> str:
    """Sanitize a host's text of one or more lines, indenting all but the first."""
    return f"\n{' ' * indent}".join(map(sanitize, text.splitlines()))
