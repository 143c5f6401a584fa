"""How much of the suite runs: on a small one, with pytest as a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_affected import git
from tests.support import affected

SUITE = {
    "pyproject.toml": """\
        [tool.pytest.ini_options]
        testpaths = ["tests"]
        addopts = "--import-mode=importlib --strict-markers"
        markers = ["lab", "smoke", "full", "first"]
        """,
    "tests/unit/test_plan.py": """\
        import pytest
        def test_plain(): pass
        @pytest.mark.full
        def test_slow(): pass
        """,
    "tests/lab/test_smoke.py": """\
        import pytest
        pytestmark = [pytest.mark.lab, pytest.mark.smoke]
        def test_smoke(): pass
        """,
    "tests/lab/test_install.py": """\
        import pytest
        pytestmark = pytest.mark.lab
        @pytest.fixture(scope="module", params=["classic", "modern"])
        def cluster(request): return request.param
        def test_one(cluster): pass
        def test_two(cluster): pass
        """,
    "tests/lab/test_undo.py": """\
        import pytest
        pytestmark = pytest.mark.lab
        def test_undo(): pytest.skip("no real hosts")
        """,
}


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name, text in SUITE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"^ {8}", "", text, flags=re.MULTILINE))
    return tmp_path


def run(suite: Path, *words: str, code: int = 0) -> str:
    """What pytest writes; with the names of the tests."""
    paths = {"PYTHONPATH": str(affected.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    # Loaded by name, while `tests` is still a package of both folders.
    options = ("-v", "-p", "tests.support.tiers", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *words],
        cwd=suite,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def names(out: str) -> set[str]:
    return set(re.findall(r"::(test_\w+)", out))


INSTALL = {"test_one", "test_two"}


@pytest.mark.parametrize(
    ("words", "tests"),
    [
        ((), {"test_plain", "test_smoke"}),
        (("-k", "plain"), {"test_plain"}),
        (("--tier", "default"), {"test_plain", "test_smoke"}),
        (("--tier", "full"), {"test_plain", "test_slow", "test_smoke", *INSTALL, "test_undo"}),
        (
            ("--tier", "full", "-n", "1"),
            {"test_plain", "test_slow", "test_smoke", *INSTALL, "test_undo"},
        ),
        (("tests/unit/test_plan.py",), {"test_plain", "test_slow"}),
        (("tests/lab/test_install.py",), INSTALL),
        (("tests/unit/test_plan.py", "-n", "1"), {"test_plain", "test_slow"}),
        (("--tier", "default", "tests/unit/test_plan.py"), {"test_plain"}),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_what_runs(suite: Path, words: tuple[str, ...], tests: set[str]) -> None:
    assert names(run(suite, *words)) == tests


def committed(suite: Path) -> str:
    """The suite as a commit of its own; its digest."""
    git(suite, "init", "-q")
    git(suite, "add", ".")
    git(suite, "commit", "-qm", "all")
    return git(suite, "rev-parse", "HEAD")


def record(suite: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((suite / affected.RECORD).read_text())
    return found


def test_affected_adds_the_files_of_what_has_changed(suite: Path) -> None:
    (suite / affected.TABLE).write_text('[rooms]\n"fedwiz/" = ["install"]\n')
    commit = committed(suite)
    (suite / affected.RECORD).write_text(json.dumps({"commit": commit}))
    assert names(run(suite, "--tier", "affected")) == {"test_plain", "test_smoke"}
    (suite / "fedwiz/engine").mkdir(parents=True)
    (suite / "fedwiz/engine/plan.py").touch()
    out = run(suite, "--tier", "affected", "-n", "1")
    assert names(out) == {"test_plain", "test_smoke", *INSTALL}
    assert f"since the full run of {commit[:12]}: 1 of 2 files with real hosts" in out


@pytest.mark.full
@pytest.mark.parametrize("said", ["", "{}", "[]", '{"commit": "0123456789"}'])
def test_without_a_full_run_all_files_are_affected(suite: Path, said: str) -> None:
    (suite / affected.TABLE).write_text("[rooms]\n")
    committed(suite)
    (suite / affected.RECORD).write_text(said)
    assert names(run(suite, "--tier", "affected")) >= {*INSTALL, "test_undo"}


def test_a_green_full_run_is_noted(suite: Path) -> None:
    (suite / "tests/lab/test_undo.py").write_text("def test_undo(): pass\n")
    commit = committed(suite)
    run(suite, "--tier", "full", "-n", "1")
    noted = record(suite)
    assert (noted["commit"], noted["passed"], noted["skipped"]) == (commit, 8, 0)
    assert noted.keys() == {"commit", "date", "passed", "skipped", "seconds"}


@pytest.mark.full
@pytest.mark.parametrize(
    ("words", "change"),
    [
        (("--tier", "full"), "edited"),
        (("--tier", "full", "-k", "plain"), ""),
        (("--tier", "full", "--collect-only"), ""),
        (("--tier", "full", "tests/unit/test_plan.py"), ""),
        (("tests/unit/test_plan.py",), ""),
        ((), ""),
        (("--tier", "full"), "no real hosts"),
        (("--tier", "full"), "red"),
    ],
)
def test_what_is_no_green_full_run_is_not_noted(
    suite: Path, words: tuple[str, ...], change: str
) -> None:
    end = {"no real hosts": 'pytest.skip("none")', "red": "raise AssertionError"}.get(change)
    (suite / "tests/lab/test_undo.py").write_text(
        f"import pytest\n@pytest.mark.lab\ndef test_undo(): {end}\n"
    )
    committed(suite)
    if change == "edited":
        (suite / "tests/unit/test_plan.py").write_text("def test_plain(): pass\n")
    run(suite, *words, code=1 if change == "red" else 0)
    assert not (suite / affected.RECORD).exists()


def test_real_hosts_come_first_and_a_cluster_has_one_worker(suite: Path) -> None:
    out = run(suite, "--tier", "full", "-n", "1", "--dist", "loadgroup", "--no-loadscope-reorder")
    began = re.findall(r"^tests/\S+::(test_\w+)\S*?(@\S+)? ?$", out, re.MULTILINE)
    cluster = "@tests/lab/test_install.py"
    assert began == [
        ("test_smoke", ""),
        *[(name, cluster) for name in ("test_one", "test_two") * 2],
        ("test_undo", ""),
        ("test_plain", ""),
        ("test_slow", ""),
    ]


def test_what_real_hosts_would_have_proven_is_named(suite: Path) -> None:
    out = run(suite, "--tier", "full")
    assert "since there are no real hosts here: 1 tests: tests/lab/test_undo.py (1)" in out
    assert "Left out" not in run(suite)
