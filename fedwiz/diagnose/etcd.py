"""Causes in etcd, in the connection to it, and in the clocks."""

import re
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from urllib.parse import urlsplit

from fedwiz.diagnose.refused import refusing
from fedwiz.diagnose.restarts import (
    FLANNELD,
    etcd_key_arguments,
    etcd_readable,
    is_cut_off,
    lease_of_subnet,
    prefix_of,
    restart_flanneld,
    settings,
    subnet_key,
)
from fedwiz.diagnose.values import Case, Cause, Diagnosis, Fix, fix_command
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
    """A host's clock is wrong: it renews its lease too late, or rejects valid certificates."""
    skews = {name: facts.skew for name, facts in case.known.hosts.items() if facts.clock}
    middle = median(skews.values()) if skews else 0.0
    for host in (*case.ends, case.answers.master.name):
        apart = skews.get(host, middle) - middle
        if abs(apart) <= CLOCKS_APART or len(skews) < 3:  # of two, either may be right
            continue
        where = "ahead of" if apart > 0 else "behind"
        unit = case.facts(host).unit(CHRONYD)
        fixes: tuple[Fix, ...] = ()
        remedy = f"set the clock of {host} right, and have chronyd or another NTP client keep it so"
        if unit.there:
            remedy = f"on {host}: `systemctl enable --now chronyd && chronyc makestep`"
            old_state = (
                "enabled" if unit.enabled == "enabled" else "disabled",
                "running" if unit.running else "stopped",
            )
            undo_run = run_script("clock", "back", *old_state, timeout=60)
            undo = "chronyd gets back to what it was; the clock stays right"
            fixes = (Fix(host, run_script("clock", "step", timeout=90, undo=undo, back=undo_run)),)
        yield Diagnosis(
            "clock-skew",
            host,
            f"the clock of {host} is {abs(apart):.0f} s {where} the others, so that leases and "
            "certificates end at the wrong time there",
            "\n".join(f"{name}: {skew - middle:+.1f} s" for name, skew in skews.items())
            + f"\nchronyd on {host}: {unit.active if unit.there else 'is not there'}",
            remedy,
            fixes,
            explains=False,
        )


def etcd_unreachable(case: Case) -> Iterator[Diagnosis]:
    """A node can't reach etcd, but others can: it learns of no new peers, and loses its lease."""
    working_urls = [
        url
        for url in case.answers.etcd.endpoints
        if any(_answers(facts, url) for facts in case.known.hosts.values())
    ]
    for host in case.ends:
        ends = {url: case.facts(host).etcd.get(url) for url in working_urls}
        failing = {url: end for url, end in ends.items() if end is not None and not end.version}
        if not failing or len(failing) < len(ends):
            continue
        url, end = next(iter(failing.items()))
        others = [name for name, facts in case.known.hosts.items() if _answers(facts, url)]
        suspect_host, suspect, fixes = _suspect(case, host, url)
        yield Diagnosis(
            "etcd-unreachable",
            suspect_host or host,
            f"{host} does not reach etcd at {url}: {_how(end)}"
            + (f", by {suspect}" * bool(suspect_host)),
            f"{host}: {sanitize(end.error) or 'no answer in 3 s'}\n{', '.join(others)}: it answers",
            _remedy_text(host, url, suspect_host, fixes),
            fixes,
            explains=is_cut_off(case, host),
        )


def _answers(facts: Facts, url: str) -> bool:
    end = facts.etcd.get(url)
    return end is not None and bool(end.version)


def _how(end: Endpoint) -> str:
    """Curl's message in plain words."""
    message = end.error.lower()
    for pattern, words in (
        (r"resolv", "the name is not known there"),
        (r"no route|prohibited|unreachable", "a firewall refuses it, or there is no route"),
        (r"refused", "it is refused"),
        (r"certificate|ssl|tls", "TLS fails"),
        (r"timed? ?out|^$", "no answer, so that something on the way drops it"),
    ):
        if re.search(pattern, message):
            return words
    return "no connection"


def _suspect(case: Case, host: str, url: str) -> tuple[str, str, tuple[Fix, ...]]:
    """Where packets to etcd are refused, by what, and the fix that accepts them."""
    parts, port = urlsplit(url), urlsplit(url).port or 2379
    master = case.answers.master
    server = case.facts(master.name)
    names = {master.name, master.address, server.hostname} | addresses(server)
    targets = sorted(addresses(server)) if parts.hostname in names else []
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
    firewalld, port_name = server.firewall, f"{port}/tcp"
    if targets and firewalld is not None and port_name not in firewalld.ports:
        zone = (
            f"--zone={firewalld.zone}"
            if re.fullmatch(r"[\w-]{1,40}", firewalld.zone)
            else "--quiet"
        )
        open_port = ("firewall-cmd", zone, f"--add-port={port_name}")
        close_port = ("firewall-cmd", zone, f"--remove-port={port_name}")
        return (
            master.name,
            f"firewalld on {master.name}",
            (fix_command(master.name, open_port, close_port),),
        )
    return "", "", ()


