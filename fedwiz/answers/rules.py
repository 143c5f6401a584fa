"""Validation rules for single answers.

Each rule takes the text and returns it (normalised if it can be written in two ways), or raises
`ValueError` with what would be valid. Many answers end up as shell words, in files that systemd
reads or as parts of paths, so rules list what is allowed, never what is forbidden.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from urllib.parse import urlsplit

from fedwiz.model import addresses

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """Make a rule: the whole text must match the pattern."""
    compiled = re.compile(pattern)

    def rule(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(expected)
        return text

    return rule


def empty_or(rule: Callable[[str], str]) -> Callable[[str], str]:
    """Make a rule that also accepts the empty text."""
    return lambda text: rule(text) if text else text


def host_name(text: str) -> str:
    """A name as in RFC 1123, or an IPv4 address, which old clusters use as a name."""
    digits = text.rpartition(".")[2].isdigit()
    if not _HOST.fullmatch(text) or len(text) > 253 or (digits and not addresses.is_address(text)):
        raise ValueError(
            "a host name has letters, digits, `-` and `.`, such as fed-node1; "
            "none of its parts begins or ends with `-`"
        )
    return text


def host_address(text: str) -> str:
    """What ssh connects to: an IP address or a host name."""
    try:
        found = addresses.address(text)
    except ValueError:
        try:
            return host_name(text)
        except ValueError:
            raise ValueError("an IP address or a host name, such as 192.168.122.76") from None
    if found.is_multicast() or int(found) == 0 or str(found) == "255.255.255.255":
        raise ValueError("no host has this address; it is one such as 192.168.122.76")
    return str(found)


def interface(text: str) -> str:
    """A network interface's name, or its address."""
    named = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", text)
    dotted = re.fullmatch(r"[0-9.]+", text)
    if addresses.is_address(text) or (named and not dotted):
        return text
    raise ValueError("an interface's name of up to 15 characters, such as eth1, or its IP address")


def endpoint(text: str) -> str:
    """An etcd URL: scheme, host and port only."""
    expected = "http:// or https://, a host and a port, such as http://fed-master:2379"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError(expected) from None
    host = url.hostname or ""
    if url.username is not None or url.password is not None:
        raise ValueError(f"no user or password here: etcd.user names the user; {expected}")
    try:
        host_address(host)
    except ValueError:
        raise ValueError(expected) from None
    host = f"[{host}]" if ":" in host else host
    plain = f"{url.scheme}://{host}:{port or 2379}"
    if url.scheme not in ("http", "https"):
        raise ValueError(expected)
    if text.lower() != plain.lower() or text != text.strip():
        raise ValueError(f"{expected}; did you mean {plain}?")
    return plain


def endpoint_host(url: str) -> str:
    """The host of a validated endpoint."""
    return urlsplit(url).hostname or ""


def prefix(text: str) -> str:
    """The key prefix of flannel in etcd."""
    if not re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", text):
        raise ValueError("it begins with `/` and does not end with it: /coreos.com/network")
    if text.endswith("/config"):
        raise ValueError(
            f"flannel itself adds `/config`; did you mean {text.removesuffix('/config')}?"
        )
    return text


FORBIDDEN_FLAGS = {
    "etcd-endpoints": "etcd.endpoints says it",
    "etcd-prefix": "etcd.prefix says it",
    "etcd-cafile": "etcd.ca_file says it",
    "etcd-certfile": "etcd.cert_file says it",
    "etcd-keyfile": "etcd.key_file says it",
    "etcd-username": "etcd.user says it",
    "etcd-password": "a password has no place in a file; set FEDWIZ_ETCD_PASSWORD",
    "iface": "each host's `interface` says it",
    "public-ip": "the same on all nodes, they would share one subnet; use each host's `interface`",
    "subnet-file": "docker reads it at its usual place",
    "kube-subnet-mgr": "this network is kept in etcd",
    "version": "flanneld would say its version and end",
    "help": "flanneld would explain itself and end",
    "h": "flanneld would explain itself and end",
}
"""flanneld's flags that are not allowed in `flannel.options`, each with the reason."""


def flannel_option(text: str) -> str:
    """One flag of flanneld, with its value after `=`."""
    found = re.fullmatch(r"--?([a-z][a-z0-9-]*)(=[A-Za-z0-9_.:/,@+-]*)?", text)
    if not found:
        raise ValueError(
            "one flag a word, its value after `=`, no quotes, such as -ip-masq or -v=5"
        )
    if found[1] in FORBIDDEN_FLAGS:
        raise ValueError(f"leave it out: {FORBIDDEN_FLAGS[found[1]]}")
    return text


def sha256(text: str) -> str:
    """A SHA-256 in hexadecimal, converted to lower case."""
    return matching(r"[0-9a-f]{64}", "64 hexadecimal digits, as sha256sum prints them")(
        text.lower()
    )


SECRETS = frozenset({"password", "passphrase", "psk", "secret", "token"})


def clip(value: object) -> str:
    """A value of the file as a refusal quotes it: on one line, printable and short.

    What looks like a user and password in a URL is left out.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:
        return "a very large number"
    if isinstance(value, str):
        before, slashes, rest = value.partition("//")
        _, at, after = rest.rpartition("@")
        plain = f"{before}//...@{after}" if slashes and at else value
        return repr(plain if len(plain) <= 60 else plain[:57] + "...")
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a table" if isinstance(value, Mapping) else str(value)


def nearest(text: str, valid: Iterable[str]) -> str:
    """What would be valid, the closest match first."""
    names = list(valid)
    close = get_close_matches(text.lower(), names, 1, 0.6)
    return f"did you mean `{close[0]}`?" if close else f"it is one of {', '.join(names)}"


def unknown(key: str, known: Iterable[str], fault: str = "unknown key", elsewhere: str = "") -> str:
    """Why a key is refused, and what may have been meant. Its value is not repeated.

    Args:
        key: the key that was given.
        known: the valid keys in its place.
        fault: what is wrong.
        elsewhere: a key of another section, suggested if none of the known ones is close.
    """
    if any(word in SECRETS for word in re.split(r"[^a-z]+", key.lower())):
        return (
            f"{fault}; remove it: a secret has no place in a file.  fedwiz asks for what it needs, "
            "or reads FEDWIZ_SUDO_PASSWORD and FEDWIZ_ETCD_PASSWORD"
        )
    names = list(known)
    hint = nearest(key, names) if names else "remove it"
    if elsewhere and not hint.startswith("did you mean"):
        hint = f"did you mean `{elsewhere}`?"
    return f"{fault}; {hint}"


cluster = matching(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}",
    "up to 63 letters, digits, `-`, `_` and `.`, such as fedora-lab",
)
user = matching(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}", "a user's name, such as root")
label = matching(
    r"[A-Za-z0-9]([A-Za-z0-9_./=-]{0,252}[A-Za-z0-9])?",
    "a Kubernetes label, such as fed-node1-label or name=fed-node1",
)
host_key = matching(
    r"SHA256:[A-Za-z0-9+/]{43}", "`SHA256:` and 43 characters, as `ssh-keygen -lf` prints it"
)
local_path = matching(r"[^\x00-\x1f\x7f]+", "a path on this machine, such as ~/.ssh/id_ed25519")
host_path = matching(
    r"(/[A-Za-z0-9_.@+,:=-]+)+", "an absolute path on the hosts, such as /etc/etcd/ca.pem"
)
image = matching(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,254}", "a container image, such as fedora:latest")
