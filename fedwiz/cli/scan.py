"""The verb `discover`."""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from fedwiz import verbs
from fedwiz.clean import clean
from fedwiz.cli.output import Usage, give, give_json, say, terminal
from fedwiz.discover import Sighting


def discover(options: argparse.Namespace) -> int:
    """Look for hosts that answer ssh."""
    raise Usage("not yet")


def sighted(options: argparse.Namespace, found: Sequence[Sighting]) -> int:
    """A table of what was found, or JSON."""
    if options.json:
        give_json([
            {"address": it.address, "name": it.name, "banner": it.banner,
             "fingerprint": it.fingerprint, "source": it.source}
            for it in found
        ])  # fmt: skip
        return verbs.OK
    for it in found:
        give(clean(f"{it.address:<15}  {it.name or '-':<20}  {it.fingerprint:<50}  {it.banner}"))
    if not found:
        say("no host answers ssh there")
    return verbs.OK
