"""Base of pages that check each keystroke against the facts read from the hosts."""

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
from screens.widgets.findings import why_blocked
from screens.widgets.signs import mark


class Choices(OptionList):
    """A list whose options are chosen with Enter or Space."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Choose"),
        Binding("space", "select", "Choose", show=False),
    ]


class JudgedPage(Page):
    """Reads the hosts if necessary, and checks the answers again afterwards."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f5", "read", "Read again")]
    DEFAULT_CSS = """
    JudgedPage #reading { height: auto; }
    """

    known: ClusterFacts | None = None
    """The hosts' facts; None: not read yet."""

    base: Answers | None = None
    """Answers good for reading the hosts; None: not even those exist."""

    unread: tuple[Finding, ...] = ()
    """Why the hosts can't be read."""

    busy = False
    """The hosts are being read."""

    async def on_mount(self) -> None:
        """Use the facts read earlier, or read the hosts."""
        self.judge()
        self.run_worker(self._read(again=False), exclusive=True, group="read")

    @abstractmethod
    def judge(self) -> None:
        """Check the answers and show the findings."""

    def learn(self, known: ClusterFacts) -> None:
        """Take over what the hosts suggest, where the operator has given no answer."""

    def action_read(self) -> None:
        """Read the hosts again."""
        self.run_worker(self._read(again=True), exclusive=True, group="read")

    async def _read(self, *, again: bool) -> None:
        self.unread = ()
        try:
            self.base = self.draft.provisional()
            known = None if again else self.inventory.known(self.base)
            if known is None:
                known = await self._read_hosts(self.base)
        except AnswersError as refusal:
            # The answer belongs to another page, which blocks on it; here it only explains.
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

    async def _read_hosts(self, answers: Answers) -> ClusterFacts:
        """Read all hosts and show the progress.

        Raises:
            AnswersError: a file named in the answers can't be used.
        """
        done, many = set[str](), len(answers.host)

        def on_event(event: Event) -> None:
            if isinstance(event, (FactsRead, HostLost)):
                done.add(event.host)
                self._progress(mark("reading", f"reading {len(done)} of {many} hosts"))

        self.busy = True
        self.judge()
        self._progress(mark("reading", f"reading 0 of {many} hosts"))
        return await self.inventory.read(answers, on_event)

    def _progress(self, text: Content) -> None:
        self.put("#reading", text)

    def put(self, selector: str, text: Content) -> None:
        """Show a text in a Static; hide it if empty, and skip the update if unchanged."""
        widget = self.query_one(selector, Static)
        widget.display = bool(text.plain)
        if widget.content != text:
            widget.update(text)

    def is_blocked(self, findings: Sequence[Finding]) -> bool:
        """Whether something blocks going on; says what, and the remedy."""
        why = why_blocked(findings)
        if why:
            self.say(why, "block")
        elif self.busy:
            self.say("The hosts are being read: wait until they have been heard.", "warn")
        return bool(why) or self.busy
