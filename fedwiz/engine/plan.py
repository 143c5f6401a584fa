"""The plan: everything that is left to do, in order, and the digest that names it."""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fedwiz.answers.file import Answers
from fedwiz.facts import ClusterFacts
from fedwiz.model.actions import Action, PutKey, Run
from fedwiz.scripts import parts, whole
from fedwiz.steps import GATES, STAGES, STEPS, Stage, Step
from fedwiz.steps.guard import BOOT, arms, guarded, is_guard


@dataclass(frozen=True, slots=True)
class Task:
    """A step with something left to do on one host."""

    host: str
    step: str
    title: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """One host's tasks of a stage, in order."""

    host: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A stage with its lanes, which run side by side."""

    stage: Stage
    gate: bool
    """Where a task of it fails, nothing after it is begun."""

    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is shown, approved, and carried out."""

    hosts: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def digest(self) -> str:
        """Names all of it: 12 hex digits of a SHA-256 over everything that is sent."""
        tasks = [
            (task.host, task.step, [sent(action) for action in task.actions])
            for task in self.tasks()
        ]
        return hashlib.sha256(json.dumps(tasks).encode()).hexdigest()[:12]

    def tasks(self, host: str = "") -> Iterator[Task]:
        """All tasks in order, or those of one host."""
        for part in self.parts:
            for lane in part.lanes:
                if host in ("", lane.host):
                    yield from lane.tasks

    @property
    def actions(self) -> dict[str, int]:
        """How many actions are left, per host, none left out."""
        return {host: sum(len(task.actions) for task in self.tasks(host)) for host in self.hosts}


def make(
    answers: Answers,
    known: ClusterFacts,
    steps: Sequence[Step] = STEPS,
    stages: Sequence[Stage] = STAGES,
) -> Plan:
    """Ask every step what is left to do.  Hosts that could not be asked have no tasks."""
    hosts, parts = tuple(host.name for host in answers.host), []
    for stage in stages:
        lanes: dict[str, list[Task]] = {host: [] for host in hosts}
        for step in steps:
            if step.stage == stage:
                for host, actions in step.everywhere(answers, known).items():
                    if actions:
                        whole = guarded(step, actions, answers.ssh.confirm_within)
                        lanes[host].append(Task(host, step.name, step.title, whole))
        full = tuple(Lane(host, tuple(tasks)) for host, tasks in lanes.items() if tasks)
        if full:
            parts.append(Part(stage, stage in GATES, full))
    return Plan(hosts, tuple(parts))


def sent(action: Action) -> list[Any]:
    """What decides what happens; secrets by their names."""
    if isinstance(action, PutKey):
        return ["put", action.api, action.key, action.value, action.previous]
    # The diff too: it was approved as it was shown, against the file as it was read.
    return [
        "run",
        action.argv,
        action.input(),
        action.upload,
        action.sudo,
        action.timeout,
        action.unit,
        action.reboots,
        action.diff,
        action.fresh,
    ]


