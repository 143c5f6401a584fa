"""The page Hosts: searching, choosing, reading; what is in the way and how it is said."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from fedwiz.discover import Target
from fedwiz.discover.sources import Source
from fedwiz.practice import host_key
from fedwiz.ssh.known_hosts import UnknownKeyError
from fedwiz.util import files
from fedwiz.wizard import candidates
from fedwiz.wizard.draft import Candidate, Draft, load_saved
from screens.dialogs.basic import Ask, Pick
from screens.dialogs.dialog import Help
from screens.dialogs.form import Form
from screens.dialogs.host_form import HostForm
from screens.dialogs.host_keys import HostKeys, KeyTable
from screens.pages.hosts import HostsPage, first_block
from screens.pages.hosts_work import searched
from screens.pages.network import NetworkPage
from screens.widgets.frame import StatusLine
from screens.widgets.host_table import HostTable, differs
from tests.support.pilot import (
    LARGE,
    SIZES,
    SMALL,
    filled,
    fresh,
    on,
    opened,
    resize,
    shown,
    still,
    type_in,
    until,
    wizard,
)

MASTER, ONE, TWO, THREE = (f"192.168.122.{n}" for n in (76, 77, 78, 79))


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("FEDWIZ_SUDO_PASSWORD", "FEDWIZ_ETCD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def page(pilot: Pilot[Any]) -> HostsPage:
    """The page, which may be below a dialog."""
    return next(it for it in pilot.app.screen_stack if isinstance(it, HostsPage))


def said(pilot: Pilot[Any]) -> str:
    """The sentence above the keys of what is on top, in one line."""
    return " ".join(str(pilot.app.screen.query_one("#said", StatusLine).content).split())


def row(pilot: Pilot[Any], text: str) -> str:
    """The line of the list that has a text."""
    lines = [line for line in shown(pilot.app).splitlines() if line.startswith(" [")]
    return next((line for line in lines if text in line), "")


def detail(pilot: Pilot[Any]) -> str:
    """All that is said of the row under the cursor, in one line."""
    return " ".join(str(page(pilot).query_one("#about").content).split())  # type: ignore[attr-defined]  # a Static


def unread(fault: str = "healthy", size: int = 4) -> Draft:
    """The hosts are chosen, and nobody has read them."""
    draft = filled("hosts", fault, size)
    bare = tuple(replace(it, name="", role="") for it in draft.candidates)
    return replace(draft, candidates=bare)


async def found(pilot: Pilot[Any]) -> None:
    """Search the practice network."""
    await on(pilot, HostsPage)
    await pilot.press("enter")
    await until(pilot, lambda: "4 answer ssh" in said(pilot) and page(pilot).busy == "")


async def put(pilot: Pilot[Any], text: str) -> None:
    """Say where to look, and look."""
    await on(pilot, HostsPage)
    page(pilot).query_one("#where", Input).value = text
    page(pilot).query_one("#where").focus()
    await pilot.press("enter")


def burst(pilot: Pilot[Any], *keys: str) -> None:
    """Keys faster than the app is."""
    for key in keys:
        character = " " if key == "space" else key if len(key) == 1 else None
        pilot.app.post_message(events.Key(key, character))


# Searching.


async def test_an_empty_page_says_what_to_do_and_is_filled_from_the_practice_network() -> None:
    """After places that can't be used, or where nobody answers."""
    async with opened(fresh()) as pilot:
        await on(pilot, HostsPage)
        assert "No machines yet" in shown(pilot.app)
        assert pilot.app.focused is page(pilot).query_one("#where")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "0 hosts are chosen" in said(pilot))
        await put(pilot, "10.9.0.999, root@fed-a")
        await until(pilot, lambda: "not an IPv4 address" in said(pilot))
        assert "a user isn't part of a search" in said(pilot)
        assert page(pilot).draft.typed == "10.9.0.999, root@fed-a"
        await put(pilot, " ")
        await until(pilot, lambda: "Say where to look" in said(pilot))
        await put(pilot, "10.9.0.0/29")
        await until(pilot, lambda: "looked at 6: nobody answers ssh" in said(pilot))
        assert "is it the right network" in said(pilot)


