"""Causes in etcd, on the way to it, and in the clocks."""

import re
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from urllib.parse import urlsplit

from fedwiz.diagnose.cause import Cause, mend
from fedwiz.diagnose.refused import refusing
from fedwiz.diagnose.restarts import (
    FLANNELD,
    cut,
    key_words,
    leased,
    prefix_of,
    readable,
    restart,
    settings,
    subnet_key,
)
from fedwiz.diagnose.values import Case, Diagnosis, Fix
from fedwiz.facts.values import Endpoint, Facts
from fedwiz.facts.versions import CLOCKS_APART
from fedwiz.model.actions import PutKey
from fedwiz.steps.flannel import SYSCONFIG
from fedwiz.steps.flannel import config as config_step
from fedwiz.steps.make import run_script
from fedwiz.util.sanitize import sanitize
from fedwiz.verify.nodes import addresses, subnet_of

CHRONYD = "chronyd.service"


def clock_skew(case: Case) -> Iterator[Diagnosis]:
    """A host's clock is off: it renews its lease too late, or takes certificates for invalid."""
    skews = {name: facts.skew for name, facts in case.known.hosts.items() if facts.clock}
    middle = median(skews.values()) if skews else 0.0
    for host in (*case.ends, case.answers.master.name):
        apart = skews.get(host, middle) - middle
        if abs(apart) <= CLOCKS_APART or len(skews) < 3:  # of two nobody knows which is right
            continue
        where = "ahead of" if apart > 0 else "behind"
        unit = case.facts(host).unit(CHRONYD)
        mends: tuple[Fix, ...] = ()
        remedy = f"set the clock of {host} right, and have chronyd or another NTP client keep it so"
        if unit.there:
            remedy = f"on {host}: `systemctl enable --now chronyd && chronyc makestep`"
            was = (
                "enabled" if unit.enabled == "enabled" else "disabled",
                "running" if unit.running else "stopped",
            )
            back = run_script("clock", "back", *was, timeout=60)
            undo = "chronyd gets back to what it was; the clock stays right"
            mends = (Fix(host, run_script("clock", "step", timeout=90, undo=undo, back=back)),)
        yield Diagnosis(
            "clock-skew",
            host,
            f"the clock of {host} is {abs(apart):.0f} s {where} the others, so that leases and "
            "certificates end at the wrong time there",
            "\n".join(f"{name}: {skew - middle:+.1f} s" for name, skew in skews.items())
            + f"\nchronyd on {host}: {unit.active if unit.there else 'is not there'}",
            remedy,
            mends,
            explains=False,
        )


def etcd_unreachable(case: Case) -> Iterator[Diagnosis]:
    """A node does not reach etcd, and others do: it learns of no new peer, and loses its lease."""
    well = [
        url
        for url in case.answers.etcd.endpoints
        if any(_answers(facts, url) for facts in case.known.hosts.values())
    ]
    for host in case.ends:
        ends = {url: case.facts(host).etcd.get(url) for url in well}
        bad = {url: end for url, end in ends.items() if end is not None and not end.version}
        if not bad or len(bad) < len(ends):
            continue
        url, end = next(iter(bad.items()))
        others = [name for name, facts in case.known.hosts.items() if _answers(facts, url)]
        where, suspect, mends = _suspect(case, host, url)
        yield Diagnosis(
            "etcd-unreachable",
            where or host,
            f"{host} does not reach etcd at {url}: {_how(end)}" + (f", by {suspect}" * bool(where)),
            f"{host}: {sanitize(end.error) or 'no answer in 3 s'}\n{', '.join(others)}: it answers",
            _opened(host, url, where, mends),
            mends,
            explains=cut(case, host),
        )


def _answers(facts: Facts, url: str) -> bool:
    end = facts.etcd.get(url)
    return end is not None and bool(end.version)


def _how(end: Endpoint) -> str:
    """Curl's words in others."""
    said = end.error.lower()
    for pattern, words in (
        (r"resolv", "the name is not known there"),
        (r"no route|prohibited|unreachable", "a firewall refuses it, or there is no route"),
        (r"refused", "it is refused"),
        (r"certificate|ssl|tls", "TLS fails"),
        (r"timed? ?out|^$", "no answer, so that something on the way drops it"),
    ):
        if re.search(pattern, said):
            return words
    return "no connection"


