"""Three secrets, real hosts: what sudo asks for, what opens the key, what etcd asks flannel for."""

from base64 import b64encode
from pathlib import Path

import pytest

from fedwiz.runs.journal import runs
from tests.lab.fixture import Lab, LabFactory
from tests.lab.test_etcd import PASSWORD_FILE, with_users
from tests.support.canaries import (
    ETCD,
    PHRASE,
    SUDO,
    found,
    in_files,
    loose,
    odd,
    watched,
)
from tests.support.cli_process import Shell, at_a_terminal
from tests.support.lab_operator import Operator
from tests.support.sshd import keygen

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

WHERE = (
    "/etc /run /root /home /tmp /usr/local /var/lib/fedwiz /var/log /var/tmp /var/spool /dev/shm"
)


def closed(lab: Lab, home: Path) -> Path:
    """Let admin in by a key with a passphrase, and by a sudo that wants another password."""
    (home / ".ssh").mkdir(mode=0o700, exist_ok=True)
    public = keygen(home / ".ssh/locked", passphrase=odd(PHRASE))
    for host in lab.hosts:
        lab.ssh(host, "chpasswd", stdin=f"admin:{odd(SUDO)}\n")
        lab.ssh(host, "cat >>/home/admin/.ssh/authorized_keys", stdin=f"{public}\n")
    return home / ".ssh/locked"


class Typist:
    """Gives a verb its answers, and types the passphrase when it is asked for."""

    def __init__(self, operator: Operator, state: Path) -> None:
        self.operator, self.state = operator, state
        self.said: list[str] = []

    def does(self, *words: str, **environ: str) -> int:
        given = {
            "FEDWIZ_SUDO_PASSWORD": odd(SUDO),
            "FEDWIZ_ETCD_PASSWORD": odd(ETCD),
            "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(self.state),
            **environ,
        }
        verb, *more = words
        line = (verb, "-a", str(self.operator.file), "--accept-new-host-keys", *more)
        with at_a_terminal(Shell(self.operator.home), *line, environ=given) as terminal:
            terminal.until("Passphrase of")
            terminal.type(odd(PHRASE) + "\r")
            code = terminal.end()
        assert "Traceback" not in terminal.seen, terminal.seen
        self.said.append(terminal.seen)
        return code


def test_three_secrets_are_found_nowhere(lab_factory: LabFactory, tmp_path: Path) -> None:
    lab = lab_factory("modern", 3)
    with_users(lab, odd(ETCD))
    home, state = tmp_path / "home", tmp_path / "state"
    home.mkdir()
    key = closed(lab, home)
    state.mkdir(mode=0o700)
    operator = Operator(lab, home, {"etcd": {"user": "flannel"}})
    operator.answers["ssh"] = {"user": "admin", "sudo": "ask", "identity": [str(key)]}
    typist = Typist(operator, state)
    with watched(on_hosts=[ETCD]) as watch:
        assert (
            typist.does("install", "--yes", "--headless", FEDWIZ_SUDO_PASSWORD=f"{odd(SUDO)}?") == 4
        )
        assert "sudo refused the password" in typist.said[-1]
        assert typist.does("install", "--yes", "--headless", "--json") == 0, typist.said[-1]
        reports = [
            word
            for form in ("html", "xml", "md", "json")
            for word in ("--report", str(home / f"r.{form}"))
        ]
        assert typist.does("verify", *reports) == 0, typist.said[-1]
        typist.does("diagnose", *lab.nodes[:2])
        for run in runs(state / "fedwiz/runs")[:2]:
            typist.does("undo", run.id, "--yes")
    assert watch.turns > 20
    assert not watch.seen
    basic = b64encode(f"flannel:{odd(ETCD)}".encode()).decode()
    for said in typist.said:
        assert found(said) == []
    assert in_files([tmp_path]) == []
    assert loose(state) == []
    for host in lab.hosts:
        journal = lab.ssh(host, "journalctl --all --output=export")
        assert "sudo" in journal, "it says who became root"
        for canary in (SUDO, PHRASE, ETCD, basic):
            assert canary not in journal
        held = lab.ssh(
            host,
            f"grep -rlsF -D skip -f - {WHERE}; true",
            stdin=f"{SUDO}\n{PHRASE}\n{ETCD}\n{basic}\n",
        ).split()
        assert held == ([PASSWORD_FILE] if host in lab.nodes else [])
    for node in lab.nodes:
        assert lab.ssh(node, f"stat -c '%a %U' {PASSWORD_FILE}").strip() == "600 root"