async def test_a_network_gives_candidates_that_nobody_has_chosen() -> None:
    async with opened(fresh()) as pilot:
        await found(pilot)
        assert "looked at 254: 4 answer ssh; Space chooses one, a chooses all" in said(pilot)
        draft = page(pilot).draft
        assert [it.address for it in draft.candidates] == [MASTER, ONE, TWO, THREE]
        assert not draft.chosen
        assert all(it.shown_key.startswith("ssh-ed25519 SHA256:") for it in draft.candidates)
        assert load_saved("healthy") == draft
        assert pilot.app.focused is page(pilot).table


WHERE = "is it the right network, and does ssh listen there?"
LOOKED = {
    f"looked at 6: nobody answers ssh: {WHERE}": (6, 0, "", False, "warn"),
    f"looked at 2: nobody answers ssh; a note: {WHERE}": (2, 0, "a note", True, "warn"),
    "looked at 2: one answers ssh; a note; Space chooses one, a chooses all": (
        2,
        1,
        "a note",
        False,
        "",
    ),
    "looked at 254: 4 answer ssh": (254, 4, "", True, "ok"),
}
"""Of how many machines how many answer, what else is said, whether hosts are chosen; the level."""


@pytest.mark.parametrize("said", LOOKED)
def test_what_a_search_came_to(said: str) -> None:
    done, answer, notes, some, level = LOOKED[said]
    assert searched(done, answer, notes, some=some) == (said, level)


async def test_progress_is_said_while_it_is_looked() -> None:
    draft = replace(fresh(), pace=0.5)
    async with opened(draft) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("enter")
        await until(pilot, lambda: " of 254: " in said(pilot))
        await until(pilot, lambda: len(page(pilot).draft.candidates) > 0)
        await pilot.press("escape")
        await until(pilot, lambda: "was stopped" in said(pilot))
        await on(pilot, HostsPage)


async def test_who_is_named_is_chosen_at_once_also_where_nobody_answers() -> None:
    async with opened(fresh()) as pilot:
        await put(pilot, f"fed-node1, {TWO}, 10.9.9.9, 192.168.122.79 mine")
        await until(pilot, lambda: said(pilot) == "+ looked at 4: 3 answer ssh")
        draft = page(pilot).draft
        assert [(it.address, it.name, it.chosen, it.silent) for it in draft.candidates] == [
            ("fed-node1", "fed-node1", True, False),
            (TWO, "", True, False),
            ("10.9.9.9", "", True, True),
            (THREE, "mine", True, False),
        ]
        assert "? silent" in row(pilot, "10.9.9.9")


async def test_pasted_lines_are_all_taken() -> None:
    lines = f"127.0.0.1 localhost\n::1 localhost\n{MASTER}  fed-master # etcd\n{ONE}\tfed-node1\n"
    async with opened(replace(fresh(), typed="")) as pilot:
        await on(pilot, HostsPage)
        pilot.app.screen.focused.post_message(events.Paste(lines))  # type: ignore[union-attr]  # it has the focus
        await until(pilot, lambda: page(pilot).draft.typed)
        assert page(pilot).draft.typed == f"{MASTER} fed-master, {ONE} fed-node1"
        assert "2 lines left out" in said(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "2 answer ssh" in said(pilot))
        assert [it.name for it in page(pilot).draft.chosen] == ["fed-master", "fed-node1"]


