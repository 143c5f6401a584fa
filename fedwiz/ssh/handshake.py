"""Handshake after login: shell, user id, sudo."""

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
from fedwiz.ssh.session import Input, Privileges, run_command
from fedwiz.util.sanitize import sanitize

NOT_ABOUT_PASSWORD = (
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
"""Parts of sudo's messages that show that the password is not the problem.

Any other failure may mean a wrong password: the wording differs between sudo versions, and one try
too many on the next hosts would lock the account on all of them."""


class Sudo:
    """How to become root, and whether the password is right.

    One host tries the password before all others: many wrong attempts at once can lock an account
    that the hosts share.
    """

    def __init__(self, mode: Root, password: Secret | None, patience: float = 30) -> None:
        """Nothing is tried yet.

        Args:
            mode: how to become root.
            password: for `ask`.
            patience: timeout in seconds for sudo's reply; it takes two to refuse a password.
        """
        self.mode = mode
        self.patience = patience
        self.password = password
        self._first_try = asyncio.Lock()
        self._verified = False
        self._refused_by = ""

    async def verify(self, name: str, user: str, conn: asyncssh.SSHClientConnection) -> None:
        """Verify that sudo works on a host.

        Raises:
            UnreachableError: it does not, or another host already refused the password.
        """
        if self.mode == "nopasswd" or self._verified:
            await self._try(name, user, conn)
            return
        if self.password is None:
            raise UnreachableError(
                f"sudo on {name} wants {user}'s password and none was given: give it"
            )
        async with self._first_try:
            if self._refused_by:
                raise SecretRefusedError(
                    f"sudo's password was not tried on {name}, for {self._refused_by} refused it: "
                    f"give the right one",
                    which="sudo",
                )
            await self._try(name, user, conn)

    async def _try(self, name: str, user: str, conn: asyncssh.SSHClientConnection) -> None:
        script = ("/bin/sh", "-c", TRY_SUDO)
        if self.mode == "ask" and self.password is not None:
            line, stdin = ask_sudo(*script), f"{self.password.reveal()}\n".encode()
        else:
            line, stdin = command("env", "LC_ALL=C", "sudo", "-n", "--", *script), b""
        code, out, err = await _exchange(name, conn, line, stdin, self.patience, f"sudo for {user}")
        output = out.split()
        if code == 0 and output and output[-1] == "0":
            # A host with NOPASSWD says nothing about the password.
            self._verified = self._verified or (self.mode == "ask" and NEEDLESS not in output)
            return
        if stdin and code not in (0, 127) and not any(it in err for it in NOT_ABOUT_PASSWORD):
            self._refused_by = name
            reason = _last_line(err, code)
            raise SecretRefusedError(
                f"sudo refused the password on {name} ({reason}): give the right one", which="sudo"
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
    return (
        f"sudo on {name} says: {_last_line(err, code)}; see that `sudo true` works there for {user}"
    )


def _last_line(err: str, code: int) -> str:
    return sanitize((err.strip() or f"exit {code}").splitlines()[-1])


async def handshake(
    name: str, user: str, conn: asyncssh.SSHClientConnection, sudo: Sudo, patience: float
) -> Privileges:
    """Start a shell on a host and find out what this session may do.

    Args:
        name: the host's name.
        user: the user who has logged in.
        conn: the connection to the host.
        sudo: how to become root.
        patience: timeout in seconds for the shell's reply.

    Raises:
        UnreachableError: no shell answers, or sudo is not available.
    """
    line = "exec " + command("/bin/sh", "-c", GREET)
    code, out, err = await _exchange(name, conn, line, b"", patience, f"the shell of {user}")
    output = out.split()
    if code or output[:1] != [GREETING]:
        text = sanitize((out.strip() or err.strip() or f"exit {code}").splitlines()[0])
        raise UnreachableError(
            f"{name} does not run commands for {user}, it says: {text}; see that `ssh {name} true` "
            f"prints nothing (login shell, forced command, talkative start-up files)"
        )
    locale = "C.UTF-8" if output[2:] == ["UTF-8"] else "C"
    root = sudo.mode if output[1] != "0" else ""
    if root:
        await sudo.verify(name, user, conn)
    return Privileges(root, sudo.password if root == "ask" else None, locale)


async def _exchange(
    name: str,
    conn: asyncssh.SSHClientConnection,
    line: str,
    stdin: bytes,
    patience: float,
    subject: str,
) -> tuple[int, str, str]:
    out, err = bytearray(), bytearray()
    try:
        async with asyncio.timeout(patience):
            code = await run_command(conn, line, Input(stdin), out.extend, err.extend)
    except TimeoutError:
        raise UnreachableError(
            f"{subject} on {name} gave no answer within {patience:g} s: log in there and try it"
        ) from None
    except (OSError, asyncssh.Error) as error:
        reason = sanitize(str(error)) or type(error).__name__
        raise UnreachableError(
            f"{name} let us in and runs nothing ({reason}): see its log"
        ) from None
    if code is None:
        raise UnreachableError(f"{name} let us in and closed the connection: see its log")
    return code, out.decode(errors="replace"), err.decode(errors="replace")
