"""The hosts page: which machines form the cluster."""

from dataclasses import replace
from textwrap import shorten
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.timer import Timer
from textual.widgets import DataTable, Input, Static

from fedwiz.util.sanitize import sanitize
from fedwiz.wizard import candidates
from fedwiz.wizard.draft import Draft
from screens.dialogs.form import Form
from screens.dialogs.host_form import HostForm, with_answers, with_master
from screens.pages.hosts_work import HostsWork, reading_answers
from screens.widgets.form import copy_answers, section_questions
from screens.widgets.frame import Head
from screens.widgets.host_table import SERVICES_CHECK, HostsSeen, HostTable, services

SETTLE_SECONDS = 0.1
"""Seconds after the last key before the services are checked again."""

EMPTY = (
    "No machines yet.\n\n"
    "Type above where to look and press Enter, or paste lines of /etc/hosts there.  "
    "F3 shows what this computer already knows of."
)
WHERE = "192.168.122.0/24, a range, a name, or lines of /etc/hosts"


class Where(Input):
    """The input for where to search; pasted lines are joined into one."""

    def _on_paste(self, event: events.Paste) -> None:
        """Insert all pasted lines; the base class would take only the first."""
        event.prevent_default()
        event.stop()
        text, left_out = candidates.join_lines(event.text)
        self.insert_text_at_cursor(text)
        if left_out:
            page = self.screen
            assert isinstance(page, HostsPage)  # noqa: S101 - only HostsPage has this field
            page.say(f"{left_out} lines left out: loopback and IPv6 are nobody's to look at")


