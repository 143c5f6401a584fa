"""The shell scripts that run on hosts: each for a plain POSIX `sh`, with values as arguments.

What several of them share is in `lib.sh`, which is sent in front of those that say so.
"""

from functools import cache
from importlib import resources

from fedwiz.model.actions import Run

LIB = "lib.sh"
AFTER_LIB = f"# Runs after {LIB}.\n"
"""The line of a script that needs it."""


@cache
def _text(name: str) -> str:
    return (resources.files("fedwiz") / "scripts" / name).read_text("utf-8")


@cache
def script(*names: str) -> str:
    """The text of a script, or of several to be run as one, as it is sent."""
    own = "".join(_text(f"{name}.sh") for name in names)
    return _text(LIB) + own if AFTER_LIB in own else own


def parts(name: str, text: str) -> dict[str, str]:
    """The files that a script's text is made of, by name, in order.

    A text that another version of fedwiz has recorded is one part, whatever it begins with.
    """
    lib = _text(LIB)
    return {LIB: lib, name: text.removeprefix(lib)} if text.startswith(lib) else {name: text}


def question(name: str, *words: str, timeout: int) -> Run:
    """A script that is asked; it changes nothing that stays."""
    return Run(("sh", "-c", script(name), f"{name}.sh", *words), changes=False, timeout=timeout)


def whole(*lines: str) -> str:
    """A script that may come on standard input, as with `ssh HOST sh <script`.

    The shell reads such a group to its end before it runs any of it, and what is run has no
    input but its own: nothing can eat the rest of the script, and half a script does nothing.
    """
    return "\n".join(("{", *lines, "} </dev/null", ""))
