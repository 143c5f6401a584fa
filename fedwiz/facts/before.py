"""The backup of a host from before fedwiz first changed it: how to fetch and parse it.

`scripts/keep.sh` writes it; each part has the format of the fact of the same name.
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
"""The parts that are facts, with their parsers."""

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
"""Parts sent as plain text; files that were saved whole are sent as `files` and `hashes`."""


def backup_script(files: Sequence[str], hashed: Sequence[str]) -> str:
    """Shell that prints every part as `NAME base64`; prints nothing if there is no backup."""
    texts, long = shlex.join(files), " ".join(shlex.quote(f".{path}") for path in hashed)
    return (
        f"cd {BEFORE} || exit; b() {{ printf '%s %s\\n' $1 \"$(base64 | tr -d '\\n')\"; }}; "
        f"for n in {' '.join(TEXT_PARTS)}; do b $n <$n; done; cd files || exit; "
        f'for f in {texts}; do [ -f ".$f" ] && printf \'%s %s %s\\n\' "$f" '
        '"$(stat -L -c "%a %U:%G" ".$f")" "$(head -c 65536 ".$f" | base64 | tr -d "\\n")"; done '
        f"| b files; sha256sum -- {long} | sed 's|  \\./|  /|' | b hashes"
    )


def parse_backup(output: str) -> Mapping[str, Any]:
    """Parse the `NAME base64` lines of all parts; empty output means that there is no backup.

    Raises:
        ValueError: a part is missing, or is not what it is called.
    """
    if not output.strip():
        return {"backup": None}
    parts = dict[str, str]()
    for line in output.splitlines():
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
    return {"backup": Backup(Facts(**fields), asked, *_etcd(parts.get("etcd", "")))}


def etcd_as_json(api: str, config: Value | None, leases: Sequence[Value]) -> str:
    """The contents of etcd as JSON, in the format of the backup."""
    config_fields = None if config is None else {"value": config.text, "revision": config.revision}
    values = {
        "api": api,
        "config": config_fields,
        "leases": {lease.key: lease.text for lease in leases},
    }
    return json.dumps(values, indent=1) + "\n"


def _etcd(text: str) -> tuple[str, str | None, frozenset[str]]:
    """The API, the config's text and the leases' keys; empty if the backup has no etcd part."""
    if not text.strip():
        return "", None, frozenset()
    try:
        values = json.loads(text)
        api, config, leases = values["api"], values["config"], values["leases"]
        value = None if config is None else config["value"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"what etcd held can't be read: {error!r}") from None
    if (
        not isinstance(api, str)
        or not isinstance(value, str | None)
        or not isinstance(leases, dict)
    ):
        raise ValueError("what etcd held can't be read")
    return api, value, frozenset(map(str, leases))
