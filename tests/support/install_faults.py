"""The table of faults: what goes wrong, where, and what fedwiz makes of it; each row is a test.

A row is a `Fault`. To add one:

    ROWS = {"disk full": Fault(                      # in a tests/lab/faults/test_*.py
        "fed-node2: /run", host="fed-node2",
        inject="fill /run", heal="empty it",        # a shell command on `host`, or f(scene)
        code=3, says=("fed-node2", "/run has 0 MiB free", "make room"),
    )}

    @pytest.mark.parametrize(("name", "fault"), ROWS.items(), ids=ROWS)
    def test_fault(name, fault, injected):
        injected(name, fault)

That injects, runs the command, judges, heals, runs the same command again and judges that; it
puts the row into the table that is printed at the end of the test run, red or not. Where nothing
was changed, all must be as it was instead, and the next row goes on with the same cluster, on which
its command must go through in the end: each file has such a row after those. What happens
while the command runs is in `during`: at the first line of its stderr that matches, a thing is
done. What needs an end of its own (a proxy) goes onto `scene.stack`, which is closed before `heal`.
"""

import contextlib
import re
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.lab.fixture import Lab, LabFactory, RunningLabs
from tests.support.host_snapshot import ASKED, NETWORK, differs, snapshot
from tests.support.lab_operator import Operator, Said
from tests.support.preloaded import Run

INSTALL = ("install", "--yes", "--headless")
NOTHING = (2, 3, 4)
"""Exit codes of a run that has changed nothing on any node."""

STATE = {
    **NETWORK,
    **{name: ASKED[name] for name in ("files", "texts", "packages")},
    "programs": "ls -l /usr/sbin",
    "mounts": "findmnt -rn -o TARGET,SOURCE,FSTYPE,OPTIONS | grep -v '^/run/user/' | sort",
}
"""What must be as it was where nothing was changed and the fault has gone."""


@dataclass
class Scene:
    """What a fault is injected into."""

    lab: Lab
    operator: Operator
    fault: "Fault"
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    process: Run | None = None
    """The command, while it runs."""

    kept: dict[str, Any] = field(default_factory=dict)
    """What a row's own functions tell each other."""

    def ssh(self, command: str) -> str:
        """A command on the fault's host."""
        return self.lab.ssh(self.fault.host, command)


Do: TypeAlias = str | Callable[[Scene], object]
"""A command on the fault's host, or what to do with the scene."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    where: str
    """Where it is injected, for people."""

    host: str = "fed-node2"
    generation: str = "classic"
    inject: Do = ""
    """Before the command begins."""

    during: tuple[tuple[str, Do], ...] = ()
    """While it runs: when a line of its stderr matches the first one's pattern, then the next's.
    fedwiz itself stands still meanwhile, so that it is not done before the fault is there."""

    heal: Do = ""
    code: int = 5
    says: tuple[str, ...]
    """Patterns of what its last sentence says: what was seen, where, and what to do. With code 0
    there is no such sentence: then they are looked for in all that was told."""

    command: tuple[str, ...] = INSTALL
    again: tuple[str, ...] = ()
    """The command that completes it; empty: the same one."""

    red: tuple[str, ...] = ("fed-node2",)
    """Nodes that may be unfinished when the command has ended. The others must be finished, and
    where the exit code is one of NOTHING all nodes must be as they were."""

    no_docker: tuple[str, ...] = ()
    """Nodes on which docker can't run while the fault is there, since it is docker's own."""

    rebooted: tuple[str, ...] = ()
    """Nodes that the fault reboots."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    """More of the operator's."""

    spoils: bool = False
    """Healed, the hosts are not what they were before it."""

    also: Callable[[Scene, Said], Iterator[str]] | None = None
    """More to judge when the command has ended; yields what is wrong."""


def done(scene: Scene, what: Do) -> None:
    """Do it."""
    if not what:
        return
    if isinstance(what, str):
        scene.ssh(what)
    else:
        what(scene)


def _run(scene: Scene, words: tuple[str, ...], during: tuple[tuple[str, Do], ...] = ()) -> Said:
    """Run fedwiz, and do what is to be done at the lines that it says."""
    operator, waiting, heard = scene.operator, list(during), list[str]()
    out = operator.home / "stdout"
    with out.open("w") as stdout, operator.begin(*words, stdout=stdout) as running:
        scene.process = running
        assert running.stderr is not None
        try:
            for line in running.stderr:
                heard.append(line)
                if waiting and re.search(waiting[0][0], line):
                    running.send_signal(signal.SIGSTOP)
                    try:
                        done(scene, waiting.pop(0)[1])
                    finally:
                        running.send_signal(signal.SIGCONT)
        finally:
            if running.poll() is None and sys.exc_info()[0]:
                running.kill()
    scene.process = None
    if waiting:
        heard.append(f"(nothing said {waiting[0][0]!r})\nTraceback\n")
    return Said(running.returncode, out.read_text(), "".join(heard))


