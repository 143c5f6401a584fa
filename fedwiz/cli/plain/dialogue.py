"""State shared by the line-mode questions: the draft, the inventory and the prompt."""

import time
from collections.abc import Collection, Iterable
from dataclasses import replace

from fedwiz.answers.file import QUESTIONS, Answers, AnswersError, Question
from fedwiz.checks import CHECKS, Finding
from fedwiz.cli.output import say
from fedwiz.cli.plain.prompt import Prompt, secret, wrong
from fedwiz.cli.runner import tell
from fedwiz.facts import ClusterFacts
from fedwiz.model.events import Connected, Event, Record
from fedwiz.runs.interrupted import InterruptedRun
from fedwiz.ssh.known_hosts import UnknownKeyError
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard import draft as drafts
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory, inventory


class QuitError(Exception):
    """The operator quits, or there is nothing left to do."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Dialogue:
    """The wizard in line mode."""

    def __init__(self) -> None:
        self.prompt = Prompt()
        self.draft = Draft()
        self.inventory = Inventory()
        self.back = False
        """The operator is stepping back through the questions."""

        self.before: InterruptedRun | None = None
        """The interrupted run to resume; None: a new run."""

        self._save_error = ""

    def begin(self, draft: Draft) -> None:
        """Switch to this draft, with an inventory of its own."""
        self.inventory = inventory(draft)
        self.inventory.ask = secret
        self.inventory.tell = say
        self.keep(draft)

    def keep(self, draft: Draft) -> None:
        """Replace the draft and save it, so that a later session can continue from it."""
        self.draft = draft
        try:
            drafts.save(draft)
        except OSError as error:
            if self._save_error != str(error):
                say(f"what you say can't be kept: {error.strerror or error}")
            self._save_error = str(error)

    async def answer(self, question: Question, proposal: object = None) -> None:
        """Ask a question (not a host's) until the answer is valid; save every answer, valid or not.

        Args:
            question: the question.
            proposal: the default if the draft has no valid answer.
        """
        path = question.path
        while True:
            if path not in self.draft.refusals() and (current := self.draft.get(path)) is not None:
                proposal = current
            value = await self.prompt.answer(question, proposal)
            self.keep(self.draft.put(path, value))
            if not (why := self.draft.refusals().get(path, "")):
                return
            wrong(why)

    def answers(self) -> Answers:
        """The answers; if some are missing or invalid, provisional ones good for reading the hosts.

        Raises:
            AnswersError: not even provisional answers are possible.
        """
        try:
            return self.draft.answers()
        except AnswersError:
            return self.draft.provisional()

    async def known(self, *, again: bool = False) -> ClusterFacts:
        """The facts of all hosts; reads them on the first call.

        Raises:
            AnswersError: the hosts cannot be read with these answers.
        """
        answers = self.answers()
        known = None if again else self.inventory.known(answers)
        while known is None:
            say(f"reading {len(answers.host)} hosts")
            known = await self.inventory.read(answers, self._print_event)
            if self.inventory.unknown and await self._confirm_keys(
                list(self.inventory.unknown.values())
            ):
                known = None
        return known

    def _print_event(self, event: Event) -> None:
        """Print one line per host; unknown host keys are left for one question afterwards."""
        unknown = {key.host for key in self.inventory.unknown.values()}
        if not isinstance(event, Connected) and getattr(event, "host", "") not in unknown:
            tell(Record(0, time.time(), event))

    async def _confirm_keys(self, keys: list[UnknownKeyError]) -> bool:
        """Show all unknown host keys at once and ask whether they are right."""
        say(
            "These host keys are not known yet.  Compare them on the consoles, where "
            "`ssh-keygen -lf /etc/ssh/ssh_host_TYPE_key.pub` shows them:"
        )
        addresses = {host.name: host.address for host in self.answers().host}
        order = list(addresses)
        for key in sorted(keys, key=lambda it: order.index(it.host) if it.host in order else -1):
            where = dict.fromkeys((key.host, addresses.get(key.host, key.host)))
            say(sanitize(f"  {'  '.join(where):<34}  {key.kind} {key.fingerprint}"))
        right = await self.prompt.yes(
            "host",
            "Are they right?  yes writes them into known_hosts",
            "yes only if you have compared them: a wrong one is somebody in between.",
        )
        if right:
            await self.inventory.accept(keys)
        return right

    def findings(self, known: ClusterFacts, names: Collection[str]) -> tuple[Finding, ...]:
        """The checks' findings on the draft that are not ok."""
        return draft_findings(self.draft, known, names)

    def print_findings(self, findings: Iterable[Finding]) -> list[Finding]:
        """Print the findings that are not ok; returns those that block."""
        bad = [it for it in findings if it.level != "ok"]
        for it in bad:
            where = f"{it.host}: " if it.host and it.host not in it.seen else ""
            sign = "X" if it.level == "block" else "!"
            say(sanitize(f"  {sign} {it.level}: {it.check}: {where}{it.seen}"))
            if it.remedy:
                say(sanitize(f"      -> {it.remedy}"))
        return [it for it in bad if it.level == "block"]

    def choose(self, indexes: Iterable[int]) -> None:
        """Save which candidates are chosen as hosts."""
        wanted = set(indexes)
        self.keep(
            replace(
                self.draft,
                candidates=tuple(
                    replace(it, chosen=at in wanted) for at, it in enumerate(self.draft.candidates)
                ),
            )
        )


def draft_findings(
    draft: Draft, known: ClusterFacts, names: Collection[str]
) -> tuple[Finding, ...]:
    """The checks' findings on a draft that are not ok; none if its answers are invalid."""
    try:
        answers = draft.answers()
    except AnswersError:
        return ()
    found = [
        each for check in CHECKS if check.name in names for each in check.findings(answers, known)
    ]
    return tuple(it for it in found if it.level != "ok")


def question(path: str, backend: str = "") -> Question:
    """Look up a question by its path."""
    return next(it for it in QUESTIONS if it.path == path and it.backend in ("", backend))
