"""A terminal that may go away while an install runs."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual.drivers.linux_driver import LinuxDriver

from fedwiz.util.background import BackgroundWriter

if TYPE_CHECKING:
    from textual.app import App


class TerminalOutput:
    """What is written to a terminal; to one that has gone, nothing is."""

    def __init__(self, file: TextIO, gone: Callable[[], None]) -> None:
        self._file, self._gone = file, gone
        self._there = True

    def write(self, text: str) -> None:
        """Write, as long as there is a terminal."""
        self._try(lambda: self._file.write(text))

    def flush(self) -> None:
        """Have it written now."""
        self._try(self._file.flush)

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._file.fileno()

    def _try(self, act: Callable[[], object]) -> None:
        if not self._there:
            return
        try:
            act()
        except OSError:
            self._there = False
            self._gone()


class Terminal(LinuxDriver):
    """Lets the app go on when its terminal has gone.

    The driver that it is made of would end the app at the next key that it can't read, and stand
    still when it can't write: an install would be cut off in its middle.  It would stand still as
    well when 30 writes wait for a terminal that takes none.
    """

    def __init__(self, app: "App[Any]", **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(app, **options)
        self._loop = asyncio.get_running_loop()
        self._output = TerminalOutput(cast("TextIO", self._file), self._gone)
        self._file = cast("Any", self._output)
        self._behind = BackgroundWriter()

    def write(self, data: str) -> None:
        """Have it written, and wait for nobody."""
        self._behind.do(partial(self._shown, data))

    def _shown(self, data: str) -> None:
        self._output.write(data)
        self._output.flush()

    def close(self) -> None:
        """End when all is written."""
        self._behind.end()
        super().close()

    def _gone(self) -> None:
        """Read no more keys, and tell the app."""
        self.exit_event.set()
        told = getattr(self._app, "terminal_gone", None)
        if told is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(told)

    def hang_up(self) -> None:
        """Read no more keys, if the terminal has gone: it would be tried again and again."""
        if not os.isatty(self.fileno):
            self._gone()

    def stop_application_mode(self) -> None:
        """Also have the mouse told in cells again, which Textual leaves as it set it."""
        self.write("\x1b[?1016l")
        super().stop_application_mode()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            self._gone()
