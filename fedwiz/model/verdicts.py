"""The kinds of verdicts and their names in reports and on screens."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from fedwiz.util.sanitize import sanitize


class KindWords(NamedTuple):
    """The names of a kind of verdict."""

    title: str
    """The heading of its part of a report."""

    noun: str
    """Its name within a sentence."""


VERDICT_KINDS: Mapping[str, KindWords] = MappingProxyType(
    {
        "address": KindWords("Addresses", "addresses"),
        "lease": KindWords("Leases in etcd", "lease"),
        "subnet_env": KindWords("subnet.env", "subnet.env"),
        "peer": KindWords("Peers", "the way"),
        "ping": KindWords("Pings between containers", "ping"),
        "mtu": KindWords("MTU between containers", "size"),
    }
)
"""In the order of a report.  Journals of other versions may have more kinds."""

PER_PAIR = ("ping", "peer", "mtu")
"""The kinds about ordered pairs of nodes, the strongest proof first."""


def title(kind: str) -> str:
    """The heading of this kind's part of a report."""
    known = VERDICT_KINDS.get(kind)
    return known.title if known else sanitize(kind) or "Other verdicts"


def noun(kind: str) -> str:
    """The name of this kind within a sentence."""
    known = VERDICT_KINDS.get(kind)
    return known.noun if known else kind
