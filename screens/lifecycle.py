"""An app that ends as soon as nothing runs any more, whatever asks it to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

if TYPE_CHECKING:
    from textual.driver import Driver

INTERRUPTED = 130
"""As `fedwiz.engine.verbs` has it, which is not loaded when this is."""


class Ending(App[int]):
    """Lets what runs end before it does itself: at a signal, and where its terminal goes."""

    def __init__(self) -> None:
        super().__init__()
        self.leaving = False
        """Somebody wants the app to end as soon as nothing runs any more."""

        self._told_to_end = False
        self._stop: Callable[[], None] | None = None
        self._asked: Callable[[], None] | None = None

    def get_driver_class(self) -> type[Driver]:
        """One that lives on when its terminal has gone."""
        from screens.driver import Terminal

        return Terminal

    @property
    def stop(self) -> Callable[[], None] | None:
        """While something runs that must not be cut off: asks it to stop, again: ends it."""
        return self._stop

    @stop.setter
    def stop(self, stop: Callable[[], None] | None) -> None:
        self._stop = stop
        if stop is None and self.leaving:
            self.exit(INTERRUPTED)

    def on_load(self) -> None:
        """Have an ear for signals before the terminal is made ready: it is to be as it was."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._terminated)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def ask_to_stop(self) -> None:
        """Ask what runs to stop, and where it was asked before, to end."""
        if self._stop is not None:
            self._asked = self._stop
            self._stop()

    def _terminated(self) -> None:
        """Somebody ends the process; who insists gets an end now.

        Not where it is the first one after SIGHUP: a logout sends both.
        """
        if self._told_to_end:
            self.ask_to_stop()
        self._told_to_end = True
        self.terminal_gone()

    def _hung_up(self) -> None:
        """The terminal closes, as far as one can know."""
        driver = self._driver
        if driver is not None and hasattr(driver, "hang_up"):
            driver.hang_up()
        self.terminal_gone()

    def terminal_gone(self) -> None:
        """End as soon as nothing runs any more; what runs is asked to stop, once."""
        self.leaving = True
        if self._stop is None:
            self.exit(INTERRUPTED)
        elif self._asked is not self._stop:
            self.ask_to_stop()