PIDS = "systemctl show -p MainPID docker flanneld; cat /proc/sys/kernel/random/boot_id"
DONE = (
    "systemctl is-active docker && systemctl is-active flanneld && . /run/flannel/subnet.env && "
    'ip -4 -o address show dev docker0 | grep -F " $FLANNEL_SUBNET "'
)
REMAINS = (
    "ls -d /run/fedwiz/kept.* /run/fedwiz/*.new /etc/sysconfig/sed?????? /var/lib/fedwiz/*.rpm "
    "/var/lib/fedwiz/deadman-* /etc/systemd/system/fedwiz-deadman* 2>/dev/null; "
    "find /etc /usr/local /usr/libexec /var/lib/fedwiz -name '.*.fedwiz' 2>/dev/null; "
    "true"
)
UNITS = (
    "for i in $(seq 3000); do u=$(systemctl list-units --plain --no-legend "
    "--state=active,activating 'fedwiz-*' | grep -v '^fedwiz-forward.service'); "
    '[ "$u" ] || exit 0; sleep 0.1; done; echo "$u"'
)


def _finished(lab: Lab, node: str) -> bool:
    return lab.run(node, DONE).returncode == 0


def _standing(lab: Lab) -> dict[str, str]:
    return {node: lab.ssh(node, PIDS) for node in lab.nodes}


def _sound(scene: Scene, said: Said, before: dict[str, str]) -> Iterator[str]:
    """What is wrong on the nodes, while the fault is still there."""
    lab, fault = scene.lab, scene.fault
    for node in lab.nodes:
        if units := lab.ssh(node, UNITS):
            yield f"{node}: still at work: {units}"
        if left := lab.ssh(node, REMAINS):
            yield f"{node}: left behind: {left}"
        docker = lab.run(node, "systemctl is-active docker").stdout.strip()
        if (docker == "active") is (node in fault.no_docker):
            yield f"{node}: docker is {docker}"
        boots = [said.splitlines()[-1] for said in (before[node], lab.ssh(node, PIDS))]
        if (boots[0] == boots[1]) is (node in fault.rebooted):
            yield f"{node}: boot ids {boots}"
        done = _finished(lab, node)
        if said.code == 0 and not done:
            yield f"exit code 0, and {node} is not finished"
        elif said.code in NOTHING and lab.ssh(node, PIDS) != before[node]:
            yield f"{node}: touched, by a run that was to change nothing"
        elif said.code not in NOTHING and node not in fault.red and not done:
            yield f"{node}: harmed by what happened elsewhere: {lab.run(node, DONE).stdout}"


def _said(fault: Fault, said: Said) -> Iterator[str]:
    """What is wrong with how it ended and what it told."""
    if said.code != fault.code:
        yield f"exit code {said.code}, not {fault.code}"
    if "Traceback" in said.err:
        yield "a traceback, or a moment that never came"
    last = sentence(said)
    if fault.code and not last.startswith("fedwiz: ") and said.code > 0:
        yield f"the last line is no sentence: {last}"
    where = last if fault.code else said.out + said.err
    missing = [part for part in fault.says if not re.search(part, where)]
    yield from (f"nothing says {part!r}" for part in missing)
    if fault.code in NOTHING and fault.says:
        # Not the events, which begin with the time, nor the output of what failed.
        told = (line for line in said.err.splitlines()[:-1] if not re.match(r"\d\d:|  \| ", line))
        yield from (f"said before: {line}" for line in told if re.search(fault.says[-1], line))


def sentence(said: Said) -> str:
    """The last line of stderr."""
    return next(reversed(said.err.splitlines()), "")


Injected: TypeAlias = Callable[[str, Fault], None]


