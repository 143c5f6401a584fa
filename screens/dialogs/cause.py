"""A diagnosis as text: its causes, and the packets' path."""

from collections.abc import Iterator, Mapping

from textual.content import Content

from fedwiz.diagnose import Case, Diagnosis
from fedwiz.diagnose.unexplained import LOST_AT
from fedwiz.diagnose.values import Hop
from fedwiz.engine.verbs import OK, Result
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import arrow, count
from screens.widgets.signs import advice, finding, mark
from screens.widgets.verdict_table import word

HOP_MEANINGS: Mapping[str, str] = {
    "container": "out of the container",
    "raw": "passed on to routing",
    "routing": "has a route, and may be forwarded",
    "forwarding": "forwarded",
    "wrapping": "wrapped for the other node",
    "sending": "sent to the other node",
    "arriving": "arrived",
    "firewall": "let in",
    "unwrapping": "unwrapped",
    "raw-in": "passed on to routing",
    "routing-in": "has a route, and may be forwarded",
    "forwarding-in": "forwarded",
    "received": "in the container",
}
"""What happened to the packets that a hop counts, by the hop's name."""


def verdict(result: Result) -> Content:
    """A diagnosis's result in a sentence."""
    case, found = result.case, result.diagnoses
    if found:
        first = found[0]
        level = "block" if first.explains else "warn"
        return mark(level, f"{first.cause} on {sanitize(first.host)}: {sanitize(first.why)}")
    if result.code == OK and case is not None:
        return mark("ok", f"Nothing is wrong: {_pinged(case)}.")
    return mark("block", sanitize(result.why) or "the diagnosis failed")


def _pinged(case: Case) -> str:
    seen = f", and {case.receiver} saw {case.seen_as}" if case.seen_as else ""
    return f"{case.answered} of {count(case.sent, 'ping')} came back{seen}"


def line(it: Diagnosis) -> Content:
    """A cause in one line."""
    text = f"{it.cause}  {sanitize(it.host)}"
    if it.explains:
        return mark("block", text)
    return mark("warn", f"{text}  wrong too, but stops no ping")


def cause(it: Diagnosis) -> Content:
    """Everything known about a cause."""
    if it.fixes:
        offer = f"fedwiz does it, in {count(len(it.fixes), 'action')}: a shows them."
    else:
        offer = "fedwiz does not do this: it is yours to do."
    parts: list[Content | str] = [
        Content.styled(f"{it.cause} on {sanitize(it.host)}\n", "bold"),
        sanitize(it.why),
    ]
    if not it.explains:
        parts.append("\nIt does not stop this ping.")
    parts += [
        advice(it.remedy),
        "\n    ",
        offer,
        "\n\n",
        Content.styled("What says so:\n", "$text-muted"),
        _lines(it.seen, 0),
    ]
    return Content.assemble(*parts)


def _lines(text: str, indent: int) -> str:
    return f"\n{' ' * indent}".join(map(sanitize, text.splitlines()))


def path_line(case: Case) -> Content:
    """The packets' path in one line."""
    lost = case.lost
    if not case.hops:
        return mark("skipped", "The way of the packets  none could be followed")
    if lost is None or case.pings:
        return mark("ok", f"The way of the packets  {_pinged(case)}")
    text = f"the {_what(lost)} is lost on {sanitize(lost.host)}"
    return mark("fail", f"The way of the packets  {text}")


def _what(lost: Hop) -> str:
    return "answer" if lost.direction == "back" else "ping"


def path(case: Case) -> Content:
    """Where packets were counted, hop by hop, and where they are lost."""
    if not case.hops:
        return Content(_errors(case) or "No packet could be followed between the two nodes.")
    width = max(len(sanitize(host)) for host in case.ends)
    parts = list[Content | str]()
    lost, past = None if case.pings else case.lost, False
    if lost is not None:
        headline = (
            f"The {_what(lost)} is lost on {sanitize(lost.host)}: {LOST_AT.get(lost.name, '')}"
        )
        parts += [mark("fail", headline), "\n\n"]
    for direction, title in (("there", "The ping"), ("back", "Its answer")):
        parts.append(Content.styled(f"{title}, packets that were counted\n", "$text-muted"))
        for hop in case.hops:
            if hop.direction == direction:
                parts += [_hop(hop, width, lost=hop is lost, past=past), "\n"]
                past = past or hop is lost
        parts.append("\n")
    parts += [f"{it}\n" for it in _dropped(case)]
    return Content.assemble(*parts, _errors(case)).rstrip()


def _hop(hop: Hop, width: int, *, lost: bool, past: bool) -> Content:
    number = "?" if hop.count is None else str(hop.count)
    text = f"{sanitize(hop.host):<{width}}  {HOP_MEANINGS.get(hop.name, hop.name):<33}  {number:>5}"
    if lost:
        return mark("fail", f"{text}  <- lost here")
    if hop.count is None:
        return mark("unknown", text)
    return mark("skipped" if past or not hop.count else "pass", text)


def _dropped(case: Case) -> Iterator[str]:
    for host in case.ends:
        for it in case.look(host).dropped:
            rule = sanitize(it.rule)
            yield f"{sanitize(host)} dropped {it.packets} by `{rule}` (table {it.table})"


def _errors(case: Case) -> str:
    errors = ((host, case.look(host).error) for host in case.ends)
    return "\n".join(f"{sanitize(host)}: {sanitize(error)}" for host, error in errors if error)


def verdicts(result: Result) -> Content:
    """What the verification of the pair found wrong or doubtful."""
    lines = [
        finding(
            word(it),
            arrow(it.host, it.peer) if it.peer else sanitize(it.host),
            it.seen,
            it.why,
        )
        for it in result.verdicts
        if word(it) != "pass"
    ]
    passed = sum(word(it) == "pass" for it in result.verdicts)
    return Content("\n\n").join([*lines, mark("ok", f"pass  {count(passed, 'verdict')}")])


def done(state: State) -> Content:
    """The commands that were sent to hosts, and their output."""
    parts = list[Content | str]()
    for host in state.hosts.values():
        if host.steps:
            word = host.word if host.word != "waiting" else "running"
            parts += [mark(word, f"{sanitize(host.name)}  {host.title}"), "\n"]
            parts += [f"    {each}\n" for each in host.lines]
            parts += [f"    {host.why}\n"] if host.why else []
    return Content.assemble(*parts).rstrip() if parts else Content("Nothing was sent to any host.")
