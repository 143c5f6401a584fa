"""The page Review: findings, each host's plan, answers; and the approval."""

import asyncio
import json
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from fedwiz.answers.file import Answers, AnswersError, dump, load, parse, repeat
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.approval import approve_all
from fedwiz.engine.connections import connect_all, read_facts
from fedwiz.engine.plan import Plan
from fedwiz.facts import ClusterFacts
from fedwiz.model.backends import BACKENDS
from fedwiz.practice import FAULTS, Practice, practice_answers
from fedwiz.runs.plans import read_plan_text
from fedwiz.wizard.draft import Draft, load_saved
from screens.dialogs.basic import Ask, Confirm, Pick, TypeName
from screens.dialogs.dialog import Help
from screens.dialogs.form import Form
from screens.pages.install import InstallPage
from screens.pages.interfaces import InterfacesPage
from screens.pages.review import OTHER_SECTIONS, ReviewPage
from screens.pages.verify import VerifyPage
from screens.widgets.plan_view import (
    FINDINGS,
    PAGE_BY_CHECK,
    approval_block,
    asked_on,
    findings_text,
    items,
)
from tests.support.pilot import (
    SIZES,
    filled,
    on,
    opened,
    resize,
    shown,
    still,
    type_in,
    until,
    wizard,
)


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def page(pilot: Pilot[Any]) -> Any:  # noqa: ANN401 - the page, whatever it holds
    return pilot.app.screen


def flat(pilot: Pilot[Any]) -> str:
    """What is on the screen, as one line."""
    return " ".join(shown(pilot.app).replace("│", " ").split())


async def planned(pilot: Pilot[Any]) -> None:
    """Until the plan is shown."""
    await on(pilot, ReviewPage)
    await until(pilot, lambda: page(pilot)._result is not None)  # noqa: SLF001 - see machines
    await until(pilot, lambda: "Findings" in shown(pilot.app))


def machines(pilot: Pilot[Any]) -> Any:  # noqa: ANN401 - the practice cluster
    app: Any = pilot.app
    return app.inventory._practice.cluster  # noqa: SLF001 - there is no public way to break it


async def again(pilot: Pilot[Any]) -> None:
    """Read and plan again."""
    before = page(pilot)._result  # noqa: SLF001
    await pilot.press("r")
    await until(pilot, lambda: page(pilot)._result not in (None, before))  # noqa: SLF001
    await planned(pilot)


# What is shown.


async def test_the_whole_plan_is_there_host_by_host() -> None:
    async with opened(filled("review"), (120, 40)) as pilot:
        await planned(pilot)
        said = shown(pilot.app)
        assert "! Findings  3 warn" in said
        assert "fed-master   2 operations" in said
        assert "! fed-node1   27 operations, containers stop" in said
        assert "2 running containers will stop" in flat(pilot)
        assert "+ ok  39 findings" in said
        assert "83 operations on 4 hosts, plan " in said
        await pilot.press("down")
        said = shown(pilot.app)
        assert "etcdctl" in said
        assert '+{"Network":"10.16.0.0/16"' in said
        assert "undo: " in said
        await pilot.press("down")
        assert "! docker stops and starts; 2 containers run there now" in shown(pilot.app)
        assert "+net.ipv4.ip_forward = 1" in shown(pilot.app)
        text = page(pilot).query_one("#shown").content.plain
        assert "dnf -y install flannel" in text
        assert "! running containers stop" in text
        assert text.index("switch.sh, as it is sent:") > text.index("undo: disable flanneld")
        await pilot.press("enter", "end")
        assert "stopping docker" in text
        assert page(pilot).query_one("#text").scroll_y > 0
        await pilot.press("enter", "end")
        await until(pilot, lambda: 'cidr = "10.16.0.0/16"' in shown(pilot.app))
        assert page(pilot).query_one("#text").scroll_y == 0
        await pilot.press("f1")
        await on(pilot, Help)
        assert "Nothing is changed on any host" in flat(pilot)


async def test_while_the_hosts_are_read_it_says_how_far_and_approves_nothing() -> None:
    async with opened(replace(filled("review"), pace=60.0)) as pilot:
        await on(pilot, ReviewPage)
        await until(pilot, lambda: "reading 0 of 4 hosts" in shown(pilot.app))
        assert "~ reading the hosts" in shown(pilot.app)
        await pilot.press("ctrl+n")
        assert "a moment" in shown(pilot.app)
        await pilot.press("escape")
        await on(pilot, InterfacesPage)


