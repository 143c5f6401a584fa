"""The full log of one host: everything that its run has said of it."""

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

from fedwiz.model.actions import Run
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Diagnosed,
    FactsRead,
    Found,
    HostLost,
    Output,
    Record,
    StepEnded,
    StepStarted,
    Verified,
    Versions,
    WayBack,
    from_line,
)
from fedwiz.util.sanitize import sanitize
from screens.widgets.frame import KeyBar, Small, StatusLine, too_small
from screens.widgets.host_panes import LOOK, PANE_STYLES, Drawn, Row, fit

Line = tuple[float, str, str]
"""When, the name of its style, and the text."""

Read = Callable[[], Iterable[Record]]
"""Gives the records of the host so far; it is called off the loop."""

_PAINT = {
    "ok": "success",
    "pass": "success",
    "warn": "warning",
    "stopped": "warning",
    "unknown": "warning",
    "skipped": "muted",
}


def lines(record: Record) -> Iterator[Line]:
    """What a record says of its host, clean, line by line."""
    style, text = _said(record)
    for part in text.splitlines():
        yield record.at, style, sanitize(part)


def _said(record: Record) -> tuple[str, str]:
    match record.event:
        case Output(_, _, line):
            return "", f"  {line}"
        case ActionStarted(_, _, shown):
            return "command", f"$ {shown}"
        case ActionEnded(_, _, outcome, code, seconds):
            status = f", exit status {code}" if code else ""
            return _PAINT.get(outcome, "error"), f"  {outcome}{status}, {seconds:.1f} s"
        case StepStarted(_, _, title, actions):
            return "name", f"{title} ({actions} {'action' if actions == 1 else 'actions'})"
        case StepEnded(_, step, outcome, why):
            return _PAINT.get(outcome, "error"), f"{step}: {outcome}{why and f': {why}'}"
        case Connected():
            return "muted", "connected"
        case FactsRead(_, seconds):
            return "muted", f"facts read in {seconds:.1f} s"
        case Versions(_, versions):
            return "muted", ", ".join(f"{name} {said}" for name, said in versions.items())
        case HostLost(_, why):
            return "error", f"nothing more is done here: {why}"
        case Found(check, _, level, seen, remedy):
            text = f"{level}: {check}: {seen}" + (remedy and f"\n  -> {remedy}")
            return _PAINT.get(level, "error"), text
        case Verified(kind, _, peer, level, seen, why):
            pair = f"{kind} -> {peer}" if peer else kind
            text = f"{level}: {pair}: {seen}" + (why and f"\n  -> {why}")
            return _PAINT.get(level, "error"), text
    return _said_of_pair(record)


def _said_of_pair(record: Record) -> tuple[str, str]:
    match record.event:
        case Diagnosed(sender, receiver, cause, _, why, seen, remedy):
            said = "".join(f"\n  {line}" for line in seen.splitlines())
            return "error", f"{sender} -> {receiver}: {cause}: {why}{said}\n  -> {remedy}"
        case WayBack(_, _, argv):
            return "muted", f"can be taken back by: $ {Run(argv).brief}"
    return "", ""


def of_host(records: Iterable[Record], host: str, upto: int) -> Read:
    """Reads them from records that are there already.

    Args:
        records: of the run, in order.
        host: whose.
        upto: the number of the last one that counts.
    """

    def read() -> Iterator[Record]:
        told = takewhile(lambda record: record.number <= upto, records)
        return (record for record in told if getattr(record.event, "host", "") == host)

    return read


def of_file(path: Path, host: str, upto: int) -> Read:
    """Reads them from the journal, of which only the lines that name the host are looked into."""
    named = f'"host":{json.dumps(host)}'.encode("ascii")

    def read() -> Iterator[Record]:
        with path.open("rb") as file:
            for text in file:
                if named not in text:
                    continue
                try:
                    record = from_line(text.decode("ascii"))
                except ValueError:  # half a line, or a newer fedwiz's: the others can be shown
                    continue
                if record.number > upto:
                    return
                yield record

    return read


