"""A dialog with all unknown host keys in one table."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Static

from fedwiz.ssh.known_hosts import UnknownKeyError
from fedwiz.util.sanitize import sanitize
from screens.dialogs.dialog import Dialog
from screens.widgets import signs
from screens.widgets.frame import StatusLine
from screens.widgets.host_table import differs


class KeyTable(DataTable[Text]):
    """Describes Enter.  As the table's own key it does not overtake keys typed before it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Continue")]


class HostKeys(Dialog[tuple[UnknownKeyError, ...]]):
    """Asks which host keys are right.  Returns the accepted ones; at first none is accepted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Accept none"),
        Binding("space", "tick", "Right"),
        Binding("a", "all", "All are right"),
    ]
    DEFAULT_CSS = """
    HostKeys > #dialog { width: 96%; max-width: 100; }
    HostKeys DataTable { height: auto; max-height: 60vh; background: $surface; }
    HostKeys DataTable > .datatable--header { background: $surface; }
    HostKeys #how { margin-top: 1; }
    HostKeys StatusLine { padding: 0; }
    """

    def __init__(
        self, keys: Sequence[tuple[str, UnknownKeyError]], seen: Mapping[str, str]
    ) -> None:
        """Ask for approval of host keys.

        Args:
            keys: each with the address of its host or the name of its bastion.
            seen: by address, type and fingerprint of the key that the search saw.
        """
        super().__init__("Are these the machines' own keys?")
        self._keys, self._seen = tuple(keys), seen
        self._right: set[int] = set()

    def content(self) -> ComposeResult:
        """The table, how to compare keys, and how many are accepted."""
        yield KeyTable(cursor_type="row", cell_padding=0, id="keys")
        yield Static(id="how")
        yield StatusLine(id="said")

    def on_mount(self) -> None:
        """Fill the table."""
        table = self._table
        for title, width in (("", 4), ("host", 16), ("type and fingerprint", 52)):
            table.add_column(title, width=width)
        for at in range(len(self._keys)):
            sign, host, key = self._cells(at)
            table.add_row(sign, host, key, height=3 if self._changed_key(at) else 2)
        table.focus()
        self._say()

    @property
    def _table(self) -> KeyTable:
        return self.query_one(KeyTable)

    def _changed_key(self, at: int) -> str:
        """The key that the search saw, if it is of the same type but different."""
        address, key = self._keys[at]
        seen = self._seen.get(address, "")
        return seen if seen and differs(seen, f"{key.kind} {key.fingerprint}") else ""

    def _cells(self, at: int) -> tuple[Text, Text, Text]:
        address, key = self._keys[at]
        host = (
            sanitize(key.host)
            if key.host == address
            else f"{sanitize(key.host)}\n{sanitize(address)}"
        )
        shown = Text(f"{key.kind}\n{key.fingerprint}", no_wrap=True, overflow="ellipsis")
        if other := self._changed_key(at):
            shown.append("\n")
            shown.append_text(signs.cell(self.app, "changed", sanitize(other.partition(" ")[2])))
        tick = Text("[x]" if at in self._right else "[ ]")
        return tick, Text(host, no_wrap=True, overflow="ellipsis"), shown

    @on(DataTable.RowHighlighted)
    def highlighted(self) -> None:
        """Show how to verify the key under the cursor."""
        at = self._table.cursor_row
        if at >= len(self._keys):
            return
        kind = self._keys[at][1].kind
        short = "ecdsa" if kind.startswith("ecdsa") else kind.removeprefix("ssh-")
        lines = [
            Content.assemble(
                Content.styled("Compare on its console, where it says:\n", "$text-muted"),
                f"ssh-keygen -lf /etc/ssh/ssh_host_{short}_key.pub",
            )
        ]
        if self._changed_key(at):
            lines.append(
                signs.mark("changed", "is what the search saw here: somebody may be in between")
            )
        self.query_one("#how", Static).update(Content("\n").join(lines))

    def action_tick(self) -> None:
        """Toggle whether this key is accepted."""
        self._right ^= {self._table.cursor_row}
        self._redraw([self._table.cursor_row])

    def action_all(self) -> None:
        """Accept all keys except those that differ from what the search saw; if all are, none."""
        plain = {at for at in range(len(self._keys)) if not self._changed_key(at)}
        self._right = set() if plain <= self._right else self._right | plain
        self._redraw(range(len(self._keys)))

    def _redraw(self, rows: Sequence[int]) -> None:
        for at in rows:
            self._table.update_cell_at(Coordinate(at, 0), self._cells(at)[0])
        self._say()

    def _say(self) -> None:
        right, every = len(self._right), len(self._keys)
        text = f"{right} of {every} accepted"
        hint = "; a host whose key is not accepted is not read" if right < every else ""
        self.query_one("#said", StatusLine).say(text + hint, "" if right < every else "ok")

    @on(DataTable.RowSelected)
    def accept(self) -> None:
        """Close with the accepted keys."""
        if self.is_current:
            self.dismiss(tuple(self._keys[at][1] for at in sorted(self._right)))

    def action_close(self) -> None:
        """Close without accepting any key."""
        if self.is_current:
            self.dismiss(())
