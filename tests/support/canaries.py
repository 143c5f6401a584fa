"""Looks for canaries: in files, in what is printed, and in what processes are called and given."""

import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SUDO, PHRASE, ETCD = (f"Kanari{at}{secrets.token_hex(4)}" for at in range(3))
CANARIES = (SUDO, PHRASE, ETCD)
"""Parts of the secrets that need no quoting anywhere; around them stands what does.

Others than those of tests that run beside, whose processes are seen too."""


def odd(canary: str) -> str:
    """A secret that has the canary in it, and everything that may be quoted wrongly."""
    return f'{canary} "s\'ings" for $HOME \\o/'


def found(text: str | bytes) -> list[str]:
    """The canaries in a text."""
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    return [canary for canary in CANARIES if canary.encode() in raw]


def in_files(places: Iterable[Path], but: Iterable[Path] = ()) -> list[str]:
    """Files below some folders that hold a canary, but for those below others."""
    spared = tuple(but)
    return [
        f"{path}: {held}"
        for place in places
        for path in place.rglob("*")
        if path.is_file()
        and not any(path.is_relative_to(it) for it in spared)
        and (held := found(path.read_bytes()))
    ]


def loose(place: Path) -> list[str]:
    """What below a folder others than its owner may look into."""
    return [
        f"{path}: {path.stat().st_mode:o}"
        for path in (place, *place.rglob("*"))
        if path.lstat().st_mode & 0o077
    ]


@dataclass
class Watch:
    """What was seen of this machine's processes."""

    turns: int = 0
    seen: set[str] = field(default_factory=set)


@contextmanager
def watched(
    own: Iterable[bytes] = (b"-m\0fedwiz",), on_hosts: Iterable[str] = ()
) -> Iterator[Watch]:
    """Look at all processes of this machine meanwhile: their words, and what they were given.

    Those of a lab's hosts are among them.

    Args:
        own: words of those that were given the secrets in their environment by the operator.
        on_hosts: canaries that may be in an environment on a host, as etcd's is in flanneld's.
    """
    watch, ended = Watch(), threading.Event()
    spared, before, theirs = tuple(own), {os.getpid()}, set(on_hosts)
    here = Path("/proc/self/ns/pid").readlink()

    def look() -> None:
        while not ended.wait(0.04):
            watch.turns += 1
            for entry in Path("/proc").iterdir():
                if not entry.name.isdecimal() or int(entry.name) in before:
                    continue
                try:
                    words = (entry / "cmdline").read_bytes()
                    given = (entry / "environ").read_bytes()
                    away = (entry / "ns/pid").readlink() != here
                except OSError:
                    continue
                if not words:  # in the middle of its exec, or of its end: there is no telling whose
                    continue
                if found(words):
                    watch.seen.add(f"words of {words!r}")
                # Between fork and exec a child is still called as its parent is.
                held = set(found(given)) - (theirs if away else set())
                if held and not any(it in words for it in spared):
                    watch.seen.add(f"environment of {words!r}")

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield watch
    finally:
        ended.set()
        looker.join()