async def test_a_host_that_is_lost_has_no_plan_and_blocks() -> None:
    async with opened(filled("review", "unreachable")) as pilot:
        await planned(pilot)
        assert "X fed-node2   not read" in shown(pilot.app)
        await pilot.press("down", "down", "down")
        assert "X lost" in shown(pilot.app)
        await pilot.press("ctrl+n")
        assert "does not answer on port 22" in flat(pilot)
        assert "(page Hosts)" in flat(pilot)
        assert isinstance(page(pilot), ReviewPage)
        assert page(pilot).query_one(OptionList).highlighted == 0
        app: Any = pilot.app
        assert app.inventory.approved is None


@pytest.mark.parametrize("count", [25, pytest.param(100, marks=pytest.mark.full)])
async def test_many_hosts_are_listed_and_only_the_chosen_one_is_drawn(count: int) -> None:
    async with opened(filled("review", size=count)) as pilot:
        await planned(pilot)
        assert f"fed-node{count - 1}" not in shown(pilot.app)
        await pilot.press("end", "up")
        await until(pilot, lambda: f"fed-node{count - 1}" in shown(pilot.app))
        assert "kernel: Load" in shown(pilot.app)
        await resize(pilot, 20, 5)
        await resize(pilot, 120, 40)
        await on(pilot, ReviewPage)
        assert "kernel: Load" in shown(pilot.app)


# What keeps one from approving.


NAT = "nat0 has 10.0.2.15, as every VirtualBox machine on its NAT: no peer reaches it"
BLOCKED = {
    "healthy": "",
    "nat-twins": (
        f"fed-node1: {NAT}; set `interface` of fed-node1: eth0 (page Interfaces)  (2 more blocks)"
    ),
    "no-etcd": "fed-master: etcd does not run; systemctl enable --now etcd  (4 more blocks)",
    "overlap": (
        "fed-node2: 10.16.0.0/16 overlaps 10.16.0.0/16 (route by eth0); set network.cidr to a free "
        "network, such as 10.0.0.0/16 (page Network)"
    ),
    "duplicate-name": (
        "fed-node1, fed-node2 are all called fed-node1; on each: hostnamectl set-hostname NAME, "
        "with the name that the answers give it (page Hosts)"
    ),
    "no-package": (
        'fed-node1: dnf offers no flannel; set flannel.source to "rpm" or "binary", and '
        "flannel.path to a file that you have (F2 here)  (2 more blocks)"
    ),
}
"""By fault: what keeps the plan from being approved, with its remedy and the page."""


@pytest.mark.parametrize("fault", BLOCKED)
async def test_a_block_is_named_with_its_remedy_and_the_page(fault: str) -> None:
    draft = filled("review", fault)
    site = wizard(draft).inventory
    assert site is not None
    result = await verbs.plan(await site.cluster(draft.answers()))
    assert approval_block(result.findings) == BLOCKED[fault]
    signs = [line.plain[0] for key, line in items(result) if key == FINDINGS]
    assert signs == ["X" if BLOCKED[fault] else "!"]
    text = findings_text(result.findings).plain
    assert text.startswith("X block  " if BLOCKED[fault] else "! warn  ")


async def test_a_block_is_accepted_by_its_name_or_put_right_on_the_host() -> None:
    async with opened(filled("review", "disk-full")) as pilot:
        await planned(pilot)
        assert "X Findings" in shown(pilot.app)
        assert "x Accept" in shown(pilot.app)
        await pilot.press("x")
        await on(pilot, Pick)
        assert "disk" in shown(pilot.app)
        await pilot.press("enter")
        await on(pilot, TypeName)
        assert "fed-node2: " in shown(pilot.app)
        await pilot.press("escape")
        await on(pilot, ReviewPage)
        assert page(pilot).draft.accepted == ()
        await pilot.press("x")
        await on(pilot, Pick)
        await pilot.press("enter")
        await on(pilot, TypeName)
        await type_in(pilot, "disk")
        await pilot.press("enter")
        await until(pilot, lambda: "you accept that: disk" in flat(pilot))
        draft = load_saved("disk-full")
        assert draft
        assert draft.accepted == ("disk",)
        await pilot.press("ctrl+n")
        await on(pilot, TypeName)
        await pilot.press("escape")
        await on(pilot, ReviewPage)
        await pilot.press("x")
        await on(pilot, Pick)
        assert "accepted: take that back" in flat(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "X Findings" in shown(pilot.app))
        assert page(pilot).draft.accepted == ()
        await pilot.press("x")
        await on(pilot, Pick)
        await pilot.press("escape")
        await on(pilot, ReviewPage)
        # What was put right on a host is seen when it is read again.
        FAULTS["disk-full"].repair(machines(pilot))
        await again(pilot)
        assert "X Findings" not in shown(pilot.app)
        assert "x Accept" not in shown(pilot.app)