def _suspect(case: Case, host: str, url: str) -> tuple[str, str, tuple[Fix, ...]]:
    """Where packets to etcd are refused, by what, and what lets them through."""
    there, port = urlsplit(url), urlsplit(url).port or 2379
    master = case.answers.master
    server = case.facts(master.name)
    known_as = {master.name, master.address, server.hostname} | addresses(server)
    targets = sorted(addresses(server)) if there.hostname in known_as else []
    sources = sorted(addresses(case.facts(host)))
    for target in targets:
        rule = refusing(case.facts(host).rules.get("filter", ()), "OUTPUT", "", target, port)
        if rule:
            words = ("OUTPUT", "-d", target, "-p", "tcp", "--dport", str(port), "-j", "ACCEPT")
            return host, f"`{rule}` on {host}", (_accept(host, words),)
    for source in sources if targets else ():
        rule = refusing(server.rules.get("filter", ()), "INPUT", source, "", port)
        if rule:
            words = ("INPUT", "-s", source, "-p", "tcp", "--dport", str(port), "-j", "ACCEPT")
            return master.name, f"`{rule}` on {master.name}", (_accept(master.name, words),)
    wall, opened = server.firewall, f"{port}/tcp"
    if targets and wall is not None and opened not in wall.ports:
        zone = f"--zone={wall.zone}" if re.fullmatch(r"[\w-]{1,40}", wall.zone) else "--quiet"
        one = ("firewall-cmd", zone, f"--add-port={opened}")
        back = ("firewall-cmd", zone, f"--remove-port={opened}")
        return master.name, f"firewalld on {master.name}", (mend(master.name, one, back),)
    return "", "", ()


def _accept(host: str, words: tuple[str, ...]) -> Fix:
    return mend(host, ("iptables", "-w", "-I", *words), ("iptables", "-w", "-D", *words))


def _opened(host: str, url: str, where: str, mends: tuple[Fix, ...]) -> str:
    if not mends:
        return f"see that `curl {url}/version` answers on {host}: its route, name and firewall"
    say = " ".join(mends[0].do.argv) if hasattr(mends[0].do, "argv") else ""
    more = "once more with --permanent" if "firewall-cmd" in say else "the firewall's own rules too"
    return f"on {where}: `{say}`, and {more}, so that it stays"


def other_prefix(case: Case) -> Iterator[Diagnosis]:
    """A node's flanneld lives under another prefix in etcd than the others, apart from them."""
    wanted = f"/{case.answers.etcd.prefix.strip('/')}"
    for host in case.ends:
        told, facts = prefix_of(case, host), case.facts(host)
        change = settings(case, host)
        if told is None or told == wanted or change is None:
            continue
        subnet, lease = subnet_of(facts), case.lease(host)
        stays = subnet is not None and subnet.network.subnet_of(case.net.network)
        taken = leased(case, host)
        stays &= taken is None or taken == lease
        words: tuple[str, ...] = ()
        if subnet is not None and lease is None and readable(case):
            words = key_words(case, subnet_key(case, subnet.network), "")
        way = "keep" if facts.unit(FLANNELD).active == "active" else "try"
        docker = "leave" if stays else "move"
        yield Diagnosis(
            "other-prefix",
            host,
            f"flanneld on {host} looks for the network under {told} in etcd, not under {wanted} "
            "as the others do",
            "\n".join(
                (
                    *map(sanitize, change.wrong),
                    f"no lease under {wanted} is of {host}" if lease is None else "",
                )
            ).strip(),
            f"write the prefix {wanted} into {SYSCONFIG} of {host}, and restart flanneld",
            (
                restart(
                    case,
                    host,
                    "keep",
                    docker,
                    (way, docker, *words),
                    change=change,
                    interrupts=not stays,
                ),
            ),
            explains=cut(case, host),
        )


def other_api(case: Case) -> Iterator[Diagnosis]:
    """The config of flannel is not where its version reads: in etcd's other API, or nowhere."""
    store, answers = case.known.store, case.answers
    if not readable(case) or store.config is not None:
        return
    other = "v2" if store.api == "v3" else "v3"
    where = f"it is in {other}, which this flannel does not read" if store.other else "nor in "
    where += "" if store.other else other
    mends: list[Fix] = []
    for put in config_step.left(answers, answers.master, case.known):
        assert isinstance(put, PutKey)  # noqa: S101 - that step writes a key
        words = key_words(case, put.key, put.value or "") if put.previous is None else ()
        back = run_script("etcd-key", words[0], *words[1:], timeout=30) if words else None
        mends.append(Fix(answers.master.name, replace(put, back=back)))
    ready = answers.docker.ready_within
    for name, facts in case.known.hosts.items():
        if facts.unit(FLANNELD).active == "activating":  # it waits for that
            mends.append(
                Fix(
                    name,
                    run_script(
                        "restart",
                        "wait",
                        "leave",
                        "-",
                        str(ready),
                        timeout=45 + ready,
                        undo="nothing was changed",
                    ),
                )
            )
    yield Diagnosis(
        "other-api",
        answers.master.name,
        f"flannel's configuration is not in etcd's {store.api}, which flannel reads: {where}",
        f"{store.api} {answers.key}: no such key"
        + (f"\n{other} {answers.key}: {sanitize(store.other)[:200]}" if store.other else ""),
        f"write {answers.key} through {store.api}; running daemons notice at their next start",
        tuple(mends),
        explains=any(cut(case, host) and not _ready(case, host) for host in case.ends),
    )


def _ready(case: Case, host: str) -> bool:
    return case.facts(host).unit(FLANNELD).active == "active"


def known_why(case: Case, host: str) -> bool:
    """Whether it is known, apart from what flanneld says, why it does not get ready on a node."""
    alone = replace(case, sender=host, receiver=host)
    reasons: tuple[Cause, ...] = (etcd_unreachable, other_api, other_prefix)
    return any(True for reason in reasons for _ in reason(alone))
