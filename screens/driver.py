"""A Textual driver that survives the loss of its terminal during an install."""

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
    """A terminal's output file; once the terminal has gone, it drops all output."""

    def __init__(self, file: TextIO, on_lost: Callable[[], None]) -> None:
        self._file, self._on_lost = file, on_lost
        self._alive = True

    def write(self, text: str) -> None:
        """Write text, unless the terminal has gone."""
        self._try(lambda: self._file.write(text))

    def flush(self) -> None:
        """Flush the file, unless the terminal has gone."""
        self._try(self._file.flush)

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._file.fileno()

    def _try(self, act: Callable[[], object]) -> None:
        if not self._alive:
            return
        try:
            act()
        except OSError:
            self._alive = False
            self._on_lost()


class Terminal(LinuxDriver):
    """Keeps the app running after its terminal has gone.

    Textual's own driver would end the app at the next key that it can't read, and block when it
    can't write, which would interrupt an install half-way.  It would also block once 30 writes
    are queued for a terminal that accepts none.
    """

    def __init__(self, app: "App[Any]", **options: Any) -> None:
        super().__init__(app, **options)
        self._loop = asyncio.get_running_loop()
        self._output = TerminalOutput(cast("TextIO", self._file), self._on_lost)
        self._file = cast("Any", self._output)
        self._writer = BackgroundWriter()

    def write(self, data: str) -> None:
        """Queue the write; never block."""
        self._writer.do(partial(self._shown, data))

    def _shown(self, data: str) -> None:
        self._output.write(data)
        self._output.flush()

    def close(self) -> None:
        """Close after all queued output is written."""
        self._writer.end()
        super().close()

    def _on_lost(self) -> None:
        """Stop reading keys and notify the app."""
        self.exit_event.set()
        callback = getattr(self._app, "terminal_gone", None)
        if callback is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def hang_up(self) -> None:
        """Stop reading keys if the terminal has gone; Textual would retry forever."""
        if not os.isatty(self.fileno):
            self._on_lost()

    def stop_application_mode(self) -> None:
        """Also switch mouse reports back to cells; Textual leaves them in pixels."""
        self.write("\x1b[?1016l")
        super().stop_application_mode()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            self._on_lost()
