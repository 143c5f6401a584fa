"""Causes in the ownership of subnets, and in the addresses published for them."""

from collections.abc import Iterator

from fedwiz.diagnose import etcd
from fedwiz.diagnose.restarts import (
    Settings,
    etcd_key_arguments,
    etcd_readable,
    flanneld_ready,
    lease_of_subnet,
    restart_flanneld,
    settings,
    wait_for_peers,
)
from fedwiz.diagnose.trace import outer
from fedwiz.diagnose.values import Case, Diagnosis, Fix
from fedwiz.etcd.leases import Lease
from fedwiz.facts.versions import STEALS_SUBNET, installed_version
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.nodes import SUBNET_ENV, addresses, subnet_of

OUTER = ("wrapping", "sending", "arriving", "firewall")
"""Hops where a wrong address of a node shows."""


def _raw(case: Case, lease: Lease | None) -> str:
    found = (it for it in case.known.store.leases if lease and it.key == lease.key)
    return next((sanitize(f"{it.key} {it.text}") for it in found), "")


def _value(case: Case, lease: Lease) -> str:
    return next(it.text for it in case.known.store.leases if it.key == lease.key)


def _intended_address(case: Case, host: str) -> str:
    """The address that a node should publish according to the answers; empty: unknown."""
    facts, node = case.facts(host), case.host(host)
    if node.interface:
        return facts.public_ip(node.interface)
    host_addresses = addresses(facts)
    return node.address if node.address in host_addresses else facts.public_ip("")


def _address_settings(case: Case, host: str) -> Settings | None:
    """Settings that make flanneld publish the intended address; None: none are needed, or do."""
    intended = _intended_address(case, host)
    by_answers = intended == case.facts(host).public_ip(case.host(host).interface)
    change = settings(case, host, "" if by_answers else intended)
    return change if intended and change and change.differences else None


def _remedy(case: Case, host: str) -> str:
    """The remedy, in a sentence."""
    node, intended = case.host(host), _intended_address(case, host)
    if not node.interface and intended == case.facts(host).public_ip(""):
        return f"take the other -iface out of FLANNEL_OPTIONS on {host}, restart flanneld"
    return (
        f"give {host} its `interface` in the answers, and -iface={node.interface or intended} in "
        "FLANNEL_OPTIONS there, then restart flanneld"
    )


def same_public_ip(case: Case) -> Iterator[Diagnosis]:
    """Two nodes publish one address and share its lease: to all others they are one node."""
    nodes = [host.name for host in case.answers.nodes if host.name in case.known.hosts]
    seen_hosts: set[str] = set()
    for host in case.ends:
        lease = lease_of_subnet(case, host)
        if lease is None or host in seen_hosts:
            continue
        twins = [
            name
            for name in nodes
            if lease.public_ip in addresses(case.facts(name))
            and lease_of_subnet(case, name) == lease
        ]
        if host not in twins or len(twins) < 2:
            continue
        seen_hosts |= set(twins)
        misconfigured = [
            name for name in twins if _intended_address(case, name) not in ("", lease.public_ip)
        ]
        changes = {name: _address_settings(case, name) for name in misconfigured}
        fixes = tuple(
            restart_flanneld(
                case, name, "forget", "move", ("keep", "move"), change=change, interrupts=True
            )
            for name, change in changes.items()
            if change
        )
        where = host if host in misconfigured or not misconfigured else misconfigured[0]
        yield Diagnosis(
            "same-public-ip",
            where,
            f"{' and '.join(twins)} publish one address, {lease.public_ip}, and share one subnet",
            "\n".join((_raw(case, lease), *(f"{name}: {_env(case, name)}" for name in twins))),
            "; ".join(_remedy(case, name) for name in misconfigured)
            or "give each node an address of its own",
            fixes if len(fixes) == len(misconfigured) else (),
            explains=not case.pings,
        )


def _env(case: Case, host: str) -> str:
    return sanitize(
        f"{SUBNET_ENV} says {(case.facts(host).subnet_env or {}).get('FLANNEL_SUBNET')}"
    )