def _accept(host: str, words: tuple[str, ...]) -> Fix:
    return fix_command(host, ("iptables", "-w", "-I", *words), ("iptables", "-w", "-D", *words))


def _remedy_text(host: str, url: str, where: str, fixes: tuple[Fix, ...]) -> str:
    if not fixes:
        return f"see that `curl {url}/version` answers on {host}: its route, name and firewall"
    command = " ".join(fixes[0].do.argv) if hasattr(fixes[0].do, "argv") else ""
    more = (
        "once more with --permanent"
        if "firewall-cmd" in command
        else "the firewall's own rules too"
    )
    return f"on {where}: `{command}`, and {more}, so that it stays"


def other_prefix(case: Case) -> Iterator[Diagnosis]:
    """A node's flanneld uses another etcd prefix than the others: it is on a separate network."""
    prefix = f"/{case.answers.etcd.prefix.strip('/')}"
    for host in case.ends:
        actual, facts = prefix_of(case, host), case.facts(host)
        change = settings(case, host)
        if actual is None or actual == prefix or change is None:
            continue
        subnet, lease = subnet_of(facts), case.lease(host)
        subnet_stays = subnet is not None and subnet.network.subnet_of(case.net.network)
        subnet_lease = lease_of_subnet(case, host)
        subnet_stays &= subnet_lease is None or subnet_lease == lease
        key_arguments: tuple[str, ...] = ()
        if subnet is not None and lease is None and etcd_readable(case):
            key_arguments = etcd_key_arguments(case, subnet_key(case, subnet.network), "")
        undo_mode = "keep" if facts.unit(FLANNELD).active == "active" else "try"
        docker = "leave" if subnet_stays else "move"
        yield Diagnosis(
            "other-prefix",
            host,
            f"flanneld on {host} looks for the network under {actual} in etcd, not under {prefix} "
            "as the others do",
            "\n".join(
                (
                    *map(sanitize, change.differences),
                    f"no lease under {prefix} is of {host}" if lease is None else "",
                )
            ).strip(),
            f"write the prefix {prefix} into {SYSCONFIG} of {host}, and restart flanneld",
            (
                restart_flanneld(
                    case,
                    host,
                    "keep",
                    docker,
                    (undo_mode, docker, *key_arguments),
                    change=change,
                    interrupts=not subnet_stays,
                ),
            ),
            explains=is_cut_off(case, host),
        )


def other_api(case: Case) -> Iterator[Diagnosis]:
    """The config of flannel is missing where its version reads it; etcd's other API may have it."""
    store, answers = case.known.store, case.answers
    if not etcd_readable(case) or store.config is not None:
        return
    other = "v2" if store.api == "v3" else "v3"
    where = f"it is in {other}, which this flannel does not read" if store.other else "nor in "
    where += "" if store.other else other
    fixes: list[Fix] = []
    for put in config_step.left(answers, answers.master, case.known):
        assert isinstance(put, PutKey)  # noqa: S101 - that step writes a key
        key_arguments = (
            etcd_key_arguments(case, put.key, put.value or "") if put.previous is None else ()
        )
        undo_run = (
            run_script("etcd-key", key_arguments[0], *key_arguments[1:], timeout=30)
            if key_arguments
            else None
        )
        fixes.append(Fix(answers.master.name, replace(put, back=undo_run)))
    ready = answers.docker.ready_within
    for name, facts in case.known.hosts.items():
        if facts.unit(FLANNELD).active == "activating":  # it is waiting for the config
            fixes.append(
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
        tuple(fixes),
        explains=any(is_cut_off(case, host) and not _ready(case, host) for host in case.ends),
    )


def _ready(case: Case, host: str) -> bool:
    return case.facts(host).unit(FLANNELD).active == "active"


def known_why(case: Case, host: str) -> bool:
    """Whether other causes already explain why flanneld does not get ready on a node."""
    alone = replace(case, sender=host, receiver=host)
    reasons: tuple[Cause, ...] = (etcd_unreachable, other_api, other_prefix)
    return any(True for reason in reasons for _ in reason(alone))
