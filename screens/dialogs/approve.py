"""A small plan above a page: what would be done, and the approval."""

from collections.abc import Iterator
from typing import Any

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from fedwiz.engine.plan import Plan
from fedwiz.engine.verbs import Result
from fedwiz.facts import ClusterFacts
from screens.dialogs.basic import Confirm, TypeName
from screens.widgets.plan_view import host_text, stops


class Approve(Confirm):
    """Shows a plan; the focus is on no."""

    DEFAULT_CSS = """
    Approve > #dialog { width: 96; }
    """

    def __init__(self, shown: Content) -> None:
        super().__init__("Do this?", "", "Yes, do it", "No, change nothing")
        self._shown = shown

    def content(self) -> ComposeResult:
        """The plan, then the two answers."""
        with VerticalScroll(id="text", can_focus=False):
            yield Static(self._shown)
        yield from self.question_widgets()


async def agreed(
    app: App[Any], name: str, plan: Plan, known: ClusterFacts | None, about: str
) -> bool:
    """Whether the operator approves a plan.

    Args:
        app: asks.
        name: of the cluster, which is to be typed where containers stop.
        plan: of what would be done.
        known: what was read of the hosts; None: nothing.
        about: what it is for.
    """
    result = Result(plan=plan, known=known or ClusterFacts({}))
    shown = Content("\n").join(_lines(result, about))
    if any(it.harms for it in stops(result)):
        typed = await app.push_screen_wait(TypeName("Containers will stop", shown.plain, name))
        return typed is not None
    answer = await app.push_screen_wait(Approve(shown))
    return bool(answer)


def _lines(result: Result, about: str) -> Iterator[Content]:
    yield Content(about)
    if result.plan is None:
        return
    for host, actions in result.plan.actions.items():
        if actions:
            yield Content.styled(f"\n{host}", "bold")
            yield host_text(result, host)
