"""The wizard in a test: on a practice cluster, keys in, what is on the screen out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from fedwiz.practice import practice_answers, sightings
from fedwiz.wizard.draft import Candidate, Draft
from fedwiz.wizard.start import begin_practice
from screens.app import Fedwiz

SMALL, LARGE = (80, 24), (120, 40)
"""The terminals that every page is looked at in."""

SIZES = (
    pytest.param(SMALL, id="80x24"),
    pytest.param(LARGE, id="120x40", marks=pytest.mark.full),
)
"""Those terminals, for a test of each; the default tier looks at the small one alone."""

PATIENCE = 50.0
"""Seconds until a test gives up waiting."""


def fresh(fault: str = "healthy", size: int = 4) -> Draft:
    """Nothing is said yet but that it is a practice cluster, which loses no time."""
    return begin_practice(Draft(page="hosts", practice=fault, size=size, pace=0.0))


def filled(page: str, fault: str = "healthy", size: int = 4, **said: Any) -> Draft:
    """All that an install needs is said, and the wizard stands on a page.

    Args:
        page: where.
        fault: of the practice cluster.
        size: its hosts.
        said: sections of the answers.
    """
    hosts = practice_answers(size).host
    keys = {it.address: f"{it.key_type} {it.fingerprint}" for it in sightings(size)}
    found = tuple(
        Candidate(it.address, it.name, chosen=True, role=it.role, shown_key=keys[it.address])
        for it in hosts
    )
    draft = fresh(fault, size)
    draft = draft if "network" in draft.said else draft.put("network.cidr", "10.16.0.0/16")
    return replace(draft, page=page, candidates=found, said={**draft.said, **said})


def unsaid(**more: Any) -> Draft:
    """As `filled`, on the page Network, where no network was said."""
    draft = filled("network")
    return replace(draft, **more, said={k: v for k, v in draft.said.items() if k != "network"})


def trusting(app: Fedwiz) -> None:
    """Have the operator's known_hosts hold the keys of all practice machines."""
    site: Any = app.inventory
    site._trusted.update(site._practice.cluster.machines)  # noqa: SLF001


def wizard(draft: Draft | None = None, *, trusted: bool = True) -> Fedwiz:
    """The app, which begins with a draft, or with the first page.

    Args:
        draft: where it begins.
        trusted: the machines' keys are known.
    """
    app = Fedwiz((lambda: draft) if draft else None)
    if draft is not None and trusted:
        from fedwiz.wizard.inventory import inventory

        app.inventory = inventory(draft)
        app.inventory.ask = app.ask_secret
        trusting(app)
    return app


async def until(pilot: Pilot[Any], so: Callable[[], object], patience: float = PATIENCE) -> None:
    """Let the app work until something is so.

    Args:
        pilot: of the app.
        so: whether it is.
        patience: seconds until the test gives up.

    Raises:
        AssertionError: it did not come about; with what is on the screen.
    """
    try:
        async with asyncio.timeout(patience):
            while not so():
                await pilot.pause()
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"it never came about:\n{shown(pilot.app)}") from None
    await pilot.pause()


async def until_shown(pilot: Pilot[Any], text: str) -> None:
    """Let the app work until that text is on the screen."""
    await until(pilot, lambda: text in shown(pilot.app))


async def on(pilot: Pilot[Any], page: type[Screen[Any]]) -> None:
    """Let the app work until that page, or dialog, is on top."""
    await until(pilot, lambda: isinstance(pilot.app.screen, page) and pilot.app.screen.is_mounted)


async def resize(pilot: Pilot[Any], width: int, height: int) -> None:
    """Resize the terminal, and let the app work until the screen on top is laid out for it."""
    await pilot.resize_terminal(width, height)

    def laid_out() -> bool:
        size = pilot.app.screen._compositor.size  # noqa: SLF001 - there is no public way
        return tuple(size) == (width, height)

    await until(pilot, laid_out)


async def type_in(pilot: Pilot[Any], text: str) -> None:
    """Type a text, as keys."""
    await pilot.press(*(_KEYS.get(letter, letter) for letter in text))


_KEYS = {
    " ": "space",
    "/": "slash",
    ".": "full_stop",
    "-": "minus",
    ":": "colon",
    ",": "comma",
    "_": "underscore",
    "~": "tilde",
    "=": "equals_sign",
}


@asynccontextmanager
async def opened(
    draft: Draft | None = None, size: tuple[int, int] = (80, 24), *, trusted: bool = True
) -> AsyncIterator[Pilot[int]]:
    """The wizard at work, on a terminal of that size."""
    app = wizard(draft, trusted=trusted)
    async with app.run_test(size=size, notifications=True) as pilot:
        # `run_test` gives back before the first page is up.
        await until(pilot, lambda: len(app.screen_stack) > 1)
        yield pilot
        app.cancel_page_work()  # as an exit does


def shown(app: Any) -> str:  # noqa: ANN401 - an app of any result
    """What is on the screen, line by line, without the blanks at their ends."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()  # noqa: SLF001 - there is no public way
    texts = ["".join(segment.text for segment in line)[:width].rstrip() for line in lines]
    return "\n".join(texts[:height])


def still(wait: Callable[[Pilot[Any]], Awaitable[None]]) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """For a snapshot: wait, then have nothing blink."""

    async def before(pilot: Pilot[Any]) -> None:
        await wait(pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    return before
