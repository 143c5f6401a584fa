"""How much work something is, counted: the same on every machine, however busy it is."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def lines(act: Callable[[], object]) -> int:
    """The lines of Python that run, those of a loop each time round; what is in C is not counted.

    Args:
        act: what is to be done, in this thread.
    """
    ran = 0

    def count(_frame: FrameType, event: str, _arg: Any) -> Any:  # noqa: ANN401 - as `sys` has it
        nonlocal ran
        ran += event == "line"
        return count

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # what it finalizes is of other tests
    sys.settrace(count)
    try:
        act()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return ran
