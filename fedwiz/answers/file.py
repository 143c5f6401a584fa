"""Answers from a file, from `--set`, from a form; and back into a file.

One way in, `parse`: it gives every refusal at once, by key, and has no rules of its own; those
are with the questions, in `sections.py`, and with the whole, in `models.py`.
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
from fedwiz.answers.overrides import overlaid, toml
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
    "schema",
]

S = TypeVar("S", bound=Section)

MAX_FILE_BYTES = 1 << 20
"""Bytes of an answer file: far above any cluster's, far below what hurts to parse."""


class AnswersError(Exception):
    """Answers that can't be used."""

    def __init__(self, why: Mapping[str, str]) -> None:
        self.why: Mapping[str, str] = MappingProxyType(dict(why))
        """By key (`network.cidr`, `host[fed-node1].address`, or a file's path): what was seen
        and what would be right."""
        super().__init__("\n".join(f"{key}: {text}" for key, text in self.why.items()))


def overlay(data: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """The data as `--set key=value`s change it; `fedwiz.answers.overrides` has what they may say.

    Raises:
        Refused: a key that does not exist, or no `key=value`.
    """
    said, why = overlaid(data, sets)
    if why:
        raise AnswersError(why)
    return said


def parse(data: Mapping[str, Any], sets: Sequence[str] = ()) -> Answers:
    """The answers in a mapping of TOML's types, changed by `--set`s.

    Raises:
        Refused: with everything that is wrong, not only the first of it.
    """
    said, why = overlaid(data, sets)
    try:
        answers = Answers.model_validate(said)
    except ValidationError as wrong:
        names = said.get("host")
        names = names if isinstance(names, list) else []
        wheres = host_paths([it.get("name") if isinstance(it, dict) else None for it in names])
        for error in wrong.errors(include_url=False):
            for key, text in _refusals(error, wheres):
                why.setdefault(key, text)
        # Answers that are wrong in themselves hide what is wrong between the others.
        raise AnswersError(_loose(said) | why) from None
    if why:
        raise AnswersError(why)
    return answers


def read(path: Path) -> dict[str, Any]:
    """What an answer file says, not yet judged.

    Raises:
        Refused: it can't be read, is too large, is not UTF-8 or not TOML.
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
    except (OSError, ValueError, RuntimeError) as wrong:
        said = getattr(wrong, "strerror", None) or str(wrong)
        raise AnswersError(
            {place: f"can't be read ({said}); give a file that you may read"}
        ) from None
    if len(raw) > MAX_FILE_BYTES:
        raise AnswersError({place: "more than 1 MiB; an answer file is some kilobytes of TOML"})
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = raw.count(b"\n", 0, wrong.start) + 1
        raise AnswersError({place: f"line {line} is not UTF-8; save the file as UTF-8"}) from None
    try:
        return toml(text)
    except RecursionError:
        raise AnswersError(
            {place: "nested too deeply; an answer file has tables of values"}
        ) from None
    except ValueError as wrong:
        raise AnswersError({place: _syntax(str(wrong), text)}) from None


def _syntax(said: str, text: str) -> str:
    """Where TOML's grammar was left, and what stands there."""
    pattern = r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)"
    found = re.fullmatch(pattern, said, re.DOTALL)
    remedy = 'write `key = "text"`, `key = 24` or `[section]`'
    if not found:
        return f"not TOML ({rules.clip(said)}); {remedy}"
    lines = text.split("\n")
    line, column = int(found[2] or len(lines)), int(found[3] or len(lines[-1]) + 1)
    seen = rules.clip(lines[line - 1].strip())
    return f"line {line}, column {column}: {seen}: {found[1]}; {remedy}"


def load(path: Path | str, sets: Sequence[str] = ()) -> Answers:
    """The answers in a file, changed by `--set`s.

    Raises:
        Refused: as `read` and `parse` do.
    """
    return parse(read(Path(path)), sets)


def dump(answers: Answers) -> str:
    """The answers as TOML; only what differs from a default, and all that `load` needs."""
    said = answers.model_dump(exclude_defaults=True, exclude={"host"})
    if answers.etcd.endpoints == usual_endpoints(answers.host):
        said.get("etcd", {}).pop("endpoints", None)
    top = {"version": answers.version, "name": answers.name}
    parts = [tomli_w.dumps(top)]
    for section in SECTIONS:
        if section == "host":
            for host in answers.host:
                known = {"name": host.name, "address": host.address, "role": host.role}
                lines = known | host.model_dump(exclude_defaults=True)
                parts.append(f"[[host]]\n{tomli_w.dumps(lines)}")
        elif said.get(section):
            parts.append(tomli_w.dumps({section: said[section]}))
    return "\n".join(parts)


