"""What a host was like before fedwiz first changed it: how that is asked for, and read.

`scripts/keep.sh` writes it; of each part the form is that of the fact of the same name.
"""

import base64
import binascii
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedwiz.facts import parse
from fedwiz.facts.values import Backup, Facts
from fedwiz.model.actions import Value

BEFORE = "/var/lib/fedwiz/before"

PARSERS: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "names": parse.names,
    "links": parse.links,
    "routes": parse.routes,
    "units": parse.units,
    "files": parse.files,
    "hashes": parse.hashes,
    "sysctls": parse.sysctls,
    "modules": parse.modules,
    "packages": parse.packages,
    "rules": parse.rules,
    "firewall": parse.firewall,
}
"""The parts that are facts."""

TEXT_PARTS = (
    "names",
    "links",
    "routes",
    "units",
    "sysctls",
    "modules",
    "packages",
    "rules",
    "firewall",
    "asked",
    "etcd",
)
"""Files that are told as they are; those that were kept whole are told as `files` and `hashes`."""


def ask(files: Sequence[str], hashed: Sequence[str]) -> str:
    """Shell that tells every part as `NAME base64`; nothing where nothing was kept."""
    texts, long = shlex.join(files), " ".join(shlex.quote(f".{path}") for path in hashed)
    return (
        f"cd {BEFORE} || exit; b() {{ printf '%s %s\\n' $1 \"$(base64 | tr -d '\\n')\"; }}; "
        f"for n in {' '.join(TEXT_PARTS)}; do b $n <$n; done; cd files || exit; "
        f'for f in {texts}; do [ -f ".$f" ] && printf \'%s %s %s\\n\' "$f" '
        '"$(stat -L -c "%a %U:%G" ".$f")" "$(head -c 65536 ".$f" | base64 | tr -d "\\n")"; done '
        f"| b files; sha256sum -- {long} | sed 's|  \\./|  /|' | b hashes"
    )


def kept(said: str) -> Mapping[str, Any]:
    """`NAME base64` lines of every part; empty: nothing was kept.

    Raises:
        ValueError: a part is missing, or is not what it is called.
    """
    if not said.strip():
        return {"kept": None}
    parts = dict[str, str]()
    for line in said.splitlines():
        name, _, encoded = line.partition(" ")
        try:
            parts[name] = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
        except binascii.Error:
            raise ValueError(f"{name} is not base64") from None
    fields = dict[str, Any]()
    for name, read in PARSERS.items():
        if name not in parts:
            raise ValueError(f"{name} is missing")
        fields.update(read(parts[name]))
    asked = frozenset(parts.get("asked", "").splitlines())
    return {"kept": Backup(Facts(**fields), asked, *_etcd(parts.get("etcd", "")))}


def told(api: str, config: Value | None, leases: Sequence[Value]) -> str:
    """What etcd holds, in the form that is kept: JSON."""
    one = None if config is None else {"value": config.text, "revision": config.revision}
    said = {"api": api, "config": one, "leases": {each.key: each.text for each in leases}}
    return json.dumps(said, indent=1) + "\n"


def _etcd(said: str) -> tuple[str, str | None, frozenset[str]]:
    """The API, the config's text, the leases' keys; nothing on hosts that keep no word of etcd."""
    if not said.strip():
        return "", None, frozenset()
    try:
        found = json.loads(said)
        api, config, leases = found["api"], found["config"], found["leases"]
        value = None if config is None else config["value"]
    except (KeyError, TypeError, RecursionError) as wrong:
        raise ValueError(f"what etcd held can't be read: {wrong!r}") from None
    if (
        not isinstance(api, str)
        or not isinstance(value, str | None)
        or not isinstance(leases, dict)
    ):
        raise ValueError("what etcd held can't be read")
    return api, value, frozenset(map(str, leases))
