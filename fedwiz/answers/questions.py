"""The questions as data: forms, prompts, tables and the schema are built from them."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic.fields import FieldInfo

from fedwiz.answers.model import Answers
from fedwiz.answers.sections import SECTIONS
from fedwiz.model.backends import BACKENDS, Option, Value

Kind: TypeAlias = Literal["text", "number", "flag", "choice", "list"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, without its answer."""

    path: str
    """`ssh.user`; `host.address` is asked once per host."""

    title: str
    help: str
    kind: Kind
    default: Value | tuple[str, ...] | None
    """None: it has no default and must be answered."""

    choices: tuple[str, ...] = ()
    sample: str = ""
    """A valid answer, as text."""

    backend: str = ""
    """Asked only if this backend is chosen; empty: always."""


def _kind(annotation: Any) -> Kind:  # noqa: ANN401 - a type, of any form
    if get_origin(annotation) is tuple:
        return "list"
    kinds: Mapping[Any, Kind] = {int: "number", bool: "flag", str: "text"}
    return kinds.get(annotation, "choice")


def _question(path: str, field: FieldInfo) -> Question:
    kind = _kind(field.annotation)
    choices = tuple(map(str, get_args(field.annotation))) if kind == "choice" else ()
    sample = (field.examples or [""])[0]
    return Question(
        path,
        field.title or "",
        field.description or "",
        kind,
        None if field.is_required() else field.default,
        tuple(BACKENDS) if path == "backend.type" else choices,
        " ".join(sample) if isinstance(sample, list) else str(sample),
    )


def _option(backend: str, option: Option) -> Question:
    kinds: Mapping[type, Kind] = {int: "number", bool: "flag", str: "text"}
    return Question(
        f"backend.{option.name}",
        option.title,
        option.help,
        kinds[option.kind],
        option.default,
        backend=backend,
    )


def _all() -> Iterator[Question]:
    yield _question("name", Answers.model_fields["name"])
    for section, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            yield _question(f"{section}.{name}", field)
        if section == "backend":
            for backend in BACKENDS.values():
                yield from (_option(backend.name, option) for option in backend.options)


QUESTIONS: tuple[Question, ...] = tuple(_all())
"""Every question, in the order of the file."""


def as_text(value: object) -> str:
    """An answer as the operator types it."""
    if isinstance(value, (list, tuple)):
        return shlex.join(map(str, value))
    return "" if value is None else str(value)


def from_text(question: Question, text: str) -> object:
    """Parse an answer; invalid text is returned unchanged, for validation to refuse.

    None: the text is empty, which means the default.
    """
    text = text.strip()
    if not text:
        return None
    try:
        if question.kind == "number":
            return int(text)
        if question.kind == "list":  # `""` is an empty list
            return [word for word in shlex.split(text) if word]
    except ValueError:
        return text
    return text


def _shown(question: Question) -> str:
    """A default in TOML's notation."""
    default = question.default
    if default is None:
        return "must be given"
    if isinstance(default, tuple):
        return "`" + json.dumps(default) + "`"
    return f"`{str(default).lower()}`" if isinstance(default, (bool, int)) else f'`"{default}"`'


def questions_table() -> str:
    """The README's table of keys, in Markdown."""
    rows = ["| key | question | default |", "|---|---|---|"]
    for question in QUESTIONS:
        path = f"`{question.path}`" + (f" ({question.backend})" if question.backend else "")
        choices = f" ({', '.join(question.choices)})" if question.choices else ""
        rows.append(f"| {path} | {question.title}{choices} {question.help} | {_shown(question)} |")
    return "\n".join(rows) + "\n"


def _option_schema(option: Option) -> dict[str, Any]:
    kind = {int: "integer", bool: "boolean", str: "string"}[option.kind]
    constraints: dict[str, Any] = {"type": kind}
    if option.low is not None:
        constraints |= {"minimum": option.low, "maximum": option.high}
    if option.kind is int and option.refuse(option.default) == "":
        constraints = {"anyOf": [{"const": option.default}, constraints]}
    about = {"title": option.title, "description": option.help, "default": option.default}
    return about | constraints


def _backend_schema(about: Mapping[str, Any]) -> dict[str, Any]:
    """One alternative per type; only the default type may be omitted."""
    default = next(iter(BACKENDS))
    return {
        "title": about["title"],
        "description": about["description"],
        "oneOf": [
            {
                "type": "object",
                "title": backend.title,
                "description": backend.help,
                "properties": {
                    "type": {"const": backend.name},
                    **{option.name: _option_schema(option) for option in backend.options},
                },
                "required": [] if backend.name == default else ["type"],
                "additionalProperties": False,
            }
            for backend in BACKENDS.values()
        ],
    }


def schema() -> dict[str, Any]:
    """The answer file's JSON Schema, draft 2020-12."""
    generated = Answers.model_json_schema()
    generated["$defs"]["BackendAnswers"] = _backend_schema(generated["$defs"]["BackendAnswers"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **generated,
        "title": "fedwiz answers",
    }
