"""The slow part of the hosts page: searching for machines and reading them."""

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable

from fedwiz.answers.file import Answers, AnswersError
from fedwiz.discover import Sighting, Target
from fedwiz.model.actions import UnreachableError
from fedwiz.model.events import Connected, Event, FactsRead, HostLost
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard import candidates
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory
from screens.dialogs.basic import Pick
from screens.dialogs.host_keys import HostKeys
from screens.pages.page import Page

REFRESH_SECONDS = 0.2
"""Seconds between two redraws during a search or a reading."""


class HostsWork(Page):
    """The part of the page that waits for the network; the subclass displays."""

    def __init__(self, draft: Draft, inventory: Inventory) -> None:
        super().__init__(draft, inventory)
        self.busy = ""
        """`look`, `read` or empty."""

        self.doing: dict[str, str] = {}
        """By address, the progress of reading."""

        self.findings = candidates.Judged()
        self._found: deque[Sighting] = deque()
        self._counts = (0, 0, 0)

    @abstractmethod
    def change(self, draft: Draft) -> None:
        """Replace the draft and redraw."""

    @abstractmethod
    def show(self) -> None:
        """Redraw from the draft and from what is known about the machines."""

    @abstractmethod
    def say_block(self, before: str = "") -> None:
        """Show the first block and the number of others; the cursor goes there."""

    @abstractmethod
    def to_list(self) -> None:
        """Focus the table."""

    def on_mount(self) -> None:
        """Start the redraw timer."""
        self.set_interval(REFRESH_SECONDS, self._drain)

    # Searching.

    def begin(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start slow work; cancels what was started before."""
        self.busy, self.doing = "", {}
        self._found.clear()
        self.run_worker(work(*args), group="work", exclusive=True)

    def action_sources(self) -> None:
        """Ask which source of this computer to search."""
        self.run_worker(self._sources(), group="dialog", exclusive=True)

    async def _sources(self) -> None:
        sources = self.inventory.sources()
        about = {
            "ssh config": "The hosts that ~/.ssh/config names.",
            "known_hosts": "The hosts whose keys ~/.ssh/known_hosts has; not the hashed ones.",
            "libvirt": "The machines that libvirt's networks gave an address.",
            "practice network": "The simulated machines.",
        }
        name = await self.wizard.push_screen_wait(
            Pick(
                "What does this computer know?",
                [(it, it, about.get(it, "")) for it in sources],
                text="fedwiz looks who answers there as ssh; it logs in nowhere.",
            )
        )
        if name is None:
            return
        source = await asyncio.to_thread(sources[name])
        notes = "; ".join(map(sanitize, source.notes))
        if not source.targets:
            self.say(f"{name} knows of no hosts" + (f": {notes}" if notes else ""), "warn")
            return
        self.change(self.draft.add(candidates.from_targets(source.targets)))
        self.to_list()
        self.begin(self.look, source.targets, (), notes)

    async def look(
        self, one: tuple[Target, ...], many: tuple[Target, ...], notes: str = ""
    ) -> None:
        """Search for hosts that answer ssh; targets that were named are listed in any case."""
        first = len(self.draft.candidates)
        self.busy, self._counts = "look", (0, len(one) + len(many), 0)
        await self.inventory.look((*one, *many), self._looked)
        self.busy = ""
        self._drain()
        self.change(candidates.sorted_from(candidates.mark_silent(self.draft, one), first))
        done, _, answer = self._counts
        text, level = searched(done, answer, notes, some=bool(self.draft.chosen))
        if answer:
            self.to_list()
        self.say(text, level)

    def _looked(self, done: int, every: int, seen: Sighting | None) -> None:
        self._counts = (done, every, self._counts[2] + (seen is not None))
        if seen is not None:
            self._found.append(seen)

    def _drain(self) -> None:
        """Show what has arrived since the last call."""
        if self._found:
            found = list(self._found)
            self._found.clear()
            self.change(candidates.add_sightings(self.draft, found))
        elif self.busy == "read":
            self.show()
        if self.busy == "look":
            done, every, answer = self._counts
            self.say(f"looked at {done} of {every}: {_answer(answer)}")
        elif self.busy == "read":
            done = sum(word not in ("waiting", "reading") for word in self.doing.values())
            self.say(f"reading {done} of {len(self.doing)} hosts")

    # Reading.

    def action_read(self) -> None:
        """Log in to all chosen hosts and read them."""
        self.begin(self.read_hosts, False)

    async def read_hosts(self, onward: bool) -> None:
        """Read, ask about unknown host keys, learn names and roles; then go on if `onward`."""
        if why := candidates.why_unreadable(self.draft):
            self.say(sanitize(why), "block")
            return
        self.change(candidates.settle_port(self.draft))
        try:
            while await self._read_once(self.draft.provisional()):
                pass
        except UnreachableError as why_not:
            self.say(sanitize(str(why_not)), "block")
            return
        learnt = self._learn()
        if self.inventory.known(self.draft.provisional()) is None:
            await self._read_once(self.draft.provisional(), ask=False)
        if onward and not learnt:
            self.go_on()
        else:
            self._summary(learnt)

    async def _read_once(self, answers: Answers, *, ask: bool = True) -> bool:
        """Read all hosts once; returns whether new keys were accepted: another pass is needed."""
        addresses = {host.name: host.address for host in answers.host}
        self.doing = dict.fromkeys(addresses.values(), "waiting")
        self.busy = "read"
        words: dict[type[Event], str] = {Connected: "reading", FactsRead: "done", HostLost: "lost"}

        def on_event(event: Event) -> None:
            if isinstance(event, Connected | FactsRead | HostLost):
                self.doing[addresses[event.host]] = words[type(event)]

        await self.inventory.read(answers, on_event)
        self.busy, self.doing = "", {}
        self.change(self.draft)
        if not (ask and self.inventory.unknown):
            return False
        order = {it.address: at for at, it in enumerate(self.draft.candidates)}
        keys = sorted(self.inventory.unknown.items(), key=lambda it: order.get(it[0], -1))
        seen = {it.address: it.shown_key for it in self.draft.chosen}
        right = await self.wizard.push_screen_wait(HostKeys(keys, seen)) or ()
        await self.inventory.accept(right)
        draft = self.draft
        for address, key in keys:
            if key in right:
                draft = draft.host(address, shown_key=f"{key.kind} {key.fingerprint}")
        self.change(draft)
        return bool(right)

    def _learn(self) -> str:
        """Take over names and roles that the hosts suggest; returns why one becomes the master."""
        before = any(it.role == "master" for it in self.draft.chosen)
        self.change(candidates.learn(self.draft, self.inventory.facts))
        master = next((it for it in self.draft.chosen if it.role == "master"), None)
        if before or master is None:
            return ""
        called = sanitize(master.name or master.address)
        return f"{called} runs etcd, so it is proposed as the master"

    def _summary(self, learnt: str) -> None:
        chosen = self.draft.chosen
        read = sum(it.address in self.inventory.facts for it in chosen)
        text = f"{read} of {len(chosen)} hosts read"
        if self.findings.blocks:
            self.say_block(f"{text}; {learnt}" if learnt else text)
        else:
            more = f"{learnt}.  m makes another one" if learnt else "nothing is in the way"
            self.say(f"{text}; {more}", "ok")

    def go_on(self) -> None:
        """Go to the next page if nothing blocks."""
        if self.findings.blocks:
            self.say_block()
        elif self.is_current:
            self.dismiss("next")

    def action_back(self) -> None:
        """Cancel the current work; if there is none, go to the previous page."""
        if self.busy:
            self.workers.cancel_group(self, "work")
            what = "search" if self.busy == "look" else "reading"
            self.busy, self.doing = "", {}
            self.show()
            self.say(f"The {what} was stopped; what it found is kept.")
        else:
            super().action_back()


def searched(done: int, answer: int, notes: str, *, some: bool) -> tuple[str, str]:
    """The result of a search: a message and its level.

    Args:
        done: number of addresses tried.
        answer: number that answered.
        notes: further remarks, already sanitized.
        some: hosts are chosen already.
    """
    text = f"looked at {done}: {_answer(answer)}" + (f"; {notes}" if notes else "")
    if not answer:
        return f"{text}: is it the right network, and does ssh listen there?", "warn"
    return (text, "ok") if some else (f"{text}; Space chooses one, a chooses all", "")


def _answer(many: int) -> str:
    return {0: "nobody answers ssh", 1: "one answers ssh"}.get(many, f"{many} answer ssh")


def reading_answers(draft: Draft) -> Answers | None:
    """Answers good for reading the hosts; None: too little is known."""
    try:
        return draft.provisional()
    except AnswersError:
        return None
