"""The wizard on real hosts: from a scan of their network to a green matrix, by keys alone."""

import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from screens.app import Fedwiz
from screens.dialogs.basic import Confirm
from screens.dialogs.form import Form
from screens.dialogs.host_keys import HostKeys
from screens.pages.flow import FLOW
from screens.pages.welcome import WelcomePage
from screens.widgets.form import Field
from tests.lab.fixture import Lab, LabFactory
from tests.lab.test_install import proven
from tests.support.lab_operator import Operator
from tests.support.pilot import on, shown, type_in, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

SLOW = 120.0
"""Seconds for what real hosts do."""


@pytest.fixture(autouse=True)
def nobody_s_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who has never been here, and has no agent."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def says(pilot: Pilot[int], text: str) -> bool:
    return text in " ".join(shown(pilot.app).split())


async def give_key(pilot: Pilot[int], lab: Lab) -> None:
    """Name the private key in the form of ssh's questions."""
    await pilot.press("f2")
    await on(pilot, Form)
    fields = {it.question.path: it for it in pilot.app.screen.query(Field)}
    fields["ssh.identity"].query_one(Input).focus()
    await type_in(pilot, str(lab.key))
    await pilot.press("ctrl+n")


async def find_hosts(pilot: Pilot[int], lab: Lab) -> None:
    """Scan the network, choose all that answer, compare their keys, and read them."""
    await type_in(pilot, lab.subnet)
    await pilot.press("enter")
    await until(pilot, lambda: says(pilot, "4 answer ssh; Space chooses one"), SLOW)
    await pilot.press("a")
    await give_key(pilot, lab)
    await on(pilot, FLOW["hosts"])
    await pilot.press("ctrl+n")
    await on(pilot, HostKeys)
    await pilot.press("a", "enter")
    await until(pilot, lambda: says(pilot, "4 of 4 hosts read"), SLOW)
    assert "proposed as the master" in " ".join(shown(pilot.app).split())


@pytest.mark.parametrize("generation", ["classic", "modern"])
async def test_from_a_scan_to_a_green_matrix(
    generation: str, lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory(generation, 4)
    app = Fedwiz()
    async with app.run_test(size=(80, 24)) as pilot:
        await on(pilot, WelcomePage)
        await pilot.press("1")
        await on(pilot, FLOW["hosts"])
        await find_hosts(pilot, lab)
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["network"])
        await until(pilot, lambda: says(pilot, "10.16.0.0/16 is private"))
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["backend"])
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["interfaces"])
        await until(pilot, lambda: shown(app).count("2 of 2") >= 3, SLOW)
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["review"])
        await until(pilot, lambda: says(pilot, "Nothing is changed before you approve"), SLOW)
        await pilot.press("ctrl+n")
        await on(pilot, Confirm)  # no container runs there, so no name is to be typed
        await pilot.press("right", "enter")
        await on(pilot, FLOW["install"])
        await until(pilot, lambda: says(pilot, "the network is verified"), SLOW)
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["verify"])
        await until(pilot, lambda: says(pilot, "all 6 pairs of nodes ping"))
        assert app.code == 0
        run = app.draft.run if app.draft else ""
    assert len((tmp_path / ".ssh/known_hosts").read_text().splitlines()) == 4
    # What the run left repeats it without a question, and finds nothing to do.
    file = tmp_path / f"state/fedwiz/runs/{run}.toml"
    operator = Operator(lab, tmp_path, environ={"XDG_STATE_HOME": str(tmp_path / "state")})
    for verb in (["verify"], ["install", "--yes", "--headless"]):
        argv = [sys.executable, "-m", "fedwiz", *verb, "--json", "-a", str(file)]
        proven(operator.run(argv), 3)
    assert "nothing was changed" in operator.run(argv[:-3] + argv[-2:]).out