class LogLines(Drawn, ScrollView, can_focus=True):
    """The lines, of which only those in sight are drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(PANE_STYLES)
    DEFAULT_CSS = """
    LogLines { height: 1fr; }
    """ + LOOK.format("LogLines")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.sought = ""
        """What is looked for, in small letters."""

        self.at = -1
        """The line that was found last; -1: none."""

        self.follows = True
        """Whether new lines come into sight by themselves; not after somebody has gone up."""

        self._wide = 0

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Who goes up stops following, who comes down to the end follows again."""
        super().watch_scroll_y(old_value, new_value)
        self.follows = new_value >= self.max_scroll_y

    def add(self, more: Iterable[Line]) -> None:
        """More lines below those that are there."""
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
        """One line, or what is in sight of it."""
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
        """The text, and what is looked for marked in it."""
        begin, low = 0, text.lower()
        # Small letters of some alphabets are longer than the large ones: then nothing is marked.
        found = self.sought if len(low) == len(text) else ""
        while found and (here := low.find(found, begin)) >= 0:
            yield text[begin:here], style
            begin = here + len(found)
            yield text[here:begin], "found"
        yield text[begin:], style

    def seek(self, by: Literal[1, -1]) -> tuple[int, int]:
        """To the next line, or the one before, that has what is looked for.

        Returns:
            Which one of how many it is; (0, 0): there is none.
        """
        hits = [at for at, (_, _, text) in enumerate(self.lines) if self.sought in text.lower()]
        if not hits or not self.sought:
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
    """All that was said of one host, in the order in which it happened; new lines come below."""

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
        """Nothing is read yet.

        Args:
            host: whose.
            read: gives what was said of it until now; `follow` takes what comes after that.
        """
        super().__init__()
        self.host = host
        self._read = read
        self._waiting: list[Line] | None = []

    def compose(self) -> ComposeResult:
        """The host's name, its lines, and a field to look for something."""
        yield Static(Content(fit(f"{sanitize(self.host)}: full log", 70).rstrip()), id="title")
        with Vertical(id="body"):
            yield LogLines()
        yield Input(placeholder="find", compact=True)
        yield StatusLine(id="said")
        yield KeyBar()
        yield Small()

    def on_mount(self) -> None:
        """Read off the loop: a log can be long."""
        self._say("reading the log")
        self.query_one(LogLines).focus()
        self.run_worker(self._fill(), group="read")

    def on_resize(self, event: Resize) -> None:
        """Cover a screen that does not fit."""
        self.set_class(too_small(*event.size), "-small")

    def _say(self, text: str, level: str = "") -> None:
        self.query_one("#said", StatusLine).say(text, level)

    async def _fill(self) -> None:
        def read() -> list[Line]:
            return [line for record in self._read() for line in lines(record)]

        try:
            told = await asyncio.to_thread(read)
        except OSError as wrong:
            self._say(f"the journal can't be read: {wrong.strerror}", "block")
            told = []
        else:
            self._say("" if told else "nothing was said of this host yet")
        later, self._waiting = self._waiting or [], None
        self.query_one(LogLines).add([*told, *later])

    def follow(self, records: Iterable[Record]) -> None:
        """Take what has happened since `read`; records of other hosts are passed over."""
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
        """Letters are letters while something is typed."""
        del parameters
        seeking = isinstance(self.focused, Input)
        return not (seeking and action in ("seek", "next", "follow", "help"))

    def action_seek(self) -> None:
        """Ask for a word."""
        self.add_class("-seeking")
        self.query_one(Input).focus()
        self.refresh_bindings()

    @on(Input.Submitted)
    def sought(self, event: Input.Submitted) -> None:
        """To the first line that has it."""
        event.stop()
        shown = self.query_one(LogLines)
        shown.sought, shown.at = event.value.strip().lower(), -1
        self._end_seeking()
        self.action_next(1)

    def _end_seeking(self) -> None:
        self.remove_class("-seeking")
        self.query_one(LogLines).focus()
        self.refresh_bindings()

    def action_next(self, by: Literal[1, -1]) -> None:
        """To the next line that has it."""
        shown = self.query_one(LogLines)
        which, count = shown.seek(by)
        if count:
            self._say(f"{which} of {count} lines with {shown.sought!r}")
        elif shown.sought:
            self._say(f"no line has {shown.sought!r}", "warn")
        else:
            self._say("press / to look for something first")

    def action_follow(self) -> None:
        """To the end, and stay there."""
        shown = self.query_one(LogLines)
        shown.follows = True
        shown.scroll_end(animate=False, immediate=True, x_axis=False)

    def action_close(self) -> None:
        """Back to the page; out of the field first."""
        if isinstance(self.focused, Input):
            self._end_seeking()
        else:
            self.dismiss(None)
