"""The way back from an install: what is kept, what is left of it, and that hosts are as before."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from fedwiz.answers.file import Answers
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.approval import NOT_APPROVED, Refusal, approve_all
from fedwiz.engine.undo import NO_WAY, undo_install
from fedwiz.engine.verbs import Result
from fedwiz.facts import ClusterFacts, Firewall
from fedwiz.facts.probes import FILES, HASHED_FILES, MODULES, SYSCTLS, UNITS_READ
from fedwiz.model.events import ActionEnded, ActionStarted, Event
from fedwiz.practice import CLASSIC, MODERN, Generation, Practice, practice_answers, probes
from fedwiz.runs.interrupted import FOLLOWING_STEP
from fedwiz.scripts import script
from fedwiz.steps import STEPS
from fedwiz.steps.backup import CHANGING, PACKAGED, TOUCHED
from fedwiz.steps.docker import DAEMON_JSON, DUE
from fedwiz.steps.host import SYSCTL_FILE
from fedwiz.steps.make import run_script
from tests.support.host_image import images, same
from tests.unit.test_practice import Runs

GENERATIONS = {"classic": CLASSIC, "modern": MODERN}


class Undoing(Runs):
    """A practice cluster that is installed on, and taken back."""

    def cluster(self) -> verbs.RunContext:
        """With a run's id as journals have it: by that an earlier run's units are known."""
        return replace(super().cluster(), run_id=f"20260101-000000-{self.number:04}")

    async def undo(self, host: str = "") -> Result:
        return await undo_install(self.cluster(), approve_all, asyncio.Event(), host=host)

    async def left(self) -> Result:
        """What a way back would do."""

        async def never(_plan: planning.Plan, _known: ClusterFacts | None) -> Refusal:
            return NOT_APPROVED

        return await undo_install(self.cluster(), never, asyncio.Event())

    async def install_until(self, count: int) -> bool:
        """Stop the install once so many actions have ended; False: it had no more."""
        stop, ended = asyncio.Event(), 0
        cluster = self.cluster()
        if not count:
            return True

        def emit(event: Event) -> None:
            nonlocal ended
            if isinstance(event, ActionEnded):
                ended += 1
                if ended == count:
                    stop.set()

        result = await verbs.install(replace(cluster, emit=emit), approve_all, stop, verified=False)
        assert result.code in (0, 130), result.why
        return ended >= count


def undoing(
    generation: Generation = MODERN, *sets: str, hosts: int = 4, installed: bool = False
) -> Undoing:
    answers = practice_answers(hosts, sets)
    return Undoing(Practice(answers, generation=generation, installed=installed), answers)


ANSWERED = {
    "as proposed": (),
    "host-gw": ("backend.type=host-gw",),
    "udp": ("backend.type=udp",),
    "by a reboot": ("docker.switch=reboot",),
    "masquerading": ('flannel.options=["-ip-masq"]',),
}


@pytest.mark.parametrize("sets", ANSWERED.values(), ids=ANSWERED)
@pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
async def test_a_finished_install_is_taken_back_whole(
    generation: Generation, sets: tuple[str, ...]
) -> None:
    runs = undoing(generation, *sets)
    for node in runs.practice.cluster.nodes():
        node.firewall = Firewall("public", frozenset({"22/tcp"}), frozenset({"22/tcp"}))
    before = images(runs.practice)
    assert (await runs.install()).code == 0
    assert images(runs.practice)["fed-node1"] != before["fed-node1"]
    result = await runs.undo()
    assert (result.code, result.why) == (0, "")
    now = images(runs.practice)
    if "docker.switch=reboot" in sets:
        for each in (*before.values(), *now.values()):
            for name in ("sysctls", "policy", "modules"):
                each.pop(name, None)
    same(before, now)

    again = await runs.undo()
    assert again.code == 0
    assert NO_WAY in again.why
    assert (await runs.install()).code == 0


@pytest.mark.parametrize(
    "first", [5, *(pytest.param(it, marks=pytest.mark.full) for it in (1, 2, 3, 4))]
)
@pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
async def test_every_partial_state_is_taken_back_whole(generation: Generation, first: int) -> None:
    """Each fifth of them; with the others, all."""
    count, more = first, True
    while more:
        runs = undoing(generation, hosts=3)
        before = images(runs.practice)
        more = await runs.install_until(count)
        result = await runs.undo()
        assert result.code == 0, (count, result.why)
        same(before, images(runs.practice))
        left = await runs.left()
        assert left.plan is not None
        assert not any(left.plan.actions.values())
        count += 5
    assert count > 30


async def test_a_network_of_before_is_there_again() -> None:
    """Somebody followed the procedure by hand; fedwiz changed it, and takes that back."""
    runs = undoing(MODERN, installed=True)
    before = images(runs.practice)
    assert (await runs.install()).code == 0
    assert (await runs.undo()).code == 0
    now = images(runs.practice)
    same(before, now)
    assert (await runs.prove()).code == 0


async def test_a_network_of_before_that_was_another_is_there_again() -> None:
    """Flanneld reads the key as it starts: it has to say the old network again by then."""
    first = undoing(MODERN, installed=True)
    before = images(first.practice)
    runs = Undoing(first.practice, replace_cidr(first.answers))
    assert (await runs.install()).code == 0
    installed = images(runs.practice)
    for alone in ("fed-node1", "fed-node2"):
        result = await runs.undo(alone)
        assert result.code == 2
        assert result.why.startswith(f"{alone} had flannel on the network that etcd's /coreos.com")
        assert result.why.endswith("fed-node3: undo them all")
        same(installed, images(runs.practice))
    runs.node(2).login_failure = "no route to host"
    result = await runs.undo()
    assert result.code == 4
    assert "fed-node1, fed-node3 had flannel on the network that" in result.why
    assert "fed-node2 could not be reached" in result.why
    runs.node(2).login_failure = ""
    same(installed, images(runs.practice))
    assert (await runs.undo()).code == 0
    same(unnumbered(before), unnumbered(images(runs.practice)))
    assert (await first.prove()).code == 0


def unnumbered(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without the MACs that flannel's devices got as they were made, here and in leases."""
    for name, held in found.items():
        if name == "etcd":
            held["v3"] = {k: re.sub(r'"VtepMAC":"[^"]*"', "", v) for k, v in held["v3"].items()}
        else:
            held["links"] = {k: replace(link, mac="") for k, link in held["links"].items()}
    return found


