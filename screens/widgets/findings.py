"""Run checks on the answers so far, and format their findings for a page."""

from collections.abc import Iterable, Sequence

from textual.content import Content

from fedwiz.answers.file import Answers
from fedwiz.checks import CHECKS, Finding
from fedwiz.checks.finding import block, warn
from fedwiz.facts import ClusterFacts
from fedwiz.model.events import LEVELS_WORST_FIRST
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import some
from screens.widgets.signs import finding

MAX_SHOWN = 60
"""Findings shown at most; they are sorted worst first."""

_CHECKS = {it.name: it for it in CHECKS}


def check_findings(names: Iterable[str], answers: Answers, known: ClusterFacts) -> list[Finding]:
    """The findings of the named checks, in the order of the names."""
    return [it for name in names for it in _CHECKS[name].findings(answers, known)]


def unread_hosts(known: ClusterFacts) -> list[Finding]:
    """A warning for each host that could not be read, since no check covers it."""
    if not known.lost:
        return []
    seen = "not judged: it could not be read"
    return [
        warn(seen, "the page Hosts says why; F5 reads it again", name)
        for name in sorted(known.lost)
    ]


def level(findings: Iterable[Finding]) -> str:
    """The worst level among the findings; empty: there are none."""
    levels = {it.level for it in findings}
    return next((it for it in LEVELS_WORST_FIRST if it in levels), "")


def findings_content(findings: Sequence[Finding]) -> Content:
    """Findings as text, worst first; a finding that several hosts share is shown once."""
    hosts: dict[tuple[str, str, str], list[str]] = {}
    for it in findings:
        hosts.setdefault((it.level, it.seen, it.remedy), []).append(it.host)
    ordered = sorted(hosts.items(), key=lambda item: LEVELS_WORST_FIRST.index(item[0][0]))
    lines = [
        finding(level, some(filter(None, owners)), seen, remedy)
        for (level, seen, remedy), owners in ordered[:MAX_SHOWN]
    ]
    if len(ordered) > MAX_SHOWN:
        lines.append(Content.styled(f"and {len(ordered) - MAX_SHOWN} more", "$text-muted"))
    return Content("\n").join(lines)


def refusal_finding(why: str, key: str = "") -> Finding:
    """A refused answer as a finding: the problem, and after the `;` its remedy."""
    seen, _, remedy = why.partition("; ")
    return block(sanitize(seen), sanitize(remedy), key)


def why_blocked(findings: Iterable[Finding]) -> str:
    """What blocks going on, and its remedy; empty: nothing blocks."""
    stops = [it for it in findings if it.level == "block"]
    if not stops:
        return ""
    first, more = stops[0], len(stops) - 1
    where = f"{sanitize(first.host)}: " if first.host else ""
    also = f"  ({more} more)" if more else ""
    remedy = f"; {first.remedy}" if first.remedy else ""
    return f"{where}{first.seen}{remedy}{also}"
