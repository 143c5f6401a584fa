"""Patterns, as ssh matches them."""

from fnmatch import fnmatchcase


def fits(text: str, pattern: str) -> bool:
    """Match `*` and `?` only; to fnmatch `[` begins a set."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def in_list(text: str, patterns: str) -> bool:
    """Whether one of the patterns between commas fits, and none with `!` before it."""
    yes = False
    for pattern in patterns.split(","):
        if fits(text, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            yes = True
    return yes
