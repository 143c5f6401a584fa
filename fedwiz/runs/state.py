"""Where a run stands: a fold over its records.

Panes, text and JSON read this and nothing else, so a run, a replay and a report of a run of
last week look the same.
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
"""What a host does now, or how it ended.  `waiting`: connected, and nothing is being done;
`lost`: it could not be reached, or nothing more may be done on it; `unknown`: something was sent
and its end was not seen; `stopped`: it was right so far, and the run ended before its turn."""

RED: frozenset[Word] = frozenset({"failed", "unknown", "lost"})
"""The words of a host that did not get through."""

MAX_LINES_PER_HOST = 200
"""Last lines kept per host."""

_ENDED: dict[str, Word] = {"failed": "failed", "unknown": "unknown", "stopped": "stopped"}


@dataclass(slots=True)
class StepState:
    """A step that was begun on a host."""

    title: str
    actions: int
    outcome: Outcome | Literal[""] = ""
    """Empty while it goes on."""

    why: str = ""


@dataclass(slots=True)
class HostState:
    """Where one host stands.  All its texts are clean, except names."""

    name: str
    word: Word = "connecting"
    step: str = ""
    """The name of the step that goes on; empty between steps."""

    title: str = ""
    """The title of the step that goes on, or of the last one."""

    action: str = ""
    """What is under way on the host, as shown to people; empty between actions."""

    why: str = ""
    """Why it is red, or stopped."""

    done: int = 0
    """Actions that have ended well."""

    planned: int = 0
    """Actions of the plan, done ones included."""

    steps: dict[str, StepState] = field(default_factory=dict)
    """The steps that were begun, by name, in that order."""

    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=MAX_LINES_PER_HOST))
    """The last lines: commands, begun by `$ `, and what they said."""

    facts_seconds: float | None = None
    """How long reading the facts took; None: they were not read."""

    versions: dict[str, str] = field(default_factory=dict)
    """What runs there, by name, as in `Versions`; clean."""

    started: float | None = None
    """When its first step began, in seconds since 1970."""

    ended: float | None = None
    """When it came to rest."""

    @property
    def left(self) -> int:
        """Actions of the plan that are still to be done."""
        return max(self.planned - self.done, 0)

    def elapsed(self, now: float) -> float:
        """Seconds since its first step began, until it came to rest or until `now`."""
        if self.started is None:
            return 0.0
        return max((now if self.ended is None else self.ended) - self.started, 0.0)

    def end(self, word: Word, why: str, at: float) -> None:
        """Come to rest."""
        self.word, self.action, self.step, self.ended = word, "", "", at
        self.why = sanitize(why) or self.why


@dataclass(slots=True)
class State:
    """Where the run stands.  Begin with an empty one, and `apply` every record in order.

    Total: any record can follow any other, and a host that is first heard of in the middle is
    taken in.  A journal that was damaged, or is of a newer fedwiz, still shows what it can.
    """

    verb: str = ""
    cluster: str = ""
    practice: str = ""
    """As in `RunStarted`: not empty on a practice cluster."""

    version: str = ""
    """Of the fedwiz that ran; empty where the journal does not say."""

    accepted: tuple[str, ...] = ()
    """As in `RunStarted`."""

    hosts: dict[str, HostState] = field(default_factory=dict)
    digest: str = ""
    """Of the last plan that was made."""

    findings: list[Found] = field(default_factory=list)
    verdicts: list[Verified] = field(default_factory=list)
    """What was verified since the last plan was made, and in the last round of a verification
    that goes on: changes and time make older verdicts void."""

    rounds: int = 0
    """The number of the last round that began; 0: it is no verification that goes on."""

    diagnoses: list[Diagnosed] = field(default_factory=list)
    """The likeliest first."""

    outcome: Outcome | Literal[""] = ""
    """Empty until the run has ended; in a journal that was cut off it stays so."""

    code: int | None = None
    """The exit code; None until the run has ended."""

    why: str = ""
    started: float | None = None
    """Seconds since 1970, as all times here."""

    latest: float | None = None
    """When the last record was made."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """The state after all these records."""
        state = cls()
        for record in records:
            state.apply(record)
        return state

    @property
    def done(self) -> int:
        """Actions that have ended well, on all hosts."""
        return sum(host.done for host in self.hosts.values())

    @property
    def planned(self) -> int:
        """Actions of the plan, on all hosts, done ones included."""
        return sum(host.planned for host in self.hosts.values())

    @property
    def red(self) -> tuple[HostState, ...]:
        """The hosts that did not get through."""
        return tuple(host for host in self.hosts.values() if host.word in RED)

    def elapsed(self, now: float) -> float:
        """Seconds since the run began, until it ended or until `now`."""
        if self.started is None:
            return 0.0
        end = self.latest if self.outcome and self.latest is not None else now
        return max(end - self.started, 0.0)

    def host(self, name: str) -> HostState:
        """That host's state; a host never heard of begins here."""
        if name not in self.hosts:
            self.hosts[name] = HostState(name)
        return self.hosts[name]

    def apply(self, record: Record) -> None:
        """Take in one record; its cost does not grow with the run."""
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
                self._planned(record.event, record.at)
            case RunEnded():
                self._ended(record.event, record.at)
            case _:
                self._of_host(record)

    def _of_host(self, record: Record) -> None:
        at = record.at
        match record.event:
            case Connected(name):
                host = self.host(name)
                if host.word in ("connecting", "lost"):  # a host that rebooted is in a step still
                    host.word, host.ended = "waiting", None
            case FactsRead(name, seconds):
                self.host(name).facts_seconds = seconds
            case Versions(name, versions):
                self.host(name).versions = {key: sanitize(each) for key, each in versions.items()}
            case HostLost(name, why):
                host = self.host(name)
                # How the step ended says more than that nothing followed it.
                host.end(host.word if host.word in RED else "lost", host.why or why, at)
            case StepStarted(name, step, title, actions):
                host = self._to(name, "running")
                host.step, host.title = step, sanitize(title)
                host.steps[step] = StepState(host.title, actions)
                host.started = at if host.started is None else host.started
            case ActionStarted(name, _, shown):
                host = self._to(name, "running")
                host.action = "\n".join(map(sanitize, shown.splitlines()))
                host.lines.extend(f"$ {line}" for line in host.action.splitlines())
            case ActionEnded(name, _, outcome):
                host = self.host(name)
                host.action = ""
                host.done += outcome == "ok"
            case StepEnded():
                self._step_ended(record.event, at)

    def _to(self, name: str, word: Word) -> HostState:
        host = self.host(name)
        host.word, host.ended = word, None
        return host

    def _planned(self, plan: PlanMade, at: float) -> None:
        self.digest = plan.digest
        self.verdicts.clear()
        for name in plan.actions:
            self.host(name)
        for name, host in self.hosts.items():
            host.planned = host.done + plan.actions.get(name, 0)
            if host.word in ("waiting", "done"):
                host.word, host.ended = ("waiting", None) if host.left else ("done", at)

    def _step_ended(self, ended: StepEnded, at: float) -> None:
        host = self.host(ended.host)
        step = host.steps.setdefault(ended.step, StepState(ended.step, 0))
        step.outcome, step.why = ended.outcome, sanitize(ended.why)
        # A host that is red stays so, whatever its later steps say, until that step goes well.
        bad = next((it for it in host.steps.values() if it.outcome in ("failed", "unknown")), None)
        if bad is not None and bad is not step:
            host.end(_ENDED[bad.outcome], bad.why, at)
        elif ended.outcome != "ok":
            host.end(_ENDED[ended.outcome], ended.why, at)
        else:
            host.word, host.step, host.action = "waiting" if host.left else "done", "", ""
            host.ended = None if host.left else at

    def _ended(self, ended: RunEnded, at: float) -> None:
        self.outcome, self.code, self.why = ended.outcome, ended.code, sanitize(ended.why)
        for host in self.hosts.values():
            if host.word == "running":
                host.end("unknown", "its end was not seen", at)
            elif host.word in ("waiting", "connecting"):
                self._rested(host, at)

    def _rested(self, host: HostState, at: float) -> None:
        if self.outcome == "ok":  # also a plan that nobody wanted carried out
            host.end("done", "", at)
        elif host.word == "connecting":
            host.end("stopped", "it was not reached before the run ended", at)
        elif host.left:
            host.end("stopped", f"not begun: {host.left} of {host.planned} actions", at)
        elif not self.digest and host.facts_seconds is None:
            host.end("stopped", "nothing was read before the run ended", at)
        else:
            host.end("done", "", at)
