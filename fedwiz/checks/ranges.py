"""Checks of the containers' network and of the interfaces that carry it."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, IPv4Network, ip_interface
from shlex import quote

from fedwiz.answers.file import Answers, Host
from fedwiz.checks.finding import (
    Finding,
    block,
    check,
    duplicates,
    ok,
    published,
    reached_hosts,
    unread,
    warn,
)
from fedwiz.etcd.leases import parse_leases
from fedwiz.facts.values import ClusterFacts, Facts, Link
from fedwiz.model import addresses as network
from fedwiz.model.backends import KERNEL_VXLAN_PORT
from fedwiz.util.words import count, some

SERVICE_CIDR = "10.254.0.0/16"
"""Kubernetes' service addresses in Fedora's guide; they appear on no interface and in no route."""

NAT = "10.0.2.15"
"""The address that every VirtualBox machine has on its NAT interface."""


@check("network-public", "Is the containers' network private?")
def network_public(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """With a public range, containers can't reach its owners; the procedure's example uses one."""
    cidr, net = answers.network.cidr, answers.network
    if not network.is_public(cidr):
        yield ok(f"{cidr} is private")
    elif net.allow_public:
        yield ok(f"{cidr} is public, and the answers allow it")
    else:
        yield block(
            f"{cidr} is public: containers could not reach whoever owns it",
            "set network.cidr to a private network such as "
            f"{unused_network(answers, known) or '10.16.0.0/16'}, "
            "or network.allow_public = true",
        )


@check("network-overlap", "Is the containers' network used by nothing else?", about="hosts")
def network_overlap(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Overlapping addresses are cut off once flanneld starts, fedwiz's own connection too."""
    overlaps = network.overlaps(answers.network.cidr, _used(answers, known))
    other = (unused_network(answers, known) if overlaps else "") or "a smaller one"
    remedy = f"set network.cidr to a free network, such as {other}"
    by_host: dict[str, list[str]] = {}
    for overlap in overlaps:
        host, _, what = overlap.source.partition("\t")
        text = f"{overlap.cidr} ({what})"
        if text not in by_host.setdefault(host, []):
            by_host[host].append(text)
    for host, ranges in by_host.items():
        yield block(f"{answers.network.cidr} overlaps {some(ranges)}", remedy, host)
    for host_, facts in reached_hosts(answers, known):
        if not facts.links or not facts.routes:
            yield unread("the addresses or the routes", host_.name)
    yield ok(f"{answers.network.cidr} meets no address, route or docker network")


def unused_network(answers: Answers, known: ClusterFacts, excluded: Iterable[str] = ()) -> str:
    """A network for the containers that nothing uses; empty: there is none.

    Args:
        answers: the hosts; their network only tells which ranges are already flannel's own.
        known: the facts of these hosts.
        excluded: further networks to avoid.
    """
    used = _used(answers, known).values()
    return network.propose([*(text for texts in used for text in texts), *excluded])


def _used(answers: Answers, known: ClusterFacts) -> dict[str, list[str]]:
    """Ranges in use, by `host<TAB>what`; without those of an earlier flannel."""
    used = {"\tKubernetes' service addresses in Fedora's guide": [SERVICE_CIDR]}
    nodes = published(answers, known)
    nodes |= {lease.public_ip for lease in parse_leases(known.store.leases)} - {""}
    for host in answers.host:
        if network.is_address(host.address):
            used[f"\tthe address of {host.name}"] = [host.address]
    for host, facts in reached_hosts(answers, known):
        flannels = _own(facts, answers)
        for link in facts.links:
            if (
                link.name != "lo"
                and not link.name.startswith("flannel")
                and link.name not in flannels
            ):
                used[f"{host.name}\taddress of {link.name}"] = list(link.addresses)
        for route in facts.routes:
            # host-gw's routes to peers use the nodes' own interfaces.
            by_flannel = route.dev.startswith("flannel") or route.via in nodes
            if route.to != "default" and not by_flannel and route.dev not in flannels:
                used.setdefault(f"{host.name}\troute by {route.dev}", []).append(route.to)
        used[f"{host.name}\tdocker network"] = [
            net for net in facts.docker_networks if net not in flannels
        ]
        servers = [server for server in facts.nameservers if network.is_address(server)]
        used[f"{host.name}\tname server"] = servers
    return used


def _own(facts: Facts, answers: Answers) -> set[str]:
    """docker0 and its network, if they are already flannel's: one subnet of this network."""
    bridge, leased = facts.link("docker0"), (facts.subnet_env or {}).get("FLANNEL_SUBNET")
    for text in bridge.addresses if bridge else ():
        net = ip_interface(text).network
        inside = network.inside(str(net.network_address), answers.network.cidr)
        if inside and (net.prefixlen == answers.network.subnet_len or text == leased):
            return {"docker0", str(net)}
    return set()


