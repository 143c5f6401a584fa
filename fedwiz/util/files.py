"""The operator's own files: written whole or not at all, and private except for reports."""

import os
import secrets
from pathlib import Path

from platformdirs import user_state_path


def place(practice: str = "") -> Path:
    """Path of the saved draft; practice clusters have their own, apart from the real one."""
    return user_state_path("fedwiz") / ("practice.json" if practice else "draft.json")


def at_home(text: str | Path) -> Path:
    """The path with `~` expanded as a shell does: an unknown user's `~name` stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's raises for an unknown user


def make(directory: Path) -> None:
    """Create a directory and its missing parents; new ones are accessible to their owner alone."""
    if not directory.is_dir():
        make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def create(path: Path, mode: int = 0o600) -> int:
    """Create a file that only its owner can read from the start, and return its descriptor.

    Args:
        path: the new file.
        mode: its permissions, before the umask.

    Raises:
        FileExistsError: something of that name exists, even a dangling link.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, mode)


def sync_directory(directory: Path) -> None:
    """Flush the directory's entries to disk; a file is not durable until its name is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(file: int, text: bytes) -> None:
    """Write all of `text`, in as many writes as it takes."""
    remaining = memoryview(text)
    while remaining:
        remaining = remaining[os.write(file, remaining) :]


def _temporary_sibling(path: Path) -> Path:
    return path.with_name(f".{path.name[:32]}.{secrets.token_hex(4)}")


def refuses(path: Path) -> str:
    """Why a file can't be written there, as far as a trial can tell; empty if it can be.

    The trial leaves nothing behind and makes no directory.
    """
    try:
        if path.is_dir():
            return "it is a directory; name a file in it"
        if not path.parent.is_dir():
            return f"there is no directory {path.parent}; make it first"
        new = _temporary_sibling(path)
        os.close(create(new))
        new.unlink()
    except (OSError, ValueError) as error:
        return f"{getattr(error, 'strerror', None) or error}; name a place where you may write"
    return ""


def write(path: Path, text: str, *, sync: bool = True, mode: int = 0o600) -> None:
    """Write a file atomically: the old content stays until the new one is complete.

    Args:
        path: the file; missing directories are created.
        text: the new content, written as UTF-8.
        sync: wait until the data is on disk. Without it a power cut may bring back the old
            content; killing the process still loses nothing.
        mode: its permissions, before the umask.

    Raises:
        OSError: it can't be written; the old content is untouched.
    """
    make(path.parent)
    new = _temporary_sibling(path)
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
