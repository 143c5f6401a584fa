"""How much of the suite runs, in which order, and what is noted of it; conftest.py loads it.

Three tiers: `default` is everything that is not marked `full` and has no real hosts, and the smoke
tests on real hosts; `affected` adds the files with real hosts that belong to what has changed;
`full` is everything.  Where files are named on the command line all of their tests run.
"""

import datetime as dt
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support import affected

TIERS = ("default", "affected", "full")
BEGAN = pytest.StashKey[float]()
TIER = pytest.StashKey[str]()
FILES = pytest.StashKey[list[str]]()
"""Those with real hosts that run although no smoke tests are in them."""

WHY = pytest.StashKey[str]()
COMMIT = pytest.StashKey[str]()
"""The commit that a full run proves; empty where the checkout differs from it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=TIERS, help="how much of the suite runs")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the tier, and the files with real hosts that it adds; once, for all workers."""
    if (given := getattr(config, "workerinput", None)) is not None:
        config.stash[TIER], config.stash[FILES] = given["tier"], given["files"]
        return
    config.stash[BEGAN] = time.time()
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.stash[TIER] = config.getoption("tier") or ("full" if named else "default")
    config.stash[FILES], why = [], ""
    if config.stash[TIER] == "affected":
        config.stash[FILES], why = affected.files(config.rootpath)
    config.stash[WHY] = why
    config.stash[COMMIT] = _commit(config.rootpath) if config.stash[TIER] == "full" else ""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist's own
    """Tell a worker what was chosen."""
    node.workerinput["tier"] = node.config.stash[TIER]
    node.workerinput["files"] = node.config.stash[FILES]


def pytest_report_header(config: pytest.Config) -> list[str]:
    why = config.stash.get(WHY, "")
    return [f"tier: {config.stash[TIER]}", *filter(None, [why]), *config.stash[FILES]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what the tier has; what waits longest comes first, what shares a cluster together."""
    wanted, left_out = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        (wanted if _wanted(config, item) else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = wanted
    for item in items:
        if item.get_closest_marker("lab") or item.get_closest_marker("full"):
            # Being counted doubles the time that a test takes, and these reach what others reach.
            item.add_marker("no_cover")
    if not hasattr(config, "workerinput"):
        return
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (_rank(item), -tests[item.path], item.path))
    for item in items:
        if _shares(item):
            item.add_marker(
                pytest.mark.xdist_group(item.path.relative_to(config.rootpath).as_posix())
            )


def _wanted(config: pytest.Config, item: pytest.Item) -> bool:
    if config.stash[TIER] == "full":
        return True
    if item.get_closest_marker("lab") and not item.get_closest_marker("smoke"):
        path = item.path.relative_to(config.rootpath).as_posix()
        return path in config.stash[FILES]
    return item.get_closest_marker("full") is None


def _rank(item: pytest.Item) -> int:
    """Real hosts mostly wait, and mypy takes longer than any test: they begin at once."""
    for rank, marker in enumerate(("smoke", "first", "lab")):
        if item.get_closest_marker(marker):
            return rank
    return 3


def _shares(item: pytest.Item) -> bool:
    """Whether it has a fixture in common with other tests of its file, such as a cluster.

    The smoke tests are on a cluster each: of another generation.
    """
    if item.get_closest_marker("smoke"):
        return False
    info = getattr(item, "_fixtureinfo", None)  # there is no public way
    found = info.name2fixturedefs.values() if info else ()
    return any(
        each[-1].scope != "function" and each[-1].func.__module__.startswith("test")
        for each in found
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests were left out for want of real hosts, by name and count."""
    skipped = terminalreporter.stats.get("skipped", ())
    left_out = Counter(
        report.nodeid.partition("::")[0] for report in skipped if "lab" in report.keywords
    )
    if left_out:
        named = ", ".join(f"{path} ({count})" for path, count in sorted(left_out.items()))
        terminalreporter.write_line(
            f"Left out, since there are no real hosts here: {left_out.total()} tests: {named}"
        )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note a green full run, for `tests/run affected`."""
    config = session.config
    if hasattr(config, "workerinput") or config.stash[TIER] != "full" or exitstatus:
        return
    commit = config.stash[COMMIT]
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if commit and commit == _commit(config.rootpath) and terminal and _whole(config, terminal):
        count = {name: len(terminal.stats.get(name, ())) for name in ("passed", "skipped")}
        seconds = round(time.time() - config.stash[BEGAN])
        today = dt.datetime.now(dt.UTC).date().isoformat()
        record = {"commit": commit, "date": today, **count, "seconds": seconds}
        (config.rootpath / affected.RECORD).write_text(json.dumps(record, indent=2) + "\n")


def _whole(config: pytest.Config, terminal: pytest.TerminalReporter) -> bool:
    """Whether nothing was chosen, or left out for want of real hosts."""
    chosen = (config.option.keyword, config.option.markexpr, config.option.deselect)
    skipped: Iterable[pytest.TestReport] = terminal.stats.get("skipped", ())
    named = config.args_source is pytest.Config.ArgsSource.ARGS or config.option.collectonly
    return not named and not any(chosen) and not any("lab" in it.keywords for it in skipped)


def _commit(root: Path) -> str:
    """The commit that is checked out; empty where a file differs from it, or without git."""
    try:
        changes = _git(root, "status", "--porcelain", "--", ".", f":!{affected.RECORD}")
        return "" if changes else _git(root, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout
