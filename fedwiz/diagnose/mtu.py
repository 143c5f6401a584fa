"""Causes of lost large packets: an interface, or the network in between, has a smaller MTU."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedwiz.diagnose.values import Case, Diagnosis, Fix, fix_command
from fedwiz.diagnose.vtep import device_of
from fedwiz.facts import Link
from fedwiz.model.actions import Run
from fedwiz.model.backends import BACKENDS
from fedwiz.scripts import script
from fedwiz.steps.docker import SCRIPT_SECONDS
from fedwiz.verify.mtu import Crossed, read
from fedwiz.verify.nodes import addresses, mtu_of
from fedwiz.verify.values import Path

MIN_PING_BYTES = 84
"""Size of a ping in bytes that any path can carry."""


def crossed(case: Case) -> dict[tuple[str, str], Crossed]:
    """By sender and receiver: the packet sizes that did not pass whole."""
    found = {}
    for it in case.verdicts:
        if it.kind == "mtu" and it.level == "fail" and (measured := read(it.seen)):
            found[it.host, it.peer] = measured
    return found


def paths(case: Case, host: str) -> tuple[Path, ...]:
    """Paths to nodes outside the pair, which show whose side is narrow."""
    need = max((it.need for it in crossed(case).values()), default=0)
    pod = case.ups[case.peer(host)].pod if case.peer(host) in case.ups else None
    others = [
        lease.public_ip
        for node in case.answers.nodes
        if node.name not in case.ends and (lease := case.lease(node.name))
    ]
    if pod is None or not need:
        return ()
    return tuple(Path(str(pod.address), MIN_PING_BYTES, address, need) for address in others)


def source(case: Case, host: str) -> str:
    """The address from which a node sends flannel's packets; empty: unknown."""
    lease = case.lease(host)
    return lease.public_ip if lease and lease.public_ip in addresses(case.facts(host)) else ""


def mtu(case: Case) -> Iterator[Diagnosis]:
    """Packets of the size that flannel was set up for do not pass."""
    lacking = crossed(case)
    found = [each for host in case.ends for each in _interfaces(case, host, lacking)]
    yield from found
    narrow = {pair: it for pair, it in lacking.items() if it.under and it.under < it.need}
    if narrow and not found:
        yield _between(case, narrow)


def _uplink(case: Case, host: str) -> Link | None:
    """The interface through which flannel's packets leave a node."""
    facts, lease = case.facts(host), case.lease(host)
    for link in facts.links:
        link_addresses = [text.partition("/")[0] for text in link.addresses]
        if lease and lease.public_ip in link_addresses:
            return link
    return facts.uplink(case.host(host).interface)


def _interfaces(
    case: Case, host: str, lacking: Mapping[tuple[str, str], Crossed]
) -> Iterator[Diagnosis]:
    """Interfaces of a node with a smaller MTU than flannel was set up for."""
    facts, backend = case.facts(host), BACKENDS.get(case.net.backend)
    mtu, nic, up = mtu_of(facts), _uplink(case, host), case.ups.get(host)
    if backend is None or mtu is None:
        return
    pod = up.pod.mtu if up and up.pod else mtu
    expected: list[tuple[Link, int, str]] = []
    if nic is not None:
        reason = f"FLANNEL_MTU={mtu} and {backend.overhead} bytes that {backend.name} adds"
        expected.append((nic, mtu + backend.overhead, reason))
    device = device_of(case, host) or facts.link(case.net.device)
    inner = filter(None, (device, facts.link("docker0")))
    expected += ((link, min(mtu, pod), f"a container's MTU is {min(mtu, pod)}") for link in inner)
    for link, need, reason in expected:
        if 0 < link.mtu < need:
            yield Diagnosis(
                "mtu",
                host,
                f"{link.name} on {host} passes packets of {link.mtu} bytes, and flannel was set "
                f"up for {need}",
                "\n".join([f"{link.name}: mtu {link.mtu}; {reason}", *_measurements(lacking)]),
                f"`ip link set dev {link.name} mtu {need}` on {host}; and see what made it "
                "smaller: NetworkManager's connection or an `ip link` by hand",
                (fix_command(host, _set(link, need), _set(link, link.mtu)),),
                explains=bool(lacking),
            )


