"""The full log of one host in a run."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input, Static

from fedwiz.model.events import Record, from_line
from fedwiz.runs.describe import describe
from fedwiz.util.sanitize import sanitize
from screens.widgets.frame import KeyBar, Small, StatusLine, too_small
from screens.widgets.host_panes import LOOK, PANE_STYLES, Drawn, Row, fit

Line = tuple[float, str, str]
"""The time, the style's name and the text."""

Read = Callable[[], Iterable[Record]]
"""Reads the host's records so far; called off the event loop."""


def lines(record: Record) -> Iterator[Line]:
    """The sanitized log lines of a record; none if the record is not about a host."""
    it = describe(record.event)
    if not it.host:
        return
    details = "".join(f"\n  {line}" for line in it.details.splitlines())
    text = (it.in_log or it.text) + details + (it.remedy and f"\n  -> {it.remedy}")
    for part in text.splitlines():
        yield record.at, it.style, sanitize(part)


def of_host(records: Iterable[Record], host: str, upto: int) -> Read:
    """Read from records in memory.

    Args:
        records: all records of the run, in order.
        host: the host's name.
        upto: the number of the last record to read.
    """

    def read() -> Iterator[Record]:
        counted = takewhile(lambda record: record.number <= upto, records)
        return (record for record in counted if getattr(record.event, "host", "") == host)

    return read


def of_file(path: Path, host: str, upto: int) -> Read:
    """Read from a journal file; only lines that name the host are parsed."""
    named = f'"host":{json.dumps(host)}'.encode("ascii")

    def read() -> Iterator[Record]:
        with path.open("rb") as file:
            for line in file:
                if named not in line:
                    continue
                try:
                    record = from_line(line.decode("ascii"))
                except ValueError:  # cut off, or of a newer fedwiz: show the others
                    continue
                if record.number > upto:
                    return
                yield record

    return read