@check("network-capacity", "Has the network a subnet for every node?")
def network_capacity(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Subnets that etcd has leased to other hosts count: flannel gives them to nobody else."""
    net, nodes = answers.network, len(answers.nodes)
    room = network.capacity(net.cidr, net.subnet_len, net.subnet_min, net.subnet_max)
    node_addresses = published(answers, known)
    taken = sum(
        1
        for lease in parse_leases(known.store.leases)
        if lease.subnet
        and lease.public_ip not in node_addresses
        and network.inside(lease.subnet.partition("/")[0], net.cidr)
    )
    text = f"{net.cidr} has {count(room, 'subnet')} for {count(nodes, 'node')}"
    if room - taken >= nodes:
        if net.subnet_min and net.subnet_min == net.cidr.partition("/")[0]:
            yield warn(
                f"{net.subnet_min} is the first subnet, with the network's own address: from the "
                "node that gets it, some containers are not reached",
                "leave network.subnet_min out",
            )
        each = (1 << (32 - net.subnet_len)) - 3
        yield ok(f"{text}, {count(each, 'address', 'addresses')} each")
    elif room >= nodes:
        yield block(
            f"{text}, but {taken} of them are leased to other hosts",
            "delete the leases of hosts that are gone, or take a larger network",
        )
    else:
        yield block(text, "take a larger network or a longer network.subnet_len")


def _addresses(link: Link) -> list[IPv4Interface]:
    return [IPv4Interface(text) for text in link.addresses]


@check("interface", "Which interface carries flannel's packets?", about="nodes")
def interface(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """Without `-iface` flannel takes the default route's interface: perhaps NAT or a dead end."""
    for host, facts in reached_hosts(answers, known, "nodes"):
        if not facts.links:
            yield unread("the interfaces", host.name)
            continue
        yield from _interface(host, facts)
    addresses = [
        (host.name, facts.public_ip(host.interface))
        for host, facts in reached_hosts(answers, known, "nodes")
    ]
    for address, owners in duplicates(addresses):
        if address != NAT:
            yield block(
                f"{some(owners)} would all publish {address}, and share one lease",
                "set `interface` of each host to the one with an address of its own",
            )
    uplinks = sorted(
        {
            link.name
            for host, facts in reached_hosts(answers, known, "nodes")
            if (link := facts.uplink(host.interface))
        }
    )
    yield ok(f"{some(uplinks)}, each up and with an address of its own")


def _leads_nowhere(link: Link) -> bool:
    return link.name in ("lo", "docker0") or link.name.startswith("flannel")


def _interface(host: Host, facts: Facts) -> Iterator[Finding]:
    names = [
        each_link.name
        for each_link in facts.links
        if not _leads_nowhere(each_link) and any(str(it.ip) != NAT for it in _addresses(each_link))
    ]
    remedy = f"set `interface` of {host.name}: {some(names) or 'give one of them an IPv4 address'}"
    link = facts.uplink(host.interface)
    address = facts.public_ip(host.interface)
    if link is None and host.interface:
        yield block(f"there is no interface {host.interface}", remedy, host.name)
    elif link is None:
        yield block("no default route, so flannel would find no interface", remedy, host.name)
    elif not link.up:
        yield block(
            f"{link.name} is down", f"ip link set {quote(link.name)} up, or {remedy}", host.name
        )
    elif not link.addresses:
        yield block(f"{link.name} has no IPv4 address", remedy, host.name)
    elif address == NAT:
        yield block(
            f"{link.name} has {NAT}, as every VirtualBox machine on its NAT: no peer reaches it",
            remedy,
            host.name,
        )
    elif _leads_nowhere(link):
        yield block(f"{link.name} leads to no other host", remedy, host.name)
    else:
        other = next(
            (
                each_link.name
                for each_link in facts.links
                if each_link is not link
                and host.address in map(str, (a.ip for a in _addresses(each_link)))
            ),
            "",
        )
        if other:
            yield warn(
                f"fedwiz reaches it at {host.address} on {other}, "
                f"but flannel would use {link.name} ({address})",
                f"set `interface` of {host.name} to {other}, unless the nodes meet on {link.name}",
                host.name,
            )


@check("same-link", "Do all nodes share one link, where the backend needs it?", about="nodes")
def same_link(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """host-gw's routes point directly at the peers, so there must be no router in between."""
    backend = answers.backend.backend
    if not backend.same_link:
        yield ok(f"{backend.name} crosses routers")
        return
    links: dict[str, list[str]] = {}
    for host, facts in reached_hosts(answers, known, "nodes"):
        net = _uplink_network(host, facts)
        if net is None:
            yield unread("the interface's network", host.name)
        else:
            links.setdefault(str(net), []).append(host.name)
    if len(links) > 1:
        text = "; ".join(f"{some(names)} on {net}" for net, names in sorted(links.items()))
        yield block(
            f"{backend.name} needs one link, and the nodes are on {len(links)}: {text}",
            "set backend.type to vxlan, or put every node on one network",
        )
    yield ok(f"all on {some(links)}")


def _uplink_network(host: Host, facts: Facts) -> IPv4Network | None:
    link, address = facts.uplink(host.interface), facts.public_ip(host.interface)
    addresses = _addresses(link) if link else []
    return next((it.network for it in addresses if str(it.ip) == address), None)


@check("mtu", "Do packets of one size pass between all nodes?", about="nodes")
def mtu(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """If MTUs differ, small pings work but TLS hangs."""
    sizes: dict[int, list[str]] = {}
    for host, facts in reached_hosts(answers, known, "nodes"):
        link = facts.uplink(host.interface)
        if link is None or not link.mtu:
            yield unread("the interface's MTU", host.name)
        else:
            sizes.setdefault(link.mtu, []).append(host.name)
    backend, options = answers.backend.backend, answers.backend.options
    chosen = int(options.get("mtu", 0))
    smallest = min(sizes, default=0)
    if sizes and chosen > smallest:
        yield warn(
            f"backend.mtu is {chosen}, but {some(sizes[smallest])} sends {smallest} at most",
            f"set backend.mtu to {smallest}",
        )
    elif len(sizes) > 1 and not chosen:
        text = some(f"{size} on {some(names)}" for size, names in sorted(sizes.items()))
        remedy = f"set the interfaces to one MTU, {smallest} or more"
        if backend.option("mtu"):
            remedy = f"set backend.mtu to {smallest} (flannel 0.21.3 or later), or {remedy}"
        yield warn(f"the nodes' MTUs differ: {text}", remedy)
    yield ok(f"MTU {chosen or smallest}; containers get {backend.mtu(smallest, options)}")


@check("firewall", "Will the backend's packets be let in?", about="nodes")
def firewall(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """The install only opens firewalld; other rules are left to their owner."""
    backend = answers.backend.backend
    needed = (*backend.ports(answers.backend.options), *backend.protocols)
    text = f"{some(needed)} will be opened" if needed else f"{backend.name} needs no port"
    for host, facts in reached_hosts(answers, known, "nodes"):
        if facts.firewall is not None:
            closed = set(needed) - (facts.firewall.ports & facts.firewall.permanent)
            yield ok(f"firewalld: {text if closed or not needed else 'all open'}", host.name)
        elif facts.unit("firewalld.service").running:
            yield unread("what firewalld lets in", host.name, "see `firewall-cmd --state` there")
        elif "filter" not in facts.rules:
            yield unread("iptables' rules", host.name, "see `iptables -S` there")
        elif (rule := _refusing(facts.rules["filter"])) and needed:
            yield warn(
                f"no firewalld, but a rule of its own: {rule}",
                f"let {some(needed)} in before it, unless that is done already",
                host.name,
            )
    yield ok("no firewall on the nodes")


@check("hypervisor", "Does the machines' host let the backend's packets pass?", about="nodes")
def hypervisor(answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
    """VMware's NSX claims UDP 8472 for itself (flannel-io/flannel#2388); no node can see that."""
    backend = answers.backend.backend
    affected = f"{KERNEL_VXLAN_PORT}/udp" in backend.ports(answers.backend.options)
    on_vmware = [
        host.name
        for host, facts in reached_hosts(answers, known, "nodes")
        if facts.virt == "vmware"
    ]
    for host, facts in reached_hosts(answers, known, "nodes"):
        if not facts.virt:
            yield unread("what the machine runs on", host.name)
    if on_vmware and affected:
        yield warn(
            f"{some(on_vmware)} on VMware: where NSX is in use it swallows {KERNEL_VXLAN_PORT}/udp",
            "if the verification finds no way through, set backend.port to another port",
        )
    yield ok("none that is known to swallow the backend's packets")


def _refusing(rules: tuple[str, ...]) -> str:
    """The first rule or policy of INPUT that refuses all remaining packets; empty: none."""
    for rule in rules:
        if rule == "-P INPUT DROP" or rule.startswith(("-A INPUT -j REJECT", "-A INPUT -j DROP")):
            return rule
    return ""
