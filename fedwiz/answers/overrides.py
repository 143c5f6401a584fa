"""`--set key=value`: answers changed from the command line.

The key is that of the answer file (`network.cidr`); a host's has the host's name in it
(`host.fed-node1.interface`).  A host that is not there yet is added by its address
(`host.fed-node4.address=192.168.122.80`).  The value is one of TOML's, or plain text where the
question wants text or it is none of TOML's: `subnet_len=24`, `identity=["~/.ssh/a"]`.

A new `backend.type` begins with its own options' defaults, since the others are the old type's.
"""

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fedwiz.answers import rules
from fedwiz.answers.questions import QUESTIONS
from fedwiz.answers.sections import SECTIONS

MOST_DOTTED = 40_000_000
"""The sum, over a text's lines, of the number of dots squared: what tomllib takes for a key of so
many parts grows with it.  Such lines take half a second; two thousand addresses in one are fewer.
"""

_KINDS = {"version": "number"} | {question.path: question.kind for question in QUESTIONS}


def toml(text: str) -> dict[str, Any]:
    """What TOML says.

    Raises:
        ValueError: it is not TOML, or nobody's: it has keys of thousands of parts.
        RecursionError: it is nested too deeply.
    """
    if sum(line.count(".") ** 2 for line in text.split("\n")) > MOST_DOTTED:
        raise ValueError("it has keys of thousands of parts")
    return tomllib.loads(text)


def overlaid(data: Mapping[str, Any], sets: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The data as the sets change it, and why some could not be followed, by key.

    `data` itself stays as it is.
    """
    said = {key: _copy(value) for key, value in data.items()}
    why: dict[str, str] = {}
    pairs = [text.partition("=") for text in sets]
    new = {_split(path)[1] for path, _, _ in pairs if _split(path)[::2] == ("host", "address")}
    for path, equals, value in sorted(pairs, key=lambda pair: pair[0] != "backend.type"):
        key = path if path.isprintable() and len(path) <= 120 else rules.clip(path)
        try:
            _put(said, path, value if equals else None, new)
        except ValueError as wrong:
            why[key or "--set"] = str(wrong)
    return said, why


def _copy(value: Any) -> Any:  # noqa: ANN401 - any of TOML's types
    """A table, or a list of tables, that can be changed; what is deeper is never changed."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return [dict(item) if isinstance(item, Mapping) else item for item in value]
    return value


def _split(path: str) -> tuple[str, str, str]:
    """Section, host's name and key; a host's name may hold dots."""
    section, _, rest = path.partition(".")
    if not rest:
        return "", "", section
    if section != "host":
        return section, "", rest
    name, _, key = rest.rpartition(".")
    return section, name, key


def _put(said: dict[str, Any], path: str, text: str | None, new: set[str]) -> None:
    """Follow one set; its text is None where there is no `=`.

    Raises:
        ValueError: it can't be followed; the message says what would be right.
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
        table = _host(said, name, new)
    else:
        table = said.setdefault(section, {}) if section else said
    if not isinstance(table, dict):
        raise ValueError(f"[{section}] is no table in the file; make it one")
    value = _value(text, _KINDS[question])
    if question == "backend.type" and table.get("type", "vxlan") != value:
        table.clear()
    table[key] = value


def _unknown(section: str, question: str) -> str:
    near = [path for path in _KINDS if path.endswith(f".{question}")]
    near = near or get_close_matches(question.lower(), _KINDS, 1, 0.6)
    known = [path for path in _KINDS if section and path.startswith(f"{section}.")]
    known = known or ([] if near else ["name", *SECTIONS])
    said = rules.unknown(question, known, elsewhere="".join(near[:1]))
    return said.replace("`host.", "`host.NAME.")


def _host(said: dict[str, Any], name: str, new: set[str]) -> Any:  # noqa: ANN401
    hosts = said.setdefault("host", [])
    if not isinstance(hosts, list):
        raise ValueError("`host` is no list of [[host]] tables in the file; make it one")
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
    """The text as a TOML value, or as it is."""
    try:
        read = toml(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    if set(read) != {"value"}:  # a line end in the text began another key
        return text
    value = read["value"]
    return text if kind in ("text", "choice") and not isinstance(value, str) else value
