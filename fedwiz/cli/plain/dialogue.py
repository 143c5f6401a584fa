"""What the wizard's questions in lines share: the draft, the machines, the prompt."""

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
from fedwiz.runs.unfinished import InterruptedRun
from fedwiz.ssh.known_hosts import UnknownKeyError
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard import draft as drafts
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory, inventory


class QuitError(Exception):
    """The operator leaves, or there is nothing more to be done."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Dialogue:
    """A wizard in lines."""

    def __init__(self) -> None:
        self.prompt = Prompt()
        self.draft = Draft()
        self.site = Inventory()
        self.back = False
        """The operator goes back through the questions."""

        self.before: InterruptedRun | None = None
        """The run that the operator goes on with; None: there is none."""

        self._unkept = ""

    def begin(self, draft: Draft) -> None:
        """Work on this draft from now on."""
        self.site = inventory(draft)
        self.site.ask = secret
        self.keep(draft)

    def keep(self, draft: Draft) -> None:
        """Take the draft as it is now, and write it down, so that one can go on from there."""
        self.draft = draft
        try:
            drafts.save(draft)
        except OSError as wrong_:
            if self._unkept != str(wrong_):
                say(f"what you say can't be kept: {wrong_.strerror or wrong_}")
            self._unkept = str(wrong_)

    async def answer(self, question: Question, proposal: object = None) -> None:
        """Ask a question that is no host's until the answer will do; keep it, right or wrong.

        Args:
            question: which one.
            proposal: what an empty line means where nothing was said that will do.
        """
        path = question.path
        while True:
            if path not in self.draft.refusals() and (said := self.draft.get(path)) is not None:
                proposal = said
            value = await self.prompt.answer(question, proposal)
            self.keep(self.draft.put(path, value))
            if not (why := self.draft.refusals().get(path, "")):
                return
            wrong(why)

    def answers(self) -> Answers:
        """The answers; those that will do to read the hosts, where some are missing or wrong.

        Raises:
            Refused: not even those will do.
        """
        try:
            return self.draft.answers()
        except AnswersError:
            return self.draft.provisional()

    async def known(self, *, again: bool = False) -> ClusterFacts:
        """What the hosts say; they are read where that was not done yet.

        Raises:
            Refused: the hosts can't be read with these answers.
        """
        answers = self.answers()
        known = None if again else self.site.known(answers)
        while known is None:
            say(f"reading {len(answers.host)} hosts")
            known = await self.site.read(answers, self._told)
            if self.site.unknown and await self._trusted(list(self.site.unknown.values())):
                known = None
        return known

    def _told(self, event: Event) -> None:
        """One line for each host; a key that nobody knows is asked about afterwards."""
        unknown = {key.host for key in self.site.unknown.values()}
        if not isinstance(event, Connected) and getattr(event, "host", "") not in unknown:
            tell(Record(0, time.time(), event))

    async def _trusted(self, keys: list[UnknownKeyError]) -> bool:
        """Have the operator compare the keys that nobody knows, all at once."""
        say(
            "These host keys are not known yet.  Compare them on the consoles, where "
            "`ssh-keygen -lf /etc/ssh/ssh_host_TYPE_key.pub` shows them:"
        )
        places = {host.name: host.address for host in self.answers().host}
        order = list(places)
        for key in sorted(keys, key=lambda it: order.index(it.host) if it.host in order else -1):
            where = dict.fromkeys((key.host, places.get(key.host, key.host)))
            say(sanitize(f"  {'  '.join(where):<34}  {key.kind} {key.fingerprint}"))
        right = await self.prompt.yes(
            "host",
            "Are they right?  yes writes them into known_hosts",
            "yes only if you have compared them: a wrong one is somebody in between.",
        )
        if right:
            await self.site.accept(keys)
        return right

    def findings(self, known: ClusterFacts, names: Collection[str]) -> tuple[Finding, ...]:
        """What those checks find that is not well."""
        return judged(self.draft, known, names)

    def told(self, findings: Iterable[Finding]) -> list[Finding]:
        """Say what is not well; gives what blocks."""
        bad = [it for it in findings if it.level != "ok"]
        for it in bad:
            where = f"{it.host}: " if it.host and it.host not in it.seen else ""
            sign = "X" if it.level == "block" else "!"
            say(sanitize(f"  {sign} {it.level}: {it.check}: {where}{it.seen}"))
            if it.remedy:
                say(sanitize(f"      -> {it.remedy}"))
        return [it for it in bad if it.level == "block"]

    def choose(self, places: Iterable[int]) -> None:
        """Keep which candidates are to be hosts."""
        wanted = set(places)
        self.keep(
            replace(
                self.draft,
                candidates=tuple(
                    replace(it, chosen=at in wanted) for at, it in enumerate(self.draft.candidates)
                ),
            )
        )


def judged(draft: Draft, known: ClusterFacts, names: Collection[str]) -> tuple[Finding, ...]:
    """What those checks find in a draft; none where its answers will not do."""
    try:
        answers = draft.answers()
    except AnswersError:
        return ()
    found = [
        each for check in CHECKS if check.name in names for each in check.findings(answers, known)
    ]
    return tuple(it for it in found if it.level != "ok")


def question(path: str, backend: str = "") -> Question:
    """The question of that path."""
    return next(it for it in QUESTIONS if it.path == path and it.backend in ("", backend))
