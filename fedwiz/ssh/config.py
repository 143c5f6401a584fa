"""ssh_config: OpenSSH itself says what its files make of a host (`ssh -G`).

So every keyword, Match criterion, token and Include works as in the operator's own version of ssh,
and a line that ssh refuses is told in its words.

ssh gets a file of our own (`-F`), which includes the user's file and then the system's: the first
value counts, as it does without `-F`.  That file is needed for two reasons:

- ssh finds `~/.ssh/config` by the passwd database, all of fedwiz by $HOME; and with `-F` it reads
  that one file and no other.
- `ssh -G` always prints a user and does not say whether a file named it.  The last line of our
  file holds the user that the answers fall back on, so it counts only where no file names one.

ssh treats an included file as the user's own.  For `~/.ssh/config` that changes nothing.  A
relative Include in the system's file would be looked for in ~/.ssh, so ssh gets a copy of such a
file, in which Include names whole paths.
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
"""Seconds for ssh to answer: it runs the commands of `Match exec`, and may ask DNS."""

SIDE_BY_SIDE = 4
"""Questions at once."""

MAX_REASON_CHARS = 300
MAX_STDERR_BYTES = 1 << 16
NO_SSH = (
    "there is no ssh on PATH, so {files} counts for nothing and hosts are reached as the answers "
    "say: install openssh-clients"
)

Options = Mapping[str, tuple[str, ...]]
"""Values by keyword in lower case; what has ssh's own default is missing."""


class SshConfigError(ValueError):
    """ssh can't use its files for this host, or they ask for what is not supported."""


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What is said about one host."""

    host: str
    """HostName, or what was asked for."""

    user: str
    port: int
    options: Options = field(default_factory=dict)

    def get(self, keyword: str, default: str = "") -> str:
        """The first value; the default where nobody says anything else."""
        return next(iter(self.options.get(keyword, ())), default)


def local_user() -> str:
    """Who runs this."""
    return pwd.getpwuid(os.getuid()).pw_name


class SshConfig:
    """What some files say about hosts; each host is asked about once."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        run: bool = True,
        tell: Callable[[str], None] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Nothing is read yet.

        Args:
            files: of these the first to say something counts; one may be missing.
            run: whether commands of `Match exec` are run; else they count as failed.
            tell: is told once where there are files, but no ssh to ask about them.
            seconds: how long ssh may take.
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
        """What `ask` says, without keeping others waiting, and once for each host.

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
        """Ask ssh about a host.

        Args:
            host: as one would type it after `ssh`.
            user: as with `ssh -l`; empty: the files may say.
            port: as with `ssh -p`; 0: the files may say.
            default_user: who it is where nobody says so; empty: whoever runs this.

        Raises:
            SshConfigError: ssh refuses a line, or does not answer in time.
        """
        return self._asked(self._ssh(), host, user, port, default_user)

    def _there(self) -> list[Path]:
        return [path for path in self._files if _stamp(path)]

    def _ssh(self) -> str:
        """Which ssh to ask; empty: none, or there is nothing to ask about."""
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
    """What options come to for a host.

    Raises:
        SshConfigError: the port is none.
    """
    said = HostConfig(host.lower(), user, 22, options)
    port = said.get("port", "22")
    if not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise SshConfigError(f"{port} is not a valid port: correct it")
    name = said.get("hostname", host).lower()
    return HostConfig(name, said.get("user") or user or local_user(), int(port), options)


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """The options that `ssh -G` prints: a keyword and a value in a line."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        keyword, _, value = line.partition(" ")
        if keyword and value:
            found[keyword.lower()] = (*found.get(keyword.lower(), ()), value)
    return found


@lru_cache(maxsize=4)
def usual_options(ssh: str) -> Options:
    """What that ssh does where no file says anything; the host and its user are left out."""
    said = _answer(ssh, Path("/dev/null"), ["--", "localhost"], run=False)
    return {key: it for key, it in said.items() if key not in ("host", "hostname", "user")}


class _RefusalError(Exception):
    """ssh said no; with its words."""


def _answer(
    ssh: str, config: Path, words: Sequence[str], *, run: bool, seconds: float = ANSWER_SECONDS
) -> Options:
    """Options by `ssh -G`.

    A command of `Match exec` gets no terminal, so that it can't draw on a screen of ours.

    Raises:
        OSError: ssh can't be run.
        SshConfigError: ssh takes too long.
        _RefusalError: ssh says why not.
    """
    # ssh runs the commands of `Match exec` by this shell, and false ends badly whatever it is told.
    shell = {} if run else {"SHELL": shutil.which("false") or "/bin/false"}
    # No pipe: what a command of `Match exec` leaves running would keep it open.
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
    """Why ssh refuses, in its words: what it says about a line, else all it says.

    What a command of `Match exec` complains of stands before that, and may name a line, too.
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
        # What kind of Match it does not know stands in a line of its own, before the place.
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
    """Write what ssh is to read; returns which copy stands for which file."""
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
    """The lines of a system's file, whose Include looks for relative names in a folder."""

    def anchored(found: re.Match[str]) -> str:
        word = found[0]
        return word if word.strip('"').startswith(("/", "~", "#")) else whole(word)

    def whole(word: str) -> str:
        return f'"{folder}/{word[1:]}' if word.startswith('"') else f"{folder}/{word}"

    def line(found: re.Match[str]) -> str:
        return found[1] + re.sub(r'"[^"]*"?|#.*|[^\s"]+', anchored, found[2])

    return re.sub(r'(?im)^([ \t]*"?include"?[ \t=]+)(.*)$', line, text)


def _stamp(path: Path) -> object:
    """What changes where a file is changed."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
