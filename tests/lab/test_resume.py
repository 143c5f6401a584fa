"""An install on real hosts that is killed, or cut off, and gone on with."""

import os
import signal
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory
from tests.support.lab_operator import Operator, Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

PLACES = "/etc /usr/local /usr/libexec/flannel"
TAKES_TURNS = r"/etc/(ld\.so\.cache|docker/key\.json|dnf/.*|resolv\.conf)$"
EITHER = "/etc/sysconfig/flanneld$"
"""Before the package is there both pairs of its variables' names are written, and later only the
pair that it reads; verification and an empty plan say that the values are right."""


def files(lab: Lab) -> dict[str, str]:
    """What is in each node's files, by what an install may touch."""
    find = (
        f"find {PLACES} -xdev -type f 2>/dev/null | sort | grep -vE '{TAKES_TURNS}' | "
        "xargs -d '\\n' stat -c '%a %U %n'; "
        f"find {PLACES} -xdev -type f 2>/dev/null | grep -E 'flannel|fedwiz|docker' | sort | "
        f"grep -vE '{TAKES_TURNS}|{EITHER}' | xargs sha256sum"
    )
    return {node: lab.ssh(node, find) for node in lab.nodes}


INSTALL = ("install", "--yes", "--headless")


def install_until(operator: Operator, marker: str) -> None:
    """Install, and kill -9 as soon as a line has this in it."""
    with operator.begin(*INSTALL) as running:
        assert running.stderr is not None
        lines = []
        for line in running.stderr:
            lines.append(line)
            if marker in line:
                break
        else:
            raise AssertionError("".join(lines))
        os.kill(running.pid, signal.SIGKILL)


def resumed(operator: Operator) -> Said:
    """Without an answer file, and with nobody to approve anything."""
    return operator.fedwiz("resume", "--json", "--headless")


KILLED = {
    "modern": ("Load the kernel", "dnf -y install flannel", "starting flanneld", "kind"),
    "classic": ("Running transaction", "stopping docker", "docker runs on"),
}
"""What a line has in it after which it is killed; after `kind` verification goes on."""


@pytest.mark.parametrize("generation", KILLED)
def test_a_killed_install_ends_as_an_undisturbed_one(
    generation: str, lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path)
    assert operator.install().code == 0
    wanted = files(lab)
    for marker in KILLED[generation]:
        lab.reset()
        (operator.home / ".ssh/known_hosts").unlink()
        install_until(operator, "ping" if marker == "kind" else marker)
        said = resumed(operator)
        assert said.code == 0, (marker, said.err)
        assert "going on with a run of" in said.err
        assert all(it["level"] == "pass" for it in said.verdicts("ping"))
        assert files(lab) == wanted, marker
        assert operator.left() == {}, marker
        nothing = resumed(operator)
        assert nothing.code == 2
        assert "there is no run to resume" in nothing.err


DROP = "nft add table inet cut; nft add chain inet cut c '{ type filter hook input priority 0; }'"


@pytest.mark.parametrize("generation", ["modern"])
def test_a_minute_without_a_line_loses_nothing(
    generation: str, lab_factory: LabFactory, tmp_path: Path
) -> None:
    """In the middle of the switch: the node ends it, and its end is seen afterwards."""
    lab = lab_factory(generation, 3)
    operator = Operator(lab, tmp_path)
    node = lab.nodes[0]
    with operator.begin(*INSTALL) as running:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if node in line and "stopping docker" in line:
                # Reset as well: a line that only fell silent would be had again sooner.
                lab.ssh(
                    node,
                    f"systemd-run -q --on-active=60 nft delete table inet cut; {DROP}; "
                    "nft add rule inet cut c tcp dport 22 drop; pkill -f '[@]notty'",
                    check=False,
                )
        code = running.wait()
    text = "".join(said)
    assert code == 0, text
    assert text.count("fedwiz: the connection is lost; connecting again") == 1, text
    assert text.count("stopping docker") == len(lab.nodes), "each line once"
    assert operator.left() == {}
