"""Models of the scripts of the verification."""

import base64
from bisect import bisect
from collections.abc import Callable
from functools import partial
from ipaddress import ip_interface

from fedwiz.facts.values import Link, Route
from fedwiz.practice import dockerd, packets
from fedwiz.practice.call import Call
from fedwiz.practice.machine import Container, Machine
from fedwiz.practice.probes import links_json

PING_COUNT = 3


def _line(key: str, text: str) -> str:
    return f"{key} {base64.b64encode(text.encode()).decode()}"


async def up(call: Call) -> int:
    """See scripts/pod-up.sh."""
    name, _image, _life, *stand_in = call.run.argv[4:]
    machine = call.machine
    inet = [
        f"    inet {text} scope global {link.name}"
        for link in machine.links.values()
        for text in link.addresses
    ]
    running = machine.running(dockerd.DOCKER_UNIT)
    call.write(_line("inet", "\n".join(inet)), _line("docker", "yes\n" if running else "no\n"))
    await call.spend(1.5)
    if running:
        pod, mtu = dockerd.run(machine, name), machine.links["docker0"].mtu
        length = ip_interface(machine.links["docker0"].addresses[0]).network.prefixlen
    elif any(stand_in):
        pod, mtu, length = _stand_in(machine, name, *stand_in), int(stand_in[1]), 32
    else:
        call.write(_line("error", ""), _line("end", ""))
        return 0
    addresses = (f"{pod.address}/{length}",)
    links = {"eth0": Link("eth0", "02:42:0a:00:00:02", mtu, True, addresses)}
    call.write(
        _line("pid", str(pod.pid)),
        _line("netns", pod.netns),
        _line("links", links_json(links)),
        _line("end", ""),
    )
    return 0


def _stand_in(machine: Machine, name: str, address: str, mtu: str) -> Container:
    """Create a namespace behind its own link, where docker does not run."""
    link = f"fwp{name.rpartition('-')[2]}"
    pod = Container(name, machine.pid(), address, link)
    machine.containers.append(pod)
    machine.add_link(Link(link, "02:42:0a:00:00:01", int(mtu), True, (), "veth"))
    machine.routes.append(Route(f"{address}/32", link))
    return pod


def _pod(machine: Machine, pid: str, netns: str) -> Container | None:
    pods = [pod for pod in machine.containers if str(pod.pid) == pid and pod.netns == netns]
    return pods[0] if pods else None


async def count(call: Call) -> int:
    """See scripts/pod-count.sh."""
    pid, netns, *addresses = call.run.argv[4:]
    await call.spend(0.1)
    pod = _pod(call.machine, pid, netns)
    if pod is None:
        call.write("the container is gone")
        return 1
    pod.pings = dict.fromkeys(addresses, 0)
    return 0


async def ping(call: Call) -> int:
    """See scripts/pod-ping.sh."""
    pid, netns, *targets = call.run.argv[4:]
    pod = _pod(call.machine, pid, netns)
    if pod is None:
        call.write("the container is gone")
        return 1
    await call.spend(0.8)
    for target in targets:
        await call.spend(0)  # yield to other tasks
        send = partial(packets.ping, call.cluster, call.machine, pod.address, target, PING_COUNT)
        call.write(_line(f"ping {target}", _ping_output(call, target, send)))
    call.write("end")
    return 0


async def mtu(call: Call) -> int:
    """See scripts/pod-mtu.sh."""
    pid, netns, source, *paths = call.run.argv[4:]
    machine, cluster = call.machine, call.cluster
    pod = _pod(machine, pid, netns)
    if pod is None:
        call.write("the container is gone")
        return 1
    await call.spend(0.6)
    for index in range(0, len(paths), 4):
        await call.spend(0)  # yield to other tasks
        address, size, public, need = paths[index : index + 4]
        inner = partial(packets.ping, cluster, machine, pod.address, address, PING_COUNT)
        call.write(f"size {address} {_largest(int(size), inner)}")
        if public != "-":
            route = machine.route_to(public)
            dev = route.dev if route else machine.uplink.name
            outer = partial(packets.cross, cluster, machine, source, dev, public)
            call.write(f"size {public} {_largest(int(need), outer)}")
    call.write("end")
    return 0


def _largest(size: int, send: Callable[[int], object]) -> int:
    """The size of the largest packet, up to `size`, that comes back; 0: none does."""

    def crosses(size: int) -> bool:
        try:
            send(size)
        except packets.PacketLostError:
            return False
        return True

    if crosses(size):
        return size
    # bisect needs the failing sizes last; it returns the index of the first of them.
    low = bisect(range(packets.PING_BYTES, size), 0, key=lambda each: not crosses(each))
    return packets.PING_BYTES + low - 1 if low else 0


async def meet(call: Call) -> int:
    """See scripts/meet.sh."""
    source, dev, *targets = call.run.argv[4:]
    machine = call.machine
    refusal = ""
    if dev not in machine.links:
        refusal = f"ping: SO_BINDTODEVICE {dev}: No such device\n"
    elif source not in machine.addresses():
        refusal = "ping: bind: Cannot assign requested address\n"
    await call.spend(0.5)
    for target in targets:
        await call.spend(0)  # yield to other tasks
        if refusal:
            call.write(_line(f"met {target} none", refusal))
            continue
        state = packets.neighbour(call.cluster, machine, dev, target)
        send = partial(packets.cross, call.cluster, machine, source, dev, target)
        call.write(_line(f"met {target} {state}", _ping_output(call, target, send)))
    call.write("end")
    return 0


def _ping_output(call: Call, target: str, send: Callable[[], object]) -> str:
    """The output of iputils' ping; `send` raises if nothing comes back."""
    lines, times, dice = [f"PING {target} ({target}) 56(84) bytes of data."], [], call.cluster.dice
    try:
        send()
        times = [dice.uniform(0.3, 0.9) for _ in range(PING_COUNT)]
    except packets.PacketLostError as lost:
        lines += [str(lost)] if str(lost) else []
    for number, time in enumerate(times, 1):
        lines.append(f"64 bytes from {target}: icmp_seq={number} ttl=62 time={time:.3f} ms")
    share = 0 if times else 100
    sums = (
        f"{PING_COUNT} packets transmitted, {len(times)} received, {share}% packet loss, time 407ms"
    )
    lines += ["", f"--- {target} ping statistics ---", sums]
    if times:
        mean = sum(times) / len(times)
        lines.append(
            f"rtt min/avg/max/mdev = {min(times):.3f}/{mean:.3f}/{max(times):.3f}/0.120 ms"
        )
    return "\n".join(lines) + "\n"


async def down(call: Call) -> int:
    """See scripts/pod-down.sh."""
    name, pid, netns = call.run.argv[4:]
    await call.spend(0.4)
    pod = _pod(call.machine, pid, netns)
    if pod is None and pid != "0":
        call.write("gone")
    if pod is not None and pod.pings is not None:
        call.write(
            *(
                f"[{n}:{n * 84}] -A INPUT -s {source}/32 -p icmp -m icmp --icmp-type 8"
                for source, n in pod.pings.items()
            )
        )
    if pod is not None and pod.link != "docker0":
        call.machine.drop_link(pod.link)
    dockerd.remove(call.machine, name)
    call.write("end")
    return 0
