"""The backend page: choose how packets travel between nodes, checked against the hosts."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from fedwiz.answers.file import Answers, AnswersError, BackendAnswers, parse
from fedwiz.answers.sections import refuse_backend
from fedwiz.checks import Finding
from fedwiz.facts import ClusterFacts
from fedwiz.model.backends import ALWAYS, BACKENDS, Backend, dotted
from fedwiz.util.sanitize import sanitize
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.suggestions import DEFAULT_BACKEND, choose, table
from screens.pages.judged_page import Choices, JudgedPage
from screens.widgets.findings import (
    check_findings,
    findings_content,
    level,
    refusal_finding,
    unread_hosts,
)
from screens.widgets.form import Field, Fields, section_questions
from screens.widgets.signs import mark

TYPE = "backend.type"
BACKEND_CHECKS = (
    "backend-kernel",
    "flannel-version",
    "same-link",
    "firewall",
    "hypervisor",
    "mtu",
    "leftovers",
)
"""Checks that depend on the backend; `etcd-config` is added if etcd already has a config."""

HINT = "Enter chooses.  Tab leads to the findings and the chosen one's options."


class BackendPage(JudgedPage):
    """Asks for the backend and its options, and evaluates each backend."""

    STEP = "backend"
    QUESTION = "How do packets get from node to node?"
    HELP: ClassVar[str | None] = (
        "flannel carries packets between containers on different nodes; a backend is the way in "
        "which it does that.  vxlan works over any network and is the usual choice.  host-gw is "
        "the fastest, where all nodes are on one link.  wireguard encrypts.\n\n"
        "Each backend is judged against these hosts: their kernels, the flannel that will be "
        "installed, their firewalls, their links and the size of packets that they send.  The "
        "sign before a backend is the worst that was found.\n\n"
        "Up and Down show what a backend needs and costs; Enter chooses it.  Its own options "
        "are then asked below; usually none of them has to be changed.  Options that you gave to "
        "another backend are kept, and are back when you choose that one again."
    )
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as in Textual
    DEFAULT_CSS = """
    BackendPage #list { height: auto; }
    BackendPage #backends { height: auto; }
    BackendPage #detail { height: 1fr; margin-top: 1; }
    BackendPage #detail:focus { background: $surface; }
    BackendPage #about { margin-bottom: 1; }
    BackendPage #findings { margin-bottom: 1; }
    BackendPage #options { height: auto; }
    BackendPage.-wide #body { layout: horizontal; }
    BackendPage.-wide #list { width: 61; height: 1fr; }
    BackendPage.-wide #detail { width: 1fr; margin: 0 0 0 1; }
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._found: dict[str, list[Finding]] = {}
        """Findings by backend."""
        self._other_answers: Answers | None = None
        """All answers except the backend's."""

    def content(self) -> ComposeResult:
        """The backends, and the details, findings and options of the one under the cursor."""
        with Vertical(id="list"):
            yield Choices(*(Option(name) for name in BACKENDS), id="backends")
            yield Static("", id="reading")
        with VerticalScroll(id="detail"):
            yield Static("", id="about")
            yield Static("", id="findings")
            yield Vertical(id="options")

    async def on_mount(self) -> None:
        """Move the cursor to the chosen backend."""
        at = list(BACKENDS).index(self._chosen) if self._chosen in BACKENDS else 0
        self.query_one(Choices).highlighted = at
        await self._ask()
        self.say(HINT)

    @property
    def _chosen(self) -> str:
        """The chosen backend, or the default; a file may name one that fedwiz does not offer."""
        answer = self.draft.get(TYPE)
        return DEFAULT_BACKEND if answer is None else str(answer)

    @property
    def _shown(self) -> Backend:
        """The backend under the cursor."""
        at = self.query_one(Choices).highlighted or 0
        return list(BACKENDS.values())[at]

    # Choosing.

    @on(OptionList.OptionHighlighted)
    def highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the details of the backend under the cursor."""
        event.stop()
        self._detail()
        self.query_one("#detail").scroll_home(animate=False)

    @on(OptionList.OptionSelected)
    async def chosen(self, event: OptionList.OptionSelected) -> None:
        """Choose the backend under the cursor."""
        event.stop()
        self.keep(choose(self.draft, list(BACKENDS)[event.option_index]))
        self.judge()
        await self._ask()
        self.say(HINT)

    async def _ask(self) -> None:
        """Show the fields of the chosen backend's options."""
        box = self.query_one("#options", Vertical)
        async with self.batch():
            await box.remove_children()
            if self._chosen in BACKENDS:
                questions = section_questions("backend", self._chosen, but=(TYPE,))
                await box.mount(Fields(questions, self.draft))
        self._detail()

    @on(Field.Changed)
    def changed(self, event: Field.Changed) -> None:
        """Store an option."""
        event.stop()
        self.keep(self.draft.put(event.path, event.value))
        self._judge(self._chosen)
        self._list()
        self._detail()
        self.say(HINT)

    # Evaluating.

    def judge(self) -> None:
        """Run the checks for every backend."""
        self._other_answers = other_answers(self.draft, self.base)
        for name in BACKENDS:
            self._judge(name)
        self._list()
        self._detail()

    def _judge(self, name: str) -> None:
        self._found[name] = findings(self.draft, name, self._other_answers, self.known, self.unread)

    def _list(self) -> None:
        """Update each backend's row."""
        listed = self.query_one(Choices)
        for at, backend in enumerate(BACKENDS.values()):
            row = self._row(backend)
            if listed.get_option_at_index(at).prompt != row:
                listed.replace_option_prompt_at_index(at, row)

    def _row(self, backend: Backend) -> Content:
        found = self._found.get(backend.name, [])
        state = mark(word(found, read=self.known is not None, busy=self.busy))
        chosen = backend.name == self._chosen
        name = Content.styled(f"{backend.name:<10}", "bold" if chosen else "")
        sign = Content.styled("(*) ", "bold $primary") if chosen else Content("( ) ")
        gap = " " * max(1, 10 - len(state.plain))
        return Content.assemble(
            sign, name, state, gap, Content.styled(backend.title, "$text-muted")
        )

    def _detail(self) -> None:
        """Show the details of the backend under the cursor."""
        backend = self._shown
        chosen = backend.name == self._chosen
        found = self._found.get(backend.name, [])
        fields = {f"backend.{it.name}" for it in backend.options}
        # An invalid option's error is shown below its field.
        apart = [it for it in found if not (chosen and it.host in fields)]
        self.put("#about", about(backend, _options(self.draft, backend.name)))
        self.put("#findings", findings_content(apart))
        self.query_one("#options").display = chosen
        if chosen:
            why = refuse_backend(backend.name, _options(self.draft, backend.name))
            for form in self.query(Fields):
                form.refuse({f"backend.{key}": text for key, text in why.items()})

    def action_next(self) -> None:
        """Go on, unless the chosen backend is blocked."""
        name = self._chosen
        if name not in BACKENDS:
            self.say(unknown_backend(name), "block")
            return
        wrong = next((field for field in self.query(Field) if field.why), None)
        if wrong is not None:
            self.say(f"{wrong.question.title}  {wrong.why}", "block")
            wrong.control.focus()
        elif self.is_blocked(self._found.get(name, [])):
            self.query_one(Choices).highlighted = list(BACKENDS).index(name)
        else:
            self.dismiss("next")


