"""Words to a terminal or a pipe, which nobody waits for."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class BackgroundWriter:
    """Does what it is told in a thread of its own, in order, however long it takes.

    A terminal that stands still (Ctrl+S, a laptop that sleeps at the other end of a line) takes
    nothing for minutes.  Whoever waited for it would meanwhile keep no connection and confirm
    nothing, and hosts would take back what was well done.
    """

    def __init__(self) -> None:
        self._to_do: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._wrong: Exception | None = None

    def do(self, act: Callable[[], object]) -> None:
        """Have it done after all that was told before."""
        if self._thread is None:
            # No reason for the process to go on, where somebody ends it meanwhile.
            self._thread = threading.Thread(target=self._work, name="behind", daemon=True)
            self._thread.start()
        self._to_do.put(act)

    def end(self) -> None:
        """Wait until all is done.

        Raises:
            Exception: what an act raised; those after it were not done.
        """
        if self._thread is None:
            return
        self._to_do.put(None)
        self._thread.join()
        self._thread = None
        wrong, self._wrong = self._wrong, None
        if wrong is not None:
            raise wrong

    def _work(self) -> None:
        while (act := self._to_do.get()) is not None:
            if self._wrong is None:
                try:
                    act()
                except Exception as wrong:  # noqa: BLE001 - raised again where it is waited for
                    self._wrong = wrong
