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
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeAlias

from fedwiz.model.actions import UnreachableError

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
    """Empty: it is in none, but was accepted a while ago."""

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
        if self.names.startswith("|"):
            try:
                salt = base64.b64decode(self.names.split("|")[2], validate=True)
            except (IndexError, ValueError):
                return False
            return bool(salt) and hashed(name, salt) == self.names
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
class HostEntries:
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
    for number, line in enumerate(text.split("\n"), 1):
        words = [word for word in re.split("[ \t\r]+", line) if word]
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        names, kind, blob = words[:3]
        if marker not in ("", "@cert-authority", "@revoked") or not _is_key(kind, blob):
            continue
        yield Entry(file, number, marker, names, kind, blob)


def _is_key(kind: str, blob: str) -> bool:
    """Whether it is base64 of a key of that type, whose name is the first thing in it."""
    try:
        data = base64.b64decode(blob, validate=True)
    except ValueError:
        return False
    size = int.from_bytes(data[:4])
    return data[4 : 4 + size] == kind.encode() and len(data) > 4 + size


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


def known(entries: Iterable[Entry], host: str, port: int = SSH_PORT) -> HostEntries:
    """What the entries say about a host."""
    name = written(host, port)
    about = [entry for entry in entries if entry.names_host(name)]
    return HostEntries(
        tuple(entry for entry in about if not entry.marker),
        tuple(entry for entry in about if entry.marker == "@cert-authority"),
        tuple(entry for entry in about if entry.marker == "@revoked"),
    )


def remember(
    file: Path, host: str, kind: str, blob: str, *, port: int = SSH_PORT, hide: bool = False
) -> None:
    """Append a host's key, unless the file has it by now.

    The file is made for its owner alone, and a link is followed.  A lock keeps two runs apart, and
    the line goes out in one write at the end of the file, so no reader sees half of it; where the
    disk is full, what came of it is taken back.  The file is never replaced by another: `ssh`
    appends to it without a lock, and its line would be lost.

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
        line = f"{hashed(name) if hide else name} {kind} {blob}\n".encode()
        _append(handle, (b"\n" if text and not text.endswith(b"\n") else b"") + line)


def _append(handle: int, data: bytes) -> None:
    """Write all of it, or nothing."""
    size = os.fstat(handle).st_size
    done = 0
    try:
        while done < len(data):
            done += os.write(handle, data[done:])
        os.fsync(handle)
    except OSError:
        # Unless somebody else has written behind it, whose line must stay.
        if os.fstat(handle).st_size == size + done:
            os.ftruncate(handle, size)
        raise


class KeyRefusedError(UnreachableError):
    """The host's key is not one to go on with; trying again changes nothing."""


class UnknownKeyError(KeyRefusedError):
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
    known: HostEntries
    bare: HostEntries = HostEntries()
    """What the files say about the host without its port; good for a key that fits, as in ssh."""

    pin: str = ""
    """A fingerprint from the answers; it outweighs the files."""

    accept_new: bool = False
    plain: str = ""
    """Why only plain keys are good, and no certificate; empty: certificates are, too."""

    rsa_bits: int = 0
    """What an RSA key must have."""

    @property
    def authorities(self) -> tuple[Entry, ...]:
        """Whose certificates are good."""
        return () if self.plain else (*self.known.authorities, *self.bare.authorities)

    @property
    def revoked(self) -> tuple[Entry, ...]:
        """Whose are not, and neither are keys."""
        return (*self.known.revoked, *self.bare.revoked)

    def knows(self, blob: str) -> bool:
        """Whether the files have this key."""
        return "known" in (self.known.standing(blob)[0], self.bare.standing(blob)[0])

    def refusal(self, kind: str, blob: str) -> KeyRefusedError | None:
        """Why a host that shows this key is not the one that was meant; None: it is."""
        name, shown = self.name, fingerprint(blob)
        for bad in self.revoked:
            if bad.blob == blob:
                return KeyRefusedError(
                    f"{name} shows a host key that line {bad.line} of {bad.file} revokes "
                    f"({kind} {shown}): give the host a new key"
                )
        if kind == "ssh-rsa" and rsa_bits(blob) < self.rsa_bits:
            return KeyRefusedError(
                f"{name} shows an RSA key of {rsa_bits(blob)} bits, and {self.rsa_bits} is the "
                f"least (RequiredRSASize): give the host a new key"
            )
        if self.pin:
            return None if shown == self.pin else self._unpinned(kind, shown)
        standing, entry = self.known.standing(blob)
        if standing == "unknown" and self.bare.standing(blob)[0] == "known":
            return None
        if entry is None:
            return None if self.accept_new else self._unknown(kind, blob)
        if standing == "known":
            return None
        if entry.file:
            where, do = f"line {entry.line} of {entry.file} has", "remove that line and "
        else:
            where, do = "a while ago it was", ""
        return KeyRefusedError(
            f"{name}'s host key has changed: it shows {kind} {shown}, {where} {entry.kind} "
            f"{fingerprint(entry.blob)}; someone may be in between. "
            f"If the host was reinstalled, {do}compare the new key on its console"
        )

    def _unpinned(self, kind: str, shown: str) -> KeyRefusedError:
        return KeyRefusedError(
            f"{self.name} shows host key {kind} {shown}, the answers pin {self.pin}: compare "
            f"with `ssh-keygen -lf /etc/ssh/ssh_host_{_short(kind)}_key.pub` on its console, and "
            f"correct `host_key` only if they are the same"
        )

    def _unknown(self, kind: str, blob: str) -> UnknownKeyError:
        certificate = f", and its certificate is no good, {self.plain}" if self.plain else ""
        why = (
            f"{self.name}'s host key is not known yet ({kind} {fingerprint(blob)}{certificate}): "
            f"compare it "
            f"with `ssh-keygen -lf /etc/ssh/ssh_host_{_short(kind)}_key.pub` on its console, then "
            f"accept it or write it into the answers as `host_key`"
        )
        return UnknownKeyError(why, host=self.name, kind=kind, blob=blob)


def revoked(file: Path) -> tuple[Entry, ...]:
    """The keys of RevokedHostKeys: lines with a type and a key in base64.

    Raises:
        Unreachable: it can't be read, or is a KRL; ssh would then trust no host either.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UnreachableError(
            f"RevokedHostKeys {file} can't be read ({error.strerror}): correct ssh_config"
        ) from None
    if data.startswith(b"SSHKRL"):
        raise UnreachableError(
            f"RevokedHostKeys {file} is a KRL, which is not supported: write the revoked keys "
            f"into it as lines, or into known_hosts after `@revoked *`"
        )
    lines = (f"@revoked * {line}" for line in data.decode(errors="replace").split("\n"))
    return tuple(parse("\n".join(lines), str(file)))


def rsa_bits(blob: str) -> int:
    """The length of an RSA key's modulus.

    Source: RFC 4253, 6.6: string "ssh-rsa", mpint e, mpint n.
    """
    data, parts = base64.b64decode(blob), list[bytes]()
    while data:
        size = int.from_bytes(data[:4])
        parts.append(data[4 : 4 + size])
        data = data[4 + size :]
    return int.from_bytes(parts[-1]).bit_length()


def _short(kind: str) -> str:
    """The type as sshd's key files are called: `ssh-ed25519` -> `ed25519`."""
    return "ecdsa" if kind.startswith("ecdsa") else kind.removeprefix("ssh-")
