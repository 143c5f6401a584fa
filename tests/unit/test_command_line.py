"""What is sent: the command that was shown, wrapped and whole."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from fedwiz.model.actions import Run
from fedwiz.ssh.command_line import Root, retire, wire
from tests.support.patience import GIVE_UP

DNF = Run(("dnf", "-y", "install", "flannel"), timeout=900)
PLAIN = (
    "exec /bin/sh -c '"
    'PATH=$PATH:/usr/sbin:/sbin LC_ALL=$1; export PATH LC_ALL; shift; exec timeout "$@"\' '
    "fedwiz C.UTF-8 -k 10 900 dnf -y install flannel"
)
SENT = {
    "root": (DNF, "", PLAIN),
    "sudo, not wanted": (Run(DNF.argv, sudo=False, timeout=900), "ask", PLAIN),
    "no password": (DNF, "nopasswd", PLAIN.replace("exec ", "exec env LC_ALL=C sudo -n -- ", 1)),
}


@pytest.mark.parametrize(("run", "root", "sent"), SENT.values(), ids=SENT)
def test_wire(run: Run, root: Root, sent: str) -> None:
    assert wire(run, root=root, locale="C.UTF-8") == sent


AWKWARD = ("sh", "-c", "echo \"$1\" 'x' \\n `id`\nexit 3", "a b", "", "größe", "-x")


@pytest.mark.parametrize("root", ["", "nopasswd", "ask"])
def test_the_words_that_are_shown_are_the_last_that_are_sent(root: Root) -> None:
    run = Run(AWKWARD)
    sent = shlex.split(wire(run, root=root, marker="0" * 32))
    assert sent[-len(AWKWARD) :] == shlex.split(run.shown)


def test_the_password_is_on_no_line() -> None:
    sent = wire(DNF, root="ask", marker="f" * 32)
    assert sent.startswith("exec env LC_ALL=C sudo -S -k -p '' -- /bin/sh -c ")
    assert "f" * 32 in sent


def test_a_unit_holds_the_words_that_are_shown() -> None:
    run = Run(AWKWARD, unit="fedwiz-switch-node1", timeout=300)
    sent = shlex.split(wire(run, locale="C.UTF-8"))
    name, _, body = sent[-3:]
    assert name == run.unit
    line = next(i for i, text in enumerate(body.splitlines()) if text.startswith("env -i "))
    assert f" timeout -k 120 300 {run.shown}\n" in body, "time for the way back"
    assert line > 0
    assert sent[sent.index("-k") + 2] == "450", "following takes longer than the unit may"


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-x", "a;b", "x" * 201])
def test_a_name_that_is_no_units(name: str) -> None:
    run = Run(("true",), unit=name)
    with pytest.raises(ValueError, match="not a unit's name"):
        retire(run)


@pytest.mark.parametrize("seen", [0, 4, 8])
def test_what_a_unit_says_is_told_from_where_it_was_cut_off_and_as_it_comes(
    seen: int, tmp_path: Path
) -> None:
    told, more = "one\ntwo\n", "three\n"
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho ActiveState=active\n")
    (tmp_path / "systemctl").chmod(0o755)
    log = tmp_path / "fedwiz-switch.log"
    log.write_text(told)
    sent = wire(Run((), unit="fedwiz-switch", timeout=900), seen=seen)
    with subprocess.Popen(
        ["/bin/sh", "-c", sent.replace("/run/fedwiz", str(tmp_path))],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        first = following.stdout.read(len(told) - seen)
        with log.open("a") as unit:
            unit.write(more)
        (tmp_path / "fedwiz-switch.rc").write_text("3\n")
        rest = following.stdout.read()
        assert following.wait(GIVE_UP) == 3
    assert first + rest == told[seen:] + more
