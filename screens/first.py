"""The first page: what is to be done.  It is there before anything heavy is loaded."""

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from fedwiz.goals import GOALS, What
from screens.dialogs import Options
from screens.frame import Keys, Said, Small
from screens.page import too_small


@dataclass(frozen=True, slots=True)
class Choice:
    """What the operator wants to do."""

    what: What


class First(Screen[Choice]):
    """Asks what is to be done."""

    HELP: ClassVar[str | None] = (
        "fedwiz takes Fedora machines, one Kubernetes master with etcd and two or more nodes with "
        "docker, to a flannel overlay network that is proven to work.\n\n"
        "Nothing is changed on any machine before you have seen the whole plan and approved it. "
        "What you type is kept as you go: leave with Ctrl+Q and start fedwiz again, and you are "
        "where you were.\n\n"
        "New to it?  Take the practice cluster: the same pages, on simulated machines."
    )
    LAYERS = ("default", "over")
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"choose('{what}')", title, show=False)
            for number, (what, (title, _)) in enumerate(GOALS.items(), 1)
        ),
    ]
    DEFAULT_CSS = """
    First #page { height: 1fr; align: center middle; }
    First #welcome { width: 64; height: auto; }
    First #name { text-style: bold; color: $primary; }
    First #about { color: $text-muted; margin-bottom: 1; }
    First OptionList { height: auto; }
    """

    def compose(self) -> ComposeResult:
        """The name, what it does, and the list."""
        with Vertical(id="page"), Vertical(id="welcome"):
            yield Static("fedwiz", id="name")
            yield Static("A flannel overlay network on Fedora hosts, proven to work.", id="about")
            yield Options(*(
                Option(Content.assemble(
                    Content.styled(f"{number}  ", "$text-muted"), Content.styled(title, "bold"),
                    "\n   ", Content.styled(more, "$text-muted"),
                ), id=what)
                for number, (what, (title, more)) in enumerate(GOALS.items(), 1)
            ))  # fmt: skip
        yield Said(id="said")
        yield Keys()
        yield Small()

    def say(self, text: str, level: str = "") -> None:
        """Say a sentence above the keys."""
        self.query_one("#said", Said).say(text, level)

    def on_resize(self, event: events.Resize) -> None:
        """Cover the page where it does not fit."""
        self.set_class(too_small(*event.size), "-small")

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Give the choice."""
        for what in GOALS:
            if what == event.option_id:
                self.dismiss(Choice(what))

    def action_choose(self, what: What) -> None:
        """By its number."""
        self.dismiss(Choice(what))
