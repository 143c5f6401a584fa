"""The content of the review page as data and text: findings, each host's plan, answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from textual.content import Content

from fedwiz.checks import Finding
from fedwiz.engine.plan import Kind, Plan, of_host
from fedwiz.engine.verbs import Result
from fedwiz.model.actions import Run
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import count
from fedwiz.wizard.draft import ASKED_ON
from screens.widgets.findings import findings_content, level
from screens.widgets.frame import PAGE_TITLES
from screens.widgets.signs import finding, mark

FINDINGS, ANSWERS, HOST = "findings", "answers", "host "
"""Keys of the list's items; a host's name follows HOST."""

HERE = "F2 here"
PAGE_BY_CHECK: Mapping[str, str] = {
    "reachable": "hosts",
    "distinct-names": "hosts",
    "labels": "hosts",
    "network-public": "network",
    "network-overlap": "network",
    "network-capacity": "network",
    "interface": "interfaces",
    "same-link": "backend",
    "mtu": "backend",
    "hypervisor": "backend",
    "backend-kernel": "backend",
    "etcd-api": "",
    "flannel-package": "",
    "flannel-version": "",
    "flannel-options": "",
}
"""By check, the page that asks for what it evaluates; empty: the review page does."""

PLAN_STYLES: Mapping[Kind, str] = {
    "step": "bold",
    "run": "$primary",
    "input": "$text-muted",
    "stops": "bold $warning",
    "undo": "$text-muted",
}


def where_asked(page: str) -> str:
    """Where to correct an answer."""
    return f"page {PAGE_TITLES[page]}" if page in PAGE_TITLES and page != "review" else HERE


@dataclass(frozen=True, slots=True)
class Stop:
    """A host on which containers stop, or which reboots."""

    host: str
    containers: int
    """Containers running there now."""

    reboots: bool

    @property
    def harms(self) -> bool:
        """Whether something that runs now will be stopped."""
        return self.containers > 0 or self.reboots

    def __str__(self) -> str:
        """For example `2 containers run there now`."""
        containers = count(self.containers, "container") if self.containers else "no container"
        return (
            f"{containers} run{'s' * (self.containers < 2)} there now"
            + self.reboots * ", it reboots"
        )


def stops(result: Result) -> tuple[Stop, ...]:
    """The hosts on which docker restarts, or which reboot."""
    found = list[Stop]()
    if result.plan is None or result.known is None:
        return ()
    for host in result.plan.hosts:
        actions = [it for task in result.plan.tasks(host) for it in task.actions]
        runs = [it for it in actions if isinstance(it, Run)]
        reboots = any(it.reboots for it in runs)
        if reboots or any(it.interrupts for it in runs):
            facts = result.known.hosts.get(host)
            found.append(Stop(host, facts.containers if facts else 0, reboots))
    return tuple(found)


def items(result: Result) -> list[tuple[str, Content]]:
    """The list: each item's key and its line."""
    found = [(FINDINGS, _findings_line(result.findings))]
    plan, known = result.plan, result.known
    if plan is not None and known is not None:
        width = min(max(len(sanitize(host)) for host in plan.hosts), 24)
        harmed = {it.host for it in stops(result) if it.harms}
        digits = len(str(max(plan.actions.values(), default=0)))
        for host, actions in plan.actions.items():
            named = sanitize(host)
            named = named if len(named) <= width else f"{named[: width - 1]}…"
            word, text = "", f"{actions:>{digits}} operation{'s' * (actions != 1)}"
            if host in known.lost:
                word, text = "lost", "not read"
            elif not actions:
                word, text = "ok", "nothing to do"
            elif host in harmed:
                word, text = "warn", f"{text}, containers stop"
            line = f"{named:<{width}}  {text}"
            found.append((HOST + host, mark(word, line) if word else Content(f"  {line}")))
    found.append((ANSWERS, Content("  Answers")))
    return found


def _findings_line(findings: Sequence[Finding]) -> Content:
    levels = [it.level for it in findings]
    counts = ((word, levels.count(word)) for word in ("block", "warn"))
    text = ", ".join(f"{number} {word}" for word, number in counts if number)
    return mark(level(findings) or "ok", f"Findings  {text or 'all is well'}")


def findings_text(findings: Sequence[Finding], accepted: Sequence[str] = ()) -> Content:
    """The findings, worst first, each with its remedy and page; the ok ones are only counted."""
    bad = [_with_lead(it, accepted) for it in findings if it.level != "ok"]
    well = sum(it.level == "ok" for it in findings)
    parts = [findings_content(bad)] if bad else []
    parts.append(mark("ok", f"ok  {count(well, 'finding')}"))
    return Content("\n\n").join(parts)


def _with_lead(it: Finding, accepted: Sequence[str]) -> Finding:
    """Add where to correct it."""
    if it.check in accepted:
        return replace(it, seen=f"{it.seen} (you accept that: {it.check})")
    if it.check in PAGE_BY_CHECK:
        return replace(it, remedy=f"{it.remedy} ({where_asked(PAGE_BY_CHECK[it.check])})")
    return it


def approval_block(findings: Sequence[Finding]) -> str:
    """What blocks the approval, and its remedy; empty: nothing."""
    blocks = [it for it in findings if it.level == "block"]
    if not blocks:
        return ""
    first = _with_lead(blocks[0], ())
    where = f"{sanitize(first.host)}: " if first.host and first.host not in first.seen else ""
    more = f"  ({count(len(blocks) - 1, 'more block')})" if len(blocks) > 1 else ""
    return f"{where}{first.seen}; {first.remedy}{more}"


def refusals_text(why: Mapping[str, str]) -> Content:
    """Invalid answers, each with the page that asks for it."""
    return Content("\n").join(
        finding("block", key, text, where_asked(asked_on(key))) for key, text in why.items()
    )


def asked_on(key: str) -> str:
    """The page that asks for an answer, by the key of its refusal."""
    if key.startswith("host") and key.endswith("].interface"):
        return "interfaces"
    section = key.partition(".")[0].partition("[")[0]
    return ASKED_ON.get(section, "review")


def host_text(result: Result, host: str) -> Content:
    """Everything to be done on a host."""
    plan, known = result.plan, result.known
    if plan is None or known is None:
        return Content("")
    if host in known.lost:
        return finding("lost", "", known.lost[host])
    if not plan.actions.get(host):
        return mark("ok", "Nothing is left to do here.")
    head = list[Content]()
    for it in stops(result):
        if it.host == host:
            head.append(mark("warn" if it.harms else "", f"docker stops and starts; {it}"))
    return Content("\n").join([*head, *_lines(plan, host)])


def _lines(plan: Plan, host: str) -> Iterator[Content]:
    for kind, line in of_host(plan, host):
        text = sanitize(line)
        style = PLAN_STYLES.get(kind, "")
        if kind == "diff":
            head = text[2:].startswith(("--- ", "+++ "))
            style = "$text-muted" if head else _DIFF.get(text[2:3], "$text-muted")
        yield Content.styled(text, style) if style else Content(text)


_DIFF = {"+": "$success", "-": "$error", "@": "$accent"}