async def test_answers_that_cannot_be_used_are_named_with_their_pages() -> None:
    draft = filled("review").put("network.cidr", "18.16.0.0/16").put("etcd.prefix", "no slash")
    async with opened(draft) as pilot:
        await on(pilot, ReviewPage)
        await until(pilot, lambda: "X Answers  2 to be corrected" in shown(pilot.app))
        assert "page Network" in flat(pilot)
        assert "F2 here" in flat(pilot)
        for key in ("ctrl+n", "w"):
            await pilot.press(key)
            assert isinstance(page(pilot), ReviewPage)
            assert "X etcd.prefix: " in flat(pilot) or "X network.cidr: " in flat(pilot)
        await pilot.press("f2")
        await on(pilot, Pick)
        assert "etcd  1 to be corrected" in shown(pilot.app)
        assert page(pilot).query_one(OptionList).highlighted == 0
        await pilot.press("enter")
        await on(pilot, Form)
        await pilot.press("escape")
        await on(pilot, ReviewPage)


# Answers that no other page asks for, and the file.


async def test_other_answers_are_asked_here_and_planned_anew() -> None:
    draft = filled("review", wizard={"ask": ["docker", "network"]})
    async with opened(draft) as pilot:
        await planned(pilot)
        assert "F2 asks for docker." in flat(pilot)
        before = page(pilot)._result.plan.digest  # noqa: SLF001
        await pilot.press("f2")
        await on(pilot, Pick)
        for section in OTHER_SECTIONS:
            assert section in shown(pilot.app)
        assert "docker  the answer file wants it asked" in shown(pilot.app)
        assert page(pilot).query_one(OptionList).highlighted == 2
        await pilot.press("enter")
        await on(pilot, Form)
        await pilot.press("right", "ctrl+n")
        await on(pilot, ReviewPage)
        await planned(pilot)
        assert page(pilot)._result.plan.digest != before  # noqa: SLF001
        draft = load_saved("healthy") or draft
        assert draft.get("docker.switch") == "reboot"
        await pilot.press("f2")
        await on(pilot, Pick)
        await pilot.press("escape")
        await on(pilot, ReviewPage)
        await pilot.press("ctrl+n")
        await on(pilot, TypeName)
        assert "fed-node3 2 containers run there now, it reboots" in flat(pilot)


async def test_the_answer_file_is_saved_for_its_owner_and_replaces_none_unasked(
    tmp_path: Path,
) -> None:
    file = tmp_path / "practice.toml"
    async with opened(filled("review")) as pilot:
        await planned(pilot)
        await pilot.press("w")
        await on(pilot, Ask)
        assert page(pilot).query_one(Input).value == "practice.toml"
        await pilot.press("enter")
        await until(pilot, lambda: "Saved" in shown(pilot.app))
        assert "practice.toml" in "".join(shown(pilot.app).split())
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert load(file) == page(pilot).draft.answers()
        file.write_text("mine")
        await pilot.press("w")
        await on(pilot, Ask)
        await pilot.press("enter")
        await on(pilot, Confirm)
        await pilot.press("enter")
        await on(pilot, ReviewPage)
        assert file.read_text() == "mine"
        await pilot.press("w")
        await on(pilot, Ask)
        await pilot.press("enter")
        await on(pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: file.read_text() != "mine")
        await pilot.press("w")
        await on(pilot, Ask)
        page(pilot).query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        assert "is a directory" in flat(pilot)
        page(pilot).query_one(Input).value = "/proc/none/a.toml"
        await pilot.press("enter")
        await until(pilot, lambda: "X Not saved" in shown(pilot.app))


# The approval.


