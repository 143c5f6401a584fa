"""known_hosts: which host keys are known, and from which line of which file.

Parsed here rather than by the SSH library, which stops at a line that it can't parse, does not
report which line holds a key, and never writes one. Source of the format: sshd(8), "SSH_KNOWN_HOSTS
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

KeyStatus: TypeAlias = Literal["known", "unknown", "changed", "revoked"]

SSH_PORT = 22


def fingerprint(blob: str) -> str:
    """The key's fingerprint as printed by `ssh-keygen -l`: `SHA256:` and 43 characters.

    Args:
        blob: the key in base64, the second word of a `.pub` file.
    """
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def host_notation(host: str, port: int = SSH_PORT) -> str:
    """The host in known_hosts notation: `[host]:port` unless the port is 22."""
    return host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"


def hashed(name: str, salt: bytes = b"") -> str:
    """Hash a host name as `ssh` does: `|1|salt|HMAC-SHA1`; only a known name can be matched."""
    salt = salt or secrets.token_bytes(20)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file."""

    file: str
    """Empty: from no file; the key was accepted earlier in this process."""

    line: int
    marker: str
    """Empty, `@cert-authority` or `@revoked`."""

    names: str
    """Patterns separated by commas, or one hashed name."""

    kind: str
    """The key's type, e.g. `ssh-ed25519`."""

    blob: str
    """The key in base64."""

    def names_host(self, name: str) -> bool:
        """Whether this line applies to `name`, given in known_hosts notation."""
        if self.names.startswith("|"):
            try:
                salt = base64.b64decode(self.names.split("|")[2], validate=True)
            except (IndexError, ValueError):
                return False
            return bool(salt) and hashed(name, salt) == self.names
        matched = False
        for pattern in self.names.lower().split(","):
            if _matches(name, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    return False
                matched = True
        return matched


def _matches(name: str, pattern: str) -> bool:
    """Match only `*` and `?`: fnmatch treats `[` as a set, but here it is part of `[host]:port`."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


@dataclass(frozen=True, slots=True)
class HostEntries:
    """The entries for one host."""

    keys: tuple[Entry, ...] = ()
    authorities: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of the known keys, in the order of the files."""
        return tuple(dict.fromkeys(entry.kind for entry in self.keys))

    def key_status(self, blob: str) -> tuple[KeyStatus, Entry | None]:
        """The status of a key that the host presents, and the entry that decides it.

        A host for which only other keys are known has changed, even if the new key is of another
        type: the known types were requested first.
        """
        for entry in self.revoked:
            if entry.blob == blob:
                return "revoked", entry
        for entry in self.keys:
            if entry.blob == blob:
                return "known", entry
        return ("changed", self.keys[0]) if self.keys else ("unknown", None)


def parse(text: str, file: str) -> Iterator[Entry]:
    """Yield the lines that hold a key; comments and invalid lines are skipped."""
    for number, line in enumerate(text.split("\n"), 1):
        fields = [field for field in re.split("[ \t\r]+", line) if field]
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        names, kind, blob = fields[:3]
        if marker not in ("", "@cert-authority", "@revoked") or not _is_key(kind, blob):
            continue
        yield Entry(file, number, marker, names, kind, blob)


def _is_key(kind: str, blob: str) -> bool:
    """Whether the blob is a base64 key of that type, which is the first field in it."""
    try:
        data = base64.b64decode(blob, validate=True)
    except ValueError:
        return False
    size = int.from_bytes(data[:4])
    return data[4 : 4 + size] == kind.encode() and len(data) > 4 + size


def read(files: Iterable[Path]) -> tuple[Entry, ...]:
    """All entries of those files that exist and are readable."""
    entries: list[Entry] = []
    for path in files:
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        entries.extend(parse(text, str(path)))
    return tuple(entries)


def host_entries(entries: Iterable[Entry], host: str, port: int = SSH_PORT) -> HostEntries:
    """The entries for a host."""
    name = host_notation(host, port)
    matching = [entry for entry in entries if entry.names_host(name)]
    return HostEntries(
        tuple(entry for entry in matching if not entry.marker),
        tuple(entry for entry in matching if entry.marker == "@cert-authority"),
        tuple(entry for entry in matching if entry.marker == "@revoked"),
    )


def append_key(
    file: Path, host: str, kind: str, blob: str, *, port: int = SSH_PORT, hide: bool = False
) -> None:
    """Append a host's key, unless the file contains it by now.

    A new file is accessible to its owner alone, and a symbolic link is followed. A lock separates
    two runs, and the line is appended in a single write, so no reader sees half of it; if the disk
    is full, a partial line is removed. The file is never replaced by another: `ssh` appends to it
    without a lock, and its line would be lost.

    Raises:
        OSError: the file can't be written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        text = stream.read() or b""
        entries = host_entries(parse(text.decode(errors="replace"), str(file)), host, port)
        if entries.key_status(blob)[0] != "unknown":
            return
        name = host_notation(host, port)
        line = f"{hashed(name) if hide else name} {kind} {blob}\n".encode()
        _append(descriptor, (b"\n" if text and not text.endswith(b"\n") else b"") + line)


def _append(descriptor: int, data: bytes) -> None:
    """Append all of it, or nothing."""
    size = os.fstat(descriptor).st_size
    done = 0
    try:
        while done < len(data):
            done += os.write(descriptor, data[done:])
        os.fsync(descriptor)
    except OSError:
        # Unless another process has appended after it, whose line must stay.
        if os.fstat(descriptor).st_size == size + done:
            os.ftruncate(descriptor, size)
        raise


class KeyRefusedError(UnreachableError):
    """The host's key can't be trusted; retrying does not help."""


class UnknownKeyError(KeyRefusedError):
    """Neither a known_hosts file nor the answers contain this host's key."""

    def __init__(self, why: str, *, host: str, kind: str, blob: str) -> None:
        super().__init__(why)
        self.host = host
        """The name in the answers; for a jump host, as given in ProxyJump."""

        self.kind = kind
        self.blob = blob
        self.fingerprint = fingerprint(blob)


@dataclass(frozen=True, slots=True)
class Trust:
    """Which keys are trusted for one host."""

    name: str
    known: HostEntries
    bare: HostEntries = HostEntries()
    """The entries for the host without its port; a matching key is trusted, as in ssh."""

    pin: str = ""
    """A fingerprint from the answers; it overrides the files."""

    accept_new: bool = False
    plain: str = ""
    """Why only plain keys are trusted, and no certificates; empty: certificates are, too."""

    rsa_bits: int = 0
    """The minimum size of an RSA key."""

    @property
    def authorities(self) -> tuple[Entry, ...]:
        """The CAs whose certificates are trusted."""
        return () if self.plain else (*self.known.authorities, *self.bare.authorities)

    @property
    def revoked(self) -> tuple[Entry, ...]:
        """Revoked keys and CAs."""
        return (*self.known.revoked, *self.bare.revoked)

    def knows(self, blob: str) -> bool:
        """Whether the files contain this key."""
        return "known" in (self.known.key_status(blob)[0], self.bare.key_status(blob)[0])

    def refusal(self, kind: str, blob: str) -> KeyRefusedError | None:
        """Why a host with this key is not trusted; None: it is."""
        name, shown = self.name, fingerprint(blob)
        for it in self.revoked:
            if it.blob == blob:
                return KeyRefusedError(
                    f"{name} shows a host key that line {it.line} of {it.file} revokes "
                    f"({kind} {shown}): give the host a new key"
                )
        if kind == "ssh-rsa" and rsa_bits(blob) < self.rsa_bits:
            return KeyRefusedError(
                f"{name} shows an RSA key of {rsa_bits(blob)} bits, and {self.rsa_bits} is the "
                f"least (RequiredRSASize): give the host a new key"
            )
        if self.pin:
            return None if shown == self.pin else self._unpinned(kind, shown)
        status, entry = self.known.key_status(blob)
        if status == "unknown" and self.bare.key_status(blob)[0] == "known":
            return None
        if entry is None:
            return None if self.accept_new else self._unknown(kind, blob)
        if status == "known":
            return None
        if entry.file:
            source, do = f"line {entry.line} of {entry.file} has", "remove that line and "
        else:
            source, do = "a while ago it was", ""
        return KeyRefusedError(
            f"{name}'s host key has changed: it shows {kind} {shown}, {source} {entry.kind} "
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
        certificate = f", and its certificate is not valid, {self.plain}" if self.plain else ""
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
        UnreachableError: it can't be read, or is a KRL; ssh would then trust no host either.
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
    """The type as in the names of sshd's key files: `ssh-ed25519` -> `ed25519`."""
    return "ecdsa" if kind.startswith("ecdsa") else kind.removeprefix("ssh-")
