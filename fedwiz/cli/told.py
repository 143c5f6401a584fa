"""What a verb's result looks like, for people and as JSON."""

import argparse
import json

from fedwiz import display, report, verbs
from fedwiz import journal as journals
from fedwiz import plan as planning
from fedwiz.answers import Answers
from fedwiz.cli.output import give, give_json, say
from fedwiz.state import State
from fedwiz.verbs import Result


def reported(options: argparse.Namespace, result: Result, state: State, run: str = "") -> int:
    """The report of a check, a verification or an install."""
    if failed := display.failures(state):
        say(failed)
    if options.json:
        give_json(report.as_json(state, run))
    else:
        give(report.text(state))
    if result.why:
        say(f"fedwiz: {result.why}")
    return result.code


def planned(options: argparse.Namespace, answers: Answers, result: Result, state: State) -> int:
    """A plan: as text, as JSON, or as one script per host."""
    if result.plan is None or result.known is None or result.code == verbs.UNREACHABLE:
        # Half a cluster's plan would be approved as if it were the whole.
        return reported(options, result, state)
    # Kept, so that a later approval can say which fact moved.
    facts = json.dumps({"facts": verbs.fingerprints(result.known)})
    try:
        journals.keep_plan(result.plan.digest, facts)
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
