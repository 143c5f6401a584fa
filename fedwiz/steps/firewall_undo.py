"""The step of an install's way back that puts the rules of iptables back."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, Facts
from fedwiz.model.actions import Run
from fedwiz.steps.docker import CHAINS, FORWARD_UNIT
from fedwiz.steps.make import run_script, within
from fedwiz.steps.table import step


@step("unrule", "Put the rules of iptables back", stage="back")
def unrule(answers: Answers, host: Host, known: ClusterFacts) -> Iterator[Run]:
    """What flannel and fedwiz added goes; FORWARD's policy, and who let this network through, stay.

    Of rules that are there once more than they were one goes; docker's own it takes along itself.
    """
    facts = known.hosts[host.name]
    if facts.kept is None:
        return
    was = facts.kept.was.rules
    fresh = {
        table: list((Counter(rules) - Counter(was[table])).elements())
        for table, rules in facts.rules.items()
        if table in was
    }
    nets = {answers.network.cidr, *_networks(fresh)}
    gone, chains = list[str](), list[str]()
    for table, rules in fresh.items():
        goes = {rule[3:] for rule in rules if rule.startswith("-N FLANNEL-")}
        for rule in rules:
            flag, chain, *rest = rule.split(" ")
            if flag == "-N" and chain in goes:
                chains += [f"{table} -F {chain}", f"{table} -X {chain}"]
            elif flag == "-A" and chain not in goes and _of_networks(rest, nets):
                gone.append(f"{table} -D {rule[3:]}")
    lines = [*sorted(gone), *sorted(chains), *_kept_rules(answers, facts, was)]
    if lines:
        yield run_script("unrule", stdin=("".join(f"{line}\n" for line in lines),))


def _kept_rules(
    answers: Answers, facts: Facts, was: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """A policy that has changed; what let the network through, which fedwiz's unit takes along."""
    now = facts.rules.get("filter", ())
    cidr, unit_there = answers.network.cidr, FORWARD_UNIT in facts.files
    for rule in was.get("filter", ()):
        if rule.startswith("-P FORWARD ") and now and rule not in now:
            yield f"filter {rule}"
        same = [f"-A {chain} -s {cidr} -d {cidr} -j ACCEPT" for chain in CHAINS]
        if rule in same and (unit_there or rule not in now):
            yield f"filter -I {rule[3:]}"


MASQUERADED = re.compile(r"-s (\S+) ! -d 224\.0\.0\.0/4 .*-j MASQUERADE")
PASSED = re.compile(r"-A FORWARD -[sd] (\S+) (?:-m comment --comment \S+ )?-j ACCEPT")


def _networks(fresh: Mapping[str, list[str]]) -> Iterator[str]:
    """Networks of an earlier answer's, by rules of flannel's that it left: they come in pairs."""
    yield from (found[1] for rule in fresh.get("nat", ()) if (found := MASQUERADED.search(rule)))
    passed = Counter(
        found[1] for rule in fresh.get("filter", ()) if (found := PASSED.fullmatch(rule))
    )
    yield from (net for net, count in passed.items() if count > 1)


def _of_networks(words: list[str], nets: set[str]) -> bool:
    """A rule leads to flannel's chains, or is about these networks' addresses."""
    return any(
        (flag == "-j" and value.startswith("FLANNEL-"))
        or (flag in ("-s", "-d") and any(within(value, net) for net in nets))
        for flag, value in pairwise(words)
    )
