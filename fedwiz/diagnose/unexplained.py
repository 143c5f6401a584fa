"""The diagnosis if no cause fits: everything that was measured, and no guesses."""

from fedwiz.diagnose.values import Case, Diagnosis

SAYS = {
    "container": "nothing left the container",
    "raw": "dropped before routing, in iptables' table raw or by nftables",
    "routing": "not routed on: no route, a refused source address, or no forwarding",
    "forwarding": "dropped while it was passed on, by a rule of the firewall's",
    "wrapping": "not wrapped for the other node: no route, neighbour or FDB entry leads there",
    "sending": "dropped on its way out, by a rule of the firewall's",
    "arriving": "sent and never arrived: the network in between, or a wrong address",
    "firewall": "arrived and dropped on its way in, by a rule of the firewall's",
    "unwrapping": "arrived and not unwrapped: another VNI, port or MAC address",
    "raw-in": "dropped before routing, in iptables' table raw or by nftables",
    "routing-in": "not routed on: no route, a refused source address, or no forwarding",
    "forwarding-in": "dropped while it was passed on, by a rule of the firewall's",
    "received": "routed to the container and not seen in it",
}
"""By hop: why packets did not reach it."""


def hop_counts(case: Case) -> str:
    """The count at each hop, one line per hop; `-`: it could not be counted."""
    lines = []
    for hop in case.hops:
        count = "-" if hop.count is None else str(hop.count)
        lines.append(f"{hop.direction:<5} {hop.host} {hop.name}: {count}")
    return "\n".join(lines)


def unknown(case: Case) -> Diagnosis:
    """No known cause fits."""
    lost, seen = case.lost, [hop_counts(case)]
    for host in case.ends:
        look = case.look(host)
        seen += [f"{host}: {it.packets} dropped by `{it.rule}` ({it.table})" for it in look.dropped]
        seen += [f"{host}: {look.error}"] if look.error else []
    seen += [f"{it.kind} of {it.host}: {it.why}" for it in case.verdicts if it.level == "fail"]
    host, why = case.receiver, "no cause that fedwiz knows fits"
    if lost is not None:
        host = lost.host
        why = f"the ping is lost on {host} ({SAYS[lost.name]}), and {why}"
        if lost.direction == "back":
            why = why.replace("the ping", "the answer", 1)
    elif not case.hops:
        why = f"no packet could be followed, and {why}"
    return Diagnosis(
        "unknown",
        host,
        why,
        "\n".join(line for line in seen if line),
        f"look at what was measured; `tcpdump -ni any icmp` on {host} shows the packets themselves",
    )
