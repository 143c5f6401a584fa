"""Environment files, such as /etc/sysconfig/flanneld: read, and as an edit leaves them.

`with_values` is what `scripts/sysconfig.sh` does on a host, for the plan to show; a test
holds the two together.
"""

import re
from collections.abc import Mapping

_ASSIGNS = r"^[ \t]*{}=(.*)$"


def values(text: str) -> dict[str, str]:
    """The variables that are set, without their quotes; the last one of a name counts."""
    found = {}
    for name, value in re.findall(r"^[ \t]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$", text, re.MULTILINE):
        bare = value.strip()
        if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
            bare = bare[1:-1]
        found[name] = bare
    return found


def with_values(text: str, wanted: Mapping[str, str]) -> str:
    """The text with those variables set, each where it stood, new ones at the end."""
    for name, value in wanted.items():
        line = f'{name}="{value}"'
        assigned = re.compile(_ASSIGNS.format(re.escape(name)), re.MULTILINE)
        if assigned.search(text):
            text = assigned.sub(line.replace("\\", r"\\"), text)
        else:
            text += ("" if not text or text.endswith("\n") else "\n") + line + "\n"
    return text
