"""Whether a healthy network is ever called anything else: a false alarm is as bad as a false green.

    .venv/bin/python -m tests.bench.healthy [--runs 9] [--hosts 4]

For each generation of hosts and each backend of the procedure's time: install, then verify
that many times, each with a connection of its own, and once diagnose a pair.  Whatever is not a
plain pass is printed; the exit status says whether there was any.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fedwiz.answers.file import Answers
from fedwiz.engine import verbs
from fedwiz.model.events import Record, Verified
from tests.lab.fixture import Lab
from tests.lab.test_verify import answers_for
from tests.support.diagnosis_faults import cluster, diagnosed
from tests.support.lab_operator import Operator

GENERATIONS, BACKENDS = ("classic", "modern"), ("vxlan", "host-gw", "udp")


async def verified(lab: Lab, answers: Answers) -> tuple[float, int, list[Verified]]:
    """Seconds from the first connection to the last verdict; verdicts; those with a word to say."""
    records: list[Record] = []
    began = time.monotonic()
    result = await verbs.verify(cluster(lab, answers, records))
    took = time.monotonic() - began
    told = [it.event for it in records if isinstance(it.event, Verified)]
    alarms = [it for it in told if it.level != "pass" or it.why]
    assert alarms or result.code == verbs.OK, result.why
    return took, len(told), alarms


async def measured(lab: Lab, answers: Answers, runs: int) -> int:
    """Prints the figures of one cluster; gives the number of false alarms."""
    found = [await verified(lab, answers) for _ in range(runs)]
    alarms = [it for _, _, these in found for it in these]
    pair = (lab.nodes[0], lab.nodes[1])
    causes = (await diagnosed(lab, answers, pair, apply=False)).diagnoses()
    times = [took for took, _, _ in found]
    print(
        f"{lab.generation:<8} {answers.backend.type:<8} runs {runs}, verdicts {found[0][1]} each, "
        f"false alarms {len(alarms)}, causes made up {len(causes)}; seconds median "
        f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
        flush=True,
    )
    for it in alarms:
        print(f"    {it.kind} {it.host} {it.peer} {it.level}: {it.seen!r} {it.why}")
    for cause in causes:
        print(f"    {cause.cause} {cause.host}: {cause.why}")
    return len(alarms) + len(causes)


def main() -> int:
    """The exit status: 1 where anything healthy was called ill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--hosts", type=int, default=4)
    options = parser.parse_args()
    wrong = 0
    for generation in GENERATIONS:
        for backend in BACKENDS:
            with Lab.up(generation, options.hosts) as lab, tempfile.TemporaryDirectory() as home:
                said = Operator(lab, Path(home), {"backend": {"type": backend}}).install()
                assert said.code == 0, said.err
                answers = answers_for(lab, backend={"type": backend})
                wrong += asyncio.run(measured(lab, answers, options.runs))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
