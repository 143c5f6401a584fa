"""Files of the operator's own: whole or not at all, and for nobody else's eyes."""

import os
import secrets
from pathlib import Path

from platformdirs import user_state_path


def place(practice: str = "") -> Path:
    """Where a draft is kept; a practice cluster's does not take a real one's place."""
    return user_state_path("fedwiz") / ("practice.json" if practice else "draft.json")


def make(directory: Path) -> None:
    """Make a directory and what lies above it; those that are new are the owner's alone."""
    if not directory.is_dir():
        make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def create(path: Path) -> int:
    """A new file that only its owner can read, from its first moment; its descriptor.

    Raises:
        FileExistsError: there is one of that name, even as a dangling link.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)


def sync_directory(directory: Path) -> None:
    """Make the directory's new names last; a file is not safe while its name is not."""
    seen = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(seen)
    finally:
        os.close(seen)


def write_all(file: int, text: bytes) -> None:
    """Write all of it, however many writes that takes."""
    left = memoryview(text)
    while left:
        left = left[os.write(file, left) :]


def write(path: Path, text: str, *, sync: bool = True) -> None:
    """Put a text into a file, whole or not at all; one that is there is replaced.

    Args:
        path: the file; directories that are missing are made.
        text: what it will hold, as UTF-8.
        sync: wait until it is on the disk itself.  Without that a power cut may bring the old
            text back, and a process that is killed still loses nothing.

    Raises:
        OSError: it can't be written; what was there is as it was.
    """
    make(path.parent)
    new = path.with_name(f".{path.name[:32]}.{secrets.token_hex(4)}")
    file = create(new)
    try:
        try:
            write_all(file, text.encode())
            if sync:
                os.fsync(file)
        finally:
            os.close(file)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if sync:
        sync_directory(path.parent)
