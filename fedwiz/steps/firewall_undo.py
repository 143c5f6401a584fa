"""The undo step that restores the rules of iptables."""

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
    """Delete the rules of flannel and fedwiz; restore FORWARD's policy and the network's own rules.

    A rule that now occurs once more than before is deleted once. Docker removes its own rules.
    """
    facts = known.hosts[host.name]
    if facts.backup is None:
        return
    was = facts.backup.was.rules
    added_rules = {
        table: list((Counter(rules) - Counter(was[table])).elements())
        for table, rules in facts.rules.items()
        if table in was
    }
    networks = {answers.network.cidr, *_networks(added_rules)}
    deleted, chains = list[str](), list[str]()
    for table, rules in added_rules.items():
        own_chains = {rule[3:] for rule in rules if rule.startswith("-N FLANNEL-")}
        for rule in rules:
            option, chain, *rest = rule.split(" ")
            if option == "-N" and chain in own_chains:
                chains += [f"{table} -F {chain}", f"{table} -X {chain}"]
            elif option == "-A" and chain not in own_chains and _of_networks(rest, networks):
                deleted.append(f"{table} -D {rule[3:]}")
    lines = [*sorted(deleted), *sorted(chains), *_restored_rules(answers, facts, was)]
    if lines:
        yield run_script("unrule", stdin=("".join(f"{line}\n" for line in lines),))


def _restored_rules(
    answers: Answers, facts: Facts, was: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """A changed policy; rules that accepted the network before and that fedwiz's unit deletes."""
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


def _networks(added_rules: Mapping[str, list[str]]) -> Iterator[str]:
    """Networks of earlier answers, from flannel rules left behind, which come in pairs."""
    yield from (
        found[1] for rule in added_rules.get("nat", ()) if (found := MASQUERADED.search(rule))
    )
    passed = Counter(
        found[1] for rule in added_rules.get("filter", ()) if (found := PASSED.fullmatch(rule))
    )
    yield from (network for network, count in passed.items() if count > 1)


def _of_networks(words: list[str], networks: set[str]) -> bool:
    """Whether a rule jumps to flannel's chains, or matches addresses of these networks."""
    return any(
        (flag == "-j" and value.startswith("FLANNEL-"))
        or (flag in ("-s", "-d") and any(within(value, net) for net in networks))
        for flag, value in pairwise(words)
    )