def hashed(values: list[Any]) -> str:
    """Short for what is sent, or for a part of it."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def to_json(plan: Plan) -> dict[str, Any]:
    """`{"digest", "hosts": {NAME: [{"step", "title", "shown", "diff", "interrupts", ...}]}}`."""
    return {
        "digest": plan.digest,
        "hosts": {
            host: [
                {
                    "step": task.step,
                    "title": task.title,
                    "shown": action.shown,
                    "stdin": "" if isinstance(action, PutKey) else action.input(),
                    "diff": _diff(action),
                    "interrupts": isinstance(action, Run) and action.interrupts,
                    "undo": action.undo,
                }
                for task in plan.tasks(host)
                for action in task.actions
            ]
            for host in plan.hosts
        },
    }


def _diff(action: Action) -> str:
    if isinstance(action, Run):
        return action.diff
    sides = (("-", action.was or None), ("+", action.value))
    lines = [f"{sign}{text}" for sign, text in sides if text is not None]
    return "\n".join((f"--- etcd ({action.api})", f"+++ {action.key}", *lines))


def text(plan: Plan) -> str:
    """For people: per host every step, every command, every file as a diff.

    What a host has in common with one before it is named, not repeated; so are scripts, which
    stand at the end.
    """
    lines, first, sent = list[str](), dict[tuple[str, tuple[Action, ...]], str](), dict[str, str]()
    for host in plan.hosts:
        tasks = list(plan.tasks(host))
        lines += ["", f"{host}: {_steps(len(tasks))}"]
        for task in tasks:
            alike = first.setdefault((task.step, task.actions), host)
            again = "" if alike == host else f" (as on {alike})"
            lines.append(f"  {task.step}: {task.title}{again}")
            for action in () if again else task.actions:
                lines += (f"    {line}".rstrip() for _, line in _lines(action))
                sent |= _script(action)
    for name, script in sent.items():
        lines += ["", f"{name}, as it is sent:", *(f"    {line}" for line in script.splitlines())]
    count = sum(plan.actions.values())
    lines += ["", f"plan {plan.digest}: {count} actions" if count else "Nothing is left to do."]
    return "\n".join(lines).lstrip("\n") + "\n"


def _steps(count: int) -> str:
    return {0: "nothing to do", 1: "1 step"}.get(count, f"{count} steps")


Kind: TypeAlias = Literal["step", "run", "diff", "input", "stops", "undo", "script", ""]
"""What a line of a plan is: `diff` one of a file's or a key's, `script` one that is sent."""


def of_host(plan: Plan, host: str) -> Iterator[tuple[Kind, str]]:
    """The plan of one host, whole, line by line; the scripts stand at the end."""
    sent = dict[str, str]()
    for task in plan.tasks(host):
        yield "step", f"{task.step}: {task.title}"
        for action in task.actions:
            yield from ((kind, f"  {line}") for kind, line in _lines(action))
            sent |= _script(action)
    for name, script in sent.items():
        yield "", ""
        yield "step", f"{name}, as it is sent:"
        yield from (("script", f"  {line}") for line in script.splitlines())


def _script(action: Action) -> dict[str, str]:
    """The scripts that are sent, part by part, by their names; empty: there is none."""
    if not isinstance(action, Run):
        return {}
    words = [*action.argv, *(shlex.split(action.input()) if arms(action) else ())]
    return {
        name: text
        for at, word in enumerate(words[1:-1])
        if words[at] == "-c" and "\n" in word
        for name, text in parts(words[at + 2], word).items()
    }


_SCRIPT = re.compile(r"""\bsh -c '(?:[^']|'"'"')*\n(?:[^']|'"'"')*' """)
"""A script as `shlex` quotes it."""


def _lines(action: Action) -> Iterator[tuple[Kind, str]]:
    yield "run", f"$ {action.brief}"
    if isinstance(action, PutKey):
        yield from (("diff", line) for line in _diff(action).splitlines())
    elif action.upload:
        yield "input", f"< {action.upload}"
    elif action.diff:
        yield from (("diff", line) for line in action.diff.splitlines())
    elif action.stdin:
        text = _SCRIPT.sub("sh ", action.input())  # a script's text stands at the end
        yield from (("input", f"< {line}") for line in text.splitlines())
    if arms(action):
        when = " after the boot" if isinstance(action, Run) and action.argv[-1] == BOOT else ""
        yield "", f"the host does this by itself{when}, unless the step is confirmed in time"
    elif is_guard(action):
        yield "", "sent over a new connection, which shows that the host can still be reached"
    if isinstance(action, Run) and action.interrupts:
        yield "stops", "! running containers stop"
    if action.undo:
        yield "undo", f"undo: {action.undo}"


