"""Models of the scripts that test a UDP port."""

import base64

from fedwiz.practice import packets
from fedwiz.practice.call import Call


async def listen(call: Call) -> int:
    """See scripts/udp-listen.sh."""
    name, port, _life, _most = call.run.argv[4:]
    machine, number = call.machine, int(port)
    await call.spend(0.1)
    has = next((link for link in machine.links.values() if link.port == number), None)
    if has is not None:
        pid = machine.unit("flanneld.service").pid
        users = f' users:(("flanneld",pid={pid},fd=7))' if has.kind == "tun" else ""
        call.write(f"held {_encoded(f'UNCONN 0 0 0.0.0.0:{port} 0.0.0.0:*{users}')}")
    elif number in machine.listeners:
        call.write("another")
    else:
        machine.listeners[number] = (name, set())
        call.write("ready")
    return 0


async def send(call: Call) -> int:
    """See scripts/udp-send.sh."""
    port, line, *targets = call.run.argv[4:]
    await call.spend(0.2)
    for target in targets:
        await call.spend(0)  # yield to other tasks
        error = ""
        try:
            peer = packets.datagram(call.cluster, call.machine, target, int(port))
        except packets.PacketLostError as lost:
            error = f"udp-send: line 13: printf: write error: {lost}" if str(lost) else ""
        else:
            if int(port) in peer.listeners:
                peer.listeners[int(port)][1].add(line)
        call.write(f"sent {target} {_encoded(error)}")
    call.write("end")
    return 0


async def tell(call: Call) -> int:
    """See scripts/udp-tell.sh."""
    name, count = call.run.argv[4:]
    machine = call.machine
    port = next((number for number, (owner, _) in machine.listeners.items() if owner == name), 0)
    if not port:
        call.write("gone")
        return 0
    _, lines = machine.listeners.pop(port)
    await call.spend(0.1 if len(lines) >= int(count) else 0.5)
    call.write(*(f"heard {line.rpartition(' ')[2]}" for line in sorted(lines)), "end")
    return 0


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
