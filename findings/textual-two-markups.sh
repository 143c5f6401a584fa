#!/usr/bin/env bash
# Guess:    within one release of Textual a string means the same in every widget: either its square
#           brackets are markup everywhere, or nowhere; and an IPv6 endpoint is safe, or is not.
# Happens:  two readers of markup live side by side. Label, Button, OptionList and others parse with
#           Textual's own, which leaves "[fd00::1]:2379" alone; DataTable, Tree and a RichLog with
#           markup=True parse with Rich's, for which [fd00::1] is a tag, and show ":2379". Whether
#           an address is hit depends on its first character: "[2001:db8::1]:2379" is always shown.
# Versions: Textual 8.2.8, Rich 15.0.0.
# Source:   textual/widgets/_data_table.py (default_cell_formatter), _tree.py and _rich_log.py call
#           rich.text.Text.from_markup; the others go through textual/markup.py. Rich's
#           rich/markup.py: a tag begins with one of [a-z#/@].
set -uo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
{ python3 -m venv "$dir/v" && "$dir/v/bin/pip" install -q \
  textual==8.2.8 rich==15.0.0; } >&2 || exit 3

seen=$(TEXTUAL_ANIMATIONS=none "$dir/v/bin/python" - <<'PY'
import asyncio

from textual.app import App
from textual.widgets import Button, DataTable, Label, OptionList, RichLog, Tree

ENDPOINTS = "[fd00::1]:2379", "[2001:db8::1]:2379"


class Shown(App):
    def compose(self):
        yield Label("\n".join(ENDPOINTS))
        yield Button(" ".join(ENDPOINTS))
        yield OptionList(*ENDPOINTS)
        yield DataTable(show_header=False)
        yield Tree(" ".join(ENDPOINTS))
        yield RichLog(markup=True)

    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_column("endpoint")
        for endpoint in ENDPOINTS:
            table.add_row(endpoint)
            self.query_one(RichLog).write(endpoint)


async def main():
    app = Shown()
    async with app.run_test(size=(80, 60)) as pilot:
        await pilot.pause()
        for kind in (Label, Button, OptionList, DataTable, Tree, RichLog):
            widget = app.query_one(kind)
            strips = [widget.render_line(y).text for y in range(widget.size.height)]
            words = " ".join(strips).split()
            print(f"{kind.__name__}:", *(word for word in words if "2379" in word))


asyncio.run(main())
PY
)
want='Label: [fd00::1]:2379 [2001:db8::1]:2379
Button: [fd00::1]:2379 [2001:db8::1]:2379
OptionList: [fd00::1]:2379 [2001:db8::1]:2379
DataTable: :2379 [2001:db8::1]:2379
Tree: :2379 [2001:db8::1]:2379
RichLog: :2379 [2001:db8::1]:2379'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
