"""An app that never quits in the middle of a run, whatever asks it to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.driver import Driver

INTERRUPTED = 130
"""Same value as in `fedwiz.engine.verbs`, which is not imported here because it is slow to load."""


class Ending(App[int]):
    """On a signal or a lost terminal, stops the current run first and then exits."""

    def __init__(self) -> None:
        super().__init__()
        self.leaving = False
        """The app is to exit as soon as nothing runs any more."""

        self._terminated_before = False
        self._stop: Callable[[], None] | None = None
        self._asked: Callable[[], None] | None = None

    def get_driver_class(self) -> type[Driver]:
        """A driver that survives the loss of its terminal."""
        from screens.driver import Terminal

        return Terminal

    @property
    def stop(self) -> Callable[[], None] | None:
        """Stops the current run: first call gracefully, second call now.  None: nothing runs."""
        return self._stop

    @stop.setter
    def stop(self, stop: Callable[[], None] | None) -> None:
        self._stop = stop
        if stop is None and self.leaving:
            self.exit(INTERRUPTED)

    def on_load(self) -> None:
        """Install the signal handlers before Textual changes the terminal, so it is restored."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._terminated)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def exit(
        self,
        result: int | None = None,
        return_code: int = 0,
        message: RenderableType | None = None,
    ) -> None:
        """Exit; what pages were doing is cancelled first."""
        self.cancel_page_work()
        super().exit(result, return_code, message)

    def cancel_page_work(self) -> None:
        """Cancel the workers of all screens: Textual removes the widgets that they use first."""
        for screen in self.screen_stack:
            self.workers.cancel_node(screen)

    def ask_to_stop(self) -> None:
        """Ask the current run to stop; on the second call, to end now."""
        if self._stop is not None:
            self._asked = self._stop
            self._stop()

    def _terminated(self) -> None:
        """Handle SIGINT and SIGTERM: stop gracefully; on the second signal, now.

        A first SIGTERM after SIGHUP does not count as the second signal: a logout sends both.
        """
        if self._terminated_before:
            self.ask_to_stop()
        self._terminated_before = True
        self.terminal_gone()

    def _hung_up(self) -> None:
        """Handle SIGHUP: the terminal has probably gone."""
        driver = self._driver
        if driver is not None and hasattr(driver, "hang_up"):
            driver.hang_up()
        self.terminal_gone()

    def terminal_gone(self) -> None:
        """Exit as soon as nothing runs any more; ask the current run to stop, once."""
        self.leaving = True
        if self._stop is None:
            self.exit(INTERRUPTED)
        elif self._asked is not self._stop:
            self.ask_to_stop()
