"""What goes wrong with the network and with ssh; see tests/support/install_faults.py.

fedwiz reaches the hosts by an ssh_config of the row's: over a proxy, a bastion, or from an address
of its own, so that what is done to its connections is not done to the test's own.
"""

import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.lab.faults.test_hosts import BOTH, in_place_of
from tests.support.install_faults import Do, Fault, Injected, Scene, done
from tests.support.lab_operator import Said
from tests.support.sshd import Sshd
from tests.support.tcp_proxy import Line

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

RESUME = ("resume", "--headless")
DNF = r"fed-node2 +package +dnf waits"
WAITS = in_place_of(
    "/usr/bin/dnf",
    'case "$*" in *install*) echo dnf waits; while [ -e /run/waits ]; do sleep 0.1; done;; esac; '
    'exec /usr/bin/dnf.real "$@"',
)
"""So that it is at work for certain when the line goes, and goes on with its work then."""

DOCKER = r"fed-node2 +switch +stopping docker"
PLAIN = r"fed-node2 +forward +\$ systemctl enable"
SSHD = "$(systemctl list-unit-files --no-legend ssh.service sshd.service | cut -d' ' -f1)"
SESSIONS = "pkill -f '[@]notty'"
"""Ends all sessions, also the one that says so."""


def waiting(do: Do) -> Do:
    """The same before the run, and dnf is to wait."""

    def inject(scene: Scene) -> None:
        scene.ssh(f"touch /run/waits; {WAITS}")
        done(scene, do)

    return inject


def while_dnf(do: Do) -> tuple[str, Do]:
    """That is done while it waits, which it then does no longer."""

    def during(scene: Scene) -> None:
        done(scene, do)
        scene.ssh("rm -f /run/waits")

    return DNF, during


def ssh_config(scene: Scene, text: str) -> None:
    (scene.operator.home / ".ssh/config").write_text(text)


def direct(scene: Scene) -> None:
    """There is nothing in between any more."""
    ssh_config(scene, "")


Also: TypeAlias = Callable[[Scene, Said], Iterator[str]]


# A proxy.


def by_proxy(delay: float = 0, rate: float = 0) -> Do:
    def put(scene: Scene) -> None:
        address = scene.lab.address(scene.fault.host)
        line = scene.stack.enter_context(Line(address, delay=delay, rate=rate))
        scene.kept["line"] = line
        ssh_config(
            scene,
            f"Host {address}\n HostName 127.0.0.1\n Port {line.port}\n HostKeyAlias {address}\n",
        )

    return put


def reset(scene: Scene) -> None:
    scene.kept["line"].reset()


def elsewhere(scene: Scene) -> None:
    """From now on another host is at its address."""
    line = scene.kept["line"]
    line.host = scene.lab.address("fed-node1")
    scene.kept["known"] = known_hosts(scene)
    line.reset()


def known_hosts(scene: Scene) -> str:
    return (scene.operator.home / ".ssh/known_hosts").read_text()


def nothing_accepted(scene: Scene, _said: Said) -> Iterator[str]:
    if known_hosts(scene) != scene.kept["known"]:
        yield "known_hosts has another key"


# Packets that are dropped.


def apart(window: int = 180) -> Do:
    def put(scene: Scene) -> None:
        state = scene.lab.state
        subnet = IPv4Network(state.subnet)
        scene.kept["from"] = str(subnet[2])
        add = ["ip", "address", "replace", f"{subnet[2]}/{subnet.prefixlen}", "dev"]
        subprocess.run([*add, state.operator_link], check=True)
        ssh_config(scene, f"Host *\n BindAddress {subnet[2]}\n")
        scene.operator.answers["ssh"] |= {"confirm_within": window}

    return put


HOLE = "nft delete table inet hole"


def silent(seconds: int) -> Do:
    """Nothing gets through any more, in either direction; nobody ends a connection."""

    def drop(scene: Scene) -> None:
        scene.ssh(
            f"{dropped(scene)}; nft add chain inet hole o '{{ type filter hook output "
            f"priority 0; }}'; nft add rule inet hole o ip daddr {scene.kept['from']} tcp "
            f"sport 22 drop; systemd-run -q --on-active={seconds} "
            f"--timer-property=AccuracySec=100ms {HOLE}"
        )

    return drop


def dropped(scene: Scene) -> str:
    return (
        "nft add table inet hole; nft add chain inet hole i '{ type filter hook input priority 0; "
        f"}}'; nft add rule inet hole i ip saddr {scene.kept['from']} tcp dport 22 drop"
    )


def cut_and_silent(scene: Scene) -> None:
    """The connections end, and no new one gets through."""
    scene.lab.run(scene.fault.host, f"{dropped(scene)}; {SESSIONS}")


def lost(times: int) -> Also:
    def also(_scene: Scene, said: Said) -> Iterator[str]:
        if (found := said.err.count("the connection is lost; connecting again")) != times:
            yield f"{found} times it was said that the connection is lost"

    return also


# sshd.


def stops_for(seconds: int) -> Do:
    def stop(scene: Scene) -> None:
        scene.lab.run(
            scene.fault.host,
            f"systemd-run -q --on-active={seconds} --timer-property=AccuracySec=100ms systemctl "
            f"start {SSHD}; systemctl stop {SSHD}; rm /run/waits; {SESSIONS}",
        )

    return stop


