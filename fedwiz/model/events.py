"""What happened, as data in the past tense: everything that the engine reports.

The union is closed. Panes, text, JSON and the report all read the same records.
"""

import json
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

Level: TypeAlias = Literal["ok", "warn", "block"]
LEVELS_WORST_FIRST: tuple[Level, ...] = ("block", "warn", "ok")
"""The order in which findings are shown."""

Outcome: TypeAlias = Literal["ok", "failed", "unknown", "stopped"]
"""`unknown`: it was sent, but its end was not seen. `stopped`: the operator ended the run."""

Judged: TypeAlias = Literal["pass", "fail", "skipped"]
VERDICTS_WORST_FIRST: tuple[Judged, ...] = ("fail", "skipped", "pass")
"""Several verdicts count as the worst of them: the first of these."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A verb started."""

    verb: str
    cluster: str
    hosts: tuple[str, ...]
    practice: str = ""
    """Empty on a real cluster; on a practice cluster the name of its fault, or `healthy`."""

    version: str = ""
    """The fedwiz version that ran; empty in journals of older versions, which did not record it."""

    accepted: tuple[str, ...] = ()  # checks whose failure was treated as a warning


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
class Versions:
    """The versions of what runs on a host; follows the `FactsRead` that it belongs to."""

    host: str
    versions: Mapping[str, str]
    """By name: `os`, `kernel`, `docker`, `flannel`, `etcd`; unknown ones are missing."""


@dataclass(frozen=True, slots=True)
class HostLost:
    """This run does nothing more on this host."""

    host: str
    why: str


@dataclass(frozen=True, slots=True)
class LockMoved:
    """The cluster's lock was lost, so that no new step starts; or it was reacquired."""

    held: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding: a check's result for one host, or for the cluster."""

    check: str
    host: str
    """Empty: about the cluster."""

    level: Level
    seen: str
    """One sentence; it may quote a host's output, sanitized."""

    remedy: str = ""
    """One thing to do; empty only if the level is `ok`."""


@dataclass(frozen=True, slots=True)
class PlanMade:
    """The plan that awaits approval, or was approved."""

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
    unit: str = ""  # the unit it runs as on the host; its end can be looked up later by that name


@dataclass(frozen=True, slots=True)
class Output:
    """A line that the host wrote, sanitized."""

    host: str
    step: str
    line: str


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """An action ended, or its end could not be observed."""

    host: str
    step: str
    outcome: Outcome
    code: int | None
    """Exit status; None if it was not seen."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step ended."""

    host: str
    step: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class RoundStarted:
    """A continuous verification started another round; findings of the last one are obsolete."""

    round: int
    """Its number, from 1."""


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """A round has delivered all its verdicts."""

    round: int
    code: int
    """The exit code that the command would return if this were the last round."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A verdict: a state of the finished network, and whether it is right."""

    kind: str
    """One of `VERDICT_KINDS`; a journal of another version may have others."""

    host: str
    """Empty: not a host of the answers."""

    peer: str
    """The receiver, for a pair of nodes; empty for kinds that are about one host."""

    level: Judged
    seen: str
    """The state as the host or etcd reports it; may have several lines."""

    why: str = ""
    """What is wrong, and one thing to do. For a `pass`: a warning."""


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A cause of a fault between two nodes; the first one reported is the most likely."""

    sender: str
    receiver: str
    cause: str
    """Stable, kebab-case."""

    host: str
    """Where it must be fixed."""

    why: str
    """What is wrong, in one sentence."""

    seen: str
    """The measurements and facts that show it; may have several lines."""

    remedy: str
    """One thing to do."""

    explains: bool
    """True if it explains why this pair can't ping; false for a fault that does not stop pings
    now."""

    actions: int
    """How many actions fedwiz offers to fix it; 0: the operator must."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """What undoes that host's next action; recorded before the action is sent."""

    host: str
    step: str
    argv: tuple[str, ...]
    stdin: str
    timeout: int
    interrupts: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The verb ended; the last event of a complete journal."""

    outcome: Outcome
    code: int
    """The exit code that the command returns."""

    why: str = ""


Event: TypeAlias = (
    RunStarted
    | Connected
    | FactsRead
    | Versions
    | HostLost
    | LockMoved
    | Found
    | PlanMade
    | StepStarted
    | ActionStarted
    | Output
    | ActionEnded
    | StepEnded
    | RoundStarted
    | RoundEnded
    | Verified
    | Diagnosed
    | WayBack
    | RunEnded
)
EVENTS_BY_NAME: Mapping[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


@dataclass(frozen=True, slots=True)
class Record:
    """An event with its position in the run."""

    number: int
    """From 0, without gaps."""

    at: float
    """Seconds since 1970, by the operator's clock."""

    event: Event


