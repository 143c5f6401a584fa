"""Reads answers from a file, from `--set` and from a form, and writes them to a file.

`parse` is the single entry point. It reports every refusal at once, by key, and has no rules of its
own: those of one question are in `sections.py`, those between questions in `model.py`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fedwiz.answers import rules
from fedwiz.answers.model import Answers, cross_checks, host_paths, usual_endpoints
from fedwiz.answers.overrides import apply_overrides, toml
from fedwiz.answers.questions import QUESTIONS, Question, questions_table, schema
from fedwiz.answers.sections import (
    SECTIONS,
    BackendAnswers,
    Docker,
    Etcd,
    Flannel,
    Host,
    Network,
    Section,
    Ssh,
    Verify,
    Wizard,
)
from fedwiz.model import addresses
from fedwiz.model.backends import BACKENDS

__all__ = [
    "QUESTIONS",
    "SECTIONS",
    "Answers",
    "AnswersError",
    "BackendAnswers",
    "Docker",
    "Etcd",
    "Flannel",
    "Host",
    "Network",
    "Question",
    "Section",
    "Ssh",
    "Verify",
    "Wizard",
    "dump",
    "from_flannel_config",
    "load",
    "missing",
    "overlay",
    "parse",
    "questions_table",
    "read",
    "repeat",
    "schema",
]

S = TypeVar("S", bound=Section)

MAX_FILE_BYTES = 1 << 20
"""Maximum size of an answer file: far more than any cluster needs, and still quick to parse."""


class AnswersError(Exception):
    """Answers that can't be used."""

    def __init__(self, why: Mapping[str, str]) -> None:
        self.why: Mapping[str, str] = MappingProxyType(dict(why))
        """By key (`network.cidr`, `host[fed-node1].address`, or a file's path): what was found and
        what would be valid."""
        super().__init__("\n".join(f"{key}: {text}" for key, text in self.why.items()))


def overlay(data: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """Apply `--set key=value` overrides; `fedwiz.answers.overrides` describes their syntax.

    Raises:
        AnswersError: an unknown key, or an override that is not `key=value`.
    """
    values, why = apply_overrides(data, sets)
    if why:
        raise AnswersError(why)
    return values


def parse(data: Mapping[str, Any], sets: Sequence[str] = ()) -> Answers:
    """Validate a mapping of TOML values, with `--set` overrides applied.

    Raises:
        AnswersError: with everything that is wrong, not only the first error.
    """
    values, why = apply_overrides(data, sets)
    try:
        answers = Answers.model_validate(values)
    except ValidationError as failure:
        names = values.get("host")
        names = names if isinstance(names, list) else []
        wheres = host_paths([it.get("name") if isinstance(it, dict) else None for it in names])
        for error in failure.errors(include_url=False):
            for key, text in _refusals(error, wheres):
                why.setdefault(key, text)
        # pydantic skips the cross-checks when a single answer is wrong, so they run here.
        raise AnswersError(_cross_check_valid(values) | why) from None
    if why:
        raise AnswersError(why)
    return answers


def read(path: Path) -> dict[str, Any]:
    """Read an answer file without validating its values.

    Raises:
        AnswersError: it can't be read, is too large, is not UTF-8 or not TOML.
    """
    place = str(path)
    try:
        with path.expanduser().open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise AnswersError(
            {place: "there is no such file; give the path of an answer file"}
        ) from None
    except IsADirectoryError:
        raise AnswersError({place: "a directory; give the answer file in it"}) from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AnswersError(
            {place: f"can't be read ({reason}); give a file that you may read"}
        ) from None
    if len(raw) > MAX_FILE_BYTES:
        raise AnswersError({place: "more than 1 MiB; an answer file is some kilobytes of TOML"})
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise AnswersError({place: f"line {line} is not UTF-8; save the file as UTF-8"}) from None
    try:
        return toml(text)
    except RecursionError:
        raise AnswersError(
            {place: "nested too deeply; an answer file has tables of values"}
        ) from None
    except ValueError as error:
        raise AnswersError({place: _syntax(str(error), text)}) from None


def _syntax(message: str, text: str) -> str:
    """Where the TOML syntax error is, and the text there."""
    pattern = r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)"
    match = re.fullmatch(pattern, message, re.DOTALL)
    remedy = 'write `key = "text"`, `key = 24` or `[section]`'
    if not match:
        return f"not TOML ({rules.clip(message)}); {remedy}"
    lines = text.split("\n")
    line, column = int(match[2] or len(lines)), int(match[3] or len(lines[-1]) + 1)
    excerpt = rules.clip(lines[line - 1].strip())
    return f"line {line}, column {column}: {excerpt}: {match[1]}; {remedy}"