async def test_known_sources_are_picked_from_and_their_notes_are_said() -> None:
    async with opened(fresh()) as pilot:
        await on(pilot, HostsPage)
        site: Any = pilot.app.inventory  # type: ignore[attr-defined]  # the wizard's
        note = "/root/.ssh/known_hosts: 2 hashed entries don't say whose they are\x1b[31m"
        targets = (Target(ONE, 22, "n1", "known_hosts"), Target("10.9.9.9", 22, "", "known_hosts"))
        site.sources = lambda: {
            "known_hosts": lambda: Source(targets, (note,)),
            "libvirt": lambda: Source((), ("/var/lib/libvirt/dnsmasq: No such file",)),
        }
        await pilot.press("f3")
        await on(pilot, Pick)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "libvirt knows of no hosts: /var/lib" in said(pilot))
        await pilot.press("f3")
        await on(pilot, Pick)
        await pilot.press("enter")
        await until(pilot, lambda: "looked at 2: one answers ssh" in said(pilot))
        assert "2 hashed entries don't say whose they are" in said(pilot)
        assert "\x1b" not in said(pilot)
        draft = page(pilot).draft
        assert [(it.name, it.chosen, it.silent) for it in draft.candidates] == [
            ("n1", False, False),
            ("", False, True),
        ]
        assert "from known_hosts" in detail(pilot)


# Choosing.


async def test_every_key_of_the_list() -> None:
    async with opened(fresh()) as pilot:
        await found(pilot)
        await pilot.press("space")
        assert [it.address for it in page(pilot).draft.chosen] == [MASTER]
        assert "1 chosen, 1 not read yet" in said(pilot)
        await pilot.press("space")
        assert not page(pilot).draft.chosen
        await pilot.press("a")
        assert len(page(pilot).draft.chosen) == 4
        await pilot.press("a")
        assert not page(pilot).draft.chosen
        await pilot.press("a", "down", "m")
        assert [it.role for it in page(pilot).draft.candidates] == ["node", "master", *["node"] * 2]
        assert f"{ONE} is the master" in said(pilot)
        await pilot.press("up", "m")
        assert [it.role for it in page(pilot).draft.candidates] == ["master", *["node"] * 3]
        await pilot.press("end", "down", "delete")
        assert [it.address for it in page(pilot).draft.candidates] == [MASTER, ONE, TWO]
        assert f"{THREE} is not in the list any more" in said(pilot)
        await pilot.press("d", "d", "d")
        assert page(pilot).draft.candidates == ()
        assert "No machines yet" in shown(pilot.app)
        for key in ("space", "m", "e", "d", "a", "enter"):
            page(pilot).table.focus()
            await pilot.press(key)
        await on(pilot, HostsPage)
        assert load_saved("healthy") == page(pilot).draft


async def test_the_list_is_filtered() -> None:
    many = tuple(
        Candidate(f"10.1.{n // 250}.{n % 250}", f"fed-node{n}", chosen=True) for n in range(200)
    )
    async with opened(replace(filled("hosts"), candidates=many)) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("slash")
        await type_in(pilot, "node19")
        assert "11 of 200 are shown" in said(pilot)
        assert "fed-node193" in shown(pilot.app)
        assert "fed-node20 " not in shown(pilot.app)
        await pilot.press("enter", "a")
        assert len(page(pilot).draft.chosen) == 189
        await pilot.press("slash", "escape")
        await until(pilot, lambda: "fed-node13" in shown(pilot.app))
        await on(pilot, HostsPage)
        assert pilot.app.focused is page(pilot).table