class LogLines(Drawn, ScrollView, can_focus=True):
    """The lines of the log; only visible ones are drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(PANE_STYLES)
    DEFAULT_CSS = """
    LogLines { height: 1fr; }
    """ + LOOK.format("LogLines")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.search = ""
        """The search text in lower case; empty: no search."""

        self.at = -1
        """The line found last; -1: none."""

        self.follows = True
        """Whether the view scrolls to new lines; scrolling up ends that."""

        self._wide = 0

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stop following when scrolled up; follow again at the end."""
        super().watch_scroll_y(old_value, new_value)
        self.follows = new_value >= self.max_scroll_y

    def add(self, more: Iterable[Line]) -> None:
        """Append lines."""
        new = list(more)
        if not new:
            return
        self.lines += new
        widest = max(len(text) for _, _, text in new) + 10
        self._wide = max(self._wide, widest)
        self.virtual_size = Size(self._wide, len(self.lines))
        if self.follows:
            self.scroll_end(animate=False, x_axis=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The visible part of a line."""
        left, top = self.scroll_offset
        width, at = self.size.width, top + y
        if at >= len(self.lines):
            return Strip.blank(width, self.style_of())
        when, style, text = self.lines[at]
        stamp = time.strftime("%H:%M:%S", time.localtime(when))
        row: Row = ((f"{stamp}  ", "muted"), *self._pieces(text, style))
        strip = self.strip_of(row, max(self._wide, width), "head" if at == self.at else "")
        return strip.crop(left, left + width)

    def _pieces(self, text: str, style: str) -> Iterator[tuple[str, str]]:
        """The text with matches of the search highlighted."""
        begin, lower = 0, text.lower()
        # Lower case can be longer than upper case in some alphabets: then nothing is highlighted.
        found = self.search if len(lower) == len(text) else ""
        while found and (here := lower.find(found, begin)) >= 0:
            yield text[begin:here], style
            begin = here + len(found)
            yield text[here:begin], "found"
        yield text[begin:], style

    def seek(self, by: Literal[1, -1]) -> tuple[int, int]:
        """Go to the next or previous match.

        Returns:
            The match's number and the number of matches; (0, 0) if there is none.
        """
        hits = [at for at, (_, _, text) in enumerate(self.lines) if self.search in text.lower()]
        if not hits or not self.search:
            self.at = -1
            self.refresh()
            return 0, 0
        if by > 0:
            here = next((n for n, at in enumerate(hits) if at > self.at), 0)
        else:
            here = next((n for n in reversed(range(len(hits))) if hits[n] < self.at), len(hits) - 1)
        self.at = hits[here]
        self.follows = False
        self.scroll_to(y=max(self.at - self.size.height // 2, 0), animate=False, immediate=True)
        self.refresh()
        return here + 1, len(hits)


class LogScreen(Screen[None]):
    """Everything that happened on one host, in order; new lines appear at the end."""

    HELP: ClassVar[str | None] = (
        "Everything that happened on this host in this run: its steps, each command as it was "
        "sent, and what the host said.\n\n"
        "New lines come at the end; go up to read, and press End to follow again.  Press / to "
        "look for a word."
    )
    LAYERS = ("default", "over")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back"),
        Binding("slash", "seek", "Find", key_display="/"),
        Binding("n", "next(1)", "Next"),
        Binding("N,shift+n", "next(-1)", "Previous", key_display="N"),
        Binding("end,G", "follow", "Follow", key_display="End"),
    ]
    DEFAULT_CSS = """
    LogScreen { layers: default over; }
    LogScreen #title { height: 1; background: $panel; padding: 0 1; text-style: bold; }
    LogScreen #body { height: 1fr; padding: 0 1; }
    LogScreen Input { display: none; border: none; height: 1; padding: 0 1; }
    LogScreen Input:focus { border: none; }
    LogScreen.-seeking Input { display: block; }
    """

    def __init__(self, host: str, read: Read) -> None:
        """Create the screen; it reads when mounted.

        Args:
            host: the host's name.
            read: reads the host's records so far; later ones come by `follow`.
        """
        super().__init__()
        self.host = host
        self._read = read
        self._waiting: list[Line] | None = []

    def compose(self) -> ComposeResult:
        """The host's name, its log and the search field."""
        yield Static(Content(fit(f"{sanitize(self.host)}: full log", 70).rstrip()), id="title")
        with Vertical(id="body"):
            yield LogLines()
        yield Input(placeholder="find", compact=True)
        yield StatusLine(id="said")
        yield KeyBar()
        yield Small()

    def on_mount(self) -> None:
        """Read in a worker, since a log can be long."""
        self._say("reading the log")
        self.query_one(LogLines).focus()
        self.run_worker(self._fill(), group="read")

    def on_resize(self, event: Resize) -> None:
        """Cover the screen if the terminal is too small."""
        self.set_class(too_small(*event.size), "-small")

    def _say(self, text: str, level: str = "") -> None:
        self.query_one("#said", StatusLine).say(text, level)

    async def _fill(self) -> None:
        def read() -> list[Line]:
            return [line for record in self._read() for line in lines(record)]

        try:
            earlier = await asyncio.to_thread(read)
        except OSError as wrong:
            self._say(f"the journal can't be read: {wrong.strerror}", "block")
            earlier = []
        else:
            self._say("" if earlier else "nothing was said of this host yet")
        later, self._waiting = self._waiting or [], None
        self.query_one(LogLines).add([*earlier, *later])

    def follow(self, records: Iterable[Record]) -> None:
        """Add records made since `read`; records of other hosts are ignored."""
        new = [
            line
            for record in records
            if getattr(record.event, "host", "") == self.host
            for line in lines(record)
        ]
        if self._waiting is not None:
            self._waiting += new
        elif new:
            self.query_one(LogLines).add(new)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable single-letter keys while the search field has the focus."""
        del parameters
        seeking = isinstance(self.focused, Input)
        return not (seeking and action in ("seek", "next", "follow", "help"))

    def action_seek(self) -> None:
        """Open the search field."""
        self.add_class("-seeking")
        self.query_one(Input).focus()
        self.refresh_bindings()

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Go to the first match."""
        event.stop()
        log = self.query_one(LogLines)
        log.search, log.at = event.value.strip().lower(), -1
        self._end_seeking()
        self.action_next(1)

    def _end_seeking(self) -> None:
        self.remove_class("-seeking")
        self.query_one(LogLines).focus()
        self.refresh_bindings()

    def action_next(self, by: Literal[1, -1]) -> None:
        """Go to the next or previous match."""
        log = self.query_one(LogLines)
        which, count = log.seek(by)
        if count:
            self._say(f"{which} of {count} lines with {log.search!r}")
        elif log.search:
            self._say(f"no line has {log.search!r}", "warn")
        else:
            self._say("press / to look for something first")

    def action_follow(self) -> None:
        """Scroll to the end and follow new lines."""
        log = self.query_one(LogLines)
        log.follows = True
        log.scroll_end(animate=False, immediate=True, x_axis=False)

    def action_close(self) -> None:
        """Close the search field if it is open, else the screen."""
        if isinstance(self.focused, Input):
            self._end_seeking()
        else:
            self.dismiss(None)
