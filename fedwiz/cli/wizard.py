"""The verb `wizard`: full-screen if the terminal allows it, else numbered prompts."""

import argparse
from typing import TYPE_CHECKING

from fedwiz.cli.output import INTERRUPTED, UsageError, prompts, say, screen
from fedwiz.util import files

if TYPE_CHECKING:
    from fedwiz.cli import Begin
    from fedwiz.wizard.draft import Draft


def wizard(options: argparse.Namespace) -> int:
    """Ask for missing answers, install and verify.

    Raises:
        UsageError: no operator can be asked.
        AnswersError: the given answers are invalid.
    """
    if not can_ask(options):
        raise UsageError(
            "nobody can be asked here: give a verb, such as `fedwiz install -a FILE --yes`, or "
            "--plain, which asks in lines; `fedwiz --help` names the verbs"
        )
    return open_wizard(options, _start(options))


def can_ask(options: argparse.Namespace) -> bool:
    """Whether there is an operator to ask."""
    return bool(options.plain) or prompts() or (screen() and options.screens is not None)


def open_wizard(options: argparse.Namespace, begin: "Begin | None") -> int:
    """Run the wizard and return its exit code."""
    if not options.plain and screen() and options.screens is not None:
        code: int = options.screens().run(begin)
        if code == INTERRUPTED:
            say("fedwiz: closed by the operator; the same command continues from here")
        return code
    from fedwiz.cli.plain import flow

    return flow.wizard(begin() if begin else None)


def _start(options: argparse.Namespace) -> "Begin | None":
    """What to start from: the answers given, with `--set` applied, or the saved draft."""
    if options.answers or options.sets:
        draft = _draft_from_options(options)
        return lambda: draft
    return _saved_draft if files.place().exists() else None


def _saved_draft() -> "Draft | None":
    from fedwiz.wizard.draft import load_saved

    return load_saved()


def _draft_from_options(options: argparse.Namespace) -> "Draft":
    from fedwiz.wizard import start
    from fedwiz.wizard.draft import with_sets

    if options.answers:
        return start.from_file(options.answers, options.sets)
    return with_sets(_saved_draft() or start.new(), options.sets)