async def test_a_host_is_edited_and_judged_at_every_key() -> None:
    async with opened(filled("hosts")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("down", "enter")
        await on(pilot, HostForm)
        await pilot.press("home", "minus")
        await until(pilot, lambda: "a host name has letters" in shown(pilot.app))
        await pilot.press("ctrl+n")
        assert "one answer to be corrected first" in said(pilot)
        await pilot.press("delete", "delete", "delete", "delete", "backspace", "x", "ctrl+n")
        await on(pilot, HostsPage)
        assert page(pilot).draft.candidates[1].name == "xnode1"
        assert "xnode1" in row(pilot, ONE)
        await pilot.press("e")
        await on(pilot, HostForm)
        await pilot.press("enter", "home", "9", "ctrl+n")
        assert isinstance(pilot.app.screen, HostForm)
        await pilot.press("escape")
        await on(pilot, HostsPage)
        assert page(pilot).draft.candidates[1].address == ONE


async def test_a_host_gets_an_address_that_is_free_a_role_and_a_label() -> None:
    async with opened(filled("hosts")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("down", "e")
        await on(pilot, HostForm)
        fields = list(pilot.app.screen.query(Input))
        fields[1].value = TWO
        await until(pilot, lambda: "it is in the list already" in shown(pilot.app))
        fields[1].value = "10.9.9.9"
        fields[2].value = "name=one"
        await pilot.press("enter", "enter", "left", "ctrl+n")
        await on(pilot, HostsPage)
        changed = page(pilot).draft.candidates
        assert changed[1] == Candidate(
            "10.9.9.9", "fed-node1", chosen=True, role="master", label="name=one"
        )
        assert [it.role for it in changed] == ["node", "master", "node", "node"]
        assert "label name=one" in detail(pilot)


async def test_no_key_overtakes_another_and_what_is_typed_last_counts() -> None:
    """Also where the word of it is still on its way."""
    async with opened(filled("hosts")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("e")
        await on(pilot, HostForm)
        burst(pilot, "end", "x", "y", "z", "ctrl+n")
        await on(pilot, HostsPage)
        assert page(pilot).draft.candidates[0].name == "fed-masterxyz"
        await pilot.press("e")
        await on(pilot, HostForm)
        form: Any = pilot.app.screen
        form.query(Input).first().value = "fed-late"
        form.action_accept()
        await on(pilot, HostsPage)
        assert page(pilot).draft.candidates[0].name == "fed-late"
        page(pilot).query_one("#name", Input).value = "late"
        page(pilot).action_next()
        assert page(pilot).draft.name == "late"
        await on(pilot, NetworkPage)


async def test_the_cluster_s_name_is_said_and_judged() -> None:
    async with opened(filled("hosts")) as pilot:
        await on(pilot, HostsPage)
        page(pilot).query_one("#name").focus()
        await pilot.press("end", "space")
        await until(pilot, lambda: "name: 'practice '" in said(pilot))
        assert load_saved("healthy") is not None
        await pilot.press("ctrl+n")
        await until(pilot, lambda: pilot.app.focused is page(pilot).query_one("#name"))
        await pilot.press("backspace", "2")
        await until(pilot, lambda: "practice2, practice cluster" in shown(pilot.app))
        assert said(pilot) == ""
        await pilot.press("enter")
        assert pilot.app.focused is page(pilot).query_one("#where")


async def test_the_questions_of_ssh_are_asked_above_the_page() -> None:
    async with opened(filled("hosts")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("f2")
        await on(pilot, Form)
        assert "Which user logs in?" in shown(pilot.app)
        await type_in(pilot, "admin")
        await pilot.press("ctrl+n")
        await on(pilot, HostsPage)
        assert page(pilot).draft.get("ssh.user") == "admin"
        await pilot.press("f2")
        await on(pilot, Form)
        await type_in(pilot, "other")
        await pilot.press("escape")
        await on(pilot, HostsPage)
        assert page(pilot).draft.get("ssh.user") == "admin"


# Reading.


async def test_unknown_keys_are_all_shown_and_accepted_by_nobody_but_the_operator() -> None:
    """None, then some, then all: the reading goes on with those, and learns names and roles."""
    async with opened(unread(), trusted=False) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("r")
        await on(pilot, HostKeys)
        seen = shown(pilot.app)
        for it in page(pilot).draft.candidates:
            assert it.address in seen
            assert it.shown_key.split()[1] in seen
        assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in seen
        assert "0 of 4 accepted" in said(pilot)
        await pilot.press("enter")
        await on(pilot, HostsPage)
        await until(pilot, lambda: "0 of 4 hosts read" in said(pilot))
        assert "nobody has accepted its host key yet" in detail(pilot)
        assert "? new" in row(pilot, ONE)

        await pilot.press("r")
        await on(pilot, HostKeys)
        await pilot.press("down", "space", "down", "down", "space")
        assert "2 of 4 accepted" in said(pilot)
        await pilot.press("enter")
        await until(
            pilot,
            lambda: len(pilot.app.screen.query(KeyTable)) == 1 and "0 of 2 accepted" in said(pilot),
        )
        await pilot.press("escape")
        await until(pilot, lambda: "2 of 4 hosts read" in said(pilot))
        assert "+ known" in row(pilot, "fed-node1")
        assert "? new" in row(pilot, TWO)

        await pilot.press("r")
        await on(pilot, HostKeys)
        burst(pilot, "a", "space", "space", "enter")  # faster than it is drawn
        await until(pilot, lambda: "fed-master runs etcd, so it is proposed" in said(pilot))
        await learnt(pilot)
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)
        known = pilot.app.inventory.known(pilot.app.draft.provisional())  # type: ignore[attr-defined]  # the wizard's
        assert known.store.api == "v3"


async def learnt(pilot: Pilot[Any]) -> None:
    """What the machines say of themselves is in the draft, and is shown."""
    draft = page(pilot).draft
    named = {it.name: it.role for it in draft.candidates}
    nodes = dict.fromkeys(("fed-node1", "fed-node2", "fed-node3"), "node")
    assert list(named.items()) == [("fed-master", "master"), *nodes.items()]
    assert "etcd kube" in row(pilot, MASTER)
    assert "fedora 43" in row(pilot, ONE)
    for text in ("kernel 6.17", "+ docker", "eth0 192.168.122.77/24", "from you"):
        await pilot.press("home", "down")
        assert text in detail(pilot)


def unknown(name: str) -> UnknownKeyError:
    return UnknownKeyError("why", host=name, kind="ssh-ed25519", blob=host_key(name))


async def test_a_key_that_the_search_saw_otherwise_is_marked_and_never_ticked_with_all() -> None:
    other = f"ssh-ed25519 SHA256:{'b' * 43}"
    draft = unread().row(2, shown_key=other)
    async with opened(draft, trusted=False) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("r")
        await on(pilot, HostKeys)
        assert f"X SHA256:{'b' * 43}" in shown(pilot.app)
        await pilot.press("a")
        assert "3 of 4 accepted" in said(pilot)
        await pilot.press("a")
        assert "0 of 4 accepted" in said(pilot)
        await pilot.press("down", "down")
        assert "is what the search saw here" in shown(pilot.app)
        await pilot.press("escape")
        await on(pilot, HostsPage)
        await pilot.press("home", "down", "down")
        assert f"X the search saw {other}" in detail(pilot)


@pytest.mark.parametrize(
    ("seen", "told", "so"),
    [
        ("ssh-ed25519 a", "ssh-ed25519 b", True),
        ("ssh-ed25519 a", "ssh-ed25519 a", False),
        ("ssh-rsa a", "ssh-ed25519 b", False),
    ],
)
def test_keys_of_two_types_say_nothing_of_each_other(seen: str, told: str, so: bool) -> None:
    assert differs(seen, told) is so


async def test_a_changed_key_stops_its_host_which_may_be_left_out() -> None:
    async with opened(unread("changed-key")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "proposed as the master; the host key" in said(pilot))
        assert "X changed" in row(pilot, TWO)
        assert "X lost" in row(pilot, TWO)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "the host key of fed-node2" in said(pilot))
        await on(pilot, HostsPage)
        assert page(pilot).table.place == 2
        assert "ssh-keygen -R 192.168.122.78" in detail(pilot)
        await pilot.press("space", "ctrl+n")
        await on(pilot, NetworkPage)


async def test_a_host_that_does_not_answer_stops_the_way_until_it_is_repaired() -> None:
    async with opened(unread("unreachable")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("r")
        await until(pilot, lambda: "does not answer on port 22" in detail(pilot))
        assert "leave it out with Space" in detail(pilot)
        site: Any = pilot.app.inventory  # type: ignore[attr-defined]  # the wizard's
        site._practice.repair()  # noqa: SLF001 - the operator repairs it
        await pilot.press("r")
        await until(pilot, lambda: "4 of 4 hosts read" in said(pilot))
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)


async def test_where_nothing_runs_etcd_the_operator_says_which_is_the_master() -> None:
    async with opened(unread("no-etcd")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "press m" in said(pilot))
        await on(pilot, HostsPage)
        await pilot.press("home", "m")
        assert "X etcd" in row(pilot, "fed-master")
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)


async def test_twins_are_marked_explained_and_told_apart_by_a_name() -> None:
    async with opened(unread("duplicate-name")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("r")
        await until(pilot, lambda: "4 of 4 hosts read" in said(pilot))
        assert f"{ONE} has it too" in said(pilot)
        assert "X fed-node1" in row(pilot, TWO)
        assert "! fed-node1" in row(pilot, ONE)
        assert "has the same host name: fed-node1" in detail(pilot)
        await pilot.press("e")
        await on(pilot, HostForm)
        await pilot.press("end", "backspace", "2", "ctrl+n")
        await on(pilot, HostsPage)
        assert "! fed-node2" in row(pilot, TWO)
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)


def clocks(pilot: Pilot[Any]) -> list[float]:
    """What the hosts' clocks said, which is different each time they are read."""
    app: Any = pilot.app
    return [it.clock for it in app.inventory.facts.values()]


async def test_what_is_read_already_is_not_read_again() -> None:
    async with opened(filled("hosts")) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)
        before = clocks(pilot)
        await pilot.press("escape")
        await on(pilot, HostsPage)
        assert "+ known" in row(pilot, MASTER)
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)
        assert clocks(pilot) == before


