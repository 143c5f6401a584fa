"""The way to the hosts: SSH, as the operator's own `ssh` would go.

This folder alone knows asyncssh; its errors end here, as `Unreachable` in the operator's words.
"""

from fedwiz.hostkeys import KeyRefused, UnknownKey
from fedwiz.transport.door import Limits
from fedwiz.transport.keys import AskPassphrase
from fedwiz.transport.ssh import HostAnswers, Ssh, SshAnswers

__all__ = [
    "AskPassphrase",
    "HostAnswers",
    "KeyRefused",
    "Limits",
    "Ssh",
    "SshAnswers",
    "UnknownKey",
]
