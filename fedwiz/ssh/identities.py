"""The operator's keys: each file is read once, each passphrase asked for once, if needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import asyncssh
from asyncssh.public_key import load_keypairs

from fedwiz.model.actions import Secret, SecretRefusedError, UnreachableError
from fedwiz.util.sanitize import sanitize

AskPassphrase: TypeAlias = Callable[[str], Awaitable[Secret | None]]
"""Asks for the passphrase of a key file; None: continue without this key."""

Maker: TypeAlias = Callable[[], asyncssh.SSHKeyPair]
"""Makes a key pair from an available key."""

DEFAULT_KEY_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
AGENT_SECONDS = 5
"""Timeout for the agent to list its keys."""


@dataclass(slots=True)
class Ring:
    """The keys to offer one host, in this order."""

    open: list[asyncssh.SSHKeyPair] = field(default_factory=list)
    locked: list[Path] = field(default_factory=list)
    """Files with a passphrase, for use after all other keys were refused."""

    certificates: tuple[Path, ...] = ()
    agent: str = ""
    """What is wrong with the agent, for the message about a refusal; empty: nothing."""


class Identities:
    """Key files, each read and unlocked once for all hosts."""

    def __init__(self, ask: AskPassphrase | None) -> None:
        self._ask = ask
        self._read: dict[Path, asyncssh.SSHKey | None] = {}
        self._unlocked: dict[Path, asyncssh.SSHKey | None] = {}
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def ring(
        self, paths: Sequence[Path], certificates: Sequence[Path], agent: str, *, only: bool
    ) -> AsyncIterator[Ring]:
        """The keys for one login, in ssh's order.

        Certificates come first, then the configured keys that the agent holds, its other keys, and
        keys that are only in files: sshd counts offered keys and soon closes the connection.

        Args:
            paths: key files.
            certificates: configured ones; the one next to a key file is found automatically.
            agent: its socket; empty: none.
            only: whether the agent may offer only keys that are in the files, too.
        """
        for path in paths:
            if path not in self._read:
                self._read[path] = await asyncio.to_thread(_read, path, None)
        client = asyncssh.SSHAgentClient(agent) if agent else None
        try:
            held, wrong = await _held(client)
            ring = Ring(certificates=tuple(certificates), agent=wrong)
            self._fill(ring, paths, held, only=only)
            yield ring
        finally:
            if client is not None:
                client.close()

    def _fill(
        self, ring: Ring, paths: Sequence[Path], held: list[asyncssh.SSHKeyPair], *, only: bool
    ) -> None:
        public = {path: _public(path, self._read[path]) for path in paths}
        named = dict.fromkeys(blob for blobs in public.values() for blob in blobs)
        by_blob = {pair.public_data: pair for pair in held}
        first = [by_blob[blob] for blob in named if blob in by_blob]
        others = [] if only else [pair for pair in held if pair.public_data not in named]
        in_files = {key.public_data: key for path in paths if (key := self._read[path])}
        certificates = (*ring.certificates, *map(_beside, paths))
        able = {blob: partial(_pair, key) for blob, key in in_files.items()}
        able |= {blob: partial(_lent, pair) for blob, pair in by_blob.items()}
        plain = [_pair(key) for blob, key in in_files.items() if blob not in by_blob]
        ring.open = [*_certified(certificates, able), *first, *others, *plain]
        ring.locked = [
            path
            for path in paths
            if self._read[path] is None
            and _is_private(path)
            and not any(blob in by_blob for blob in public[path])
        ]

    async def unlock(self, path: Path, ring: Ring) -> list[asyncssh.SSHKeyPair]:
        """The key with its certificates; nothing if its passphrase is not available.

        The first host that needs the key asks; the others wait for the same answer.
        """
        async with self._lock:
            if path not in self._unlocked:
                self._unlocked[path] = await self._unlock(path)
            key = self._unlocked[path]
        if key is None:
            return []
        able: dict[bytes, Maker] = {key.public_data: partial(_pair, key)}
        return [*_certified((*ring.certificates, _beside(path)), able), _pair(key)]

    async def _unlock(self, path: Path) -> asyncssh.SSHKey | None:
        said = await self._ask(str(path)) if self._ask else None
        if said is None:
            return None
        key = await asyncio.to_thread(_read, path, said.reveal())
        if key is None:
            raise SecretRefusedError(
                f"that is not the passphrase of {path}: run again", which=str(path)
            ) from None
        return key


async def _held(
    client: asyncssh.SSHAgentClient | None,
) -> tuple[list[asyncssh.SSHKeyPair], str]:
    """The agent's keys, or the reason why there are none."""
    if client is None:
        return [], ""
    try:
        async with asyncio.timeout(AGENT_SECONDS):
            held = list(await client.get_keys())
    except (OSError, ValueError, TimeoutError):
        return [], "the agent does not answer, see SSH_AUTH_SOCK"
    return held, "" if held else "the agent holds no key or is locked, see `ssh-add -l`"


def _certified(files: Iterable[Path], able: Mapping[bytes, Maker]) -> list[asyncssh.SSHKeyPair]:
    """A key pair of its own for each certificate whose key is available."""
    found: list[asyncssh.SSHKeyPair] = []
    for path in dict.fromkeys(files):
        try:
            certificate = asyncssh.read_certificate(path)
        except (OSError, asyncssh.KeyImportError):
            continue
        if (make := able.get(certificate.key.public_data)) is not None:
            pair = make()
            pair.set_certificate(certificate)
            found.append(pair)
    return found


def _pair(key: asyncssh.SSHKey) -> asyncssh.SSHKeyPair:
    return load_keypairs([key])[0]


def _lent(pair: asyncssh.SSHKeyPair) -> asyncssh.SSHKeyPair:
    """A copy of a key pair in the agent."""
    return copy(pair)


def usual() -> tuple[Path, ...]:
    """The key files that ssh tries by default."""
    return tuple(Path.home() / ".ssh" / name for name in DEFAULT_KEY_FILES)


def missing(paths: Sequence[Path]) -> None:
    """Check that key files named in the answers are readable.

    Raises:
        UnreachableError: one is missing or can't be read.
    """
    for path in paths:
        try:
            path.open("rb").close()
        except OSError as error:
            raise UnreachableError(
                f"the key file {sanitize(str(path))} can't be read ({error.strerror}): "
                f"correct `ssh.identity`"
            ) from None


def _public(path: Path, key: asyncssh.SSHKey | None) -> list[bytes]:
    """The public keys of a key file and of its certificate, as an agent lists them."""
    found = [key.public_data] if key is not None else []
    for place in (path, path.with_name(path.name + ".pub")):
        if not found:
            try:
                found.append(asyncssh.read_public_key(place).public_data)
            except (OSError, asyncssh.KeyImportError):
                continue
    with suppress(OSError, asyncssh.KeyImportError):
        found.append(asyncssh.read_certificate(_beside(path)).public_data)
    return found


def _beside(path: Path) -> Path:
    return path.with_name(path.name + "-cert.pub")


def _is_private(path: Path) -> bool:
    try:
        return b"PRIVATE KEY" in path.read_bytes()[:4096]
    except OSError:
        return False


def _read(path: Path, passphrase: str | None) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.read_private_key(path, passphrase)
    except (OSError, ValueError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        return None
