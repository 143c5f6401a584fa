"""Verbs at a terminal or in a pipe: events on stderr, the result on stdout."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from fedwiz.answers.passwords import take
from fedwiz.cli.options import parser, with_verb
from fedwiz.cli.output import explained, streams, unhurried

if TYPE_CHECKING:  # --help, --version and the wizard's first page need not wait for pydantic
    from fedwiz.model.events import Record
    from fedwiz.wizard.draft import Draft

Begin = Callable[[], "Draft | None"]
"""Makes the draft that the wizard begins with; None: it asks what is to be done."""


class Screens(Protocol):
    """What only the wizard's screens can do; `__main__` has them."""

    def run(self, begin: Begin | None) -> int:
        """Open the wizard; gives the exit code.

        Args:
            begin: called off the loop; None: nothing was kept, so the first page asks.
        """

    def replay(self, records: "Sequence[Record]", speed: float) -> int:
        """Play a recorded run, so many times as fast as it was; gives the exit code."""


def main(argv: Sequence[str] | None = None, screens: Callable[[], Screens] | None = None) -> int:
    """Carry a command line out; gives the exit code.

    Args:
        argv: the words; by default those of this process.
        screens: loads them, which takes its time; None: there are none, only lines.
    """
    streams()
    take()
    options = parser().parse_args(with_verb(sys.argv[1:] if argv is None else argv))
    options.screens = screens
    try:
        with unhurried():
            return _done(options)
    except KeyboardInterrupt:
        return 130


def _done(options: argparse.Namespace) -> int:
    try:
        return _verb(options.verb)(options)
    except Exception as wrong:
        code = explained(wrong, options)
        if code is None:
            raise
        return code


def _verb(name: str) -> Callable[[argparse.Namespace], int]:
    """What carries a verb out; only what it needs is loaded."""
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
