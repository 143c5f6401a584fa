"""Events in words.

`describe` is the only table of them.  `line` renders it for pipes, cron and log files; the log
view of the screens renders it for one host.
"""

import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedwiz.model.actions import Run
from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Diagnosed,
    Event,
    FactsRead,
    Found,
    HostLost,
    LockMoved,
    Output,
    PlanMade,
    Record,
    RoundEnded,
    RoundStarted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Verified,
    Versions,
    WayBack,
    to_line,
)
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import count

MAX_MESSAGE_CHARS = 200
"""Characters of a message on every terminal, so that logs are the same everywhere."""

LAST_LINES = 10
"""Output lines of a failed host that are repeated at the end of a run."""

Style: TypeAlias = Literal["", "name", "command", "muted", "success", "warning", "error"]
"""How a log view paints the text; empty: the default style."""

_STYLES: dict[str, Style] = {
    "ok": "success",
    "pass": "success",
    "warn": "warning",
    "stopped": "warning",
    "unknown": "warning",
    "skipped": "muted",
}
"""By outcome or level; any other is an error."""


@dataclass(frozen=True, slots=True)
class Description:
    """An event in words.  They may have several lines and are not sanitized: renderers do that."""

    style: Style
    host: str
    """Empty: the event is about the cluster or the run."""

    step: str
    """The step's name; outside of steps, the part of the run: `check`, `verify`, `lock`."""

    text: str
    in_log: str = ""
    """The text of a host's log, if it differs: a log has no column for the step."""

    details: str = ""
    """Measured values.  Only logs show them."""

    remedy: str = ""
    """One thing to do about it."""


def describe(event: Event) -> Description:
    """Put an event into words."""
    match event:
        case Found() | Verified() | Diagnosed():
            return _judgement(event)
        case RunStarted() | RunEnded() | PlanMade() | LockMoved() | RoundStarted() | RoundEnded():
            return _of_run(event)
    return _of_host(event)


def subject(event: Found | Verified) -> str:
    """The check, or the kind of verdict with the receiver of a pair."""
    if isinstance(event, Found):
        return event.check
    return f"{event.kind} -> {sanitize(event.peer)}" if event.peer else event.kind


def _judgement(event: Found | Verified | Diagnosed) -> Description:
    match event:
        case Found(_, host, level, seen, remedy):
            text = f"{level}: {subject(event)}: {seen}"
            return Description(_style(level), host, "check", text, remedy=remedy)
        case Verified(_, host, _, level, seen, why):
            text = f"{level}: {subject(event)}{_because(seen)}"
            return Description(_style(level), host, "verify", text, remedy=why)
        case Diagnosed(sender, receiver, cause, host, why, seen, remedy):
            text = f"{sender} -> {receiver}: {cause}: {why}"
            return Description("error", host, "diagnose", text, details=seen, remedy=remedy)


def _of_run(
    event: RunStarted | RunEnded | PlanMade | LockMoved | RoundStarted | RoundEnded,
) -> Description:
    match event:
        case RunStarted(verb, cluster, hosts, practice):
            begun = f"{verb} of {cluster} began: {', '.join(hosts)}"
            text = f"practice cluster ({practice}): {begun}" if practice else begun
            return Description("", "", "run", text)
        case RunEnded(outcome, code):  # why it ended so is the verb's last word
            return Description("", "", "run", f"ended: {outcome}, exit code {code}")
        case PlanMade(digest, actions):
            left = ", ".join(f"{host} {number}" for host, number in actions.items() if number)
            return Description("", "", "plan", f"plan {digest}: {left or 'nothing is left to do'}")
        case LockMoved(held, why):
            lost = f"lost; no new step starts until it is reacquired{_because(why)}"
            return Description("", "", "lock", "reacquired" if held else lost)
        case RoundStarted(number):
            return Description("", "", "verify", f"round {number}")
        case RoundEnded(number, code):
            return Description("", "", "verify", f"round {number} ended: exit code {code}")


def _of_host(
    event: Connected
    | FactsRead
    | Versions
    | HostLost
    | StepStarted
    | ActionStarted
    | Output
    | ActionEnded
    | StepEnded
    | WayBack,
) -> Description:
    match event:
        case Connected(host):
            return Description("muted", host, "connect", "connected")
        case FactsRead(host, seconds):
            text = f"read in {seconds:.1f} s"
            return Description("muted", host, "facts", text, in_log=f"facts {text}")
        case Versions(host, versions):
            text = ", ".join(f"{name} {version}" for name, version in versions.items())
            return Description("muted", host, "facts", text)
        case HostLost(host, why):
            return Description("error", host, "lost", f"nothing more is done here: {why}")
        case StepStarted(host, step, title, actions):
            return Description("name", host, step, f"{title} ({count(actions, 'action')})")
        case ActionStarted(host, step, shown):
            return Description("command", host, step, f"$ {shown}")
        case Output(host, step, output):
            return Description("", host, step, f"  {output}")
        case ActionEnded(host, step, outcome, code, seconds):
            status = f", exit status {code}" if code else ""
            text = f"{outcome}{status}, {seconds:.1f} s"
            # A log indents it like the action's output, which stands above it.
            return Description(_style(outcome), host, step, text, in_log=f"  {text}")
        case StepEnded(host, step, outcome, why):
            text = f"{outcome}{_because(why)}"
            style = _style(outcome)
            return Description(style, host, step, f"step ended: {text}", in_log=f"{step}: {text}")
        case WayBack(host, step, argv):
            return Description("muted", host, step, f"can be taken back by: $ {Run(argv).brief}")


def _style(level: str) -> Style:
    return _STYLES.get(level, "error")


def _because(why: str) -> str:
    return f": {why}" if why else ""


def line(record: Record) -> str | None:
    """The record as one line: local time, host, step, message.

    None for an empty line of output.
    """
    it = describe(record.event)
    message = it.text + (it.remedy and f" -> {it.remedy}")
    # A command of several lines stays on one line, with `\n` between them.
    message = "\\n".join(map(sanitize, message.splitlines())).rstrip()
    if isinstance(record.event, Output) and not message:
        return None
    if len(message) > MAX_MESSAGE_CHARS:
        message = message[: MAX_MESSAGE_CHARS - 3] + "..."
    stamp = time.strftime("%H:%M:%S", time.localtime(record.at))
    return f"{stamp} {sanitize(it.host) or '-':<10}  {sanitize(it.step):<8}  {message}".rstrip()


def as_json_line(record: Record) -> str:
    """The record as one line of JSON, as in its journal."""
    return to_line(record)


def failures(state: State) -> str:
    """The step and the last output lines of each failed host.

    Empty if no host failed or nothing was started.  The verb itself reports the reason last.
    """
    lines = list[str]()
    for host in state.red:
        if not host.lines:
            continue
        lines.append(f"{sanitize(host.name)}: {host.word}: {host.title}")
        lines += [f"  | {line[:MAX_MESSAGE_CHARS]}" for line in list(host.lines)[-LAST_LINES:]]
    return "\n".join(lines) + "\n" if lines else ""
