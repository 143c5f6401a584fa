"""The page Hosts: which machines make the cluster."""

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
from screens.dialogs.host_form import HostForm, given, mastered
from screens.pages.hosts_work import Work, readable
from screens.widgets.form import asked, taken
from screens.widgets.frame import Head
from screens.widgets.host_table import SERVICES_CHECK, HostsSeen, HostTable, services

SETTLE_SECONDS = 0.1
"""Seconds after the last key until services are judged anew."""

EMPTY = (
    "No machines yet.\n\n"
    "Type above where to look and press Enter, or paste lines of /etc/hosts there.  "
    "F3 shows what this computer already knows of."
)
WHERE = "192.168.122.0/24, a range, a name, or lines of /etc/hosts"


class Where(Input):
    """Where to look; several lines that are pasted become one."""

    def _on_paste(self, event: events.Paste) -> None:
        """Take all the lines; the field below takes the first alone."""
        event.prevent_default()
        event.stop()
        text, left_out = candidates.pasted(event.text)
        self.insert_text_at_cursor(text)
        if left_out:
            page = self.screen
            assert isinstance(page, HostsPage)  # noqa: S101 - it is on that page alone
            page.say(f"{left_out} lines left out: loopback and IPv6 are nobody's to look at")


class Filter(Input):
    """Which rows are shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.show_all", "Show all", show=True),
        Binding("down", "screen.to_table", "To the list", show=False),
    ]


class HostsPage(Work):
    """Which machines make the cluster?"""

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
        """The fields, the list, and all about one row of it."""
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
        said = self.draft.get(path)
        return "" if said is None else str(said)

    def on_mount(self) -> None:
        """Show what the draft says."""
        self._services: dict[str, dict[str, str]] = {}
        self._later: Timer | None = None
        self._read_facts()
        self.show()
        (self.table if self.draft.candidates else self.query_one("#where")).focus()

    def to_list(self) -> None:
        """Put the focus where machines are chosen."""
        self.table.focus()

    @property
    def table(self) -> HostTable:
        """The list."""
        return self.query_one(HostTable)

    # What is shown.

    def show(self) -> None:
        """Show the draft, and what is known of the machines, as they are now."""
        self.judged = candidates.judged(
            self.draft, self.site.facts, self.site.lost, self.site.unknown
        )
        self._seen = HostsSeen(self.draft, self.site, self.judged, self._services, self.doing)
        some = bool(self.draft.candidates)
        for name, there in (("#empty", not some), ("#hosts", some), ("#detail", some)):
            self.query_one(name).display = there
        wanted = self.query_one("#filter", Input).value.strip().lower()
        rows = [(at, self._seen.cells(at)) for at in range(len(self.draft.candidates))]
        self.table.show([row for row in rows if not wanted or wanted in _words(self.draft, row[0])])
        self._detail()
        self.query_one("#name").set_class("name" in self.judged.general, "-refused")

    def _detail(self) -> None:
        at = self.table.place
        known = 0 <= at < len(self.draft.candidates)
        self.query_one("#about", Static).update(self._seen.detail(at) if known else "")

    def _read_facts(self) -> None:
        """Have the services judged, by the check that judges them in the end."""
        answers = readable(self.draft) if self.site.facts else None
        known = self.site.known(answers) if answers else None
        if answers is None or known is None:
            return
        addresses = {host.name: host.address for host in answers.host}
        self._services = services(SERVICES_CHECK.findings(answers, known), addresses)

    def change(self, draft: Draft) -> None:
        """Take another draft, and show it."""
        self.keep(draft)
        self.show()
        # Of 200 hosts this takes too long to be done at every key.
        if self._later is not None:
            self._later.stop()
        self._later = self.set_timer(SETTLE_SECONDS, self._judge_services)

    def _judge_services(self) -> None:
        before = self._services
        self._read_facts()
        if self._services != before:
            self.show()

    def on_resize(self, event: events.Resize) -> None:
        """Give the list the room that there is."""
        self.table.fit(event.size.width - 2)
        if hasattr(self, "_seen"):
            self.show()

    @on(DataTable.RowHighlighted)
    def highlighted(self) -> None:
        """Say all about the row under the cursor."""
        self._detail()
        self.query_one("#detail").scroll_home(animate=False)

    # What is typed.

    @on(Input.Changed, "#name")
    def named(self, event: Input.Changed) -> None:
        """The cluster has another name."""
        if event.value == self._text("name"):
            return
        self.keep(self.draft.put("name", event.value or None))
        self.query_one(Head).cluster(self.cluster())
        self.show()
        self._hint_of_name()

    def _hint_of_name(self) -> None:
        why = self.judged.general.get("name", "")
        self.say(sanitize(f"name: {why}") if why else "", "block" if why else "")

    def _sync(self) -> None:
        """Take what stands in the fields, also where the word of it is still on its way."""
        name = self.query_one("#name", Input).value
        if name != self._text("name"):
            self.change(self.draft.put("name", name or None))

    @on(Input.Submitted, "#name")
    def to_where(self) -> None:
        """To the next field."""
        self.query_one("#where").focus()

    @on(Input.Changed, "#where")
    def typed(self, event: Input.Changed) -> None:
        """Keep it, also half-typed."""
        if event.value != self.draft.typed:
            self.keep(replace(self.draft, typed=event.value))

    @on(Input.Submitted, "#where")
    def look_there(self, event: Input.Submitted) -> None:
        """List who was named, and look who answers."""
        try:
            one, many = candidates.meant(event.value)
        except ValueError as wrong:
            self.say("; ".join(str(wrong).splitlines()), "block")
            return
        if not (one or many):
            self.say(f"Say where to look: {WHERE}.", "warn")
            return
        self.change(self.draft.add(candidates.typed(one)))
        self.begin(self.look, one, many)

    @on(Input.Changed, "#filter")
    def filtered(self) -> None:
        """Show the rows that have it."""
        self.show()
        if self.query_one("#filter", Input).value:
            self.say(f"{len(self.table.shown)} of {len(self.draft.candidates)} are shown")

    @on(Input.Submitted, "#filter")
    def action_to_table(self) -> None:
        """To the list."""
        self.table.focus()

    def action_filter(self) -> None:
        """Ask which rows to show."""
        self.query_one("#line-filter").display = True
        self.query_one("#filter").focus()

    def action_show_all(self) -> None:
        """Show all rows again."""
        self.query_one("#filter", Input).value = ""
        self.query_one("#line-filter").display = False
        self.say("")
        self.table.focus()

    # One row, or all.

    def _at(self) -> int | None:
        """The candidate under the cursor."""
        at = self.table.place
        return at if 0 <= at < len(self.draft.candidates) else None

    def action_choose(self) -> None:
        """It is a host of the cluster, or is not."""
        if (at := self._at()) is not None:
            self.change(self.draft.row(at, chosen=not self.draft.candidates[at].chosen))
            self._count()

    def action_choose_all(self) -> None:
        """All that are shown; once they are, none of them."""
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
        unread = sum(it.address not in self.site.facts for it in self.draft.chosen)
        hint = f", {unread} not read yet: r logs in and reads them" if unread else ""
        self.say(f"{chosen} chosen{hint}")

    def action_master(self) -> None:
        """It runs etcd and Kubernetes' own services; all others are nodes."""
        if (at := self._at()) is not None:
            self.change(mastered(self.draft, at))
            it = self.draft.candidates[at]
            self.say(f"{sanitize(it.name or it.address)} is the master, all others are nodes", "ok")

    def action_remove(self) -> None:
        """Out of the list."""
        if (at := self._at()) is not None:
            it = self.draft.candidates[at]
            self.change(self.draft.without(at))
            self.say(f"{sanitize(it.name or it.address)} is not in the list any more")

    @on(DataTable.RowSelected, "#hosts")
    def action_edit(self) -> None:
        """Ask one host's questions."""
        if (at := self._at()) is not None:
            self.run_worker(self._edit(at), group="dialog", exclusive=True)

    async def _edit(self, at: int) -> None:
        it = self.draft.candidates[at]
        answer = await self.wizard.push_screen_wait(HostForm(self.draft, at))
        if answer is None:
            return
        # A search that found others in the meantime may have moved it.
        there = [n for n, other in enumerate(self.draft.candidates) if other.address == it.address]
        if there:
            self.change(given(self.draft, at if at in there else there[0], answer))
            self._count()

    def action_ssh(self) -> None:
        """Ask how to log in."""
        self.run_worker(self._ssh(), group="dialog", exclusive=True)

    async def _ssh(self) -> None:
        questions = asked("ssh")
        answer = await self.wizard.push_screen_wait(
            Form("How does fedwiz log in?", questions, self.draft)
        )
        if answer is not None:
            self.change(taken(self.draft, answer, questions))
            self._count()

    # The way on.

    def say_block(self, before: str = "") -> None:
        """Say the first thing that is in the way, and how many more; the cursor goes there."""
        at, said = in_the_way(self.draft, self.judged, before)
        self.say(said, "block")
        if at >= 0:
            self.table.to(at)
            self.table.focus()
        elif "name" in self.judged.general:
            self.query_one("#name").focus()

    def action_next(self) -> None:
        """Read what was not read yet; go on, if nothing is in the way."""
        self._sync()
        answers = readable(self.draft)
        if answers is None:
            self.show()
            if self.judged.blocks:
                self.say_block()
            else:
                self.say(sanitize(candidates.ready(self.draft)), "block")
            return
        seen = self.site.facts.keys() | self.site.lost.keys()
        unread = not {it.address for it in self.draft.chosen} <= seen
        if unread or self.site.known(answers) is None:
            self.begin(self.read_hosts, True)
        else:
            self.go_on()


def in_the_way(draft: Draft, judged: candidates.Judged, before: str = "") -> tuple[int, str]:
    """The place of the first host that is in the way, -1 where it is none, and what to say of it.

    Args:
        draft: as it was judged.
        judged: with a block at least.
        before: what is said before that.
    """
    blocks = judged.blocks
    at, first = blocks[0]
    it = draft.candidates[at] if at >= 0 else None
    called = sanitize(it.name or it.address) if it else ""
    seen = shorten(first.seen, 110, placeholder=" ...")  # the rest is in sight below the list
    said = seen if not called or called in seen else f"{called}: {seen}"
    said = f"{said}; {first.remedy}" if first.remedy else said
    more = f" (and {len(blocks) - 1} more)" if len(blocks) > 1 else ""
    return at, sanitize(f"{before}; {said}{more}" if before else f"{said}{more}")


def _words(draft: Draft, at: int) -> str:
    """What a filter looks in."""
    it = draft.candidates[at]
    return " ".join((it.name, it.address, it.role, it.label, it.source)).lower()
