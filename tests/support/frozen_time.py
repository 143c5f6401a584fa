"""Simulated time that stands still, so that no run ends before a test has looked at it."""

import asyncio
from collections.abc import Callable
from typing import Any

from fedwiz.practice.machine import Cluster


def cluster_of(app: Any) -> Cluster:  # noqa: ANN401 - an app of any result
    """The simulated cluster behind the wizard."""
    found: Cluster = app.inventory._practice.cluster  # noqa: SLF001 - there is no public way to it
    return found


class Frozen:
    """What commands do in place of a pause."""

    def __init__(self, once: Callable[[], bool]) -> None:
        self._once, self._thawed = once, asyncio.Event()

    async def __call__(self, _seconds: float) -> None:
        if self._once():
            await self._thawed.wait()

    def thaw(self) -> None:
        """Let time go on."""
        self._thawed.set()


def freeze(app: Any, once: Callable[[], bool] = lambda: True) -> Frozen:  # noqa: ANN401 - as above
    """Have time stand still once something is so, until it is thawed."""
    frozen = Frozen(once)
    cluster_of(app).sleep = frozen
    return frozen


def thaw(app: Any) -> None:  # noqa: ANN401 - as above
    """Let time go on that stands still."""
    frozen = cluster_of(app).sleep
    assert isinstance(frozen, Frozen)
    frozen.thaw()
