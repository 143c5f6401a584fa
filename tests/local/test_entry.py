"""Which face a command line gets: screens, prompts in lines, or lines alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedwiz.util import files
from tests.support.cli_process import ANSWERS, ROOT, Shell, at_a_terminal

SCREEN = "\x1b[?1049h"
"""What takes a terminal's whole screen, as nothing but the wizard's screens does."""

FIRST = "What is to be done?"
DUMB = {"TERM": "dumb"}
NOBODY = "nobody can be asked here"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".local/state"))  # where the shell's is
    return Shell(tmp_path)


QUICK = ("--pace", "0", "--hosts", "3")
SCREENS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "the verb": ("wizard",),
    "answers": ("-a", str(ANSWERS / "minimal.toml")),
    "a set": ("--set", "network.cidr=10.20.0.0/16"),
    "demo": ("demo", *QUICK),
    "demo of a fault": ("demo", "--fault", "nat-twins", "--set", "network.subnet_len=25"),
}


@pytest.mark.parametrize("words", SCREENS.values(), ids=SCREENS)
def test_the_wizard_takes_a_terminal(shell: Shell, words: tuple[str, ...]) -> None:
    with at_a_terminal(shell, *words, started=not words) as terminal:
        terminal.until(SCREEN)


PROMPTS: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "--plain": (("--plain",), {}, FIRST),
    "a terminal of lines": ((), {"TERM": "dumb"}, FIRST),
    "--plain, where nobody is thought to be": (("--plain",), {"CI": "1"}, FIRST),
    "demo --plain": (("demo", "--plain", *QUICK), {}, "What is the cluster called? [practice]"),
    "demo on a terminal of lines": (("demo", *QUICK), {"TERM": "dumb"}, "[practice]"),
}


@pytest.mark.parametrize(("words", "environ", "asked"), PROMPTS.values(), ids=PROMPTS)
def test_it_asks_in_lines(
    shell: Shell, words: tuple[str, ...], environ: dict[str, str], asked: str
) -> None:
    started = words == ("--plain",)
    with at_a_terminal(shell, *words, environ=environ, started=started) as terminal:
        terminal.until(asked)
        assert SCREEN not in terminal.seen


LINES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "demo --yes": (("demo", "--yes", *QUICK), {}),
    "demo --json": (("demo", "--json", *QUICK), {}),
    "demo --headless": (("demo", "--headless", *QUICK), {}),
    "demo check": (("demo", "check", *QUICK), {}),
    "demo, where nobody is thought to be": (("demo", *QUICK), {"CI": "1"}),
}


@pytest.mark.parametrize(("words", "environ"), LINES.values(), ids=LINES)
def test_a_demo_that_says_what_to_do_is_done_in_lines(
    shell: Shell, words: tuple[str, ...], environ: dict[str, str]
) -> None:
    with at_a_terminal(shell, *words, environ=environ) as terminal:
        assert terminal.end() == 0
        assert SCREEN not in terminal.seen
        assert "?:" not in terminal.seen


def test_nobody_at_hand_is_told_so_at_once(shell: Shell) -> None:
    """In a pipe, with one end of a terminal only, and in CI."""
    said = shell.started()
    assert (said.code, said.out) == (2, "")
    for word in (NOBODY, "fedwiz install -a FILE", "--plain", "--help"):
        assert word in said.last
    for words, environ in (((), {"CI": "true"}), (("-a", "a.toml"), {"CI": "true"})):
        with at_a_terminal(shell, *words, environ=environ) as terminal:
            assert terminal.end() == 2
            assert NOBODY in terminal.seen
            assert SCREEN not in terminal.seen
    assert not (shell.home / ".local").exists()


def test_a_terminal_whose_output_goes_to_a_file_gets_no_screens(shell: Shell) -> None:
    with (shell.home / "out").open("w") as out, at_a_terminal(shell, out=out) as terminal:
        assert terminal.end() == 2
        assert NOBODY in terminal.seen


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "a file that is not there": (("-a", "nowhere.toml"), "nowhere.toml: there is no such file"),
    "a key that nobody knows": (
        ("-a", str(ANSWERS / "minimal.toml"), "--set", "network.cdir=10.0.0.0/16"),
        "did you mean `network.cidr`?",
    ),
    "a host's answer without a file": (("--set", "host.a.address=10.0.0.1"), "give them in a file"),
    "a fault that there is not": (("demo", "--fault", "gremlins"), "no-etcd"),
    "prompts for a verb": (("demo", "check", "--plain"), "leave the verb"),
    "a word that is no verb": (("-a", "a.toml", "check"), "unrecognized arguments: check"),
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_refused_before_any_screen(
    shell: Shell, words: tuple[str, ...], sentence: str
) -> None:
    with at_a_terminal(shell, *words) as terminal:
        assert terminal.end() == 2
        assert sentence in terminal.seen
        assert SCREEN not in terminal.seen
    said = shell.fedwiz("--plain", *words) if words[0].startswith("-") else shell.fedwiz(*words)
    assert said.code == 2
    assert sentence in said.err


def test_a_replay_takes_the_screen_where_it_has_a_speed(shell: Shell) -> None:
    run = str(ROOT / "tests/journals/all-well.jsonl")
    with at_a_terminal(shell, "replay", run, "--speed", "100") as terminal:
        terminal.until(SCREEN)
    for more in ((), ("--speed", "900000", "--plain"), ("--speed", "900000", "--json")):
        with at_a_terminal(shell, "replay", run, *more) as terminal:
            assert terminal.end() == 0
            assert SCREEN not in terminal.seen
    assert shell.fedwiz("replay", run, "--speed", "900000").code == 0


def test_leaving_the_wizard_is_the_command_s_end(shell: Shell) -> None:
    with at_a_terminal(shell) as terminal:
        terminal.until("Practice")
        terminal.type("\x11")  # Ctrl+Q
        terminal.until("Leave fedwiz?")
        terminal.type("\x1b[C")  # to the right
        terminal.until("Yes, leave")
        terminal.type("\r")
        assert terminal.end() == 130


def test_a_wizard_that_was_ended_says_130(shell: Shell) -> None:
    with at_a_terminal(shell) as terminal:
        terminal.until("Practice")
        terminal.running.send_signal(signal.SIGTERM)
        assert terminal.end() == 130


def test_a_draft_that_was_kept_is_gone_on_with(shell: Shell) -> None:
    """In lines as on screens; the one of a practice cluster only for the same fault."""
    file = shell.home / "a.toml"
    file.write_text((ANSWERS / "minimal.toml").read_text() + '\n[wizard]\nask = ["backend"]\n')
    with at_a_terminal(shell, "-a", str(file), environ=DUMB) as terminal:
        terminal.until("reading")
        os.kill(terminal.running.pid, signal.SIGKILL)
    before = json.loads(files.place().read_text())
    assert (before["page"], before["file"]) == ("backend", str(file))
    with at_a_terminal(shell, environ=DUMB) as terminal:
        terminal.until("at backend")
    with at_a_terminal(shell) as terminal:
        terminal.until("How do packets get from node to node?")


AFTER: dict[str, tuple[tuple[str, ...], str]] = {
    "the same": (QUICK, "What is the cluster called? [kept]"),
    "with a set": ((*QUICK, "--set", "name=other"), "What is the cluster called? [other]"),
    "of another fault": ((*QUICK, "--fault", "overlap"), "What is the cluster called? [practice]"),
    "of another size": (("--pace", "0", "--hosts", "4"), "What is the cluster called? [practice]"),
}


@pytest.mark.parametrize(("words", "asked"), AFTER.values(), ids=AFTER)
def test_a_practice_cluster_is_gone_on_with_if_it_is_the_same(
    shell: Shell, words: tuple[str, ...], asked: str
) -> None:
    with at_a_terminal(shell, "demo", *QUICK, environ=DUMB) as terminal:
        terminal.until("[practice]: ")
        terminal.type("kept\n")
        terminal.until("Where are the hosts?")
    with at_a_terminal(shell, "demo", *words, environ=DUMB) as terminal:
        terminal.until(asked)


def test_a_draft_that_can_t_be_read_is_passed_over(shell: Shell) -> None:
    files.write(files.place(), "{")
    with at_a_terminal(shell, environ=DUMB) as terminal:
        terminal.until(FIRST)
    with at_a_terminal(shell) as terminal:
        terminal.until("Practice cluster")


HEAVY = ("pydantic", "asyncssh", "etcd3", "grpc", "netaddr")

HELD_BACK = f"""\
import sys, threading

