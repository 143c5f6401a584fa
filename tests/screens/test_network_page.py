"""The page Network: what is proposed, how it is judged, and how it is kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from fedwiz.facts.values import Route
from fedwiz.practice import FAULTS
from fedwiz.practice.machine import Cluster
from fedwiz.wizard.draft import Draft, load_saved
from screens.dialogs.basic import Confirm
from screens.dialogs.dialog import Help
from screens.dialogs.form import Form
from screens.pages.flow import FLOW
from screens.pages.judged_page import Choices
from screens.pages.network import NetworkPage
from tests.support.pilot import (
    SIZES,
    filled,
    on,
    opened,
    resize,
    shown,
    still,
    type_in,
    unsaid,
    until,
)
from tests.support.practice_wizard import (
    Bend,
    app_on,
    at_work,
    cluster,
    etcd_holds,
    judged,
    untouched,
)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def said(pilot: Pilot[Any]) -> dict[str, Any]:
    """What the draft has of the network; the one on disk, where there is one, is the same."""
    app: Any = pilot.app
    held = load_saved(app.draft.practice)
    assert held is None or held.said == app.draft.said
    net: dict[str, Any] = app.draft.said.get("network", {})
    return net


def text(pilot: Pilot[Any]) -> str:
    """The screen, as one line."""
    return " ".join(shown(pilot.app).split())


def findings(pilot: Pilot[Any]) -> str:
    """All findings, as one line; some of them may have to be scrolled to."""
    content: Any = pilot.app.screen.query_one("#findings", Static).content
    return " ".join(content.plain.split())


async def write(pilot: Pilot[Any], cidr: str) -> None:
    """Replace what stands in the field, by keys."""
    pilot.app.screen.query_one(Input).focus()
    await pilot.press("end", "ctrl+u")
    await type_in(pilot, cidr)
    await pilot.pause()


# What it begins with.


async def test_a_free_network_is_proposed_where_nothing_was_said_and_each_time_another() -> None:
    async with at_work(unsaid()) as pilot:
        assert said(pilot) == {"cidr": "10.16.0.0/16"}
        assert pilot.app.screen.query_one(Input).value == "10.16.0.0/16"
        assert "proposed: free on all 4 hosts" in text(pilot)
        found = []
        for _ in range(3):
            await pilot.press("f2")
            found.append(said(pilot)["cidr"])
        assert found == ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"]
        assert pilot.app.screen.query_one(Input).value == "10.2.0.0/16"


async def test_what_etcd_holds_comes_before_a_proposal() -> None:
    config = {
        "Network": "10.40.0.0/16",
        "SubnetLen": 25,
        "SubnetMin": "10.40.1.0",
        "Backend": {"Type": "host-gw"},
    }
    async with at_work(unsaid(), etcd_holds(config)) as pilot:
        assert said(pilot) == {
            "cidr": "10.40.0.0/16",
            "subnet_len": 25,
            "subnet_min": "10.40.1.0",
        }
        app: Any = pilot.app
        assert app.draft.said["backend"] == {"type": "host-gw"}
        assert "etcd holds it already" in shown(pilot.app)
        assert "min 10.40.1.0" in shown(pilot.app)
        assert "/coreos.com/network/config is as the answers want it" in findings(pilot)


# How it is judged.


async def test_what_is_wrong_is_said_as_it_is_typed_until_it_is_right() -> None:
    async with at_work(filled("network")) as pilot:
        for cidr, why in {
            "[/x]": "'[/x]': not a network",
            "10.20.0.1/16": "did you mean 10.20.0.0/16?",
            "10.254.0.0/16": "(Kubernetes' service addresses in Fedora's guide)",
        }.items():
            await write(pilot, cidr)
            assert said(pilot)["cidr"] == cidr
            assert "X block" in shown(pilot.app)
            assert why in findings(pilot)
            await pilot.press("down", "ctrl+n")  # from the table it leads back to the field
            assert isinstance(pilot.app.screen, NetworkPage)
            last = " ".join(" ".join(shown(pilot.app).splitlines()[-4:]).split())
            assert why in last.rpartition(" X ")[2]
            assert pilot.app.screen.query_one(Input).has_focus
        await write(pilot, "10.99.0.0/16")
        assert "X block" not in shown(pilot.app)
        for sentence in (
            "+ ok 10.99.0.0/16 is private",
            "+ ok 10.99.0.0/16 meets no address, route or docker network",
            "+ ok 10.99.0.0/16 has 255 subnets for 3 nodes, 253 addresses each",
        ):
            assert sentence in text(pilot)
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["backend"])


async def test_what_any_host_uses_blocks_until_it_is_another_or_the_hosts_are_others() -> None:
    async with at_work(filled("network", "overlap")) as pilot:
        assert "X block fed-node2 10.16.0.0/16 overlaps 10.16.0.0/16 (route by eth0)" in text(pilot)
        await pilot.press("ctrl+n")
        last = " ".join(shown(pilot.app).splitlines()[-3:])
        assert "fed-node2: 10.16.0.0/16 overlaps" in last
        assert "set network.cidr to a free network, such as 10.0.0.0/16" in " ".join(last.split())
        await pilot.press("f2")
        assert said(pilot)["cidr"] == "10.0.0.0/16"
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["backend"])
        await pilot.press("escape")
        await judged(pilot)
        await write(pilot, "10.16.0.0/16")
        assert "X block" in shown(pilot.app)
        app: Any = pilot.app
        FAULTS["overlap"].repair(cluster(app))
        await pilot.press("f5")
        await until(pilot, lambda: "X block" not in shown(pilot.app))
        assert "meets no address" in text(pilot)


async def test_where_nothing_is_free_that_is_said() -> None:
    def bend(machines: Cluster) -> None:
        for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"):
            machines.nodes()[0].routes.append(Route(cidr, "eth0", "192.168.122.1"))

    async with at_work(unsaid(), bend) as pilot:
        assert said(pilot) == {}
        assert "such as 10.16.0.0/16" in shown(pilot.app)
        await pilot.press("f2")
        assert "No other network of a usual size is free on all hosts" in text(pilot)


# Public addresses.


async def test_every_key_fits_and_public_addresses_are_taken_only_after_a_question() -> None:
    async with at_work(filled("network", "public-cidr")) as pilot:
        footer = shown(pilot.app).splitlines()[-1].lower()
        for key in ("esc", "^n", "f2", "f3", "f4", "f5", "f1 help"):
            assert key in footer
        await pilot.press("f1")
        await on(pilot, Help)
        assert "All containers of the cluster get addresses of one network" in text(pilot)
        await pilot.press("escape")
        await on(pilot, NetworkPage)
        assert "18.16.0.0/16 is public" in text(pilot)
        assert "such as 10.16.0.0/16" in text(pilot)
        await pilot.press("f4")
        await on(pilot, Confirm)
        assert "their packets stay in the cluster" in text(pilot)
        await pilot.press("enter")
        await on(pilot, NetworkPage)
        assert said(pilot) == {"cidr": "18.16.0.0/16"}
        await pilot.press("f4")
        await on(pilot, Confirm)
        await pilot.press("right", "enter")
        await on(pilot, NetworkPage)
        await until(pilot, lambda: said(pilot).get("allow_public"))
        assert "18.16.0.0/16 is public, and the answers allow it" in text(pilot)
        assert "F4 takes that back" in text(pilot)
        await pilot.press("f4")
        await until(pilot, lambda: "X block" in shown(pilot.app))
        assert said(pilot) == {"cidr": "18.16.0.0/16"}


async def test_leave_for_one_network_is_not_leave_for_the_next() -> None:
    draft = filled("network", network={"cidr": "18.16.0.0/16", "allow_public": True})
    async with at_work(draft) as pilot:
        assert "X block" not in shown(pilot.app)
        await write(pilot, "10.16.0.0/16")
        assert said(pilot) == {"cidr": "10.16.0.0/16"}
        assert "f4" not in shown(pilot.app).splitlines()[-1].lower()
        await pilot.press("f4")
        assert isinstance(pilot.app.screen, NetworkPage)


# The size of each node's part.


async def test_the_table_says_what_each_length_gives_and_one_without_room_blocks() -> None:
    async with at_work(filled("network", size=6), size=(120, 40)) as pilot:
        lines = [line[57:].strip() for line in shown(pilot.app).splitlines()]
        assert "part        nodes    addresses each" in lines
        assert "/18             3            16,381   X no room for 5 nodes" in lines
        assert "/24           255               253   + chosen" in lines
        assert "/30        16,383                 1" in lines
        await pilot.press("enter", "home", "enter")
        assert said(pilot)["subnet_len"] == 18
        assert "X chosen, no room for 5 nodes" in text(pilot)
        assert "room for 3 of 5 nodes" in text(pilot)
        await pilot.press("ctrl+n")
        assert isinstance(pilot.app.screen, NetworkPage)


async def test_a_length_is_chosen_by_enter_and_by_space() -> None:
    async with at_work(filled("network")) as pilot:
        await pilot.press("down", "down", "enter")
        assert said(pilot) == {"cidr": "10.16.0.0/16", "subnet_len": 25}
        assert "/25 511 125 + chosen" in text(pilot)
        assert "511 subnets for 3 nodes, 125 addresses each" in text(pilot)
        assert pilot.app.screen.query_one(Choices).highlighted == 7
        await pilot.press("up", "up", "up", "space")
        assert said(pilot)["subnet_len"] == 22


async def test_the_table_waits_for_a_network() -> None:
    async with at_work(filled("network")) as pilot:
        await write(pilot, "10.1")
        assert "Once the network is right" in text(pilot)
        await pilot.press("enter", "enter", "space", "down")
        assert said(pilot) == {"cidr": "10.1"}


async def test_the_first_and_the_last_subnet_are_asked_apart() -> None:
    async with at_work(filled("network")) as pilot:
        await pilot.press("f3")
        await on(pilot, Form)
        await type_in(pilot, "10.16.8.7")
        assert "no /24 begins there; did you mean 10.16.8.0?" in text(pilot)
        await pilot.press("ctrl+n")
        assert "one answer to be corrected first" in text(pilot)
        await pilot.press("backspace", "0", "enter")
        await type_in(pilot, "10.16.9.0")
        await pilot.press("enter")
        await on(pilot, NetworkPage)
        await until(pilot, lambda: "subnet_min" in said(pilot))
        assert said(pilot) == {
            "cidr": "10.16.0.0/16",
            "subnet_min": "10.16.8.0",
            "subnet_max": "10.16.9.0",
        }
        assert "min 10.16.8.0, max 10.16.9.0" in shown(pilot.app)
        assert "room for 2 of 3 nodes -> widen" in findings(pilot)
        await pilot.press("f3")
        await on(pilot, Form)
        await pilot.press("ctrl+u", "escape")
        await on(pilot, NetworkPage)
        assert "subnet_min" in said(pilot)


# Reading the hosts.


async def test_while_the_hosts_are_read_only_the_form_is_judged() -> None:
    draft = replace(filled("network"), pace=1000.0)
    async with opened(draft) as pilot:
        await on(pilot, NetworkPage)
        await until(pilot, lambda: "reading 0 of 4 hosts" in shown(pilot.app))
        assert "meets no address" not in text(pilot)
        await pilot.press("ctrl+n")
        assert "being read: wait" in text(pilot)
        await pilot.press("f2")
        assert "Nothing can be proposed before the hosts are read" in text(pilot)
        await write(pilot, "10.20.0.0/99")
        assert "the length after `/`" in text(pilot)
        await pilot.press("escape")
        await on(pilot, FLOW["hosts"])


async def test_before_one_is_proposed_nothing_is_missing() -> None:
    async with opened(unsaid(pace=1000.0)) as pilot:
        await on(pilot, NetworkPage)
        await until(pilot, lambda: "reading 0 of 4 hosts" in shown(pilot.app))
        assert "X block" not in shown(pilot.app)
        await write(pilot, "1")
        assert said(pilot) == {"cidr": "1"}
        await pilot.press("backspace")
        assert "X block '': not a network" in text(pilot)


async def test_a_host_that_could_not_be_read_is_named_and_stops_nobody() -> None:
    async with at_work(filled("network", "unreachable")) as pilot:
        assert "! warn fed-node2 not judged: it could not be read" in text(pilot)
        assert "proposed: free on 3 of 4 hosts" in text(pilot)
        await pilot.press("ctrl+n")
        await on(pilot, FLOW["backend"])


async def test_without_hosts_it_says_where_to_go() -> None:
    async with at_work(replace(filled("network"), candidates=())) as pilot:
        assert "not judged against the hosts" in text(pilot)
        assert "see the page Hosts" in text(pilot)
        await write(pilot, "10.1/16")
        assert "not a network" in text(pilot)


# What is kept.


async def test_what_was_typed_is_there_again_after_a_kill() -> None:
    async with at_work(filled("network")) as pilot:
        await write(pilot, "10.77.0.0/1")
        await pilot.press("down")
    held = load_saved("healthy")
    assert held is not None
    async with at_work(held) as pilot:
        assert pilot.app.screen.query_one(Input).value == "10.77.0.0/1"
        assert "X block" in shown(pilot.app)


async def test_back_and_forward_keep_everything() -> None:
    async with at_work(filled("network")) as pilot:
        await write(pilot, "10.77.0.0/16")
        await pilot.press("enter", "down", "enter", "ctrl+n")
        await on(pilot, FLOW["backend"])
        await pilot.press("escape")
        await judged(pilot)
        assert pilot.app.screen.query_one(Input).value == "10.77.0.0/16"
        assert "/25 511 125 + chosen" in text(pilot)


async def test_a_terminal_too_small_and_back_loses_nothing() -> None:
    async with at_work(filled("network")) as pilot:
        before = shown(pilot.app)
        await resize(pilot, 20, 5)
        await pilot.press("x", "f2")
        await resize(pilot, 80, 24)
        await until(pilot, lambda: shown(pilot.app) == before)


STATES: dict[str, tuple[Draft, Bend, tuple[str, ...]]] = {
    "healthy": (filled("network"), untouched, ()),
    "overlap": (filled("network", "overlap"), untouched, ("ctrl+n",)),
    "public": (filled("network", "public-cidr"), untouched, ()),
    "refused": (filled("network"), untouched, ("backspace", "backspace", "backspace", "ctrl+n")),
    "held": (unsaid(), etcd_holds({"Network": "10.40.0.0/16", "Backend": {"Type": "udp"}}), ()),
    "no room": (filled("network", size=100), untouched, ("enter", "up", "up", "up", "enter")),
    "lost": (filled("network", "unreachable"), untouched, ()),
}
"""What a snapshot shows: the draft, what is changed on the machines, and the keys."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
def test_snapshot(state: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    draft, bend, keys = STATES[state]

    async def wait(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        await judged(pilot)
        await pilot.press(*keys)

    assert snap_compare(app_on(draft, bend), terminal_size=size, run_before=still(wait))
