"""Changes to a cluster as data, and the interfaces that carry them out.

An action has two renderings: `shown`, which people read and approve, and what is sent to the host.
Both are built by one function, so they differ in nothing but the secrets.
"""

import shlex
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

OnLine: TypeAlias = Callable[[str], None]
"""Called with each line of a command's output: decoded, sanitized, without its newline."""


class UnreachableError(Exception):
    """A host, or etcd, can't be reached or used; the message is written for the operator."""


class SecretRefusedError(UnreachableError):
    """A wrong password or passphrase; another one may work."""

    def __init__(self, why: str, *, which: str) -> None:
        super().__init__(why)
        self.which = which
        """`sudo`, or the path of a key."""


class LoginRefusedError(UnreachableError):
    """The host answers but accepts none of the operator's keys."""


class Secret:
    """A value that is sent but never shown.

    Deliberately not a `str`: quoting or joining one by accident is a type error, not a leak.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The value itself; only for the transport and the etcd client."""
        return self._value

    def __repr__(self) -> str:
        return f"<{self.name}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


Text: TypeAlias = str | Secret


def _text(part: Text, *, reveal: bool) -> str:
    if isinstance(part, Secret):
        return part.reveal() if reveal else repr(part)
    return part


@dataclass(frozen=True, slots=True)
class Run:
    """One command on one host."""

    argv: tuple[str, ...]
    """The command's words. They never hold secrets: every user of the host can read the arguments
    of a process."""

    changes: bool = True
    """False if it only reads: safe to run before the plan is approved."""

    sudo: bool = True
    """Needs root. A session that already is root runs it without sudo."""

    stdin: tuple[Text, ...] = ()
    """Sent on standard input, joined; the plan shows it below the command."""

    upload: str = ""
    """Path of a local file whose bytes are sent on standard input instead of `stdin`."""

    timeout: int = 120
    """Seconds, enforced by `timeout` on the host: a host does not stop a command just because its
    channel closed."""

    unit: str = ""
    """Name of the transient systemd unit that the command runs as; for commands that must not be
    interrupted. The unit outlives the connection; running the same unit again attaches to it."""

    reboots: bool = False
    """The host reboots; the action ends when the host is back with a new boot id."""

    fresh: int = 0
    """Send the command over a new connection that opens within so many seconds, which verifies that
    the host is still reachable. 0: use the session's own connection."""

    diff: str = ""
    """For a file: its changes, as a unified diff."""

    interrupts: bool = False
    """Running containers are stopped."""

    undo: str = ""
    """How the operator undoes it: a command, or a sentence."""

    back: "Run | None" = None
    """The action that undoes it; it holds no secrets. None: there is none."""

    @property
    def shown(self) -> str:
        """The command as people read it, and could type it."""
        return shlex.join(self.argv)

    @property
    def brief(self) -> str:
        """`shown` on one line; a script becomes its name, the word after it, and its arguments."""
        if not self.script:
            return self.shown
        return shlex.join(("sh", *self.argv[self.argv.index(self.script) + 1 :]))

    @property
    def script(self) -> str:
        """The script among the words, or empty."""
        return next((word for word in self.argv if "\n" in word), "")

    def input(self, *, reveal: bool = False) -> str:
        """What is sent on standard input; a secret is replaced by its name unless revealed."""
        return "".join(_text(part, reveal=reveal) for part in self.stdin)


@dataclass(frozen=True, slots=True)
class PutKey:
    """Write or delete one key in etcd, if it is still as it was when the plan was made."""

    key: str
    value: str | None
    """None: the key is deleted."""

    api: str
    """`v2` or `v3`."""

    previous: int | None = None
    """The key's revision when the plan was made (v3 `mod_revision`, v2 `modifiedIndex`); None: the
    key did not exist."""

    was: str = ""
    """The key's value when the plan was made."""

    undo: str = ""
    back: Run | None = None
    """As in `Run`; it runs on the host through which the key was written."""

    @property
    def brief(self) -> str:
        """`shown`, which is a single line."""
        return self.shown

    @property
    def shown(self) -> str:
        """The equivalent `etcdctl` command."""
        if self.value is None:
            verb = "rm" if self.api == "v2" else "del"
            return f"ETCDCTL_API={self.api[1:]} etcdctl {verb} {shlex.quote(self.key)}"
        if self.api == "v2":
            return f"ETCDCTL_API=2 etcdctl set {shlex.quote(self.key)} {shlex.quote(self.value)}"
        return f"ETCDCTL_API=3 etcdctl put {shlex.quote(self.key)} {shlex.quote(self.value)}"


Action: TypeAlias = Run | PutKey


@dataclass(frozen=True, slots=True)
class Reply:
    """A command's result; both texts are as the host sent them, not sanitized."""

    code: int
    """Exit status; 124 when the command timed out."""

    out: str
    err: str = ""


class Channel(Protocol):
    """A long-running command: it reads input and writes output until it is released or ends."""

    async def line(self) -> str | None:
        """The next line of output, not sanitized; None once the command or its connection ended.

        A line longer than any that fedwiz itself sends is truncated.
        """

    async def send(self, data: bytes) -> None:
        """Write to its standard input.

        Raises:
            UnreachableError: the command or its connection has ended.
        """


class Session(Protocol):
    """An open connection to one host."""

    @property
    def name(self) -> str:
        """The host's name in the answers."""

    async def run(self, run: Run, on_line: OnLine) -> int:
        """Run a command, calling `on_line` for each line of output as it arrives.

        Returns:
            The exit status; 124 when the command timed out.

        Raises:
            UnreachableError: the connection was lost before the command ended.
        """

    async def ask(self, run: Run) -> Reply:
        """Run a command and collect its output.

        Raises:
            UnreachableError: the connection was lost before the command ended.
        """

    def hold(self, run: Run) -> AbstractAsyncContextManager[Channel]:
        """Run a command for the duration of the context, then close its standard input.

        Its time limit does not apply: it ends when its input does, or by itself.

        Raises:
            UnreachableError: it did not start, or the connection is lost.
        """

    def forward(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        """Forward a loopback port to `address`:`port` as seen from this host.

        Raises:
            UnreachableError: this host does not allow forwarding, or the connection is lost.
        """


class Transport(Protocol):
    """Opens sessions with hosts."""

    def connect(self, name: str) -> AbstractAsyncContextManager[Session]:
        """Open a session with the host of that name in the answers.

        Raises:
            UnreachableError: no route, no listener, an unknown or changed host key, or a failed
                login.
        """


@dataclass(frozen=True, slots=True)
class Value:
    """A key of etcd, as read."""

    key: str
    text: str
    revision: int
    """v3 `mod_revision`, v2 `modifiedIndex`."""

    ttl: int | None = None
    """Seconds until it expires; None: it does not."""


class Store(Protocol):
    """etcd, through one of its two APIs.

    Each method raises `UnreachableError` when etcd can't be reached, times out, does not serve this
    API or refuses the credentials.
    """

    @property
    def api(self) -> str:
        """`v2` or `v3`."""

    async def get(self, key: str) -> Value | None:
        """The key's value, or None if the key does not exist."""

    async def under(self, prefix: str) -> tuple[Value, ...]:
        """All keys below a prefix, sorted by key."""

    async def put(self, put: PutKey) -> bool:
        """Write or delete the key in one transaction; False if it has changed since the plan."""


OpenStore: TypeAlias = Callable[[Session, str], AbstractAsyncContextManager[Store]]
"""Opens etcd with an API (`v2` or `v3`) through a session's host."""
