"""What flannel lays between nodes, taken away or made wrong on real hosts: named, mended, back."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedwiz.answers.file import Answers
from tests.lab.fixture import Lab, require_lab
from tests.lab.test_verify import PREFIX, answers_for
from tests.support.diagnosis_faults import WITH_IMAGE, Fault, cycle, installed
from tests.support.lab_operator import Operator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

# Of the other node of the pair, by the end of its address.
OTHER = """
mac=$(bridge fdb show dev flannel.1 | awk '/dst [0-9.]*[.]%d /{ print $1 }')
at=$(ip -4 neighbour show dev flannel.1 | awk -v mac="$mac" '$3 == mac { print $1 }')
"""
TWO, ONE = OTHER % 36, OTHER % 77
LAID = "systemctl -q disable flanneld && systemctl restart flanneld && systemctl -q enable flanneld"
"""flanneld writes all of its entries again, and docker runs on."""

SHOWS = """
ip -o -d link show type vxlan |
  grep -oE '^[0-9]+: [^:]*|mtu [0-9]+|link/ether [^ ]+|id [0-9]+|dstport [0-9]+' |
  sed 's/^[0-9]*: //'
ip -4 route show | grep -e flannel -e ' via 192' | sort
ip -4 neighbour show nud permanent | sort; bridge fdb show | grep ' dst ' | sort
"""

ROUTE = Fault(
    "missing-route",
    "fed-node1",
    TWO + 'ip route delete "$at/24"',
    LAID,
    SHOWS,
    said=("has no route to", "`ip route replace", "none to `wrapping` of fed-node1"),
)
OTHER_ROUTE = Fault(
    "missing-route",
    "fed-node2",
    ONE + 'ip route delete "$at/24"; ip route add blackhole "$at/24" metric 7',
    ONE + f'ip route delete blackhole "$at/24" 2>/dev/null; {LAID}',
    SHOWS + "ip route show type 6",
    said=("where flannel does not", "`blackhole 10.16.", "metric 7`"),
)
NEIGHBOUR = Fault(
    "missing-neighbour",
    "fed-node1",
    TWO + 'ip neighbour delete "$at" dev flannel.1',
    LAID,
    SHOWS,
    said=("has no neighbour entry", "nud permanent"),
)
OTHER_MAC = Fault(
    "missing-neighbour",
    "fed-node1",
    TWO + 'ip neighbour replace "$at" lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent',
    LAID,
    SHOWS,
    said=("wrong MAC", "02:00:00:00:00:01"),
)
FDB = Fault(
    "missing-fdb",
    "fed-node1",
    TWO + 'bridge fdb delete "$mac" dev flannel.1',
    LAID,
    SHOWS,
    said=("has no FDB entry", "self permanent"),
)
FDB_BACK = Fault(
    "missing-fdb",
    "fed-node2",
    ONE + 'bridge fdb delete "$mac" dev flannel.1',
    LAID,
    SHOWS,
    said=("none to `wrapping` of fed-node2", "answers came"),
)
ALL_THREE = Fault(
    "missing-route",
    "fed-node2",
    ONE + 'ip route delete "$at/24"; bridge fdb delete "$mac" dev flannel.1; '
    'ip neighbour delete "$at" dev flannel.1',
    LAID,
    SHOWS,
    said=("has no route", "has no neighbour entry", "has no FDB entry"),
)
STALE = Fault(
    "stale-vtep-mac",
    "fed-node2",
    "ip -br link show flannel.1 | awk '{ print $3 }' >/root/mac; "
    "ip link set flannel.1 address 02:00:00:00:00:07",
    f'ip link set flannel.1 address "$(cat /root/mac)"; {LAID}',
    SHOWS,
    healthy=("fed-node1", "fed-node3"),
    said=("02:00:00:00:00:07", "VtepMAC", "50-flannel.link"),
)


def started_before(change: str, tidy: str = ":") -> Callable[[Lab], None]:
    """fed-node2's flanneld started while etcd said something else."""

    def inject(lab: Lab) -> None:
        api = f"ETCDCTL_API={lab.flannel.removeprefix('v')}"
        put, only = ("set", "") if lab.flannel == "v2" else ("put", "--print-value-only")
        said = lab.ssh(lab.master, f"{api} etcdctl get {only} {PREFIX}/config").strip()
        other = said.replace('"VNI":1', change)
        assert other != said
        lab.ssh(lab.master, f"{api} etcdctl {put} {PREFIX}/config '{other}'")
        lab.ssh("fed-node2", f"{tidy}; {LAID}")
        lab.ssh(lab.master, f"{api} etcdctl {put} {PREFIX}/config '{said}'")
        known_by_others(lab)

    return inject


