"""ssh_config, as OpenSSH itself evaluates it for a host (`ssh -G`).

So every keyword, Match criterion, token and Include works as in the operator's own version of ssh,
and an invalid line is reported in ssh's own words.

ssh reads a generated file (`-F`), which includes the user's file and then the system's: the first
value wins, as it does without `-F`. The generated file is needed for two reasons:

- ssh finds `~/.ssh/config` through the passwd database, but fedwiz uses $HOME; and with `-F`, ssh
  reads only that one file.
- `ssh -G` always prints a user, and does not say whether a file set it. The last line of the
  generated file sets the default user of the answers, so it applies only if no file sets one.

ssh treats included files as the user's own. For `~/.ssh/config` that makes no difference. It would
resolve a relative Include of the system's file in ~/.ssh, so ssh gets a copy of such a file, with
absolute paths.
"""

import asyncio
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from fedwiz.util.sanitize import sanitize

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
ANSWER_SECONDS = 10
"""Timeout of one `ssh -G`: it runs the commands of `Match exec` and may query DNS."""

SIDE_BY_SIDE = 4
"""Processes in parallel."""

MAX_REASON_CHARS = 300
MAX_STDERR_BYTES = 1 << 16
NO_SSH = (
    "there is no ssh on PATH, so {files} counts for nothing and hosts are reached as the answers "
    "say: install openssh-clients"
)

Options = Mapping[str, tuple[str, ...]]
"""Values by lower-case keyword; options that have ssh's own default are left out."""


class SshConfigError(ValueError):
    """ssh refuses its configuration for this host, or an option in it is not supported."""


@dataclass(frozen=True, slots=True)
class HostConfig:
    """The configuration of one host."""

    host: str
    """HostName, or the name that was looked up."""

    user: str
    port: int
    options: Options = field(default_factory=dict)

    def get(self, keyword: str, default: str = "") -> str:
        """The first value of an option; `default` if it is not set."""
        return next(iter(self.options.get(keyword, ())), default)


def local_user() -> str:
    """The user who runs fedwiz."""
    return pwd.getpwuid(os.getuid()).pw_name


class SshConfig:
    """Evaluates some configuration files for hosts, once for each host."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        run: bool = True,
        tell: Callable[[str], None] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Read nothing yet.

        Args:
            files: the first file that sets an option wins; a file may be missing.
            run: whether to run the commands of `Match exec`; otherwise they count as failed.
            tell: called once if there are files but no ssh to evaluate them.
            seconds: timeout of one `ssh -G`.
        """
        self._files = tuple(files)
        self._run = run
        self._tell = tell
        self._seconds = seconds
        self._known: dict[object, HostConfig] = {}
        self._locks: dict[object, asyncio.Lock] = {}
        self._width = asyncio.Semaphore(SIDE_BY_SIDE)

    async def about(
        self, host: str, *, user: str = "", port: int = 0, default_user: str = ""
    ) -> HostConfig:
        """Like `ask`, but in a thread, and cached for each host.

        Raises:
            SshConfigError: as `ask`.
        """
        key = (host, user, port, default_user, *map(_stamp, self._files))
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._known:
                async with self._width:
                    self._known[key] = await asyncio.to_thread(
                        self._asked, self._ssh(), host, user, port, default_user
                    )
            return self._known[key]

    def ask(
        self, host: str, *, user: str = "", port: int = 0, default_user: str = ""
    ) -> HostConfig:
        """Evaluate the configuration for a host.

        Args:
            host: as typed after `ssh`.
            user: as for `ssh -l`; empty: the files decide.
            port: as for `ssh -p`; 0: the files decide.
            default_user: used if no file sets one; empty: the user who runs fedwiz.

        Raises:
            SshConfigError: ssh refuses a line, or the timeout expired.
        """
        return self._asked(self._ssh(), host, user, port, default_user)

    def _there(self) -> list[Path]:
        return [path for path in self._files if _stamp(path)]

    def _ssh(self) -> str:
        """The path of ssh; empty: there is none, or no file to evaluate."""
        files = self._there()
        ssh = shutil.which("ssh") if files else ""
        if ssh is None and self._tell is not None:
            self._tell(NO_SSH.format(files=" and ".join(map(str, files))))
            self._tell = None
        return ssh or ""

    def _asked(self, ssh: str, host: str, user: str, port: int, default_user: str) -> HostConfig:
        if host.startswith("-"):
            raise SshConfigError(f"{host} is no host: a name does not begin with `-`")
        if not ssh:
            return HostConfig(host.lower(), user or default_user or local_user(), port or 22)
        words = [*(("-l", user) if user else ()), *(("-p", str(port)) if port else ())]
        files, copies = self._there(), dict[str, str]()
        try:
            usual = usual_options(ssh)
            with tempfile.TemporaryDirectory(prefix="fedwiz-") as folder:
                config = Path(folder, "config")
                copies = _written(config, files, default_user)
                words += ["--", host]
                said = _answer(ssh, config, words, run=self._run, seconds=self._seconds)
        except _RefusalError as why:
            raise SshConfigError(_reason(str(why), files, copies)) from None
        except OSError as error:
            raise SshConfigError(
                f"ssh can't be asked about its configuration ({error}): see that file"
            ) from None
        options = {
            keyword: values
            for keyword, values in said.items()
            if keyword == "port" or values != usual.get(keyword)
        }
        return host_config(host, options, user or default_user)


