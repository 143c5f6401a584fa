"""The files, read for one host in one pass or two."""

import glob
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedwiz.ssh.sshconfig.line import (
    ALIASES,
    SEVERAL,
    ConfigValue,
    SshConfigError,
    checked_value,
    parse,
)
from fedwiz.ssh.sshconfig.patterns import fits, in_list
from fedwiz.ssh.sshconfig.tokens import local_user, percents, standard
from fedwiz.util.files import at_home

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
MAX_INCLUDE_DEPTH = 16
"""Files that may include each other."""

MAX_PATH_CHARS = 4096
"""Letters of a path that may be one: Linux has no longer ones."""

MATCH_EXEC_SECONDS = 10
"""Seconds for a command of `Match exec`."""


@dataclass(frozen=True, slots=True)
class Config:
    """What is said about one host."""

    host: str
    """HostName, or what was asked for; in lower case."""

    said: Mapping[str, tuple[ConfigValue, ...]]
    """By keyword in lower case; more than one value only where they add up."""

    names: tuple[str, ...]
    """Every `Host` that is a name and no pattern, in the order of the files."""

    unfollowed: tuple[ConfigValue, ...]
    """The `Match exec` that nobody was to run; they count as not matching."""

    def first(self, keyword: str) -> ConfigValue | None:
        """The value that is right, with its place."""
        return next(iter(self.said.get(keyword, ())), None)

    def get(self, keyword: str, default: str = "") -> str:
        """The first word of the value that is right."""
        said = self.first(keyword)
        return said.words[0] if said else default


def look(
    files: Sequence[Path], host: str, *, user: str = "", port: int = 0, run: bool = True
) -> Config:
    """What the files say about a host.

    Args:
        files: of these the first to say something is right; those that are not there are empty.
        host: as one would type it after `ssh`.
        user: as with `ssh -l`; empty: the files may say.
        port: as with `ssh -p`; 0: the files may say.
        run: whether commands of `Match exec` are run.

    Raises:
        BadConfig: a line can't be used.
        OSError: a file can't be read.
    """
    said: dict[str, list[ConfigValue]] = {}
    for keyword, value in (("user", user), ("port", str(port) if port else "")):
        if value:
            said[keyword] = [ConfigValue(keyword, (value,), "", 0)]
    first = _Pass(host, host, said, run=run)
    first.read_all(files)
    named = first.named(host)
    ways = said.get("proxyjump") or said.get("proxycommand") or []
    proxied = bool(ways) and ways[0].words[0].lower() != "none"
    if (canonical := said.get("canonicalizehostname")) and canonical[0].words[0] != "no":
        _see_canonical(canonical[0], named, proxied)
        first.wants_final = True
    if first.wants_final:
        # The name is settled by now; a HostName that the second pass comes to is not taken.
        said["hostname"] = [ConfigValue("HostName", (named.replace("%", "%%"),), "", 0)]
        last = _Pass(named, host, said, run=run, final=True)
        last.read_all(files)
    return Config(
        named,
        {keyword: tuple(values) for keyword, values in said.items()},
        tuple(dict.fromkeys(first.names)),
        tuple(first.unfollowed),
    )


def _see_canonical(said: ConfigValue, host: str, proxied: bool) -> None:
    """See that the name may stay: an address does, and one that only a bastion looks up."""
    if re.fullmatch(r"[0-9.]+|.*:.*", host) or (proxied and said.words[0] != "always"):
        return
    raise SshConfigError(
        f"{said.where}: CanonicalizeHostname is not supported: write the full name or the "
        f"address of {host} into the answers as `address`, and `CanonicalizeHostname no` for it"
    )


