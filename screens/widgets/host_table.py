"""The table of machines, and the details of one."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, TypeAlias

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from fedwiz.checks import CHECKS, Finding
from fedwiz.checks.hosts import MASTER_KUBE, NODE_KUBE
from fedwiz.facts import Facts
from fedwiz.facts.values import Link
from fedwiz.model.events import LEVELS_WORST_FIRST
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard.candidates import Judged
from fedwiz.wizard.draft import Candidate, Draft
from fedwiz.wizard.inventory import Inventory
from screens.widgets import signs

Part: TypeAlias = tuple[str, str]
"""A state word of `signs` and a text; `~` before the word: only its colour, no sign."""

Cells: TypeAlias = tuple[tuple[Part, ...], ...]
"""The cells of a row."""

Row: TypeAlias = tuple[int, Cells]
"""A candidate's index in the draft, and its cells."""

COLUMNS = ("", "role", "name", "address", "host key", "system", "services")
NARROW = (4, 7, 15, 16, 10, 10, 15)
"""Column widths on an 80-column terminal, including the blank after each."""

LEVELS_BEST_FIRST = ("", *reversed(LEVELS_WORST_FIRST))


@dataclass(frozen=True)
class HostsSeen:
    """Everything that is known about the machines."""

    draft: Draft
    inventory: Inventory
    findings: Judged
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By address and service, the finding level of the `services` check."""

    doing: Mapping[str, str] = field(default_factory=dict)
    """By address, the progress of reading the host."""

    @cached_property
    def _decided(self) -> bool:
        return any(it.role == "master" for it in self.draft.chosen)

    def _role(self, it: Candidate) -> str:
        """Its role.  If the operator gave none, `node`, once there is a master."""
        return it.role or ("node" if self._decided and it.chosen else "")

    def cells(self, at: int) -> Cells:
        """The cells of a candidate's row."""
        it = self.draft.candidates[at]
        worst = max(
            (f.level for f in self.findings.rows[at]), key=LEVELS_BEST_FIRST.index, default=""
        )
        tone = "~block" if worst == "block" else ""
        name = sanitize(it.name) or " "
        return (
            ((tone, "[x]" if it.chosen else "[ ]"),),
            ((tone, self._role(it)),),
            ((worst, name) if worst else ("", f"  {name}"),),
            ((tone, sanitize(it.address)),),
            (self._key(it),),
            (self._system(it),),
            tuple(self._services(it)),
        )

    def _key(self, it: Candidate) -> Part:
        if it.address in self.inventory.changed:
            return "changed", "changed"
        if it.address in self.inventory.unknown:
            return "unknown", "new"
        read = it.address in self.inventory.facts
        if it.host_key:
            return ("ok" if read else "", "pinned")
        if read:
            return "ok", "known"
        return "", "seen" if it.shown_key else ""

    def _system(self, it: Candidate) -> Part:
        if it.address in self.doing:
            return self.doing[it.address], ""
        if it.address in self.inventory.lost:
            return "lost", ""
        facts = self.inventory.facts.get(it.address)
        if facts is not None:
            return "", sanitize(f"{facts.os} {facts.os_version}".strip())
        return ("unknown", "silent") if it.silent else ("", "")

    def _services(self, it: Candidate) -> Iterator[Part]:
        """Its main service, and its Kubernetes services together."""
        facts = self.inventory.facts.get(it.address)
        if facts is None or not it.chosen:
            return
        levels = self.services.get(it.address, {})
        master = self._role(it) == "master"
        first, kube = ("etcd", MASTER_KUBE) if master else ("docker", NODE_KUBE)
        yield levels.get(first, ""), first
        yield max((levels.get(name, "") for name in kube), key=LEVELS_BEST_FIRST.index), "kube"

    def detail(self, at: int) -> Content:
        """Everything known about a candidate, problems first."""
        it = self.draft.candidates[at]
        facts, lines = self.inventory.facts.get(it.address), list[Content | str]()
        about = (
            self._role(it),
            sanitize(it.address) if it.name else "",
            it.label and f"label {sanitize(it.label)}",
        )
        lines.append(
            Content.assemble(
                Content.styled(sanitize(it.name) or sanitize(it.address) or "(no address)", "bold"),
                *(f"  {text}" for text in about if text),
            )
        )
        lines += [signs.finding(f.level, "", f.seen, f.remedy) for f in self.findings.rows[at]]
        lines += [
            Content.assemble(Content.styled(f"{title:<12}", "$text-muted"), text)
            for title, text in (*self._keys(it), *(self._facts(it, facts) if facts else ()))
            if text
        ]
        lines.append(
            Content.assemble(
                Content.styled(f"{'from':<12}", "$text-muted"), sanitize(it.source) or "you"
            )
        )
        return Content("\n").join(it if isinstance(it, Content) else Content(it) for it in lines)

    def _keys(self, it: Candidate) -> Iterator[tuple[str, Content | str]]:
        key = self.inventory.unknown.get(it.address)
        shown = f"{key.kind} {key.fingerprint}" if key else it.shown_key
        text = self._key(it)[1]
        yield f"{text} key".strip(), sanitize(shown)
        yield "pinned", sanitize(it.host_key)
        if key and it.shown_key and differs(it.shown_key, shown):
            yield "", signs.mark("changed", f"the search saw {sanitize(it.shown_key)}")

    def _facts(self, it: Candidate, facts: Facts) -> Iterator[tuple[str, Content | str]]:
        virt = "" if facts.virt in ("", "none") else f", {facts.virt}"
        yield (
            "system",
            sanitize(f"{facts.os} {facts.os_version}, kernel {facts.kernel}, {facts.arch}{virt}"),
        )
        if facts.hostname and facts.hostname != it.name:
            yield "host name", sanitize(facts.hostname)
        levels = self.services.get(it.address, {})
        master = self._role(it) == "master"
        names = ("etcd", *MASTER_KUBE) if master else ("docker", *NODE_KUBE)
        yield (
            "services",
            Content("  ").join(
                signs.mark(levels.get(name, "ok"), name.removeprefix("kube-")) for name in names
            ),
        )
        links = [link for link in facts.links if link.name != "lo"]
        yield "interfaces", sanitize(", ".join(map(_link, links)))