async def test_how_far_the_reading_is_stands_at_each_row_and_escape_ends_it() -> None:
    async with opened(replace(filled("hosts"), pace=30.0)) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("r")
        await until(pilot, lambda: "reading 0 of 4 hosts" in said(pilot))
        await until(pilot, lambda: ". waiting" in row(pilot, TWO))
        await pilot.press("escape")
        await until(pilot, lambda: "The reading was stopped" in said(pilot))
        assert "waiting" not in row(pilot, TWO)
        await on(pilot, HostsPage)
        await pilot.press("escape")
        await until(pilot, lambda: page_is_gone(pilot))


def page_is_gone(pilot: Pilot[Any]) -> bool:
    return not any(isinstance(it, HostsPage) for it in pilot.app.screen_stack)


async def test_one_port_is_taken() -> None:
    draft = filled("hosts")
    draft = replace(draft, candidates=tuple(replace(it, port=2222) for it in draft.candidates))
    async with opened(draft) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)
        assert pilot.app.draft.get("ssh.port") == 2222  # type: ignore[attr-defined]  # the wizard's


FULL = filled("hosts")
PORTS = (
    "ssh is at port 2222 here, elsewhere at another: all hosts have one port; set it with F2, or "
    "give each host its Port in ~/.ssh/config and name it so here"
)
NAMES = "a host name has letters, digits, `-` and `.`, such as fed-node1; none of its parts begins"
PLACES = "an IP address or a host name, such as 192.168.122.76"
LABELS = "a Kubernetes label, such as fed-node1-label or name=fed-node1"
REFUSED = {
    f"fed-node1: {PORTS}": (1, FULL.row(1, port=2222)),
    f"name: '_bad': {NAMES} or ...; e corrects it": (1, FULL.row(1, name="_bad")),
    f"fed-node3: address: 'x y': {PLACES}; e corrects it": (3, FULL.row(3, address="x y")),
    f"{THREE}: label: 'a b': {LABELS}; e corrects it": (3, FULL.row(3, name="", label="a b")),
    "name: 'no good': up to 63 letters, digits, `-`, `_` and `.`, such as fedora-lab": (
        -1,
        FULL.put("name", "no good"),
    ),
    "ssh.user: 'no one': a user's name, such as root": (-1, FULL.put("ssh.user", "no one")),
}
"""By what is said of it: a draft that will not do, and the place of the host that is meant."""


