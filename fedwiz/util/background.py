"""Writes from a background thread, so that a stalled terminal never blocks a run."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class BackgroundWriter:
    """Runs callables in order in a thread of its own, however long each one takes.

    A terminal can stall for minutes (Ctrl+S, or a laptop that sleeps at the far end of the
    connection). Waiting for it would stop the keepalives and confirmations of a run, and hosts
    would revert changes that succeeded.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def do(self, act: Callable[[], object]) -> None:
        """Queue a callable; it runs after everything queued before it."""
        if self._thread is None:
            # A daemon thread: pending writes must not keep the process alive once it is told to
            # exit.
            self._thread = threading.Thread(target=self._work, name="behind", daemon=True)
            self._thread.start()
        self._queue.put(act)

    def end(self) -> None:
        """Wait until the queue is empty.

        Raises:
            Exception: the first exception that a callable raised; those queued after it did not
                run.
        """
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        while (act := self._queue.get()) is not None:
            if self._error is None:
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - end() raises it again
                    self._error = error
