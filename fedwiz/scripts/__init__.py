"""The shell scripts that run on hosts: each for a plain POSIX `sh`, with values as arguments."""

from functools import cache
from importlib import resources

from fedwiz.actions import Run


@cache
def script(name: str) -> str:
    """A script's text."""
    return (resources.files("fedwiz") / "scripts" / f"{name}.sh").read_text("utf-8")


def question(name: str, *words: str, timeout: int) -> Run:
    """A script that is asked; it changes nothing that stays."""
    return Run(("sh", "-c", script(name), f"{name}.sh", *words), changes=False, timeout=timeout)
