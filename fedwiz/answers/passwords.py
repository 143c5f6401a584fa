"""The passwords that answers need, and those in the environment.

Loaded before any heavy module, so that no child process inherits a password.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedwiz.model.actions import Secret

if TYPE_CHECKING:
    from fedwiz.answers.file import Answers

SUDO, ETCD = "sudo password", "etcd password"
VARIABLES = {SUDO: "FEDWIZ_SUDO_PASSWORD", ETCD: "FEDWIZ_ETCD_PASSWORD"}
"""The environment variable of each."""

_popped: dict[str, Secret] = {}


def passwords(answers: "Answers") -> Iterator[tuple[str, str, str]]:
    """The passwords that these answers need: name, environment variable and user."""
    if answers.ssh.sudo == "ask":
        yield SUDO, VARIABLES[SUDO], answers.ssh.user
    if answers.etcd.user:
        yield ETCD, VARIABLES[ETCD], answers.etcd.user


def pop_from_environment() -> None:
    """Move the passwords from the environment into memory.

    Otherwise every child process would inherit them: ssh_config's ProxyCommand, and the compiler
    that a dependency of asyncssh runs to look for another library.
    """
    for name, variable in VARIABLES.items():
        if os.environ.get(variable):
            _popped[variable] = Secret(name, os.environ.pop(variable))


def has(variable: str) -> bool:
    """Whether the environment has the variable, or had it before `pop_from_environment`."""
    return variable in os.environ or variable in _popped


def from_environment(variable: str) -> str:
    """The variable's value, even if it has been popped; empty: not set."""
    pop_from_environment()
    return _popped[variable].reveal() if variable in _popped else ""


def forget() -> None:
    """Forget the passwords that were popped."""
    _popped.clear()
