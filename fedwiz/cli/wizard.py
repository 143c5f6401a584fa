"""The wizard: on screens where there is a terminal for them, else as numbered prompts."""

import argparse
from typing import TYPE_CHECKING

from fedwiz.cli.output import INTERRUPTED, UsageError, prompts, say, screen
from fedwiz.util import files

if TYPE_CHECKING:
    from fedwiz.cli import Begin
    from fedwiz.wizard.draft import Draft


def wizard(options: argparse.Namespace) -> int:
    """Ask for what is missing, install, prove.

    Raises:
        Usage: nobody can be asked.
        Refused: the answers that were given can't be used.
    """
    if not possible(options):
        raise UsageError(
            "nobody can be asked here: give a verb, such as `fedwiz install -a FILE --yes`, or "
            "--plain, which asks in lines; `fedwiz --help` names the verbs"
        )
    return opened(options, _begin(options))


def possible(options: argparse.Namespace) -> bool:
    """Whether there is somebody to be asked."""
    return bool(options.plain) or prompts() or (screen() and options.screens is not None)


def opened(options: argparse.Namespace, begin: "Begin | None") -> int:
    """The wizard at work; gives the exit code."""
    if not options.plain and screen() and options.screens is not None:
        code: int = options.screens().run(begin)
        if code == INTERRUPTED:
            say("fedwiz: closed by the operator; the same command goes on from here")
        return code
    from fedwiz.cli.plain import flow

    return flow.wizard(begin() if begin else None)


def _begin(options: argparse.Namespace) -> "Begin | None":
    """What to begin with: a file's answers, or what was kept, with what `--set` says."""
    if options.answers or options.sets:
        draft = _given(options)
        return lambda: draft
    return _kept if files.place().exists() else None


def _kept() -> "Draft | None":
    from fedwiz.wizard.draft import kept

    return kept()


def _given(options: argparse.Namespace) -> "Draft":
    from fedwiz.wizard import start
    from fedwiz.wizard.draft import with_sets

    if options.answers:
        return start.from_file(options.answers, options.sets)
    return with_sets(_kept() or start.new(), options.sets)
