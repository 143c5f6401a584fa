"""A page that judges an answer against what was read of the hosts, at every key."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static

from fedwiz.answers.file import Answers, AnswersError
from fedwiz.checks import Finding
from fedwiz.checks.finding import warn
from fedwiz.facts import ClusterFacts
from fedwiz.model.events import Event, FactsRead, HostLost
from fedwiz.util.sanitize import sanitize
from screens.pages.page import Page
from screens.widgets.findings import stop
from screens.widgets.signs import mark


class Choices(OptionList):
    """A list of which one is chosen by Enter or Space."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Choose"),
        Binding("space", "select", "Choose", show=False),
    ]


class JudgedPage(Page):
    """Reads the hosts where nobody has, and has everything judged again when they are read."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f5", "read", "Read again")]
    DEFAULT_CSS = """
    JudgedPage #reading { height: auto; }
    """

    known: ClusterFacts | None = None
    """What was read; None: nothing yet."""

    base: Answers | None = None
    """Good for reading the hosts; None: not even that can be said."""

    unread: tuple[Finding, ...] = ()
    """Why the hosts can't be read."""

    busy = False
    """They are being read now."""

    async def on_mount(self) -> None:
        """Take what was read before, or read."""
        self.judge()
        self.run_worker(self._read(again=False), exclusive=True, group="read")

    @abstractmethod
    def judge(self) -> None:
        """Judge what is said, and show it."""

    def learn(self, known: ClusterFacts) -> None:
        """Take what the hosts themselves suggest, where nothing was said."""

    def action_read(self) -> None:
        """Read the hosts again."""
        self.run_worker(self._read(again=True), exclusive=True, group="read")

    async def _read(self, *, again: bool) -> None:
        self.unread = ()
        try:
            self.base = self.draft.provisional()
            known = None if again else self.site.known(self.base)
            if known is None:
                known = await self._hear(self.base)
        except AnswersError as refusal:
            # An answer of another page's: there it stops the operator, here it says why.
            self.unread = tuple(
                warn(
                    f"not judged against the hosts: {sanitize(key)}: {sanitize(why)}",
                    "see the page Hosts, or Review for what is asked there",
                )
                for key, why in refusal.why.items()
            )
            known = None
        finally:
            self.busy = False
        self.known = known
        self._progress(Content(""))
        if known is not None:
            self.learn(known)
        self.judge()

    async def _hear(self, answers: Answers) -> ClusterFacts:
        """Ask all hosts, and tell how far it is.

        Raises:
            Refused: a file that the answers name can't be used.
        """
        done, many = set[str](), len(answers.host)

        def heard(event: Event) -> None:
            if isinstance(event, (FactsRead, HostLost)):
                done.add(event.host)
                self._progress(mark("reading", f"reading {len(done)} of {many} hosts"))

        self.busy = True
        self.judge()
        self._progress(mark("reading", f"reading 0 of {many} hosts"))
        return await self.site.read(answers, heard)

    def _progress(self, text: Content) -> None:
        self.put("#reading", text)

    def put(self, selector: str, text: Content) -> None:
        """Show a text in its place, none where it is empty; the same again costs nothing."""
        place = self.query_one(selector, Static)
        place.display = bool(text.plain)
        if place.content != text:
            place.update(text)

    def stopped(self, findings: Sequence[Finding]) -> bool:
        """Whether something keeps one from going on; it is said, with what to do."""
        why = stop(findings)
        if why:
            self.say(why, "block")
        elif self.busy:
            self.say("The hosts are being read: wait until they have been heard.", "warn")
        return bool(why) or self.busy
