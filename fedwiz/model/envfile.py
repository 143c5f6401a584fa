"""Environment files, such as /etc/sysconfig/flanneld: reading and editing.

`with_values` mirrors what `scripts/sysconfig.sh` does on a host, so that the plan can show it; a
test checks that both agree.
"""

import re
from collections.abc import Mapping

_ASSIGNS = r"^[ \t]*{}=(.*)$"


def values(text: str) -> dict[str, str]:
    """The variables that are set, unquoted; the last assignment of a name wins."""
    found = {}
    for name, value in re.findall(r"^[ \t]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$", text, re.MULTILINE):
        bare = value.strip()
        if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
            bare = bare[1:-1]
        found[name] = bare
    return found


def with_values(text: str, wanted: Mapping[str, str]) -> str:
    """The text with those variables set: existing ones in place, new ones at the end."""
    for name, value in wanted.items():
        line = f'{name}="{value}"'
        assigned = re.compile(_ASSIGNS.format(re.escape(name)), re.MULTILINE)
        if assigned.search(text):
            text = assigned.sub(line.replace("\\", r"\\"), text)
        else:
            text += ("" if not text or text.endswith("\n") else "\n") + line + "\n"
    return text
