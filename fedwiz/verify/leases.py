"""Verdicts on each node's lease in etcd, and on its renewal."""

import re
from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from fedwiz.answers.file import Answers, Host
from fedwiz.etcd.leases import Lease, parse_leases
from fedwiz.facts import ClusterFacts, Facts
from fedwiz.facts.versions import CLOCKS_APART
from fedwiz.verify.nodes import SUBNET_ENV, addresses, overlay, subnet_of
from fedwiz.verify.pods import tidy
from fedwiz.verify.values import Overlay, Verdict

RENEW_MARGIN_MINUTES = 60
"""flannel renews a lease this many minutes before it expires, unless configured otherwise."""


def judge(answers: Answers, known: ClusterFacts, host: Host) -> Verdict:
    """The verdict on the lease of a node that could be read."""
    facts, net = known.hosts[host.name], overlay(answers, known)
    seen, problem = _lease(answers, known, host, net)
    problem = _no_etcd(answers, host, facts) or _not_running(known, host, facts) or problem
    if problem:
        return Verdict("lease", host.name, "", "fail", seen, problem)
    return Verdict("lease", host.name, "", "pass", seen, _warning(answers, host, facts))


def leases_of(answers: Answers, known: ClusterFacts) -> Mapping[str, Lease]:
    """Each node's lease, by node: the one of its subnet, otherwise one with its address."""
    leases = usable_leases(known)
    found = {host.name: lease_of(leases, known, host) for host in answers.nodes}
    return {name: lease for name, lease in found.items() if lease is not None}


def usable_leases(known: ClusterFacts) -> tuple[Lease, ...]:
    """The leases that flannel can use."""
    return tuple(lease for lease in parse_leases(known.store.leases) if not lease.error)


def lease_of(leases: Iterable[Lease], known: ClusterFacts, host: Host) -> Lease | None:
    """A node's lease among these; see `leases_of`."""
    facts = known.hosts.get(host.name, Facts())
    subnet, mine = subnet_of(facts), _own(leases, host, facts)
    here = [lease for lease in mine if subnet and lease.subnet == str(subnet.network)]
    return next(iter([*here, *mine]), None)


def _own(leases: Iterable[Lease], host: Host, facts: Facts) -> list[Lease]:
    host_addresses = addresses(facts) | {host.address}
    return [lease for lease in leases if lease.public_ip in host_addresses]


def _time(seconds: int) -> str:
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


# Each of these returns a problem and one remedy; empty: no problem.


def _no_etcd(answers: Answers, host: Host, facts: Facts) -> str:
    """No endpoint answers this node; flannel tries them in turn, so one would be enough."""
    ends = {url: facts.etcd[url] for url in answers.etcd.endpoints if url in facts.etcd}
    if not ends or any(end.version for end in ends.values()):
        return ""
    url, end = next(iter(ends.items()))
    return (
        f"{host.name} does not reach etcd at {url} ({end.error or 'no answer'}), so its lease is "
        f"not renewed: see that etcd runs, and that its port is open; try `curl {url}/version` "
        f"on {host.name}"
    )


def _not_running(known: ClusterFacts, host: Host, facts: Facts) -> str:
    """Without flanneld the lease expires, and with it the routes to this node."""
    unit = facts.unit("flanneld.service")
    if not unit.there or unit.active in ("active", "reloading", ""):
        return ""
    mine = _own(parse_leases(known.store.leases), host, facts)
    ends = [lease.ttl for lease in mine if lease.ttl is not None]
    until = f", which runs out in {_time(min(ends))}" if ends else ""
    if unit.active == "activating":
        return (
            f"flanneld on {host.name} is starting and not ready, so nobody renews its lease"
            f"{until}: see `journalctl -u flanneld` there, then verify again"
        )
    return (
        f"flanneld does not run on {host.name} ({unit.active}), so nobody renews its lease{until}: "
        "`systemctl start flanneld` there; where it ends, see `journalctl -u flanneld`"
    )


def _warning(answers: Answers, host: Host, facts: Facts) -> str:
    """Worth knowing, although not a failure."""
    silent = [
        url for url in answers.etcd.endpoints if url in facts.etcd and not facts.etcd[url].version
    ]
    if silent:
        return (
            f"of etcd's endpoints, {host.name} does not reach {silent[0]} "
            f"({facts.etcd[silent[0]].error or 'no answer'}), and others it does: see that etcd "
            "runs there"
        )
    if facts.units and not facts.unit("flanneld.service").there:
        return f"there is no flanneld.service on {host.name}: see who renews its lease"
    return ""


def _unrenewed(known: ClusterFacts, host: Host, lease: Lease) -> str:
    """The lease should have been renewed, or will not be renewed in time."""
    facts = known.hosts[host.name]
    margin, unit = _margin(facts), facts.unit("flanneld.service")
    # If a renewal fails, flannel retries every minute: half of the margin has passed by then.
    if unit.there and lease.ttl is not None and lease.ttl < margin * 30:
        return (
            f"the lease runs out in {_time(lease.ttl)}, and flanneld, which runs on {host.name}, "
            f"was to renew it {margin} min before: see `journalctl -u flanneld` there, then "
            "`systemctl restart flanneld`"
        )
    skews = [each.skew for each in known.hosts.values() if each.clock]
    apart = facts.skew - median(skews) if facts.clock else 0.0
    if abs(apart) > CLOCKS_APART:
        return (
            f"the clock of {host.name} is {_time(int(abs(apart)))} "
            f"{'ahead of' if apart > 0 else 'behind'} the others, and flanneld renews its lease "
            "by it: `systemctl enable --now chronyd && chronyc makestep` there"
        )
    return ""


