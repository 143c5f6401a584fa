"""The page Verify: what is shown of a run, of one of its own, and how one leaves."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from fedwiz.engine import verbs
from fedwiz.model.events import (
    Connected,
    FactsRead,
    Found,
    RunEnded,
    RunStarted,
    Verified,
)
from fedwiz.runs.journal import Journal, runs, runs_path
from fedwiz.runs.state import State
from fedwiz.wizard.draft import Draft, load_saved, save
from screens.dialogs.basic import Ask, Confirm
from screens.dialogs.dialog import Help
from screens.pages.flow import FLOW
from screens.pages.verify import VerifyPage
from screens.pages.welcome import WelcomePage
from screens.widgets.matrix import Matrix
from screens.widgets.tab_bar import Tabs
from tests.support import sample_runs as made
from tests.support.frozen_time import freeze
from tests.support.pilot import SIZES, filled, on, opened, resize, shown, still, until, wizard
from tests.support.sample_runs import NODES
from tests.support.verdicts import bad, ended, leases, pings, red, well


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def proof(fault: str = "healthy", size: int = 4, **said: Any) -> Draft:
    """On the page, to verify a practice cluster that somebody has set up."""
    draft = filled("verify", fault, size, **said)
    return replace(draft, goal="verify", stops=("hosts", "network", "verify"))


@asynccontextmanager
async def showing(
    state: State, size: tuple[int, int] = (80, 24), nodes: int = 3
) -> AsyncIterator[Pilot[int]]:
    """The page after an install."""
    app = wizard(filled("verify", size=nodes + 1))
    app.state, app.code = state, state.code or 0
    async with app.run_test(size=size, notifications=True) as pilot:
        await on(pilot, VerifyPage)
        await until(pilot, lambda: "Matrix" in shown(app))
        yield pilot


def page(pilot: Pilot[Any]) -> VerifyPage:
    assert isinstance(pilot.app.screen, VerifyPage)
    return pilot.app.screen


def at_rest(pilot: Pilot[Any]) -> Callable[[], bool]:
    return lambda: isinstance(pilot.app.screen, VerifyPage) and page(pilot)._verifying is None  # noqa: SLF001


async def proven(pilot: Pilot[Any]) -> None:
    """Let the verification end."""
    await until(pilot, lambda: pilot.app.state is not None and at_rest(pilot)())  # type: ignore[attr-defined]  # a wizard's
    await pilot.pause()


# What an install has found is shown, and nothing is asked again.


async def test_the_verdicts_of_the_install_are_shown_in_tabs_and_no_host_is_asked() -> None:
    async with showing(well()) as pilot:
        text = shown(pilot.app)
        assert "nothing was changed; all 6 pairs of nodes ping" in text
        assert " 1 fed-node1  .           [+ 3/3]       + 3/3" in text
        assert "+ pass  fed-node1 -> fed-node2  3/3, 0.05/0.06/0.07 ms" in text
        assert "+ pass  fed-node2 -> fed-node1" in text
        # Left and right turn the tabs, and the focus stays there.
        pilot.app.screen.query_one(Tabs).focus()
        for key, title in [("right", ">2+ Addresses"), ("left", ">1+ Matrix"), ("left", ">7 Find")]:
            await pilot.press(key)
            assert title in shown(pilot.app)
            assert isinstance(pilot.app.focused, Tabs)
        assert "+ every verdict is a pass, and there is no warning" in shown(pilot.app)
        await pilot.press("1")
        assert isinstance(pilot.app.focused, Matrix)
        # A raw output is that of the host under the cursor.
        await pilot.press("4", "down", "down")
        assert "FLANNEL_SUBNET=10.16.31.1/24" in shown(pilot.app)
        assert "+ pass  fed-node3" in shown(pilot.app)
        # Dark or light the tables follow.
        await pilot.press("2")
        table = pilot.app.screen.query_one("#tab-1 DataTable", DataTable)
        dark = table.get_row_at(0)[0].style
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert "+ pass   fed-node1" in shown(pilot.app)
        assert table.get_row_at(0)[0].style != dark
        assert runs() == ()


async def test_a_pair_that_does_not_ping_is_gone_to_and_f_goes_to_the_next_fault() -> None:
    async with showing(red()) as pilot:
        text = shown(pilot.app)
        assert "X 2 of 6 pairs do not ping: fed-node1 -> fed-node2, fed-node2" in text
        assert "[X 0/3]" in text
        assert "X fail  fed-node1 -> fed-node2  0/3, Destination Host Prohibited" in text
        assert "    -> 3 of 3 pings lost; let them through" in text
        assert "X fail  fed-node2 -> fed-node1" in text
        assert ">1X Matrix 2+ Addresses 3- Subnets 4+ subnet.env" in text
        matrix = pilot.app.screen.query_one(Matrix)
        assert matrix.pair == ("fed-node1", "fed-node2")
        await pilot.press("f")
        assert matrix.pair == ("fed-node2", "fed-node1")
        # The cursor tells of the pair under it.
        await pilot.press("right")
        text = shown(pilot.app)
        assert "fed-node2 does not ping itself; of its own:" in text
        assert "+ pass  addresses" in text
        assert "+ pass  lease" in text
        await pilot.press("right")
        assert "fed-node2 -> fed-node3  3/3" in shown(pilot.app)
        # And so does f in other tabs, as far as there is a fault.
        await pilot.press("3", "f")
        assert pilot.app.screen.query_one("#tab-2 DataTable", DataTable).cursor_row == 3
        await pilot.press("4", "f")
        assert "nothing here but what passed" in shown(pilot.app)
        await pilot.press("7", "f")
        assert "f Fault" not in shown(pilot.app)


# Tabs.


RAW = [
    (
        "2",
        "$ ip -4 a | grep inet",
        "inet 10.16.29.0/32 scope global flannel.1",
        "+ pass   fed-node1  10.16.29.0/32  10.16.29.1/24",
    ),
    (
        "3",
        "46:f1:d0:18:d0:00",
        "192.168.122.77",
        '    "PublicIP": "192.168.122.77"',
        "- skipped  no known host  10.16.9.0/24   10.0.0.9",
    ),
    ("4", "$ cat /run/flannel/subnet.env", "FLANNEL_MTU=1450", "1450  false"),
    (
        "7",
        "X fail  fed-node1 -> fed-node2, fed-node2 -> fed-node1",
        "- skipped  lease of no known host",
        "add the host",
    ),
]


async def test_what_the_procedure_looks_at_is_raw_and_judged_and_help_tells_the_keys() -> None:
    async with showing(red(), (120, 40)) as pilot:
        for key, *texts in RAW:
            await pilot.press(key)
            for text in texts:
                assert text in shown(pilot.app)
        await pilot.press("1", "f1")
        await on(pilot, Help)
        said = "".join(str(it.render()) for it in pilot.app.screen.query(Static))
        keys = "Verify again", "Next fault", "Save report", "Finish", "Tab Subnets"
        for key in (*keys, "Verify again and again"):
            assert key in said


async def test_what_is_missing_is_said_where_it_is_missing() -> None:
    gone = "fed-node3 could not be reached: no route"
    lost = [
        Verified(kind, "fed-node3", "", "fail", "", gone)
        for kind in ("address", "lease", "subnet_env")
    ]
    other = {
        pair: Verified("ping", *pair, "fail", "", gone)
        for pair in (("fed-node3", "fed-node1"), ("fed-node1", "fed-node3"))
    }
    state = ended(*leases(NODES[:2]), *lost, *pings(other=other), code=7)
    async with showing(state) as pilot:
        for key in "234":
            await pilot.press(key, "down", "down")
            text = shown(pilot.app)
            assert "X fail   fed-node3  -" in text
            assert f"X fail  fed-node3\n     -> {gone}" in text
            assert "(nothing)" in text


async def test_a_key_that_is_no_lease_and_what_only_a_newer_fedwiz_knows_are_shown() -> None:
    odd = Verified("lease", "", "", "skipped", "/coreos.com/network/subnets/odd [/b]{", "odd key")
    newer = Verified("dns", "fed-node1", "", "pass", "names resolve")
    found = Found("kubelet", "fed-node1", "warn", "kubelet does not run", "start kubelet")
    async with showing(ended(found, *leases(), odd, newer, *pings())) as pilot:
        await pilot.press("3", *["down"] * 3)
        assert "[/b]{" in shown(pilot.app)
        await pilot.press("7")
        assert "+ pass  dns of fed-node1  names resolve" in shown(pilot.app)
        assert "! warn  kubelet fed-node1  kubelet does not run" in shown(pilot.app)


async def test_a_reason_of_forty_lines_and_a_name_of_63_letters_fit() -> None:
    long = "n" * 62 + "1"
    nodes = (long, "fed-node2")
    why = "\n".join(f"line {number}" for number in range(40))
    other = {nodes: bad(*nodes, why)}
    async with showing(ended(*leases(nodes), *pings(nodes, other), code=7)) as pilot:
        text = shown(pilot.app)
        assert f"{'n' * 23}~" in text
        assert f"{long} -> fed-node2" in " ".join(text.split())
        assert "F1 Help" in text
        box = pilot.app.screen.query_one("#tab-0 .pair")
        assert box.max_scroll_y > 30
        await pilot.press("tab", "end")
        assert "line 39" in shown(pilot.app)
        await pilot.press("3")
        assert "46:f1:d0:18:d0:00" in shown(pilot.app)
        await pilot.press("7")
        assert "line 3" in shown(pilot.app)


async def test_nine_nodes_fit_the_smallest_terminal() -> None:
    nodes = tuple(f"fed-node{number}" for number in range(1, 10))
    async with showing(ended(*leases(nodes), *pings(nodes), nodes=9), nodes=9) as pilot:
        text = shown(pilot.app)
        assert "9 fed-node9  +  +  +  +  +  +  +  +  ." in text
        assert "+ pings  ! warning" in text
        assert "+ pass  fed-node2 -> fed-node1" in text


# A verification of its own.


async def test_while_a_cluster_is_verified_it_says_how_far_and_asks_before_it_is_left() -> None:
    async with opened(replace(proof(), pace=60.0)) as pilot:
        await until(pilot, lambda: " > connecting: 0 of 4 hosts" in shown(pilot.app))
        assert "+ pass" not in shown(pilot.app)
        # Of the steps only its own.
        assert " + Hosts  + Network  > Verify" in shown(pilot.app)
        assert "Review" not in shown(pilot.app)
        await pilot.press("ctrl+n")
        await on(pilot, Confirm)
        assert "has not ended yet" in shown(pilot.app)
        await pilot.press("right", "enter")
        await until(pilot, lambda: pilot.app.return_code is not None)
        assert pilot.app.return_value == verbs.INTERRUPTED


async def test_a_cluster_is_verified_and_by_r_and_f5_again() -> None:
    async with opened(proof()) as pilot:
        await proven(pilot)
        text = shown(pilot.app)
        assert "+ all 6 pairs of nodes ping" in text
        assert pilot.app.code == 0  # type: ignore[attr-defined]  # a wizard's
        [run] = runs()
        assert (run.verb, run.outcome) == ("verify", "ok")
        assert f"{run.id}.toml" in "".join(text.split())
        assert run.path.with_suffix(".toml").is_file()
        for key in ("r", "f5"):
            await pilot.press(key)
            await until(pilot, at_rest(pilot))
        assert len(runs()) == 3
        assert {run.outcome for run in runs()} == {"ok"}


async def test_what_is_wrong_is_said() -> None:
    async with opened(proof("forward-drop"), (120, 40)) as pilot:
        await proven(pilot)
        await pilot.press("7")
        assert "4 of 6 pairs do not ping" in " ".join(shown(pilot.app).split())
        assert pilot.app.code == verbs.NOT_PROVEN  # type: ignore[attr-defined]  # a wizard's


async def test_keys_that_nobody_accepted_lead_back_to_the_hosts() -> None:
    async with opened(proof(), trusted=False) as pilot:
        await on(pilot, VerifyPage)
        pilot.app.inventory._trusted.clear()  # type: ignore[attr-defined]  # noqa: SLF001
        await proven(pilot)
        await pilot.press("r")
        await until(pilot, lambda: len(runs()) > 1 and at_rest(pilot)())
        assert "4 host keys unknown: go back to Hosts with Esc" in " ".join(
            shown(pilot.app).split()
        )
        assert pilot.app.code == verbs.UNREACHABLE  # type: ignore[attr-defined]  # a wizard's


async def test_answers_that_will_not_do_are_said() -> None:
    async with opened(proof(network={"cidr": "18.16.0.0/16"})) as pilot:
        await on(pilot, VerifyPage)
        await until(pilot, lambda: "the answers can't be used" in shown(pilot.app))
        assert "network.cidr" in shown(pilot.app)
        assert runs() == ()
        await pilot.press("w")
        assert "nothing to save yet" in shown(pilot.app)


async def test_a_disk_that_takes_no_journal_is_said(state_home: Path) -> None:
    (state_home / "fedwiz").write_text("a file where a folder belongs")
    async with opened(proof()) as pilot:
        await on(pilot, VerifyPage)
        await until(pilot, lambda: "no journal can be kept in" in shown(pilot.app))
        assert "then press r" in " ".join(shown(pilot.app).split())
        (state_home / "fedwiz").unlink()
        await pilot.press("r")
        await proven(pilot)
        assert "all 6 pairs of nodes ping" in shown(pilot.app)


async def test_going_back_ends_the_verification_and_it_has_proven_nothing() -> None:
    async with opened(proof()) as pilot:
        await proven(pilot)
        assert pilot.app.code == 0  # type: ignore[attr-defined]  # a wizard's
        freeze(pilot.app)
        await pilot.press("r")
        await until(pilot, lambda: "connecting" in shown(pilot.app))
        await pilot.press("escape")
        await on(pilot, FLOW["network"])
        assert sorted(run.outcome for run in runs()) == ["ok", "stopped"]
        assert pilot.app.code == verbs.INTERRUPTED  # type: ignore[attr-defined]  # a wizard's


# Starting again.


def recorded(state: State, *, practice: str = "healthy") -> str:
    """Write a run into the journals; its id."""
    with Journal() as journal:
        journal.emit(RunStarted(state.verb, state.cluster, tuple(state.hosts), practice))
        for host in state.hosts:
            journal.emit(Connected(host))
            journal.emit(FactsRead(host, 0.1))
        for verdict in state.verdicts:
            journal.emit(verdict)
        journal.emit(RunEnded("ok" if state.outcome == "ok" else "failed", state.code or 0))
        return journal.id


async def test_a_wizard_that_was_killed_here_shows_what_its_install_has_found() -> None:
    run = recorded(red())
    async with opened(replace(filled("verify"), run=run)) as pilot:
        await on(pilot, VerifyPage)
        await until(pilot, lambda: "2 of 6 pairs do not ping" in shown(pilot.app))
        assert len(runs()) == 1
        assert pilot.app.code == 7  # type: ignore[attr-defined]  # a wizard's


async def test_a_practice_cluster_is_as_it_was_left() -> None:
    async with opened(filled("verify"), trusted=False) as pilot:
        await proven(pilot)
        assert "all 6 pairs of nodes ping" in shown(pilot.app)


async def test_a_network_that_works_does_not_hide_a_host_that_did_not_get_through() -> None:
    """Where no verdict is recorded it verifies, and what the install came to still counts."""
    why = "exit status 1"
    failed = [
        RunStarted("install", "practice", made.HOSTS, "healthy"),
        *made.step("fed-node2", outcome="failed", why=why),
        RunEnded("failed", 5, why),
    ]
    with Journal() as journal:
        for event in failed:
            journal.emit(event)
    async with opened(replace(filled("verify"), run=journal.id)) as pilot:
        await proven(pilot)
        assert "all 6 pairs of nodes ping" in shown(pilot.app)
        assert pilot.app.code == 5  # type: ignore[attr-defined]  # a wizard's
        await pilot.press("ctrl+n")
        await on(pilot, Confirm)
        assert "failed on a host" in shown(pilot.app)


# A run of before.


async def test_a_run_of_before_is_looked_at_and_left_again() -> None:
    run = recorded(red())
    draft = Draft(
        page="verify",
        goal="look",
        stops=("verify",),
        practice="healthy",
        run=run,
        said={"name": "practice"},
    )
    async with opened(draft) as pilot:
        await on(pilot, VerifyPage)
        await until(pilot, lambda: "2 of 6 pairs" in shown(pilot.app))
        assert f"This is how the run {run} ended" in shown(pilot.app)
        assert "r Again" not in shown(pilot.app)
        await pilot.press("r")
        assert len(runs()) == 1
        await pilot.press("ctrl+n")
        await on(pilot, WelcomePage)
        assert load_saved("healthy") is None


async def test_a_run_that_verified_nothing_shows_its_findings() -> None:
    with Journal() as journal:
        journal.emit(RunStarted("check", "practice", made.HOSTS, ""))
        journal.emit(Found("etcd", "fed-master", "block", "etcd does not run", "start it"))
        journal.emit(RunEnded("failed", 3, "etcd does not run"))
    draft = Draft(page="verify", goal="look", stops=("verify",), run=journal.id)
    async with opened(draft, trusted=False) as pilot:
        await until(pilot, lambda: "X block  etcd fed-master" in shown(pilot.app))
        await pilot.press("1")
        assert shown(pilot.app).count("etcd does not run") == 1


async def test_a_damaged_journal_is_said() -> None:
    runs_path().mkdir(parents=True)
    (runs_path() / "20261122-230612-abcd.jsonl").write_text("no journal\n")
    draft = Draft(page="verify", goal="look", stops=("verify",), run="20261122-230612-abcd")
    async with opened(draft, trusted=False) as pilot:
        await until(pilot, lambda: "not JSON" in shown(pilot.app))


# Saving.


async def test_w_saves_the_report_where_it_is_wanted(
    state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(state_home))
    async with showing(red()) as pilot:
        await pilot.press("w")
        await on(pilot, Ask)
        assert pilot.app.screen.query_one(Input).value == "practice-report.md"
        pilot.app.screen.query_one(Input).value = "~/a/b.json"
        await pilot.press("enter")
        await until(pilot, lambda: "+ Saved: ~/a/b.json" in shown(pilot.app))
        assert json.loads((state_home / "a/b.json").read_text())["ok"] is False


async def test_where_a_report_can_not_be_it_is_refused_or_said(state_home: Path) -> None:
    (state_home / "plain").write_text("")
    async with showing(well()) as pilot:
        await pilot.press("w")
        await on(pilot, Ask)
        pilot.app.screen.query_one(Input).value = "report.pdf"
        await pilot.press("enter")
        why = "its name ends in .md, .json, .html, .xml"
        await until(pilot, lambda: why in " ".join(shown(pilot.app).split()))
        assert isinstance(pilot.app.screen, Ask)
        await pilot.press("escape")
        await on(pilot, VerifyPage)
        await pilot.press("w")
        await on(pilot, Ask)
        pilot.app.screen.query_one(Input).value = "plain/report.md"
        await pilot.press("enter")
        await until(pilot, lambda: "X Not saved:" in shown(pilot.app))


async def test_a_file_that_is_there_is_replaced_only_when_that_is_said(state_home: Path) -> None:
    file = state_home / "practice-report.md"
    file.write_text("mine")
    async with showing(well()) as pilot:
        await pilot.press("w")
        await on(pilot, Ask)
        await pilot.press("enter")
        await on(pilot, Confirm)
        await pilot.press("enter")
        await on(pilot, VerifyPage)
        assert file.read_text() == "mine"
        await pilot.press("w")
        await on(pilot, Ask)
        await pilot.press("enter")
        await on(pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: "+ Saved:" in shown(pilot.app))
        assert file.read_text().startswith("# ")


# Leaving.


async def test_a_proven_network_is_left_at_once_and_the_draft_is_done_with() -> None:
    save(filled("verify"))
    async with showing(well()) as pilot:
        await pilot.press("ctrl+n")
        await until(pilot, lambda: pilot.app.return_code is not None)
        assert pilot.app.return_value == 0
        assert load_saved("healthy") is None


async def test_a_red_one_is_left_after_a_question_and_never_with_0() -> None:
    save(filled("verify"))
    async with showing(red()) as pilot:
        await pilot.press("ctrl+n")
        await on(pilot, Confirm)
        assert "2 of 6 pairs do not ping" in shown(pilot.app)
        await pilot.press("enter")
        await on(pilot, VerifyPage)
        assert load_saved("healthy") is not None
        pilot.app.code = 0  # type: ignore[attr-defined]  # a wizard's, whatever came before
        await pilot.press("ctrl+n")
        await on(pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: pilot.app.return_code is not None)
        assert pilot.app.return_value == verbs.NOT_PROVEN
        assert load_saved("healthy") is None


# The frame.


async def test_it_is_whole_again_after_a_terminal_too_small() -> None:
    async with showing(red()) as pilot:
        before = shown(pilot.app)
        await pilot.press("2")
        await resize(pilot, 20, 5)
        await pilot.press("r", "5", "ctrl+n")
        await resize(pilot, 80, 24)
        await pilot.press("1")
        await pilot.pause()
        assert shown(pilot.app) == before


# As it looks.


def fifty() -> State:
    nodes = tuple(f"fed-node{number}" for number in range(1, 51))
    lost = {(nodes[6], two): bad(nodes[6], two) for two in nodes if two != nodes[6]}
    return ended(*leases(nodes), *pings(nodes, lost), code=7, nodes=50)


LOOKS: dict[str, tuple[Callable[[], State], tuple[str, ...], int]] = {
    "well": (well, (), 3),
    "red": (red, (), 3),
    "addresses": (red, ("2",), 3),
    "subnets": (red, ("3", "f"), 3),
    "subnet-env": (red, ("4",), 3),
    "findings": (red, ("7",), 3),
    "fifty": (fifty, ("end",), 50),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("look", LOOKS)
def test_it_looks(look: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    make, keys, nodes = LOOKS[look]
    app = wizard(filled("verify", size=nodes + 1))
    app.state = make()

    async def before(pilot: Pilot[Any]) -> None:
        await on(pilot, VerifyPage)
        await pilot.press(*keys)

    assert snap_compare(app, terminal_size=size, run_before=still(before))