async def test_one_node_alone() -> None:
    runs = undoing()
    before = images(runs.practice)
    assert (await runs.install()).code == 0
    installed = images(runs.practice)
    assert (await runs.undo("fed-node1")).code == 0
    now = images(runs.practice)
    same({"fed-node1": before["fed-node1"]}, now)
    same({"fed-node2": installed["fed-node2"]}, now)
    held = runs.practice.cluster.keys.stored["v3"]
    assert "/coreos.com/network/config" in held
    assert len([key for key in held if "/subnets/" in key]) == 2
    assert (await runs.undo()).code == 0
    same(before, images(runs.practice))


async def test_a_host_that_can_t_be_reached_is_undone_later() -> None:
    runs = undoing()
    before = images(runs.practice)
    assert (await runs.install()).code == 0
    runs.node(2).login_failure = "no route to host"
    result = await runs.undo()
    assert result.code == 4
    assert result.why.startswith("fed-node2 could not be reached, and is as it was (fed-node2: ")
    assert "etcd's /coreos.com/network/config stays: fed-node2 may still need it" in result.why
    same({"fed-node1": before["fed-node1"]}, images(runs.practice))
    assert "/coreos.com/network/config" in runs.practice.cluster.keys.stored["v3"]
    runs.node(2).login_failure = ""
    assert (await runs.undo()).code == 0
    same(before, images(runs.practice))


async def test_where_a_node_fails_etcd_s_key_stays() -> None:
    runs = undoing()
    before = images(runs.practice)
    assert (await runs.install()).code == 0
    runs.node(2).cuts = "dnf"
    result = await runs.undo()
    assert result.code == 5
    assert "fed-node2" in result.why
    assert "/coreos.com/network/config" in runs.practice.cluster.keys.stored["v3"]
    same({"fed-node1": before["fed-node1"]}, images(runs.practice))
    assert (await runs.undo()).code == 0
    followed = [
        it.host for it in runs.events if isinstance(it, ActionStarted) and it.step == FOLLOWING_STEP
    ]
    assert followed == ["fed-node2"]  # a unit whose end nobody saw
    same(before, images(runs.practice))


async def test_what_still_runs_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = undoing()
    assert (await runs.install()).code == 0
    said = {"in_flight": lambda *_: "fedwiz-switch-1.service loaded active running x\n"}
    monkeypatch.setattr(probes, "ANSWERS", {**probes.ANSWERS, **said})
    installed = images(runs.practice)
    result = await runs.undo()
    assert result.code == 3
    assert "still runs on fed-master (fedwiz-switch-1.service)" in result.why
    same(installed, images(runs.practice))


