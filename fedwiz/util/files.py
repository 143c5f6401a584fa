"""Files of the operator's own: whole or not at all, and but for reports for nobody else's eyes."""

import os
import secrets
from pathlib import Path

from platformdirs import user_state_path


def place(practice: str = "") -> Path:
    """Where a draft is kept; a practice cluster's does not take a real one's place."""
    return user_state_path("fedwiz") / ("practice.json" if practice else "draft.json")


def at_home(text: str | Path) -> Path:
    """The path with `~` as a shell has it: that of somebody who is not there stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's raises for that one


def make(directory: Path) -> None:
    """Make a directory and what lies above it; those that are new are the owner's alone."""
    if not directory.is_dir():
        make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def create(path: Path, mode: int = 0o600) -> int:
    """A new file that only its owner can read, from its first moment; its descriptor.

    Args:
        path: where.
        mode: who may read it instead, as far as the umask lets them.

    Raises:
        FileExistsError: there is one of that name, even as a dangling link.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, mode)


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


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:32]}.{secrets.token_hex(4)}")


def refuses(path: Path) -> str:
    """Why no file can be written there, as far as trying tells; empty: one can, now.

    Nothing is left there, and no directory is made.
    """
    try:
        if path.is_dir():
            return "it is a directory; name a file in it"
        if not path.parent.is_dir():
            return f"there is no directory {path.parent}; make it first"
        new = _beside(path)
        os.close(create(new))
        new.unlink()
    except (OSError, ValueError) as wrong:
        return f"{getattr(wrong, 'strerror', None) or wrong}; name a place where you may write"
    return ""


def write(path: Path, text: str, *, sync: bool = True, mode: int = 0o600) -> None:
    """Put a text into a file, whole or not at all; one that is there is replaced.

    Args:
        path: the file; directories that are missing are made.
        text: what it will hold, as UTF-8.
        sync: wait until it is on the disk itself.  Without that a power cut may bring the old
            text back, and a process that is killed still loses nothing.
        mode: who may read it, as far as the umask lets them.

    Raises:
        OSError: it can't be written; what was there is as it was.
    """
    make(path.parent)
    new = _beside(path)
    file = create(new, mode)
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
