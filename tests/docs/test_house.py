"""What the documentation promises, and what a call for help costs."""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

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


def test_the_readme_s_answers_are_the_code_s() -> None:
    begin, end = "holds it to the code -->\n", "\n<!-- /answers -->"
    table = README[README.index(begin) + len(begin) : README.index(end)]
    assert table == questions_table().rstrip()


def test_the_readme_s_pictures_are_there() -> None:
    found = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert len(found) == 2
    for path in found:
        assert (ROOT / unquote(path)).is_file(), path


def test_the_readme_s_answer_file_is_right(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert found
    file = tmp_path / "answers.toml"
    file.write_text(found[1])
    assert [node.name for node in load(file).nodes] == ["fed-node1", "fed-node2"]


def test_the_readme_names_every_verb_and_every_exit_status() -> None:
    verbs = parser().format_help()
    for verb in re.findall(r"^    (\w+) ", verbs, re.MULTILINE):
        assert re.search(rf"^\|.*`{verb}[` ].*\|$", README, re.MULTILINE), verb
    for code in re.findall(r"(?<!\d)(\d{1,3})(?= {2,})", verbs[verbs.index("exit status") :]):
        assert f"| {code} |" in README, code


def test_the_readme_names_every_kind_of_verdict_and_every_form_of_the_report() -> None:
    for name in (*KINDS, *FORMS):
        assert f"`{name}`" in README, name


def test_the_readme_names_every_cause() -> None:
    table = README[README.index("<!-- causes") : README.index("<!-- /causes -->")]
    named = set(re.findall(r"`([a-z-]+)`", table))
    code = "".join(path.read_text() for path in (ROOT / "fedwiz/diagnose").glob("*.py"))
    assert {name for name in named if f'"{name}"' in code} == named
    for row in re.findall(r'Diagnosis\(\s*"([a-z-]+)"', code):
        assert row in named, row


def test_every_command_of_the_readme_s_is_one() -> None:
    """Each `fedwiz ...` there is a command line that would be taken, and each option is one."""
    found = re.findall(r"`fedwiz ([^`]+)`", README)
    assert len(found) > 8
    stand_ins = {"RUN": "20261123", "DIGEST": "0123456789ab", "FILE": "a.toml"}
    for words in map(shlex.split, found):
        parser().parse_args(with_verb([stand_ins.get(word, word) for word in words]))
    ours = re.sub(r"systemctl [^|`]+", "", README)  # whose options are its own
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
    table = README[README.index("| key | what it does |") : README.index("- **Killed")]
    named = {key.lower().replace("esc", "escape") for key in re.findall(r"Ctrl\+\w|Esc|F1", table)}
    assert named
    assert named <= bound