def from_flannel_config(text: str) -> dict[str, dict[str, Any]]:
    """The sections `network` and `backend` that would write this config of flannel's.

    Of a network that fedwiz could not write, neither; of a backend that it does not offer, or
    of an option's value that it would refuse, nothing.
    """
    try:
        said = json.loads(text)
        cidr = said["Network"]
        refused = addresses.refuse_network(cidr, allow_public=True)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return {}
    if refused:
        return {}
    size = said.get("SubnetLen") or addresses.default_subnet_len(cidr)
    if type(size) is not int or addresses.refuse_length(cidr, size):
        return {}
    net = {"cidr": cidr, "subnet_len": size}
    for name, key in (("subnet_min", "SubnetMin"), ("subnet_max", "SubnetMax")):
        bound = said.get(key)
        if bound and isinstance(bound, str) and not addresses.refuse_bound(cidr, size, bound):
            net[name] = bound
    table = said.get("Backend")
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
    """The answers that must be given and are not there: what a wizard has to ask."""
    net = data.get("network")
    cidr = net.get("cidr") if isinstance(net, Mapping) else None
    said = {"name": data.get("name"), "host": data.get("host"), "network.cidr": cidr}
    return tuple(path for path, value in said.items() if not value)


def _loose(said: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong between those answers that are each right."""
    raw = said.get("host")
    listed = raw if isinstance(raw, list) else []
    hosts = [host for host in (_alone(Host, item) for item in listed) if host]
    net = _alone(Network, said.get("network"))
    why = cross_checks(hosts, _alone(Etcd, said.get("etcd", {})), net)
    if len(hosts) == len(listed) > 0:
        return why
    # With a host left out, numbers count the others and a role may be the missing one's.
    return {key: text for key, text in why.items() if key != "host" and "#" not in key}


def _alone(model: type[S], item: object) -> S | None:
    """The section, if it is right by itself."""
    try:
        return model.model_validate(item)
    except ValidationError:
        return None


def _refusals(error: ErrorDetails, wheres: Sequence[str]) -> Iterator[tuple[str, str]]:
    """One error of pydantic's in our words, by the key that it is about.

    Args:
        error: that one.
        wheres: how each host is called.
    """
    loc = list(error["loc"])
    model: type[BaseModel] = Answers
    where = ""
    if loc and loc[0] in SECTIONS:
        where = str(loc.pop(0))
        model = SECTIONS[where]
        if where == "host" and loc:
            where = wheres[int(loc.pop(0))]
    if error["type"] == "several":
        for key, text in error["ctx"]["why"].items():
            yield (f"{where}.{_bare(key)}" if where else key), text
    elif not loc:
        yield _whole(error, where)
    else:
        name = str(loc[0])
        path = f"{where}.{_bare(name)}" if where else _bare(name)
        yield path, _text(error, model, name)


def _bare(key: str) -> str:
    """A key of the file's, as TOML would write it; an odd one so that it can be printed."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) else rules.clip(key)


def _whole(error: ErrorDetails, where: str) -> tuple[str, str]:
    """About a section as a whole: it is not there, or is no table."""
    if not where:
        return "answers", "it is a table of TOML's, with name, [[host]] tables and [network]"
    if error["type"] != "missing":
        right = "[[host]] tables, one a host" if where == "host" else f"a table, [{where}]"
        return where, f"{rules.clip(error['input'])}: it is {right}"
    if where == "host":
        return where, "missing; give one [[host]] table for the master and one for each node"
    return f"{where}.cidr", _missing(Network.model_fields["cidr"])


def _missing(field: FieldInfo) -> str:
    sample = (field.examples or get_args(field.annotation))[0]
    return f"missing; {field.title}  Such as {rules.clip(sample)}"


_RIGHT = {
    "string_type": "text in quotes",
    "string_unicode": "text in UTF-8",
    "int_type": "a number without quotes",
    "bool_type": "true or false, without quotes",
    "tuple_type": "a list of texts, in brackets",
}


def _text(error: ErrorDetails, model: type[BaseModel], name: str) -> str:
    """What was seen and what would be right, for one key of a section."""
    kind, seen = error["type"], rules.clip(error["input"])
    field = model.model_fields.get(name)
    if field is None:
        return _stray(model, name)
    if kind == "missing":
        return _missing(field)
    if kind == "value_error":
        return f"{seen}: {error['ctx']['error']}"
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(field.annotation)]
        text = error["input"] if isinstance(error["input"], str) else ""
        return f"{seen}: {rules.nearest(text, choices)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        low, high = (
            getattr(limit, name)
            for limit, name in zip(
                (m for m in field.metadata if hasattr(m, "ge") or hasattr(m, "le")),
                ("ge", "le"),
                strict=True,
            )
        )
        return f"{seen}: a number from {low} to {high}"
    right = _RIGHT.get(kind, error["msg"])
    sample = f", such as {json.dumps(field.examples[0])}" if field.examples else ""
    return f"{seen}: it is {right}{sample}"


def _stray(model: type[BaseModel], name: str) -> str:
    """About a key that the section does not have; it may be another section's."""
    path = next((q.path for q in QUESTIONS if q.path.endswith(f".{name}")), "")
    return rules.unknown(name, model.model_fields, elsewhere=path)
