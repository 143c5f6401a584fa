"""Records as plain lines: what a pipe, cron or a log gets of a run while it goes on."""

import time

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

MAX_MESSAGE_CHARS = 200
"""Characters of a message; the same on every terminal, so that a log reads the same too."""

LAST_LINES = 10
"""Lines of a failed host's that are said again at the end."""


def line(record: Record) -> str | None:
    """The record as one line: the time by the operator's clock, host, step, message.

    None for what has nothing to say: an empty line of output.
    """
    host, step, message = _said(record.event)
    # One line stays one: a command that holds several shows their ends as a shell's `\n`.
    message = "\\n".join(map(sanitize, message.splitlines())).rstrip()
    if isinstance(record.event, Output) and not message:
        return None
    if len(message) > MAX_MESSAGE_CHARS:
        message = message[: MAX_MESSAGE_CHARS - 3] + "..."
    stamp = time.strftime("%H:%M:%S", time.localtime(record.at))
    return f"{stamp} {sanitize(host) or '-':<10}  {sanitize(step):<8}  {message}".rstrip()


def as_json_line(record: Record) -> str:
    """The record as one line of JSON, as in its journal."""
    return to_line(record)


def _said(event: Event) -> tuple[str, str, str]:
    """Host, step and message."""
    match event:
        case RunStarted(verb, cluster, hosts, practice):
            begun = f"{verb} of {cluster} began: {', '.join(hosts)}"
            return "", "run", f"practice cluster ({practice}): {begun}" if practice else begun
        case RunEnded(outcome, code):
            return "", "run", f"ended: {outcome}, exit code {code}"  # why: the verb's last word
        case PlanMade(digest, actions):
            left = ", ".join(f"{host} {count}" for host, count in actions.items() if count)
            return "", "plan", f"plan {digest}: {left or 'nothing is left to do'}"
        case LockMoved(held, why):
            lost = f"lost, so nothing new is begun until it is had again{_because(why)}"
            return "", "lock", "had again" if held else lost
        case Found(check, host, level, seen, remedy):
            return host, "check", f"{level}: {check}: {seen}" + (remedy and f" -> {remedy}")
        case RoundStarted(number):
            return "", "verify", f"round {number}"
        case RoundEnded(number, code):
            return "", "verify", f"round {number} ended: exit code {code}"
        case Verified(kind, host, peer, level, seen, why):
            pair = f"{kind} -> {peer}" if peer else kind
            return host, "verify", f"{level}: {pair}{_because(seen)}" + (why and f" -> {why}")
        case Diagnosed(sender, receiver, cause, host, why, _, remedy):
            return host, "diagnose", f"{sender} -> {receiver}: {cause}: {why} -> {remedy}"
        case WayBack(host, step, argv):
            return host, step, f"can be taken back by: $ {Run(argv).brief}"
    return _of_host(event)


def _of_host(
    event: Connected
    | FactsRead
    | Versions
    | HostLost
    | StepStarted
    | ActionStarted
    | Output
    | ActionEnded
    | StepEnded,
) -> tuple[str, str, str]:
    match event:
        case Connected(host):
            return host, "connect", "connected"
        case FactsRead(host, seconds):
            return host, "facts", f"read in {seconds:.1f} s"
        case Versions(host, versions):
            return host, "facts", ", ".join(f"{name} {said}" for name, said in versions.items())
        case HostLost(host, why):
            return host, "lost", f"nothing more is done here: {why}"
        case StepStarted(host, step, title, actions):
            return host, step, f"{title} ({actions} {'action' if actions == 1 else 'actions'})"
        case ActionStarted(host, step, shown):
            return host, step, f"$ {shown}"
        case Output(host, step, said):
            return host, step, f"  {said}" if said.strip() else ""
        case ActionEnded(host, step, outcome, code, seconds):
            status = f", exit status {code}" if code else ""
            return host, step, f"{outcome}{status}, {seconds:.1f} s"
        case StepEnded(host, step, outcome, why):
            return host, step, f"step ended: {outcome}{_because(why)}"


def _because(why: str) -> str:
    return f": {why}" if why else ""


def failures(state: State) -> str:
    """For each host that did not get through: its step, and its last lines again.

    Empty where all did, and where nothing was begun.  Why is the verb's last word.
    """
    said = list[str]()
    for host in state.red:
        if not host.lines:
            continue
        said.append(f"{sanitize(host.name)}: {host.word}: {host.title}")
        said += [f"  | {line[:MAX_MESSAGE_CHARS]}" for line in list(host.lines)[-LAST_LINES:]]
    return "\n".join(said) + "\n" if said else ""
