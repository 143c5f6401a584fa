"""The operator's own keys: files read once, passphrases asked for once, and only when needed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import asyncssh

from fedwiz.actions import Secret, SecretRefused, Unreachable
from fedwiz.clean import clean

AskPassphrase: TypeAlias = Callable[[str], Awaitable[Secret | None]]
"""Asks for the passphrase of the key file of that name; None: go on without this key."""

Offer: TypeAlias = tuple[asyncssh.SSHKey, str] | asyncssh.SSHKey
"""A key, with the path of its certificate where it has one."""

USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")


class Keys:
    """Key files, each read and unlocked once for all hosts."""

    def __init__(self, ask: AskPassphrase | None) -> None:
        self._ask = ask
        self._read: dict[Path, Offer | None] = {}
        self._unlocked: dict[Path, Offer | None] = {}
        self._lock = asyncio.Lock()

    async def plain(self, paths: Sequence[Path]) -> list[Offer]:
        """The keys that need no passphrase."""
        for path in paths:
            if path not in self._read:
                self._read[path] = await asyncio.to_thread(_read, path)
        return [offer for path in paths if (offer := self._read[path]) is not None]

    def locked(self, paths: Sequence[Path]) -> list[Path]:
        """The files that need a passphrase, of those that `plain` has seen."""
        return [path for path in paths if self._read.get(path) is None and _is_private(path)]

    async def unlock(self, path: Path) -> Offer | None:
        """The key behind a passphrase; None where nobody has it.

        The first host that needs the key asks, the others wait for the same answer.
        """
        async with self._lock:
            if path not in self._unlocked:
                self._unlocked[path] = await self._unlock(path)
            return self._unlocked[path]

    async def _unlock(self, path: Path) -> Offer | None:
        said = await self._ask(str(path)) if self._ask else None
        if said is None:
            return None
        try:
            return await asyncio.to_thread(_read_with, path, said.reveal())
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise SecretRefused(
                f"that is not the passphrase of {path}: run again", which=str(path)
            ) from None


def usual() -> tuple[Path, ...]:
    """The key files that ssh tries where nobody names one."""
    return tuple(Path.home() / ".ssh" / name for name in USUAL)


def public(paths: Sequence[Path]) -> list[asyncssh.SSHKey]:
    """The public halves of key files, for an agent that is to offer these only."""
    found = []
    for path in paths:
        for place in (path.with_name(path.name + ".pub"), path):
            try:
                found.append(asyncssh.read_public_key(place))
                break
            except (OSError, asyncssh.KeyImportError):
                continue
    return found


def missing(paths: Sequence[Path]) -> None:
    """See that key files named in the answers are there.

    Raises:
        Unreachable: one is not, or may not be read.
    """
    for path in paths:
        try:
            path.open("rb").close()
        except OSError as error:
            raise Unreachable(
                f"the key file {clean(str(path))} can't be read ({error.strerror}): "
                f"correct `ssh.identity`"
            ) from None


def _is_private(path: Path) -> bool:
    try:
        return b"PRIVATE KEY" in path.read_bytes()[:4096]
    except OSError:
        return False


def _read(path: Path) -> Offer | None:
    try:
        return _read_with(path, None)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        return None


def _read_with(path: Path, passphrase: str | None) -> Offer:
    key = asyncssh.read_private_key(path, passphrase)
    certificate = path.with_name(path.name + "-cert.pub")
    return (key, str(certificate)) if certificate.is_file() else key