def scripts(plan: Plan, answers: Answers) -> Mapping[str, str]:
    """One shell script per host that a person could run by hand, as root, with the same effect.

    It may be a file or come on standard input; secrets are asked for at the terminal.  Run them
    for the master first and then, side by side, for the nodes.
    """
    digest = plan.digest
    return {host: _shell(plan, digest, answers, host) for host in plan.hosts}


def _shell(plan: Plan, digest: str, answers: Answers, host: str) -> str:
    about = " ".join(f"{host}: plan {digest} of cluster {answers.name}".splitlines())
    lines, named = ["set -eu"], set[str]()
    for task in plan.tasks(host):
        lines += ["", f"# {task.title}"]
        if any(is_guard(action) for action in task.actions):
            lines.append("# It could cut you off, and fedwiz would have it taken back by the host.")
        for action in task.actions:
            if is_guard(action):
                continue
            for name, script in _script(action).items():
                if name not in named:
                    named.add(name)
                    lines.append(f"{_variable(name)}={shlex.quote(script)}")
            lines += _typed(action, answers)
    if len(lines) == 1:
        lines.append("# Nothing is left to do.")
    return f"#!/bin/sh\n# {about}, to be run as root.\n{whole(*lines)}"


def _variable(script: str) -> str:
    """What a script that is sent is called in the shell."""
    return re.sub(r"\W", "_", script)


def _typed(action: Action, answers: Answers) -> list[str]:
    if isinstance(action, PutKey):
        return _etcdctl(action, answers)
    words = action.shown
    if sent := _script(action):  # it stands above, once
        named = "".join(f"${_variable(name)}" for name in sent)
        words = words.replace(shlex.quote("".join(sent.values())), f'"{named}"', 1)
    if action.upload:
        return [
            f"# standard input: {action.upload}, copied to this host first",
            f"{words} <{shlex.quote(action.upload.rpartition('/')[2])}",
        ]
    if not action.input():
        return [words]
    secrets = [part for part in action.stdin if not isinstance(part, str)]
    if secrets:
        # The text around a secret is fedwiz's own and holds nothing that the shell expands; what
        # it puts in place of the variable it does not look at again.  systemd does, for four.
        body = "".join(p if isinstance(p, str) else "${secret}" for p in action.stdin)
        return [
            f"printf '{secrets[0].name}: ' >&2; IFS= read -r secret {TERMINAL}",
            """secret=$(printf '%s' "$secret" | sed 's/["\\\\`$]/\\\\&/g')""",
            f"{words} <<END_OF_INPUT\n{body.removesuffix(chr(10))}\nEND_OF_INPUT",
        ]
    body, end = action.input().removesuffix("\n"), "END_OF_INPUT"
    while end in body:  # a host's own text may be in it
        end += "_"
    return [f"{words} <<'{end}'\n{body}\n{end}"]


TERMINAL = "</dev/tty"
"""Where a script gets what it asks for, wherever it came from itself."""

ETCDCTL = {
    "v2": ("--ca-file", "--cert-file", "--key-file", "--username"),
    "v3": ("--cacert", "--cert", "--key", "--user"),
}
"""What etcdctl calls the answers' ca_file, cert_file, key_file and user; it asks for a password."""


def _etcdctl(put: PutKey, answers: Answers) -> list[str]:
    etcd = answers.etcd
    given = zip(
        ETCDCTL[put.api], (etcd.ca_file, etcd.cert_file, etcd.key_file, etcd.user), strict=True
    )
    more = "".join(f" {flag} {shlex.quote(value)}" for flag, value in given if value)
    get = f"ETCDCTL_API={put.api[1]} etcdctl get {shlex.quote(put.key)}"
    typed = (put.shown, get) if put.value is not None else (put.shown,)
    asks = f" {TERMINAL}" if etcd.user else ""
    return [
        f"export ETCDCTL_ENDPOINTS={shlex.quote(','.join(etcd.endpoints))}",
        *(line.replace(" etcdctl ", f" etcdctl{more} ", 1) + asks for line in typed),
    ]
