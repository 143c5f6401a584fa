"""No packet can be followed, or no known cause fits: report what was measured, guess nothing."""

from collections.abc import Iterator

from fedwiz.diagnose.values import Case, Diagnosis

LOST_AT = {
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
"""By name of the first hop that no packet reached: what happened to the packets."""


def unreachable(case: Case) -> Iterator[Diagnosis]:
    """A node is unreachable, so its state is unknown."""
    for host in case.ends:
        if host in case.known.hosts:
            continue
        at = case.host(host).address
        yield Diagnosis(
            "unreachable",
            host,
            f"{host} could not be asked, so nobody knows what is wrong there",
            case.known.lost.get(host, "there is no connection to it"),
            f"see that {host} ({at}) is up and lets you in (`ssh {at}`), then diagnose again",
        )


def no_container(case: Case) -> Iterator[Diagnosis]:
    """A node could not start a container, nor anything in its place."""
    for host in case.ends:
        up = case.ups.get(host)
        if up is None or up.pod is not None:
            continue
        yield Diagnosis(
            "no-container",
            host,
            f"{host} could not start a container to ping from"
            + ("" if up.docker else ": docker does not run there"),
            up.error,
            f"`systemctl restart docker` on {host}, and see `journalctl -u docker` there",
        )


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
        why = f"the ping is lost on {host} ({LOST_AT[lost.name]}), and {why}"
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
