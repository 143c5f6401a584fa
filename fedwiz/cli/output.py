"""Where text leaves: events and refusals on stderr, the result on stdout."""

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

if TYPE_CHECKING:  # the first page of the wizard does not wait for it
    from fedwiz.answers.file import AnswersError


INTERRUPTED = 130
"""As `fedwiz.engine.verbs` has it, which is not loaded when this is."""


class UsageError(Exception):
    """The command can't be carried out as it was given."""


def streams() -> None:
    """Have standard input, output and error, also where whoever began fedwiz has closed them.

    In their order, since a file that is opened takes the lowest number: else it were the journal.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - to the end


_behind: BackgroundWriter | None = None


@contextmanager
def unhurried() -> Iterator[None]:
    """In here what is written waits for whoever reads it, and nobody else does; all is, at the end.

    Raises:
        Exception: what could not be written, such as a letter that the terminal does not have.
    """
    global _behind
    _behind, before = BackgroundWriter(), _behind
    try:
        yield
    finally:
        ended, _behind = _behind, before
        try:
            ended.end()
        except KeyboardInterrupt:
            # Python itself, at its end, would wait once more for whoever does not read.
            os._exit(INTERRUPTED)


def say(line: str) -> None:
    """A line on stderr."""
    write(sys.stderr, line + "\n")


def give(text: str) -> None:
    """The result, on stdout."""
    write(sys.stdout, text if text.endswith("\n") else text + "\n")


def write(stream: TextIO, text: str) -> None:
    """Write, and go on without whoever read it and has gone: the journal has it all.

    A pipe that is closed or a terminal that is gone must not stop a run in its middle.
    """
    if _behind is None:
        _write(stream, text)
    else:
        _behind.do(partial(_write, stream, text))


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def draw(lines: Sequence[str]) -> None:
    """Lines on stdout, a terminal, in place of what it shows."""
    size = shutil.get_terminal_size()
    room = max(size.lines - 1, 2)
    shown = list(lines)
    if len(shown) > room:
        shown = [*shown[: room - 1], f"... and {len(shown) - room + 1} lines more"]
    cut = "".join(f"{line[: size.columns - 1]}\x1b[K\n" for line in shown)
    write(sys.stdout, f"\x1b[H{cut}\x1b[J")


def drawable() -> bool:
    """Standard output is a terminal that what it shows can be redrawn on."""
    return sys.stdout.isatty() and not _dumb()


def give_json(document: object) -> None:
    """The result as one JSON document."""
    give(json.dumps(document, indent=2, ensure_ascii=False))


def refuse(refused: "AnswersError", options: argparse.Namespace) -> None:
    """Every refusal, by key."""
    if getattr(options, "json", False):
        give_json({"ok": False, "refused": dict(refused.why)})
    for key, why in refused.why.items():
        say(f"{key}: {why}")


def explained(wrong: Exception, options: argparse.Namespace) -> int | None:
    """Say why a command was not carried out; gives the exit code, None: it is a mistake of ours."""
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
        say(f"fedwiz: {wrong}; make room for it, and the same command goes on from here")
        return verbs.INTERNAL
    return None


def terminal() -> bool:
    """Someone can be asked, and the terminal can hide what is typed."""
    return _at_hand() and not _dumb()


def prompts() -> bool:
    """Someone can be asked, at a terminal that can show nothing but lines."""
    return _at_hand() and _dumb()


def screen() -> bool:
    """The wizard's screens can be shown."""
    return terminal() and sys.stdout.isatty()


def _at_hand() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty() and "CI" not in os.environ


def _dumb() -> bool:
    return os.environ.get("TERM", "dumb") == "dumb"
