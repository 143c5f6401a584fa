"""A step that cuts the operator off is taken back by the host; nobody's file is written over."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.fixture import Lab, LabFactory
from tests.lab.test_refusals import ALL, docker0, docker_everywhere, sentence
from tests.support.lab_operator import Operator, Said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

RULE = "INPUT -p tcp --dport 22 --syn -j DROP"
CUT = "/etc/systemd/system/docker.service.d/90-cut.conf"
CUTS = f"""\
[Service]
ExecStartPost=/bin/sh -c '! grep -qs bip=10.16 /run/flannel/docker || iptables -w -I {RULE}'
ExecStopPost=-/bin/sh -c 'iptables -w -D {RULE}'
"""
"""New connections are lost as soon as docker runs on flannel's subnet; open ones go on."""

WALL = f"""\
#!/bin/sh
case "$*" in
  *--zone=trusted*--add-source*) iptables -w -I {RULE} ;;
  *--zone=trusted*--remove-source*) iptables -w -D {RULE} ;;
esac 2>/dev/null
exec /usr/bin/firewall-cmd.real "$@"
"""
HANDS_OFF = "systemctl list-units --no-legend --state=active,activating 'fedwiz-deadman*'"


def nothing_waits(lab: Lab) -> None:
    for node in lab.nodes:
        assert lab.ssh(node, HANDS_OFF) == ""
        assert lab.ssh(node, "ls -d /run/fedwiz/deadman-* 2>/dev/null; true") == ""


def test_what_cuts_the_operator_off_is_taken_back(lab_factory: LabFactory, tmp_path: Path) -> None:
    """One node by its switch, one by its firewall; the third is done."""
    lab = lab_factory("modern", 4)
    operator = Operator(lab, tmp_path)
    operator.answers["ssh"]["confirm_within"] = 20
    lab.write("fed-node2", CUT, CUTS)
    lab.ssh(
        "fed-node3",
        "systemctl start firewalld && systemctl restart docker && "
        "mv /usr/bin/firewall-cmd /usr/bin/firewall-cmd.real",
    )
    lab.write("fed-node3", "/usr/bin/firewall-cmd", WALL, "0755")
    was = lab.ssh("fed-node3", "firewall-cmd.real --list-all-zones")

    said = operator.fedwiz(*ALL)
    last = sentence(said, 5, "the same command continues from here")
    assert "fed-node2: switch: switch was taken back, since no new connection" in last
    assert "fed-node3: firewall: firewall was taken back, since no new connection" in last
    assert "does not answer within 10 s" in last
    assert "within 20 s the host takes the step back by itself; waiting for it" in said.err
    docker_everywhere(lab)  # and every host can be reached again
    assert docker0(lab, "fed-node1").startswith("10.16.")
    for node in ("fed-node2", "fed-node3"):
        assert docker0(lab, node) == "172.17.0.1/16"
        assert "flannel" not in lab.ssh(node, "ip -br link")
        assert lab.run(node, "systemctl is-enabled flanneld").stdout.strip() != "enabled"
    assert lab.ssh("fed-node3", "firewall-cmd.real --list-all-zones") == was
    nothing_waits(lab)
    assert "flannel does not carry docker any more, and docker runs as before" in lab.ssh(
        "fed-node2", "journalctl -o cat -u fedwiz-deadman-switch"
    )

    lab.ssh("fed-node2", f"rm {CUT}; systemctl daemon-reload")
    lab.ssh("fed-node3", "mv -f /usr/bin/firewall-cmd.real /usr/bin/firewall-cmd")
    again = operator.fedwiz(*ALL)
    assert again.code == 0, again.err
    assert operator.left() == {}
    nothing_waits(lab)


def at_the_moment(operator: Operator, moment: str, do: Callable[[], None] | None = None) -> Said:
    """An install; when it says something, something else is done, or it is killed."""
    heard, waits = list[str](), True
    with operator.begin("install", "--yes", "--headless") as running:
        assert running.stderr is not None
        for line in running.stderr:
            heard.append(line)
            if waits and re.search(moment, line):
                waits = False
                if do is None:
                    running.kill()
                else:
                    do()
    assert not waits, "".join(heard)
    return Said(running.returncode, "", "".join(heard))


def test_a_fedwiz_that_is_killed_is_made_good_by_the_hosts_or_by_the_next(
    lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory("modern", 4)
    operator = Operator(lab, tmp_path)
    operator.answers["ssh"]["confirm_within"] = 10
    killed = at_the_moment(operator, r"fed-node1 +switch +stopping docker")
    assert killed.code == -9
    assert "fed-node1     switch  $ sh confirm.sh" not in killed.err
    assert "fedwiz-deadman-switch" in lab.ssh("fed-node1", HANDS_OFF)
    for node in lab.nodes:
        lab.ssh(node, f"while {HANDS_OFF} | grep -q .; do sleep 0.2; done")
    docker_everywhere(lab)
    assert docker0(lab, "fed-node1") == "172.17.0.1/16"

    operator.answers["ssh"]["confirm_within"] = 600
    at_the_moment(operator, r"fed-node1 +switch +stopping docker")
    lab.ssh(
        "fed-node1",
        "while systemctl list-units --no-legend --state=active,activating "
        "'fedwiz-switch*' | grep -q .; do sleep 0.2; done",
    )
    assert "fedwiz-deadman-switch" in lab.ssh("fed-node1", HANDS_OFF)
    assert operator.fedwiz("check").code == 0, "what waits is no work"
    moved = docker0(lab, "fed-node1")
    assert moved.startswith("10.16.")
    again = operator.fedwiz(*ALL)
    assert again.code == 0, again.err
    assert re.search(r"fed-node1 +guard +switch is confirmed", again.err)
    assert docker0(lab, "fed-node1") == moved
    nothing_waits(lab)
    assert operator.left() == {}


DROP_IN = "/etc/systemd/system/flanneld.service.d/60-fedwiz.conf"


def test_a_file_that_somebody_changes_during_the_run_is_not_overwritten(
    lab_factory: LabFactory, tmp_path: Path
) -> None:
    lab = lab_factory("modern", 4)
    operator = Operator(lab, tmp_path)
    theirs = "# Mine.\n[Service]\nRestartSec=7\n"

    def change() -> None:
        lab.write("fed-node2", DROP_IN, theirs)

    said = at_the_moment(operator, r"fed-node2 +package +\$ .*dnf", change)
    last = sentence(said, 9, "fed-node2: unit: ", "was changed since the plan was made")
    assert DROP_IN in last
    assert "it has 31 bytes of root, written at 20" in last
    assert lab.ssh("fed-node2", f"cat {DROP_IN}") == theirs
    docker_everywhere(lab)
    assert docker0(lab, "fed-node2") == "172.17.0.1/16"
    for node in ("fed-node1", "fed-node3"):
        assert docker0(lab, node).startswith("10.16.")
    again = operator.fedwiz(*ALL)
    assert again.code == 0, again.err
    assert operator.left() == {}
