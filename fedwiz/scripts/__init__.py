"""The shell scripts that run on hosts: each for a plain POSIX `sh`, with values as arguments."""

from functools import cache
from importlib import resources

from fedwiz.model.actions import Run


@cache
def script(name: str) -> str:
    """A script's text."""
    return (resources.files("fedwiz") / "scripts" / f"{name}.sh").read_text("utf-8")


def question(name: str, *words: str, timeout: int) -> Run:
    """A script that is asked; it changes nothing that stays."""
    return Run(("sh", "-c", script(name), f"{name}.sh", *words), changes=False, timeout=timeout)


def whole(*lines: str) -> str:
    """A script that may come on standard input, as with `ssh HOST sh <script`.

    The shell reads such a group to its end before it runs any of it, and what is run has no
    input but its own: nothing can eat the rest of the script, and half a script does nothing.
    """
    return "\n".join(("{", *lines, "} </dev/null", ""))
