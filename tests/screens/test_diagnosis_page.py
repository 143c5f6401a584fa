"""From a pair that does not ping to the cause, to the remedy, and back; and round after round."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from fedwiz.answers.file import AnswersError
from fedwiz.diagnose.values import Case, Diagnosis, Dropped, Hop, Look
from fedwiz.diagnose.values import fix_command as mending
from fedwiz.engine import fix
from fedwiz.engine.verbs import Result, RunContext
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.model.events import Event, Verified
from fedwiz.practice import FAULTS, practice_answers
from fedwiz.practice.machine import Cluster
from fedwiz.runs.journal import runs
from fedwiz.runs.state import State
from fedwiz.verify.values import Overlay
from screens.app import Fedwiz
from screens.dialogs import cause
from screens.dialogs.approve import Approve, agreed
from screens.dialogs.basic import TypeName
from screens.dialogs.dialog import Help
from screens.pages.diagnosis import DiagnosisPage as Dialog
from screens.pages.runs import go_on, look
from screens.pages.verify import VerifyPage
from screens.recorded_run import Job, run_job
from screens.widgets.live_run import LiveRun
from tests.screens.test_verify_page import proof, proven, showing
from tests.support import sample_runs as made
from tests.support.frozen_time import cluster_of, freeze
from tests.support.pilot import SIZES, on, opened, shown, still, type_in, until, wizard
from tests.support.verdicts import ended, leases, pings

PAIR = made.NODES[:2]


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(pilot: Pilot[Any]) -> str:
    return " ".join(shown(pilot.app).replace("│", " ").split())


def cluster(pilot: Pilot[Any]) -> Cluster:
    return cluster_of(pilot.app)


@asynccontextmanager
async def asked(
    fault: str, size: tuple[int, int] = (80, 24), *keys: str
) -> AsyncIterator[Pilot[int]]:
    """The diagnosis of the first pair that does not ping, once it is there."""
    async with opened(proof(fault), size) as pilot:
        await proven(pilot)
        await pilot.press(*keys, "enter")
        await on(pilot, Dialog)
        await until(pilot, lambda: "The way of the packets" in shown(pilot.app))
        yield pilot


async def approved(pilot: Pilot[int], key: str) -> None:
    """Ask for the remedy, or for the way back, and approve it."""
    await pilot.press(key)
    await on(pilot, Approve)
    await pilot.press("right", "enter")
    await on(pilot, Dialog)


# What is found.


async def test_the_cause_is_named_with_what_says_so_and_a_remedy_that_may_be_refused() -> None:
    async with asked("no-forwarding") as pilot:
        text = words(pilot)
        assert "fed-node1 -> fed-node2" in text
        assert "X ip-forward on fed-node2: fed-node2 does not pass packets on" in text
        assert "-> `sysctl -w net.ipv4.ip_forward=1` on fed-node2" in text
        assert "fedwiz does it, in 1 action: a shows them." in text
        assert "What says so: net.ipv4.ip_forward = 0" in text
        assert "nothing is changed yet" in text
        assert {run.verb for run in runs()} == {"verify", "diagnose"}
        # Enter leads into the text and back, and help tells of every key.
        assert "⏎ Read on" in shown(pilot.app)
        await pilot.press("enter")
        assert "⏎ To the list" in shown(pilot.app)
        await pilot.press("enter")
        assert "⏎ Read on" in shown(pilot.app)
        await pilot.press("down")
        assert "X The ping is lost on fed-node2: not routed on" in words(pilot)
        await pilot.press("f1")
        await on(pilot, Help)
        await pilot.press("end")
        for said in ("Diagnose again", "Show the fix"):
            assert said in words(pilot)
        await pilot.press("escape")
        await on(pilot, Dialog)
        await pilot.press("a")
        await on(pilot, Approve)
        text = words(pilot)
        assert "$ sysctl -w net.ipv4.ip_forward=1" in text
        assert "undo: sysctl -w net.ipv4.ip_forward=0" in text
        await pilot.press("enter")  # the focus is on no
        await on(pilot, Dialog)
        await until(pilot, lambda: "Not approved; nothing was changed." in words(pilot))
        assert cluster(pilot).nodes()[1].sysctls["net.ipv4.ip_forward"] == "0"
        await pilot.press("escape")
        await on(pilot, VerifyPage)
        assert len(runs()) == 2


async def test_a_healthy_pair_is_told_what_was_measured() -> None:
    async with asked("healthy") as pilot:
        text = words(pilot)
        assert "+ Nothing is wrong: 3 of 3 pings came back, and fed-node2 saw 10.16." in text
        assert "a Mend" not in text
        assert "lost here" not in text
        assert "+ fed-node1 out of the container 3" in text
        assert "0 to look at" in text


async def test_a_node_that_is_not_there_is_said_and_is_for_the_operator_to_mend() -> None:
    async with opened(proof("unreachable"), (120, 40)) as pilot:
        await proven(pilot)
        # A node and itself are no pair.
        await pilot.press("left", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, VerifyPage)
        assert "are not a pair" in words(pilot)
        await pilot.press("right", "enter")
        await on(pilot, Dialog)
        await until(pilot, lambda: "The way of the packets none could be followed" in words(pilot))
        assert "X unreachable on fed-node2: fed-node2 could not be asked" in words(pilot)
        assert "fedwiz does not do this: it is yours to do." in words(pilot)
        dialog = pilot.app.screen
        await pilot.press("a")
        await pilot.pause()
        assert pilot.app.screen is dialog
        assert "unreachable is not for fedwiz to fix: see that fed-node2" in words(pilot)
        await pilot.press("r")
        await until(pilot, lambda: len(runs()) == 3)


async def test_a_disk_that_takes_no_journal_is_said(state_home: Path) -> None:
    async with opened(proof("no-forwarding")) as pilot:
        await proven(pilot)
        (state_home / "fedwiz").rename(state_home / "aside")
        (state_home / "fedwiz").write_text("a file where a folder belongs")
        await pilot.press("enter")
        await on(pilot, Dialog)
        await until(pilot, lambda: "no journal can be kept" in words(pilot))
        (state_home / "fedwiz").unlink()
        await pilot.press("r")
        await until(pilot, lambda: "X ip-forward on fed-node2" in words(pilot))


async def test_it_says_how_far_it_is_and_esc_leaves_at_once_and_nothing_stays() -> None:
    async with opened(replace(proof("no-forwarding"), pace=0.0)) as pilot:
        await proven(pilot)
        before = {node.name: len(node.containers) for node in cluster(pilot).nodes()}

        def begun() -> bool:
            return {it.name: len(it.containers) for it in cluster(pilot).nodes()} != before

        frozen = freeze(pilot.app, begun)
        await pilot.press("enter")
        await on(pilot, Dialog)
        await until(pilot, lambda: "> reading etcd, starting a container" in shown(pilot.app))
        await until(pilot, begun)
        await pilot.press("escape")
        await on(pilot, VerifyPage)
        frozen.thaw()
        await until(
            pilot,
            lambda: (
                runs()[0].outcome != "unknown"
                and runs()[0].verb == "diagnose"
                and runs()[0].outcome == "stopped"
            ),
        )
        assert {it.name: len(it.containers) for it in cluster(pilot).nodes()} == before


# The remedy.


async def test_what_was_mended_is_verified_and_may_be_taken_back_later() -> None:
    async with asked("no-forwarding") as pilot:
        await approved(pilot, "a")
        await until(pilot, lambda: "+ Fixed: fed-node1 -> fed-node2" in words(pilot))
        text = words(pilot)
        assert "+ fed-node2 Fix ip-forward $ sysctl -w net.ipv4.ip_forward=1" in text
        assert "u undoes it." in text
        # The whole matrix is verified again.
        await pilot.press("escape")
        await until(pilot, lambda: "+ all 6 pairs of nodes ping" in words(pilot))
        assert [run.verb for run in runs()].count("verify") == 2
        assert pilot.app.code == 0  # type: ignore[attr-defined]  # a wizard's
        # The way back is there also when the pair is opened once more.
        await pilot.press("enter")
        await on(pilot, Dialog)
        await until(pilot, lambda: "Nothing is wrong" in words(pilot))
        await pilot.press("u")
        await on(pilot, Approve)
        assert "$ sysctl -w net.ipv4.ip_forward=0" in words(pilot)
        await pilot.press("right", "enter")
        await until(pilot, lambda: "Taken back" in words(pilot))
        assert cluster(pilot).nodes()[1].sysctls["net.ipv4.ip_forward"] == "0"
        assert "u Take back" not in shown(pilot.app)
        await pilot.press("escape")
        await until(pilot, lambda: "X 4 of 6 pairs do not ping" in words(pilot))


async def test_where_something_else_is_wrong_too_it_says_that_it_is_still_not_right() -> None:
    async with opened(proof("no-forwarding")) as pilot:
        await proven(pilot)
        cluster(pilot).nodes()[0].sysctls["net.ipv4.ip_forward"] = "0"
        await pilot.press("enter")
        await on(pilot, Dialog)
        await until(pilot, lambda: "X ip-forward on fed-node1" in words(pilot))
        await approved(pilot, "a")
        await until(
            pilot, lambda: "X It is done, and fed-node1 -> fed-node2 is still" in words(pilot)
        )
        await pilot.press("r")
        await until(pilot, lambda: "X ip-forward on fed-node2" in words(pilot))


async def test_what_has_changed_since_it_was_shown_is_not_done() -> None:
    async with asked("no-forwarding") as pilot:
        cluster(pilot).nodes()[1].sysctls["net.ipv4.ip_forward"] = "1"
        await approved(pilot, "a")
        await until(pilot, lambda: "! Nothing was changed" in words(pilot))
        assert "u Take back" not in shown(pilot.app)


async def test_esc_lets_a_remedy_come_to_its_end() -> None:
    async with asked("no-forwarding") as pilot:
        frozen = freeze(pilot.app)
        await approved(pilot, "a")
        await until(pilot, lambda: "> connecting" in shown(pilot.app))
        await pilot.press("escape")
        frozen.thaw()
        assert "The running step is finished" in words(pilot)
        assert isinstance(pilot.app.screen, Dialog)
        await until(pilot, lambda: "! Nothing was changed" in words(pilot))
        await pilot.press("escape")
        await on(pilot, VerifyPage)


async def test_where_containers_stop_the_clusters_name_is_typed() -> None:
    answers = practice_answers()
    do, back = ("systemctl", "restart", "docker"), ("true",)
    it = Diagnosis(
        "docker-off",
        "fed-node1",
        "why",
        "seen",
        "remedy",
        (mending("fed-node1", do, back, interrupts=True),),
    )
    known = ClusterFacts({"fed-node1": Facts(containers=2)})
    async with opened(proof()) as pilot:
        await proven(pilot)
        app = pilot.app
        assert isinstance(app, Fedwiz)
        plan = fix.plan_of(answers, it)
        for typed, said in (("no", None), ("practice", True)):
            worker = app.run_worker(agreed(app, "practice", plan, known, "remedy"))
            await on(pilot, TypeName)
            assert "$ systemctl restart docker" in words(pilot)
            assert "2 containers run there now" in words(pilot)
            await type_in(pilot, typed)
            await pilot.press("enter")
            if said is None:
                await pilot.press("escape")
            assert await worker.wait() is bool(said)


# What is drawn of a case.


def case(**said: Any) -> Case:
    from ipaddress import IPv4Network

    net = Overlay(IPv4Network("10.16.0.0/16"), "vxlan", "flannel.1")
    return Case(practice_answers(), ClusterFacts({}), net, *PAIR, **said)


async def diagnosed(fault: str) -> Result:
    """What a diagnosis of the pair comes to, without a page."""
    draft = proof(fault)
    site = wizard(draft).inventory
    assert site is not None

    async def ask(cluster: RunContext, stop: asyncio.Event) -> Result:
        return await fix.diagnose(cluster, PAIR, stop)

    job = Job(draft.answers(), ask)
    return await run_job(job, site, (), asyncio.Event(), lambda _: None, lambda _: None)


LOST_ON_ITS_WAY = """\
+ fed-node2  passed on to routing                   3
X fed-node2  has a route, and may be forwarded      0  <- lost here
- fed-node2  forwarded                              0
"""
LOST_ON_ITS_WAY_BACK = """\
+ fed-node2  forwarded                              3
X fed-node2  wrapped for the other node             0  <- lost here
- fed-node2  sent to the other node                 0
"""
CASES = {
    "no-forwarding": (
        "X ip-forward on fed-node2: fed-node2 does not pass packets on between its interfaces",
        "X The way of the packets  the ping is lost on fed-node2",
        "X The ping is lost on fed-node2: not routed on: no route,",
        LOST_ON_ITS_WAY,
    ),
    "missing-route": (
        "X missing-route on fed-node2: fed-node2 has no route to 10.16.",
        "X The way of the packets  the answer is lost on fed-node2",
        "X The answer is lost on fed-node2: not wrapped for",
        LOST_ON_ITS_WAY_BACK,
    ),
    "healthy": (
        "+ Nothing is wrong: 3 of 3 pings came back, and fed-node2 saw 10.16.",
        "+ The way of the packets  3 of 3 pings came back, and fed-node2 saw 10.16.",
        "The ping, packets that were counted\n+ fed-node1  out of the container ",
        "",
    ),
    "unreachable": (
        "X unreachable on fed-node2: fed-node2 could not be asked, so nobody knows what is wrong",
        "- The way of the packets  none could be followed",
        "fed-node2: there is no connection to it",
        "",
    ),
}


@pytest.mark.parametrize("fault", CASES)
async def test_what_is_found_is_said_with_where_the_packets_are_lost(fault: str) -> None:
    result = await diagnosed(fault)
    headline, line, way, lost = CASES[fault]
    assert cause.verdict(result).plain.startswith(headline)
    assert result.case is not None
    assert cause.path_line(result.case).plain.startswith(line)
    said = cause.path(result.case).plain
    assert said.startswith(way)
    assert lost in said
    assert said.count("lost here") == bool(lost)


@pytest.mark.parametrize(
    ("mends", "offer"),
    [
        (True, "fedwiz does it, in 1 action: a shows them."),
        (False, "fedwiz does not do this: it is yours to do."),
    ],
)
def test_a_cause_says_whether_fedwiz_mends_it(mends: bool, offer: str) -> None:
    sysctl = ("sysctl", "-w", "net.ipv4.ip_forward=1")
    ways = (mending("fed-node2", sysctl, ("true",)),) if mends else ()
    it = Diagnosis("ip-forward", "fed-node2", "it passes nothing on", "= 0", "set it", ways)
    assert cause.cause(it).plain == (
        f"ip-forward on fed-node2\nit passes nothing on\n    -> set it\n    {offer}\n\n"
        "What says so:\n= 0"
    )


def test_a_hop_that_nobody_could_count_is_a_question() -> None:
    hops = (
        Hop("there", "fed-node1", "container", 3),
        Hop("there", "fed-node1", "raw", None),
        Hop("there", "fed-node2", "arriving", 0),
    )
    said = cause.path(case(hops=hops, sent=3)).plain
    assert "? fed-node1  passed on to routing                   ?" in said
    assert "X fed-node2  arrived                                0  <- lost here" in said


def test_what_dropped_packets_and_what_could_not_be_traced_is_said() -> None:
    looks = {
        "fed-node2": Look(dropped=(Dropped("filter", "-A INPUT -j DROP", 3),), error="no table raw")
    }
    said = cause.path(case(hops=(Hop("there", "fed-node1", "raw", 3),), looks=looks)).plain
    assert "fed-node2 dropped 3 by `-A INPUT -j DROP` (table filter)" in said
    assert "fed-node2: no table raw" in said
    assert cause.path(case(looks=looks)).plain == "fed-node2: no table raw"
    assert "No packet could be followed" in cause.path(case()).plain


def test_where_pings_come_back_no_hop_is_a_loss() -> None:
    hops = (Hop("there", "fed-node1", "raw", 3), Hop("there", "fed-node1", "wrapping", 0))
    said = cause.path(case(hops=hops, sent=3, answered=3)).plain
    assert "lost" not in said
    assert "- fed-node1  wrapped" in said


def test_a_cause_that_stops_no_ping_is_told_apart() -> None:
    it = Diagnosis("clock", "fed-node1", "its clock is off", "", "set it", explains=False)
    assert cause.line(it).plain == "! clock  fed-node1  wrong too, but stops no ping"
    assert "It does not stop this ping." in cause.cause(it).plain


# Runs of before.


EARLIER = {
    "diagnose": (
        "7",
        "+ done fed-node1 -> fed-node2: ip-forward on fed-node2",
        "+ done fed-node2 Fix ip-forward",
    ),
    "undo": ("", "+ undo ended well", "$ sysctl -w net.ipv4.ip_forward=0"),
}
"""By verb: the key to its findings, and what stands there."""


async def test_earlier_diagnoses_and_ways_back_are_looked_at() -> None:
    async with asked("no-forwarding") as pilot:
        await approved(pilot, "a")
        await until(pilot, lambda: "Fixed" in words(pilot))
        await approved(pilot, "u")
        await until(pilot, lambda: "Taken back" in words(pilot))
    for verb, (key, *says) in EARLIER.items():
        run = next(it for it in runs() if it.verb == verb)
        async with opened(look(run)) as pilot:
            await until(pilot, lambda: "This is how the run" in words(pilot))
            await pilot.press(*key)
            for said in says:
                assert said in words(pilot)
            await pilot.press("1")
            assert "⏎ Diagnose" not in shown(pilot.app)
            await pilot.press("enter")
            assert isinstance(pilot.app.screen, VerifyPage)
        with pytest.raises(AnswersError, match="press Enter"):
            go_on(run)


# Peers and sizes.


def paired(
    kind: str,
    seen: str,
    other: dict[tuple[str, str], Verified] | None = None,
    nodes: tuple[str, ...] = made.NODES,
) -> list[Event]:
    return [
        (other or {}).get((one, two)) or Verified(kind, one, two, "pass", seen)
        for one in nodes
        for two in nodes
        if one != two
    ]


def sized(nodes: int = 3) -> State:
    """The first pair passes too little, and the first node does not know the second."""
    names = tuple(f"fed-node{number}" for number in range(1, nodes + 1))
    small = Verified("mtu", *PAIR, "fail", "1400 of 1450 bytes; underlay 1450 of 1500", "raise it")
    unknown = Verified("peer", *PAIR, "fail", "", "fed-node1 has no route to 10.16.30.0/24")
    way = "10.16.31.0/24 via 10.16.31.0 dev flannel.1\n10.16.31.0 lladdr 46:f1:d0:18:d0:02"
    return ended(
        *leases(names),
        *paired("peer", way, {PAIR: unknown}, names),
        *pings(names),
        *paired("mtu", "1450 of 1450 bytes; underlay 1500 of 1500", {PAIR: small}, names),
        code=7,
        nodes=nodes,
    )


async def test_peers_and_sizes_are_matrices_too_with_the_pair_in_words() -> None:
    async with showing(sized()) as pilot:
        await pilot.press("5", "f")
        text = words(pilot)
        assert ">5X Peers" in text
        assert "X fail fed-node1 -> fed-node2 -> fed-node1 has no route" in text
        assert "+ pass fed-node2 -> fed-node1 10.16.31.0/24 via 10.16.31.0" in text
        assert "+ knows the way" in text
        await pilot.press("6", "f")
        text = words(pilot)
        assert "[X 1400]" in text
        assert "X fail fed-node1 -> fed-node2 1400 of 1450 bytes; underlay 1450" in text
        await pilot.press("7")
        assert "X fail size fed-node1 -> fed-node2" in words(pilot)
        assert "X fail the way fed-node1 -> fed-node2" in words(pilot)


# Live.


def last_rounds(pilot: Pilot[Any]) -> str:
    """The signs of the last rounds of the pair under the cursor; empty: there were none."""
    _, _, after = shown(pilot.app).partition("last rounds: ")
    return after.partition("\n")[0].strip()


async def test_it_is_verified_round_after_round_until_that_is_enough() -> None:
    async with opened(replace(proof(), pace=0.01)) as pilot:
        await proven(pilot)
        await pilot.press("l")
        await until(pilot, lambda: "last rounds: + +" in shown(pilot.app))
        FAULTS["forward-drop"].inject(cluster(pilot))
        # What lasts: on a busy machine many rounds go by between two looks.
        await until(pilot, lambda: last_rounds(pilot).endswith("X X"))
        await until(pilot, lambda: "4 of 6 pairs do not ping" in words(pilot))
        FAULTS["forward-drop"].repair(cluster(pilot))
        await until(pilot, lambda: last_rounds(pilot).endswith("+ +"))
        await pilot.press("l")
        await until(pilot, lambda: runs()[0].outcome == "ok")
        assert pilot.app.code == 0  # type: ignore[attr-defined]  # a wizard's
        assert len(runs()) == 2


async def test_live_takes_the_place_of_a_verification_that_goes_on() -> None:
    async with opened(replace(proof(), pace=0.01)) as pilot:
        await proven(pilot)
        frozen = freeze(pilot.app)
        await pilot.press("r")
        await until(pilot, lambda: "> connecting" in shown(pilot.app))
        await pilot.press("l")
        frozen.thaw()
        await until(pilot, lambda: "last rounds: + +" in shown(pilot.app))
        assert "stopped" in {run.outcome for run in runs()}


def test_what_a_round_has_not_judged_yet_stands_as_it_was() -> None:
    from fedwiz.model.events import RoundEnded, RoundStarted

    stranger = [Verified("lease", "", "", "skipped", f"odd {at}") for at in range(2)]
    live = LiveRun()
    good = [Verified("ping", *pair, "pass", "3/3") for pair in (PAIR, PAIR[::-1])]
    bad = Verified("ping", *PAIR, "fail", "0/3")
    first = [*made.begin(verb="verify"), RoundStarted(1), *stranger, *good, RoundEnded(1, 0)]
    for record in made.records([*first, RoundStarted(2), bad]):
        live.apply(record)
    assert list(live.verdicts) == [*stranger, bad, good[1]]
    assert (live.between, live.code) == (False, 0)
    live.apply(made.records([RoundEnded(2, 7)])[0])
    assert list(live.verdicts) == [bad]
    assert (live.between, live.code) == (True, 7)


# As it looks.

LOOKS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "cause": ("no-forwarding", (), "shows how"),
    "way": ("no-forwarding", ("down",), "let in"),
    "healthy": ("healthy", (), "Nothing is wrong"),
    "plan": ("no-forwarding", ("a",), "Do this?"),
    "mended": ("no-forwarding", ("a", "right", "enter"), "Fixed"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOOKS)
def test_it_looks(name: str, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: ANN401
    fault, keys, says = LOOKS[name]
    app = wizard(proof(fault))

    async def before(pilot: Pilot[Any]) -> None:
        await on(pilot, VerifyPage)
        await proven(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "The way of the packets" in shown(pilot.app))
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: says in words(pilot))

    assert snap_compare(app, terminal_size=size, run_before=still(before))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "keys"), [("peers", ("5",)), ("sizes", ("6",))])
def test_the_tabs_look(
    name: str,
    keys: tuple[str, ...],
    size: tuple[int, int],
    snap_compare: Any,  # noqa: ANN401
) -> None:
    app = wizard(replace(proof(size=10), goal="install"))
    app.state = sized(9)

    async def before(pilot: Pilot[Any]) -> None:
        await on(pilot, VerifyPage)
        await pilot.press(*keys)

    assert snap_compare(app, terminal_size=size, run_before=still(before))
