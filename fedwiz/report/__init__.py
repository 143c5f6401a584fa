"""The findings and verdicts of a run, as text for people and as files to keep or send.

Every form is made from a `State`, so a run of last week reports as it did then.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from fedwiz.report.changes import Drift
from fedwiz.report.document import as_json
from fedwiz.report.html import page
from fedwiz.report.junit import junit
from fedwiz.report.schema import schema
from fedwiz.report.summary import SIGNS, headline, nodes, ok, outcome_line, pairs, verdict_line
from fedwiz.report.text import WIDTH_COLUMNS, findings, markdown, matrix, reasons, rounds, text
from fedwiz.runs.state import State

__all__ = [
    "FORMS",
    "MODE",
    "SIGNS",
    "WIDTH_COLUMNS",
    "as_json",
    "findings",
    "headline",
    "junit",
    "markdown",
    "matrix",
    "nodes",
    "ok",
    "outcome_line",
    "page",
    "pairs",
    "reasons",
    "rounds",
    "schema",
    "text",
    "verdict_line",
]


def _json(state: State, run: str, drift: Drift | None) -> str:
    return json.dumps(as_json(state, run, drift), indent=2, ensure_ascii=False) + "\n"


FORMS: Mapping[str, Callable[[State, str, Drift | None], str]] = MappingProxyType(
    {
        ".md": markdown,
        ".json": _json,
        ".html": page,
        ".xml": junit,
    }
)
"""The file forms of a report, by the suffix of the file's name."""

MODE = 0o666
"""Mode of a report file: the operator's umask decides who may read it.  A report is made to be sent
and collected, and unlike journals and answers it is written where the operator asked for it; it
contains no secrets."""