def wrong_interface(case: Case) -> Iterator[Diagnosis]:
    """A node publishes an address that its peers can't reach, but has another that they can."""
    for host in case.ends:
        lease, intended = case.lease(host), _intended_address(case, host)
        host_addresses = addresses(case.facts(host))
        if lease is None or not intended or lease.public_ip in ("", intended):
            continue
        if (
            lease.public_ip not in host_addresses
            or intended not in host_addresses
            or lease_of_subnet(case, host) != lease
        ):
            continue
        twins = [name for name in case.known.hosts if name != host]
        if any(lease_of_subnet(case, name) == lease for name in twins):
            continue  # reported as `same-public-ip` or `lease-taken`
        affected = not case.pings and (not outer(case.net) or case.lost_at(*OUTER) or not case.hops)
        if not affected:
            continue
        change = _address_settings(case, host)
        undo_arguments = ("keep", "move")
        yield Diagnosis(
            "wrong-interface",
            host,
            f"{host} publishes {lease.public_ip}, which {case.peer(host)} does not reach; its own "
            f"address is {intended}",
            "\n".join((_raw(case, lease), *(map(sanitize, change.differences) if change else ()))),
            _remedy(case, host),
            (
                restart_flanneld(
                    case, host, "keep", "move", undo_arguments, change=change, interrupts=True
                ),
                *wait_for_peers(case, host, intended),
            )
            if change
            else (),
        )


def lease_taken(case: Case) -> Iterator[Diagnosis]:
    """Two nodes have one subnet, because subnet.env was cloned; the lease belongs to the other."""
    for host in case.ends:
        lease, subnet = lease_of_subnet(case, host), subnet_of(case.facts(host))
        if lease is None or subnet is None or lease.public_ip in addresses(case.facts(host)):
            continue
        owner = next(
            (
                name
                for name, facts in case.known.hosts.items()
                if name != host
                and lease.public_ip in addresses(facts)
                and subnet_of(facts) is not None
                and lease_of_subnet(case, name) == lease
            ),
            "",
        )
        if not owner:
            continue
        low, high = STEALS_SUBNET
        steals = low <= installed_version(case.facts(host)) <= high
        key_arguments = etcd_key_arguments(case, lease.key, _value(case, lease)) if steals else ()
        undo = (
            ""
            if key_arguments
            else "nothing: flannel would not take a subnet again that another has"
        )
        yield Diagnosis(
            "lease-taken",
            host,
            f"{host} and {owner} both have the subnet {subnet.network}, and its lease is {owner}'s",
            "\n".join(
                (_raw(case, lease), *(f"{name}: {_env(case, name)}" for name in (host, owner)))
            ),
            f"on {host}: `rm {SUBNET_ENV}`, restart flanneld, and move docker to its new subnet; "
            "an image for hosts must not hold that file",
            (
                restart_flanneld(
                    case,
                    host,
                    "forget",
                    "move",
                    ("recall", "move", *key_arguments) if key_arguments else None,
                    interrupts=True,
                    undo=undo,
                ),
                *wait_for_peers(case, host, _intended_address(case, host)),
            ),
            explains=not case.pings,
        )


def lease_missing(case: Case) -> Iterator[Diagnosis]:
    """A flanneld is running, but etcd has no lease of the node: nobody sends anything to it."""
    if not etcd_readable(case) or case.known.store.config is None:
        return
    for host in case.ends:
        if (
            not flanneld_ready(case, host)
            or case.lease(host) is not None
            or lease_of_subnet(case, host)
        ):
            continue
        if etcd.known_why(case, host):
            continue
        subnet = subnet_of(case.facts(host))
        subnet_stays = subnet is not None and subnet.network.subnet_of(case.net.network)
        fixes: tuple[Fix, ...] = (
            restart_flanneld(
                case,
                host,
                "keep",
                "leave" if subnet_stays else "move",
                None,
                interrupts=not subnet_stays,
                undo="nothing: a flanneld that runs takes a lease",
            ),
            *wait_for_peers(case, host, _intended_address(case, host)),
        )
        yield Diagnosis(
            "lease-missing",
            host,
            f"flanneld runs on {host}, and etcd has no lease of that node's, so the others know "
            "of no way to it",
            f"no key under {case.answers.etcd.prefix}/subnets names one of "
            f"{', '.join(sorted(addresses(case.facts(host))))}; {_env(case, host)}",
            f"`systemctl restart flanneld` on {host}: it takes its lease again",
            fixes,
            explains=not case.pings,
        )
