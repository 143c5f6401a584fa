"""Counts, lists and pairs of hosts in words, for checks, reports and screens alike."""

from collections.abc import Iterable

from fedwiz.util.sanitize import sanitize


def some(names: Iterable[str], most: int = 4) -> str:
    """List the first names and count the rest: `a, b, c, d and 3 more`."""
    each = list(names)
    rest = len(each) - most
    return ", ".join(each[:most]) + (f" and {rest} more" if rest > 0 else "")


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 node`, `3 nodes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def arrow(sender: str, receiver: str) -> str:
    """An ordered pair of hosts: `a -> b`."""
    return f"{sanitize(sender)} -> {sanitize(receiver)}"


def where(host: str) -> str:
    """A host's name; `cluster` if there is none."""
    return sanitize(host) or "cluster"
