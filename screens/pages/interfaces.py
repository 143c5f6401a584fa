"""The interfaces page: which interface carries flannel's packets on each node."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static
from textual.worker import Worker, WorkerState

from fedwiz.answers.file import Answers, AnswersError
from fedwiz.checks import Finding
from fedwiz.facts import Facts, Link
from fedwiz.model.events import Event, FactsRead, HostLost
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import count, some
from fedwiz.verify import Verdict
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory
from screens.dialogs.basic import Pick
from screens.pages.page import Page
from screens.widgets.interface_table import (
    InterfaceRow,
    about,
    columns,
    interface_options,
    rows,
    why_unread,
)
from screens.widgets.signs import cell, finding

SETTLE_SECONDS = 0.3
"""Seconds after the last choice before the nodes ping each other."""

HINT = "The default route's interface is taken unless you choose another: Enter."


class Nodes(DataTable[Text]):
    """The table; Home and End go to its first and last row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Choose"),
        Binding("home", "scroll_top", "First", show=False),
        Binding("end", "scroll_bottom", "Last", show=False),
    ]


class InterfacesPage(Page):
    """Shows each node's interface and lets the operator choose another."""

    STEP = "interfaces"
    QUESTION = "Which interface carries the packets?"
    HELP: ClassVar[str | None] = (
        "flannel sends the containers' packets from one interface of each node, and tells the "
        "other nodes its address.  Left alone it takes the interface of the default route.\n\n"
        "That is wrong where the default route leads to a NAT, as on VirtualBox, where every "
        "machine is 10.0.2.15: choose the interface by which the nodes reach each other: Enter "
        "for one node, s for all.\n\n"
        "`reaches` says how many of the other nodes answered a ping from that address to theirs. "
        "A node that does not answer is a warning only: ICMP may be blocked on the way, and "
        "flannel needs none.\n\n"
        "The master is not here: flannel does not run on it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "same", "Same on all"),
        Binding("c", "choose", "Choose an interface", show=False),
        Binding("r,f5", "read", "Read again", key_display="r"),
    ]
    DEFAULT_CSS = """
    InterfacesPage DataTable { height: 1fr; min-height: 4; }
    InterfacesPage DataTable:focus { background-tint: $background 0%; }
    InterfacesPage #detail { height: auto; max-height: 50%; margin-top: 1; }
    InterfacesPage #detail:focus { background: $surface; }
    """

    def content(self) -> ComposeResult:
        """The table, and the details of the row under the cursor."""
        yield Nodes(id="nodes", cursor_type="row", cell_padding=0)
        with VerticalScroll(id="detail"):
            yield Static(id="about")

    def __init__(self, draft: Draft, inventory: Inventory) -> None:
        super().__init__(draft, inventory)
        self._rows: tuple[InterfaceRow, ...] = ()
        self._cluster: tuple[Finding, ...] = ()
        self._pings: tuple[Verdict, ...] = ()
        self._widths: dict[str, int] = {}

    def on_mount(self) -> None:
        """Show what is known; read the rest."""
        self._update()
        self.query_one(DataTable).focus()
        answers = self._answers()
        if not self._rows:
            self.say("No node is chosen: Esc leads back to the page Hosts.", "block")
        elif answers is None:
            self.say(f"{why_unread(self.draft)}  Esc leads back.", "block")
        elif self.inventory.known(answers) is None:
            self.action_read()
        else:
            self.say(HINT)
            self._start_pings()

    @on(events.Resize)
    def fit(self) -> None:
        """Fit the columns to the new width."""
        if self.is_mounted:
            self._show()

    # Displaying.

    def _answers(self) -> Answers | None:
        """Answers good for reading the hosts; None: not even those exist."""
        plain = replace(
            self.draft, candidates=tuple(replace(it, interface="") for it in self.draft.candidates)
        )
        for make in (self.draft.answers, self.draft.provisional, plain.provisional):
            try:
                return make()
            except AnswersError:
                continue
        return None

    def _update(self) -> None:
        """Run the checks and redraw."""
        answers = self._answers()
        known = self.inventory.known(answers) if answers else None
        self._rows, self._cluster = rows(self.draft, answers, known, self._pings)
        self._show()

    def _show(self) -> None:
        table = self.query_one(DataTable)
        widths = columns(self.size.width - 3, self._rows)  # leaves room for a scroll bar
        if widths != self._widths or table.row_count != len(self._rows):
            at, self._widths = table.cursor_row, widths
            table.clear(columns=True)
            for title, width in widths.items():
                label = Text(f" {title}" if title == "link" else title)
                label.justify = "right" if title == "MTU" else None
                table.add_column(label, width=width, key=title)
            for number in range(len(self._rows)):
                table.add_row(*self._cells(self._rows[number]), key=str(number))
            table.move_cursor(row=at)
        else:
            for number, row in enumerate(self._rows):
                for title, text in zip(widths, self._cells(row), strict=True):
                    if table.get_cell(str(number), title) != text:
                        table.update_cell(str(number), title, text)
        self._show_details()

    def _cells(self, row: InterfaceRow) -> Iterator[Text]:
        link = row.link
        yield cell(self.app, row.word)
        short = row.published if self._widths["address"] > 17 else row.published.partition("/")[0]
        why = row.why if self._widths["why"] > 10 else row.why.partition(" ")[0]
        interface = link.name if link else row.interface
        for text in (row.name, interface, short):
            yield Text(sanitize(text), no_wrap=True, overflow="ellipsis")
        yield Text(str(link.mtu) if link else "", justify="right")
        yield Text((" up" if link.up else " down") if link else "")
        yield Text(why)
        unmet = any(it.level != "pass" for it in row.pings)
        yield cell(self.app, "warn" if unmet else "ok", row.reaches) if row.reaches else Text("")

    @on(DataTable.RowHighlighted)
    def _show_details(self) -> None:
        """Show the details of the row under the cursor, and the findings on the cluster."""
        at = self.query_one(DataTable).cursor_row
        parts = list[Content]()
        if 0 <= at < len(self._rows):
            parts += about(self._rows[at])
        own = self._rows[at].findings if parts else ()
        bad = [it for it in self._cluster if it.level != "ok"]
        rest = [it for it in bad or self._cluster if it not in own]
        parts += [finding(it.level, "", it.seen, it.remedy) for it in rest]
        self.query_one("#about", Static).update(Content("\n").join(parts))
        self.query_one("#detail").scroll_home(animate=False)

    # Reading.

    def action_read(self) -> None:
        """Read the hosts and have them ping each other."""
        self.run_worker(self._read(), group="read", exclusive=True, exit_on_error=False)

    async def _read(self) -> None:
        answers = self._answers()
        if answers is None:
            return
        answered, many = set[str](), len(answers.host)
        self.say(f"reading 0 of {many} hosts")

        def emit(event: Event) -> None:
            if isinstance(event, (FactsRead, HostLost)):
                answered.add(event.host)
                self.say(f"reading {len(answered)} of {many} hosts")

        try:
            known = await self.inventory.read(answers, emit)
        except AnswersError as refused:
            key, text = next(iter(refused.why.items()))
            self.say(f"{sanitize(key)}: {sanitize(text)}", "block")
            return
        self._pings = ()
        self._update()
        if known.lost:
            names = some(sorted(known.lost))
            self.say(f"{sanitize(names)} could not be read: see below, then r reads again.", "warn")
        else:
            self.say(HINT)
        self._start_pings()

    def _start_pings(self) -> None:
        """Have the nodes ping each other once the operator stops choosing."""
        self.run_worker(self._ping(), group="meet", exclusive=True, exit_on_error=False)

    async def _ping(self) -> None:
        answers = self._answers()
        if answers is None or self.inventory.known(answers) is None:
            return
        await asyncio.sleep(SETTLE_SECONDS)
        self._pings = await self.inventory.meet(answers)
        self._update()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show a worker's error; the page stays usable."""
        if event.state == WorkerState.ERROR and event.worker.group in ("read", "meet"):
            self.say(f"That failed: {sanitize(str(event.worker.error))}  r tries again.", "block")

    # Choosing.

    @on(DataTable.RowSelected)
    def action_choose(self) -> None:
        """Ask for the interface of the row under the cursor."""
        at = self.query_one(DataTable).cursor_row
        if not 0 <= at < len(self._rows):
            return
        row = self._rows[at]
        if row.facts is None:
            self.say(f"{sanitize(row.name)} was not read yet: r reads the hosts.", "warn")
            return
        self.run_worker(self._choose(row, row.facts), group="choose", exclusive=True)

    async def _choose(self, row: InterfaceRow, facts: Facts) -> None:
        now, value, options = row.link, row.interface, list(interface_options(facts))
        if now and value not in {it[0] for it in options}:
            value = "" if now is facts.default_link else now.name
        text = "Its address is what the other nodes send the containers' packets to."
        if not options:
            self.say(f"{sanitize(row.name)} has no interface but lo.", "warn")
            return
        choice = await self._ask(Pick(f"Interface of {row.name}", options, value, text))
        if choice is not None and choice != row.interface:
            self._store({row.address: choice})

    async def _ask(self, question: Pick) -> str | None:
        """The operator's choice; None: cancelled."""
        return await self.wizard.push_screen_wait(question)

    def action_same(self) -> None:
        """Ask for one interface name for all nodes."""
        self.run_worker(self._same(), group="choose", exclusive=True)

    async def _same(self) -> None:
        read = [(row, row.facts) for row in self._rows if row.facts]
        names: dict[str, list[Link]] = {}
        for _, facts in read:
            for link in facts.links:
                if link.name != "lo":
                    names.setdefault(link.name, []).append(link)
        if not names:
            self.say("No node was read yet, so no interface is known: r reads them.", "warn")
            return
        many = len(self._rows)
        options = [
            (name, name, f"on {len(links)} of {count(many, 'node')}")
            for name, links in sorted(
                names.items(), key=lambda it: (bool(it[1][0].kind), -len(it[1]), it[0])
            )
        ]
        at = self.query_one(DataTable).cursor_row
        now = self._rows[at].link if 0 <= at < many else None
        choice = await self._ask(Pick("One interface for all", options, now.name if now else ""))
        if choice is None:
            return
        self._store(
            {
                row.address: ""
                if facts.default_link and facts.default_link.name == choice
                else choice
                for row, facts in read
                if facts.link(choice)
            }
        )
        without = [row.name for row, facts in read if not facts.link(choice)]
        if without:
            self.say(
                f"{sanitize(some(without))}: no {sanitize(choice)} there, left as before.", "warn"
            )

    def _store(self, choices: Mapping[str, str]) -> None:
        """Store choices, by address."""
        draft = self.draft
        for address, interface in choices.items():
            draft = draft.host(address, interface=interface)
        self.keep(draft)
        self._pings = ()
        self.say(HINT)
        self._update()
        self._start_pings()

    def action_next(self) -> None:
        """Go on, unless flannel would not work with these interfaces."""
        wrong = {key: text for key, text in self.draft.refusals().items() if "].interface" in key}
        found = [(None, it) for it in self._cluster] + [
            (at, it) for at, row in enumerate(self._rows) for it in row.findings
        ]
        blocks = [(at, it) for at, it in found if (it.check, it.level) == ("interface", "block")]
        if self._busy():
            self.say("The hosts are being read: a moment.", "warn")
        elif wrong:
            key, text = next(iter(wrong.items()))
            self.say(f"{sanitize(key)}: {sanitize(text)}", "block")
        elif blocks:
            at, it = next((each for each in blocks if each[0] is not None), blocks[0])
            if at is not None:
                self.query_one(DataTable).move_cursor(row=at)
            where = f"{sanitize(it.host)}: " if it.host else ""
            self.say(f"{where}{it.seen}; {it.remedy}", "block")
        else:
            super().action_next()

    def _busy(self) -> bool:
        return any(
            it.group == "read" and it.node is self and not it.is_finished for it in self.workers
        )