@pytest.fixture
def injected(
    running_labs: RunningLabs,
    lab_factory: LabFactory,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> Injected:
    """Runs a row on a cluster that is as new."""

    def run(name: str, fault: Fault) -> None:
        lab = _as_new(running_labs, fault.generation) or lab_factory(fault.generation, 3)
        went(name, fault, Operator(lab, tmp_path), record_property)

    return run


_UNHARMED = set[str]()
"""Labs that are as new after rows that changed nothing, by their names."""


def _as_new(labs: RunningLabs, generation: str) -> Lab | None:
    """A cluster that needs no reset."""
    lab = labs.get((generation, 3, None, False))
    if lab is None or lab.name not in _UNHARMED:
        return None
    _UNHARMED.discard(lab.name)
    return lab


def went(
    name: str, fault: Fault, operator: Operator, record: Callable[[str, object], None]
) -> None:
    """Run a row, and put it into the table; an AssertionError says all that was wrong."""
    operator.answers |= fault.answers
    scene = Scene(operator.lab, operator, fault)
    row = {"fault": name, "where": f"{fault.where} ({fault.generation})", "outcome": "not ended"}
    record(FAULT, row)  # the same dict to the end: also a row that is red is in the table
    lab, wrong = operator.lab, list[str]()
    before, began = _standing(lab), time.monotonic()
    shots = {node: snapshot(lab, node, STATE) for node in lab.nodes} if _refused(fault) else {}
    try:
        with scene.stack:
            done(scene, fault.inject)
            said = _run(scene, fault.command, fault.during)
            wrong += [*_said(fault, said), *_sound(scene, said, before)]
            if fault.also:
                wrong += fault.also(scene, said)
    finally:
        done(scene, fault.heal)
    short = re.sub(r"^fedwiz: |; the same command continues from here$", "", sentence(said))
    outcome = f"exit {said.code}: {short}" if said.code else "survived: exit 0"
    if shots:
        # A cluster that is as new: the next row's command has to go through there in the end.
        wrong += [
            f"{node}: {line}"
            for node, shot in shots.items()
            for line in differs(shot, snapshot(lab, node, STATE))
        ]
    else:
        wrong += _completed(scene, said, before)
    took = time.monotonic() - began
    row["outcome"] = f"{outcome}; {'RED' if wrong else _ending(fault, said)} ({took:.0f} s)"
    assert not wrong, "\n".join([*wrong, said.err])
    if shots:
        _UNHARMED.add(lab.name)


def _refused(fault: Fault) -> bool:
    """Neither the run nor the fault leaves anything on the hosts."""
    return fault.code in NOTHING and not fault.spoils


def _ending(fault: Fault, said: Said) -> str:
    if not said.code:
        return "nothing was left to do"
    if _refused(fault):
        return "nothing was changed, and all is as it was"
    return f"then {(fault.again or fault.command)[0]} again: exit 0, verified"


def _completed(scene: Scene, first: Said, before: dict[str, str]) -> Iterator[str]:
    """What is wrong once the fault is gone and the command has run again."""
    lab, fault = scene.lab, scene.fault
    finished = {node: state for node, state in _standing(lab).items() if _finished(lab, node)}
    last = _run(scene, fault.again or fault.command)
    if last.code:
        yield f"after it is healed: exit code {last.code}\n{last.err}"
        return
    if not re.search(r"Pings between containers: (\d+) of \1 pairs", last.out):
        yield f"after it is healed: not verified\n{last.out}"
    now = _standing(lab)
    for node in lab.nodes:
        if not _finished(lab, node):
            yield f"{node}: not finished after all"
        if node in finished and node not in fault.red and now[node] != finished[node]:
            yield f"{node}: was done, and was touched again"
        if units := lab.ssh(node, UNITS):
            yield f"{node}: still at work: {units}"
        if remains := lab.ssh(node, REMAINS):
            yield f"{node}: left behind: {remains}"
        if node not in fault.rebooted and now[node].split()[-1] != before[node].split()[-1]:
            yield f"{node}: was rebooted"
    if not first.code and "nothing is left to do" not in last.err:
        yield "exit code 0, and yet there was something to do"
    if first.code and (left := scene.operator.left()):
        yield f"it is completed, and yet there is something to do: {left}"


FAULT = "fedwiz-fault"
COLUMNS = ("fault", "where", "outcome")
WIDTHS = (30, 32, 92)


def _lines(cells: list[str]) -> Iterator[str]:
    folded = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, WIDTHS, strict=True)]
    for at in range(max(map(len, folded))):
        parts = (
            (cell[at] if at < len(cell) else "").ljust(width)
            for cell, width in zip(folded, WIDTHS, strict=True)
        )
        yield "  ".join(parts).rstrip()


def table(rows: list[dict[str, str]]) -> Iterator[str]:
    """The rows as lines, by name."""
    yield from _lines(["fault", "where injected", "outcome"])
    yield "  ".join("-" * width for width in WIDTHS)
    for row in sorted(rows, key=lambda it: it["fault"]):
        yield from _lines([row[column] for column in COLUMNS])


def pytest_terminal_summary(terminalreporter: Any) -> None:  # noqa: ANN401 - pytest's own
    """Print the table, where any of its tests ran; with xdist in the process that was started."""
    rows = [
        {**row, "outcome": f"RED: {row['outcome']}" if report.failed else row["outcome"]}
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for key, row in report.user_properties
        if key == FAULT
    ]
    if rows:
        terminalreporter.section(f"faults: {len(rows)}")
        for line in table(rows):
            terminalreporter.write_line(line)
