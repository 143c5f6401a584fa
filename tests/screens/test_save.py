"""Where a report or answers may be saved, and what is written there."""

import json
from pathlib import Path

import pytest

from screens.pages.save import path_of, report_as, short, why_report_unwritable, why_unwritable
from tests.support.verdicts import red

FORMS = [
    ("report.md", "# Practice cluster"),
    ("x.html", "<!DOCTYPE html>"),
    ("b.json", "{"),
    ("r.XML", "<?xml"),
]


@pytest.mark.parametrize(("name", "begins"), FORMS)
def test_a_report_is_what_its_ending_says(name: str, begins: str) -> None:
    text = report_as(Path(name), red(), "20261122-230612-abcd", None)
    assert text.startswith(begins)
    if name.endswith(".json"):
        assert json.loads(text)["ok"] is False


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and the folder that one is in, with a folder in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.md").mkdir()
    return tmp_path


ENDING = "its name ends in .md, .json, .html, .xml, such as report.md"
NOBODY = "nobody is known by that name; write the whole path"


@pytest.mark.parametrize(
    ("name", "report", "answers"),
    [
        ("report", ENDING, ""),
        ("report.pdf", ENDING, ""),
        (" report.MD ", "", ""),
        ("a/b/report.html", "", ""),
        (
            "folder.md",
            "{here}/folder.md is a directory; name a file in it",
            "{here}/folder.md is a directory; name a file in it",
        ),
        ("~nobody-at-all/x.md", NOBODY, NOBODY),
        ("  ", ENDING, "write the path of a file"),
    ],
)
def test_why_nothing_can_be_saved_there(name: str, report: str, answers: str, here: Path) -> None:
    assert why_report_unwritable(name) == report.format(here=here)
    assert why_unwritable(name) == answers.format(here=here)


@pytest.mark.parametrize(
    ("typed", "path", "shown"),
    [
        (" a.md ", "a.md", "~/a.md"),
        ("~/a/b.json", "a/b.json", "~/a/b.json"),
        ("/etc/x.toml", "/etc/x.toml", "/etc/x.toml"),
    ],
)
def test_a_place_is_typed_from_here_or_from_home(
    typed: str, path: str, shown: str, here: Path
) -> None:
    assert path_of(typed) == here / path
    assert short(path_of(typed)) == shown
