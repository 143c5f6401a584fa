"""Verifications of the practice cluster, as their runs tell them, for tests."""

import json

from fedwiz.model.events import Event, RunEnded, RunStarted, Verified
from fedwiz.runs.state import State
from tests.support.sample_runs import NODES, records


def leases(nodes: tuple[str, ...] = NODES) -> list[Event]:
    """Verdicts as a verification tells them, all well."""
    said = list[Event]()
    for at, node in enumerate(nodes):
        net, ip = f"10.16.{29 + at}", f"192.168.122.{77 + at}"
        lease = {
            "PublicIP": ip,
            "BackendType": "vxlan",
            "BackendData": {"VtepMAC": f"46:f1:d0:18:d0:{at:02x}"},
        }
        said += [
            Verified(
                "address",
                node,
                "",
                "pass",
                (
                    f"inet 127.0.0.1/8 scope host lo\ninet {ip}/24 brd 192.168.122.255 "
                    f"scope global "
                    f"eth0\ninet {net}.0/32 scope global flannel.1\ninet {net}.1/24 scope global "
                    "docker0"
                ),
            ),
            Verified(
                "lease",
                node,
                "",
                "pass",
                f"/coreos.com/network/subnets/{net}.0-24 {json.dumps(lease)}",
            ),
            Verified(
                "subnet_env",
                node,
                "",
                "pass",
                (
                    f"FLANNEL_NETWORK=10.16.0.0/16\nFLANNEL_SUBNET={net}.1/24\nFLANNEL_MTU=1450\n"
                    "FLANNEL_IPMASQ=false"
                ),
            ),
        ]
    return said


def pings(
    nodes: tuple[str, ...] = NODES, other: dict[tuple[str, str], Verified] | None = None
) -> list[Event]:
    """Every pair pings, but for those given."""
    return [
        (other or {}).get((one, two))
        or Verified("ping", one, two, "pass", "3/3, 0.05/0.06/0.07 ms, seen as its own")
        for one in nodes
        for two in nodes
        if one != two
    ]


def bad(one: str, two: str, why: str = "3 of 3 pings lost; let them through") -> Verified:
    return Verified("ping", one, two, "fail", "0/3, Destination Host Prohibited", why)


def ended(
    *events: Event, verb: str = "install", code: int = 0, why: str = "", nodes: int = 3
) -> State:
    """A run of the practice cluster that told these, and then ended."""
    hosts = ("fed-master", *(f"fed-node{number}" for number in range(1, nodes + 1)))
    begin: list[Event] = [RunStarted(verb, "practice", hosts, "healthy")]
    end = RunEnded("failed" if code else "ok", code, why)
    return State.of(records([*begin, *events, end]))


def well() -> State:
    return ended(*leases(), *pings())


def red() -> State:
    """Between the first two nodes nothing passes, and a stranger has a lease."""
    one, two = NODES[:2]
    lost = {(one, two): bad(one, two), (two, one): bad(two, one)}
    stranger = Verified(
        "lease",
        "",
        "",
        "skipped",
        '/coreos.com/network/subnets/10.16.9.0-24 {"PublicIP":"10.0.0.9"}',
        "10.0.0.9 is not a host of the answers: add the host",
    )
    return ended(*leases(), stranger, *pings(other=lost), code=7, why="fed-node1: 3 of 3 lost")
