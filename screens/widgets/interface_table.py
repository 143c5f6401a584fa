"""Data of the interfaces page: a row per node."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from textual.content import Content

from fedwiz.answers.file import Answers, AnswersError
from fedwiz.checks import Finding
from fedwiz.checks.finding import duplicates
from fedwiz.facts import ClusterFacts, Facts, Link
from fedwiz.util.sanitize import sanitize
from fedwiz.verify import Verdict
from fedwiz.wizard.draft import Draft
from screens.widgets import findings as found_by
from screens.widgets.signs import finding, mark

INTERFACE_CHECKS = ("interface", "same-link", "mtu", "distinct-names")
"""Checks that evaluate the chosen interfaces."""

MAX_FAILURES_SHOWN = 6
"""Failed pings of a node shown at most."""


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """A node, and everything known about its interface."""

    name: str
    address: str
    interface: str
    """The chosen interface; empty: the default route's."""

    facts: Facts | None
    lost: str
    """Why the host could not be read."""

    findings: tuple[Finding, ...] = ()
    pings: tuple[Verdict, ...] = ()
    """Its pings to the other nodes; empty: not sent yet."""

    @property
    def link(self) -> Link | None:
        """The link that the node uses."""
        return self.facts.uplink(self.interface) if self.facts else None

    @property
    def published(self) -> str:
        """The address that flannel publishes, with its prefix length if known."""
        address = self.facts.public_ip(self.interface) if self.facts else ""
        addresses = self.link.addresses if self.link else ()
        return next((text for text in addresses if text.partition("/")[0] == address), address)

    @property
    def why(self) -> str:
        """Where the choice comes from."""
        if self.interface:
            return "chosen"
        return "default route" if self.link else ""

    @property
    def word(self) -> str:
        """The node's state."""
        if self.lost:
            return "lost"
        if self.facts is None:
            return "reading"
        levels = {it.level for it in self.findings}
        unmet = any(it.level != "pass" for it in self.pings)
        return "block" if "block" in levels else "warn" if "warn" in levels or unmet else "ok"

    @property
    def reaches(self) -> str:
        """Reachable nodes, e.g. `3 of 3`; empty: no pings yet."""
        passed = sum(it.level == "pass" for it in self.pings)
        return f"{passed} of {len(self.pings)}" if self.pings else ""


