"""Causes in who has which subnet, and which address is told for it."""

from collections.abc import Iterator

from fedwiz.diagnose import etcd
from fedwiz.diagnose.restarts import (
    Settings,
    both_ways,
    key_words,
    leased,
    readable,
    restart,
    runs,
    settings,
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


def _wanted(case: Case, host: str) -> str:
    """The address that a node is to publish, as the answers have it; empty: not known."""
    facts, node = case.facts(host), case.host(host)
    if node.interface:
        return facts.public_ip(node.interface)
    own = addresses(facts)
    return node.address if node.address in own else facts.public_ip("")


def _told(case: Case, host: str) -> Settings | None:
    """Settings by which flanneld publishes the wanted address; None: it can't be told so."""
    wanted = _wanted(case, host)
    plain = wanted == case.facts(host).public_ip(case.host(host).interface)
    change = settings(case, host, "" if plain else wanted)
    return change if wanted and change and change.wrong else None


def _iface(case: Case, host: str) -> str:
    """A sentence that says what to do."""
    node, wanted = case.host(host), _wanted(case, host)
    if not node.interface and wanted == case.facts(host).public_ip(""):
        return f"take the other -iface out of FLANNEL_OPTIONS on {host}, restart flanneld"
    return (
        f"give {host} its `interface` in the answers, and -iface={node.interface or wanted} in "
        "FLANNEL_OPTIONS there, then restart flanneld"
    )


def same_public_ip(case: Case) -> Iterator[Diagnosis]:
    """Two nodes publish one address, and share its lease: both are the same to all others."""
    nodes = [host.name for host in case.answers.nodes if host.name in case.known.hosts]
    done: set[str] = set()
    for host in case.ends:
        lease = leased(case, host)
        if lease is None or host in done:
            continue
        twins = [
            name
            for name in nodes
            if lease.public_ip in addresses(case.facts(name)) and leased(case, name) == lease
        ]
        if host not in twins or len(twins) < 2:
            continue
        done |= set(twins)
        wrong = [name for name in twins if _wanted(case, name) not in ("", lease.public_ip)]
        changes = {name: _told(case, name) for name in wrong}
        mends = tuple(
            restart(case, name, "forget", "move", ("keep", "move"), change=change, interrupts=True)
            for name, change in changes.items()
            if change
        )
        where = host if host in wrong or not wrong else wrong[0]
        yield Diagnosis(
            "same-public-ip",
            where,
            f"{' and '.join(twins)} publish one address, {lease.public_ip}, and share one subnet",
            "\n".join((_raw(case, lease), *(f"{name}: {_env(case, name)}" for name in twins))),
            "; ".join(_iface(case, name) for name in wrong)
            or "give each node an address of its own",
            mends if len(mends) == len(wrong) else (),
            explains=not case.pings,
        )


def _env(case: Case, host: str) -> str:
    return sanitize(
        f"{SUBNET_ENV} says {(case.facts(host).subnet_env or {}).get('FLANNEL_SUBNET')}"
    )


def wrong_interface(case: Case) -> Iterator[Diagnosis]:
    """A node publishes an address that its peers can't reach, and has another that they can."""
    for host in case.ends:
        lease, wanted = case.lease(host), _wanted(case, host)
        own = addresses(case.facts(host))
        if lease is None or not wanted or lease.public_ip in ("", wanted):
            continue
        if lease.public_ip not in own or wanted not in own or leased(case, host) != lease:
            continue
        twins = [name for name in case.known.hosts if name != host]
        if any(leased(case, name) == lease for name in twins):
            continue  # that is `same-public-ip` or `lease-taken`
        lost = not case.pings and (not outer(case.net) or case.lost_at(*OUTER) or not case.hops)
        if not lost:
            continue
        change = _told(case, host)
        back = ("keep", "move")
        yield Diagnosis(
            "wrong-interface",
            host,
            f"{host} publishes {lease.public_ip}, which {case.peer(host)} does not reach; its own "
            f"address is {wanted}",
            "\n".join((_raw(case, lease), *(map(sanitize, change.wrong) if change else ()))),
            _iface(case, host),
            (
                restart(case, host, "keep", "move", back, change=change, interrupts=True),
                *both_ways(case, host, wanted),
            )
            if change
            else (),
        )


def lease_taken(case: Case) -> Iterator[Diagnosis]:
    """Two nodes have one subnet, by a cloned subnet.env; the lease of it is the other's."""
    for host in case.ends:
        lease, subnet = leased(case, host), subnet_of(case.facts(host))
        if lease is None or subnet is None or lease.public_ip in addresses(case.facts(host)):
            continue
        owner = next(
            (
                name
                for name, facts in case.known.hosts.items()
                if name != host
                and lease.public_ip in addresses(facts)
                and subnet_of(facts) is not None
                and leased(case, name) == lease
            ),
            "",
        )
        if not owner:
            continue
        low, high = STEALS_SUBNET
        steals = low <= installed_version(case.facts(host)) <= high
        words = key_words(case, lease.key, _value(case, lease)) if steals else ()
        undo = "" if words else "nothing: flannel would not take a subnet again that another has"
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
                restart(
                    case,
                    host,
                    "forget",
                    "move",
                    ("recall", "move", *words) if words else None,
                    interrupts=True,
                    undo=undo,
                ),
                *both_ways(case, host, _wanted(case, host)),
            ),
            explains=not case.pings,
        )


def lease_missing(case: Case) -> Iterator[Diagnosis]:
    """A flanneld runs, and etcd has no lease of the node's: nobody sends anything there."""
    if not readable(case) or case.known.store.config is None:
        return
    for host in case.ends:
        if not runs(case, host) or case.lease(host) is not None or leased(case, host):
            continue
        if etcd.known_why(case, host):
            continue
        subnet = subnet_of(case.facts(host))
        stays = subnet is not None and subnet.network.subnet_of(case.net.network)
        mends: tuple[Fix, ...] = (
            restart(
                case,
                host,
                "keep",
                "leave" if stays else "move",
                None,
                interrupts=not stays,
                undo="nothing: a flanneld that runs takes a lease",
            ),
            *both_ways(case, host, _wanted(case, host)),
        )
        yield Diagnosis(
            "lease-missing",
            host,
            f"flanneld runs on {host}, and etcd has no lease of that node's, so the others know "
            "of no way to it",
            f"no key under {case.answers.etcd.prefix}/subnets names one of "
            f"{', '.join(sorted(addresses(case.facts(host))))}; {_env(case, host)}",
            f"`systemctl restart flanneld` on {host}: it takes its lease again",
            mends,
            explains=not case.pings,
        )