def _link(link: Link) -> str:
    return " ".join((link.name, *link.addresses)) + ("" if link.up else " (down)")


def differs(seen: str, shown: str) -> bool:
    """Whether two keys of the same type differ; keys of different types cannot be compared."""
    return seen != shown and seen.partition(" ")[0] == shown.partition(" ")[0]


def services(found: Iterable[Finding], addresses: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """By address and service, the level of the `services` check's findings.

    Args:
        found: the check's findings; each starts with the name of a service.
        addresses: by the host names used in the findings.
    """
    levels: dict[str, dict[str, str]] = {}
    for it in found:
        if it.level != "ok" and it.host in addresses:
            levels.setdefault(addresses[it.host], {})[it.seen.partition(" ")[0]] = it.level
    return levels


SERVICES_CHECK = next(check for check in CHECKS if check.name == "services")


class HostTable(DataTable[Text]):
    """A row per machine, with fixed column widths that fit the terminal."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", "First", show=False),
        Binding("end", "scroll_bottom", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", cell_padding=0, id="hosts")
        self._rows: list[Row] = []
        self._stale = False
        """The whole table needs a redraw."""

    def on_mount(self) -> None:
        """Add the columns."""
        for at, title in enumerate(COLUMNS):
            self.add_column(title, width=NARROW[at], key=str(at))

    def fit(self, width: int) -> None:
        """Widen the name column, then the services column, if there are more than 80 columns."""
        spare = max(0, width - sum(NARROW) - 1)
        name = NARROW[2] + min(spare * 2 // 3, 50)
        widths = [*NARROW[:2], name, *NARROW[3:6], NARROW[6] + min(spare // 3, 20)]
        if [column.width for column in self.ordered_columns] != widths:
            for column, each in zip(self.ordered_columns, widths, strict=True):
                column.width = each
            self._stale = True

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; redraw only what has changed."""
        old, rows = self._rows, list(rows)
        if self._stale or [at for at, _ in rows[: len(old)]] != [at for at, _ in old]:
            here, self._stale, self._rows = self.place, False, rows
            self.clear()
            for _, cells in rows:
                self.add_row(*map(self._cell, cells, range(len(cells))))
            self.to(here)
            return
        for number, (_, cells) in enumerate(rows[: len(old)]):
            for column, cell in enumerate(cells):
                if cell != old[number][1][column]:
                    self.update_cell_at(Coordinate(number, column), self._cell(cell, column))
        for _, cells in rows[len(old) :]:
            self.add_row(*map(self._cell, cells, range(len(cells))))
        self._rows = rows

    @property
    def place(self) -> int:
        """Index in the draft of the candidate under the cursor; -1: the table is empty."""
        return self._rows[self.cursor_row][0] if self.cursor_row < len(self._rows) else -1

    @property
    def shown(self) -> Collection[int]:
        """Indexes in the draft of all rows."""
        return [at for at, _ in self._rows]

    def to(self, index: int) -> None:
        """Move the cursor to a candidate, or to the next row after it."""
        after = (number for number, (at, _) in enumerate(self._rows) if at >= index)
        self.move_cursor(row=next(after, max(0, len(self._rows) - 1)))

    def _cell(self, parts: tuple[Part, ...], column: int) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, (word, content) in enumerate(parts):
            text.append(" " if number else "")
            if word.startswith("~"):
                text.append_text(signs.cell(self.app, word[1:], content or " ")[2:])
            else:
                text.append_text(signs.cell(self.app, word, content) if word else Text(content))
        text.truncate(self.ordered_columns[column].width - 1, overflow="ellipsis")
        return text
