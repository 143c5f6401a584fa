"""The wizard on a practice cluster that a test has changed before anybody reads it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from fedwiz.draft import Draft
from fedwiz.practice.machine import Cluster
from screens.app import Fedwiz
from screens.flow import FLOW
from screens.judging import Judging
from tests.wizard import on, until, wizard

Bend = Callable[[Cluster], object]


def untouched(_: Cluster) -> None:
    """As the practice cluster is."""


def cluster(app: Fedwiz) -> Cluster:
    """The simulated machines of the wizard."""
    site: Any = app.site
    held: Cluster = site._practice.cluster  # noqa: SLF001 - a test may look behind the site
    return held


def app_on(draft: Draft, bend: Bend = untouched) -> Fedwiz:
    """The wizard at the draft's page, on machines that were changed."""
    app = wizard(draft)
    bend(cluster(app))
    return app


async def judged(pilot: Pilot[Any]) -> Judging:
    """The page, once it has read and judged the hosts."""
    app: Any = pilot.app
    await on(pilot, FLOW[app.draft.page])
    page = pilot.app.screen
    assert isinstance(page, Judging)
    await until(pilot, lambda: not page.busy and (page.known is not None or page.unread))
    return page


@asynccontextmanager
async def at_work(
    draft: Draft, bend: Bend = untouched, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Pilot[int]]:
    """The wizard at the draft's page, which has judged the hosts."""
    app = app_on(draft, bend)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: len(app.screen_stack) > 1)
        await judged(pilot)
        yield pilot
