"""What a call costs, by a measure that says the same on any machine and beside any load.

The measure is a fixed piece of work, done beside the call: a slow processor, or one that others
use too, takes longer for both.
"""

import json
import re
import time
from collections.abc import Callable

_TEXT = json.dumps([{"name": f"fed-node{at}", "at": [at, str(at)]} for at in range(200)])


def _work() -> None:
    """What fedwiz does as well: JSON, patterns, words, dicts."""
    for _ in range(4):
        found = {it["name"]: it for it in json.loads(_TEXT)}
        words = re.findall(r"\d+", json.dumps(list(found.values())))
        sorted(set(words), key=int)


def seconds(call: Callable[[], object]) -> float:
    """Of processor time, in this thread."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


def ratio(call: Callable[[], object], other: Callable[[], object], tries: int = 3) -> float:
    """How many times as much a call costs as another one, both done in turn; the least of some."""
    return min(seconds(call) / seconds(other) for _ in range(tries))


def unit() -> float:
    """Seconds of processor time that the piece of work takes now."""
    return min(seconds(_work) for _ in range(3))


def cost(call: Callable[[], object], tries: int = 3) -> float:
    """How often the piece of work could be done instead; the least of some tries."""
    return min(seconds(call) / unit() for _ in range(tries))
