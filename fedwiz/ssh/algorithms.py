"""The algorithms to offer: those of ssh_config, or the defaults, that asyncssh supports."""

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
"""Fast key exchanges: a group exchange blocks everything else for half a second."""

HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Algorithms of host keys, and of certificate signatures, in ssh's order."""

CERTIFICATE = "-cert-v01@openssh.com"
CERTIFICATES = tuple(f"{name}{CERTIFICATE}" for name in HOST_KEYS[:5])


class Offers(TypedDict):
    """The options of `asyncssh.connect`."""

    server_host_key_algs: list[str]
    kex_algs: list[str]
    encryption_algs: list[str]
    mac_algs: list[str]
    signature_algs: list[str]


def offers(configured: Mapping[str, str], trust: Trust) -> Offers:
    """The algorithms to offer a host.

    Raises:
        UnreachableError: ssh_config allows only algorithms that asyncssh does not support.
    """
    signing = _words(get_public_key_algs())
    return Offers(
        server_host_key_algs=_host_keys(configured, trust),
        kex_algs=_chosen(configured, "kexalgorithms", QUICK_KEX, _words(get_kex_algs())),
        encryption_algs=_chosen(
            configured,
            "ciphers",
            _words(get_default_encryption_algs()),
            _words(get_encryption_algs()),
        ),
        mac_algs=_chosen(
            configured, "macs", _words(get_default_mac_algs()), _words(get_mac_algs())
        ),
        signature_algs=_chosen(configured, "pubkeyacceptedalgorithms", HOST_KEYS, signing),
    )


def authorities(configured: Mapping[str, str]) -> frozenset[str]:
    """The key types that may sign a host certificate."""
    names = _chosen(configured, "casignaturealgorithms", HOST_KEYS, _words(get_public_key_algs()))
    return frozenset(map(_kind, names))


def _host_keys(configured: Mapping[str, str], trust: Trust) -> list[str]:
    """Host key algorithms to ask for: known ones first, otherwise the host might show another key.

    A pin names a key, so with a pin no certificate is acceptable.
    """
    supported = (*CERTIFICATES, *_words(get_public_key_algs()))
    names = _chosen(configured, "hostkeyalgorithms", (*CERTIFICATES, *HOST_KEYS), supported)
    known = trust.known.kinds + trust.bare.kinds
    pinned = [it.kind for it in trust.known.keys if known_hosts.fingerprint(it.blob) == trust.pin]
    order = list(dict.fromkeys((*pinned, *known)))
    plain = [name for name in names if not name.endswith(CERTIFICATE)]
    plain.sort(key=lambda name: order.index(_kind(name)) if _kind(name) in order else len(order))
    certificates = [name for name in names if name.endswith(CERTIFICATE)]
    return [*certificates, *plain] if trust.authorities and not trust.pin else plain


def _chosen(
    configured: Mapping[str, str], keyword: str, defaults: Sequence[str], supported: Sequence[str]
) -> list[str]:
    """The list of ssh_config as ssh resolved it, or the default; only what asyncssh supports."""
    names = configured[keyword].split(",") if keyword in configured else defaults
    found = list(dict.fromkeys(name for name in names if name in supported))
    if not found:
        raise UnreachableError(
            f"{in_config(keyword)} leaves nothing that is supported here: "
            f"add {' or '.join(defaults[:2])}"
        )
    return found


def _kind(algorithm: str) -> str:
    """The key type of an algorithm, as in known_hosts."""
    return "ssh-rsa" if algorithm.startswith("rsa-") else algorithm


def _words(names: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(name.decode() for name in names)