def as_ops(scene: Scene) -> None:
    scene.operator.answers["ssh"] |= {"user": "ops", "sudo": "nopasswd"}


REVOKED = "mv /home/ops/.ssh/authorized_keys /root/ && pkill -u ops"
RESTORED = "mv /root/authorized_keys /home/ops/.ssh/"


# A bastion.


def by_bastion(*hosts: str, window: int = 180) -> Do:
    def put(scene: Scene) -> None:
        lab, home = scene.lab, scene.operator.home
        bastion = Sshd(home / "bastion", Path(f"{lab.key}.pub").read_text()).start()
        scene.stack.callback(gone, scene)
        scene.kept["bastion"] = bastion
        behind = " ".join(lab.address(host) for host in hosts)
        ssh_config(
            scene,
            f"Host {behind}\n ProxyJump bastion\nHost bastion\n HostName 127.0.0.1\n"
            f" Port {bastion.port}\n User root\n IdentityFile {lab.key}\n",
        )
        scene.operator.answers["ssh"] |= {"confirm_within": window}

    return put


def gone(scene: Scene) -> None:
    if scene.kept["bastion"].process is not None:
        scene.kept["bastion"].stop()


def back(scene: Scene) -> None:
    scene.kept["bastion"].start()


UNSEEN = (
    r"fed-node2: \w+: the connection to fed-node2 was lost before the end of `.*` was seen, and "
    "there is no other "
)
STILL = "it may still be running there: `fedwiz resume` takes up its end"

ROWS = {
    "a slow line that is reset twice": Fault(
        where="fed-node2's: 500 ms to and fro, 20 kB/s; while dnf runs and while docker moves",
        generation="modern",
        inject=waiting(by_proxy(delay=0.25, rate=20_000)),
        during=(while_dnf(reset), (DOCKER, reset)),
        heal=direct,
        code=0,
        says=("fed-node2 +switch +docker runs on",),
        also=lost(2),
    ),
    "a reset in an action without a unit": Fault(
        where="fed-node2's line",
        inject=by_proxy(),
        during=((PLAIN, reset),),
        heal=direct,
        says=("fed-node2: forward: the connection to fed-node2 was lost", STILL),
        again=RESUME,
    ),
    "two minutes of silence while dnf runs": Fault(
        where="fed-node2's line",
        generation="modern",
        inject=waiting(apart()),
        during=(while_dnf(silent(120)),),
        heal=direct,
        code=0,
        says=("fed-node2 port 22 does not answer|does not answer within 5 s",),
        also=lost(1),
    ),
    "silence that does not end": Fault(
        where="fed-node2's line, while dnf runs",
        generation="modern",
        inject=waiting(apart(window=15)),
        during=(while_dnf(cut_and_silent),),
        heal=HOLE,
        says=(UNSEEN, "port 22 does not answer within 5 s: see that the host is up", STILL),
    ),
    "sshd restarts, then stops for 20 s": Fault(
        where="fed-node2, while dnf runs; and 20 s of silence while docker moves",
        inject=waiting(apart()),
        during=(
            ("fed-node2 +package +\\$", f"systemctl restart {SSHD}"),
            (DNF, stops_for(20)),
            (DOCKER, silent(20)),
        ),
        heal=direct,
        code=0,
        says=("fed-node2: nothing listens at .* port 22",),
        also=lost(1),
    ),
    "the bastion goes, and comes back": Fault(
        where="before fed-master and fed-node2, while docker moves",
        inject=by_bastion("fed-master", "fed-node2"),
        during=((DOCKER, gone), ("fedwiz: bastion: nothing listens at 127.0.0.1", back)),
        heal=direct,
        code=0,
        says=("fed-node2 +switch +docker runs on",),
    ),
    "the bastion goes for good": Fault(
        where="before both nodes, while dnf runs",
        generation="modern",
        inject=waiting(by_bastion(*BOTH, window=15)),
        during=(while_dnf(gone),),
        heal=direct,
        red=BOTH,
        says=(
            UNSEEN,
            r"bastion: nothing listens at 127\.0\.0\.1 port \d+: start sshd there",
            STILL,
        ),
        again=RESUME,
    ),
    "the keys are taken away": Fault(
        where="fed-node2, while dnf runs",
        inject=waiting(as_ops),
        during=(while_dnf(REVOKED),),
        heal=RESTORED,
        says=(UNSEEN, "fed-node2 refuses the keys of ops: `ssh-copy-id -p 22 ops@", STILL),
        again=RESUME,
    ),
    "another host answers": Fault(
        where="at fed-node2's address, while dnf runs",
        generation="modern",
        inject=waiting(by_proxy()),
        during=(while_dnf(elsewhere),),
        heal=direct,
        says=(UNSEEN, "fed-node2's host key has changed: .*; someone may be in between", STILL),
        again=RESUME,
        also=nothing_accepted,
    ),
}


@pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
def test_a_fault(name: str, fault: Fault, injected: Injected) -> None:
    injected(name, fault)