def interface_findings(
    answers: Answers, known: ClusterFacts, accepted: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """The findings on the interfaces in the answers; accepted blocks become warnings."""
    found = found_by.check_findings(INTERFACE_CHECKS, answers, known)
    return tuple(
        replace(it, level="warn") if it.level == "block" and it.check in accepted else it
        for it in found
    )


def rows(
    draft: Draft, answers: Answers | None, known: ClusterFacts | None, pings: Sequence[Verdict] = ()
) -> tuple[tuple[InterfaceRow, ...], tuple[Finding, ...]]:
    """A row per node, and the findings about the whole cluster.

    Args:
        draft: names the nodes.
        answers: the answers that the hosts were read with; None: there are none yet.
        known: the facts; None: not read yet.
        pings: the nodes' pings to each other.
    """
    findings = interface_findings(answers, known, draft.accepted) if answers and known else ()
    names = {it.address: it.name for it in answers.host} if answers else {}
    facts = known.hosts if known else {}
    lost = known.lost if known else {}
    by_sender: dict[str, list[Verdict]] = {}
    for verdict in pings:
        by_sender.setdefault(verdict.host, []).append(verdict)
    found = tuple(
        InterfaceRow(
            it.name or it.address,
            it.address,
            it.interface,
            facts.get(names.get(it.address, "")),
            lost.get(names.get(it.address, ""), ""),
            tuple(f for f in findings if f.host and f.host == names.get(it.address)),
            tuple(by_sender.get(names.get(it.address, ""), ()))
            if names.get(it.address) not in lost
            else (),
        )
        for it in draft.chosen
        if it.role != "master"
    )
    return _with_shared_addresses(found, findings), tuple(it for it in findings if not it.host)


def _with_shared_addresses(
    found: tuple[InterfaceRow, ...], findings: tuple[Finding, ...]
) -> tuple[InterfaceRow, ...]:
    """Copy the finding about a shared address to every node that shares it."""
    shared_findings = [
        it for it in findings if not it.host and it.check == "interface" and it.level != "ok"
    ]
    twins = {
        name: next((it for it in shared_findings if f"publish {address}," in it.seen), None)
        for address, owners in duplicates(
            (row.address, row.published.partition("/")[0]) for row in found
        )
        for name in owners
    }
    return tuple(
        replace(row, findings=(*row.findings, twin)) if (twin := twins.get(row.address)) else row
        for row in found
    )


def interface_options(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """The interfaces that a host offers: value, title, description.

    The default route's comes first, virtual ones come last.  An interface with several addresses
    is listed once per address; by default flannel takes the first.
    """
    default = facts.default_link
    ordered = sorted(facts.links, key=lambda it: (it is not default, bool(it.kind)))
    for link in ordered:
        if link.name == "lo":
            continue
        about = [f"MTU {link.mtu}", "up" if link.up else "down"]
        about += [link.kind] if link.kind else []
        about += ["of the default route, which flannel takes by itself"] if link is default else []
        first, *others = link.addresses or ("",)
        title = f"{link.name}  {first or 'no IPv4 address'}"
        yield "" if link is default else link.name, title, ", ".join(about)
        for other in others:
            yield other.partition("/")[0], f"{link.name}  {other}", ", ".join(about)


def columns(width: int, shown: Sequence[InterfaceRow]) -> dict[str, int]:
    """The table's columns and their widths.

    Args:
        width: of the whole table.
        shown: its rows.
    """
    roomy = width >= 100
    unread = any(row.word == "reading" for row in shown)
    widths = {
        "state": 10 if unread else 8,
        "host": 0,
        "interface": 16 if roomy else 10,
        "address": 20 if roomy else 16,
        "MTU": 5,
        "link": 6,
        "why": 15 if roomy else 8,
        "reaches": 14 if roomy else 11,
    }
    longest = max((len(sanitize(row.name)) for row in shown), default=0)
    widths["host"] = max(min(longest + 1, width - sum(widths.values())), 8)
    return widths


def about(row: InterfaceRow) -> Iterator[Content]:
    """Everything known about a node."""
    yield Content.styled(sanitize(row.name), "bold")
    if row.lost:
        yield finding("lost", "", row.lost)
    bad = [it for it in row.findings if it.level != "ok"]
    yield from (finding(it.level, "", it.seen, it.remedy) for it in bad)
    unmet = [it for it in row.pings if it.level != "pass"]
    lossy = [it for it in row.pings if it.level == "pass" and it.why]
    if unmet and row.word == "block":  # the block explains the failed pings
        yield mark("warn", f"warn  reaches {row.reaches} nodes")
        return
    for it in [*unmet, *lossy][:MAX_FAILURES_SHOWN]:
        seen = f"does not reach {it.peer}" if it.level != "pass" else f"{it.peer}: {it.seen}"
        yield finding("warn", "", seen, it.why)
    if len(unmet) > MAX_FAILURES_SHOWN:
        yield mark(
            "warn", f"warn  and {len(unmet) - MAX_FAILURES_SHOWN} more that it does not reach"
        )
    if row.pings and not unmet:
        yield mark("ok", f"reaches {row.reaches} nodes from {row.published.partition('/')[0]}")
    elif row.facts and not row.pings:
        yield mark("waiting", "pinging the other nodes is still to come")


def why_unread(draft: Draft) -> str:
    """The first reason why the hosts can't be read."""
    try:
        draft.provisional()
    except AnswersError as refused:
        return sanitize(f"{next(iter(refused.why.items()), ('', ''))[1]}")
    return ""
