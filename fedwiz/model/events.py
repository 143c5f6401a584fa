"""What happened, as data, past tense: the one thing the engine ever says.

The union is closed.  Panes, text, JSON and the report are readers of the same records.
"""

import json
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

Level: TypeAlias = Literal["ok", "warn", "block"]
Outcome: TypeAlias = Literal["ok", "failed", "unknown", "stopped"]
"""`unknown`: it was sent, and its end was not seen.  `stopped`: the operator ended the run."""

Judged: TypeAlias = Literal["pass", "fail", "skipped"]
VERDICTS_WORST_FIRST: tuple[Judged, ...] = ("fail", "skipped", "pass")
"""The worst of several verdicts counts: the first of these."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A verb began its work."""

    verb: str
    cluster: str
    hosts: tuple[str, ...]
    practice: str = ""
    """Not empty on a practice cluster: the name of its fault, or `healthy`."""

    version: str = ""
    """Of the fedwiz that ran; empty in journals of an older one, which did not say."""

    accepted: tuple[str, ...] = ()  # checks whose block was taken for a warning


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
    """What of interest runs on a host: told after its facts, of which it is a part."""

    host: str
    versions: Mapping[str, str]
    """By name: `os`, `kernel`, `docker`, `flannel`, `etcd`; what is not known is missing."""


@dataclass(frozen=True, slots=True)
class HostLost:
    """Nothing more is done on this host in this run."""

    host: str
    why: str


@dataclass(frozen=True, slots=True)
class LockMoved:
    """The cluster's lock was lost, so nothing new is begun; or it was had again."""

    held: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding: a check's result on one host, or on the cluster."""

    check: str
    host: str
    """Empty: about the cluster."""

    level: Level
    seen: str
    """One sentence; it may quote what a host said, cleaned."""

    remedy: str = ""
    """One thing to do; never empty unless the level is `ok`."""


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
    unit: str = ""  # as which it runs on the host; by that name its end can be had later


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
class RoundStarted:
    """A verification that goes on begins once more; what the one before it found is past."""

    round: int
    """Its number, from 1."""


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """All of a round's verdicts are there."""

    round: int
    code: int
    """The exit code that the command would give, were this the last round."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A verdict: what is so on the finished network, and whether that is right."""

    kind: str
    """One of `fedwiz.verify.KINDS`; a journal of another version may have more."""

    host: str
    """Empty: no host that the answers know."""

    peer: str
    """Of a pair of nodes the receiver; empty with the kinds that are about one host."""

    level: Judged
    seen: str
    """As the host or etcd has it; may be several lines."""

    why: str = ""
    """What is wrong, and one thing to do.  Beside a `pass`: a warning."""


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A cause of what is wrong between two nodes; the first one told is the likeliest."""

    sender: str
    receiver: str
    cause: str
    """Stable, kebab-case."""

    host: str
    """Where it is to be mended."""

    why: str
    """What is wrong, in one sentence."""

    seen: str
    """What was measured and read that says so; may be several lines."""

    remedy: str
    """One thing to do."""

    explains: bool
    """It is why this pair does not ping; else it is wrong, too, and does not stop a ping now."""

    actions: int
    """How many actions fedwiz offers to do it with; 0: it is the operator's to do."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """What takes the next action of that host's back; told before the action is sent."""

    host: str
    step: str
    argv: tuple[str, ...]
    stdin: str
    timeout: int
    interrupts: bool


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
    """An event with its place in the run."""

    number: int
    """From 0, without gaps."""

    at: float
    """Seconds since 1970, by the operator's clock."""

    event: Event


Sink: TypeAlias = Callable[[Record], None]
Emit: TypeAlias = Callable[[Event], object]


PLACE = ("number", "at", "event")
"""The keys of a record that are not its event's; no event may have a field of these names."""

_LAST = 253402300799.0
"""The end of the year 9999: later than this no clock is, and no calendar goes."""


def _text(value: object) -> bool:
    return type(value) is str


def _whole(value: object) -> bool:
    return type(value) is int and abs(value) < 2**53  # what JSON's numbers hold; no bool is one


def _number(value: object) -> bool:
    return _whole(value) or (type(value) is float and math.isfinite(value))


_FITS: Mapping[object, tuple[Callable[[Any], bool], str]] = {
    str: (_text, "text"),
    int: (_whole, "a whole number"),
    bool: (lambda value: type(value) is bool, "true or false"),
    float: (_number, "a number"),
    int | None: (lambda value: value is None or _whole(value), "a whole number or null"),
    tuple[str, ...]: (
        lambda value: type(value) is list and all(map(_text, value)),
        "a list of texts",
    ),
    Mapping[str, int]: (
        lambda value: type(value) is dict and all(map(_whole, value.values())),
        "an object of whole numbers",
    ),
    Mapping[str, str]: (
        lambda value: type(value) is dict and all(map(_text, value.values())),
        "an object of texts",
    ),
}
"""For each type that a field may have: whether a value of JSON's fits, and its name."""


def _refusal(hint: object, value: object) -> str:
    """What would be right instead of the value; empty when it fits."""
    if get_origin(hint) is Literal:
        known = get_args(hint)
        return "" if value in known else "one of " + ", ".join(known)
    fits, name = _FITS[hint]
    return "" if fits(value) else name


_HINTS = {name: get_type_hints(kind) for name, kind in EVENTS_BY_NAME.items()}
_NEEDED = {
    name: {field.name for field in fields(kind) if field.default is MISSING}
    for name, kind in EVENTS_BY_NAME.items()
}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def to_json(record: Record) -> dict[str, Any]:
    """The record as JSON's own types: `number`, `at`, `event` (its name), and its fields."""
    event = record.event
    said = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    return {"number": record.number, "at": record.at, "event": type(event).__name__, **said}


def from_json(data: object) -> Record:
    """The record that `to_json` gave.

    Raises:
        ValueError: it is none: an unknown kind, a field missing, surplus or of another type.
    """
    if not isinstance(data, dict):
        raise ValueError(f"not a record: {reprlib.repr(data)}")
    rest = dict(data)
    number, at, kind = (rest.pop(name, None) for name in PLACE)
    if not _whole(number) or number < 0:
        raise ValueError(f"number: {reprlib.repr(number)} is not a record's place")
    if not _number(at) or not 0 <= at <= _LAST:
        raise ValueError(f"at: {reprlib.repr(at)} is not a time in seconds since 1970")
    if not isinstance(kind, str) or kind not in EVENTS_BY_NAME:
        raise ValueError(f"no event is called {reprlib.repr(kind)}")
    if missing := _NEEDED[kind] - rest.keys():
        raise ValueError(f"{kind} lacks {', '.join(sorted(missing))}")
    for name, value in rest.items():
        if name not in _HINTS[kind]:
            raise ValueError(f"{kind} has no {reprlib.repr(name)}")
        if right := _refusal(_HINTS[kind][name], value):
            raise ValueError(f"{kind}.{name}: {reprlib.repr(value)} is not {right}")
        if isinstance(value, list):
            rest[name] = tuple(value)
    return Record(number, float(at), EVENTS_BY_NAME[kind](**rest))


def to_line(record: Record) -> str:
    """The record as one line of a journal: JSON in ASCII, so that no byte of it is special."""
    return json.dumps(to_json(record), separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> Record:
    """The record that `to_line` gave.

    Raises:
        ValueError: it is none.
    """
    try:
        return from_json(json.loads(line))
    except RecursionError:
        raise ValueError("not a record: it is nested too deeply") from None
    except json.JSONDecodeError as wrong:
        raise ValueError(f"not JSON: {wrong.msg} at column {wrong.colno}") from None