@pytest.mark.parametrize("said", REFUSED)
def test_the_first_refusal_is_said_with_its_host_and_remedy(said: str) -> None:
    at, draft = REFUSED[said]
    assert first_block(draft, candidates.judged(draft, {}, {})) == (at, said)


OUT = "see to that and press r, or leave it out with Space"
LOST = {
    f"fed-node2: no route to it; {OUT}": ("no route to it", "", FULL),
    f"3 of 4 hosts read; fed-node2: no route to it; {OUT}": (
        "no route to it",
        "3 of 4 hosts read",
        FULL,
    ),
    f"fed-node2: no route to it; {OUT} (and 1 more)": (
        "no route to it",
        "",
        FULL.row(3, host_key="SHA256:short"),
    ),
    f"fed-node2: {'a word ' * 15}a ...; {OUT}": ("a word " * 30, "", FULL),
    f"fed-node2: red; {OUT}": ("\x1b[31mred", "", FULL),
}
"""By what is said: why fed-node2 is lost, what is said before that, and the draft."""


@pytest.mark.parametrize("said", LOST)
def test_a_host_that_is_lost_is_said_shortened_cleaned_and_how_much_more_there_is(
    said: str,
) -> None:
    why, before, draft = LOST[said]
    assert first_block(draft, candidates.judged(draft, {}, {TWO: why}), before) == (2, said)


