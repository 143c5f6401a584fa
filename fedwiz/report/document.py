"""The report as JSON types."""

from typing import Any

from fedwiz.report.changes import Drift
from fedwiz.report.summary import at, ended, headline, nodes, ok, pairs
from fedwiz.runs.state import HostState, State
from fedwiz.util.sanitize import sanitize

SCHEMA = 1
"""Version of the document's format; it changes when a key is removed or changes its meaning."""


def _plain(text: str) -> str:
    """A host's text, each line without control characters for terminals and editors."""
    return "\n".join(map(sanitize, text.splitlines()))


def _fields(event: object, *names: str) -> dict[str, Any]:
    """Fields of an event, by name."""
    found = ((name, getattr(event, name)) for name in names)
    return {name: _plain(it) if isinstance(it, str) else it for name, it in found}


def _host(host: HostState) -> dict[str, Any]:
    return {
        "outcome": "ok" if host.word == "done" else host.word,
        "why": host.why,
        "facts_seconds": host.facts_seconds,
        "versions": {sanitize(name): text for name, text in host.versions.items()},
    }


def _matrix(state: State) -> dict[str, Any]:
    tried = pairs(state.verdicts)
    names = nodes(tried, state.hosts)
    levels = {pair: it.level for pair, it in tried.items()}
    return {
        "nodes": list(map(sanitize, names)),
        "rows": [
            [None if one == other else levels.get((one, other), "unknown") for other in names]
            for one in names
        ],
    }


def _since(drift: Drift) -> dict[str, Any]:
    return {
        "run": sanitize(drift.run),
        "started": at(drift.started),
        "changes": [_fields(it, "what", "host", "peer", "before", "now") for it in drift.changes],
    }


def as_json(state: State, run: str = "", drift: Drift | None = None) -> dict[str, Any]:
    """The report as JSON types, as described by `schema()`; the same for each verb.

    Args:
        state: what to report.
        run: the run's id.
        drift: the changes since the last verification; None: unknown.
    """
    finished = state.started is not None and bool(state.outcome)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "ok": ok(state),
        "headline": headline(state),
        "verb": sanitize(state.verb),
        "cluster": sanitize(state.cluster),
        "run": sanitize(run),
        "fedwiz": sanitize(state.version),
        "digest": sanitize(state.digest),
        "outcome": state.outcome or "interrupted",
        "code": state.code,
        "why": state.why,
        "started": at(state.started) or None,
        "ended": at(ended(state)) or None,
        "seconds": round(state.elapsed(state.started or 0.0), 3) if finished else None,
        "rounds": state.rounds,
        "hosts": {sanitize(name): _host(host) for name, host in state.hosts.items()},
        "findings": [
            _fields(it, "check", "host", "level", "seen", "remedy") for it in state.findings
        ],
        "verdicts": [
            _fields(it, "kind", "host", "peer", "level", "seen", "why") for it in state.verdicts
        ],
        "matrix": _matrix(state),
        "diagnoses": [
            _fields(
                it,
                "sender",
                "receiver",
                "cause",
                "host",
                "why",
                "seen",
                "remedy",
                "explains",
                "actions",
            )
            for it in state.diagnoses
        ],
        "since": None if drift is None else _since(drift),
    }
    return {**document, "practice": sanitize(state.practice)} if state.practice else document
