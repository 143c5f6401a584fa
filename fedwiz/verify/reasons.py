"""A likely reason why a pair does not ping, from facts that have been read anyway."""

import json
from ipaddress import IPv4Network

from fedwiz.facts import ClusterFacts, Facts, versions
from fedwiz.verify.nodes import subnet_of
from fedwiz.verify.peers import routes_to
from fedwiz.verify.values import Overlay, Ping


def likely_reason(known: ClusterFacts, net: Overlay, sender: str, receiver: str, ping: Ping) -> str:
    """What is likely wrong between two nodes, and one remedy."""
    lost = f"{ping.sent - ping.received} of {ping.sent} pings lost"
    if ping.received:
        return (
            f"{lost} ({ping.lost} %), so there is a way, and it loses packets: look at the errors "
            f"and drops in `ip -s link` on {sender} and {receiver}"
        )
    for host, peer in ((sender, receiver), (receiver, sender)):
        facts, other = known.hosts[host], subnet_of(known.hosts[peer])
        if facts.sysctls.get("net.ipv4.ip_forward") == "0":
            return f"{lost}; {host} forwards nothing: `sysctl -w net.ipv4.ip_forward=1` there"
        if other and not routes_to(facts, other.network):
            return (
                f"{lost}; {host} has no route to {other.network} on {peer}: "
                "`systemctl restart flanneld` there"
            )
        if _dropped(facts, net.network):
            return (
                f"{lost}; the FORWARD policy on {host} is DROP, and no rule there lets "
                f"{net.network} through: `iptables -I FORWARD -s {net.network} -d {net.network} "
                "-j ACCEPT`, or the same in DOCKER-USER"
            )
    for host in (receiver, sender):
        if versions.docker_drops_routed(known.hosts[host].docker_version) and (
            why := _docker_drops(known.hosts[host], net.network)
        ):
            return (
                f"{lost}; docker 28 and later drops what is routed to containers: on {host}, {why}"
            )
    return (
        f"{lost}, and the facts do not tell why: diagnose the two, which follows their packets "
        f"hop by hop (`fedwiz diagnose -a FILE {sender} {receiver}`)"
    )


def _accepts(rules: tuple[str, ...], chains: tuple[str, ...], network: IPv4Network) -> bool:
    """Whether a rule of these chains accepts packets from or to the network, or all packets."""
    return any(
        line.startswith(f"-A {chain} ") and line.endswith("-j ACCEPT") and str(network) in line
        for line in rules
        for chain in chains
    )


def _dropped(facts: Facts, network: IPv4Network) -> bool:
    rules = facts.rules.get("filter", ())
    chains = ("FORWARD", "FLANNEL-FWD", "DOCKER-USER")
    return "-P FORWARD DROP" in rules and not _accepts(rules, chains, network)


def _docker_drops(facts: Facts, network: IPv4Network) -> str:
    """What remains to be done about both of docker's obstacles; empty: nothing."""
    daemon = facts.files.get("/etc/docker/daemon.json")
    try:
        settings = json.loads(daemon.text) if daemon else {}
    except (ValueError, RecursionError):
        settings = {}
    direct = isinstance(settings, dict) and settings.get("allow-direct-routing") is True
    direct |= "allow-direct-routing" in facts.docker_unit
    if not direct and "DOCKER_INSECURE_NO_IPTABLES_RAW=1" not in facts.docker_unit:
        return 'put `"allow-direct-routing": true` into /etc/docker/daemon.json and restart docker'
    if not _accepts(facts.rules.get("filter", ()), ("DOCKER-USER",), network):
        return f"`iptables -I DOCKER-USER -s {network} -d {network} -j ACCEPT`"
    return ""