async def test_a_refusal_of_ssh_keeps_from_reading_and_is_said() -> None:
    async with opened(filled("hosts").put("ssh.user", "no one")) as pilot:
        await on(pilot, HostsPage)
        for key in ("r", "ctrl+n"):
            await pilot.press(key)
            await until(pilot, lambda: "ssh.user" in said(pilot))
            await on(pilot, HostsPage)


async def test_a_secret_is_asked_for_once_and_kept_nowhere() -> None:
    draft = filled("hosts").put("ssh.sudo", "ask").put("ssh.user", "admin")
    async with opened(draft) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("r")
        await on(pilot, Ask)
        assert "sudo password of admin" in shown(pilot.app)
        await type_in(pilot, "c4n4ry")
        assert "c4n4ry" not in shown(pilot.app)
        await pilot.press("enter")
        await until(pilot, lambda: "4 of 4 hosts read" in said(pilot))
        await pilot.press("r")  # it is known by now
        await until(pilot, lambda: "reading" not in said(pilot))
        await on(pilot, HostsPage)
        assert "c4n4ry" not in files.place("healthy").read_text()
        assert json.loads(files.place("healthy").read_text())["page"] == "hosts"


# Odd states.


async def test_a_name_of_63_characters_and_foreign_text_fit() -> None:
    draft = filled("hosts").row(1, name="n" * 63).row(2, name="[red]\x1b[31mx[/]", label="[/x]")
    for size in (SMALL, LARGE):
        async with opened(draft, size) as pilot:
            await on(pilot, HostsPage)
            assert "…" in row(pilot, ONE)
            assert ONE in row(pilot, "nnn")
            assert page(pilot).table.max_scroll_x == 0
            await pilot.press("down")
            assert "n" * 63 in detail(pilot)
            await pilot.press("down")
            assert "[red]x[/]" in detail(pilot)


async def test_two_hosts_of_one_address_are_told_apart() -> None:
    draft = filled("hosts")
    twice = draft.row(2, address=ONE)
    async with opened(twice) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("down", "down")
        assert "has it too" in detail(pilot)
        await pilot.press("space")
        assert [it.chosen for it in page(pilot).draft.candidates] == [True, True, False, True]
        await pilot.press("d")
        assert [it.name for it in page(pilot).draft.candidates] == [
            "fed-master",
            "fed-node1",
            "fed-node3",
        ]


