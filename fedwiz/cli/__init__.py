"""Verbs at a terminal or in a pipe: events on stderr, the result on stdout."""

import argparse
import sys
from collections.abc import Callable

from fedwiz.cli.options import parser


def main(argv: list[str] | None = None) -> int:
    """Carry a command line out; gives the exit code."""
    options = parser().parse_args(argv)
    if options.verb is None:
        parser().print_help(sys.stderr)
        return 2
    # Imported here: --help and --version need not wait for pydantic.
    from fedwiz import verbs
    from fedwiz.answers import Refused
    from fedwiz.cli.output import Usage, refuse, say
    from fedwiz.journal import Unwritten

    try:
        return _command(options)(options)
    except Refused as refused:
        refuse(refused, options)
        return verbs.USAGE
    except Usage as wrong:
        say(f"fedwiz: {wrong}")
        return verbs.USAGE
    except Unwritten as wrong:
        say(f"fedwiz: {wrong}; make room for it, and the same command goes on from here")
        return verbs.INTERNAL
    except KeyboardInterrupt:
        return verbs.INTERRUPTED


def _command(options: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    from fedwiz.cli import offline, online

    return {
        "check": online.check,
        "plan": online.plan,
        "install": online.install,
        "verify": online.verify,
        "discover": _discover,
        "demo": online.demo,
        "validate": offline.validate,
        "schema": offline.show_schema,
        "runs": offline.runs,
        "replay": offline.replay,
    }[str(options.verb)]


def _discover(options: argparse.Namespace) -> int:
    from fedwiz.cli import scan

    return scan.discover(options)
