"""What ruff, mypy and import-linter say of the code; as tests, they run beside all others."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = {
    "types": ("-m", "mypy"),
    "lint": ("-m", "ruff", "check", "."),
    "format": ("-m", "ruff", "format", "--check", "."),
    "imports": ("-c", "from importlinter.cli import lint_imports_command as run; run()"),
}


@pytest.mark.first
@pytest.mark.timeout(900)  # mypy without its cache, on a slow machine
@pytest.mark.parametrize("words", CHECKS.values(), ids=CHECKS)
def test_the_code_is_clean(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
