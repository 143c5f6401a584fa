"""The first words with a host: does a shell answer, who are we, and does sudo let us."""

import asyncio

import asyncssh

from fedwiz.model.actions import Secret, SecretRefusedError, UnreachableError
from fedwiz.ssh.command_line import (
    GREET,
    GREETING,
    NEEDLESS,
    TRY_SUDO,
    Root,
    ask_sudo,
    command,
)
from fedwiz.ssh.session import Input, Privileges, carry
from fedwiz.util.sanitize import sanitize

OF_NO_PASSWORD = (
    "must have a tty",
    "sudoers",
    "not allowed to",
    "may not run sudo",
    "password is required",
    "not found",
    "parse error",
    "syntax error",
    "no new privileges",
    "setuid",
    "must be owned",
    "unable to",
)
"""In what sudo says when it is not the password that it refuses.

All else may mean that: its words differ from one sudo to the next, and one word too many tried on
the next hosts locks the account on all of them.
"""


class Sudo:
    """How to become root, and whether the password is right.

    One host tries the password before all others do: many wrong tries at once can lock an
    account that the hosts share.
    """

    def __init__(self, mode: Root, password: Secret | None, patience: float = 30) -> None:
        """Nothing is tried yet.

        Args:
            mode: how to become root.
            password: for `ask`.
            patience: seconds for its first word; sudo takes two to refuse a password.
        """
        self.mode = mode
        self.patience = patience
        self.password = password
        self._first = asyncio.Lock()
        self._good = False
        self._wrong = ""

    async def prove(self, name: str, user: str, conn: asyncssh.SSHClientConnection) -> None:
        """See that sudo works on a host.

        Raises:
            Unreachable: it does not, or the password was wrong on another host already.
        """
        if self.mode == "nopasswd" or self._good:
            await self._try(name, user, conn)
            return
        if self.password is None:
            raise UnreachableError(
                f"sudo on {name} wants {user}'s password and none was given: give it"
            )
        async with self._first:
            if self._wrong:
                raise SecretRefusedError(
                    f"sudo's password was not tried on {name}, for {self._wrong} refused it: "
                    f"give the right one",
                    which="sudo",
                )
            await self._try(name, user, conn)

    async def _try(self, name: str, user: str, conn: asyncssh.SSHClientConnection) -> None:
        script = ("/bin/sh", "-c", TRY_SUDO)
        if self.mode == "ask" and self.password is not None:
            line, given = ask_sudo(*script), f"{self.password.reveal()}\n".encode()
        else:
            line, given = command("env", "LC_ALL=C", "sudo", "-n", "--", *script), b""
        code, out, err = await _say(name, conn, line, given, self.patience, f"sudo for {user}")
        words = out.split()
        if code == 0 and words and words[-1] == "0":
            # Where sudo wants no password, nothing was learnt about it.
            self._good = self._good or (self.mode == "ask" and NEEDLESS not in words)
            return
        if given and code not in (0, 127) and not any(it in err for it in OF_NO_PASSWORD):
            self._wrong = name
            last = _last(err, code)
            raise SecretRefusedError(
                f"sudo refused the password on {name} ({last}): give the right one", which="sudo"
            )
        raise UnreachableError(_refusal(name, user, code, err))


def _refusal(name: str, user: str, code: int, err: str) -> str:
    if "must have a tty" in err:
        return (
            f"sudo on {name} wants a terminal: take `requiretty` out of its sudoers "
            f"(`Defaults:{user} !requiretty`)"
        )
    if "not in the sudoers" in err or "not allowed to" in err or "may not run sudo" in err:
        return (
            f"{user} may not use sudo on {name}: add the user to its `wheel` group, or connect "
            f"as root (`ssh.user`)"
        )
    if "password is required" in err:
        return f'sudo on {name} wants {user}\'s password: set `ssh.sudo` to "ask"'
    if code == 127 or "not found" in err:
        return f"{name} has no sudo: install it there, or connect as root (`ssh.user`)"
    return f"sudo on {name} says: {_last(err, code)}; see that `sudo true` works there for {user}"


def _last(err: str, code: int) -> str:
    return sanitize((err.strip() or f"exit {code}").splitlines()[-1])


async def handshake(
    name: str, user: str, conn: asyncssh.SSHClientConnection, sudo: Sudo, patience: float
) -> Privileges:
    """Greet a host and find out what this session may do.

    Args:
        name: the host's.
        user: who has logged in.
        conn: the connection to it.
        sudo: how to become root.
        patience: seconds for the shell's first answer.

    Raises:
        Unreachable: no shell answers, or sudo does not let us.
    """
    line = "exec " + command("/bin/sh", "-c", GREET)
    code, out, err = await _say(name, conn, line, b"", patience, f"the shell of {user}")
    words = out.split()
    if code or words[:1] != [GREETING]:
        said = sanitize((out.strip() or err.strip() or f"exit {code}").splitlines()[0])
        raise UnreachableError(
            f"{name} does not run commands for {user}, it says: {said}; see that `ssh {name} true` "
            f"prints nothing (login shell, forced command, talkative start-up files)"
        )
    locale = "C.UTF-8" if words[2:] == ["UTF-8"] else "C"
    root = sudo.mode if words[1] != "0" else ""
    if root:
        await sudo.prove(name, user, conn)
    return Privileges(root, sudo.password if root == "ask" else None, locale)


async def _say(
    name: str,
    conn: asyncssh.SSHClientConnection,
    line: str,
    given: bytes,
    patience: float,
    who: str,
) -> tuple[int, str, str]:
    out, err = bytearray(), bytearray()
    try:
        async with asyncio.timeout(patience):
            code = await carry(conn, line, Input(given), out.extend, err.extend)
    except TimeoutError:
        raise UnreachableError(
            f"{who} on {name} gave no answer within {patience:g} s: log in there and try it"
        ) from None
    except (OSError, asyncssh.Error) as error:
        said = sanitize(str(error)) or type(error).__name__
        raise UnreachableError(f"{name} let us in and runs nothing ({said}): see its log") from None
    if code is None:
        raise UnreachableError(f"{name} let us in and closed the connection: see its log")
    return code, out.decode(errors="replace"), err.decode(errors="replace")
