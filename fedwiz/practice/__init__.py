"""The practice cluster: simulated hosts behind the same interfaces as real ones.

Probes, steps and verification run through the whole engine unchanged: a practice session takes the
same `Run` that an SSH session would send, and answers it from a host that is plain data. A command
without a model here is a bug and raises.
"""

import base64
from collections.abc import Sequence

from fedwiz.answers.file import Answers, parse
from fedwiz.discover import Sighting
from fedwiz.practice.faults import FAULTS, Fault
from fedwiz.practice.generations import CLASSIC, MODERN, Generation
from fedwiz.practice.machine import new_id
from fedwiz.practice.session import Practice
from fedwiz.ssh.known_hosts import fingerprint

__all__ = [
    "CLASSIC",
    "FAULTS",
    "MAX_HOSTS",
    "MODERN",
    "PACE",
    "Fault",
    "Generation",
    "Practice",
    "host_key",
    "practice_answers",
    "sightings",
]

MAX_HOSTS = 100
"""Maximum number of hosts of a practice cluster."""

PACE = 0.2
"""Real seconds for each simulated one, the default of `fedwiz demo`: an install takes some 6 s."""


def _names(hosts: int) -> list[tuple[str, str]]:
    """Name and address of each host, the master first."""
    names = ["fed-master", *(f"fed-node{number}" for number in range(1, hosts))]
    return [(name, f"192.168.122.{76 + number}") for number, name in enumerate(names)]


def practice_answers(hosts: int = 4, sets: Sequence[str] = (), fault: str = "") -> Answers:
    """The answers of a practice cluster: one master, the rest nodes.

    Args:
        hosts: how many, from 3 to `MAX_HOSTS`.
        sets: the operator's `--set` overrides, which take precedence.
        fault: a name of `FAULTS`, since some faults are in the answers.

    Raises:
        AnswersError: the answers can't be used.
    """
    data = {
        "version": 1,
        "name": "practice",
        "host": [
            {"name": name, "address": address, "role": "node" if number else "master"}
            for number, (name, address) in enumerate(_names(hosts))
        ],
        "network": {"cidr": "10.16.0.0/16"},
    }
    fault_sets = FAULTS[fault].sets if fault else ()
    return parse(data, (*fault_sets, *sets))


def sightings(hosts: int = 4) -> tuple[Sighting, ...]:
    """What a scan finds on the practice network."""
    return tuple(
        Sighting(
            address,
            22,
            name,
            "SSH-2.0-OpenSSH_10.0",
            "ssh-ed25519",
            fingerprint(host_key(name)),
            "practice",
        )
        for name, address in _names(hosts)
    )


def host_key(name: str) -> str:
    """The blob of a practice host's key, as in known_hosts."""
    return base64.b64encode(new_id(name, "host key").encode()).decode()
