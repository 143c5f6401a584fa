"""What is done to a cluster, as data, and what carries it there.

An action is one value with two strings: `shown` is what people approve and read,
`wire` is what the host gets.  Both come from one function, so they can't differ in
anything but the secrets.
"""

import shlex
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

OnLine: TypeAlias = Callable[[str], None]
"""Called with each line of a command's output: decoded, cleaned, without its newline."""


class UnreachableError(Exception):
    """A host, or etcd, can't be reached or used; the message is in the user's words."""


class SecretRefusedError(UnreachableError):
    """A password or passphrase that is wrong; another one may do."""

    def __init__(self, why: str, *, which: str) -> None:
        super().__init__(why)
        self.which = which
        """`sudo`, or the path of a key."""


class LoginRefusedError(UnreachableError):
    """The host answers, and lets none of the operator's keys in."""


class Secret:
    """A value that is sent and never shown.

    Not a `str` on purpose: quoting or joining one by accident is a type error, not a leak.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The value itself; for the transport and for etcd's client only."""
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
    """The command's words.  Secrets have no place here: every user of the host can read
    the arguments of a process."""

    changes: bool = True
    """False for a question: safe to ask before the plan is approved."""

    sudo: bool = True
    """Needs root.  A session of root's runs it as it is."""

    stdin: tuple[Text, ...] = ()
    """Sent on standard input, joined; the plan shows it below the command."""

    upload: str = ""
    """Path of a local file whose bytes are sent on standard input instead of `stdin`."""

    timeout: int = 120
    """Seconds, kept by `timeout` on the host: a host does not stop a command because the
    channel that started it has gone."""

    unit: str = ""
    """Name of the transient systemd unit that the command runs as, for what must not be cut
    in half.  It outlives the connection; asking again for the same unit attaches to it."""

    reboots: bool = False
    """The host goes down; the action has ended when it is back with a new boot id."""

    fresh: int = 0
    """Seconds within which it is sent over a connection that is opened for it: it shows that the
    host can still be reached.  0: the session's own connection will do."""

    diff: str = ""
    """For a file: what changes in it, as a unified diff."""

    interrupts: bool = False
    """Running containers stop."""

    undo: str = ""
    """How a person takes it back: a command, or a sentence."""

    back: "Run | None" = None
    """What takes it back, as an action; it holds no secrets.  None: there is none."""

    @property
    def shown(self) -> str:
        """The command as people read it, and could type it."""
        return shlex.join(self.argv)

    @property
    def brief(self) -> str:
        """`shown` in one line: for a script its name, which is the next word, and its arguments."""
        if not self.script:
            return self.shown
        return shlex.join(("sh", *self.argv[self.argv.index(self.script) + 1 :]))

    @property
    def script(self) -> str:
        """The script among the words, if there is one."""
        return next((word for word in self.argv if "\n" in word), "")

    def input(self, *, reveal: bool = False) -> str:
        """What standard input gets; a secret is its name unless it is revealed."""
        return "".join(_text(part, reveal=reveal) for part in self.stdin)


@dataclass(frozen=True, slots=True)
class PutKey:
    """One key written into etcd, or deleted there, if it is still as the plan saw it."""

    key: str
    value: str | None
    """None: the key is deleted."""

    api: str
    """`v2` or `v3`."""

    previous: int | None = None
    """The revision that the plan saw (v3 `mod_revision`, v2 `modifiedIndex`); None: no such key."""

    was: str = ""
    """The value that the plan saw."""

    undo: str = ""
    back: Run | None = None
    """As in `Run`; done on the host that the key was written by way of."""

    @property
    def brief(self) -> str:
        """`shown`, which is one line."""
        return self.shown

    @property
    def shown(self) -> str:
        """The same thing as an `etcdctl` command."""
        if self.value is None:
            verb = "rm" if self.api == "v2" else "del"
            return f"ETCDCTL_API={self.api[1:]} etcdctl {verb} {shlex.quote(self.key)}"
        if self.api == "v2":
            return f"ETCDCTL_API=2 etcdctl set {shlex.quote(self.key)} {shlex.quote(self.value)}"
        return f"ETCDCTL_API=3 etcdctl put {shlex.quote(self.key)} {shlex.quote(self.value)}"


Action: TypeAlias = Run | PutKey


@dataclass(frozen=True, slots=True)
class Reply:
    """What a question was answered with; both texts are as the host sent them, not cleaned."""

    code: int
    """Exit status; 124 when the time limit stopped it."""

    out: str
    err: str = ""


class Channel(Protocol):
    """A command that stays on: it is told things, and answers, until it is let go or ends."""

    async def line(self) -> str | None:
        """The next line of its output, not cleaned; None: it has ended, or its connection has.

        A line that is too long to be one of fedwiz's own is cut.
        """

    async def send(self, data: bytes) -> None:
        """Write on its standard input.

        Raises:
            Unreachable: it has ended, or its connection has.
        """


class Session(Protocol):
    """An open connection to one host."""

    @property
    def name(self) -> str:
        """The host's name in the answers."""

    async def run(self, run: Run, on_line: OnLine) -> int:
        """Run a command, calling `on_line` for each line of its output as it comes.

        Returns:
            The exit status; 124 when the time limit stopped it.

        Raises:
            Unreachable: the connection went before the end was seen.
        """

    async def ask(self, run: Run) -> Reply:
        """Run a question and collect what it says.

        Raises:
            Unreachable: the connection went before the end was seen.
        """

    def hold(self, run: Run) -> AbstractAsyncContextManager[Channel]:
        """A command that stays on while the context does, however long; then its input ends.

        Its time limit does not count: it ends with its input, or by itself.

        Raises:
            Unreachable: it did not start, or the connection has gone.
        """

    def forward(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        """A loopback port that leads to `address`:`port` as this host sees it.

        Raises:
            Unreachable: this host may not forward, or the connection has gone.
        """


class Transport(Protocol):
    """The way to the hosts."""

    def connect(self, name: str) -> AbstractAsyncContextManager[Session]:
        """A session with the host of that name in the answers.

        Raises:
            Unreachable: no route, no listener, an unknown or changed host key, no way in.
        """


@dataclass(frozen=True, slots=True)
class Value:
    """A key of etcd's as it was read."""

    key: str
    text: str
    revision: int
    """v3 `mod_revision`, v2 `modifiedIndex`."""

    ttl: int | None = None
    """Seconds until it expires; None: it stays."""


class Store(Protocol):
    """etcd, through one of its two APIs.

    Each method raises `UnreachableError` when etcd can't be reached, does not answer in time, does
    not serve this API or refuses the credentials.
    """

    @property
    def api(self) -> str:
        """`v2` or `v3`."""

    async def get(self, key: str) -> Value | None:
        """The key's value, or None where there is no such key."""

    async def under(self, prefix: str) -> tuple[Value, ...]:
        """All keys below a prefix, sorted by key."""

    async def put(self, put: PutKey) -> bool:
        """Write or delete the key in one transaction; False when it is not as the plan saw it."""


OpenStore: TypeAlias = Callable[[Session, str], AbstractAsyncContextManager[Store]]
"""Opens etcd for an API (`v2` or `v3`) by way of a session's host."""
