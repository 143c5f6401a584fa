"""Which algorithms to offer: ssh_config's where it names some, of those that the library has."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from asyncssh.encryption import get_default_encryption_algs, get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_default_mac_algs, get_mac_algs
from asyncssh.public_key import get_public_key_algs

from fedwiz.model.actions import UnreachableError
from fedwiz.ssh import known_hosts
from fedwiz.ssh.known_hosts import Trust
from fedwiz.ssh.route import in_config

QUICK_KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
"""The quick ones: a group exchange costs half a second, during which nothing else happens."""

HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Algorithms of host keys, and of authorities' signatures; in ssh's order."""

CERTIFICATE = "-cert-v01@openssh.com"
CERTIFICATES = tuple(f"{name}{CERTIFICATE}" for name in HOST_KEYS[:5])


class Offers(TypedDict):
    """As asyncssh takes them."""

    server_host_key_algs: list[str]
    kex_algs: list[str]
    encryption_algs: list[str]
    mac_algs: list[str]
    signature_algs: list[str]


def offers(said: Mapping[str, str], trust: Trust) -> Offers:
    """What to offer a host.

    Raises:
        Unreachable: ssh_config wants only what the library does not have.
    """
    signing = _words(get_public_key_algs())
    return Offers(
        server_host_key_algs=_host_keys(said, trust),
        kex_algs=_chosen(said, "kexalgorithms", QUICK_KEX, _words(get_kex_algs())),
        encryption_algs=_chosen(
            said, "ciphers", _words(get_default_encryption_algs()), _words(get_encryption_algs())
        ),
        mac_algs=_chosen(said, "macs", _words(get_default_mac_algs()), _words(get_mac_algs())),
        signature_algs=_chosen(said, "pubkeyacceptedalgorithms", HOST_KEYS, signing),
    )


def authorities(said: Mapping[str, str]) -> frozenset[str]:
    """The types of keys that may sign a host's certificate."""
    names = _chosen(said, "casignaturealgorithms", HOST_KEYS, _words(get_public_key_algs()))
    return frozenset(map(_kind, names))


def _host_keys(said: Mapping[str, str], trust: Trust) -> list[str]:
    """Host keys to ask for: those that are known first, or the host shows another.

    A pin is of a key, so where there is one no certificate will do.
    """
    able = (*CERTIFICATES, *_words(get_public_key_algs()))
    names = _chosen(said, "hostkeyalgorithms", (*CERTIFICATES, *HOST_KEYS), able)
    known = trust.known.kinds + trust.bare.kinds
    pinned = [it.kind for it in trust.known.keys if known_hosts.fingerprint(it.blob) == trust.pin]
    order = list(dict.fromkeys((*pinned, *known)))
    plain = [name for name in names if not name.endswith(CERTIFICATE)]
    plain.sort(key=lambda name: order.index(_kind(name)) if _kind(name) in order else len(order))
    certificates = [name for name in names if name.endswith(CERTIFICATE)]
    return [*certificates, *plain] if trust.authorities and not trust.pin else plain


def _chosen(
    said: Mapping[str, str], keyword: str, usual: Sequence[str], able: Sequence[str]
) -> list[str]:
    """ssh_config's list as ssh has worked it out, of what the library has; else the usual one."""
    names = said[keyword].split(",") if keyword in said else usual
    found = list(dict.fromkeys(name for name in names if name in able))
    if not found:
        raise UnreachableError(
            f"{in_config(keyword)} leaves nothing that is supported here: "
            f"add {' or '.join(usual[:2])}"
        )
    return found


def _kind(algorithm: str) -> str:
    """The type of key that an algorithm uses, as known_hosts names it."""
    return "ssh-rsa" if algorithm.startswith("rsa-") else algorithm


def _words(names: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(name.decode() for name in names)
