"""`--set key=value`: overrides answers on the command line.

The key is that of the answer file (`network.cidr`); a host's key contains the host's name
(`host.fed-node1.interface`). Setting the address of an unknown host adds that host
(`host.fed-node4.address=192.168.122.80`). The value is TOML, or plain text if the question expects
text or the value is not valid TOML: `subnet_len=24`, `identity=["~/.ssh/a"]`.

A new `backend.type` resets the backend's options to their defaults, since the old ones belong to
the old type.
"""

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fedwiz.answers import rules
from fedwiz.answers.questions import QUESTIONS
from fedwiz.answers.sections import SECTIONS

MAX_DOTS_SQUARED = 40_000_000
"""Limit on the sum, over all lines, of the number of dots squared: tomllib's cost for a dotted key
of so many parts grows with it. A text at the limit takes half a second; two thousand addresses on
one line stay below it."""

_KINDS = {"version": "number"} | {question.path: question.kind for question in QUESTIONS}


def toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: it is not TOML, or has keys of thousands of parts.
        RecursionError: it is nested too deeply.
    """
    if sum(line.count(".") ** 2 for line in text.split("\n")) > MAX_DOTS_SQUARED:
        raise ValueError("it has keys of thousands of parts")
    return tomllib.loads(text)


def apply_overrides(
    data: Mapping[str, Any], sets: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Apply the overrides to a copy of the data; also returns refusals, by key.

    `data` itself is not modified.
    """
    values = {key: _copy(value) for key, value in data.items()}
    why: dict[str, str] = {}
    pairs = [text.partition("=") for text in sets]
    new = {_split(path)[1] for path, _, _ in pairs if _split(path)[::2] == ("host", "address")}
    for path, equals, value in sorted(pairs, key=lambda pair: pair[0] != "backend.type"):
        key = path if path.isprintable() and len(path) <= 120 else rules.clip(path)
        try:
            _apply(values, path, value if equals else None, new)
        except ValueError as error:
            why[key or "--set"] = str(error)
    return values, why


def _copy(value: Any) -> Any:  # noqa: ANN401 - any of TOML's types
    """A copy of a table or a list of tables; deeper levels are never modified, so shared."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return [dict(item) if isinstance(item, Mapping) else item for item in value]
    return value


def _split(path: str) -> tuple[str, str, str]:
    """Split a path into section, host name and key; a host name may contain dots."""
    section, _, rest = path.partition(".")
    if not rest:
        return "", "", section
    if section != "host":
        return section, "", rest
    name, _, key = rest.rpartition(".")
    return section, name, key


def _apply(values: dict[str, Any], path: str, text: str | None, new: set[str]) -> None:
    """Apply one override; `text` is None if it has no `=`.

    Raises:
        ValueError: it can't be applied; the message says what would be valid.
    """
    if text is None:
        raise ValueError("it has no value; write --set key=value")
    if any("\ud800" <= letter <= "\udfff" for letter in path + text):
        raise ValueError("not UTF-8; set the terminal to UTF-8")
    section, name, key = _split(path)
    question = f"{section}.{key}" if section else key
    if question not in _KINDS:
        raise ValueError(_unknown(section, question))
    if section == "host":
        table = _host(values, name, new)
    else:
        table = values.setdefault(section, {}) if section else values
    if not isinstance(table, dict):
        raise ValueError(f"[{section}] is not a table in the file; make it one")
    value = _value(text, _KINDS[question])
    if question == "backend.type" and table.get("type", "vxlan") != value:
        table.clear()
    table[key] = value


def _unknown(section: str, question: str) -> str:
    candidates = [path for path in _KINDS if path.endswith(f".{question}")]
    candidates = candidates or get_close_matches(question.lower(), _KINDS, 1, 0.6)
    known = [path for path in _KINDS if section and path.startswith(f"{section}.")]
    known = known or ([] if candidates else ["name", *SECTIONS])
    refusal = rules.unknown(question, known, elsewhere="".join(candidates[:1]))
    return refusal.replace("`host.", "`host.NAME.")


def _host(values: dict[str, Any], name: str, new: set[str]) -> Any:  # noqa: ANN401 - TOML's
    hosts = values.setdefault("host", [])
    if not isinstance(hosts, list):
        raise ValueError("`host` is not a list of [[host]] tables in the file; make it one")
    tables = [host for host in hosts if isinstance(host, dict)]
    for host in tables:
        if host.get("name") == name:
            return host
    if not name:
        raise ValueError("whose?  Write --set host.NAME.key=value")
    if name not in new:
        names = [host["name"] for host in tables if isinstance(host.get("name"), str)]
        close = get_close_matches(name, names, 1, 0.6)
        hint = f"did you mean `{close[0]}`?  " if close else ""
        raise ValueError(f"no such host; {hint}To add it, set its address, too")
    hosts.append({"name": name})
    return hosts[-1]


def _value(text: str, kind: str) -> Any:  # noqa: ANN401 - any of TOML's types
    """The text as a TOML value, otherwise unchanged."""
    try:
        read = toml(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    if set(read) != {"value"}:  # a newline in the text started another key
        return text
    value = read["value"]
    return text if kind in ("text", "choice") and not isinstance(value, str) else value
