"""Verbs at a terminal or in a pipe: events on stderr, the result on stdout."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from fedwiz.cli.options import parser, with_verb
from fedwiz.cli.output import explained, streams, unhurried
from fedwiz.passwords import take

if TYPE_CHECKING:  # --help, --version and the wizard's first page need not wait for pydantic
    from fedwiz.draft import Draft
    from fedwiz.events import Record

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
        from fedwiz.cli import scan

        return scan.discover
    if name in ("validate", "schema", "runs", "replay"):
        from fedwiz.cli import offline

        return {
            "validate": offline.validate,
            "schema": offline.show_schema,
            "runs": offline.runs,
            "replay": offline.replay,
        }[name]
    if name == "resume":
        from fedwiz.cli import resume

        return resume.resume
    if name in ("diagnose", "undo"):
        from fedwiz.cli import mending

        return {"diagnose": mending.diagnose, "undo": mending.undo}[name]
    if name == "watch":
        from fedwiz.cli import follow

        return follow.watch
    from fedwiz.cli import online

    return {
        "check": online.check,
        "plan": online.plan,
        "install": online.install,
        "verify": online.verify,
        "demo": online.demo,
    }[name]