class Filter(Input):
    """The input that filters the rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.show_all", "Show all", show=True),
        Binding("down", "screen.to_table", "To the list", show=False),
    ]


class HostsPage(HostsWork):
    """Asks which machines form the cluster."""

    STEP = "hosts"
    AUTO_FOCUS = ""
    QUESTION = "Which machines make the cluster?"
    HELP: ClassVar[str | None] = (
        "Choose one master, which runs etcd, and two nodes or more, which run docker.\n\n"
        "Look for them in a network (192.168.122.0/24) or a range (192.168.122.10-40): what "
        "answers as ssh is listed, and Space chooses it.  Or name them one by one, or paste lines "
        "of /etc/hosts: those are chosen at once.  F3 lists what this computer knows already.\n\n"
        "R logs in and reads what runs there; nothing is changed.  A host key that nobody knows "
        "yet is shown for you to compare; a key that has changed stops its host.  F2 says as whom "
        "to log in, and with which key.\n\n"
        "Ctrl+N reads what was not read yet, and goes on when all is well.  What is wrong with a "
        "machine stands below the list, for the row that the cursor is on."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "Choose"),
        Binding("a", "choose_all", "Choose all that are shown", show=False),
        Binding("m", "master", "Master"),
        Binding("e", "edit", "Edit"),
        Binding("delete,d", "remove", "Remove from the list", show=False),
        Binding("slash", "filter", "Filter the list", show=False),
        Binding("r", "read", "Read"),
        Binding("f2", "ssh", "SSH"),
        Binding("f3", "sources", "Look in what this computer knows", show=False),
    ]
    DEFAULT_CSS = """
    HostsPage .line { height: 1; }
    HostsPage .line Static { width: 9; color: $text-muted; }
    HostsPage .line .hint { width: 10; text-align: right; }
    HostsPage .line Input { width: 1fr; background: $surface; }
    HostsPage #line-filter { display: none; }
    HostsPage #empty { height: 1fr; padding: 1 9; color: $text-muted; }
    HostsPage HostTable { height: 1fr; margin-top: 1; }
    HostsPage HostTable:focus { background-tint: $background 0%; }
    HostsPage #detail { height: 40%; max-height: 15; border-top: solid $panel-lighten-2; }
    HostsPage #detail:focus { border-top: solid $primary; }
    """

    def content(self) -> ComposeResult:
        """The inputs, the table, and the details of the row under the cursor."""
        with Horizontal(classes="line"):
            yield Static("Cluster")
            yield Input(self._text("name"), compact=True, id="name", placeholder="fedora-lab")
            yield Static("F2 ssh", classes="hint")
        with Horizontal(classes="line"):
            yield Static("Look at")
            yield Where(self.draft.typed, compact=True, id="where", placeholder=WHERE)
            yield Static("F3 known", classes="hint")
        with Horizontal(classes="line", id="line-filter"):
            yield Static("Show")
            yield Filter(compact=True, id="filter", placeholder="part of a name or an address")
        yield Static(EMPTY, id="empty")
        yield HostTable()
        with VerticalScroll(id="detail"):
            yield Static(id="about")

    def _text(self, path: str) -> str:
        answer = self.draft.get(path)
        return "" if answer is None else str(answer)

    def on_mount(self) -> None:
        """Show the draft."""
        self._services: dict[str, dict[str, str]] = {}
        self._later: Timer | None = None
        self._read_facts()
        self.show()
        (self.table if self.draft.candidates else self.query_one("#where")).focus()

    def to_list(self) -> None:
        """Focus the table."""
        self.table.focus()

    @property
    def table(self) -> HostTable:
        """The table of machines."""
        return self.query_one(HostTable)

    # Displaying.

    def show(self) -> None:
        """Redraw from the draft and from what is known about the machines."""
        self.findings = candidates.judged(
            self.draft, self.inventory.facts, self.inventory.lost, self.inventory.unknown
        )
        self._seen = HostsSeen(
            self.draft, self.inventory, self.findings, self._services, self.doing
        )
        some = bool(self.draft.candidates)
        for name, there in (("#empty", not some), ("#hosts", some), ("#detail", some)):
            self.query_one(name).display = there
        wanted = self.query_one("#filter", Input).value.strip().lower()
        rows = [(at, self._seen.cells(at)) for at in range(len(self.draft.candidates))]
        self.table.show(
            [row for row in rows if not wanted or wanted in _searchable(self.draft, row[0])]
        )
        self._detail()
        self.query_one("#name").set_class("name" in self.findings.general, "-refused")

    def _detail(self) -> None:
        at = self.table.place
        known = 0 <= at < len(self.draft.candidates)
        self.query_one("#about", Static).update(self._seen.detail(at) if known else "")

    def _read_facts(self) -> None:
        """Run the `services` check, the same one that the install uses."""
        answers = reading_answers(self.draft) if self.inventory.facts else None
        known = self.inventory.known(answers) if answers else None
        if answers is None or known is None:
            return
        addresses = {host.name: host.address for host in answers.host}
        self._services = services(SERVICES_CHECK.findings(answers, known), addresses)

    def change(self, draft: Draft) -> None:
        """Replace the draft and redraw."""
        self.keep(draft)
        self.show()
        # Too slow for every key with 200 hosts.
        if self._later is not None:
            self._later.stop()
        self._later = self.set_timer(SETTLE_SECONDS, self._judge_services)

    def _judge_services(self) -> None:
        before = self._services
        self._read_facts()
        if self._services != before:
            self.show()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the table to the new width."""
        self.table.fit(event.size.width - 2)
        if hasattr(self, "_seen"):
            self.show()

    @on(DataTable.RowHighlighted)
    def highlighted(self) -> None:
        """Show the details of the row under the cursor."""
        self._detail()
        self.query_one("#detail").scroll_home(animate=False)

    # Typing.

    @on(Input.Changed, "#name")
    def named(self, event: Input.Changed) -> None:
        """Store the cluster's name."""
        if event.value == self._text("name"):
            return
        self.keep(self.draft.put("name", event.value or None))
        self.query_one(Head).cluster(self.cluster())
        self.show()
        self._hint_of_name()

    def _hint_of_name(self) -> None:
        why = self.findings.general.get("name", "")
        self.say(sanitize(f"name: {why}") if why else "", "block" if why else "")

    def _sync(self) -> None:
        """Store the name from its input, even if its Changed message is still queued."""
        name = self.query_one("#name", Input).value
        if name != self._text("name"):
            self.change(self.draft.put("name", name or None))

    @on(Input.Submitted, "#name")
    def to_where(self) -> None:
        """Focus the next input."""
        self.query_one("#where").focus()

    @on(Input.Changed, "#where")
    def typed(self, event: Input.Changed) -> None:
        """Store the search text, even half-typed."""
        if event.value != self.draft.typed:
            self.keep(replace(self.draft, typed=event.value))

    @on(Input.Submitted, "#where")
    def look_there(self, event: Input.Submitted) -> None:
        """List the machines that were named, and search for others."""
        try:
            one, many = candidates.parse_targets(event.value)
        except ValueError as wrong:
            self.say("; ".join(str(wrong).splitlines()), "block")
            return
        if not (one or many):
            self.say(f"Say where to look: {WHERE}.", "warn")
            return
        self.change(self.draft.add(candidates.chosen_from_targets(one)))
        self.begin(self.look, one, many)

    @on(Input.Changed, "#filter")
    def filtered(self) -> None:
        """Show only the matching rows."""
        self.show()
        if self.query_one("#filter", Input).value:
            self.say(f"{len(self.table.shown)} of {len(self.draft.candidates)} are shown")

    @on(Input.Submitted, "#filter")
    def action_to_table(self) -> None:
        """Focus the table."""
        self.table.focus()

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one("#line-filter").display = True
        self.query_one("#filter").focus()

    def action_show_all(self) -> None:
        """Clear and hide the filter."""
        self.query_one("#filter", Input).value = ""
        self.query_one("#line-filter").display = False
        self.say("")
        self.table.focus()

    # One row, or all.

    def _at(self) -> int | None:
        """Index of the candidate under the cursor."""
        at = self.table.place
        return at if 0 <= at < len(self.draft.candidates) else None

    def action_choose(self) -> None:
        """Toggle whether the candidate under the cursor is chosen."""
        if (at := self._at()) is not None:
            self.change(self.draft.row(at, chosen=not self.draft.candidates[at].chosen))
            self._count()

    def action_choose_all(self) -> None:
        """Choose all rows shown; if all are chosen, none."""
        shown, draft = set(self.table.shown), self.draft
        want = not all(draft.candidates[at].chosen for at in shown)
        self.change(
            replace(
                draft,
                candidates=tuple(
                    replace(it, chosen=want) if at in shown else it
                    for at, it in enumerate(draft.candidates)
                ),
            )
        )
        self._count()

    def _count(self) -> None:
        chosen = len(self.draft.chosen)
        unread = sum(it.address not in self.inventory.facts for it in self.draft.chosen)
        hint = f", {unread} not read yet: r logs in and reads them" if unread else ""
        self.say(f"{chosen} chosen{hint}")

    def action_master(self) -> None:
        """Make it the master, with etcd and the Kubernetes control plane; all others are nodes."""
        if (at := self._at()) is not None:
            self.change(with_master(self.draft, at))
            it = self.draft.candidates[at]
            self.say(f"{sanitize(it.name or it.address)} is the master, all others are nodes", "ok")

    def action_remove(self) -> None:
        """Remove the candidate under the cursor from the list."""
        if (at := self._at()) is not None:
            it = self.draft.candidates[at]
            self.change(self.draft.without(at))
            self.say(f"{sanitize(it.name or it.address)} is not in the list any more")

    @on(DataTable.RowSelected, "#hosts")
    def action_edit(self) -> None:
        """Open the form of one host."""
        if (at := self._at()) is not None:
            self.run_worker(self._edit(at), group="dialog", exclusive=True)

    async def _edit(self, at: int) -> None:
        it = self.draft.candidates[at]
        answer = await self.wizard.push_screen_wait(HostForm(self.draft, at))
        if answer is None:
            return
        # A search that finished meanwhile may have moved it.
        there = [n for n, other in enumerate(self.draft.candidates) if other.address == it.address]
        if there:
            self.change(with_answers(self.draft, at if at in there else there[0], answer))
            self._count()

    def action_ssh(self) -> None:
        """Open the form of ssh settings."""
        self.run_worker(self._ssh(), group="dialog", exclusive=True)

    async def _ssh(self) -> None:
        questions = section_questions("ssh")
        answer = await self.wizard.push_screen_wait(
            Form("How does fedwiz log in?", questions, self.draft)
        )
        if answer is not None:
            self.change(copy_answers(self.draft, answer, questions))
            self._count()

    # Going on.

    def say_block(self, before: str = "") -> None:
        """Show the first block and the number of others; the cursor goes there."""
        at, text = first_block(self.draft, self.findings, before)
        self.say(text, "block")
        if at >= 0:
            self.table.to(at)
            self.table.focus()
        elif "name" in self.findings.general:
            self.query_one("#name").focus()

    def action_next(self) -> None:
        """Read the hosts that were not read yet; go on if nothing blocks."""
        self._sync()
        answers = reading_answers(self.draft)
        if answers is None:
            self.show()
            if self.findings.blocks:
                self.say_block()
            else:
                self.say(sanitize(candidates.why_unreadable(self.draft)), "block")
            return
        seen = self.inventory.facts.keys() | self.inventory.lost.keys()
        unread = not {it.address for it in self.draft.chosen} <= seen
        if unread or self.inventory.known(answers) is None:
            self.begin(self.read_hosts, True)
        else:
            self.go_on()


def first_block(draft: Draft, findings: candidates.Judged, before: str = "") -> tuple[int, str]:
    """Index of the first host that blocks, -1 if it is not a host, and the message to show.

    Args:
        draft: the draft that was checked.
        findings: its findings, with at least one block.
        before: text to put in front.
    """
    blocks = findings.blocks
    at, first = blocks[0]
    it = draft.candidates[at] if at >= 0 else None
    called = sanitize(it.name or it.address) if it else ""
    seen = shorten(first.seen, 110, placeholder=" ...")  # shown in full below the list
    text = seen if not called or called in seen else f"{called}: {seen}"
    text = f"{text}; {first.remedy}" if first.remedy else text
    more = f" (and {len(blocks) - 1} more)" if len(blocks) > 1 else ""
    return at, sanitize(f"{before}; {text}{more}" if before else f"{text}{more}")


def _searchable(draft: Draft, at: int) -> str:
    """The text that the filter searches."""
    it = draft.candidates[at]
    return " ".join((it.name, it.address, it.role, it.label, it.source)).lower()
