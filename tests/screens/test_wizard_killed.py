"""A wizard that is killed with -9 on any page starts again there, with all that was said."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from fedwiz.util.files import place
from fedwiz.wizard.draft import PAGES, load_saved, save
from tests.support.cli_process import Shell, Terminal, at_a_terminal
from tests.support.pilot import filled

NEXT, DOWN = "\x0e", "\x1b[B"
QUESTIONS = {
    "hosts": "Which machines make the cluster?",
    "network": "Which addresses do the containers get?",
    "backend": "How do packets get from node to node?",
    "interfaces": "Which interface carries the packets?",
    "review": "Is this what is to be done?",
    "install": "Installing",
    "verify": "Does the network work?",
}
TYPED = {
    "hosts": (f"{DOWN}m", '"name": "fed-node1", "chosen": true, "role": "master"'),
    "network": ("7", '"cidr": "10.16.0.0/167"'),
    "backend": (f"{DOWN}\r", '"type": "host-gw"'),
    "interfaces": ("\r", '"page": "interfaces"'),
}
"""Where a page asks something: what is typed there, and what the draft says then."""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return Shell(tmp_path)


def kill(terminal: Terminal) -> None:
    os.kill(terminal.running.pid, signal.SIGKILL)
    assert terminal.end() == -signal.SIGKILL


def test_every_page_is_tried() -> None:
    assert tuple(QUESTIONS) == PAGES


@pytest.mark.parametrize(
    "page",
    [pytest.param(it, marks=() if it == "hosts" else pytest.mark.full) for it in PAGES],
)
def test_it_starts_again_on_the_page_where_it_was_killed(page: str, shell: Shell) -> None:
    typed, says = TYPED.get(page, ("", ""))
    draft = filled(page)
    save(replace(draft, goal="verify", stops=("hosts", "verify")) if page == "verify" else draft)
    question = QUESTIONS[page]
    with at_a_terminal(shell, "demo", "--pace", "0") as terminal:
        terminal.until(question)
        terminal.until("Help")
        terminal.type(typed)
        while says not in place("healthy").read_text():
            terminal.more()
        kill(terminal)
    before = load_saved("healthy")
    with at_a_terminal(shell, "demo", "--pace", "0") as terminal:
        terminal.until(question)
        assert load_saved("healthy") == before


@pytest.mark.full
def test_an_install_that_was_killed_is_shown_and_gone_on_with(shell: Shell) -> None:
    save(filled("review"))
    with at_a_terminal(shell, "demo", "--pace", "1") as terminal:
        terminal.until("Nothing is changed before you")
        terminal.type(NEXT)
        terminal.until("Containers will stop")
        terminal.type("practice\r")
        terminal.until("Load the kernel")
        kill(terminal)
    with at_a_terminal(shell, "demo", "--pace", "0") as terminal:
        terminal.until("was interrupted")
        terminal.type(NEXT)
        terminal.until(QUESTIONS["review"])
