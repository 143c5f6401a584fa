"""The page Backend: how packets get from node to node, judged against these hosts."""

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
from screens.widgets.findings import judged, level, refused, told, unheard
from screens.widgets.form import Field, Fields, asked
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
"""The checks that a backend changes; and `etcd-config`, where etcd holds a config already."""

HINT = "Enter chooses.  Tab leads to the findings and the chosen one's options."


class BackendPage(JudgedPage):
    """Asks for the backend and its options, and judges each backend."""

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
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as Textual declares it
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

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - those of Page
        super().__init__(*args)
        self._found: dict[str, list[Finding]] = {}
        """By backend."""
        self._others: Answers | None = None
        """All answers but the backend's."""

    def content(self) -> ComposeResult:
        """The list; of the one under the cursor what it needs, what is found, what it asks."""
        with Vertical(id="list"):
            yield Choices(*(Option(name) for name in BACKENDS), id="backends")
            yield Static("", id="reading")
        with VerticalScroll(id="detail"):
            yield Static("", id="about")
            yield Static("", id="findings")
            yield Vertical(id="options")

    async def on_mount(self) -> None:
        """To the chosen one."""
        at = list(BACKENDS).index(self._chosen) if self._chosen in BACKENDS else 0
        self.query_one(Choices).highlighted = at
        await self._ask()
        self.say(HINT)

    @property
    def _chosen(self) -> str:
        """The backend that was said, or the usual one; it may be none that fedwiz offers."""
        said = self.draft.get(TYPE)
        return DEFAULT_BACKEND if said is None else str(said)

    @property
    def _shown(self) -> Backend:
        """The one under the cursor."""
        at = self.query_one(Choices).highlighted or 0
        return list(BACKENDS.values())[at]

    # What is said.

    @on(OptionList.OptionHighlighted)
    def highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show what that one needs."""
        event.stop()
        self._detail()
        self.query_one("#detail").scroll_home(animate=False)

    @on(OptionList.OptionSelected)
    async def chosen(self, event: OptionList.OptionSelected) -> None:
        """Choose that one."""
        event.stop()
        self.keep(choose(self.draft, list(BACKENDS)[event.option_index]))
        self.judge()
        await self._ask()
        self.say(HINT)

    async def _ask(self) -> None:
        """Have the chosen one's own questions below."""
        box = self.query_one("#options", Vertical)
        async with self.batch():
            await box.remove_children()
            if self._chosen in BACKENDS:
                questions = asked("backend", self._chosen, but=(TYPE,))
                await box.mount(Fields(questions, self.draft))
        self._detail()

    @on(Field.Changed)
    def changed(self, event: Field.Changed) -> None:
        """Take an option."""
        event.stop()
        self.keep(self.draft.put(event.path, event.value))
        self._judge(self._chosen)
        self._list()
        self._detail()
        self.say(HINT)

    # What is judged.

    def judge(self) -> None:
        """Judge every backend."""
        self._others = others(self.draft, self.base)
        for name in BACKENDS:
            self._judge(name)
        self._list()
        self._detail()

    def _judge(self, name: str) -> None:
        self._found[name] = findings(self.draft, name, self._others, self.known, self.unread)

    def _list(self) -> None:
        """Show each backend's mark."""
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
        """Show what is to be known of the one under the cursor."""
        backend = self._shown
        chosen = backend.name == self._chosen
        found = self._found.get(backend.name, [])
        fields = {f"backend.{it.name}" for it in backend.options}
        # What is wrong with an option stands below its field.
        apart = [it for it in found if not (chosen and it.host in fields)]
        self.put("#about", about(backend, _options(self.draft, backend.name)))
        self.put("#findings", told(apart))
        self.query_one("#options").display = chosen
        if chosen:
            why = refuse_backend(backend.name, _options(self.draft, backend.name))
            for form in self.query(Fields):
                form.refuse({f"backend.{key}": text for key, text in why.items()})

    def action_next(self) -> None:
        """On, unless the chosen backend can't work."""
        name = self._chosen
        if name not in BACKENDS:
            self.say(unoffered(name), "block")
            return
        wrong = next((field for field in self.query(Field) if field.why), None)
        if wrong is not None:
            self.say(f"{wrong.question.title}  {wrong.why}", "block")
            wrong.control.focus()
        elif self.stopped(self._found.get(name, [])):
            self.query_one(Choices).highlighted = list(BACKENDS).index(name)
        else:
            self.dismiss("next")


def others(draft: Draft, base: Answers | None) -> Answers | None:
    """All answers but the backend's; with the draft's network, where it is right.

    Args:
        draft: what was said.
        base: answers that will do for reading the hosts; None: not even those are there.
    """
    if base is not None:
        with suppress(AnswersError):  # the page Network says why
            return parse({**base.model_dump(), "network": draft.said.get("network")})
    return base


def findings(
    draft: Draft,
    name: str,
    answers: Answers | None,
    known: ClusterFacts | None,
    unread: Iterable[Finding] = (),
) -> list[Finding]:
    """What is to be said of a backend: of its options, then against the hosts.

    Args:
        draft: what was said.
        name: the backend, whether it is the chosen one or not.
        answers: all but the backend's; None: there are none yet.
        known: what was read of the hosts; None: nothing yet.
        unread: why they can't be read.
    """
    options = _options(draft, name)
    why = refuse_backend(name, options)
    found = [refused(text, f"backend.{key}") for key, text in why.items()]
    found += unread
    if answers is not None and known is not None:
        right = {key: it for key, it in options.items() if key not in why}
        backend = BackendAnswers.model_validate({"type": name, **right})
        answers = answers.model_copy(update={"backend": backend})
        checks = BACKEND_CHECKS if known.store.config is None else (*BACKEND_CHECKS, "etcd-config")
        found += judged(checks, answers, known) + unheard(known)
    return found


def word(found: Iterable[Finding], *, read: bool, busy: bool) -> str:
    """A backend's state in one word: the worst that was found, as far as that is known.

    Args:
        found: what is to be said of it.
        read: the hosts were read.
        busy: they are being read now.
    """
    worst = level(found)
    if worst == "block" or read:
        return worst
    return "reading" if busy else "unknown"


def unoffered(name: str) -> str:
    """What to say where a file names a backend that there is not."""
    return f"{sanitize(refuse_backend(name, {})['type'])}: choose one with Enter."


def _options(draft: Draft, name: str) -> dict[str, Any]:
    """The options that a backend has now, or would have again if it were chosen."""
    said = table(draft.said.get("backend"))
    if said.pop("type", DEFAULT_BACKEND) == name:
        return said
    return table(draft.held.get(name))


def about(backend: Backend, options: Mapping[str, Any]) -> Content:
    """What a backend is, needs and costs."""
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
