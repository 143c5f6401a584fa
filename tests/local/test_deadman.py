"""What a step that could cut the operator off is wrapped in, and what becomes of it."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedwiz.engine.apply import Applied, apply
from fedwiz.engine.deadman import confirm_all, run_on_new_connection
from fedwiz.engine.plan import make, scripts, text
from fedwiz.facts import parse
from fedwiz.facts.values import Firewall
from fedwiz.model.actions import LoginRefusedError, Run, Session, UnreachableError
from fedwiz.model.events import Output
from fedwiz.scripts import script
from fedwiz.ssh.known_hosts import KeyRefusedError
from fedwiz.steps.guard import is_guard
from tests.support.fake_cluster import Fake
from tests.support.patience import GIVE_UP
from tests.support.sample_cluster import ANSWERS, BARE, NODE, NODES, RUNS, answered, on

NM = {**NODE.units, "NetworkManager.service": RUNS}
WALLED = on("*", firewall=Firewall("public"), units=NM)
PLAN = make(answered("ssh.confirm_within=77"), WALLED)


def test_what_could_cut_the_operator_off_is_armed_first_and_confirmed_last() -> None:
    armed = [task.step for task in PLAN.tasks("fed-node1") if any(map(is_guard, task.actions))]
    assert armed == ["networkmanager", "firewall", "switch"]
    for task in PLAN.tasks("fed-node1"):
        assert not any(isinstance(it, Run) and it.back for it in task.actions)
        if task.step in armed:
            arm, *between, confirm = task.actions
            assert arm.brief == f"sh arm.sh {task.step} 77"
            assert confirm.brief == f"sh confirm.sh {task.step}"
            assert isinstance(confirm, Run)
            assert confirm.fresh == 77
            assert between
            assert not any(map(is_guard, between))


def test_a_reboot_is_guarded_by_what_outlives_it() -> None:
    plan = make(answered("docker.switch=reboot", "ssh.confirm_within=77"), BARE)
    [switch] = [task for task in plan.tasks("fed-node1") if task.step == "switch"]
    assert [action.brief for action in switch.actions] == [
        "sh arm.sh switch 77 boot",
        "systemctl reboot",
        "sh settle.sh docker 90",
        "sh confirm.sh switch",
    ]
    said = text(plan)
    ran = "docker.service docker.socket kubelet.service"
    assert f"    < sh switch.sh --back 10.16.0.0/16 172.17.0.1/16 {ran} || code=1\n" in said
    assert said.count("\nswitch.sh, as it is sent:") == 1
    assert "\n    the host does this by itself after the boot, unless the step is confirmed" in said
    typed = scripts(plan, ANSWERS)["fed-node1"]
    assert "arm.sh" not in typed
    assert "\nsystemctl reboot\n" in typed


def back_of(step: str) -> list[str]:
    [arm] = [t.actions[0] for t in PLAN.tasks("fed-node1") if t.step == step]
    assert isinstance(arm, Run)
    return arm.input().splitlines()


def test_the_way_back_is_the_last_action_s_first_and_reads_anew_in_the_end() -> None:
    assert back_of("networkmanager") == [
        "code=0",
        "rm -f /etc/NetworkManager/conf.d/90-fedwiz.conf || code=1",
        "systemctl reload NetworkManager.service || code=1",
        "exit $code",
        "# end",
    ]
    assert back_of("firewall")[1:3] == [
        "firewall-cmd --permanent --zone=trusted --remove-source=10.16.0.0/16 || code=1",
        "firewall-cmd --zone=trusted --remove-source=10.16.0.0/16 || code=1",
    ]


def test_the_plan_says_so_in_words_and_a_person_s_script_leaves_it_out() -> None:
    said = text(PLAN)
    assert "    < sh switch.sh --back 10.16.0.0/16 || code=1\n" in said
    assert said.count("\n    the host does this by itself, unless the step is confirmed") == 3
    assert said.count("\n    sent over a new connection, which shows that the host can") == 3
    assert said.count("arm.sh, as it is sent:") == 1
    typed = scripts(PLAN, ANSWERS)["fed-node1"]
    assert "arm.sh" not in typed
    assert "confirm.sh" not in typed
    assert typed.count("# It could cut you off") == 3


def test_what_waits_to_be_taken_back_is_no_work() -> None:
    said = "fedwiz-deadman-switch.service loaded active\nfedwiz-switch-1.service loaded active\n"
    assert parse.in_flight(said) == {"in_flight": ("fedwiz-switch-1.service",)}


class Doors(Fake):
    """The cluster, with new connections counted, or refused."""

    opened: list[str]
    refusals = 0
    refusal = UnreachableError("the port is silent")

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Session]:
        self.opened = [*getattr(self, "opened", []), name]
        if self.refusals:
            self.refusals -= 1
            raise self.refusal
        async with super().connect(name) as session:
            yield session


async def carry(fake: Fake, stop: asyncio.Event | None = None) -> Applied:
    return await apply(
        make(ANSWERS, BARE), fake.ways, fake.ways.emit, "run", stop or asyncio.Event()
    )


async def test_a_confirmation_goes_over_a_connection_of_its_own() -> None:
    fake = Doors()
    assert not (await carry(fake)).lost
    assert sorted(fake.opened) == sorted(NODES)


async def test_a_step_that_failed_is_confirmed_as_it_is() -> None:
    """It has taken itself back, or the next run continues from there."""
    fake = Doors({"fed-node2 sh switch.sh": 1}, lines={"switch.sh": ("docker did not stop",)})
    applied = await carry(fake)
    assert fake.sent_to("fed-node2")[-1] == "sh confirm.sh switch"
    assert "docker did not stop" in applied.why["fed-node2"]


async def test_a_run_that_is_stopped_confirms_what_it_has_done() -> None:
    stop = asyncio.Event()

    def press(host: str, run: Run) -> None:
        if host == "fed-node2" and "switch.sh" in run.brief:
            stop.set()

    fake = Doors(before=press)
    applied = await carry(fake, stop)
    assert applied.outcomes["fed-node2"] == "stopped"
    assert fake.sent_to("fed-node2")[-1] == "sh confirm.sh switch"


async def test_one_that_was_taken_back_is_a_failure_and_the_others_go_on() -> None:
    fake = Doors({"fed-node2 sh confirm.sh": 1}, lines={"confirm.sh": ("switch was taken back",)})
    applied = await carry(fake)
    assert applied.outcomes == {
        "fed-master": "ok",
        "fed-node1": "stopped",
        "fed-node2": "failed",
        "fed-node3": "stopped",
    }
    assert applied.why["fed-node2"] == "switch: switch was taken back"
    assert fake.sent_to("fed-node1")[-1] == "sh confirm.sh switch", "its own switch is done"


async def test_a_host_that_can_t_be_reached_is_tried_until_it_has_taken_it_back() -> None:
    fake, said = Doors(), list[str]()
    fake.refusals = 3
    run = Run(("true",), fresh=30)
    assert await run_on_new_connection(fake.ways, "fed-node1", run, said.append, pause=0) == (
        0,
        "the port is silent",
    )
    assert len(fake.opened) == 4
    assert said == [
        "no new connection: the port is silent",
        "within 30 s the host takes the step back by itself; waiting for it",
    ]
    assert fake.sent == [("fed-node1", Run(("true",)))]


@pytest.mark.parametrize(
    "why", [KeyRefusedError("another key"), LoginRefusedError("no key will do")]
)
async def test_nothing_is_tried_again_where_it_would_not_change(why: UnreachableError) -> None:
    fake = Doors()
    fake.refusals, fake.refusal = 3, why
    with pytest.raises(type(why)):
        await run_on_new_connection(
            fake.ways, "fed-node1", Run(("true",), fresh=30), print, pause=0
        )
    assert len(fake.opened) == 1
    assert fake.sent == []


async def test_it_is_not_tried_for_ever() -> None:
    fake, said = Doors(), list[str]()
    fake.refusals = 1
    code, why = await run_on_new_connection(
        fake.ways, "fed-node1", Run(("true",), fresh=30), said.append, longest=-30, pause=0
    )
    assert (code, why) == (1, "the port is silent")
    assert said[-1] == "fed-node1 can't be reached, and was not seen to take the step back"


async def test_a_later_run_confirms_what_waits_on_every_host() -> None:
    fake = Fake(
        {"fed-node2": UnreachableError("it went")}, lines={"confirm.sh": ("switch is confirmed",)}
    )
    await confirm_all(fake.ways)
    assert {host: fake.sent_to(host) for host in NODES} == {
        host: ["sh confirm.sh"] for host in NODES
    }
    assert Output("fed-node1", "guard", "switch is confirmed") in fake.events
    assert fake.ways.lost == {"fed-node2": "it went"}


SYSTEMCTL = """\
#!/bin/sh
# A unit is a file with the number of its process.
while case $1 in -*) true ;; *) false ;; esac; do shift; done
verb=$1; shift
while case ${1-} in -*) true ;; *) false ;; esac; do shift; done
case $verb in
  is-active) [ -e "$HOME/units/$1" ] && kill -0 "$(cat "$HOME/units/$1")" 2>/dev/null ;;
  stop) [ ! -e "$HOME/units/$1" ] || kill "$(cat "$HOME/units/$1")" 2>/dev/null; rm -f "$HOME/units/$1" ;;
  list-units) echo >>"$HOME/looks"; [ ! -e "$HOME/busy" ] || echo fedwiz-switch-1.service ;;
  enable)
    file=$HOME/etc/systemd/system/$1
    ln -s "$file" "$HOME/etc/systemd/system/multi-user.target.wants/"
    $(sed -n 's/^ExecStart=//p' "$file") >"$HOME/journal" 2>&1 &
    echo $! >"$HOME/units/$1" ;;
