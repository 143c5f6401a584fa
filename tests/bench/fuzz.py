"""Whether anything that others wrote makes fedwiz raise or hang.

    .venv/bin/python -m tests.bench.fuzz [--seconds 10] [--only NAME] [--seed 1] [--atheris]

Everything that reads (`tests/support/fuzz_targets.py`) gets mutations of real inputs
(`tests/support/mutations.py`), for so many seconds each.  A finding is an exception that is not
documented, or a call of about a second of processor time (`fuzz_targets.SLOW`); it is printed with
a file that holds its input.  The exit status says whether there was any.  `--atheris` has atheris
choose the inputs, by what code they reach; it is no dependency of the tests
(`pip install atheris`).
"""

import argparse
import gc
import importlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FunctionType
from typing import Any

from tests.support.fuzz_targets import Outcome, Target, targets, tried
from tests.support.mutations import Mutator


@dataclass
class Tally:
    """What came of one target."""

    name: str
    runs: int = 0
    spent: float = 0.0
    slowest: float = 0.0
    found: dict[str, bytes] = field(default_factory=dict)
    """The shortest input of each finding."""

    def note(self, given: bytes, outcome: Outcome) -> None:
        self.runs += 1
        self.spent += outcome.seconds
        self.slowest = max(self.slowest, outcome.seconds)
        if outcome.why:
            known = self.found.get(outcome.why)
            if known is None or len(given) < len(known):
                self.found[outcome.why] = given

    def line(self) -> str:
        rate = self.runs / self.spent if self.spent else 0.0
        return (
            f"{self.name:<22} {self.runs:>9} {rate:>10.0f} {self.slowest * 1000:>9.1f} "
            f"{len(self.found):>9}"
        )


HEAD = f"{'target':<22} {'runs':>9} {'runs/s':>10} {'max ms':>9} {'findings':>9}"


def fuzzed(name: str, target: Target, seconds: float, seed: int) -> Tally:
    """Mutations for so long."""
    tally, mutator = Tally(name), Mutator(target.seeds, Random(f"{seed} {name}"))  # noqa: S311
    mutator.longest = target.longest
    for given in target.seeds:
        tally.note(given, tried(target, given))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        given = mutator.next()
        tally.note(given, tried(target, given))
    return tally


def guided(name: str, target: Target, seconds: float) -> int:
    """In a process of its own, since libFuzzer ends the one it runs in."""
    atheris: Any = importlib.import_module("atheris")
    tally, end = Tally(name), time.monotonic() + seconds

    def one(given: bytes) -> None:
        tally.note(given, tried(target, given))
        if time.monotonic() > end:
            print(tally.line(), flush=True)
            told(tally)
            os._exit(bool(tally.found))

    corpus = Path(tempfile.mkdtemp(prefix="fedwiz-corpus-"))
    for number, given in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(given)
    atheris.Setup([sys.argv[0], "-verbosity=0", "-max_len=65536", "-timeout=60", str(corpus)], one)
    atheris.Fuzz()
    return 0


def told(tally: Tally) -> None:
    """Print what was found, and keep the inputs."""
    for why, given in tally.found.items():
        handle, path = tempfile.mkstemp(prefix="fedwiz-fuzz-")
        with os.fdopen(handle, "wb") as file:
            file.write(given)
        print(f"    {tally.name}: {why} ({len(given)} bytes: {path}) {given[:60]!r}", flush=True)


def main() -> int:
    """Fuzz all of it, and print the table."""
    words = argparse.ArgumentParser(prog="python -m tests.bench.fuzz")
    words.add_argument("--seconds", type=float, default=10, help="for each target")
    words.add_argument("--only", default="", help="targets with this in their names")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--atheris", action="store_true", help="inputs by coverage")
    given = words.parse_args()
    chosen = {name: it for name, it in targets().items() if given.only in name}
    print(HEAD)
    if given.atheris:
        return _all_guided(chosen, given.seconds)
    tallies = []
    for name, target in chosen.items():
        tallies.append(fuzzed(name, target, given.seconds, given.seed))
        print(tallies[-1].line(), flush=True)
        told(tallies[-1])
    total = sum(it.runs for it in tallies)
    found = sum(len(it.found) for it in tallies)
    slowest = max((it.slowest for it in tallies), default=0.0)
    print(
        f"{total} runs of {len(tallies)} targets, the slowest {slowest * 1000:.0f} ms, "
        f"{found} findings"
    )
    return bool(found)


def _all_guided(chosen: dict[str, Target], seconds: float) -> int:
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        print("atheris is not here: `pip install atheris`", file=sys.stderr)
        return 2
    for it in gc.get_objects():  # of everything loaded, what is fedwiz's own
        if isinstance(it, FunctionType) and str(it.__module__).startswith("fedwiz."):
            atheris.instrument_func(it)
    code = 0
    for name, target in chosen.items():
        child = os.fork()
        if not child:
            guided(name, target, seconds)
        code |= os.waitpid(child, 0)[1]
    return bool(code)


if __name__ == "__main__":
    sys.exit(main())