def known_by_others(lab: Lab) -> None:
    """The others have heard of fed-node2's new MAC, and it of them."""
    show = "ip -br link show type vxlan | awk '{ print $3 }'"
    mac = lab.ssh("fed-node2", show).strip()
    wait = "timeout 20 sh -c 'until bridge fdb show | grep -q \"^%s \"; do sleep 0.1; done'"
    for node in ("fed-node1", "fed-node3"):
        lab.ssh(node, wait % mac)
        lab.ssh("fed-node2", wait % lab.ssh(node, show).strip())


def laid_again(lab: Lab) -> None:
    """fed-node2 as etcd says it."""
    lab.ssh("fed-node2", f"ip link delete flannel.7 2>/dev/null; {LAID}")
    known_by_others(lab)


VNI = Fault(
    "other-vni",
    "fed-node2",
    started_before('"VNI":7', "ip link delete flannel.1"),
    laid_again,
    SHOWS,
    fails="address",
    said=("flannel.7", "VNI 7", "and the network 1", "vtep.sh"),
)
PORT = Fault(
    "other-port",
    "fed-node2",
    started_before('"VNI":1,"Port":4789'),
    laid_again,
    SHOWS,
    said=("UDP port 4789", "and the network 8472"),
)
SENDERS_PORT = replace(PORT, pair=("fed-node2", "fed-node1"))


def between(mtu: int) -> Callable[[Lab], None]:
    """The switch's port that fed-node2 is plugged in."""

    def plug(lab: Lab) -> None:
        port = f"h{lab.state.host('fed-node2').number}"
        subprocess.run(
            ["ip", "-n", lab.state.switch, "link", "set", port, "mtu", str(mtu)], check=True
        )

    return plug


LARGE = "ping -c 1 -W 1 -M do -s 1472 fed-node1 >/dev/null 2>&1 && echo whole"
NIC = Fault(
    "mtu",
    "fed-node2",
    "ip link set eth0 mtu 1400",
    "ip link set eth0 mtu 1500",
    f"ip -o link show eth0 | grep -o 'mtu [0-9]*'; {LARGE}; true",
    fails="mtu",
    said=("eth0 on fed-node2 passes packets of 1400 bytes", "set up for 1500"),
)
BETWEEN = Fault(
    "mtu",
    "fed-node2",
    between(1400),
    between(1500),
    f"ip -o link show eth0 | grep -o 'mtu [0-9]*'; cat /run/flannel/subnet.env; {LARGE}; true",
    fails="mtu",
    said=("connected by passes packets of 1400 bytes", "set up for 1500", "mtu.sh"),
)

FAULTS = {
    "a route that is gone": ("classic", ROUTE),
    "another route": ("modern", OTHER_ROUTE),
    "a neighbour that is gone": ("modern", NEIGHBOUR),
    "a neighbour's MAC": ("classic", OTHER_MAC),
    "an FDB entry that is gone": ("classic", FDB),
    "an FDB entry on the way back": ("modern", FDB_BACK),
    "all that flannel writes of a peer": ("classic", ALL_THREE),
    "another MAC than the lease's": ("classic", STALE),
    "another VNI": ("modern", VNI),
    "another port": ("classic", PORT),
    "another port of the sender's": ("modern", SENDERS_PORT),
    "an interface's MTU": ("classic", NIC),
    "an MTU in between": ("modern", BETWEEN),
}


@pytest.fixture(scope="module", params=["classic", "modern"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster that fedwiz has installed."""
    with installed(request.param, tmp_path_factory.mktemp("operator")) as cluster:
        yield cluster


@pytest.fixture
def answers(lab: Lab) -> Answers:
    return answers_for(lab, **WITH_IMAGE)


@pytest.mark.parametrize(
    ("lab", "fault"),
    [pytest.param(*row, id=name) for name, row in sorted(FAULTS.items(), key=lambda it: it[1][0])],
    indirect=["lab"],
    scope="module",  # or each row would have a cluster of its own
)
async def test_a_fault_is_named_mended_and_back(lab: Lab, answers: Answers, fault: Fault) -> None:
    await cycle(lab, answers, fault)


PLAIN = Fault(
    "missing-route",
    "fed-node2",
    "route=$(ip route show via %s); echo $route >/root/route; ip route delete $route",
    "ip route replace $(cat /root/route)",
    "ip route show",
    healthy=None,
    said=("has no route to", " dev eth0` on fed-node2", "none to `unwrapping` of fed-node1"),
)


async def test_a_plain_route_that_is_gone(tmp_path: Path) -> None:
    require_lab()
    with Lab.up("classic", 3) as cluster:
        operator = Operator(cluster, tmp_path, {"backend": {"type": "host-gw"}})
        said = operator.install()
        assert said.code == 0, said.err
        assert isinstance(PLAIN.inject, str)
        fault = replace(PLAIN, inject=PLAIN.inject % cluster.address("fed-node1"))
        await cycle(cluster, answers_for(cluster, backend={"type": "host-gw"}), fault)
