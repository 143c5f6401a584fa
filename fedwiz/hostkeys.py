"""known_hosts: whose key is known, and by which line of which file.

Read here rather than by the SSH library, which stops at a line it can't parse, does not say
which line holds a key, and never writes one.  Source of the format: sshd(8), "SSH_KNOWN_HOSTS
FILE FORMAT".
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeAlias

from fedwiz.actions import Unreachable

Standing: TypeAlias = Literal["known", "unknown", "changed", "revoked"]

SSH_PORT = 22


def fingerprint(blob: str) -> str:
    """The key's name as `ssh-keygen -l` says it: `SHA256:` and 43 characters.

    Args:
        blob: the key in base64, the second word of a `.pub` file.
    """
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def written(host: str, port: int = SSH_PORT) -> str:
    """The host as known_hosts writes it: `[host]:port` unless the port is 22."""
    return host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"


def hashed(name: str, salt: bytes = b"") -> str:
    """A name that only who knows it finds again: `|1|salt|HMAC-SHA1`, as `ssh` hashes."""
    salt = salt or secrets.token_bytes(20)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file."""

    file: str
    line: int
    marker: str
    """Empty, `@cert-authority` or `@revoked`."""

    names: str
    """Patterns between commas, or one hashed name."""

    kind: str
    """The key's type, e.g. `ssh-ed25519`."""

    blob: str
    """The key in base64."""

    def names_host(self, name: str) -> bool:
        """Whether this line is about `name`, written as in the file."""
        if self.names.startswith("|1|"):
            try:
                salt = base64.b64decode(self.names.split("|")[2], validate=True)
            except (IndexError, ValueError):
                return False
            return bool(salt) and hmac.compare_digest(
                hashed(name, salt).encode(), self.names.encode()
            )
        found = False
        for pattern in self.names.lower().split(","):
            if _matches(name, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    return False
                found = True
        return found


def _matches(name: str, pattern: str) -> bool:
    """Match `*` and `?` only: to fnmatch `[` begins a set, here it is part of `[host]:port`."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


@dataclass(frozen=True, slots=True)
class Known:
    """What the files say about one host."""

    keys: tuple[Entry, ...] = ()
    authorities: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of the known keys, in the order of the files."""
        return tuple(dict.fromkeys(entry.kind for entry in self.keys))

    def standing(self, blob: str) -> tuple[Standing, Entry | None]:
        """What the host's key is, and the line that says so.

        A host of which only other keys are known has changed, also where the new key is of
        another type: it was asked for the types that are known first.
        """
        for entry in self.revoked:
            if entry.blob == blob:
                return "revoked", entry
        for entry in self.keys:
            if entry.blob == blob:
                return "known", entry
        return ("changed", self.keys[0]) if self.keys else ("unknown", None)


def parse(text: str, file: str) -> Iterator[Entry]:
    """The lines that hold a key; comments, and lines that hold none, are passed over."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        names, kind, blob = words[:3]
        if marker not in ("", "@cert-authority", "@revoked") or not _is_key(blob):
            continue
        yield Entry(file, number, marker, names, kind, blob)


def _is_key(blob: str) -> bool:
    try:
        return bool(base64.b64decode(blob, validate=True))
    except ValueError:  # also of a text that is not ASCII
        return False


def read(files: Iterable[Path]) -> tuple[Entry, ...]:
    """All entries of the files that there are and that may be read."""
    entries: list[Entry] = []
    for path in files:
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        entries.extend(parse(text, str(path)))
    return tuple(entries)


def known(entries: Iterable[Entry], host: str, port: int = SSH_PORT) -> Known:
    """What the entries say about a host."""
    name = written(host, port)
    about = [entry for entry in entries if entry.names_host(name)]
    return Known(
        tuple(entry for entry in about if not entry.marker),
        tuple(entry for entry in about if entry.marker == "@cert-authority"),
        tuple(entry for entry in about if entry.marker == "@revoked"),
    )


def remember(
    file: Path, host: str, kind: str, blob: str, *, port: int = SSH_PORT, hide: bool = False
) -> None:
    """Append a host's key, unless the file has it by now.

    The file is made for its owner alone.  A lock keeps two runs apart, and the line goes out in
    one write at the end of the file, so no reader sees half of it.

    Raises:
        OSError: the file can't be written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        text = opened.read() or b""
        there = known(parse(text.decode(errors="replace"), str(file)), host, port)
        if there.standing(blob)[0] != "unknown":
            return
        name = written(host, port)
        line = f"{hashed(name) if hide else name} {kind} {blob}\n"
        opened.write((b"\n" if text and not text.endswith(b"\n") else b"") + line.encode())


class KeyRefused(Unreachable):
    """The host's key is not one to go on with; trying again changes nothing."""


class UnknownKey(KeyRefused):
    """No known_hosts file, and no answer, says what this host's key is."""

    def __init__(self, why: str, *, host: str, kind: str, blob: str) -> None:
        super().__init__(why)
        self.host = host
        """Name in the answers; for a bastion, as ProxyJump has it."""

        self.kind = kind
        self.blob = blob
        self.fingerprint = fingerprint(blob)


@dataclass(frozen=True, slots=True)
class Trust:
    """Which keys are good for one host."""

    name: str
    known: Known
    bare: Known = Known()
    """What the files say about the host without its port; good for a key that fits, as in ssh."""

    pin: str = ""
    """A fingerprint from the answers; it outweighs the files."""

    accept_new: bool = False

    def knows(self, blob: str) -> bool:
        """Whether the files have this key."""
        return "known" in (self.known.standing(blob)[0], self.bare.standing(blob)[0])

    def refusal(self, kind: str, blob: str) -> KeyRefused | None:
        """Why a host that shows this key is not the one that was meant; None: it is."""
        name, shown = self.name, fingerprint(blob)
        if self.pin:
            return None if shown == self.pin else self._unpinned(kind, shown)
        standing, entry = self.known.standing(blob)
        if standing == "unknown" and self.bare.standing(blob)[0] in ("known", "revoked"):
            standing, entry = self.bare.standing(blob)
        if entry is None:
            return None if self.accept_new else self._unknown(kind, blob)
        if standing == "known":
            return None
        if standing == "revoked":
            return KeyRefused(
                f"{name} shows a host key that line {entry.line} of {entry.file} revokes "
                f"({kind} {shown}): give the host a new key"
            )
        return KeyRefused(
            f"{name}'s host key has changed: it shows {kind} {shown}, line {entry.line} of "
            f"{entry.file} has {entry.kind} {fingerprint(entry.blob)}; someone may be in between. "
            f"If the host was reinstalled, remove that line and compare the new key on its console"
        )

    def _unpinned(self, kind: str, shown: str) -> KeyRefused:
        return KeyRefused(
            f"{self.name} shows host key {kind} {shown}, the answers pin {self.pin}: compare "
            f"with `ssh-keygen -lf /etc/ssh/ssh_host_{_short(kind)}_key.pub` on its console, and "
            f"correct `host_key` only if they are the same"
        )

    def _unknown(self, kind: str, blob: str) -> UnknownKey:
        why = (
            f"{self.name}'s host key is not known yet ({kind} {fingerprint(blob)}): compare it "
            f"with `ssh-keygen -lf /etc/ssh/ssh_host_{_short(kind)}_key.pub` on its console, then "
            f"accept it or write it into the answers as `host_key`"
        )
        return UnknownKey(why, host=self.name, kind=kind, blob=blob)


def _short(kind: str) -> str:
    """The type as sshd's key files are called: `ssh-ed25519` -> `ed25519`."""
    return "ecdsa" if kind.startswith("ecdsa") else kind.removeprefix("ssh-")
