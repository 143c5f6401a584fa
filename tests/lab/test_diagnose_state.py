"""Wrong states of a node or of etcd, on real hosts: each is named, mended, and back again."""

import re
from collections.abc import Iterator

import pytest

from fedwiz.engine import verbs
from tests.lab.fixture import Lab
from tests.lab.test_verify import answers_for
from tests.support.diagnosis_faults import (
    WITH_IMAGE,
    Fault,
    cycle,
    diagnosed,
    injected,
    installed,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

SYSCONFIG = "/etc/sysconfig/flanneld"
ETCD, SUBNETS = "http://fed-master:2379", "/coreos.com/network/subnets"
SUBNET = "sed -n 's/FLANNEL_SUBNET=//p' /run/flannel/subnet.env"
LOOSE = "systemctl -q disable flanneld; {}; systemctl -q enable flanneld"
"""docker does not go along with it."""

STOP = LOOSE.format("systemctl stop flanneld")
RESTART = LOOSE.format("timeout 60 systemctl restart flanneld")
TRY = LOOSE.format("systemctl restart --no-block flanneld")
READY = "timeout 60 sh -c 'until systemctl -q is-active flanneld; do :; done'"
MOVE = (
    "systemctl stop docker.socket docker 2>/dev/null; ip link delete docker0; "
    "systemctl start docker"
)
IS_ACTIVE = "systemctl is-active flanneld || true"
KEPT = f"cp -p {SYSCONFIG} /root/sysconfig"
BACK = f"cp -p /root/sysconfig {SYSCONFIG}"


def options(more: str) -> str:
    """Adds to the options of flanneld."""
    adds = f"sed -i 's|^FLANNEL_OPTIONS=\"|&{more} |' {SYSCONFIG}"
    return f"{KEPT}; {adds}; grep -q -e '{more}' {SYSCONFIG}"


def key_of(lab: Lab, host: str) -> str:
    """The key of the lease of the subnet that a host has."""
    first, _, size = lab.ssh(host, SUBNET).strip().partition("/")
    return f"{SUBNETS}/{re.sub('[.]1$', '.0', first)}-{size}"


def etcd(lab: Lab, *words: str) -> str:
    """etcdctl, through the API that the lab's flannel reads."""
    verbs = {"rm": "del", "set": "put", "get": "get"} if lab.flannel == "v3" else {}
    said = " ".join([verbs.get(words[0], words[0]), *(f"'{word}'" for word in words[1:])])
    return lab.ssh(lab.master, f"ETCDCTL_API={lab.flannel[1]} etcdctl {said}")


ASTRAY = Fault(
    "docker-astray",
    "fed-node2",
    "systemctl stop docker.socket docker; ip link delete docker0; cp /run/flannel/docker /root/opts"
    "; echo DOCKER_NETWORK_OPTIONS=--bip=172.17.0.1/16 >/run/flannel/docker; systemctl start docker"
    "; mv /root/opts /run/flannel/docker",
    MOVE,
    "ip -br -4 address show docker0",
    said=("has not taken 10.16.", "172.17.0.1/16", "ip link delete docker0"),
)

STOPPED = Fault(
    "flanneld-down",
    "fed-node2",
    STOP,
    "systemctl start flanneld",
    IS_ACTIVE,
    fails="lease",
    said=("does not run on fed-node2: it was stopped", "systemctl start flanneld"),
)

WITH_DOCKER = Fault(
    "flanneld-down",
    "fed-node2",
    "systemctl stop flanneld",
    "systemctl start flanneld docker",
    f"{IS_ACTIVE}; systemctl is-active docker || true",
    said=("it was stopped", "docker, which went with it"),
)


def lose_lease(lab: Lab) -> None:
    """As Fedora's package has it: what ends with status 0 is not started again."""
    lab.write(
        "fed-node2",
        "/run/systemd/system/flanneld.service.d/90-lab.conf",
        "[Service]\nRestart=on-failure\n",
    )
    lab.ssh("fed-node2", "systemctl daemon-reload")
    etcd(lab, "rm", key_of(lab, "fed-node2"))
    lab.ssh("fed-node2", "timeout 30 sh -c 'while systemctl -q is-active flanneld; do :; done'")


EXITED = Fault(
    "flanneld-down",
    "fed-node2",
    lose_lease,
    "rm /run/systemd/system/flanneld.service.d/90-lab.conf; systemctl daemon-reload; "
    "systemctl start flanneld",
    IS_ACTIVE,
    said=("its lease was deleted or ran out, and it ended",),
)

NO_ENDPOINT = Fault(
    "flanneld-restarting",
    "fed-node2",
    f"{KEPT}; sed -i 's/:2379/:2399/' {SYSCONFIG}; {TRY}",
    f"{BACK}; {RESTART}",
    f"grep 23.9 {SYSCONFIG}; {IS_ACTIVE}",
    fails="lease",
    said=("is not ready, and waits", "nothing listens at etcd's endpoint", ":2399"),
)

NO_FLAG = Fault(
    "flanneld-restarting",
    "fed-node2",
    f"{options('-no-such-flag')}; {TRY}; "
    "timeout 60 sh -c 'until systemctl show -p SubState flanneld | grep auto-restart; do :; done'",
    f"{BACK}; systemctl reset-failed flanneld; {RESTART}; systemctl start docker",
    f"grep OPTIONS {SYSCONFIG}",
    fails="lease",
    said=("ends and is started again", "does not know one of its flags"),
)


def freeze(lab: Lab) -> None:
    """Flanneld hangs, and its lease is gone."""
    lab.ssh("fed-node2", "kill -STOP $(systemctl show -p MainPID --value flanneld)")
    etcd(lab, "rm", key_of(lab, "fed-node2"))


MISSING = Fault(
    "lease-missing",
    "fed-node2",
    freeze,
    RESTART,
    "",
    said=("etcd has no lease of that node's", "systemctl restart flanneld"),
)


def clone(lab: Lab) -> None:
    """node2 was away for more than a day, and comes back with an image of node1's."""
    key = key_of(lab, "fed-node2")
    lab.ssh("fed-node2", STOP)
    etcd(lab, "rm", key)
    lab.write(
        "fed-node2", "/run/flannel/subnet.env", lab.ssh("fed-node1", "cat /run/flannel/subnet.env")
    )
    lab.ssh("fed-node2", f"systemctl start flanneld; {MOVE}")


def unclone(lab: Lab) -> None:
    for node in ("fed-node1", "fed-node2"):
        lab.ssh(node, f"{STOP}; rm -f /run/flannel/*")
    for node in ("fed-node1", "fed-node2"):
        lab.ssh(node, f"systemctl start flanneld; {MOVE}")


OWNER = (
    f"curl -s {ETCD}/v2/keys{SUBNETS}/ | tr -d '\\\\' | grep -o 'subnets/[^\"]*\\|PublicIP[^,]*'"
)
TAKEN = Fault(
    "lease-taken",
    "fed-node1",
    clone,
    unclone,
    f"{SUBNET}; ip -br -4 address show docker0; {OWNER} | paste - - | sort",
    healthy=("fed-node2", "fed-node3"),
    said=("fed-node1 and fed-node2 both have the subnet", "its lease is fed-node2's"),
)

NAT = (
    "ip link add eth9 type veth peer name eth8; ip link set eth8 up; ip link set eth9 up; "
    "ip address add {} dev eth9"
)


def one_address(lab: Lab) -> None:
    """As VirtualBox's machines have it."""
    for node in ("fed-node1", "fed-node2"):
        lab.ssh(node, f"{NAT.format('10.0.2.15/24')}; {options('-iface=eth9')}; {RESTART}; {MOVE}")


def own_addresses(lab: Lab) -> None:
    for node in ("fed-node1", "fed-node2"):
        lab.ssh(node, f"{BACK}; {STOP}; rm -f /run/flannel/*")
        lab.ssh(node, f"systemctl start flanneld; {MOVE}; ip link delete eth9")


SAME_IP = Fault(
    "same-public-ip",
    "fed-node1",
    one_address,
    own_addresses,
    f"{SUBNET}; ip -br -4 address show docker0; grep OPTIONS {SYSCONFIG}",
    healthy=None,
    said=("fed-node1 and fed-node2 publish one address, 10.0.2.15",),
)

WRONG_IFACE = Fault(
    "wrong-interface",
    "fed-node2",
    f"{NAT.format('10.99.9.2/24')}; {options('-iface=eth9')}; {RESTART}",
    f"{BACK}; {RESTART}; ip link delete eth9",
    f"grep OPTIONS {SYSCONFIG}; {OWNER} | paste - - | sort",
    said=("publishes 10.99.9.2, which fed-node", "take the other -iface out"),
)


def other_prefix(lab: Lab) -> None:
    """All that flannel needs is there, too, but for the other nodes."""
    key = key_of(lab, "fed-node2")
    etcd(
        lab,
        "set",
        "/atomic.io/network/config",
        etcd(lab, "get", "/coreos.com/network/config").strip().splitlines()[-1],
    )
    lab.ssh("fed-node2", f"{KEPT}; sed -i s,/coreos.com/,/atomic.io/, {SYSCONFIG}; {RESTART}")
    etcd(lab, "rm", key)


OTHER_PREFIX = Fault(
    "other-prefix",
    "fed-node2",
    other_prefix,
    f"{BACK}; {RESTART}",
    f"grep /network {SYSCONFIG}; curl -s {ETCD}/v2/keys/coreos.com/network/subnets | "
    "grep -c \"$(sed -n 's/FLANNEL_SUBNET=\\(.*\\)[.]1.*/\\1/p' /run/flannel/subnet.env)\" || true",
    said=("under /atomic.io/network in etcd, not under /coreos.com/network",),
)

CONFIG = "/coreos.com/network/config"


def to_v2(lab: Lab) -> None:
    """Written as for a flannel before 0.18; and one node's flanneld starts anew."""
    lab.ssh(lab.master, f"ETCDCTL_API=3 etcdctl get --print-value-only {CONFIG} >/root/config")
    lab.ssh(
        lab.master, f"curl -fs -X PUT {ETCD}/v2/keys{CONFIG} --data-urlencode value@/root/config"
    )
    etcd(lab, "rm", CONFIG)
    lab.ssh("fed-node2", TRY)


def to_v3(lab: Lab) -> None:
    lab.ssh(lab.master, f"head -n 1 /root/config | ETCDCTL_API=3 etcdctl put {CONFIG}")
    lab.ssh(lab.master, f"curl -s -X DELETE {ETCD}/v2/keys{CONFIG}")
    lab.ssh("fed-node2", READY)


OTHER_API = Fault(
    "other-api",
    "fed-master",
    to_v2,
    to_v3,
    f"ETCDCTL_API=3 etcdctl get {CONFIG}",
    healthy=None,
    fails="lease",
    said=("is not in etcd's v3", "it is in v2, which this flannel does not"),
)

NO_ETCD = (
    "iptables -{} OUTPUT -d $(getent ahostsv4 fed-master | sed -n '1s/ .*//p') -p tcp "
    "--dport 2379 -j REJECT"
)
REFUSED = Fault(
    "etcd-unreachable",
    "fed-node2",
    NO_ETCD.format("A"),
    NO_ETCD.format("D"),
    "iptables -S OUTPUT",
    fails="lease",
    said=("fed-node2 does not reach etcd", "-A OUTPUT -d", "-j REJECT", "fed-node1"),
)

NO_NODE2 = "iptables -{} INPUT -s $(getent ahostsv4 fed-node2 | sed -n '1s/ .*//p') -p tcp -j DROP"
DROPPED = Fault(
    "etcd-unreachable",
    "fed-master",
    NO_NODE2.format("A"),
    NO_NODE2.format("D"),
    "iptables -S INPUT",
    fails="lease",
    said=("fed-node2 does not reach etcd", "no answer", "-A INPUT -s"),
)

DATE = """#!/bin/sh
[ "$1" = +%s.%N ] || exec /usr/bin/date.lab "$@"
echo $(($(/usr/bin/date.lab +%s) + $(cat /run/clock 2>/dev/null || echo 0))).5
"""
CHRONYC = """#!/bin/sh
systemctl -q is-active chronyd || exit 1
[ "$1" != makestep ] || rm -f /run/clock
"""
CHRONYD = """[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


def set_back(lab: Lab) -> None:
    """The clock is this machine's: the node only says another time, until chrony is asked."""
    lab.ssh("fed-node2", "[ -e /usr/bin/date.lab ] || cp /usr/bin/date /usr/bin/date.lab")
    lab.write("fed-node2", "/usr/bin/date.new", DATE, "0755")
    lab.write("fed-node2", "/usr/bin/chronyc", CHRONYC, "0755")
    lab.write("fed-node2", "/etc/systemd/system/chronyd.service", CHRONYD)
    lab.ssh(
        "fed-node2",
        "mv /usr/bin/date.new /usr/bin/date; systemctl daemon-reload; echo -7000 >/run/clock",
    )


CLOCK = Fault(
    "clock-skew",
    "fed-node2",
    set_back,
    "systemctl disable --now chronyd; rm /etc/systemd/system/chronyd.service /usr/bin/chronyc; "
    "mv /usr/bin/date.lab /usr/bin/date; rm -f /run/clock; systemctl daemon-reload",
    "systemctl is-active chronyd || true; systemctl is-enabled chronyd 2>&1 || true",
    fails="lease",
    said=("s behind the others", "chronyc makestep"),
)

CLASSIC = {
    "docker astray": ASTRAY,
    "stopped with docker": WITH_DOCKER,
    "exited": EXITED,
    "no endpoint": NO_ENDPOINT,
    "lease taken": TAKEN,
    "wrong interface": WRONG_IFACE,
    "other prefix": OTHER_PREFIX,
    "dropped": DROPPED,
}
MODERN = {
    "stopped": STOPPED,
    "no flag": NO_FLAG,
    "one address": SAME_IP,
    "other API": OTHER_API,
    "refused": REFUSED,
    "clock": CLOCK,
}


@pytest.fixture(scope="module")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with installed("classic", tmp_path_factory.mktemp("operator")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def modern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with installed("modern", tmp_path_factory.mktemp("operator")) as cluster:
        yield cluster


@pytest.mark.parametrize("name", CLASSIC)
async def test_classic(classic: Lab, name: str) -> None:
    await cycle(classic, answers_for(classic, **WITH_IMAGE), CLASSIC[name])


@pytest.mark.parametrize("name", MODERN)
async def test_modern(modern: Lab, name: str) -> None:
    await cycle(modern, answers_for(modern, **WITH_IMAGE), MODERN[name])


async def test_a_flanneld_that_hangs_gets_its_lease_again(modern: Lab) -> None:
    """There is no way back: nobody wants it to hang."""
    answers = answers_for(modern, **WITH_IMAGE)
    with injected(modern, MISSING):
        other = await diagnosed(modern, answers, ("fed-node1", "fed-node3"), apply=False)
        assert other.diagnoses() == []
        asked = await diagnosed(modern, answers, MISSING.pair, apply=True)
        first = asked.diagnoses()[0]
        assert (first.cause, first.host) == (MISSING.cause, MISSING.node), first
        assert all(part in f"{first.why} {first.remedy}" for part in MISSING.said)
        assert asked.result.code == verbs.OK, asked.result.why
