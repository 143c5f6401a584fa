"""Prompts in lines, each with a default for an empty line, `?` for help and `<` for going back."""

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
"""Returns what is wrong with an answer; empty: nothing."""

Option = tuple[str, str, str]
"""An option to pick: its value, its title and a description."""


class BackError(Exception):
    """The operator wants to go back to the previous question."""


class InputEndedError(Exception):
    """The input ended at a question."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
        """Key of the missing answer."""


class Prompt:
    """Asks questions and counts them."""

    def __init__(self) -> None:
        self.asked = 0

    async def line(self, key: str, question: str, default: str = "", help: str = "") -> str:  # noqa: A002 - same name as Question.help
        """Ask for a line of text; an empty line means the default.

        Raises:
            BackError: the operator wants to go back to the previous question.
            InputEndedError: there is no more input; carries the key.
        """
        self.asked += 1
        shown = (
            f"{sanitize(question)} [{sanitize(default)}]: "
            if default
            else f"{sanitize(question)}: "
        )
        while True:
            typed = await ask(shown)
            if typed is None:
                say("")
                raise InputEndedError(key)
            typed = typed.strip()
            if not sys.stdin.isatty():
                say(sanitize(typed))  # a terminal would have echoed it
            if typed == BACK:
                raise BackError
            if typed != HELP:
                return typed or default
            for text in (*help.splitlines(), KEYS_HELP):
                say(f"  {sanitize(text)}")

    async def text(
        self,
        key: str,
        question: str,
        refuse: Refuse,
        default: str = "",
        help: str = "",  # noqa: A002 - a question's help
    ) -> str:
        """Ask for a line until `refuse` accepts it; each refusal is printed."""
        while True:
            text = await self.line(key, question, default, help)
            why = refuse(text)
            if not why:
                return text
            wrong(why)

    async def pick(
        self,
        key: str,
        question: str,
        options: Sequence[Option],
        default: str = "",
        help: str = "",  # noqa: A002 - a question's help
    ) -> str:
        """Ask for one of several options, by its number or its name."""
        width = max(len(title) for _, title, _ in options)
        for number, (_, title, more) in enumerate(options, 1):
            first, *notes = more.splitlines() or [""]
            say(f"  {number:>2}  {sanitize(title):<{width}}  {sanitize(first)}".rstrip())
            for note in notes:
                say(f"      {'':<{width}}  {sanitize(note)}")
        names = [name for name, _, _ in options]
        by = {str(number): name for number, name in enumerate(names, 1)} | {n: n for n in names}
        first = str(names.index(default) + 1) if default in names else ""
        choice = await self.text(
            key,
            question,
            lambda text: "" if text in by else f"a number from 1 to {len(names)}",
            first,
            help,
        )
        return by[choice]

    async def yes(self, key: str, question: str, help: str = "", *, default: bool = False) -> bool:  # noqa: A002 - a question's help
        """Ask for yes or no, typed in full."""
        words = {"yes": True, "no": False}
        word = await self.text(
            key,
            question,
            lambda text: "" if text in words else "type yes or no",
            "yes" if default else "no",
            help,
        )
        return words[word]

    async def answer(self, question: Question, value: object) -> object:
        """Ask for an answer and convert it, valid or not; None: the default.

        Args:
            question: the question.
            value: the value of an empty line; None: the question's default.
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
        text = await self.line(question.path, question.title, as_text(now), _help_text(question))
        if text == NOTHING:
            return None
        answer = from_text(question, text)
        comparable = tuple(answer) if isinstance(answer, list) else answer
        return None if comparable == question.default else answer


def _help_text(question: Question) -> str:
    return f"{question.help}  Such as {question.sample}" if question.sample else question.help


def wrong(why: str) -> None:
    """Print what is wrong with an answer."""
    for line in why.splitlines():
        say(f"  X {sanitize(line)}")


async def secret(question: str) -> str | None:
    """Ask for a password without echo; None: no input."""
    return await ask(f"{sanitize(question)}: ", hidden=True) or None
