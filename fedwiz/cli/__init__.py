"""Entry point of the command line: events go to stderr, the result to stdout."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from fedwiz.answers.passwords import pop_from_environment
from fedwiz.cli.options import parser, with_verb
from fedwiz.cli.output import background_output, explain, open_standard_streams

if TYPE_CHECKING:  # --help, --version and the wizard's first page load without pydantic
    from fedwiz.model.events import Record
    from fedwiz.wizard.draft import Draft

Begin = Callable[[], "Draft | None"]
"""Makes the draft that the wizard starts with; None: the first page asks for a goal."""


class Screens(Protocol):
    """The full-screen wizard; `__main__` provides it."""

    def run(self, begin: Begin | None) -> int:
        """Run the wizard and return its exit code.

        Args:
            begin: called in a thread; None: no saved draft, so the first page asks.
        """

    def replay(self, records: "Sequence[Record]", speed: float) -> int:
        """Play back a recorded run at `speed` times its pace and return the exit code."""


def main(argv: Sequence[str] | None = None, screens: Callable[[], Screens] | None = None) -> int:
    """Run a command line and return its exit code.

    Args:
        argv: the arguments; by default those of this process.
        screens: imports the full-screen wizard, which is slow; None: only plain lines are possible.
    """
    open_standard_streams()
    pop_from_environment()
    options = parser().parse_args(with_verb(sys.argv[1:] if argv is None else argv))
    options.screens = screens
    try:
        with background_output():
            return _run_verb(options)
    except KeyboardInterrupt:
        return 130


def _run_verb(options: argparse.Namespace) -> int:
    try:
        return _runner_of(options.verb)(options)
    except Exception as wrong:
        code = explain(wrong, options)
        if code is None:
            raise
        return code


def _runner_of(name: str) -> Callable[[argparse.Namespace], int]:
    """The function that runs a verb; imports only what that verb needs."""
    if name == "wizard":
        from fedwiz.cli import wizard

        return wizard.wizard
    if name == "discover":
        from fedwiz.cli import discover

        return discover.discover
    if name in ("validate", "schema", "runs", "replay"):
        from fedwiz.cli import local_verbs

        return {
            "validate": local_verbs.validate,
            "schema": local_verbs.show_schema,
            "runs": local_verbs.runs,
            "replay": local_verbs.replay,
        }[name]
    if name == "resume":
        from fedwiz.cli import resume

        return resume.resume
    if name in ("diagnose", "undo"):
        from fedwiz.cli import diagnose

        return {"diagnose": diagnose.diagnose, "undo": diagnose.undo}[name]
    if name == "watch":
        from fedwiz.cli import watch_run

        return watch_run.watch
    from fedwiz.cli import cluster_verbs

    return {
        "check": cluster_verbs.check,
        "plan": cluster_verbs.plan,
        "install": cluster_verbs.install,
        "verify": cluster_verbs.verify,
        "demo": cluster_verbs.demo,
    }[name]
