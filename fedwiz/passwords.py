"""The passwords that answers need, and those that the environment has."""

import os
from collections.abc import Iterator

from fedwiz.actions import Secret
from fedwiz.answers import Answers

SUDO, ETCD = "sudo password", "etcd password"

_taken: dict[str, Secret] = {}


def passwords(answers: Answers) -> Iterator[tuple[str, str, str]]:
    """The passwords that these answers need: its name, its variable in the environment, whose."""
    if answers.ssh.sudo == "ask":
        yield SUDO, "FEDWIZ_SUDO_PASSWORD", answers.ssh.user
    if answers.etcd.user:
        yield ETCD, "FEDWIZ_ETCD_PASSWORD", answers.etcd.user


def has(variable: str) -> bool:
    """The environment has it, or had it when it was taken."""
    return variable in os.environ or variable in _taken


def given(variable: str) -> str:
    """What the environment says; empty: nothing.

    It is taken out of there: a program that is started, as ssh_config's ProxyCommand is, has no
    part in it.
    """
    said = os.environ.pop(variable, "")
    if said:
        _taken[variable] = Secret(variable, said)
    return _taken[variable].reveal() if variable in _taken else ""


def forget() -> None:
    """Know nothing that was taken."""
    _taken.clear()