def other_answers(draft: Draft, base: Answers | None) -> Answers | None:
    """All answers except the backend's, with the draft's network if that is valid.

    Args:
        draft: the draft.
        base: answers good for reading the hosts; None: not even those exist.
    """
    if base is not None:
        with suppress(AnswersError):  # the network page shows the error
            return parse({**base.model_dump(), "network": draft.said.get("network")})
    return base


def findings(
    draft: Draft,
    name: str,
    answers: Answers | None,
    known: ClusterFacts | None,
    unread: Iterable[Finding] = (),
) -> list[Finding]:
    """The findings on a backend: its invalid options, then the checks against the hosts.

    Args:
        draft: the draft.
        name: the backend, chosen or not.
        answers: all except the backend's; None: there are none yet.
        known: the hosts' facts; None: not read yet.
        unread: why the hosts can't be read.
    """
    options = _options(draft, name)
    why = refuse_backend(name, options)
    found = [refusal_finding(text, f"backend.{key}") for key, text in why.items()]
    found += unread
    if answers is not None and known is not None:
        right = {key: it for key, it in options.items() if key not in why}
        backend = BackendAnswers.model_validate({"type": name, **right})
        answers = answers.model_copy(update={"backend": backend})
        checks = BACKEND_CHECKS if known.store.config is None else (*BACKEND_CHECKS, "etcd-config")
        found += check_findings(checks, answers, known) + unread_hosts(known)
    return found


def word(found: Iterable[Finding], *, read: bool, busy: bool) -> str:
    """A backend's state in one word: the worst finding level, as far as known.

    Args:
        found: its findings.
        read: the hosts were read.
        busy: the hosts are being read.
    """
    worst = level(found)
    if worst == "block" or read:
        return worst
    return "reading" if busy else "unknown"


def unknown_backend(name: str) -> str:
    """What to say if a file names an unknown backend."""
    return f"{sanitize(refuse_backend(name, {})['type'])}: choose one with Enter."


def _options(draft: Draft, name: str) -> dict[str, Any]:
    """A backend's options: the draft's if it is chosen, else those remembered for it."""
    answers = table(draft.said.get("backend"))
    if answers.pop("type", DEFAULT_BACKEND) == name:
        return answers
    return table(draft.held.get(name))


def about(backend: Backend, options: Mapping[str, Any]) -> Content:
    """What a backend is, what it needs and what it costs."""
    wrong = refuse_backend(backend.name, options)
    right = {key: it for key, it in options.items() if key not in wrong}
    needs = [f"kernel module {name}" for name in backend.modules]
    if backend.since != ALWAYS:
        needs.append(f"flannel {dotted(backend.since)} or later")
    needs.append("all nodes on one link" if backend.same_link else "any routed network")
    opened = [*backend.ports(right), *(f"IP protocol {it}" for it in backend.protocols)]
    each = f"{backend.overhead} bytes of each packet" if backend.overhead else "nothing"
    lines = {"needs": ", ".join(needs), "opens": ", ".join(opened) or "no port", "costs": each}
    return Content.assemble(
        Content.styled(f"{backend.name}: {backend.title}", "bold"),
        f"\n{backend.help}",
        *(
            Content.assemble("\n", Content.styled(f"{key}  ", "$text-muted"), text)
            for key, text in lines.items()
        ),
    )