class HeldBack:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {HEAVY}:
            assert threading.current_thread() is not threading.main_thread(), name
            threading.Event().wait()

sys.meta_path.insert(0, HeldBack())
"""
"""A `sitecustomize`: whoever loads something heavy waits for it without end."""

EMPTY = """\
from textual.app import App
from textual.widgets import Static

class Empty(App):
    def compose(self):
        yield Static("Practice cluster")

Empty().run()
"""
"""The least that a program with screens can be."""


def loaded(shell: Shell, *modules: str) -> set[str]:
    """The packages, but for Python's own, that are there once these modules are."""
    code = f"import sys, {', '.join(modules)}\nprint(*sys.modules)"
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=shell.environ(), capture_output=True, text=True, check=True)
    names = {name.partition(".")[0] for name in done.stdout.split()}
    return names - set(sys.stdlib_module_names)


def test_the_first_page_waits_for_nothing_heavy(shell: Shell) -> None:
    """It is there while nothing heavy can be loaded, for little more than an empty page costs."""
    pages = ("app", "pages.welcome", "pages.page", "widgets.frame", "dialogs.basic", "themes")
    ours = loaded(shell, "fedwiz.cli.wizard", *(f"screens.{page}" for page in pages))
    assert ours.isdisjoint(HEAVY)
    assert ours - loaded(shell, "textual.app", "textual.widgets") <= {"fedwiz", "screens"}

    (shell.home / "ours").mkdir()
    (shell.home / "ours/sitecustomize.py").write_text(HELD_BACK)
    (shell.home / "empty/fedwiz").mkdir(parents=True)
    (shell.home / "empty/fedwiz/__init__.py").touch()
    (shell.home / "empty/fedwiz/__main__.py").write_text(EMPTY)

    def work(folder: str) -> float:
        """The processor's seconds until the page is there, of a `fedwiz` in a folder or ours."""
        began = os.times()
        path = os.pathsep.join((str(shell.home / folder), str(ROOT)))
        with at_a_terminal(shell, environ={"PYTHONPATH": path}, started=True) as terminal:
            terminal.until("Practice cluster")
        ended = os.times()
        return sum(ended[2:4]) - sum(began[2:4])  # of what was waited for: user's and system's

    took, least = zip(*((work("ours"), work("empty")) for _ in range(3)), strict=True)
    assert min(took) < 2.5 * min(least), (took, least)
