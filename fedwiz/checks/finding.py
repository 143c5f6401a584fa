"""What a check is, and what it says."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, Facts
from fedwiz.model.events import Found
from fedwiz.util.sanitize import sanitize

CHECK_AGAIN = "run `fedwiz check` again"


Finding: TypeAlias = Found
"""A finding is told as it is; its check's name is empty only until the check puts it there."""


def ok(seen: str, host: str = "") -> Finding:
    """All is well.  About the cluster it is said only where the check says nothing else."""
    return Finding("", host, "ok", seen)


def warn(seen: str, remedy: str, host: str = "") -> Finding:
    """It can go on, and the operator should know."""
    return Finding("", host, "warn", seen, remedy)


def block(seen: str, remedy: str, host: str = "") -> Finding:
    """It would fail, or do harm."""
    return Finding("", host, "block", seen, remedy)


def unread(what: str, host: str = "", remedy: str = CHECK_AGAIN) -> Finding:
    """A fact is missing, so nobody knows: a warning, and never a pass."""
    return warn(f"not judged: {what} could not be read", remedy, host)


Judge: TypeAlias = Callable[[Answers, ClusterFacts], Iterator[Finding]]
About: TypeAlias = Literal["cluster", "master", "nodes", "hosts"]


def heard(
    answers: Answers, known: ClusterFacts, about: About = "hosts"
) -> Iterator[tuple[Host, Facts]]:
    """The hosts that answered, with what they said."""
    for host in answers.host:
        if (about == "nodes" and host.role != "node") or (
            about == "master" and host.role != "master"
        ):
            continue
        if host.name in known.hosts and host.name not in known.lost:
            yield host, known.hosts[host.name]


@dataclass(frozen=True, slots=True)
class Check:
    """One row of CHECKS."""

    name: str
    """Stable: `--accept` and scripts use it."""

    title: str
    judge: Judge
    about: About

    def findings(self, answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
        """What it finds: at least one finding, whatever was read."""
        asked = self.about == "cluster" or any(heard(answers, known, self.about))
        found = list(self.judge(answers, known)) if asked else []
        if not asked:
            found = [unread(f"the {self.about}", remedy="see the check `reachable`")]
        others = any(f.host or f.level != "ok" for f in found)
        for finding in found:
            if finding.host or finding.level != "ok" or not others:
                yield replace(
                    finding,
                    check=self.name,
                    seen=_line(finding.seen),
                    remedy=_line(finding.remedy),
                )


def check(name: str, title: str, about: About = "cluster") -> Callable[[Judge], Check]:
    """Make a check of the function that judges.

    Args:
        name: kebab-case.
        title: the question that it answers.
        about: which hosts it reads; where none of them answered, it can't judge.
    """
    return lambda judge: Check(name, title, judge, about)


def _line(text: str) -> str:
    return sanitize(" ".join(text.split()))


def some(words: Iterable[str], most: int = 4) -> str:
    """`a, b, c, d and 3 more`."""
    each = list(words)
    rest = len(each) - most
    return ", ".join(each[:most]) + (f" and {rest} more" if rest > 0 else "")


def count(number: int, one: str, many: str = "") -> str:
    """`1 node`, `3 nodes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def published(answers: Answers, known: ClusterFacts) -> set[str]:
    """The addresses that flannel publishes for the nodes, and those at which fedwiz seeks them."""
    found = {facts.public_ip(host.interface) for host, facts in heard(answers, known, "nodes")}
    return (found | {host.address for host in answers.nodes}) - {""}


def shared(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Values that two hosts or more have, of (host, value) pairs; empty values are none."""
    owners: dict[str, list[str]] = {}
    for host, value in pairs:
        held = owners.setdefault(value, [])
        if value and host not in held:
            held.append(host)
    yield from ((value, hosts) for value, hosts in owners.items() if len(hosts) > 1)
