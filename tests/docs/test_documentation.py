"""What the documentation promises, and what a call for help costs."""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from textual.binding import Binding

from fedwiz.answers.file import load, questions_table
from fedwiz.cli.options import parser, with_verb
from fedwiz.report import FORMS
from fedwiz.verify import KINDS
from screens.app import Fedwiz
from screens.pages.page import Page

ROOT = Path(__file__).parents[2]


def test_a_call_for_help_loads_no_heavy_library() -> None:
    heavy = "pydantic", "asyncssh", "etcd3", "grpc", "textual", "netaddr"
    code = (
        "import sys\nfrom fedwiz.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip() == "[]"
    assert "discover" in done.stdout


README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs/commands.md").read_text()
CAUSES = (ROOT / "docs/causes.md").read_text()
NOT_OURS = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Pages that name options of other programs, or of earlier versions."""

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", ".github/*.md", "findings/*.md")
    for path in ROOT.glob(pattern)
)


def test_the_table_of_answers_is_the_code_s() -> None:
    text = (ROOT / "docs/answers.md").read_text()
    begin, end = "holds it to the code -->\n", "\n<!-- /answers -->"
    assert text[text.index(begin) + len(begin) : text.index(end)] == questions_table().rstrip()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / unquote(target)).exists(), target


@pytest.mark.parametrize(("page", "least"), [("docs/DESIGN.md", 30), ("CONTRIBUTING.md", 40)])
def test_every_file_that_is_named_is_there(page: str, least: int) -> None:
    named = re.findall(r"`((?:\w+/)+[\w.*]*|\w+\.(?:py|sh|toml))`", (ROOT / page).read_text())
    assert len(named) >= least
    for name in named:
        places = [ROOT, ROOT / "fedwiz", ROOT / "tests/support", *(ROOT / "tests").iterdir()]
        assert any(list(place.glob(name.rstrip("/"))) for place in places), name


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 130


def test_the_readme_s_answer_file_is_right(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert found
    file = tmp_path / "answers.toml"
    file.write_text(found[1])
    assert [node.name for node in load(file).nodes] == ["fed-node1", "fed-node2"]


def test_every_verb_and_every_exit_status_is_explained() -> None:
    verbs = parser().format_help()
    for verb in re.findall(r"^    (\w+) ", verbs, re.MULTILINE):
        assert re.search(rf"^\|.*`{verb}[` ].*\|$", COMMANDS, re.MULTILINE), verb
    for code in re.findall(r"(?<!\d)(\d{1,3})(?= {2,})", verbs[verbs.index("exit status") :]):
        assert f"| {code} |" in COMMANDS, code


def test_every_kind_of_verdict_and_every_form_of_the_report_is_named() -> None:
    for name in (*KINDS, *FORMS):
        assert f"`{name}`" in COMMANDS, name


def test_every_cause_is_explained() -> None:
    table = CAUSES[CAUSES.index("<!-- causes") : CAUSES.index("<!-- /causes -->")]
    named = set(re.findall(r"`([a-z-]+)`", table))
    code = "".join(path.read_text() for path in (ROOT / "fedwiz/diagnose").glob("*.py"))
    assert {name for name in named if f'"{name}"' in code} == named
    for row in re.findall(r'Diagnosis\(\s*"([a-z-]+)"', code):
        assert row in named, row


def test_every_command_in_the_documentation_is_one() -> None:
    """Each `fedwiz ...` there is a command line that would be taken, and each option is one."""
    text = "".join(page.read_text() for page in PAGES if page.name not in NOT_OURS)
    found = re.findall(r"`fedwiz ([^`]+)`", text)
    assert len(found) > 20
    stand_ins = {"RUN": "20261123", "DIGEST": "0123456789ab", "FILE": "a.toml"}
    for words in map(shlex.split, found):
        parser().parse_args(with_verb([stand_ins.get(word, word) for word in words]))
    ours = re.sub(r"systemctl [^|`]+", "", text)  # whose options are its own
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert said <= set(_options(parser())), said - set(_options(parser()))


def _options(top: argparse.ArgumentParser) -> Iterator[str]:
    """Every option, of verbs too."""
    for action in top._actions:  # noqa: SLF001 - argparse has no other way to ask
        yield from action.option_strings
        for verb in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from _options(verb)


def test_the_readme_s_keys_are_the_wizard_s() -> None:
    bindings = (it for it in Fedwiz.BINDINGS + Page.BINDINGS if isinstance(it, Binding))
    bound = {key for it in bindings for key in it.key.split(",")}
    table = README[README.index("| key | what it does |") : README.index("Start `fedwiz` again")]
    named = {key.lower().replace("esc", "escape") for key in re.findall(r"Ctrl\+\w|Esc|F1", table)}
    assert named
    assert named <= bound