@dataclass(slots=True)
class _Pass:
    """One reading of all files; a second one has `Match final` in it."""

    host: str
    original: str
    said: dict[str, list[ConfigValue]]
    run: bool
    final: bool = False
    wants_final: bool = False
    names: list[str] = field(default_factory=list)
    unfollowed: list[ConfigValue] = field(default_factory=list)
    ignored: str = ""

    def named(self, host: str) -> str:
        """The host's name by HostName as far as it is known."""
        said = self.said.get("hostname")
        return (percents(said[0].words[0], {"h": host}, said[0]) if said else host).lower()

    def read_all(self, files: Sequence[Path]) -> None:
        for path in files:
            if path.is_file():
                system = path == SYSTEM_CONFIG
                checked = path == Path.home() / ".ssh/config"
                self.read(path, True, True, 0, system=system, checked=checked)

    def read(
        self, path: Path, active: bool, may: bool, depth: int, *, system: bool, checked: bool
    ) -> None:
        """Read one file.

        Args:
            path: the file.
            active: whether its first lines are about the host.
            may: whether any line may be; not in a file that another host's block includes.
            depth: of `Include`.
            system: whether it is the system's, or included by that.
            checked: whether it must be nobody else's to write.
        """
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            if checked and (info.st_uid not in (0, os.getuid()) or info.st_mode & 0o022):
                raise SshConfigError(
                    f"{path}: others than its owner may write it, so ssh does not read it: "
                    f"`chmod 600 {path}`, and see that it is yours"
                )
            text = file.read().decode(errors="surrogateescape")
        for number, line in enumerate(text.split("\n"), 1):
            said = parse(line, str(path), number, self.ignored)
            if said is None:
                continue
            match said.keyword.lower():
                case "host":
                    active = self.is_about(said) and may
                case "match":
                    active = self.matches(said, may) and may
                case "include":
                    for inner in included(said, system):
                        if depth >= MAX_INCLUDE_DEPTH:
                            raise SshConfigError(f"{said.where}: too many files include each other")
                        self.read(inner, active, active, depth + 1, system=system, checked=checked)
                case "ignoreunknown" if active:
                    self.ignored = self.ignored or said.words[0]
                case _ if active:
                    self.take(said)
                case _:
                    checked_value(said)

    def take(self, said: ConfigValue) -> None:
        """Keep a value, unless another came before it."""
        keyword = said.keyword.lower()
        keyword, said = ALIASES.get(keyword, keyword), checked_value(said)
        other = {"proxyjump": "proxycommand", "proxycommand": "proxyjump"}.get(keyword, "")
        if other in self.said and self.said_or(other, "").lower() != (
            "none" if other == "proxyjump" else ""
        ):
            return  # whichever of the two comes first is right
        kept = self.said.setdefault(keyword, [])
        if not kept or (keyword in SEVERAL and all(it.words != said.words for it in kept)):
            kept.append(said)

    def is_about(self, said: ConfigValue) -> bool:
        """Whether a `Host` line is about the host."""
        yes = False
        self.names += [name for name in said.words if not set(name) & set("*?!")]
        for pattern in said.words:
            if fits(self.host, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    return False
                yes = True
        return yes

    def matches(self, said: ConfigValue, may: bool) -> bool:
        """Whether all that a `Match` line asks for is so."""
        text = said.words[0]
        words = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^\s="]+)', text)]
        result, asked = True, 0
        while words and not words[0].startswith("#"):
            criterion = words.pop(0)
            negated, kind = criterion.startswith("!"), criterion.removeprefix("!").lower()
            if kind == "all":
                if asked > 1 or (words and not words[0].startswith("#")):
                    raise SshConfigError(f"{said.where}: `all` goes with no other words of Match")
                return result and not negated
            asked += 1
            if kind in ("final", "canonical"):
                self.wants_final = self.wants_final or kind == "final"
                result = result and self.final is not negated
                continue
            if not words or words[0].startswith("#"):
                raise SshConfigError(f"{said.where}: Match {criterion} has no value: give it one")
            value = words.pop(0)
            if kind == "exec":
                result = result and may and self.executes(value, said) is not negated
            else:
                result = (self.criterion(kind, value, said) is not negated) and result
        if not asked:
            raise SshConfigError(f"{said.where}: Match asks for nothing: write `Match all`")
        return result

    def criterion(self, kind: str, value: str, said: ConfigValue) -> bool:
        """Whether a value of `Match` is the host's, the user's, ..."""
        user = self.said.get("user")
        match kind:
            case "host":
                return in_list(self._so_far().lower(), value.lower())
            case "originalhost":
                return in_list(self.original.lower(), value.lower())
            case "user":
                return in_list(user[0].words[0] if user else local_user(), value)
            case "localuser":
                return in_list(local_user(), value)
            case "tagged":
                tag = self.said.get("tag")
                return in_list(tag[0].words[0] if tag else "", value)
        raise SshConfigError(
            f"{said.where}: Match {kind} is not supported: say it with `host`, `originalhost`, "
            f"`user`, `localuser`, `tagged` or `exec`"
        )

    def _so_far(self) -> str:
        said = self.said.get("hostname")
        return percents(said[0].words[0], {"h": self.host}, said[0]) if said else self.host

    def executes(self, command: str, said: ConfigValue) -> bool:
        """Whether a command of `Match exec` ends well."""
        if not self.run:
            self.unfollowed.append(said)
            return False
        tokens = standard(
            self._so_far(),
            self.original,
            self.said_or("port", "22"),
            self.said_or("user", local_user()),
            self.said_or("hostkeyalias", self._so_far()),
        )
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            done = subprocess.run(
                [shell, "-c", percents(command, tokens, said)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=MATCH_EXEC_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SshConfigError(
                f"{said.where}: the command of Match exec did not end within "
                f"{MATCH_EXEC_SECONDS} s: run it by hand"
            ) from None
        return done.returncode == 0

    def said_or(self, keyword: str, default: str) -> str:
        return self.said[keyword][0].words[0] if keyword in self.said else default


def included(said: ConfigValue, system: bool) -> Iterator[Path]:
    """The files that an `Include` names, in their order."""
    for word in said.words:
        if len(word) > MAX_PATH_CHARS:
            continue
        base = SYSTEM_CONFIG.parent if system else Path.home() / ".ssh"
        if word.startswith("~") and system:
            raise SshConfigError(f"{said.where}: the system's configuration can't include {word}")
        name = str(at_home(word) if word.startswith("~") else base / word)
        for found in sorted(glob.glob(name)):  # noqa: PTH207 - a pattern that begins with /
            if Path(found).is_file():
                yield Path(found)