async def test_where_containers_stop_the_cluster_s_name_is_typed() -> None:
    """Also where they do on some nodes alone."""
    async with opened(filled("review")) as pilot:
        machines(pilot).machines["fed-node1"].containers = []
        await planned(pilot)
        await again(pilot)
        plan: Plan = page(pilot)._result.plan  # noqa: SLF001
        facts = read_plan_text(plan.digest)
        assert facts
        assert "fed-node1 links" in json.loads(facts)["facts"]
        app: Any = pilot.app
        await pilot.press("ctrl+n")
        await on(pilot, TypeName)
        assert "83 operations on 4 hosts" in flat(pilot)
        assert "fed-node2 2 containers run there now" in flat(pilot)
        await type_in(pilot, "fedora")
        await pilot.press("enter")
        assert "exactly" in shown(pilot.app)
        await pilot.press("escape")
        await on(pilot, ReviewPage)
        await until(pilot, lambda: "Not approved; nothing was changed" in shown(pilot.app))
        assert app.inventory.approved is None
        await pilot.press("ctrl+n")
        await on(pilot, TypeName)
        await type_in(pilot, "practice")
        await pilot.press("enter")
        await on(pilot, InstallPage)
        assert app.inventory.approved is not None
        answers, approved = app.inventory.approved
        assert (answers, approved) == (filled("review").answers(), plan)


async def test_where_nothing_stops_one_yes_is_enough_and_no_is_first() -> None:
    async with opened(filled("review")) as pilot:
        for machine in machines(pilot).machines.values():
            machine.containers = []
        await planned(pilot)
        await again(pilot)
        assert "containers stop" not in shown(pilot.app)
        app: Any = pilot.app
        await pilot.press("ctrl+n")
        await on(pilot, Confirm)
        assert "no container runs there now" in flat(pilot)
        await pilot.press("enter")
        await on(pilot, ReviewPage)
        assert app.inventory.approved is None
        await pilot.press("ctrl+n")
        await on(pilot, Confirm)
        await pilot.press("right", "enter")
        await on(pilot, InstallPage)
        assert app.inventory.approved is not None


async def test_with_nothing_left_to_do_the_verification_comes() -> None:
    draft = filled("review")
    app = wizard(draft)
    assert app.inventory is not None
    cluster = await app.inventory.cluster(draft.answers(), run_id="before")
    done = await verbs.install(cluster, approve_all, asyncio.Event(), verified=False)
    assert done.code == verbs.OK
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await planned(pilot)
        assert "+ fed-node1   nothing to do" in shown(pilot.app)
        assert "+ Nothing is left to do: Ctrl+N leads to the verification." in flat(pilot)
        await pilot.press("down")
        assert "Nothing is left to do here." in shown(pilot.app)
        await pilot.press("ctrl+n")
        await on(pilot, VerifyPage)
        assert app.inventory.approved is None


# As data.


def test_where_it_is_asked_is_a_page_or_here() -> None:
    from fedwiz.checks import CHECKS

    assert PAGE_BY_CHECK.keys() <= {it.name for it in CHECKS}
    assert asked_on("host[fed-node1].interface") == "interfaces"
    assert asked_on("host[#2].name") == asked_on("ssh.user") == asked_on("name") == "hosts"
    assert asked_on("network.cidr") == "network"
    assert asked_on("etcd.prefix") == asked_on("/tmp/flannel.rpm") == "review"
    assert approval_block(()) == ""


async def _read(answers: Answers) -> ClusterFacts:
    practice = Practice(answers, "", 0.0)
    async with connect_all(answers, practice, practice.open_store, lambda _: None) as ways:
        return await read_facts(ways)


@pytest.fixture(scope="module")
def known() -> ClusterFacts:
    """What is read of the practice cluster."""
    return asyncio.run(_read(practice_answers()))


WORD = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)


@st.composite
def backends(draw: st.DrawFn) -> dict[str, Any]:
    backend = BACKENDS[draw(st.sampled_from(sorted(BACKENDS)))]
    said: dict[str, Any] = {"type": backend.name}
    for option in backend.options:
        if option.kind is bool:
            said[option.name] = draw(st.booleans())
        elif option.kind is int:
            numbers = st.integers(option.low or 0, min(option.high or 65535, 65535))
            said[option.name] = draw(st.one_of(st.just(option.default), numbers))
    return {key: said[key] for key in said if key == "type" or draw(st.booleans())}


