"""The whole wizard by keys alone, on practice clusters, whatever is wrong with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from fedwiz.practice import FAULTS
from fedwiz.wizard.draft import PAGES
from screens.app import Fedwiz
from screens.dialogs.basic import TypeName
from screens.dialogs.host_keys import HostKeys
from screens.pages.flow import FLOW
from screens.pages.install import InstallPage
from screens.widgets.frame import StatusLine
from tests.support.pilot import (
    LARGE,
    SMALL,
    filled,
    fresh,
    on,
    opened,
    shown,
    type_in,
    until,
)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


LEFT = 130
"""The exit code of a wizard that is left before anything was installed or proven."""

ENDS: Mapping[str, tuple[str, str, int]] = {
    "healthy": ("verify", "all 6 pairs of nodes ping", 0),
    "no-etcd": ("hosts", "no host is the master", LEFT),
    "v2-only": ("review", "has no v3 API", LEFT),
    "public-cidr": ("network", "18.16.0.0/16 is public", LEFT),
    # The network that a route leads into is not proposed in the first place.
    "overlap": ("verify", "all 6 pairs of nodes ping", 0),
    "duplicate-name": ("hosts", "'fed-node1': 192.168.122.77 has it too", LEFT),
    "nat-twins": ("interfaces", "nat0 has 10.0.2.15", LEFT),
    "firewalld": ("verify", "all 6 pairs of nodes ping", 0),
    "forward-drop": ("verify", "4 of 6 pairs do not ping", 7),
    "no-forwarding": ("verify", "4 of 6 pairs do not ping", 7),
    "port-closed": ("verify", "4 of 6 pairs do not ping", 7),
    "stale-mac": ("verify", "2 of 6 pairs do not ping", 7),
    "missing-route": ("verify", "2 of 6 pairs do not ping", 7),
    "dnf-locked": ("verify", "all 6 pairs of nodes ping", 0),
    "flaky-ssh": ("install", "the connection to fed-node2 was lost", 5),
    "docker-refuses": ("install", "docker's new subnet overlaps", 5),
    "no-package": ("review", "dnf offers no flannel", LEFT),
    "disk-full": ("review", "/ has 3 MiB free", LEFT),
    "never-ready": ("install", "flanneld did not get ready", 5),
    "locked": ("install", "bob@laptop (192.168.122.1) has been changing this cluster", 8),
    "changed-key": ("hosts", "is not the one in known_hosts", LEFT),
    "unreachable": ("hosts", "does not answer on port 22", LEFT),
}
"""For each fault the page that the way forward ends at, what is said there, and the exit code."""


def words(pilot: Pilot[int]) -> str:
    return " ".join(shown(pilot.app).split())


def blocked(pilot: Pilot[int]) -> bool:
    """The page says what keeps one from going on."""
    return any(it.has_class("-block") for it in pilot.app.screen.query(StatusLine))


async def find_hosts(pilot: Pilot[int]) -> None:
    """Search, choose all, accept their keys."""
    await on(pilot, FLOW["hosts"])
    await pilot.press("enter")
    await until(pilot, lambda: "Space chooses one" in words(pilot))
    await pilot.press("a", "ctrl+n")
    await on(pilot, HostKeys)
    await pilot.press("a", "enter")
    await until(pilot, lambda: "4 hosts read" in words(pilot) or blocked(pilot))


def moved(pilot: Pilot[int], page: str) -> bool:
    """Something has come of pressing Next on a page: another page, a question, or a refusal."""
    there = pilot.app.screen
    return blocked(pilot) or not isinstance(there, FLOW[page])


async def go_on(pilot: Pilot[int], page: str) -> bool:
    """Press Next on a page, as soon as it can be; whether it led on."""
    await on(pilot, FLOW[page])
    if page == "review":
        await until(pilot, lambda: "Nothing is changed before" in words(pilot) or blocked(pilot))
        if blocked(pilot):
            return False
    await pilot.press("ctrl+n")
    await until(pilot, lambda: moved(pilot, page))
    if isinstance(pilot.app.screen, TypeName):
        await type_in(pilot, "practice")
        await pilot.press("enter")
        await on(pilot, FLOW["install"])
    return not isinstance(pilot.app.screen, FLOW[page])


async def installed(pilot: Pilot[int]) -> None:
    """Wait for the run to end."""
    page = pilot.app.screen
    assert isinstance(page, InstallPage)
    wizard = page.wizard
    await until(pilot, lambda: wizard.state is not None and wizard.state.outcome != "")
    await until(pilot, lambda: wizard.stop is None)


WALKED = ("healthy", "no-etcd", "forward-drop", "docker-refuses", "locked")
"""The faults of the default tier, one for each exit code; the other walks end as one of these.

What each fault comes to is a row of `test_practice`, and what its page says of it one of that
page's own.
"""


def test_every_fault_has_its_end() -> None:
    assert list(ENDS) == ["healthy", *FAULTS]
    codes = [ENDS[fault][2] for fault in WALKED]
    assert sorted(codes) == sorted({code for _, _, code in ENDS.values()})


SIZED = [
    *((fault, SMALL) for fault in ENDS),
    *((fault, LARGE) for fault in ("healthy", "nat-twins", "docker-refuses", "forward-drop")),
]
"""Every fault on the smallest terminal, and one of each kind of end on a large one."""


def in_its_tier(fault: str, size: tuple[int, int]) -> Any:  # noqa: ANN401 - a row of pytest's
    walked = size == SMALL and fault in WALKED
    return pytest.param(fault, size, marks=() if walked else pytest.mark.full)


@pytest.mark.parametrize(
    ("fault", "size"), [in_its_tier(*row) for row in SIZED], ids=lambda it: str(it)
)
async def test_the_way_forward_ends_where_it_should(fault: str, size: tuple[int, int]) -> None:
    page, says, code = ENDS[fault]
    async with opened(fresh(fault), size, trusted=False) as pilot:
        app = pilot.app
        assert isinstance(app, Fedwiz)
        await find_hosts(pilot)
        for at in PAGES:
            if at == "install":
                await installed(pilot)
                if app.code in (5, 8):
                    break
            if at == "verify" or not await go_on(pilot, at):
                break
        assert isinstance(app.screen, FLOW[page]), shown(app)
        await until(pilot, lambda: says in words(pilot))
        assert app.code == code


async def test_what_was_proven_last_counts() -> None:
    """Back to the install and forward again is not back to a matrix that was green then."""
    async with opened(filled("review")) as pilot:
        app = pilot.app
        assert isinstance(app, Fedwiz)
        await go_on(pilot, "review")
        await installed(pilot)
        await go_on(pilot, "install")
        await until(pilot, lambda: "all 6 pairs of nodes ping" in words(pilot))
        site: Any = app.inventory
        FAULTS["forward-drop"].inject(site._practice.cluster)  # noqa: SLF001 - trouble comes later
        await pilot.press("r")
        await until(pilot, lambda: "4 of 6 pairs do not ping" in words(pilot))
        await pilot.press("escape")
        await on(pilot, FLOW["install"])
        await until(pilot, lambda: "Done on all 4 hosts" in words(pilot))
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["verify"])
        await until(pilot, lambda: "4 of 6 pairs do not ping" in words(pilot))
        assert app.code == 7