Sink: TypeAlias = Callable[[Record], None]
Emit: TypeAlias = Callable[[Event], object]


PLACE = ("number", "at", "event")
"""The keys of a record besides its event's fields; no event may have fields of these names."""

_MAX_TIME = 253402300799.0
"""The end of the year 9999: the last moment that calendars can represent."""


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_integer(value: object) -> bool:
    return type(value) is int and abs(value) < 2**53  # the range that JSON numbers hold exactly


def _is_number(value: object) -> bool:
    return _is_integer(value) or (type(value) is float and math.isfinite(value))


_FITS: Mapping[object, tuple[Callable[[Any], bool], str]] = {
    str: (_is_text, "text"),
    int: (_is_integer, "a whole number"),
    bool: (lambda value: type(value) is bool, "true or false"),
    float: (_is_number, "a number"),
    int | None: (lambda value: value is None or _is_integer(value), "a whole number or null"),
    tuple[str, ...]: (
        lambda value: type(value) is list and all(map(_is_text, value)),
        "a list of texts",
    ),
    Mapping[str, int]: (
        lambda value: type(value) is dict and all(map(_is_integer, value.values())),
        "an object of whole numbers",
    ),
    Mapping[str, str]: (
        lambda value: type(value) is dict and all(map(_is_text, value.values())),
        "an object of texts",
    ),
}
"""For each type of a field: whether a JSON value fits it, and the type's name."""


def _refusal(hint: object, value: object) -> str:
    """What would be valid instead of the value; empty if it fits."""
    if get_origin(hint) is Literal:
        known = get_args(hint)
        return "" if value in known else "one of " + ", ".join(known)
    fits, name = _FITS[hint]
    return "" if fits(value) else name


_HINTS = {name: get_type_hints(kind) for name, kind in EVENTS_BY_NAME.items()}
_REQUIRED = {
    name: {field.name for field in fields(kind) if field.default is MISSING}
    for name, kind in EVENTS_BY_NAME.items()
}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def to_json(record: Record) -> dict[str, Any]:
    """The record in JSON's own types: `number`, `at`, `event` (its name), and its fields."""
    event = record.event
    values = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    return {"number": record.number, "at": record.at, "event": type(event).__name__, **values}


def from_json(data: object) -> Record:
    """Parse what `to_json` returned.

    Raises:
        ValueError: not a record: an unknown event, or a field that is missing, surplus or
            mistyped.
    """
    if not isinstance(data, dict):
        raise ValueError(f"not a record: {reprlib.repr(data)}")
    rest = dict(data)
    number, at, kind = (rest.pop(name, None) for name in PLACE)
    if not _is_integer(number) or number < 0:
        raise ValueError(f"number: {reprlib.repr(number)} is not a record's place")
    if not _is_number(at) or not 0 <= at <= _MAX_TIME:
        raise ValueError(f"at: {reprlib.repr(at)} is not a time in seconds since 1970")
    if not isinstance(kind, str) or kind not in EVENTS_BY_NAME:
        raise ValueError(f"no event is called {reprlib.repr(kind)}")
    if missing := _REQUIRED[kind] - rest.keys():
        raise ValueError(f"{kind} lacks {', '.join(sorted(missing))}")
    for name, value in rest.items():
        if name not in _HINTS[kind]:
            raise ValueError(f"{kind} has no {reprlib.repr(name)}")
        if expected := _refusal(_HINTS[kind][name], value):
            raise ValueError(f"{kind}.{name}: {reprlib.repr(value)} is not {expected}")
        if isinstance(value, list):
            rest[name] = tuple(value)
    return Record(number, float(at), EVENTS_BY_NAME[kind](**rest))


def to_line(record: Record) -> str:
    """The record as one journal line: ASCII JSON, so that no byte needs special care."""
    return json.dumps(to_json(record), separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> Record:
    """Parse what `to_line` returned.

    Raises:
        ValueError: not a record.
    """
    try:
        return from_json(json.loads(line))
    except RecursionError:
        raise ValueError("not a record: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
