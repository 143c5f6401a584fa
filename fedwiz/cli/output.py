"""All output of the command line: events and refusals go to stderr, the result to stdout."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from fedwiz.util.background import BackgroundWriter

if TYPE_CHECKING:  # the wizard's first page loads without it
    from fedwiz.answers.file import AnswersError


INTERRUPTED = 130
"""Same value as in `fedwiz.engine.verbs`, which is not imported here because it is slow to load."""


class UsageError(Exception):
    """The command cannot run with the options given."""


def open_standard_streams() -> None:
    """Open stdin, stdout and stderr on /dev/null where the parent process has closed them.

    In this order: an opened file takes the lowest free descriptor, which otherwise would be the
    journal's.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - stays open


_writer: BackgroundWriter | None = None


@contextmanager
def background_output() -> Iterator[None]:
    """Write from a background thread in this context, so that a stalled reader never blocks a run.

    All pending output is written when the context ends.

    Raises:
        Exception: some output could not be written, e.g. a character that the terminal's encoding
            lacks.
    """
    global _writer
    _writer, before = BackgroundWriter(), _writer
    try:
        yield
    finally:
        ended, _writer = _writer, before
        try:
            ended.end()
        except KeyboardInterrupt:
            # On a normal exit Python would wait once more for the stalled reader.
            os._exit(INTERRUPTED)


def say(line: str) -> None:
    """Print a line to stderr."""
    write(sys.stderr, line + "\n")


def give(text: str) -> None:
    """Print the result to stdout."""
    write(sys.stdout, text if text.endswith("\n") else text + "\n")


def write(stream: TextIO, text: str) -> None:
    """Write text; if the reader has gone, drop it: the journal has everything.

    A closed pipe or a terminal that has gone must not abort a run.
    """
    if _writer is None:
        _write(stream, text)
    else:
        _writer.do(partial(_write, stream, text))


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def draw(lines: Sequence[str]) -> None:
    """Redraw the terminal on stdout with these lines."""
    size = shutil.get_terminal_size()
    room = max(size.lines - 1, 2)
    shown = list(lines)
    if len(shown) > room:
        shown = [*shown[: room - 1], f"... and {len(shown) - room + 1} lines more"]
    cut = "".join(f"{line[: size.columns - 1]}\x1b[K\n" for line in shown)
    write(sys.stdout, f"\x1b[H{cut}\x1b[J")


def can_redraw() -> bool:
    """Whether stdout is a terminal that can be redrawn."""
    return sys.stdout.isatty() and not _dumb()


def give_json(document: object) -> None:
    """Print the result as one JSON document."""
    give(json.dumps(document, indent=2, ensure_ascii=False))


def refuse(refused: "AnswersError", options: argparse.Namespace) -> None:
    """Print every refused answer with its key."""
    if getattr(options, "json", False):
        give_json({"ok": False, "refused": dict(refused.why)})
    for key, why in refused.why.items():
        say(f"{key}: {why}")


def explain(wrong: Exception, options: argparse.Namespace) -> int | None:
    """Say why a command could not run; returns the exit code, or None if it is a bug in fedwiz."""
    from fedwiz.answers.file import AnswersError
    from fedwiz.engine import verbs
    from fedwiz.runs.journal import JournalError

    if isinstance(wrong, AnswersError):
        refuse(wrong, options)
        return verbs.USAGE
    if isinstance(wrong, UsageError):
        say(f"fedwiz: {wrong}")
        return verbs.USAGE
    if isinstance(wrong, JournalError):
        say(f"fedwiz: {wrong}; make room for it, and the same command continues from here")
        return verbs.INTERNAL
    return None


def terminal() -> bool:
    """Whether an operator can answer, at a terminal that can hide input."""
    return _operator_present() and not _dumb()


def prompts() -> bool:
    """Whether an operator can answer, but only in plain lines (a dumb terminal)."""
    return _operator_present() and _dumb()


def screen() -> bool:
    """Whether the full-screen wizard can be shown."""
    return terminal() and sys.stdout.isatty()


def _operator_present() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty() and "CI" not in os.environ


def _dumb() -> bool:
    return os.environ.get("TERM", "dumb") == "dumb"
