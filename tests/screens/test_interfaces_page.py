"""The page Interfaces: which interface each node takes, and whether the nodes meet by it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, OptionList

from fedwiz.facts import ClusterFacts, Facts, Link, Route
from fedwiz.model.events import Verified
from fedwiz.practice import practice_answers
from fedwiz.wizard.draft import Draft, load_saved
from screens.dialogs.basic import Pick
from screens.dialogs.dialog import Help
from screens.pages.flow import FLOW
from screens.pages.interfaces import InterfacesPage
from screens.pages.review import ReviewPage
from screens.widgets.interface_table import InterfaceRow, columns, interface_options, rows
from tests.support.pilot import SIZES, filled, on, opened, resize, shown, still, until, wizard

ETH0 = Link("eth0", "52:54:00:00:00:01", 1500, True, ("192.168.122.77/24", "192.168.122.99/24"))
ETH1 = Link("eth1", "52:54:00:00:00:02", 9000, False, ())
LO = Link("lo", "00:00:00:00:00:00", 65536, True, ("127.0.0.1/8",))
FACTS = Facts("fed-node1", links=(LO, ETH1, ETH0), routes=(Route("default", "eth0"),))


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def page(pilot: Pilot[Any]) -> Any:  # noqa: ANN401 - the page, whatever it holds
    return pilot.app.screen


async def pinged(pilot: Pilot[Any]) -> None:
    """Until the nodes have pinged each other."""
    await on(pilot, InterfacesPage)
    await until(pilot, lambda: page(pilot).query_one(DataTable).row_count)
    await until(pilot, lambda: " of " in str(page(pilot).query_one(DataTable).get_row_at(0)[-1]))


def interfaces(draft: Draft) -> dict[str, str]:
    return {it.name: it.interface for it in draft.chosen}


# A row, as data.


def row(
    facts: Facts | None = FACTS,
    interface: str = "",
    lost: str = "",
    **more: Any,
) -> InterfaceRow:
    return InterfaceRow("fed-node1", "192.168.122.77", interface, facts, lost, **more)


def ping(level: str, peer: str = "fed-node2") -> Verified:
    return Verified("meet", "fed-node1", peer, level, "3/3", "no way")  # type: ignore[arg-type]  # a word of a table


@pytest.mark.parametrize(
    ("made", "name", "published", "why", "word"),
    [
        (row(), "eth0", "192.168.122.77/24", "default route", "ok"),
        (row(interface="eth1"), "eth1", "", "chosen", "ok"),
        (row(interface="192.168.122.99"), "eth0", "192.168.122.99/24", "chosen", "ok"),
        (row(interface="gone"), "", "", "chosen", "ok"),
        (row(replace(FACTS, routes=())), "", "", "", "ok"),
        (row(None), "", "", "", "reading"),
        (row(None, lost="no way there"), "", "", "", "lost"),
        (row(pings=(ping("pass"),)), "eth0", "192.168.122.77/24", "default route", "ok"),
        (row(pings=(ping("fail"),)), "eth0", "192.168.122.77/24", "default route", "warn"),
        (row(pings=(ping("skipped"),)), "eth0", "192.168.122.77/24", "default route", "warn"),
    ],
)
def test_a_row_says_what_a_node_takes(
    made: InterfaceRow, name: str, published: str, why: str, word: str
) -> None:
    link = made.link
    assert (link.name if link else "", made.published, made.why, made.word) == (
        name,
        published,
        why,
        word,
    )


def test_the_list_begins_with_the_default_route_s_and_leaves_lo_out() -> None:
    values, titles, about = zip(*interface_options(FACTS), strict=True)
    assert values == ("", "192.168.122.99", "eth1")
    assert titles == ("eth0  192.168.122.77/24", "eth0  192.168.122.99/24", "eth1  no IPv4 address")
    assert "default route" in about[0]
    assert "MTU 9000, down" in about[2]


def test_twins_are_blocked_each_by_the_finding_about_them_all() -> None:
    answers = practice_answers(4)
    hosts = {it.name: replace(FACTS, hostname=it.name) for it in answers.host}
    found, cluster = rows(filled("interfaces"), answers, ClusterFacts(hosts))
    assert [it.word for it in found] == ["block"] * 3
    assert any("would all publish 192.168.122.77" in it.seen for it in cluster)
    accepted = replace(filled("interfaces"), accepted=("interface", "distinct-names"))
    assert {it.word for it in rows(accepted, answers, ClusterFacts(hosts))[0]} == {"warn"}


def test_the_columns_fit_and_the_host_gets_the_rest() -> None:
    long = replace(row(), name="n" * 63)
    assert sum(columns(78, [long]).values()) == 78
    assert columns(118, [long])["host"] > columns(78, [long])["host"]
    assert columns(118, [row()])["host"] == len("fed-node1") + 1


# The page.


async def test_a_restarted_wizard_reads_the_hosts_and_has_them_ping_each_other() -> None:
    async with opened(filled("interfaces")) as pilot:
        await pinged(pilot)
        said = shown(pilot.app)
        assert "fed-master" not in said
        assert said.count("eth0") >= 3
        assert "+ 2 of 2" in said
        assert "192.168.122.77" in said
        assert "Same on all" in said
        await pilot.press("f1")
        await on(pilot, Help)
        assert "VirtualBox" in shown(pilot.app)
        await pilot.press("escape")
        await pilot.press("ctrl+n")
        await on(pilot, ReviewPage)
        await pilot.press("escape")
        await on(pilot, InterfacesPage)
        # What was read is known still.
        assert "reading" not in shown(pilot.app)


async def test_nat_twins_are_blocked_until_another_interface_is_chosen_for_all() -> None:
    async with opened(filled("interfaces", "nat-twins")) as pilot:
        await pinged(pilot)
        assert "X block" in shown(pilot.app)
        assert "! 0 of 2" in shown(pilot.app)
        await pilot.press("down", "down", "ctrl+n")
        assert isinstance(page(pilot), InterfacesPage)
        assert "X fed-node1: nat0 has 10.0.2.15" in shown(pilot.app)
        assert page(pilot).query_one(DataTable).cursor_row == 0
        await pilot.press("s")
        await on(pilot, Pick)
        assert "eth0" in shown(pilot.app)
        assert "on 3 of 3 nodes" in shown(pilot.app)
        await pilot.press("home", "enter")
        await until(pilot, lambda: "+ 2 of 2" in shown(pilot.app))
        draft = load_saved("nat-twins")
        assert draft
        assert interfaces(draft) == {
            "fed-master": "",
            **dict.fromkeys(("fed-node1", "fed-node2", "fed-node3"), "eth0"),
        }
        assert "chosen" in shown(pilot.app)
        await pilot.press("ctrl+n")
        await on(pilot, ReviewPage)


async def test_one_host_s_choice_is_kept_and_the_default_takes_it_back() -> None:
    async with opened(filled("interfaces", "nat-twins")) as pilot:
        await pinged(pilot)
        await pilot.press("down", "enter")
        await on(pilot, Pick)
        assert "Interface of fed-node2" in shown(pilot.app)
        assert page(pilot).query_one(OptionList).highlighted == 0
        await pilot.press("down", "enter")
        await on(pilot, InterfacesPage)
        await until(pilot, lambda: "chosen" in shown(pilot.app))
        assert page(pilot).query_one(DataTable).cursor_row == 1
        draft = load_saved("nat-twins")
        assert draft
        assert interfaces(draft)["fed-node2"] not in ("", "nat0")
        assert interfaces(draft)["fed-node1"] == ""
        await pilot.press("enter")
        await on(pilot, Pick)
        assert page(pilot).query_one(OptionList).highlighted == 1
        await pilot.press("home", "enter")
        await until(pilot, lambda: "chosen" not in shown(pilot.app))
        again = load_saved("nat-twins")
        assert again
        assert interfaces(again)["fed-node2"] == ""
        await pilot.press("enter")
        await on(pilot, Pick)
        await pilot.press("escape")
        await on(pilot, InterfacesPage)
        await pilot.press("s")
        await on(pilot, Pick)
        await pilot.press("escape")
        await on(pilot, InterfacesPage)
        assert load_saved("nat-twins") == again


async def test_names_that_no_host_has_block_until_they_are_replaced() -> None:
    draft = filled("interfaces")
    _, one, two, three = draft.chosen
    draft = draft.host(one.address, interface="eth9").host(two.address, interface="eth 0")
    async with opened(draft) as pilot:
        await pinged(pilot)
        assert "there is no interface eth9" in shown(pilot.app)
        assert three.address in shown(pilot.app)
        await pilot.press("ctrl+n")
        assert "host[fed-node2].interface" in shown(pilot.app)
        await pilot.press("down", "enter")
        await on(pilot, Pick)
        await pilot.press("enter")
        await on(pilot, InterfacesPage)
        await pilot.press("ctrl+n")
        assert "X fed-node1: there is no interface eth9" in " ".join(shown(pilot.app).split())
        await pilot.press("enter")
        await on(pilot, Pick)
        await pilot.press("enter")
        await until(pilot, lambda: "eth9" not in shown(pilot.app))


async def test_a_host_that_does_not_answer_is_named_and_keeps_nobody() -> None:
    async with opened(filled("interfaces", "unreachable")) as pilot:
        await on(pilot, InterfacesPage)
        await until(pilot, lambda: "X lost" in shown(pilot.app))
        assert "fed-node2 could not be read" in shown(pilot.app)
        await pilot.press("down")
        await until(pilot, lambda: "does not answer on port 22" in shown(pilot.app))
        await pilot.press("enter")
        assert "fed-node2 was not read yet" in shown(pilot.app)
        await pilot.press("s")
        await on(pilot, Pick)
        assert "on 2 of 3 nodes" in shown(pilot.app)
        await pilot.press("enter")
        await on(pilot, InterfacesPage)
        await pilot.press("r")
        await until(pilot, lambda: "! fed-node2 could not be read" in shown(pilot.app))
        await pilot.press("ctrl+n")
        await on(pilot, ReviewPage)


async def test_hosts_that_are_being_read_are_waited_for() -> None:
    draft = replace(filled("interfaces"), pace=60.0)
    async with opened(draft) as pilot:
        await on(pilot, InterfacesPage)
        await until(pilot, lambda: "~ reading" in shown(pilot.app))
        assert "reading 0 of 4 hosts" in shown(pilot.app)
        await pilot.press("ctrl+n")
        assert "being read" in shown(pilot.app)
        await pilot.press("s")
        assert "No node was read yet" in shown(pilot.app)
        await pilot.press("escape")
        await on(pilot, FLOW["backend"])


async def test_without_hosts_there_is_a_way_back() -> None:
    draft = replace(filled("interfaces"), candidates=())
    async with opened(draft) as pilot:
        await on(pilot, InterfacesPage)
        assert "No node is chosen: Esc leads back" in shown(pilot.app)
        await pilot.press("enter", "s", "r")
        assert isinstance(page(pilot), InterfacesPage)
    async with opened(replace(filled("interfaces"), candidates=filled("").chosen[:2])) as pilot:
        await on(pilot, InterfacesPage)
        assert "X " in shown(pilot.app)
        assert "Esc leads back" in shown(pilot.app)


@pytest.mark.parametrize("many", [40, pytest.param(100, marks=pytest.mark.full)])
async def test_many_hosts_scroll_and_the_last_can_be_chosen_for(many: int) -> None:
    last = f"fed-node{many - 1}"
    async with opened(filled("interfaces", size=many)) as pilot:
        await pinged(pilot)
        await until(pilot, lambda: f"+ {many - 2} of {many - 2}" in shown(pilot.app))
        assert last not in shown(pilot.app)
        await pilot.press("end")
        await until(pilot, lambda: last in shown(pilot.app))
        await pilot.press("enter")
        await on(pilot, Pick)
        assert f"Interface of {last}" in shown(pilot.app)
        await pilot.press("escape")
        await resize(pilot, 20, 5)
        await resize(pilot, 120, 40)
        await on(pilot, InterfacesPage)
        assert f"192.168.122.{75 + many}/24" in shown(pilot.app)
        assert "default route" in shown(pilot.app)


LONG = "a" * 59 + "-" + "b" * 3


def _long(draft: Draft) -> Draft:
    return draft.host(draft.chosen[1].address, name=LONG)


LOOKS: Mapping[str, Draft] = {
    "healthy": filled("interfaces"),
    "twins": filled("interfaces", "nat-twins"),
    "lost": filled("interfaces", "unreachable"),
    "long": _long(filled("interfaces", size=40)),
    "reading": replace(filled("interfaces"), pace=600.0),
    "none": replace(filled("interfaces"), candidates=()),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOOKS)
def test_how_it_looks(snap_compare: Any, name: str, size: tuple[int, int]) -> None:  # noqa: ANN401
    async def wait(pilot: Pilot[Any]) -> None:
        await on(pilot, InterfacesPage)
        if name in ("reading", "none"):
            return
        await pinged(pilot)
        if name == "lost":
            await pilot.press("down")

    assert snap_compare(wizard(LOOKS[name]), terminal_size=size, run_before=still(wait))
