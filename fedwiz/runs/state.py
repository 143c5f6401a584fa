"""The state of a run: a fold over its records.

Panes, text and JSON read only this, so a live run, a replay and a report of last week's run look
the same.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

from fedwiz.model.events import (
    ActionEnded,
    ActionStarted,
    Connected,
    Diagnosed,
    FactsRead,
    Found,
    HostLost,
    Outcome,
    Output,
    PlanMade,
    Record,
    RoundStarted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Verified,
    Versions,
)
from fedwiz.util.sanitize import sanitize

Word: TypeAlias = Literal[
    "waiting", "connecting", "running", "done", "failed", "unknown", "lost", "stopped"
]
"""What a host is doing, or how it ended. `waiting`: connected but idle; `lost`: unreachable, or no
longer allowed to be changed; `unknown`: something was sent and its end was not seen; `stopped`: it
was fine, but the run ended before its turn."""

RED: frozenset[Word] = frozenset({"failed", "unknown", "lost"})
"""The words of a host that failed."""

MAX_LINES_PER_HOST = 200
"""How many of the last lines are kept per host."""

_ENDED: dict[str, Word] = {"failed": "failed", "unknown": "unknown", "stopped": "stopped"}


@dataclass(slots=True)
class StepState:
    """A step that was started on a host."""

    title: str
    actions: int
    outcome: Outcome | Literal[""] = ""
    """Empty while it runs."""

    why: str = ""


@dataclass(slots=True)
class HostState:
    """The state of one host. All its texts are sanitized, except names."""

    name: str
    word: Word = "connecting"
    step: str = ""
    """Name of the running step; empty between steps."""

    title: str = ""
    """Title of the running step, or of the last one."""

    action: str = ""
    """The running action, as shown to the operator; empty between actions."""

    why: str = ""
    """Why it failed or stopped."""

    done: int = 0
    """Actions that succeeded."""

    planned: int = 0
    """Actions of the plan, including those done."""

    steps: dict[str, StepState] = field(default_factory=dict)
    """The steps that were started, by name, in that order."""

    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=MAX_LINES_PER_HOST))
    """The last lines: commands, prefixed with `$ `, and their output."""

    facts_seconds: float | None = None
    """How long reading the facts took; None: not read."""

    versions: dict[str, str] = field(default_factory=dict)
    """Versions by name, as in `Versions`; sanitized."""

    started: float | None = None
    """When its first step started, in seconds since 1970."""

    ended: float | None = None
    """When it finished."""

    @property
    def left(self) -> int:
        """Actions of the plan that remain."""
        return max(self.planned - self.done, 0)

    def elapsed(self, now: float) -> float:
        """Seconds from the start of its first step until it finished, or until `now`."""
        if self.started is None:
            return 0.0
        return max((now if self.ended is None else self.ended) - self.started, 0.0)

    def end(self, word: Word, why: str, now: float) -> None:
        """Mark the host as finished."""
        self.word, self.action, self.step, self.ended = word, "", "", now
        self.why = sanitize(why) or self.why


@dataclass(slots=True)
class State:
    """The state of the run. Start with an empty one and `apply` every record in order.

    Total: records may come in any order, and a host that first appears in the middle is added. A
    journal that is damaged, or written by a newer fedwiz, still shows what it can.
    """

    verb: str = ""
    cluster: str = ""
    practice: str = ""
    """As in `RunStarted`: not empty on a practice cluster."""

    version: str = ""
    """The fedwiz version that ran; empty if the journal does not record it."""

    accepted: tuple[str, ...] = ()
    """As in `RunStarted`."""

    hosts: dict[str, HostState] = field(default_factory=dict)
    digest: str = ""
    """Of the latest plan."""

    findings: list[Found] = field(default_factory=list)
    verdicts: list[Verified] = field(default_factory=list)
    """Verdicts since the latest plan and, in a continuous verification, of the last round: changes
    and time invalidate older ones."""

    rounds: int = 0
    """The number of the last round that started; 0: not a continuous verification."""

    diagnoses: list[Diagnosed] = field(default_factory=list)
    """The most likely first."""

    outcome: Outcome | Literal[""] = ""
    """Empty until the run has ended, and so forever in the journal of an interrupted run."""

    code: int | None = None
    """The exit code; None until the run has ended."""

    why: str = ""
    started: float | None = None
    """Seconds since 1970, as all times here."""

    latest: float | None = None
    """The time of the last record."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """The state after all these records."""
        state = cls()
        for record in records:
            state.apply(record)
        return state

    @property
    def done(self) -> int:
        """Actions that succeeded, on all hosts."""
        return sum(host.done for host in self.hosts.values())

    @property
    def planned(self) -> int:
        """Actions of the plan on all hosts, including those done."""
        return sum(host.planned for host in self.hosts.values())

    @property
    def red(self) -> tuple[HostState, ...]:
        """The hosts that failed."""
        return tuple(host for host in self.hosts.values() if host.word in RED)

    def elapsed(self, now: float) -> float:
        """Seconds from the start of the run until it ended, or until `now`."""
        if self.started is None:
            return 0.0
        end = self.latest if self.outcome and self.latest is not None else now
        return max(end - self.started, 0.0)

    def host(self, name: str) -> HostState:
        """The state of that host; an unknown host is added."""
        if name not in self.hosts:
            self.hosts[name] = HostState(name)
        return self.hosts[name]

    def apply(self, record: Record) -> None:
        """Apply one record; the cost does not grow with the run."""
        self.latest = record.at
        match record.event:
            case Output(host, _, line):
                self.host(host).lines.append(sanitize(line))
            case RunStarted(verb, cluster, hosts, practice, version, accepted):
                self.verb, self.cluster, self.practice = verb, cluster, practice
                self.version, self.accepted = version, accepted
                self.hosts = {name: HostState(name) for name in hosts}
                self.started = record.at
            case Found() as found:
                self.findings.append(found)
            case Verified() as verdict:
                self.verdicts.append(verdict)
            case RoundStarted(number):
                self.rounds = number
                self.verdicts.clear()
                self.diagnoses.clear()
            case Diagnosed() as diagnosed:
                self.diagnoses.append(diagnosed)
            case PlanMade():
                self._apply_plan(record.event, record.at)
            case RunEnded():
                self._apply_end(record.event, record.at)
            case _:
                self._apply_to_host(record)

    def _apply_to_host(self, record: Record) -> None:
        now = record.at
        match record.event:
            case Connected(name):
                host = self.host(name)
                if host.word in ("connecting", "lost"):  # a host that rebooted is still in its step
                    host.word, host.ended = "waiting", None
            case FactsRead(name, seconds):
                self.host(name).facts_seconds = seconds
            case Versions(name, versions):
                self.host(name).versions = {key: sanitize(each) for key, each in versions.items()}
            case HostLost(name, why):
                host = self.host(name)
                # How the step ended says more than the loss of the host afterwards.
                host.end(host.word if host.word in RED else "lost", host.why or why, now)
            case StepStarted(name, step, title, actions):
                host = self._resume_host(name, "running")
                host.step, host.title = step, sanitize(title)
                host.steps[step] = StepState(host.title, actions)
                host.started = now if host.started is None else host.started
            case ActionStarted(name, _, shown):
                host = self._resume_host(name, "running")
                host.action = "\n".join(map(sanitize, shown.splitlines()))
                host.lines.extend(f"$ {line}" for line in host.action.splitlines())
            case ActionEnded(name, _, outcome):
                host = self.host(name)
                host.action = ""
                host.done += outcome == "ok"
            case StepEnded():
                self._apply_step_end(record.event, now)

    def _resume_host(self, name: str, word: Word) -> HostState:
        host = self.host(name)
        host.word, host.ended = word, None
        return host

    def _apply_plan(self, plan: PlanMade, now: float) -> None:
        self.digest = plan.digest
        self.verdicts.clear()
        for name in plan.actions:
            self.host(name)
        for name, host in self.hosts.items():
            host.planned = host.done + plan.actions.get(name, 0)
            if host.word in ("waiting", "done"):
                host.word, host.ended = ("waiting", None) if host.left else ("done", now)

    def _apply_step_end(self, ended: StepEnded, now: float) -> None:
        host = self.host(ended.host)
        step = host.steps.setdefault(ended.step, StepState(ended.step, 0))
        step.outcome, step.why = ended.outcome, sanitize(ended.why)
        # A failed host stays failed, whatever its later steps do, until the failed step succeeds.
        failed = next(
            (it for it in host.steps.values() if it.outcome in ("failed", "unknown")), None
        )
        if failed is not None and failed is not step:
            host.end(_ENDED[failed.outcome], failed.why, now)
        elif ended.outcome != "ok":
            host.end(_ENDED[ended.outcome], ended.why, now)
        else:
            host.word, host.step, host.action = "waiting" if host.left else "done", "", ""
            host.ended = None if host.left else now

    def _apply_end(self, ended: RunEnded, now: float) -> None:
        self.outcome, self.code, self.why = ended.outcome, ended.code, sanitize(ended.why)
        for host in self.hosts.values():
            if host.word == "running":
                host.end("unknown", "its end was not seen", now)
            elif host.word in ("waiting", "connecting"):
                self._end_idle_host(host, now)

    def _end_idle_host(self, host: HostState, now: float) -> None:
        if self.outcome == "ok":  # also if the operator declined the plan
            host.end("done", "", now)
        elif host.word == "connecting":
            host.end("stopped", "it was not reached before the run ended", now)
        elif host.left:
            host.end("stopped", f"not started: {host.left} of {host.planned} actions", now)
        elif not self.digest and host.facts_seconds is None:
            host.end("stopped", "nothing was read before the run ended", now)
        else:
            host.end("done", "", now)