def _set(link: Link, size: int) -> tuple[str, ...]:
    return ("ip", "link", "set", "dev", link.name, "mtu", str(size))


def _measurements(lacking: Mapping[tuple[str, str], Crossed]) -> Iterator[str]:
    for (sender, receiver), it in lacking.items():
        over = f"{it.over} of {it.size} bytes between containers"
        under = f", {it.under} of {it.need} between the nodes themselves" if it.under else ""
        yield f"from {sender} to {receiver} cross {over}{under}"


def _between(case: Case, narrow: Mapping[tuple[str, str], Crossed]) -> Diagnosis:
    """The interfaces of both nodes are large enough, but the network in between is not."""
    need = max(it.need for it in narrow.values())
    size = min(it.under for it in narrow.values())
    narrow_hosts = [
        host
        for host in case.ends
        if (sizes_ := case.underlay.get(host)) and 0 < max(sizes_.values()) < need
    ]
    seen = [*_measurements(narrow), *_measurements_to_others(case, need)]
    if len(narrow_hosts) != 1:
        return Diagnosis(
            "mtu",
            case.receiver,
            f"what is between {case.sender} and {case.receiver} passes packets of {size} bytes, "
            f"and flannel was set up for {need}",
            "\n".join(seen),
            f"give all that is in between an MTU of {need} (switches, tunnels, a hypervisor's "
            f"network); or every node's interface one of {size}, and restart flanneld and docker, "
            "node by node",
        )
    host = narrow_hosts[0]
    mends = _lower(case, host, size)
    remedy = (
        f"give the port that {host} is plugged in an MTU of {need}; or let {host} make its "
        f"packets smaller: its interface gets an MTU of {size}, and flanneld and docker restart"
    )
    if mends:
        remedy += " (mtu.sh; its containers stop), which NetworkManager has to keep for good"
    return Diagnosis(
        "mtu",
        host,
        f"what {host} is connected by passes packets of {size} bytes, and flannel was set up for "
        f"{need}",
        "\n".join(seen),
        remedy,
        mends,
    )


def _measurements_to_others(case: Case, need: int) -> Iterator[str]:
    """The measurements to other nodes."""
    for host, sizes_ in case.underlay.items():
        for address, under in sizes_.items():
            yield f"from {host} to {address} cross {under} of {need} bytes"


def _lower(case: Case, host: str, size: int) -> tuple[Fix, ...]:
    """Lower the interface's MTU, then flannel's and docker's; docker has to stop for that."""
    backend, nic, facts = BACKENDS[case.net.backend], _uplink(case, host), case.facts(host)
    device = device_of(case, host) or facts.link(case.net.device)
    if nic is None or not facts.unit("flanneld.service").running:
        return ()
    network = (facts.subnet_env or {}).get("FLANNEL_NETWORK", "")
    docker_runs = facts.unit("docker.service").running
    if not network:
        return ()  # flanneld would take another subnet then
    links = [(nic, size)] + ([(device, size - backend.overhead)] if device else [])
    undo_run = _switch_run(
        case, network, [(link.name, link.mtu) for link, _ in links], interrupts=docker_runs
    )
    do = _switch_run(
        case,
        network,
        [(link.name, to) for link, to in links],
        interrupts=docker_runs,
        back=undo_run,
        undo=undo_run.brief,
    )
    return (Fix(host, do),)


def _switch_run(
    case: Case,
    network: str,
    sizes: list[tuple[str, int]],
    **more: Any,
) -> Run:
    """Set MTUs, and restart flanneld and docker, as a step of the install does."""
    ready = case.answers.docker.ready_within
    words = [word for name, size in sizes for word in (name, str(size))]
    argv = (
        "sh",
        "-c",
        script("mtu", "switch"),
        "mtu.sh",
        *words,
        "--",
        network,
        str(ready),
    )
    return Run(argv, unit="fedwiz-switch", timeout=SCRIPT_SECONDS + ready, **more)