def _margin(facts: Facts) -> int:
    """In minutes; the last value set in its unit or its environment."""
    env = facts.files.get("/etc/sysconfig/flanneld")
    margins = re.findall(
        r"(?:-subnet-lease-renew-margin|FLANNELD_SUBNET_LEASE_RENEW_MARGIN)[= \"']+([0-9]{1,4})\b",
        re.sub(r"(?m)^\s*#.*$", "", facts.flanneld_unit + "\n" + (env.text if env else "")),
    )
    return int(margins[-1]) if margins else RENEW_MARGIN_MINUTES


def _lease(answers: Answers, known: ClusterFacts, host: Host, net: Overlay) -> tuple[str, str]:
    """What etcd has, and the problem with it."""
    store, facts = known.store, known.hosts[host.name]
    if store.error:
        return "", f"etcd could not be read: {store.error}"
    raw = _raw(known)
    leases = usable_leases(known)
    mine = _own(leases, host, facts)
    seen = "\n".join(raw[lease.key] for lease in mine)
    subnet = subnet_of(facts)
    here = [lease for lease in leases if subnet and lease.subnet == str(subnet.network)]
    if not mine and here:
        return raw[here[0].key], (
            f"{here[0].subnet} is leased to {here[0].public_ip}, which is not an address of "
            f"{host.name}'s: on the node that is to lose it, `rm {SUBNET_ENV}` and "
            "`systemctl restart flanneld`"
        )
    if not mine:
        where = f"under {answers.etcd.prefix}/subnets in etcd's {store.api or 'keys'}"
        return seen, (
            f"no lease {where} has an address of {host.name}'s: does its flanneld use this "
            "prefix and this API? see `journalctl -u flanneld`"
        )
    lease = next((lease for lease in mine if lease in here), mine[0])
    return seen, _lease_problem(known, host, net, lease, mine) or _unrenewed(known, host, lease)


def _raw(known: ClusterFacts) -> dict[str, str]:
    """Each lease as text, `KEY VALUE`, by key."""
    return {value.key: tidy(f"{value.key} {value.text}") for value in known.store.leases}


def _lease_problem(
    known: ClusterFacts, host: Host, net: Overlay, lease: Lease, mine: list[Lease]
) -> str:
    facts = known.hosts[host.name]
    twins = [
        other_lease
        for other_lease in mine
        if other_lease.public_ip == lease.public_ip and other_lease is not lease
    ]
    if twins:
        return (
            f"{lease.public_ip} has two leases, {lease.subnet} and {twins[0].subnet}: delete "
            "the one that subnet.env does not name, and `systemctl restart flanneld`"
        )
    for other, other_facts in known.hosts.items():
        if other != host.name and lease.public_ip in addresses(other_facts):
            return (
                f"{lease.public_ip} is an address of {other}'s, too: both share one lease; give "
                "each its `interface`, one whose address the other nodes reach"
            )
    subnet = subnet_of(facts)
    if subnet and lease.subnet != str(subnet.network):
        return (
            f"the lease is {lease.subnet}, and {SUBNET_ENV} says {subnet.network}: "
            "`systemctl restart flanneld`, then `systemctl restart docker`"
        )
    if lease.backend and lease.backend != net.backend:
        return (
            f"the lease is for {lease.backend}, and the network is {net.backend}, so the other "
            "nodes pass it over: `systemctl restart flanneld`"
        )
    device = facts.link(net.device) if net.backend == "vxlan" else None
    if device and device.mac.lower() != lease.mac:
        return (
            f"the lease's VtepMAC is {lease.mac or 'missing'}, and {device.name} has "
            f"{device.mac}, so nothing that others send arrives: `systemctl restart flanneld`"
        )
    return ""


def foreign_leases(answers: Answers, known: ClusterFacts) -> Iterator[Verdict]:
    """Leases of hosts that are not in the answers: nothing to judge them by, so only reported."""
    our_addresses = frozenset[str]().union(*map(addresses, known.hosts.values()))
    our_addresses |= {host.address for host in answers.host}
    raw = _raw(known)
    for lease in parse_leases(known.store.leases):
        seen = raw[lease.key]
        if lease.error:
            yield Verdict(
                "lease",
                "",
                "",
                "skipped",
                seen,
                f"{lease.error}: flannel did not write it; look at it, and delete it",
            )
        elif lease.public_ip not in our_addresses:
            until = "stays until it is deleted"
            if lease.ttl is not None:
                until = f"expires in {_time(lease.ttl)}"
            yield Verdict(
                "lease",
                "",
                "",
                "skipped",
                seen,
                f"{lease.public_ip} is not a host of the answers: add the host, or if it is gone "
                f"delete the lease, which {until}",
            )
