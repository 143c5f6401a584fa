"""What happened, as data, past tense: the one thing the engine ever says.

The union is closed.  Panes, text, JSON and the report are readers of the same records.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

Level: TypeAlias = Literal["ok", "warn", "block"]
Outcome: TypeAlias = Literal["ok", "failed", "unknown", "stopped"]
"""`unknown`: it was sent, and its end was not seen.  `stopped`: the operator ended the run."""

Judged: TypeAlias = Literal["pass", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A verb began its work."""

    verb: str
    cluster: str
    hosts: tuple[str, ...]
    practice: str = ""
    """Not empty on a practice cluster: the name of its fault, or `healthy`."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A session with the host is open."""

    host: str


@dataclass(frozen=True, slots=True)
class FactsRead:
    """The host's facts were read."""

    host: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HostLost:
    """Nothing more is done on this host in this run."""

    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """A check's finding."""

    check: str
    host: str
    """Empty: about the cluster."""

    level: Level
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class PlanMade:
    """The plan that is to be approved, or was."""

    digest: str
    actions: Mapping[str, int]
    """How many actions are left, per host."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step's first action is about to be sent to the host."""

    host: str
    step: str
    title: str
    actions: int


@dataclass(frozen=True, slots=True)
class ActionStarted:
    """An action is about to be sent."""

    host: str
    step: str
    shown: str


@dataclass(frozen=True, slots=True)
class Output:
    """A line that the host wrote, cleaned."""

    host: str
    step: str
    line: str


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """An action ended, or was lost sight of."""

    host: str
    step: str
    outcome: Outcome
    code: int | None
    """Exit status; None where none was seen."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step ended."""

    host: str
    step: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """A verdict on the finished network."""

    kind: str
    host: str
    peer: str
    level: Judged
    seen: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The verb is done; the last event of a journal that is whole."""

    outcome: Outcome
    code: int
    """The exit code that the command gives."""

    why: str = ""


Event: TypeAlias = (
    RunStarted
    | Connected
    | FactsRead
    | HostLost
    | Found
    | PlanMade
    | StepStarted
    | ActionStarted
    | Output
    | ActionEnded
    | StepEnded
    | Verified
    | RunEnded
)
KINDS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


@dataclass(frozen=True, slots=True)
class Record:
    """An event with its place in the run."""

    number: int
    """From 0, without gaps."""

    at: float
    """Seconds since 1970, by the operator's clock."""

    event: Event


Sink: TypeAlias = Callable[[Record], None]
Emit: TypeAlias = Callable[[Event], None]


def to_json(record: Record) -> dict[str, Any]:
    """The record as JSON's own types: `number`, `at`, `kind`, and the event's fields."""
    kind = type(record.event).__name__
    return {"number": record.number, "at": record.at, "kind": kind, **asdict(record.event)}


def from_json(data: Mapping[str, Any]) -> Record:
    """The record that `to_json` gave.

    Raises:
        ValueError: it is none: an unknown kind, a field missing, surplus or of another type.
    """
    rest = dict(data)
    try:
        number, at, kind = int(rest.pop("number")), float(rest.pop("at")), str(rest.pop("kind"))
    except (KeyError, TypeError, ValueError) as wrong:
        raise ValueError(f"not a record: {wrong!r}") from None
    if kind not in KINDS:
        raise ValueError(f"no event is called {kind!r}")
    made = KINDS[kind]
    surplus = set(rest) - {field.name for field in fields(made)}
    if surplus:
        raise ValueError(f"{kind} has no {', '.join(sorted(surplus))}")
    for name, value in rest.items():
        if isinstance(value, list):
            rest[name] = tuple(value)
    try:
        return Record(number, at, made(**rest))
    except TypeError as wrong:
        raise ValueError(f"{kind}: {wrong}") from None
