"""The local file that flannel is installed from, if not from the hosts' repositories.

Separate from `parse`, which reads nothing but its argument.
"""

import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from fedwiz.answers import rules
from fedwiz.answers.file import Answers, AnswersError

_LEAD = 96
"""Bytes of an RPM's lead: magic 4, version 2, type 2, architecture 2, name 66, and more.

Source: RPM's `docs/manual/format_lead.md`."""

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*)-([A-Za-z0-9._+~^]+)-([A-Za-z0-9._+~^]+)")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine that will be uploaded."""

    path: Path
    size: int
    """Bytes."""

    sha256: str
    package: str = ""
    """The RPM's own name, `flannel-0.9.0-7.fc32`; empty: unknown, or not an RPM."""

    version: str = ""
    """The version in that name: `0.9.0`."""


def check_files(answers: Answers) -> LocalFile | None:
    """Check the file that the answers name; None if they need none.

    Raises:
        AnswersError: it is missing, unreadable, of the wrong kind or has another SHA-256.
    """
    flannel = answers.flannel
    if flannel.source == "dnf":
        return None
    try:
        path = Path(flannel.path).expanduser()
        if not stat.S_ISREG(path.stat().st_mode):
            raise AnswersError({"flannel.path": f"{rules.clip(flannel.path)}: no file; name one"})
        with path.open("rb") as file:
            lead = file.read(_LEAD)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        refusal = f"{rules.clip(flannel.path)}: {why}; name a file of this machine's"
        raise AnswersError({"flannel.path": refusal}) from None
    refusal = _refuse_rpm(lead) if flannel.source == "rpm" else _refuse_program(lead)
    if refusal:
        raise AnswersError({"flannel.path": f"{rules.clip(flannel.path)}: {refusal}"})
    if digest != flannel.sha256:
        refusal = f"the file has {digest}; if that is the one you want, give this"
        raise AnswersError({"flannel.sha256": f"{flannel.sha256}: {refusal}"})
    package, version = _name_and_version(lead) if flannel.source == "rpm" else ("", "")
    return LocalFile(path, size, digest, package, version)


def _refuse_rpm(lead: bytes) -> str:
    """Why this is not an installable package; empty if it is."""
    if len(lead) < _LEAD or lead[:4] != b"\xed\xab\xee\xdb":
        return 'no RPM; name a .rpm file, or set source = "binary"'
    if lead[6:8] != b"\0\0":
        return "a source RPM; name one that was built for the hosts"
    return ""


def _refuse_program(lead: bytes) -> str:
    """Why this can't be flanneld; empty if it may be."""
    if lead[:4] == b"\xed\xab\xee\xdb":
        return 'an RPM; set source = "rpm"'
    if lead[:4] != b"\x7fELF" and lead[:2] != b"#!":
        return "no program; name flanneld itself, not the archive that it came in"
    return ""


def _name_and_version(lead: bytes) -> tuple[str, str]:
    """Name-version-release and the version from an RPM's lead; empty if it has none."""
    raw, end, _ = lead[10:76].partition(b"\0")
    found = _NAME.fullmatch(raw.decode("ascii", "replace")) if end else None
    return (found[0], found[2]) if found else ("", "")
