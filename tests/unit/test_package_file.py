"""The file that flannel comes from."""

import hashlib
import os
from pathlib import Path

import pytest

from fedwiz.answers.file import Answers, AnswersError, parse, read
from fedwiz.answers.package_file import check_files

MINIMAL = read(Path(__file__).parents[1] / "answers" / "minimal.toml")


def lead(name: bytes, *, source: bool = False) -> bytes:
    """An RPM's first bytes."""
    kind = b"\0\1" if source else b"\0\0"
    return (
        b"\xed\xab\xee\xdb\3\0" + kind + b"\0\1" + name.ljust(66, b"\0") + b"\0\1\0\5" + bytes(16)
    )


def answers(path: Path | str, source: str, digest: str = "") -> Answers:
    if not digest:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return parse(MINIMAL | {"flannel": {"source": source, "path": str(path), "sha256": digest}})


def test_nothing_is_needed_where_dnf_brings_it() -> None:
    assert check_files(parse(MINIMAL)) is None


NAMES = {
    b"flannel-0.9.0-7.fc32": ("flannel-0.9.0-7.fc32", "0.9.0"),
    b"flannel-next-0.21.5~rc1-1": ("flannel-next-0.21.5~rc1-1", "0.21.5~rc1"),
    b"": ("", ""),
    b"flannel": ("", ""),
    b"flannel-\x1b[31m-1": ("", ""),
    b"flannel-\xff-1": ("", ""),
    b"x" * 66: ("", ""),
}


@pytest.mark.parametrize(("name", "told"), NAMES.items(), ids=map(repr, NAMES))
def test_an_rpm_says_what_it_is(tmp_path: Path, name: bytes, told: tuple[str, str]) -> None:
    path = tmp_path / "flannel.rpm"
    path.write_bytes(lead(name) + b"payload")
    found = check_files(answers(path, "rpm"))
    assert found is not None
    assert (found.package, found.version) == told
    assert found.size == 96 + len(b"payload")
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.path == path


@pytest.mark.parametrize("raw", [b"\x7fELF\2\1", b"#!/bin/sh\n"])
def test_a_program_is_flanneld_perhaps(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "flanneld"
    path.write_bytes(raw)
    found = check_files(answers(path, "binary"))
    assert found is not None
    assert (found.package, found.version) == ("", "")


def test_a_home_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flanneld").write_bytes(b"#!")
    monkeypatch.setenv("HOME", str(tmp_path))
    digest = hashlib.sha256(b"#!").hexdigest()
    found = check_files(answers("~/flanneld", "binary", digest))
    assert found is not None
    assert found.path == tmp_path / "flanneld"


WRONG = {
    "no RPM": ("rpm", b"#!/bin/sh", "no RPM; name a .rpm file"),
    "a short one": ("rpm", lead(b"flannel-1-1")[:95], "no RPM"),
    "a source RPM": ("rpm", lead(b"flannel-1-1", source=True), "a source RPM; name one"),
    "an RPM for a program": ("binary", lead(b"flannel-1-1"), 'set source = "rpm"'),
    "an archive": ("binary", b"\x1f\x8b\x08", "name flanneld itself"),
    "nothing": ("binary", b"", "name flanneld itself"),
}


@pytest.mark.parametrize(("source", "raw", "words"), WRONG.values(), ids=WRONG)
def test_files_of_another_kind(tmp_path: Path, source: str, raw: bytes, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(raw)
    with pytest.raises(AnswersError) as refused:
        check_files(answers(path, source))
    assert list(refused.value.why) == ["flannel.path"]
    assert words in refused.value.why["flannel.path"]


def test_another_file_than_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "flanneld"
    path.write_bytes(b"#!")
    with pytest.raises(AnswersError) as refused:
        check_files(answers(path, "binary", "0" * 64))
    assert list(refused.value.why) == ["flannel.sha256"]
    assert hashlib.sha256(b"#!").hexdigest() in refused.value.why["flannel.sha256"]


@pytest.mark.parametrize("name", ["none", ".", "fifo", "no\udcffne"])
def test_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    taken = answers("x", "rpm", "0" * 64).model_copy(deep=True)
    flannel = taken.flannel.model_copy(update={"path": str(tmp_path / name)})
    with pytest.raises(AnswersError) as refused:
        check_files(taken.model_copy(update={"flannel": flannel}))
    assert "name" in refused.value.why["flannel.path"]
    assert str(refused.value).isprintable()