def load(path: Path | str, sets: Sequence[str] = ()) -> Answers:
    """Read and validate an answer file, with `--set` overrides applied.

    Raises:
        AnswersError: as `read` and `parse` do.
    """
    return parse(read(Path(path)), sets)


def dump(answers: Answers) -> str:
    """The answers as TOML: what differs from a default, and what `load` requires."""
    values = answers.model_dump(exclude_defaults=True, exclude={"host"})
    if answers.etcd.endpoints == usual_endpoints(answers.host):
        values.get("etcd", {}).pop("endpoints", None)
    top = {"version": answers.version, "name": answers.name}
    parts = [tomli_w.dumps(top)]
    for section in SECTIONS:
        if section == "host":
            for host in answers.host:
                known = {"name": host.name, "address": host.address, "role": host.role}
                lines = known | host.model_dump(exclude_defaults=True)
                parts.append(f"[[host]]\n{tomli_w.dumps(lines)}")
        elif values.get(section):
            parts.append(tomli_w.dumps({section: values[section]}))
    return "\n".join(parts)


def repeat(answers: Answers, accepted: Sequence[str] = ()) -> str:
    """The answer file that does the same again, and asks nothing.

    Args:
        answers: what the operator decided.
        accepted: checks whose block was taken for a warning, which an answer file can't say.
    """
    head = f"# Run with --accept {','.join(accepted)}\n" if accepted else ""
    return head + dump(answers.model_copy(update={"wizard": Wizard()}))


def from_flannel_config(text: str) -> dict[str, dict[str, Any]]:
    """The sections `network` and `backend` that would produce this flannel configuration.

    Neither, for a network that fedwiz could not write; no `backend` for one that fedwiz does not
    offer; and no option whose value it would refuse.
    """
    try:
        values = json.loads(text)
        cidr = values["Network"]
        refused = addresses.refuse_network(cidr, allow_public=True)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return {}
    if refused:
        return {}
    size = values.get("SubnetLen") or addresses.default_subnet_len(cidr)
    if type(size) is not int or addresses.refuse_length(cidr, size):
        return {}
    net = {"cidr": cidr, "subnet_len": size}
    for name, key in (("subnet_min", "SubnetMin"), ("subnet_max", "SubnetMax")):
        bound = values.get(key)
        if bound and isinstance(bound, str) and not addresses.refuse_bound(cidr, size, bound):
            net[name] = bound
    table = values.get("Backend")
    given = table if isinstance(table, dict) else {}
    backend = BACKENDS.get(str(given.get("Type", "udp")).lower())  # flannel's own default
    if backend is None:
        return {"network": net}
    options = {
        it.name: given[it.key]
        for it in backend.options
        if it.key in given and given[it.key] != it.default and not it.refuse(given[it.key])
    }
    return {"network": net, "backend": {"type": backend.name, **options}}


