"""The app around the pages: how it begins, how it ends, and what can be done everywhere."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from textual.binding import Binding
from textual.command import CommandPalette

from fedwiz.answers.file import AnswersError
from fedwiz.runs.journal import read
from fedwiz.wizard.draft import PAGES
from screens.app import Fedwiz, Play
from screens.dialogs.basic import Confirm
from screens.dialogs.dialog import Help
from screens.driver import TerminalOutput
from screens.lazy import drafted
from screens.pages.flow import FLOW
from screens.pages.run_page import PlayPage
from tests.support.pilot import filled, on, opened, shown, type_in, until
from tests.support.sample_runs import recorded

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


# How it begins.


def test_the_app_loads_nothing_heavy_before_its_first_page() -> None:
    code = """
        import sys
        from screens.app import Fedwiz
        heavy = "pydantic", "asyncssh", "etcd3", "grpc", "netaddr", "fedwiz.answers.file"
        Fedwiz()
        print([name for name in heavy if name in sys.modules])
    """
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


async def test_a_refusal_of_what_it_begins_with_is_for_the_caller() -> None:
    def begin() -> None:
        raise AnswersError({"network.cidr": "missing"})

    app = Fedwiz(begin)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value == 2
    assert isinstance(app.refused, AnswersError)


def test_only_a_refusal_is_one() -> None:
    def begin() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        drafted(begin)


async def test_a_begin_that_makes_nothing_leads_to_the_first_page() -> None:
    app = Fedwiz(lambda: None)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "New install" in shown(app))


# How it ends, in a terminal of its own.


class Started:
    """A program in a terminal of its own."""

    def __init__(self, code: str, home: Path) -> None:
        self.above, below = pty.openpty()
        fcntl.ioctl(below, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

        def lead() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(home),
            "TERM": "xterm-256color",
        }
        self.running = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=below,
            stdout=below,
            stderr=below,
            env=environ,
            cwd=ROOT,
            preexec_fn=lead,
        )
        os.close(below)
        self.said = b""

    def read_until(self, so: Callable[[], object]) -> None:
        while not so():
            if select.select([self.above], [], [], 0.05)[0]:
                try:
                    self.said += os.read(self.above, 1 << 16)
                except OSError:  # it has ended
                    break

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running.poll() is None:
            self.running.kill()
        self.running.wait()


def test_a_bug_ends_the_app_with_a_traceback_and_code_1(tmp_path: Path) -> None:
    code = """
        import sys
        from screens.app import run
        def begin():
            raise ZeroDivisionError("a bug of ours")
        sys.exit(run(begin))
    """
    with Started(code, tmp_path) as app:
        app.read_until(lambda: app.running.poll() is not None)
        assert app.running.wait() == 1
        assert b"a bug of ours" in app.said
        assert b"\x1b[?1049l" in app.said  # the terminal is as it was


def test_an_install_whose_terminal_has_gone_ends_what_runs(tmp_path: Path) -> None:
    code = """
        import asyncio, sys
        from dataclasses import replace
        from fedwiz.engine import plan
        from tests.support.pilot import filled, wizard
        draft = replace(filled("install"), pace=0.2)
        app = wizard(draft)
        answers = draft.answers()
        async def approve():
            app.inventory.approved = answers, plan.make(answers, await app.inventory.read(answers))
        asyncio.run(approve())
        app._begin = lambda: draft
        sys.exit(app.run())
    """
    with Started(code, tmp_path) as app:

        def journal() -> str:
            return "".join(it.read_text() for it in tmp_path.rglob("*.jsonl"))

        app.read_until(lambda: journal().count("ActionEnded") > 3)
        os.close(app.above)
        assert app.running.wait() == 130
        [path] = tmp_path.rglob("*.jsonl")
        end = read(path)[-1].event
        assert getattr(end, "outcome", "") == "stopped"
        assert "closed" not in getattr(end, "why", "")
        assert "unknown" not in journal()


def test_nothing_is_written_to_a_terminal_that_has_gone() -> None:
    class Gone:
        def write(self, _text: str) -> int:
            raise OSError(5, "gone")

        flush = fileno = lambda self: 0

    told = list[str]()
    file: Any = Gone()
    out = TerminalOutput(file, lambda: told.append("gone"))
    out.write("x")
    out.write("y")
    out.flush()
    assert told == ["gone"]


# What can be done everywhere.


@pytest.mark.parametrize("page", PAGES)
async def test_every_action_of_every_page_is_in_the_palette_and_in_help(page: str) -> None:
    async with opened(filled(page)) as pilot:
        await on(pilot, FLOW[page])
        screen, app = pilot.app.screen, pilot.app
        titles = {command.title for command in app.get_system_commands(screen)}
        for owner in (*FLOW[page].__mro__, Fedwiz):
            for binding in owner.__dict__.get("BINDINGS", ()):
                if not isinstance(binding, Binding) or not owner.__module__.startswith("screens"):
                    continue
                live = screen.active_bindings.get(binding.key.partition(",")[0])
                if live is None or not live.enabled or live.binding.action == "command_palette":
                    continue
                if live.node in (screen, app):
                    assert live.binding.description in titles, binding
        await pilot.press("f1")
        await on(pilot, Help)
        await pilot.press("end")
        assert "Dark or light" in shown(app)  # the last of the keys


async def test_the_palette_does_what_it_says() -> None:
    app = Fedwiz(play=Play(recorded("sixty-hosts"), 0))
    async with app.run_test(size=(80, 24)) as pilot:
        await on(pilot, PlayPage)
        await until(pilot, lambda: "fed-node1" in shown(app))
        await pilot.press("ctrl+p")
        await on(pilot, CommandPalette)
        await type_in(pilot, "Red first")
        await until(pilot, lambda: "Key: f" in shown(app))
        await pilot.press("enter")
        await on(pilot, PlayPage)
        await until(pilot, lambda: "red hosts come first" in shown(app))


async def test_ctrl_s_saves_the_screen_and_the_report_and_says_where(state_home: Path) -> None:
    app = Fedwiz(play=Play(recorded("all-well"), 0))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await on(pilot, PlayPage)
        await until(pilot, lambda: app.state is not None and app.state.outcome)
        await pilot.press("ctrl+s")
        place = state_home / "fedwiz/saved"
        await until(pilot, lambda: len(list(place.glob("*-*.*"))) == 2)
        await until(pilot, lambda: "Saved in" in shown(app))
        [svg], [report] = place.glob("*-install.svg"), place.glob("*-report.md")
        assert "fed-node1" in svg.read_text()
        assert "fedora-lab" in report.read_text()
        assert {it.stat().st_mode & 0o777 for it in (svg, report)} == {0o600}


async def test_what_can_not_be_saved_is_said(state_home: Path) -> None:
    async with opened(filled("install")) as pilot:
        await on(pilot, FLOW["install"])
        (state_home / "fedwiz").mkdir(exist_ok=True)
        (state_home / "fedwiz/saved").write_text("in the way")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Not saved" in shown(pilot.app))


async def test_ctrl_t_turns_the_theme() -> None:
    async with opened(filled("install")) as pilot:
        await on(pilot, FLOW["install"])
        before = pilot.app.theme
        await pilot.press("ctrl+t")
        assert pilot.app.theme != before
        await pilot.press("ctrl+t")
        assert pilot.app.theme == before


async def test_ctrl_c_where_nothing_runs_asks_whether_to_leave() -> None:
    async with opened(filled("network")) as pilot:
        await on(pilot, FLOW["network"])
        await pilot.press("ctrl+c")
        await on(pilot, Confirm)
        await pilot.press("escape")
        await on(pilot, FLOW["network"])
        await pilot.press("f1")
        await on(pilot, Help)