def host_config(host: str, options: Options, user: str = "") -> HostConfig:
    """Combine the options of a host.

    Raises:
        SshConfigError: the port is not valid.
    """
    said = HostConfig(host.lower(), user, 22, options)
    port = said.get("port", "22")
    if not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise SshConfigError(f"{port} is not a valid port: correct it")
    name = said.get("hostname", host).lower()
    return HostConfig(name, said.get("user") or user or local_user(), int(port), options)


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Parse the output of `ssh -G`: one keyword and value per line."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        keyword, _, value = line.partition(" ")
        if keyword and value:
            found[keyword.lower()] = (*found.get(keyword.lower(), ()), value)
    return found


@lru_cache(maxsize=4)
def usual_options(ssh: str) -> Options:
    """The defaults of that ssh, without the host and its user."""
    said = _answer(ssh, Path("/dev/null"), ["--", "localhost"], run=False)
    return {key: it for key, it in said.items() if key not in ("host", "hostname", "user")}


class _RefusalError(Exception):
    """ssh refused; the message is its own."""


def _answer(
    ssh: str, config: Path, words: Sequence[str], *, run: bool, seconds: float = ANSWER_SECONDS
) -> Options:
    """Run `ssh -G`.

    Commands of `Match exec` get no terminal, so that they can't draw over the wizard.

    Raises:
        OSError: ssh can't be run.
        SshConfigError: the timeout expired.
        _RefusalError: ssh refuses its configuration.
    """
    # ssh runs the commands of `Match exec` with this shell, and `false` fails whatever it gets.
    shell = {} if run else {"SHELL": shutil.which("false") or "/bin/false"}
    # No pipe: a process that a command of `Match exec` leaves behind would keep it open.
    with tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [ssh, "-G", "-T", "-F", str(config), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            env={**os.environ, **shell},
            start_new_session=True,
        )
        with process:
            try:
                out, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise SshConfigError(
                    f"`ssh -G {words[-1]}` did not end within {seconds:g} s: see which "
                    f"command of Match exec it waits for, or whether DNS answers"
                ) from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            err.seek(0)
            raise _RefusalError(err.read(MAX_STDERR_BYTES).decode(errors="replace"))
    return parse(out.decode(errors="surrogateescape"))


def _reason(text: str, files: Sequence[Path], copies: Mapping[str, str]) -> str:
    """Why ssh refuses, in its own words: its message about a line, otherwise all its messages.

    Errors of `Match exec` commands come before that message, and may name a line, too.
    """
    for copy, path in copies.items():
        text = text.replace(copy, path)
    if loop := re.search(r"jumphost loop via (\S+)", text):
        host = sanitize(loop[1])[:MAX_REASON_CHARS]
        return f"ProxyJump leads back to {host}: set `ProxyJump none` for it in ~/.ssh/config"
    lines = [line for it in text.split("\n") if (line := sanitize(it).strip())]
    lines = [line for line in lines if ": terminating, " not in line]
    named = [at for at, line in enumerate(lines) if re.search(r" line [0-9]+: ", line)]
    own = [at for at in named if re.split(":? line ", lines[at])[0] in map(str, files)]
    if at := [*own[:1], *named[-1:]]:
        # An unknown Match criterion is named in a line of its own, before the location.
        lines = lines[at[0] - (at[0] > 0 and lines[at[0] - 1].startswith("Unsupp")) : at[0] + 1]
    why = "; ".join(reversed(lines[-2:])).rstrip(".")[:MAX_REASON_CHARS]
    if "Bad owner or permissions" in why:
        remedy = "`chmod 600` that file, and see that it is yours"
    elif "Can't open" in why:
        remedy = "make that file yours"
    else:
        remedy = "correct it"
    return f"ssh can't use its configuration ({why or 'it does not say why'}): {remedy}"


def _written(config: Path, files: Sequence[Path], default_user: str) -> dict[str, str]:
    """Write the generated file; returns the original file of each copy."""
    lines, copies = [], dict[str, str]()
    for path in files:
        if path == SYSTEM_CONFIG:
            text = path.read_text(errors="surrogateescape")
            if (whole := whole_includes(text, path.parent)) != text:
                copy = config.with_name("system")
                copy.write_text(whole, errors="surrogateescape")
                copies[str(copy)] = str(path)
                path = copy
        pattern = glob.escape(str(path.absolute()).replace("\\", "\\\\"))
        quoted = pattern.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'Include "{quoted}"')
    if default_user:
        lines.append(f'User "{default_user}"')
    config.write_text("\n".join([*lines, ""]), errors="surrogateescape")
    return copies


def whole_includes(text: str, folder: Path) -> str:
    """The text with the relative paths of Include made absolute."""

    def anchored(found: re.Match[str]) -> str:
        word = found[0]
        return word if word.strip('"').startswith(("/", "~", "#")) else whole(word)

    def whole(word: str) -> str:
        return f'"{folder}/{word[1:]}' if word.startswith('"') else f"{folder}/{word}"

    def line(found: re.Match[str]) -> str:
        return found[1] + re.sub(r'"[^"]*"?|#.*|[^\s"]+', anchored, found[2])

    return re.sub(r'(?im)^([ \t]*"?include"?[ \t=]+)(.*)$', line, text)


def _stamp(path: Path) -> object:
    """A value that differs once the file is changed; None: there is no such file."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
