"""A tab bar for pages with several views."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from screens.widgets.signs import mark


class Tabs(Static, can_focus=True):
    """One line with each tab's title and its worst state."""

    class Turned(Message):
        """The operator wants another tab."""

        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

    DEFAULT_CSS = """
    Tabs { height: 1; margin-bottom: 1; }
    Tabs:focus { background: $primary 25%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "The tab before", show=False),
        Binding("right", "turn(1)", "The next tab", show=False),
    ]

    def __init__(self, titles: Sequence[str]) -> None:
        super().__init__("")
        self._titles, self.at = titles, 0
        self._worst: Sequence[str] = [""] * len(titles)

    def on_resize(self) -> None:
        """Redraw for the new width."""
        self.draw(self.at, self._worst)

    def draw(self, at: int, worst: Sequence[str]) -> None:
        """Draw the titles with the open tab and each tab's worst state; empty: none."""
        self.at, self._worst = at, worst
        # ` 1 Matrix X   `, or ` 1X Matrix` if the titles would not all fit.
        roomy = sum(len(title) + 8 for title in self._titles) - 3 <= (self.size.width or 80)
        parts = list[Content | str]()
        for number, title in enumerate(self._titles):
            style = "bold $accent" if number == at else "$text-muted"
            head, sign = f"{'>' if number == at else ' '}{number + 1}", Content("")
            if worst[number]:
                sign = mark(worst[number], " ").rstrip()
            parts.append(Content.styled(head, style))
            if roomy:
                parts += [Content.styled(f" {title} ", style), sign, "   "]
            else:
                parts += [sign, Content.styled(f" {title}", style)]
        self.update(Content.assemble(*parts).rstrip())

    def action_turn(self, by: int) -> None:
        """Turn to the neighbouring tab, wrapping around."""
        self.post_message(self.Turned((self.at + by) % len(self._titles)))
