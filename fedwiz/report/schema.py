"""The JSON Schema of the report, for programs that read it."""

from typing import Any, get_args

from fedwiz.model.events import Judged, Level
from fedwiz.report.document import SCHEMA
from fedwiz.runs.state import Word

TEXT = {"type": "string"}
NUMBER_OR_NULL = {"type": ["number", "null"]}
MOMENT = {"type": ["string", "null"], "format": "date-time"}


def _object(about: str, **fields: Any) -> dict[str, Any]:
    """An object with all these keys; a later fedwiz may add more."""
    return {
        "type": "object",
        "description": about,
        "properties": fields,
        "required": list(fields),
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def schema() -> dict[str, Any]:
    """The report's JSON Schema, draft 2020-12."""
    judged = {"enum": list(get_args(Judged))}
    outcomes = [word for word in get_args(Word) if word != "done"]
    host = _object(
        "one host",
        outcome={"enum": ["ok", *outcomes]},
        why=TEXT,
        facts_seconds={**NUMBER_OR_NULL, "description": "how long reading its facts took"},
        versions={
            "type": "object",
            "additionalProperties": TEXT,
            "description": "of os, kernel, docker, flannel and etcd, as far as they are known",
        },
    )
    finding = _object(
        "what a check found",
        check=TEXT,
        host=TEXT,
        level={"enum": list(get_args(Level))},
        seen=TEXT,
        remedy=TEXT,
    )
    verdict = _object(
        "kind: address, lease, subnet_env of a host; peer, ping, mtu of an ordered pair of nodes",
        kind=TEXT,
        host=TEXT,
        peer=TEXT,
        level=judged,
        seen=TEXT,
        why={**TEXT, "description": "what is wrong and one thing to do; a warning beside a pass"},
    )
    change = _object(
        "what: host, subnet, public_ip, vtep_mac, backend, network, flannel_mtu, a version's name, "
        "or a kind of verdict with its levels",
        what=TEXT,
        host=TEXT,
        peer=TEXT,
        before=TEXT,
        now=TEXT,
    )
    diagnosis = _object(
        "a cause of what is wrong between two nodes; the likeliest comes first",
        sender=TEXT,
        receiver=TEXT,
        cause=TEXT,
        host=TEXT,
        why=TEXT,
        seen=TEXT,
        remedy=TEXT,
        explains={"type": "boolean"},
        actions={"type": "integer"},
    )
    since = _object(
        "what changed since the last complete verification",
        run=TEXT,
        started={"type": "string", "format": "date-time"},
        changes=_list(change),
    )
    cells = _list({"enum": [None, "unknown", *get_args(Judged)]})
    report = _object(
        "What a run of fedwiz found and verified.",
        schema={"const": SCHEMA},
        ok={"type": "boolean"},
        headline=TEXT,
        verb=TEXT,
        cluster=TEXT,
        run={**TEXT, "description": "its id, for `fedwiz replay`"},
        fedwiz={**TEXT, "description": "version"},
        digest={**TEXT, "description": "of the plan; empty where none was made"},
        outcome={"enum": ["ok", "failed", "unknown", "stopped", "interrupted"]},
        code={"type": ["integer", "null"], "description": "exit status"},
        why=TEXT,
        started=MOMENT,
        ended=MOMENT,
        seconds=NUMBER_OR_NULL,
        rounds={"type": "integer"},
        hosts={"type": "object", "additionalProperties": host},
        findings=_list(finding),
        verdicts=_list(verdict),
        matrix=_object(
            "who pings whom: a row for each sender", nodes=_list(TEXT), rows=_list(cells)
        ),
        diagnoses=_list(diagnosis),
        since={"anyOf": [{"type": "null"}, since]},
    )
    report["properties"]["practice"] = {
        **TEXT,
        "description": "on a practice cluster only: the name of its fault, or `healthy`",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fedwiz report",
        **report,
    }
