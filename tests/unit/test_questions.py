"""The questions, and the schema and the table that are made from them."""

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package more
import pytest

from fedwiz.answers.file import QUESTIONS, Question, parse, questions_table, read, schema
from fedwiz.model.backends import BACKENDS

FILES = Path(__file__).parents[1] / "answers"
GOOD = sorted(FILES.glob("*.toml"))
MINIMAL = read(FILES / "minimal.toml")
JUDGE = jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: f"{q.path} {q.backend}")
def test_every_question_can_be_asked(question: Question) -> None:
    assert question.title.endswith("?")
    assert question.help.endswith(".")
    assert (question.kind == "choice") == bool(question.choices) or question.path == "backend.type"
    if question.choices:
        assert question.default in question.choices
    kinds = {"number": int, "flag": bool, "list": tuple, "text": str, "choice": str}
    assert question.default is None or type(question.default) is kinds[question.kind]


def test_questions_are_told_apart_by_path_and_backend() -> None:
    assert len({(q.path, q.backend) for q in QUESTIONS}) == len(QUESTIONS)


def test_a_backends_options_are_asked_for_it_alone() -> None:
    for backend in BACKENDS.values():
        asked = [q.path for q in QUESTIONS if q.backend == backend.name]
        assert asked == [f"backend.{option.name}" for option in backend.options]


def test_the_table_has_a_row_for_each_question() -> None:
    lines = questions_table().splitlines()
    assert len(lines) == len(QUESTIONS) + 2
    assert all(line.count(" | ") == 2 for line in lines if "---" not in line)
    assert "| `network.subnet_len` |" in "\n".join(lines)
    assert '`["-ip-masq"]`' in "\n".join(lines)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_is_taken_fits_the_schema(path: Path) -> None:
    JUDGE.validate(read(path))


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_fits_the_schema_with_all_its_defaults(name: str) -> None:
    options = BACKENDS[name].complete({})
    data = MINIMAL | {"backend": {"type": name, **options}}
    parse(data)
    JUDGE.validate(data)


MISFITS: dict[str, dict[str, Any]] = {
    "an unknown section": {"netwrok": {}},
    "an unknown key": {"network": {"cidr": "10.16.0.0/16", "cdir": 1}},
    "an unknown key of a host": {"host": [*MINIMAL["host"], {"name": "a", "address": "b", "x": 1}]},
    "no network": {"network": {}},
    "two hosts": {"host": MINIMAL["host"][:2]},
    "a port too high": {"ssh": {"port": 65536}},
    "a flanneld that is ready at once": {"docker": {"ready_within": 4}},
    "a flanneld that is never ready": {"docker": {"ready_within": 601}},
    "another choice": {"ssh": {"sudo": "yes"}},
    "another type": {"network": {"cidr": "10.16.0.0/16", "subnet_len": "24"}},
    "another version": {"version": 2},
    "an unknown backend": {"backend": {"type": "gce"}},
    "an option of another backend": {"backend": {"type": "udp", "vni": 1}},
    "an option without its type": {"backend": {"listen_port": 1}},
    "an option out of range": {"backend": {"vni": 0}},
    "a port that has no 0": {"backend": {"type": "udp", "port": 0}},
}


@pytest.mark.parametrize("change", MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_the_schema(change: dict[str, Any]) -> None:
    assert not JUDGE.is_valid(MINIMAL | change)


def test_every_key_of_the_schema_says_what_it_is() -> None:
    said = schema()
    tables = [said["$defs"][name] for name in said["$defs"] if name != "BackendAnswers"]
    tables += said["$defs"]["BackendAnswers"]["oneOf"]
    for table in tables:
        for name, about in table["properties"].items():
            if "const" not in about:
                assert about.get("title"), name
                assert about.get("description"), name
