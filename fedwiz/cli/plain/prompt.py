"""Questions in lines: each with what an empty line means, `?` for help, `<` for the one before."""

import sys
from collections.abc import Callable, Sequence

from fedwiz.answers.file import Question
from fedwiz.answers.questions import as_text, from_text
from fedwiz.cli.output import say
from fedwiz.cli.terminal import ask
from fedwiz.util.sanitize import sanitize

HELP, BACK, NOTHING, NONE = "?", "<", "-", "none"
KEYS_HELP = (
    "An empty line takes what stands in brackets, `-` alone takes an answer back, `<` goes to the "
    "question before, Ctrl+C leaves: what was said is kept."
)

Refuse = Callable[[str], str]
"""What is wrong with an answer; empty: nothing."""

Option = tuple[str, str, str]
"""One of several: what is given, its title, and more about it."""


class BackError(Exception):
    """The operator wants the question before this one."""


class InputEndedError(Exception):
    """The input has come to its end at a question."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
        """Of the answer that is missing."""


class Prompt:
    """Asks, and counts what it asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def line(self, key: str, question: str, default: str = "", help: str = "") -> str:  # noqa: A002 - as a question has it
        """A line of text; the default where it is empty.

        Raises:
            Back: the operator wants the question before.
            Ended: there is no more input; names the key.
        """
        self.asked += 1
        shown = (
            f"{sanitize(question)} [{sanitize(default)}]: "
            if default
            else f"{sanitize(question)}: "
        )
        while True:
            said = await ask(shown)
            if said is None:
                say("")
                raise InputEndedError(key)
            said = said.strip()
            if not sys.stdin.isatty():
                say(sanitize(said))  # as the terminal would have shown it
            if said == BACK:
                raise BackError
            if said != HELP:
                return said or default
            for text in (*help.splitlines(), KEYS_HELP):
                say(f"  {sanitize(text)}")

    async def text(
        self,
        key: str,
        question: str,
        refuse: Refuse,
        default: str = "",
        help: str = "",  # noqa: A002
    ) -> str:
        """A line that will do: it is asked for again, with a sentence that says why."""
        while True:
            said = await self.line(key, question, default, help)
            why = refuse(said)
            if not why:
                return said
            wrong(why)

    async def pick(
        self,
        key: str,
        question: str,
        options: Sequence[Option],
        default: str = "",
        help: str = "",  # noqa: A002
    ) -> str:
        """One of several, by its number or its name."""
        wide = max(len(title) for _, title, _ in options)
        for number, (_, title, more) in enumerate(options, 1):
            first, *notes = more.splitlines() or [""]
            say(f"  {number:>2}  {sanitize(title):<{wide}}  {sanitize(first)}".rstrip())
            for note in notes:
                say(f"      {'':<{wide}}  {sanitize(note)}")
        names = [name for name, _, _ in options]
        by = {str(number): name for number, name in enumerate(names, 1)} | {n: n for n in names}
        first = str(names.index(default) + 1) if default in names else ""
        said = await self.text(
            key,
            question,
            lambda text: "" if text in by else f"a number from 1 to {len(names)}",
            first,
            help,
        )
        return by[said]

    async def yes(self, key: str, question: str, help: str = "", *, default: bool = False) -> bool:  # noqa: A002
        """Yes, typed in full, or no."""
        words = {"yes": True, "no": False}
        said = await self.text(
            key,
            question,
            lambda text: "" if text in words else "type yes or no",
            "yes" if default else "no",
            help,
        )
        return words[said]

    async def answer(self, question: Question, value: object) -> object:
        """An answer as it was meant, right or wrong; None: the default.

        Args:
            question: which one.
            value: what an empty line means; None: the question's default.
        """
        now = question.default if value is None else value
        if question.kind == "flag":
            ticked = await self.yes(question.path, question.title, question.help, default=bool(now))
            return None if ticked == question.default else ticked
        if question.kind == "choice":
            options = [(choice, choice, "") for choice in question.choices]
            picked = await self.pick(
                question.path, question.title, options, str(now), question.help
            )
            return None if picked == question.default else picked
        said = await self.line(question.path, question.title, as_text(now), _helped(question))
        if said == NOTHING:
            return None
        meant = from_text(question, said)
        spare = tuple(meant) if isinstance(meant, list) else meant
        return None if spare == question.default else meant


def _helped(question: Question) -> str:
    return f"{question.help}  Such as {question.sample}" if question.sample else question.help


def wrong(why: str) -> None:
    """Say what is wrong with an answer."""
    for line in why.splitlines():
        say(f"  X {sanitize(line)}")


async def secret(question: str) -> str | None:
    """A password; at a terminal it is not shown.  None: there is none to be had."""
    return await ask(f"{sanitize(question)}: ", hidden=True) or None
