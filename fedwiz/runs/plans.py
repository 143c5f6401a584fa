"""Plans on disk, each under its digest: what was approved, and from which facts it was made.

They are in `plans/` of fedwiz's state directory, beside the journals. Loads nothing heavy.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from fedwiz.util.files import write

_DIGEST = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """The saved parts of a plan."""

    actions: tuple[tuple[str, ...], ...]
    """As `approval.approved_actions` gives them."""

    facts: Mapping[str, str]
    """As `approval.fingerprints` gives them; empty: they are not known."""

    host: str = ""
    """The only node that is undone; empty: all of them, or the plan undoes nothing."""

    @property
    def text(self) -> str:
        """The saved form, as JSON."""
        return json.dumps({"facts": self.facts, "actions": self.actions, "host": self.host})


def plans_path() -> Path:
    """The directory of the saved plans; it may not exist yet."""
    return user_state_path("fedwiz") / "plans"


def _path(digest: str) -> Path:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a plan's digest")
    return plans_path() / f"{digest}.json"


def write_plan(digest: str, text: str) -> Path:
    """Save a plan's text under its digest, atomically; an older one is replaced.

    Raises:
        ValueError: the digest is not valid as a file name.
        OSError: the file can't be written.
    """
    path = _path(digest)
    write(path, text)
    return path


def read_plan_text(digest: str) -> str | None:
    """The text saved under a digest; None if there is none that can be read.

    Raises:
        ValueError: not a valid digest.
    """
    try:
        return _path(digest).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def load_plan(digest: str) -> SavedPlan | None:
    """The plan saved under a digest; None if there is none, or it can't be read."""
    try:
        data = json.loads(read_plan_text(digest) or "{}")
        actions, host = tuple(map(tuple, data["actions"])), data.get("host", "")
        facts = data.get("facts", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    whole = all(len(it) > 1 and all(isinstance(word, str) for word in it) for it in actions)
    if not (whole and isinstance(host, str) and isinstance(facts, dict)):
        return None
    return SavedPlan(actions, facts, host)