async def test_a_draft_that_was_killed_here_is_shown_as_it_was() -> None:
    draft = replace(unread().row(1, chosen=False, silent=True), typed="10.9.0.0/")
    async with opened(draft) as pilot:
        await on(pilot, HostsPage)
        assert "10.9.0.0/" in shown(pilot.app)
        assert "[ ]" in row(pilot, ONE)
        assert row(pilot, MASTER).startswith(" [x]")


async def test_every_key_is_in_help_and_none_counts_where_the_page_does_not_fit() -> None:
    async with opened(filled("hosts")) as pilot:
        await on(pilot, HostsPage)
        before = shown(pilot.app)
        await resize(pilot, 20, 5)
        await pilot.press("d", "space")
        await resize(pilot, 80, 24)
        await until(pilot, lambda: shown(pilot.app) == before)
        footer = shown(pilot.app).splitlines()[-1]
        for word in ("Back", "Next", "Choose", "Master", "Edit", "Read", "SSH", "Help"):
            assert word in footer
        await pilot.press("f1")
        await on(pilot, Help)
        texts = " ".join(str(it.content) for it in pilot.app.screen.query("Static"))  # type: ignore[attr-defined]  # Statics
        for word in ("Filter the list", "Remove from the list", "Choose all that are shown"):
            assert word in texts


@pytest.mark.full
async def test_a_verification_begins_here_too() -> None:
    draft = replace(filled("hosts"), goal="verify", stops=("hosts", "network", "verify"))
    async with opened(draft) as pilot:
        await on(pilot, HostsPage)
        await pilot.press("ctrl+n")
        await on(pilot, NetworkPage)


# How it looks.


async def _at_start(pilot: Pilot[Any]) -> None:
    await on(pilot, HostsPage)


async def _read(pilot: Pilot[Any]) -> None:
    await on(pilot, HostsPage)
    await pilot.press("r")
    await until(pilot, lambda: page(pilot).busy == "" and "hosts read" in said(pilot))


async def _edited(pilot: Pilot[Any]) -> None:
    await on(pilot, HostsPage)
    await pilot.press("down", "e")
    await on(pilot, HostForm)


async def _asked(pilot: Pilot[Any]) -> None:
    await on(pilot, HostsPage)
    await pilot.press("r")
    await on(pilot, HostKeys)
    await pilot.press("space", "down", "down")


def long() -> Draft:
    name = "-".join(["fed-node"] * 7)
    many = tuple(
        Candidate(
            f"10.1.{n // 250}.{n % 250}",
            f"{name}{n}"[:63],
            chosen=n % 3 > 0,
            role="node",
            label=f"name=n{n}",
            source="libvirt",
            silent=n % 7 == 0,
        )
        for n in range(1, 201)
    )
    return replace(filled("hosts"), candidates=many)


LOOKS: dict[str, tuple[Draft, Callable[[Pilot[Any]], Any], bool]] = {
    "empty": (fresh(), _at_start, True),
    "read": (unread(), _read, True),
    "changed": (unread("changed-key"), _read, True),
    "twins": (unread("duplicate-name"), _read, True),
    "long": (long(), _at_start, True),
    "edit": (filled("hosts").row(1, name="_bad"), _edited, True),
    "keys": (unread().row(2, shown_key=f"ssh-ed25519 SHA256:{'b' * 43}"), _asked, False),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("look", LOOKS)
def test_it_looks_as_it_did(snap_compare: Any, look: str, size: tuple[int, int]) -> None:  # noqa: ANN401 - the plugin's
    draft, wait, trusted = LOOKS[look]
    assert snap_compare(wizard(draft, trusted=trusted), terminal_size=size, run_before=still(wait))


def test_the_table_s_columns_fit_80_characters() -> None:
    from screens.widgets.host_table import NARROW

    assert sum(NARROW) <= 77
    assert HostTable().cursor_type == "row"
