"""The passwords that answers need, and those that the environment has.

Loaded before anything heavy: no program that is started may be given them.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedwiz.model.actions import Secret

if TYPE_CHECKING:
    from fedwiz.answers.file import Answers

SUDO, ETCD = "sudo password", "etcd password"
VARIABLES = {SUDO: "FEDWIZ_SUDO_PASSWORD", ETCD: "FEDWIZ_ETCD_PASSWORD"}
"""Where the environment has each."""

_taken: dict[str, Secret] = {}


def passwords(answers: "Answers") -> Iterator[tuple[str, str, str]]:
    """The passwords that these answers need: its name, its variable in the environment, whose."""
    if answers.ssh.sudo == "ask":
        yield SUDO, VARIABLES[SUDO], answers.ssh.user
    if answers.etcd.user:
        yield ETCD, VARIABLES[ETCD], answers.etcd.user


def take() -> None:
    """Take them out of the environment.

    Else every program that is started would have them in its own: ssh_config's ProxyCommand, and
    the compiler that a library of asyncssh's looks for another library with.
    """
    for name, variable in VARIABLES.items():
        if os.environ.get(variable):
            _taken[variable] = Secret(name, os.environ.pop(variable))


def has(variable: str) -> bool:
    """Whether the environment says it, or said it when it was taken."""
    return variable in os.environ or variable in _taken


def given(variable: str) -> str:
    """What the environment says, or said when it was taken; empty: nothing."""
    take()
    return _taken[variable].reveal() if variable in _taken else ""


def forget() -> None:
    """Know nothing that was taken."""
    _taken.clear()
