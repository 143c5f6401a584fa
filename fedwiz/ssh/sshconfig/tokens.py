"""What the `%` tokens and variables in ssh_config stand for."""

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

from fedwiz.ssh.sshconfig.line import ConfigValue, SshConfigError
from fedwiz.util.files import at_home


def local_user() -> str:
    """Who runs this."""
    return pwd.getpwuid(os.getuid()).pw_name


def standard(host: str, original: str, port: str, user: str, alias: str) -> dict[str, str]:
    """What the tokens of file names and commands stand for, but `%C` and `%j`."""
    local = os.uname().nodename
    return {
        "d": str(Path.home()),
        "h": host,
        "i": str(os.getuid()),
        "k": alias or host,
        "L": local.split(".")[0],
        "l": local,
        "n": original,
        "p": port,
        "r": user,
        "u": local_user(),
    }


def percents(text: str, tokens: Mapping[str, str], said: ConfigValue) -> str:
    """The text with its `%` tokens put in.

    Raises:
        BadConfig: a token that this option does not have.
    """

    def token(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in tokens:
            raise SshConfigError(
                f"{said.where}: %{found[1]} is not supported in {said.keyword}: write it out"
            )
        return tokens[found[1]]

    return re.sub(r"%(.?)", token, text)


def expanded(text: str, tokens: Mapping[str, str], said: ConfigValue) -> str:
    """A file's name with `~`, its tokens and `${VARIABLES}` put in.

    Raises:
        BadConfig: a token or a variable that there is not.
    """
    parts = re.split(r"(\$\{[^}]*\})", str(at_home(text)))
    return "".join(
        _variable(part[2:-1], said) if part.startswith("${") else percents(part, tokens, said)
        for part in parts
    )


def _variable(name: str, said: ConfigValue) -> str:
    if name not in os.environ:
        raise SshConfigError(
            f"{said.where}: the environment has no {name}: set it, or write it out"
        )
    return os.environ[name]