def missing(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The required answers that are missing, which a wizard has to ask for."""
    net = data.get("network")
    cidr = net.get("cidr") if isinstance(net, Mapping) else None
    values = {"name": data.get("name"), "host": data.get("host"), "network.cidr": cidr}
    return tuple(path for path, value in values.items() if not value)


def _cross_check_valid(values: Mapping[str, Any]) -> dict[str, str]:
    """Cross-check those answers that are valid by themselves."""
    raw = values.get("host")
    listed = raw if isinstance(raw, list) else []
    hosts = [host for host in (_valid_or_none(Host, item) for item in listed) if host]
    net = _valid_or_none(Network, values.get("network"))
    why = cross_checks(hosts, _valid_or_none(Etcd, values.get("etcd", {})), net)
    if len(hosts) == len(listed) > 0:
        return why
    # Some hosts are invalid: numbers would be off, and a missing role may be one of theirs.
    return {key: text for key, text in why.items() if key != "host" and "#" not in key}


def _valid_or_none(model: type[S], item: object) -> S | None:
    """The section, or None if it is not valid by itself."""
    try:
        return model.model_validate(item)
    except ValidationError:
        return None


def _refusals(error: ErrorDetails, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Translate one pydantic error into fedwiz's sentences, by the key it is about.

    Args:
        error: the error.
        paths: the path of each host.
    """
    loc = list(error["loc"])
    model: type[BaseModel] = Answers
    where = ""
    if loc and loc[0] in SECTIONS:
        where = str(loc.pop(0))
        model = SECTIONS[where]
        if where == "host" and loc:
            where = paths[int(loc.pop(0))]
    if error["type"] == "several":
        for key, text in error["ctx"]["why"].items():
            yield (f"{where}.{_toml_key(key)}" if where else key), text
    elif not loc:
        yield _section_refusal(error, where)
    else:
        name = str(loc[0])
        path = f"{where}.{_toml_key(name)}" if where else _toml_key(name)
        yield path, _field_refusal(error, model, name)


def _toml_key(key: str) -> str:
    """A key of the file in TOML's notation; an odd one is made printable."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) else rules.clip(key)


def _section_refusal(error: ErrorDetails, where: str) -> tuple[str, str]:
    """The refusal of a whole section that is missing or is not a table."""
    if not where:
        return "answers", "it is a table of TOML's, with name, [[host]] tables and [network]"
    if error["type"] != "missing":
        expected = "[[host]] tables, one a host" if where == "host" else f"a table, [{where}]"
        return where, f"{rules.clip(error['input'])}: it is {expected}"
    if where == "host":
        return where, "missing; give one [[host]] table for the master and one for each node"
    return f"{where}.cidr", _missing_text(Network.model_fields["cidr"])


def _missing_text(field: FieldInfo) -> str:
    sample = (field.examples or get_args(field.annotation))[0]
    return f"missing; {field.title}  Such as {rules.clip(sample)}"


_EXPECTED = {
    "string_type": "text in quotes",
    "string_unicode": "text in UTF-8",
    "int_type": "a number without quotes",
    "bool_type": "true or false, without quotes",
    "tuple_type": "a list of texts, in brackets",
}


def _field_refusal(error: ErrorDetails, model: type[BaseModel], name: str) -> str:
    """What one key of a section holds, and what would be valid."""
    kind, given = error["type"], rules.clip(error["input"])
    field = model.model_fields.get(name)
    if field is None:
        return _unknown_key(model, name)
    if kind == "missing":
        return _missing_text(field)
    if kind == "value_error":
        return f"{given}: {error['ctx']['error']}"
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(field.annotation)]
        text = error["input"] if isinstance(error["input"], str) else ""
        return f"{given}: {rules.nearest(text, choices)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        low, high = (
            getattr(limit, name)
            for limit, name in zip(
                (m for m in field.metadata if hasattr(m, "ge") or hasattr(m, "le")),
                ("ge", "le"),
                strict=True,
            )
        )
        return f"{given}: a number from {low} to {high}"
    expected = _EXPECTED.get(kind, error["msg"])
    sample = f", such as {json.dumps(field.examples[0])}" if field.examples else ""
    return f"{given}: it is {expected}{sample}"


def _unknown_key(model: type[BaseModel], name: str) -> str:
    """The refusal of an unknown key, which may belong to another section."""
    path = next((q.path for q in QUESTIONS if q.path.endswith(f".{name}")), "")
    return rules.unknown(name, model.model_fields, elsewhere=path)
