"""Verbs that need no host: those on answer files and those on recorded runs."""

import argparse
import asyncio
import time
from pathlib import Path

from fedwiz import report
from fedwiz.answers.file import load, schema
from fedwiz.answers.package_file import check_files
from fedwiz.cli.output import UsageError, give, give_json, say, screen
from fedwiz.cli.runner import tell
from fedwiz.engine import verbs
from fedwiz.model.events import Record
from fedwiz.report import changes
from fedwiz.runs import describe
from fedwiz.runs import journal as journals
from fedwiz.runs.interrupted import interrupted_run
from fedwiz.runs.state import State
from fedwiz.util.sanitize import sanitize


def validate(options: argparse.Namespace) -> int:
    """Validate an answer file without network access."""
    answers = load(Path(options.file), options.sets)
    check_files(answers)
    if options.json:
        give_json({"ok": True, "answers": answers.model_dump(mode="json")})
    else:
        nodes = ", ".join(node.name for node in answers.nodes)
        give(f"{options.file} is right: {answers.name}, {answers.master.name} with {nodes}")
    return verbs.OK


def show_schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of answers or of reports."""
    give_json(report.schema() if options.document == "report" else schema())
    return verbs.OK


def runs(options: argparse.Namespace) -> int:
    """List the recorded runs, newest first."""
    found = journals.runs()
    if options.json:
        give_json(
            [
                {
                    "run": run.id,
                    "verb": run.verb,
                    "cluster": run.cluster,
                    "started": run.started,
                    "outcome": run.outcome,
                    "hosts": list(run.hosts),
                    "practice": run.practice,
                }
                for run in found
            ]
        )
        return verbs.OK
    for run in found:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
        where = f"{run.cluster} (practice)" if run.practice else run.cluster
        give(sanitize(f"{run.id}  {began}  {run.verb:<8} {run.outcome:<12} {where}"))
    if (unfinished := interrupted_run()) is not None:
        say(f"{unfinished.sentence}: `fedwiz resume` continues it ({unfinished.run.id})")
    if not found:
        give(f"no runs are recorded in {journals.runs_path()}")
    return verbs.OK


def replay(options: argparse.Namespace) -> int:
    """Play back a recorded run, on the install page if a speed is given."""
    try:
        records = journals.read(journals.find(options.run))
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    lines = options.json or options.plain or not options.speed
    if not lines and screen() and options.screens is not None:
        return int(options.screens().replay(records, options.speed))
    state = State()

    def show(record: Record) -> None:
        state.apply(record)
        if options.json:
            give(describe.as_json_line(record))
        else:
            tell(record)

    asyncio.run(journals.replay(records, show, options.speed or 0.0))
    if not options.json:
        give(report.text(state, changes.since(state)))
    return verbs.OK