@st.composite
def said(draw: st.DrawFn) -> dict[str, Any]:
    """Answers as a file has them, of a cluster of the practice hosts' names."""
    hosts = [
        {
            "name": it.name,
            "address": it.address,
            "role": it.role,
            **({"label": f"{draw(WORD)}-{n}"} if draw(st.booleans()) else {}),
            **(
                {"interface": draw(st.sampled_from(["eth0", "docker0", it.address, "none9"]))}
                if draw(st.booleans())
                else {}
            ),
        }
        for n, it in enumerate(practice_answers().host)
    ]
    second = draw(st.integers(0, 255))
    data: dict[str, Any] = {
        "version": 1,
        "name": draw(WORD),
        "host": hosts,
        "network": {"cidr": f"10.{second}.0.0/16", "subnet_len": draw(st.integers(20, 28))},
        "backend": draw(backends()),
        "ssh": {
            "user": draw(WORD),
            "port": draw(st.integers(1, 65535)),
            "sudo": draw(st.sampled_from(["no", "nopasswd", "ask"])),
        },
        "etcd": {
            "prefix": f"/{draw(WORD)}/network",
            "api": draw(st.sampled_from(["auto", "v2", "v3"])),
            "user": draw(st.sampled_from(["", "flannel"])),
        },
        "flannel": {
            "options": draw(
                st.lists(st.sampled_from(["-ip-masq", "-v=10"]), max_size=2, unique=True)
            )
        },
        "docker": {"switch": draw(st.sampled_from(["restart", "reboot"]))},
        "verify": {"image": draw(st.sampled_from(["fedora:latest", "quay.io/a/b:1.2"]))},
        "wizard": {
            "ask": draw(
                st.lists(st.sampled_from(["*", "network", "etcd"]), max_size=2, unique=True)
            )
        },
    }
    return {
        key: it
        for key, it in data.items()
        if key in ("version", "name", "host", "network") or draw(st.booleans())
    }


@given(said())
@settings(max_examples=150)
def test_the_answer_file_gives_equal_answers_and_the_same_plan(
    known: ClusterFacts, data: Mapping[str, Any]
) -> None:
    try:
        answers = parse(data)
    except AnswersError:
        return
    again = parse(tomllib.loads(dump(answers)))
    assert again == answers
    assert Draft.of(tomllib.loads(dump(answers))).answers() == answers
    silent = parse(tomllib.loads(repeat(answers)))
    assert not silent.wizard.ask
    accepting = repeat(answers, ("disk", "os"))
    assert accepting.startswith("# Run with --accept disk,os\n")
    assert parse(tomllib.loads(accepting)) == silent
    digest = planning.make(answers, known).digest
    assert planning.make(again, known).digest == digest
    assert planning.make(silent, known).digest == digest


def test_most_made_up_answers_can_be_used() -> None:
    """The test above would pass where all are refused."""
    kept = []

    @given(said())
    @settings(max_examples=50, database=None)
    def see(data: Mapping[str, Any]) -> None:
        try:
            kept.append(parse(data))
        except AnswersError:
            return

    see()
    assert len(kept) > 25
    assert len({it.backend.type for it in kept}) > 1


# How it looks.

LONG = "a" * 59 + "-" + "b" * 3


def _long() -> Draft:
    draft = filled("review", size=40)
    return draft.host(draft.chosen[1].address, name=LONG)


LOOKS: Mapping[str, tuple[Draft, tuple[str, ...]]] = {
    "findings": (filled("review"), ()),
    "host": (filled("review"), ("down", "down")),
    "answers": (filled("review"), ("end",)),
    "blocked": (filled("review", "nat-twins"), ("ctrl+n",)),
    "refused": (filled("review").put("etcd.prefix", "x").put("network.cidr", "x"), ()),
    "reading": (replace(filled("review"), pace=600.0), ()),
    "long": (_long(), ("down", "down")),
    "type": (filled("review"), ("ctrl+n",)),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOOKS)
def test_how_it_looks(snap_compare: Any, name: str, size: tuple[int, int]) -> None:  # noqa: ANN401
    draft, keys = LOOKS[name]

    async def wait(pilot: Pilot[Any]) -> None:
        await on(pilot, ReviewPage)
        if name in ("refused", "reading"):
            words = "to be corrected" if name == "refused" else "reading 0 of"
            await until(pilot, lambda: words in shown(pilot.app))
        else:
            await planned(pilot)
        await pilot.press(*keys)
        if name == "type":
            await on(pilot, TypeName)

    assert snap_compare(wizard(draft), terminal_size=size, run_before=still(wait))
