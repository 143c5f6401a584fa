"""Verdicts on hosts: a table of one kind, and the full text of the row under the cursor."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from fedwiz.etcd.leases import parse_leases
from fedwiz.model.actions import Value
from fedwiz.model.events import Verified
from fedwiz.util.sanitize import sanitize
from screens.widgets.signs import cell, finding

NOBODY = "no known host"
"""Host of a verdict about an address that belongs to no host of the answers."""


WORDS_WORST_FIRST = ("fail", "skipped", "warn", "pass")
"""The words of verdicts on screens."""


def word(it: Verified) -> str:
    """The verdict in one word; a pass with a reason is a warning."""
    return "warn" if it.level == "pass" and it.why else it.level


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A row of the table."""

    verdict: Verified
    cells: tuple[str, ...] = ()


Rows = Callable[[Verified], Iterator[VerdictRow]]
"""Makes the rows of a verdict."""


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """How to show a kind of verdicts."""

    kind: str
    columns: tuple[str, ...]
    """Titles after `verdict` and `host`; a leading blank means right-aligned numbers."""

    rows: Rows
    command: str
    """The command of the manual procedure that shows the same."""


def _addresses(it: Verified) -> Iterator[VerdictRow]:
    """Parse `ip -4 address`: of each line with an address, the last word is the device."""
    found = dict[str, list[str]]()
    for line in it.seen.splitlines():
        if match := re.match(r"\s*inet (\S+).*?(\S+)\s*$", line):
            found.setdefault(match[2], []).append(match[1])
    flannel = [
        text for name, texts in found.items() if name.startswith("flannel") for text in texts
    ]
    yield VerdictRow(it, (", ".join(flannel), ", ".join(found.get("docker0", ()))))


def _leases(it: Verified) -> Iterator[VerdictRow]:
    """A row for each lease, or one row for a host without any."""
    lines = it.seen.splitlines()
    for line in lines:
        key, _, text = line.partition(" ")
        for lease in parse_leases([Value(key, text, 0)]):
            yield VerdictRow(it, (lease.subnet, lease.public_ip, lease.mac))
    if not lines:
        yield VerdictRow(it, ("", "", ""))


def _subnet_env(it: Verified) -> Iterator[VerdictRow]:
    values = dict(line.partition("=")[::2] for line in it.seen.splitlines())
    names = ("FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_IPMASQ")
    yield VerdictRow(it, tuple(values.get(name, "") for name in names))


VERDICT_TABLES: Mapping[str, VerdictTable] = {
    "address": VerdictTable("address", ("flannel", "docker0"), _addresses, "ip -4 a | grep inet"),
    "lease": VerdictTable(
        "lease",
        ("subnet", "public IP", "VtepMAC"),
        _leases,
        "curl -s .../v2/keys/.../subnets | python -mjson.tool",
    ),
    "subnet_env": VerdictTable(
        "subnet_env", ("subnet", " MTU", "masquerades"), _subnet_env, "cat /run/flannel/subnet.env"
    ),
}
"""By kind of verdict."""


def raw(it: Verified) -> str:
    """The data of the host or etcd, as the manual procedure's commands would show it."""
    if it.kind != "lease":
        return "\n".join(map(sanitize, it.seen.splitlines()))
    shown = list[str]()
    for line in it.seen.splitlines():
        key, _, text = line.partition(" ")
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=4)
        shown += [sanitize(key), *map(sanitize, text.splitlines())]
    return "\n".join(shown)


class Verdicts(Vertical):
    """A table of the verdicts of one kind, and the raw data of the row under the cursor."""

    DEFAULT_CSS = """
    Verdicts DataTable { height: auto; max-height: 55%; margin-bottom: 1; }
    Verdicts .whole { height: 1fr; }
    """

    EMPTY: ClassVar[str] = "Nothing is known yet."

    def __init__(self, kind: str, id: str | None = None) -> None:
        super().__init__(id=id)
        self._table, self._rows = VERDICT_TABLES[kind], list[VerdictRow]()
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """The table and the full text."""
        yield DataTable[Text](cursor_type="row")
        with VerticalScroll(classes="whole"):
            yield Static("")

    def show(self, verdicts: Sequence[Verified]) -> None:
        """Show the verdicts of this kind; redraw only if they changed."""
        mine = [it for it in verdicts if it.kind == self._table.kind]
        room = 16 if self.app.size.width < 100 else 32  # 100: names and a MAC side by side
        drawn = (mine, room, self.app.theme)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._rows = [row for it in mine for row in self._table.rows(it)]
        table = self.query_one(DataTable)
        here = table.cursor_row
        table.clear(columns=True)
        for title in ("verdict", "host", *self._table.columns):
            table.add_column(Text(title.strip(), justify="right" if title[0] == " " else "left"))
        for row in self._rows:
            table.add_row(*self._cells(row, room))
        table.move_cursor(row=here)
        table.display = bool(self._rows)
        self._show_raw()

    def _cells(self, row: VerdictRow, room: int) -> Iterator[Text]:
        it = row.verdict
        yield cell(self.app, word(it))
        name = sanitize(it.host) or NOBODY
        yield Text(name if len(name) <= room else name[: room - 1] + "~")
        for title, text in zip(self._table.columns, row.cells, strict=True):
            yield Text(sanitize(text) or "-", justify="right" if title[0] == " " else "left")

    def to_next(self) -> bool:
        """Move to the next verdict that is not a plain pass; returns whether there is one."""
        table, count = self.query_one(DataTable), len(self._rows)
        for step in range(1, count + 1):
            at = (table.cursor_row + step) % count
            if word(self._rows[at].verdict) != "pass":
                table.move_cursor(row=at)
                return True
        return False

    @on(DataTable.RowHighlighted)
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self._show_raw()

    def _show_raw(self) -> None:
        at, whole = self.query_one(DataTable).cursor_row, self.query_one(".whole", VerticalScroll)
        whole.query_one(Static).update(self._whole(at))
        whole.scroll_home(animate=False)

    def _whole(self, at: int) -> Content:
        if not 0 <= at < len(self._rows):
            return Content.styled(self.EMPTY, "$text-muted")
        it = self._rows[at].verdict
        headline = finding(word(it), it.host or NOBODY, "", it.why)
        return Content.assemble(
            headline,
            "\n",
            Content.styled(f"$ {self._table.command}\n", "$text-muted"),
            raw(it) or "(nothing)",
        )
