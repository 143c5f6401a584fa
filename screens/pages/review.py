"""The review page: the findings, the plan and its approval."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerState

from fedwiz.answers.file import Answers, AnswersError, dump
from fedwiz.checks import CHECKS
from fedwiz.engine import verbs
from fedwiz.engine.approval import save_plan
from fedwiz.engine.plan import Plan
from fedwiz.engine.verbs import Result
from fedwiz.model.events import Event, FactsRead, HostLost
from fedwiz.util.sanitize import sanitize
from fedwiz.util.words import count
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import Inventory
from screens.dialogs.basic import Confirm, Pick, TypeName
from screens.dialogs.dialog import Dialog, T
from screens.dialogs.form import Form
from screens.pages.page import Page
from screens.pages.save import save_answers
from screens.widgets.form import section_questions
from screens.widgets.plan_view import (
    ANSWERS,
    FINDINGS,
    HOST,
    Stop,
    approval_block,
    asked_on,
    findings_text,
    host_text,
    items,
    refusals_text,
    stops,
    where_asked,
)
from screens.widgets.signs import mark

WIDE_COLUMNS = 100
"""Columns from which on the list stands beside the text."""

OTHER_SECTIONS: Mapping[str, str] = {
    "etcd": "Where flannel keeps its network: endpoints, prefix, certificates.",
    "flannel": "Where flannel comes from, and how it runs.",
    "docker": "How docker moves to the new network.",
    "verify": "How the network is verified.",
}
"""Sections that have no page of their own."""

WAIT = "The hosts are being read and the plan is being made: a moment."


class ReviewPage(Page):
    """Shows the findings and the whole plan, and asks for approval."""

    STEP = "review"
    QUESTION = "Is this what is to be done?"
    HELP: ClassVar[str | None] = (
        "This is everything that will be done: for each host every command as it runs, every file "
        "with what comes (+) and goes (-), which containers stop, and how to take it back.  Enter "
        "leads from the list into its text, to scroll there, and back.\n\n"
        "Findings say what was seen on the hosts.  One that blocks must be corrected first; "
        "below it stands how, and on which page.  After a change on a host r reads them again.  "
        "If you know better, x takes a block for a warning.\n\n"
        "F2 asks for what no other page does: etcd, flannel's source, docker, the verification.\n\n"
        "Nothing is changed on any host before you approve with Ctrl+N."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "next", "Approve"),
        Binding("f2", "others", "Other answers", key_display="F2"),
        Binding("w", "write", "Save"),
        Binding("r,f5", "plan", "Read again", key_display="r"),
        Binding("x", "accept", "Accept"),
        Binding("enter", "text", "Read on", show=False),
    ]
    DEFAULT_CSS = """
    ReviewPage #both { layout: vertical; height: 1fr; }
    ReviewPage #items { height: auto; max-height: 7; text-wrap: nowrap; text-overflow: ellipsis; }
    ReviewPage #text { height: 1fr; margin-top: 1; }
    ReviewPage #text:focus { background: $surface; }
    ReviewPage.-roomy #both { layout: horizontal; }
    ReviewPage.-roomy #items { width: 44; height: 100%; max-height: 100%; margin-right: 2; }
    ReviewPage.-roomy #text { width: 1fr; height: 100%; margin-top: 0; }
    """

    def __init__(self, draft: Draft, inventory: Inventory) -> None:
        super().__init__(draft, inventory)
        self._answers: Answers | None = None
        self._refused: Mapping[str, str] = {}
        self._result: Result | None = None
        self._keys: list[str] = []

    def content(self) -> ComposeResult:
        """The list, and the text of the item under the cursor."""
        with Container(id="both"):
            yield OptionList(id="items")
            with VerticalScroll(id="text"):
                yield Static(id="shown")

    def on_mount(self) -> None:
        """Read the hosts and make the plan."""
        self.query_one(OptionList).focus()
        self.action_plan()

    @on(events.Resize)
    def fit(self, event: events.Resize) -> None:
        """Put list and text side by side if there is room."""
        self.set_class(event.size.width >= WIDE_COLUMNS, "-roomy")

    # The plan.

    def action_plan(self) -> None:
        """Read the hosts again and make a new plan."""
        self.run_worker(self._make(), group="plan", exclusive=True, exit_on_error=False)

    async def _make(self) -> None:
        """Make the plan and show it."""
        self._result, self._answers, self._refused = None, None, {}
        try:
            answers = self.draft.answers()
            self._show()
            result = await self._read_and_plan(answers)
        except AnswersError as refused:
            self._refused = refused.why
            self._show()
            self._say_refusal(refused.why)
            return
        self._answers, self._result = answers, result
        if result.known is not None:
            self.inventory.cache(answers, result.known)
        self._show()
        self._sum_up(result)
        await self._save_plan(result)

    async def _read_and_plan(self, answers: Answers) -> Result:
        """Read all hosts, showing the progress, and make the plan.

        Raises:
            AnswersError: a file named in the answers can't be used.
        """
        answered, many = set[str](), len(answers.host)
        self.say(f"reading 0 of {many} hosts")

        def emit(event: Event) -> None:
            if isinstance(event, (FactsRead, HostLost)):
                answered.add(event.host)
                self.say(f"reading {len(answered)} of {many} hosts")

        cluster = await self.inventory.cluster(answers, emit, accepted=self.draft.accepted)
        return await verbs.plan(cluster)

    async def _save_plan(self, result: Result) -> None:
        """Save the facts behind the plan, so that a later approval can say which have changed."""
        if result.plan is None or result.known is None:
            return
        try:
            await asyncio.to_thread(save_plan, result.plan, result.known)
        except OSError as wrong:
            self.say(
                f"The plan can't be kept ({wrong.strerror or wrong}): make room in your home "
                "folder.",
                "warn",
            )

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show a worker's error; the page stays usable."""
        if event.state == WorkerState.ERROR and event.worker.group == "plan":
            self.say(f"That failed: {sanitize(str(event.worker.error))}  r tries again.", "block")

    # Displaying.

    def _show(self) -> None:
        """Fill the list, keeping the cursor on its item."""
        options = self.query_one(OptionList)
        at = options.highlighted
        was = self._keys[at] if at is not None and at < len(self._keys) else FINDINGS
        if self._result is not None:
            listed = items(self._result)
        elif self._refused:
            listed = [(FINDINGS, mark("block", f"Answers  {len(self._refused)} to be corrected"))]
        else:
            listed = [(FINDINGS, mark("reading", "reading the hosts"))]
        self._keys = [key for key, _ in listed]
        options.clear_options()
        options.add_options(Option(line) for _, line in listed)
        options.highlighted = self._keys.index(was) if was in self._keys else 0
        self.refresh_bindings()
        self._show_text()

    @on(OptionList.OptionHighlighted)
    def _show_text(self) -> None:
        """Show the text of the item under the cursor."""
        at = self.query_one(OptionList).highlighted
        key = self._keys[at] if at is not None and at < len(self._keys) else ""
        self.query_one("#shown", Static).update(self._text(key))
        self.query_one("#text").scroll_home(animate=False)

    def _text(self, key: str) -> Content:
        if self._result is None or self._answers is None:
            return refusals_text(self._refused)
        if key == FINDINGS:
            return findings_text(self._result.findings, self.draft.accepted)
        if key == ANSWERS:
            return Content("\n".join(map(sanitize, dump(self._answers).splitlines())))
        return host_text(self._result, key.removeprefix(HOST))

    def _sum_up(self, result: Result) -> None:
        """Summarize the state in one sentence."""
        if why := approval_block(result.findings):
            self.say(why, "block")
            return
        asked_here = [it for it in self._wanted() if it in OTHER_SECTIONS]
        hint = f"  F2 asks for {', '.join(asked_here)}." if asked_here else ""
        if result.plan is None or not any(result.plan.actions.values()):
            self.say(f"Nothing is left to do: Ctrl+N leads to the verification.{hint}", "ok")
            return
        self.say(
            f"{_amount(result.plan)}, plan {result.plan.digest}.  Nothing is changed before "
            f"you approve: Ctrl+N.{hint}"
        )

    def _wanted(self) -> tuple[str, ...]:
        """Sections that the answer file wants asked."""
        wanted = self.draft.get("wizard.ask") or ()
        return tuple(OTHER_SECTIONS) if "*" in wanted else tuple(wanted)

    def action_text(self) -> None:
        """Switch the focus between the list and its text."""
        text, options = self.query_one("#text"), self.query_one(OptionList)
        (options if text.has_focus else text).focus()

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self.action_text()

    async def _ask(self, dialog: Dialog[T]) -> T | None:
        """The operator's answer; None: cancelled."""
        return await self.wizard.push_screen_wait(dialog)

    # Answers without a page of their own, and the answer file.

    def action_others(self) -> None:
        """Ask for a section that has no page of its own."""
        self.run_worker(self._others(), group="ask", exclusive=True)

    async def _others(self) -> None:
        wanted, wrong = self._wanted(), self.draft.refusals() or self._refused
        options = list[tuple[str, str, str]]()
        for section, about in OTHER_SECTIONS.items():
            bad = sum(key.startswith(f"{section}.") for key in wrong)
            signs = [f"{bad} to be corrected"] if bad else []
            signs += ["the answer file wants it asked"] if section in wanted else []
            options.append((section, "  ".join([section, *signs]), about))
        first = next(
            (it for it in OTHER_SECTIONS if any(key.startswith(f"{it}.") for key in wrong)), ""
        )
        chosen = await self._ask(Pick("Other answers", options, first or next(iter(wanted), "")))
        if not chosen:
            return
        draft = await self._ask(Form(chosen, section_questions(chosen), self.draft))
        if draft is not None and draft != self.draft:
            self.keep(draft)
            self.action_plan()

    def action_write(self) -> None:
        """Save the answers as a file."""
        try:
            answers = self.draft.answers()
        except AnswersError as refused:
            self._say_refusal(refused.why)
            return
        self.run_worker(
            save_answers(self, answers.name, dump(answers)), group="ask", exclusive=True
        )

    def _say_refusal(self, why: Mapping[str, str]) -> None:
        """Show the first invalid answer and where to correct it."""
        key, text = next(iter(why.items()), ("", ""))
        self.say(f"{sanitize(key)}: {sanitize(text)} ({where_asked(asked_on(key))})", "block")

    # Accepting blocks.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable `accept` only if something blocks or was accepted."""
        if action == "accept":
            return bool(self.draft.accepted) or bool(self._blocks())
        return super().check_action(action, parameters)

    def _blocks(self) -> list[str]:
        """The names of checks that block, in order."""
        found = self._result.findings if self._result else ()
        return list(dict.fromkeys(it.check for it in found if it.level == "block"))

    def action_accept(self) -> None:
        """Accept a check's block as a warning, or withdraw that."""
        self.run_worker(self._accept(), group="ask", exclusive=True)

    async def _accept(self) -> None:
        titles = {it.name: it.title for it in CHECKS}
        options = [(it, it, titles.get(it, "")) for it in self._blocks()]
        options += [
            (it, f"{it}  accepted: take that back", titles.get(it, ""))
            for it in self.draft.accepted
        ]
        check = await self._ask(
            Pick("Take a block for a warning", options, text="What blocks would fail, or do harm.")
        )
        if not check:
            return
        accepted = tuple(it for it in self.draft.accepted if it != check)
        if check not in self.draft.accepted:
            found = self._result.findings if self._result else ()
            text = "\n\n".join(
                f"{it.host}: {it.seen}" if it.host else it.seen
                for it in found
                if (it.check, it.level) == (check, "block")
            )
            if not await self._ask(TypeName("You know better?", text, check)):
                return
            accepted += (check,)
        self.keep(replace(self.draft, accepted=accepted))
        self.action_plan()

    # The approval.

    def action_next(self) -> None:
        """Ask for approval, unless something blocks."""
        if self._result is None or self._answers is None:
            if self._refused:
                self._say_refusal(self._refused)
            elif any(
                it.group == "plan" and it.node is self and not it.is_finished for it in self.workers
            ):
                self.say(WAIT, "warn")
            else:
                self.say("There is no plan: r reads the hosts and makes it.", "block")
            return
        plan = self._result.plan
        if (why := approval_block(self._result.findings)) or plan is None:
            self.say(why or sanitize(self._result.why), "block")
            self.query_one(OptionList).highlighted = 0
        elif not any(plan.actions.values()):
            self.notify("Nothing is left to do, so there is nothing to install.", markup=False)
            # Pretend to be on the install page, so that the next page follows it.
            self.keep(replace(self.draft, page="install"))
            self.dismiss("next")
        else:
            ends = stops(self._result)
            self.run_worker(self._approve(self._answers, plan, ends), group="ask", exclusive=True)

    async def _approve(self, answers: Answers, plan: Plan, ends: Sequence[Stop]) -> None:
        """Ask, and store the plan as approved."""
        if any(it.harms for it in ends):
            width = max(len(it.host) for it in ends)
            stops_text = "\n".join(f"  {it.host:<{width}}  {it}" for it in ends)
            text = f"{_amount(plan)}.  docker stops and starts on:\n{stops_text}"
            typed = await self._ask(TypeName("Containers will stop", text, answers.name))
            agreed = typed is not None
        else:
            stops_text = "  docker stops and starts; no container runs there now." if ends else ""
            yes = Confirm("Do all this?", f"{_amount(plan)}.{stops_text}", "Yes, begin")
            answer = await self._ask(yes)
            agreed = bool(answer)
        if not agreed:
            self.say("Not approved; nothing was changed.")
        else:
            self.inventory.approved = (answers, plan)
            self.dismiss("next")


def _amount(plan: Plan) -> str:
    """For example `36 operations on 4 hosts`."""
    busy = [number for number in plan.actions.values() if number]
    return f"{count(sum(busy), 'operation')} on {count(len(busy), 'host')}"
