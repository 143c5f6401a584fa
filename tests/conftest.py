"""What more than one test file starts from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faulttable import injected, pytest_terminal_summary
from tests.lab.fixture import lab_factory, running_labs
from tests.sshd import Home, keygen

__all__ = ["home", "injected", "lab_factory", "pytest_terminal_summary", "running_labs"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    made = Home(tmp_path, keygen(tmp_path / ".ssh/id_ed25519"), [])
    yield made
    made.leave()
