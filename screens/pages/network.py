"""The network page: the containers' addresses, and how many each node gets."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from fedwiz.answers.file import SECTIONS, Answers, AnswersError, parse
from fedwiz.answers.sections import refuse_backend
from fedwiz.checks import Finding
from fedwiz.checks.ranges import unused_network
from fedwiz.facts import ClusterFacts
from fedwiz.model import addresses
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import count
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.suggestions import DEFAULT_BACKEND, config_in_etcd, proposed
from screens.dialogs.basic import Confirm
from screens.dialogs.form import Form
from screens.pages.judged_page import Choices, JudgedPage
from screens.widgets.findings import check_findings, findings_content, refusal_finding, unread_hosts
from screens.widgets.form import copy_answers, section_questions
from screens.widgets.signs import mark

CIDR, LENGTH, PUBLIC = "network.cidr", "network.subnet_len", "network.allow_public"
NETWORK_CHECKS = ("network-public", "network-overlap", "network-capacity")
BOUNDS = section_questions("network", but=(CIDR, LENGTH, PUBLIC))
USUAL_LENGTH: int = SECTIONS["network"].model_fields["subnet_len"].default

HINT = "F2 proposes a free network.  Enter leads on to the size of its parts."
NO_SIZES = "Once the network is right, the sizes of its parts are here."

CONSEQUENCE = (
    "{cidr} belongs to somebody on the internet.  Containers, and the hosts themselves, will "
    "never reach the machines that really have these addresses: their packets stay in the "
    "cluster.\n\nThat is all right where these addresses are yours, or where nobody here will "
    "ever want to reach them.  A private network costs nothing: F2 proposes one."
)


class NetworkPage(JudgedPage):
    """Asks for the container network and checks it on every keystroke."""

    STEP = "network"
    QUESTION = "Which addresses do the containers get?"
    HELP: ClassVar[str | None] = (
        "All containers of the cluster get addresses of one network, and each node hands out a "
        "part of it, its subnet.  The network must be used by nothing else that any host can "
        "reach: what overlaps is cut off as soon as flannel starts.\n\n"
        "Type the network, such as 10.16.0.0/16.  Below it stands what is wrong with it, or "
        "that it is private, free on all hosts and large enough.  F2 proposes one that is free; "
        "pressed again, another.\n\n"
        "Then choose how large each node's part is: a small number after the `/` gives many "
        "addresses to few nodes, a large one few addresses to many nodes.  /24 is usual.\n\n"
        "Public addresses are somebody's: only F4 lets you take them.  F3 asks for the first "
        "and the last subnet, which hardly anybody needs."
    )
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as in Textual
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "propose", "Propose"),
        Binding("f3", "bounds", "Bounds"),
        Binding("f4", "public", "Public"),
        Binding("down", "to_lengths", "To the table", show=False),
    ]
    DEFAULT_CSS = """
    NetworkPage #range { height: 3; }
    NetworkPage #range Static { width: auto; padding: 1 1 0 0; }
    NetworkPage #range Input { width: 28; }
    NetworkPage #range #from { padding: 1 0 0 2; width: 1fr; color: $text-muted; }
    NetworkPage #judgement { height: auto; }
    NetworkPage #seen { height: auto; max-height: 7; }
    NetworkPage #seen:focus { background: $surface; }
    NetworkPage #parts { height: 1fr; margin-top: 1; }
    NetworkPage #heading { color: $text-muted; }
    NetworkPage #lengths { height: 1fr; }
    NetworkPage.-wide #body { layout: horizontal; }
    NetworkPage.-wide #judgement { width: 1fr; height: 1fr; }
    NetworkPage.-wide #seen { max-height: 100%; height: 1fr; margin-top: 1; }
    NetworkPage.-wide #parts { width: 60; margin: 1 0 0 2; }
    """

    _proposed = ""
    """The network proposed after reading the hosts."""

    _hinted = ""
    """The last hint; a new one changes the keys, too."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._found: list[Finding] = []
        self._refused: list[str] = []
        """Proposed networks that the operator did not want."""
        self._shown: tuple[str, object, int] | None = None
        """What the table was last drawn from."""

    def content(self) -> ComposeResult:
        """The network with its findings, and the table of prefix lengths."""
        with Vertical(id="judgement"):
            with Horizontal(id="range"):
                yield Static("Network")
                yield Input(
                    _text(self.draft),
                    placeholder="such as 10.16.0.0/16",
                    max_length=64,
                    select_on_focus=False,
                )
                yield Static("", id="from", markup=False)
            yield Static("", id="reading")
            with VerticalScroll(id="seen", can_focus=False):
                yield Static("", id="findings")
        with Vertical(id="parts"):
            yield Static("", id="heading")
            yield Choices(id="lengths")

    # Typing and choosing.

    @on(Input.Changed)
    def typed(self, event: Input.Changed) -> None:
        """Store the network as typed, valid or not."""
        event.stop()
        text = event.value.strip()
        if text == _text(self.draft):
            return
        draft = self.draft.put(CIDR, text)
        if _is_network(text) and addresses.is_private(text):
            draft = draft.put(PUBLIC, None)  # the permission was for another network
        self._take(draft)

    def _take(self, draft: Draft) -> None:
        self.keep(draft)
        self.judge()

    @on(Input.Submitted)
    def entered(self, event: Input.Submitted) -> None:
        """Go on to the prefix length."""
        event.stop()
        self.action_to_lengths()

    def action_to_lengths(self) -> None:
        """Focus the table."""
        self.query_one("#lengths").focus()

    @on(OptionList.OptionSelected)
    def chosen(self, event: OptionList.OptionSelected) -> None:
        """Store a prefix length."""
        event.stop()
        rows = addresses.lengths(_text(self.draft))
        self._take(self.draft.put(LENGTH, rows[event.option_index].subnet_len))

    def action_propose(self) -> None:
        """Fill in a free network, a different one each time."""
        if self.base is None or self.known is None:
            self.say("Nothing can be proposed before the hosts are read: F5 reads them.", "warn")
            return
        now = _text(self.draft)
        if _is_network(now):
            self._refused.append(now)
        found = unused_network(self.base, self.known, self._refused)
        if not found:
            self._refused.clear()
            self.say("No other network of a usual size is free on all hosts.", "warn")
            return
        field = self.query_one(Input)
        field.value = found
        field.cursor_position = len(found)

    def action_bounds(self) -> None:
        """Ask for the first and the last subnet."""
        self.run_worker(self._bounds(), group="dialog", exclusive=True)

    async def _bounds(self) -> None:
        form = Form("The first and the last subnet", BOUNDS, self.draft)
        answers = await self.wizard.push_screen_wait(form)
        if answers is not None:
            self._take(copy_answers(self.draft, answers, BOUNDS))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable F4 only for a public network."""
        if action == "public":
            return _is_network(_text(self.draft)) and addresses.is_public(_text(self.draft))
        return super().check_action(action, parameters)

    def action_public(self) -> None:
        """Allow public addresses, or withdraw that."""
        self.run_worker(self._public(), group="dialog", exclusive=True)

    async def _public(self) -> None:
        if self.draft.get(PUBLIC) is True:
            self._take(self.draft.put(PUBLIC, None))
            return
        cidr = _text(self.draft)
        question = Confirm(
            "Take public addresses?", CONSEQUENCE.format(cidr=cidr), "Yes, allow", "No"
        )
        if await self.wizard.push_screen_wait(question) and cidr == _text(self.draft):
            self._take(self.draft.put(PUBLIC, True))

    # Checking.

    def learn(self, known: ClusterFacts) -> None:
        """Start with the network in etcd, else with a free one."""
        assert self.base is not None  # noqa: S101 - the hosts were read with it
        self._proposed = unused_network(self.base, known)
        if self.draft.get(CIDR) is not None:
            return
        draft = proposed(self.draft, known, self._proposed)
        if draft != self.draft:
            self.keep(draft)
        with self.prevent(Input.Changed):
            field = self.query_one(Input)
            field.value = _text(self.draft)
            field.cursor_position = len(field.value)

    def judge(self) -> None:
        """Check the network by itself, then against the hosts."""
        found = findings(self.draft, self.base, self.known, self.unread, busy=self.busy)
        self._found = found
        self.put("#findings", findings_content(found))
        self.put("#from", Content(self._origin()))
        self.call_after_refresh(self._after_layout)
        self.query_one(Input).set_class(any(it.level == "block" for it in found), "-refused")
        self._lengths()
        hint = self._hint()
        if hint != self._hinted:
            self._hinted = hint
            self.refresh_bindings()
        self.say(hint)

    def _after_layout(self) -> None:
        """Make the findings focusable if they overflow; scroll to the length under the cursor.

        Both need the finished layout.
        """
        seen = self.query_one("#seen")
        seen.can_focus = seen.max_scroll_y > 0
        self.query_one(Choices).scroll_to_highlight()

    def _origin(self) -> str:
        """Where a network comes from that the operator did not type, and its bounds."""
        cidr, parts = _text(self.draft), []
        if self.known is not None and cidr:
            if config_in_etcd(self.known).get("network", {}).get("cidr") == cidr:
                parts.append("etcd holds it already")
            elif cidr == self._proposed:
                read, many = len(self.known.hosts), len(self.known.hosts) + len(self.known.lost)
                on = f"all {many}" if read == many else f"{read} of {many}"
                parts.append(f"proposed: free on {on} hosts")
        bounds = {it.path.rpartition("_")[2]: self.draft.get(it.path) for it in BOUNDS}
        texts = [f"{name} {sanitize(str(value))}" for name, value in bounds.items() if value]
        return "\n".join([*parts, ", ".join(texts)])

    def _hint(self) -> str:
        """What the operator can do now."""
        cidr = _text(self.draft)
        if not _is_network(cidr) or not addresses.is_public(cidr):
            return HINT
        if self.draft.get(PUBLIC) is True:
            return "Public addresses are allowed: F4 takes that back."
        return "F2 proposes a private network; F4 takes the public one all the same."

    def _lengths(self) -> None:
        """List the prefix lengths; redraw only if something changed."""
        cidr, answer = _text(self.draft), self.draft.get(LENGTH)
        chosen = USUAL_LENGTH if answer is None else answer
        nodes = sum(it.role == "node" for it in self.base.host) if self.base else 0
        if (cidr, chosen, nodes) == self._shown:
            return
        same = self._shown is not None and self._shown[::2] == (cidr, nodes)
        self._shown = (cidr, chosen, nodes)
        listed = self.query_one(Choices)
        rows = addresses.lengths(cidr) if _is_network(cidr) else ()
        at = listed.highlighted if same else None
        listed.set_options(Option(part(it, chosen, nodes)) for it in rows)
        head = f"{'part':<6}{'nodes':>11}{'addresses each':>18}"
        self.put("#heading", Content(head if rows else NO_SIZES))
        wanted = (n for n, it in enumerate(rows) if it.subnet_len == chosen)
        roomy = (n for n, it in enumerate(rows) if it.subnets >= nodes)
        if rows:
            listed.highlighted = at if at is not None else next(wanted, next(roomy, 0))

    def action_next(self) -> None:
        """Go on, unless something blocks."""
        if not self.is_blocked(self._found):
            self.dismiss("next")
        else:
            self.query_one(Input).focus()


def findings(
    draft: Draft,
    base: Answers | None,
    known: ClusterFacts | None,
    unread: Iterable[Finding] = (),
    *,
    busy: bool = False,
) -> list[Finding]:
    """The findings on the network: by itself, then against the hosts.

    Args:
        draft: the draft.
        base: answers good for reading the hosts; None: not even those exist.
        known: the hosts' facts; None: not read yet.
        unread: why the hosts can't be read.
        busy: the hosts are being read.
    """
    answers, why = _answers(draft, base)
    if busy and draft.get(CIDR) is None:
        why = {}  # one will be proposed
    found = [refusal_finding(text, "" if key == CIDR else key) for key, text in why.items()]
    found += unread
    if answers is not None and known is not None:
        found += check_findings(NETWORK_CHECKS, answers, known)
        found += unread_hosts(known)
        if known.store.config is not None:
            found += check_findings(("etcd-config",), answers, known)
    elif answers is not None:
        found += check_findings(NETWORK_CHECKS[:1], answers, ClusterFacts({}))
    return found


def _answers(draft: Draft, base: Answers | None) -> tuple[Answers | None, dict[str, str]]:
    """Answers with the draft's network, and what is wrong with that network by itself.

    Whether a public one is allowed is left to the check, which can suggest a free one.
    """
    if base is None:
        why = draft.refusals()
        return None, {key: it for key, it in why.items() if key.startswith("network.")}
    answer = draft.said.get("network", {})
    data = {**base.model_dump(), "network": answer, "backend": _backend(draft)}
    try:
        return parse(data), {}
    except AnswersError as wrong:
        why = wrong.why
    try:
        answers = parse({**data, "network": {**answer, "allow_public": True}})
    except (AnswersError, TypeError):
        return None, dict(why)
    network = answers.network.model_copy(update={"allow_public": False})
    return answers.model_copy(update={"network": network}), {}


def _text(draft: Draft) -> str:
    """The network as typed."""
    answer = draft.get(CIDR)
    return "" if answer is None else str(answer)


def _backend(draft: Draft) -> dict[str, Any]:
    """The draft's backend if its options are valid, to compare with etcd's config."""
    answer = draft.said.get("backend")
    table = dict(answer) if isinstance(answer, Mapping) else {}
    options = {key: it for key, it in table.items() if key != "type"}
    return {} if refuse_backend(str(table.get("type", DEFAULT_BACKEND)), options) else table


def _is_network(text: str) -> bool:
    return not addresses.refuse_network(text, allow_public=True)


def part(it: addresses.Length, chosen: int, nodes: int) -> Content:
    """A table row for a prefix length: how many nodes fit, and how many addresses each gets."""
    numbers = f"/{it.subnet_len:<5}{it.subnets:>11,}{it.addresses:>18,}   "
    state: Iterable[Content | str] = ("",)
    if it.subnets < nodes:
        text = "chosen, no room" if it.subnet_len == chosen else "no room"
        state = (mark("block", f"{text} for {count(nodes, 'node')}"),)
    elif it.subnet_len == chosen:
        state = (mark("ok", "chosen"),)
    return Content.assemble(numbers, *state)
