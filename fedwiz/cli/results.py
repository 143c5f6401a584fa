"""Print a verb's result, as text or as JSON."""

import argparse
from pathlib import Path

from fedwiz import report
from fedwiz.answers.file import Answers
from fedwiz.cli.output import UsageError, give, give_json, say
from fedwiz.engine import plan as planning
from fedwiz.engine import verbs
from fedwiz.engine.approval import save_plan
from fedwiz.engine.verbs import Result
from fedwiz.report import changes
from fedwiz.runs import describe
from fedwiz.runs.state import State
from fedwiz.util import files


def report_path(options: argparse.Namespace) -> Path | None:
    """The path of the report file; None: no file is wanted.

    Raises:
        UsageError: the file cannot be written there, or its suffix is not a known format.
    """
    text = getattr(options, "report", None)
    if text is None:
        return None
    path = Path(text)
    if path.suffix.lower() not in report.FORMS:
        raise UsageError(f"--report {text}: its name says in which form: {', '.join(report.FORMS)}")
    if why := files.refuses(path):
        raise UsageError(f"--report {text}: {why}")
    return path


def print_report(options: argparse.Namespace, result: Result, state: State, run: str = "") -> int:
    """Print and save the report of a check, a verification or an install; returns the exit code.

    For a run that never started, print the reason instead.
    """
    if not (state.verb or options.json):
        say(f"fedwiz: {result.why}")
        return result.code
    if failed := describe.failures(state):
        say(failed)
    since = changes.since(state)
    if options.json:
        give_json(report.as_json(state, run, since))
    else:
        give(report.text(state, since))
    if result.why:
        say(f"fedwiz: {result.why}")
    path = report_path(options)
    if path is None:
        return result.code
    try:
        form = report.FORMS[path.suffix.lower()]
        files.write(path, form(state, run, since), mode=report.MODE)
    except OSError as wrong:
        say(f"fedwiz: the report {path} could not be written: {wrong.strerror or wrong}")
        return result.code or verbs.INTERNAL
    return result.code


def print_plan(options: argparse.Namespace, answers: Answers, result: Result, state: State) -> int:
    """Print a plan as text, as JSON or as one script per host; returns the exit code."""
    if result.plan is None or result.known is None or result.code == verbs.UNREACHABLE:
        # Never show a plan of part of the cluster: it would be approved as if it were complete.
        return print_report(options, result, state)
    try:
        save_plan(result.plan, result.known)
    except OSError as wrong:
        say(f"the plan could not be kept, for --approve to compare: {wrong.strerror or wrong}")
    if options.shell:
        scripts = planning.scripts(result.plan, answers)
        give("\n".join(t for name, t in scripts.items() if options.host in (None, name)))
    elif options.json:
        blocks = [it for it in report.as_json(state)["findings"] if it["level"] == "block"]
        give_json({**planning.to_json(result.plan), "ok": result.code == 0, "blocks": blocks})
    else:
        give(planning.text(result.plan))
    if result.why:
        say(f"fedwiz: {result.why}")
    return result.code
