"""Building blocks of steps: a command that changes something, a file, a script."""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from ipaddress import ip_interface, ip_network
from typing import Any

from fedwiz.answers.file import Answers, Host
from fedwiz.facts.values import ClusterFacts, Facts, File
from fedwiz.model.actions import Run
from fedwiz.scripts import script

BACKUP = "the file's old text is what the diff takes away"
DIGEST_DIGITS = 16
"""Hex digits of a SHA-256 that are enough to tell texts apart, for people and hosts alike."""


def change(*argv: str, **more: Any) -> Run:
    """A command that changes something, run as root."""
    return Run(argv, **more)


def diff(path: str, old: str, new: str) -> str:
    """The unified diff of a file; undecodable bytes (surrogates) are shown as `?`."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), path if old else "/dev/null", path, lineterm="", n=2
    )
    return "\n".join(lines).encode("utf-8", "replace").decode()


def put_file(facts: Facts, path: str, text: str, mode: int = 0o644) -> Iterator[Run]:
    """Write a file unless it already has this text and mode."""
    current = facts.files.get(path)
    if current is not None and current.text == text and current.mode == mode:
        return
    yield run_script(
        "put",
        f"{mode:04o}",
        path,
        file_state(current),
        hashed(text),
        stdin=(text,),
        diff=diff(path, current.text if current else "", text),
        undo=BACKUP if current else f"rm {path}",
        back=_restore_file(path, text, current),
    )


def _restore_file(path: str, text: str, old: File | None) -> Run:
    """Restore the file's earlier text and mode."""
    if old is None:
        return change("rm", "-f", path)
    return run_script(
        "put", f"{old.mode:04o}", path, hashed(text), hashed(old.text), stdin=(old.text,)
    )


def file_state(file: File | None) -> str:
    """The file's state when the plan was made, as scripts compare it: `absent`, or its hash."""
    return hashed(file.text) if file else "absent"


LISTED = frozenset({"unrule.sh"})
"""Scripts for which each line of standard input is independent: fewer lines do less."""

ANY = "any"
"""The state of a file that the plan can't know, because an earlier action brings the file."""

SEEN = re.compile(rf"[0-9a-f]{{{DIGEST_DIGITS}}}|absent")
"""The values of `file_state`."""


def hashed(text: str) -> str:
    """The first digits of a text's SHA-256; undecodable bytes are surrogates in it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGEST_DIGITS]


def run_script(name: str, *argv: str, **more: Any) -> Run:
    """Run one of fedwiz's scripts with sh; the plan shows its whole text."""
    return change("sh", "-c", script(name), f"{name}.sh", *argv, **more)


def dnf(verb: str, what: str, undo: str = "") -> Run:
    """Install or remove one package, once no other process uses dnf; runs as a unit to the end."""
    return run_script(
        "package", "dnf", "-y", verb, what, unit="fedwiz-package", timeout=1800, undo=undo
    )


def peer_addresses(answers: Answers, host: Host, known: ClusterFacts) -> set[str]:
    """The addresses that flannel publishes for the other nodes, as far as they are known."""
    others = (node for node in answers.nodes if node.name != host.name)
    found = {
        known.hosts[node.name].public_ip(node.interface)
        for node in others
        if node.name in known.hosts
    }
    return found - {""}


def same_json(one: str, other: str) -> bool:
    """Whether two texts are the same JSON, regardless of whitespace and the order of keys."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


def within(text: str, cidr: str) -> bool:
    """Whether an address, as a host has written it, is in the network."""
    try:
        return ip_interface(text).ip in ip_network(cidr)
    except ValueError:
        return False
