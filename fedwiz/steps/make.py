"""What steps are made of: a command that changes something, a file, a script."""

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
"""Hex digits of a SHA-256 that tell one text from another for people and hosts alike."""


def change(*argv: str, **more: Any) -> Run:  # noqa: ANN401 - Run's own fields
    """A command that changes something, as root."""
    return Run(argv, **more)


def diff(path: str, old: str, new: str) -> str:
    """What changes in a file, as a unified diff; the surrogates of odd bytes are shown as `?`."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), path if old else "/dev/null", path, lineterm="", n=2
    )
    return "\n".join(lines).encode("utf-8", "replace").decode()


def put_file(facts: Facts, path: str, text: str, mode: int = 0o644) -> Iterator[Run]:
    """Write a file, if it is not like that already."""
    there = facts.files.get(path)
    if there is not None and there.text == text and there.mode == mode:
        return
    yield run_script(
        "put",
        f"{mode:04o}",
        path,
        seen(there),
        hashed(text),
        stdin=(text,),
        diff=diff(path, there.text if there else "", text),
        undo=BACKUP if there else f"rm {path}",
        back=_put_back(path, text, there),
    )


def _put_back(path: str, text: str, there: File | None) -> Run:
    """Have the file as it was."""
    if there is None:
        return change("rm", "-f", path)
    return run_script(
        "put", f"{there.mode:04o}", path, hashed(text), hashed(there.text), stdin=(there.text,)
    )


def seen(there: File | None) -> str:
    """What a file was when the plan was made, as scripts compare it: `absent`, or its hash."""
    return hashed(there.text) if there else "absent"


LISTED = frozenset({"unrule.sh"})
"""Scripts to which each line of standard input is a thing by itself: fewer lines do less."""

ANY = "any"
"""The same where the plan can't know it, since an action of it before brings the file."""

SEEN = re.compile(rf"[0-9a-f]{{{DIGEST_DIGITS}}}|absent")
"""What `seen` says."""


def hashed(text: str) -> str:
    """How a text's SHA-256 begins; a host's odd bytes are surrogates in it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGEST_DIGITS]


def run_script(name: str, *argv: str, **more: Any) -> Run:  # noqa: ANN401 - Run's own fields
    """One of fedwiz's scripts, run by sh: the plan shows its whole text."""
    return change("sh", "-c", script(name), f"{name}.sh", *argv, **more)


def dnf(verb: str, what: str, undo: str = "") -> Run:
    """Dnf's work with one package, once nobody else works with packages there; not cut in half."""
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
    """Two texts are the same JSON, whatever the spaces and the order of keys."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


def within(text: str, cidr: str) -> bool:
    """An address, as a host has written it, is in the network."""
    try:
        return ip_interface(text).ip in ip_network(cidr)
    except ValueError:
        return False
