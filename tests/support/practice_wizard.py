"""The wizard on a practice cluster that a test has changed before anybody reads it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot

from fedwiz.answers.file import Answers
from fedwiz.facts import ClusterFacts, Route
from fedwiz.practice.machine import Cluster
from fedwiz.wizard.draft import Draft
from fedwiz.wizard.inventory import inventory
from screens.app import Fedwiz
from screens.pages.flow import FLOW
from screens.pages.judged_page import JudgedPage
from tests.support.pilot import on, until, wizard

Bend = Callable[[Cluster], object]


def untouched(_: Cluster) -> None:
    """As the practice cluster is."""


def apart(machines: Cluster) -> None:
    """The last node is on another link."""
    node = machines.nodes()[-1]
    old = node.uplink
    node.drop_link(old.name)
    node.add_link(replace(old, addresses=("192.168.123.79/24",)))
    node.routes.append(Route("default", old.name, "192.168.123.1"))


def small(machines: Cluster) -> None:
    """The first node sends smaller packets than the others."""
    node = machines.nodes()[0]
    node.links[node.uplink.name] = replace(node.uplink, mtu=1400)


def etcd_holds(config: object) -> Bend:
    """A config of flannel's is in etcd already."""

    def bend(machines: Cluster) -> None:
        for api in ("v2", "v3"):
            machines.keys.set(api, "/coreos.com/network/config", json.dumps(config))

    return bend


def cluster(app: Fedwiz) -> Cluster:
    """The simulated machines of the wizard."""
    site: Any = app.inventory
    held: Cluster = site._practice.cluster  # noqa: SLF001 - a test may look behind the site
    return held


def app_on(draft: Draft, bend: Bend = untouched) -> Fedwiz:
    """The wizard at the draft's page, on machines that were changed."""
    app = wizard(draft)
    bend(cluster(app))
    return app


def read(draft: Draft, bend: Bend = untouched) -> tuple[Answers, ClusterFacts]:
    """The answers that the hosts are read with, and what is read: as on a page, without one."""
    place: Any = inventory(draft)
    bend(place._practice.cluster)  # noqa: SLF001 - a test may look behind the site
    answers = draft.provisional()
    known: ClusterFacts = asyncio.run(place.read(answers))
    return answers, known


async def judged(pilot: Pilot[Any]) -> JudgedPage:
    """The page, once it has read and judged the hosts."""
    app: Any = pilot.app
    await on(pilot, FLOW[app.draft.page])
    page = pilot.app.screen
    assert isinstance(page, JudgedPage)
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
