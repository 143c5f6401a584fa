"""The verb `discover`."""

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from fedwiz.cli.output import UsageError, give, give_json, say
from fedwiz.discover import (
    OnProgress,
    Sighting,
    Source,
    expand,
    known_hosts,
    libvirt,
    ssh_config,
)
from fedwiz.discover import discover as look
from fedwiz.engine import verbs
from fedwiz.util.sanitize import sanitize

PROGRESS_SECONDS = 1.0
"""Seconds between two progress lines."""


def discover(options: argparse.Namespace) -> int:
    """Search for hosts that answer ssh."""
    try:
        targets = list(expand(options.targets))
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    if options.port != 22:
        targets = [replace(it, port=options.port) if it.port == 22 else it for it in targets]
    for source in _sources(options):
        targets += source.targets
        for note in source.notes:
            say(sanitize(note))
    if not targets:
        raise UsageError(
            "nothing to look at: give a CIDR, a range or a name, or --ssh-config, --known-hosts "
            "or --libvirt"
        )
    return print_sightings(options, asyncio.run(look(targets, on_progress=progress())))


def _sources(options: argparse.Namespace) -> Iterator[Source]:
    if options.ssh_config:
        yield ssh_config(Path("~/.ssh/config"))
    if options.known_hosts:
        yield known_hosts(Path("~/.ssh/known_hosts"))
    if options.libvirt:
        yield libvirt()


def progress() -> OnProgress:
    """A callback that prints a progress line to stderr at most every PROGRESS_SECONDS."""
    printed, found = time.monotonic(), 0

    def on_progress(done: int, total: int, seen: Sighting | None) -> None:
        nonlocal printed, found
        found += seen is not None
        if time.monotonic() - printed >= PROGRESS_SECONDS or done == total:
            printed = time.monotonic()
            say(f"looked at {done} of {total}: {found} answer ssh")

    return on_progress


def print_sightings(options: argparse.Namespace, found: Sequence[Sighting]) -> int:
    """Print the hosts that were found as a table or as JSON."""
    if options.json:
        give_json([asdict(it) for it in found])
        return verbs.OK
    for it in found:
        give(sanitize(f"{it.address:<15}  {it.name or '-':<16}  {it.fingerprint:<50}  {it.banner}"))
    return verbs.OK
