"""What more than one test file starts from."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.lab.fixture import lab_factory, running_labs
from tests.support.install_faults import injected, pytest_terminal_summary
from tests.support.sshd import Home, keygen

pytest_plugins = ["tests.support.tiers"]
__all__ = ["home", "injected", "lab_factory", "pytest_terminal_summary", "running_labs"]

# A machine that is busy with the lab's hosts is no failure; `test_fuzz.py` holds what is read to
# a time, by the processor's clock.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    # Ignored where a shell runs the tests in its background, or under nohup; programs that they
    # start would take that over, and fedwiz would stay deaf to Ctrl+C, as it should.
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    made = Home(tmp_path, keygen(tmp_path / ".ssh/id_ed25519"), [])
    yield made
    made.leave()


@pytest.fixture
def state_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs are kept; what is shown of them has the same hours everywhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return tmp_path
