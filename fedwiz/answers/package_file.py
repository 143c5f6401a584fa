"""The file that flannel comes from where it is not the hosts' repositories.

Apart from `parse`, which reads nothing but its argument.
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

Source: RPM's `docs/manual/format_lead.md`.
"""

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*)-([A-Za-z0-9._+~^]+)-([A-Za-z0-9._+~^]+)")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine's that will be uploaded."""

    path: Path
    size: int
    """Bytes."""

    sha256: str
    package: str = ""
    """`flannel-0.9.0-7.fc32`, as an RPM calls itself; empty: it does not say, or is none."""

    version: str = ""
    """The version in that: `0.9.0`."""


def check_files(answers: Answers) -> LocalFile | None:
    """The file that the answers name, if it is what they say; None: they need none.

    Raises:
        Refused: it is not there, can't be read, is of another kind or has another SHA-256.
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
            found = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except (OSError, RuntimeError) as wrong:
        why = getattr(wrong, "strerror", None) or str(wrong)
        said = f"{rules.clip(flannel.path)}: {why}; name a file of this machine's"
        raise AnswersError({"flannel.path": said}) from None
    said = _rpm(lead) if flannel.source == "rpm" else _program(lead)
    if said:
        raise AnswersError({"flannel.path": f"{rules.clip(flannel.path)}: {said}"})
    if found != flannel.sha256:
        said = f"the file has {found}; if that is the one you want, give this"
        raise AnswersError({"flannel.sha256": f"{flannel.sha256}: {said}"})
    package, version = _called(lead) if flannel.source == "rpm" else ("", "")
    return LocalFile(path, size, found, package, version)


def _rpm(lead: bytes) -> str:
    """Why this is no package to install; empty: it is one."""
    if len(lead) < _LEAD or lead[:4] != b"\xed\xab\xee\xdb":
        return 'no RPM; name a .rpm file, or set source = "binary"'
    if lead[6:8] != b"\0\0":
        return "a source RPM; name one that was built for the hosts"
    return ""


def _program(lead: bytes) -> str:
    """Why this can't be flanneld; empty: it may be."""
    if lead[:4] == b"\xed\xab\xee\xdb":
        return 'an RPM; set source = "rpm"'
    if lead[:4] != b"\x7fELF" and lead[:2] != b"#!":
        return "no program; name flanneld itself, not the archive that it came in"
    return ""


def _called(lead: bytes) -> tuple[str, str]:
    """Name-version-release and the version, from an RPM's lead; empty where it is not that."""
    raw, end, _ = lead[10:76].partition(b"\0")
    found = _NAME.fullmatch(raw.decode("ascii", "replace")) if end else None
    return (found[0], found[2]) if found else ("", "")
