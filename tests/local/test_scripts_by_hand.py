"""Scripts that come on standard input: each command gets its own input, and none of the script."""

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fedwiz import facts
from fedwiz.answers.file import Answers
from fedwiz.engine.plan import Lane, Part, Task, make, scripts
from fedwiz.facts import ClusterFacts
from fedwiz.facts.probes import probes
from fedwiz.model.actions import Action, Run, Secret
from fedwiz.steps.guard import is_guard
from tests.support.cli_process import by_hand
from tests.support.sample_cluster import ANSWERS, BARE, answered, stored

PIPE = 64 * 1024
"""Bytes that a pipe takes at once."""

PASSWORD = 'a "b\\c$d`e'

Ran = tuple[list[str], str]
"""A command that ran: its words, and all of its input."""


def program(place: Path, name: str, does: str) -> None:
    """A program that does this in the place of the real one."""
    place.mkdir(exist_ok=True)
    (place / name).write_text(f"#!/bin/sh\n{does}\n")
    (place / name).chmod(0o755)


def expected(action: Action, password: str) -> list[Ran]:
    """The commands that an action is, typed by a person."""
    if isinstance(action, Run):
        return [(list(action.argv), "the file" if action.upload else action.input(reveal=True))]
    put, user = ("put", "--user") if action.api == "v3" else ("set", "--username")
    words = ["etcdctl", *([user, "root"] if password else [])]
    assert action.value is not None
    return [
        ([*words, put, action.key, action.value], password),
        ([*words, "get", action.key], password),
    ]


PASSWORDS = answered("etcd.user=root")
KNOWN = replace(BARE, etcd_password=Secret("etcd password", PASSWORD))


@pytest.mark.parametrize("by", ["dash", "bash", "a file"])
@pytest.mark.parametrize("host", ["fed-master", "fed-node2"])
@pytest.mark.parametrize(
    ("answers", "known"),
    [
        pytest.param(ANSWERS, stored(api="v3"), id="v3"),
        pytest.param(ANSWERS, stored(api="v2"), id="v2"),
        pytest.param(answered("docker.switch=reboot"), BARE, id="a reboot"),
        pytest.param(
            answered(
                "flannel.source=binary",
                "flannel.path=/tmp/my flanneld",
                f"flannel.sha256={'a' * 64}",
            ),
            BARE,
            id="a binary",
        ),
        pytest.param(PASSWORDS, KNOWN, id="v3 with a password"),
        pytest.param(PASSWORDS, stored(KNOWN, api="v2"), id="v2 with a password"),
    ],
)
def test_a_plan_by_hand_is_all_done_and_nothing_else(
    answers: Answers, known: ClusterFacts, host: str, by: str, tmp_path: Path
) -> None:
    """Also where every program reads all of its input, and no pipe takes the script at once."""
    plan = make(answers, known)
    last = Task(host, "last", "Last", (Run(("last",), stdin=("a line\n" * PIPE,)),))
    plan = replace(plan, parts=(*plan.parts, Part("nodes", False, (Lane(host, (last,)),))))
    script = scripts(plan, answers)[host]
    actions = [it for task in plan.tasks(host) for it in task.actions if not is_guard(it)]
    # What etcdctl asks for is all that it is given; to a script an answer is a line.
    password = f"{PASSWORD}\n" if answers.etcd.user else ""
    wanted = [ran for action in actions for ran in expected(action, password)]
    keys = sum(given == password for _, given in wanted) if password else 0
    asked = script.count("etcd password: ")
    place, noted = tmp_path / "bin", tmp_path / "noted"
    for name in {words[0] for words, _ in wanted}:
        program(
            place,
            name,
            f"{{ printf '%s\\001' {name} \"$@\"; /bin/cat; printf '\\002'; }} "
            f">>{shlex.quote(str(noted))}",
        )
    (place / "sed").symlink_to(shutil.which("sed") or "sed")  # quotes what was typed
    (tmp_path / "my flanneld").write_text("the file")

    typed = password * asked + f"{password}\x04" * keys
    if by == "a file":
        (tmp_path / "plan.sh").write_text(script)
        done = by_hand("for nobody", place, typed, ("/bin/sh", "plan.sh"))
    else:
        done = by_hand(script, place, typed, (f"/bin/{by}",))
    ran = [part.split("\1") for part in noted.read_text().split("\2")[:-1]]

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "etcd password: " * asked
    assert [(words, given) for *words, given in ran] == wanted


def test_what_asks_a_host_is_read_to_its_end(tmp_path: Path) -> None:
    """Also where the programs at its beginning read all of the input that they get."""
    text, mark = facts.script(ANSWERS, ANSWERS.master)
    place = tmp_path / "bin"
    for name in ("mktemp", "head", "rm"):
        program(place, name, f'/bin/cat >/dev/null; exec {shutil.which(name)} "$@"')
    (place / "base64").symlink_to(shutil.which("base64") or "base64")
    assert text.count("PATH=/usr/sbin:") == 1
    done = subprocess.run(
        ["/bin/sh", "-s"],
        input=text.replace("PATH=/usr/sbin:", f"PATH={place} ALL=/usr/sbin:"),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith(mark)]
    names = [probe.name for probe in probes(ANSWERS, ANSWERS.master)]
    assert said == [f"{mark} {name}" for name in (*names, ".")]
