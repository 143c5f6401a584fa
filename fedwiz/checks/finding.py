"""The Check type, its findings, and helpers for all checks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, Facts
from fedwiz.model.events import Found
from fedwiz.util.sanitize import sanitize

CHECK_AGAIN = "run `fedwiz check` again"


Finding: TypeAlias = Found
"""The journal's event serves as the finding; `Check` fills in the check's name."""


def ok(seen: str, host: str = "") -> Finding:
    """Nothing is wrong.  For the whole cluster it is reported only if nothing else is."""
    return Finding("", host, "ok", seen)


def warn(seen: str, remedy: str, host: str = "") -> Finding:
    """The install can proceed, but the operator should know."""
    return Finding("", host, "warn", seen, remedy)


def block(seen: str, remedy: str, host: str = "") -> Finding:
    """The install would fail, or do harm."""
    return Finding("", host, "block", seen, remedy)


def unread(what: str, host: str = "", remedy: str = CHECK_AGAIN) -> Finding:
    """A fact is missing, so the check can't judge: a warning, never a pass."""
    return warn(f"not judged: {what} could not be read", remedy, host)


Judge: TypeAlias = Callable[[Answers, ClusterFacts], Iterator[Finding]]
About: TypeAlias = Literal["cluster", "master", "nodes", "hosts"]


def reached_hosts(
    answers: Answers, known: ClusterFacts, about: About = "hosts"
) -> Iterator[tuple[Host, Facts]]:
    """The hosts that could be read, with their facts."""
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
    """Stable: `--accept` and scripts refer to it."""

    title: str
    judge: Judge
    about: About

    def findings(self, answers: Answers, known: ClusterFacts) -> Iterator[Finding]:
        """Its findings: at least one, whatever was read."""
        answered = self.about == "cluster" or any(reached_hosts(answers, known, self.about))
        found = list(self.judge(answers, known)) if answered else []
        if not answered:
            found = [unread(f"the {self.about}", remedy="see the check `reachable`")]
        others = any(it.host or it.level != "ok" for it in found)
        for finding in found:
            if finding.host or finding.level != "ok" or not others:
                yield replace(
                    finding,
                    check=self.name,
                    seen=_line(finding.seen),
                    remedy=_line(finding.remedy),
                )


def check(name: str, title: str, about: About = "cluster") -> Callable[[Judge], Check]:
    """Turn a judging function into a check.

    Args:
        name: kebab-case.
        title: the question that the check answers.
        about: the hosts that it reads; if none of them could be read, it can't judge.
    """
    return lambda judge: Check(name, title, judge, about)


def _line(text: str) -> str:
    return sanitize(" ".join(text.split()))


def published(answers: Answers, known: ClusterFacts) -> set[str]:
    """The nodes' addresses: those that flannel publishes, and those that fedwiz connects to."""
    found = {
        facts.public_ip(host.interface) for host, facts in reached_hosts(answers, known, "nodes")
    }
    return (found | {host.address for host in answers.nodes}) - {""}


def duplicates(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Non-empty values that two or more hosts share, from (host, value) pairs."""
    owners: dict[str, list[str]] = {}
    for host, value in pairs:
        hosts = owners.setdefault(value, [])
        if value and host not in hosts:
            hosts.append(host)
    yield from ((value, hosts) for value, hosts in owners.items() if len(hosts) > 1)