esac
"""  # noqa: E501
SYSTEMD_RUN = """\
#!/bin/sh
shift; unit=${1#--unit=}; shift
"$@" >"$HOME/journal" 2>&1 &
echo $! >"$HOME/units/$unit"
"""


WANTS = "etc/systemd/system/multi-user.target.wants"


@dataclass
class Node:
    """A folder that stands in for a host."""

    home: Path
    up: int = 1000
    """Seconds since its boot, by its own clock."""

    def __post_init__(self) -> None:
        for name in ("bin", "units", "run", "var/lib", WANTS):
            (self.home / name).mkdir(parents=True)
        self.boot_id.write_text("first\n")
        self.pass_time(0)
        tools = {"systemctl": SYSTEMCTL, "systemd-run": SYSTEMD_RUN}
        for name, body in tools.items():
            (self.home / "bin" / name).write_text(body)
            (self.home / "bin" / name).chmod(0o755)

    def sh(self, name: str, *argv: str, given: str = "") -> tuple[int, str]:
        body = script(name).replace("sleep 1", "sleep 0.05")
        body = body.replace("/proc/sys/kernel/random/boot_id", str(self.boot_id))
        body = body.replace("/proc/uptime", str(self.uptime))
        for place in ("/run/fedwiz", "/var/lib/fedwiz", "/etc/systemd"):
            body = body.replace(place, f"{self.home}{place}")
        done = subprocess.run(
            ["sh", "-c", body, f"{name}.sh", *argv],
            input=given,
            text=True,
            check=False,
            capture_output=True,
            timeout=GIVE_UP,
            start_new_session=True,
            env={"HOME": str(self.home), "PATH": f"{self.home}/bin:{os.environ['PATH']}"},
        )
        return done.returncode, done.stdout + done.stderr

    def arm(self, seconds: str, back: str) -> tuple[int, str]:
        return self.sh("arm", "wall", seconds, given=back)

    def pass_time(self, seconds: int) -> None:
        """Have its clock go on; it stands still otherwise."""
        self.up += seconds
        new = self.home / "uptime.new"
        new.write_text(f"{self.up}.00 1.00\n")
        new.rename(self.uptime)

    def look(self) -> None:
        """Have whoever waits there see the time that it is now, and what that means."""
        looks, code = self.home / "looks", self.guard / "code"
        begun = looks.stat().st_size if looks.exists() else 0
        # One may have read the clock before; the third comes when the second was heeded.
        self.until(lambda: code.exists() or (looks.exists() and looks.stat().st_size > begun + 2))

    def until(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + GIVE_UP
        while not there():
            assert time.monotonic() < end
            os.sched_yield()

    @property
    def guard(self) -> Path:
        return self.home / "run/fedwiz/deadman-wall"

    @property
    def uptime(self) -> Path:
        return self.home / "uptime"

    @property
    def boot_id(self) -> Path:
        return self.home / "boot_id"

    @property
    def lasting(self) -> list[str]:
        """What a boot would find; folders may go while they are read, which `os.walk` takes."""
        walks = (os.walk(self.home / top) for top in ("etc", "var"))
        names = (name for walk in walks for _, folders, files in walk for name in folders + files)
        return sorted(name for name in names if "wall" in name)

    def end(self) -> None:
        """What runs ends."""
        for unit in (self.home / "units").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(int(unit.read_text())), 15)
            unit.unlink()

    def boot(self, boot_id: str = "second") -> None:
        """What runs ends, what is in /run goes, and what is enabled starts."""
        self.end()
        shutil.rmtree(self.home / "run/fedwiz", ignore_errors=True)
        self.boot_id.write_text(f"{boot_id}\n")
        for link in (self.home / WANTS).iterdir():
            link.unlink()
            self.systemctl("enable", link.name)

    def systemctl(self, *words: str) -> None:
        path = f"{self.home}/bin:{os.environ['PATH']}"
        subprocess.run(
            [self.home / "bin/systemctl", *words],
            check=True,
            start_new_session=True,
            env={"HOME": str(self.home), "PATH": path},
        )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.end()


BACK = 'echo back >>"$HOME/done"; echo taken\n# end\n'


def test_what_is_confirmed_stays(node: Node) -> None:
    assert node.arm("60", BACK) == (0, "")
    assert node.sh("confirm", "wall") == (0, "wall is confirmed\n")
    assert not node.guard.exists()
    assert list((node.home / "units").iterdir()) == []
    assert node.sh("confirm", "wall") == (0, ""), "who says it again says nothing new"
    assert not (node.home / "done").exists()


def test_all_that_wait_are_confirmed_by_who_names_none(node: Node) -> None:
    assert node.sh("confirm") == (0, "")
    node.arm("60", BACK)
    node.sh("arm", "other", "60", given=BACK)
    assert node.sh("confirm") == (0, "other is confirmed\nwall is confirmed\n")


def test_what_nobody_confirms_is_taken_back_and_told_to_who_comes_too_late(node: Node) -> None:
    node.arm("0", BACK)
    node.until((node.guard / "code").exists)
    code, said = node.sh("confirm", "wall")
    assert code == 1
    assert said.splitlines()[0] == "taken"
    assert said.splitlines()[-1].startswith("wall was taken back, since no new connection")
    assert (node.home / "done").read_text() == "back\n"
    assert not node.guard.exists()


def test_a_way_back_that_fails_is_told_as_such(node: Node) -> None:
    node.arm("0", "exit 3\n# end\n")
    node.until((node.guard / "code").exists)
    code, said = node.sh("confirm", "wall")
    assert code == 1
    assert "wall was not confirmed in time, and its way back failed" in said


def test_time_stands_still_while_something_works_there(node: Node) -> None:
    (node.home / "busy").touch()
    node.arm("60", BACK)
    node.look()
    node.pass_time(3600)
    node.look()
    assert not (node.guard / "code").exists()
    (node.home / "busy").unlink()
    node.pass_time(59)
    node.look()
    assert not (node.guard / "code").exists()
    node.pass_time(1)
    node.until((node.guard / "code").exists)
    assert (node.home / "done").read_text() == "back\n"


def test_half_a_way_back_arms_nothing(node: Node) -> None:
    code, said = node.arm("60", BACK[:-3])
    assert code == 1
    assert said == "the way back from wall did not arrive whole; run again\n"
    assert not node.guard.exists()
    assert list((node.home / "units").iterdir()) == []


def test_one_that_is_armed_again_waits_anew(node: Node) -> None:
    node.arm("60", BACK)
    assert node.arm("60", BACK) == (0, "")
    assert node.sh("confirm", "wall") == (0, "wall is confirmed\n")


def test_a_reboot_that_nobody_confirms_is_taken_back_after_it_once(node: Node) -> None:
    assert node.sh("arm", "wall", "60", "boot", given=BACK) == (0, "")
    assert not node.guard.exists()
    unit = node.home / "etc/systemd/system/fedwiz-deadman-wall.service"
    unit.write_text(unit.read_text().replace(" 60\n", " 0\n"))
    node.boot()
    done = node.home / "var/lib/fedwiz/deadman-wall/code"
    node.until(lambda: done.exists() and node.lasting == ["deadman-wall"])
    node.boot("third")
    code, said = node.sh("confirm")
    assert code == 1
    assert said.splitlines()[-1].startswith("wall was taken back, since no new connection")
    assert (node.home / "done").read_text() == "back\n"
    assert node.lasting == []


@pytest.mark.parametrize("boots", [False, True])
def test_a_reboot_that_is_confirmed_leaves_nothing_behind(boots: bool, node: Node) -> None:
    assert node.sh("arm", "wall", "60", "boot", given=BACK) == (0, "")
    if boots:
        node.boot()
    assert node.sh("confirm", "wall") == (0, "wall is confirmed\n")
    assert node.lasting == []
    assert list((node.home / "units").iterdir()) == []
    assert not (node.home / "done").exists()


def test_where_no_reboot_came_there_is_nothing_to_take_back(node: Node) -> None:
    """A boot next month, of which fedwiz knows nothing, must not be taken for that one."""
    assert node.sh("arm", "wall", "0", "boot", given=BACK) == (0, "")
    node.until(lambda: node.lasting == [])
    assert not (node.home / "done").exists()
    assert node.sh("confirm") == (0, "")


def test_a_host_that_goes_down_while_it_takes_a_reboot_back_goes_on_with_that(node: Node) -> None:
    assert node.sh("arm", "wall", "60", "boot", given=BACK) == (0, "")
    guard = node.home / "var/lib/fedwiz/deadman-wall"
    (guard / "decided").symlink_to("back")
    node.boot()
    node.until((guard / "code").exists)
    assert (node.home / "done").read_text() == "back\n"


def test_half_a_way_back_from_a_reboot_arms_nothing(node: Node) -> None:
    code, said = node.sh("arm", "wall", "60", "boot", given=BACK[:-3])
    assert (code, node.lasting) == (1, [])
    assert "did not arrive whole" in said