async def test_what_somebody_changed_since_is_left_and_said() -> None:
    runs = undoing()
    assert (await runs.install()).code == 0
    node = runs.node(1)
    node.files[SYSCTL_FILE].text += "vm.swappiness = 1\n"
    node.files[DAEMON_JSON].text = json.dumps({"allow-direct-routing": True, "debug": True})
    keys = runs.practice.cluster.keys
    keys.set("v3", "/coreos.com/network/config", '{"Network":"10.99.0.0/16"}')
    mine = {path: node.files[path].text for path in (SYSCTL_FILE, DAEMON_JSON)}
    assert (await runs.undo()).code == 0
    assert {path: node.files[path].text for path in mine} == mine
    for path in mine:
        assert f"left as it is: {path} was changed since fedwiz wrote it" in runs.lines()
    assert "etcd's /coreos.com/network/config says something else" in runs.lines()
    assert "/coreos.com/network/config" in keys.stored["v3"]
    assert "docker0" in node.links
    assert node.links["docker0"].addresses == ("172.17.0.1/16",)


async def test_what_was_kept_is_never_written_over() -> None:
    runs = undoing()
    before = images(runs.practice)
    assert (await runs.install()).code == 0
    first = {p: held.text for p, held in runs.node(1).files.items() if "/before/" in p}
    assert first
    other = Undoing(runs.practice, replace_cidr(runs.answers))
    assert (await other.install()).code == 0
    assert {p: held.text for p, held in runs.node(1).files.items() if "/before/" in p} == first
    assert (await other.undo()).code == 0
    same(before, images(runs.practice))


async def test_what_a_host_is_told_to_keep_twice_is_kept_once() -> None:
    """A plan that was made before somebody else's install was, and that is carried out after it."""
    runs = undoing(hosts=3)
    node = runs.node(1)
    assert (await runs.install()).code == 0
    kept = {path: it.text for path, it in node.files.items() if "/before/" in path}
    async with runs.practice.connect(node.name) as session:
        said = list[str]()
        assert await session.run(run_script("keep", "-"), said.append) == 0
    assert "is there already, and stays as it is" in said[-1]
    assert {path: it.text for path, it in node.files.items() if "/before/" in path} == kept


def replace_cidr(answers: Answers) -> Answers:
    network = answers.network.model_copy(update={"cidr": "10.44.0.0/16"})
    return answers.model_copy(update={"network": network})


async def test_nothing_is_taken_back_that_fedwiz_did_not_begin() -> None:
    runs = undoing()
    result = await runs.undo()
    assert result.code == 0
    assert result.why == f"nothing was kept on fed-node1, fed-node2, fed-node3; {NO_WAY}"
    # Files of its name, and nothing of before: an install of a fedwiz that kept nothing.
    assert (await runs.install()).code == 0
    for node in runs.practice.cluster.nodes():
        node.files = {path: it for path, it in node.files.items() if "/before/" not in path}
    result = await runs.undo()
    assert result.code == 2
    assert "60-fedwiz.conf" in result.why


async def test_containers_go_on_where_docker_never_moved() -> None:
    """An operator who stops before the switch, for its sake, has no container stopped after."""
    runs = undoing(hosts=3)
    before = images(runs.practice)
    written = "/etc/systemd/system/docker.service.d/60-fedwiz.conf"
    count = 0
    while written not in runs.node(1).files:
        runs, count = undoing(hosts=3), count + 1
        await runs.install_until(count)
    pids = [runs.node(1).unit("docker.service").pid, runs.node(2).unit("docker.service").pid]
    result = await runs.undo()
    assert result.plan is not None
    assert not any(
        action["interrupts"]
        for host in planning.to_json(result.plan)["hosts"].values()
        for action in host
    )
    assert [runs.node(each).unit("docker.service").pid for each in (1, 2)] == pids
    same(before, images(runs.practice))


def test_every_step_that_changes_a_node_is_kept_for() -> None:
    names = {step.name for step in STEPS if step.role == "node"}
    assert names - {step.name for step in CHANGING} == {"keep", "due", "peers"}


def lists(name: str) -> tuple[str, ...]:
    """The words of one of keep.sh's lists."""
    found = re.search(rf'^{name}="([^"]*)"', script("keep"), re.MULTILINE)
    assert found
    return tuple(found[1].split())


def test_what_is_kept_is_what_steps_write_and_probes_read() -> None:
    assert lists("files") == (*TOUCHED, PACKAGED)
    assert lists("units") == UNITS_READ
    assert lists("sysctls") == SYSCTLS
    assert lists("modules") == MODULES
    # What probes read besides is only read, or is of the moment.
    assert {*FILES, *HASHED_FILES} - {*TOUCHED, PACKAGED} == {
        "/etc/sysconfig/docker",
        "/etc/sysconfig/docker-network",
        DUE,
    }
