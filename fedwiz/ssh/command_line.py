"""What is sent for a command: the command itself, wrapped.

The wrapping never changes a word of the command: it finds root, a plain environment, a time
limit on the host and, for what must not be cut in half, a transient systemd unit.
"""

import re
import shlex
from typing import Literal, TypeAlias

from fedwiz.model.actions import Run

Root: TypeAlias = Literal["", "nopasswd", "ask"]
"""How a session becomes root: not at all (it is root, or must do as it is), or through sudo."""

KILL_GRACE_SECONDS = 10
"""Seconds between a time limit's TERM and its KILL."""

UNIT_KILL_GRACE_SECONDS = 120
"""The same for a unit: what must not be cut in half has a way back to go first."""

ATTACHED = UNIT_KILL_GRACE_SECONDS + 30
"""Seconds that following a unit may take longer than the unit."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

GREETING = "fedwiz-greets"
GREET = f"echo {GREETING}; id -u; LC_ALL=C.UTF-8 locale charmap 2>/dev/null || echo none"
"""Asked once per session: does a shell answer, is it root's, and is there a UTF-8 locale."""

NEEDLESS = "needless"
TRY_SUDO = f"if IFS= read -r line; then echo {NEEDLESS}; fi; id -u"
"""Run through sudo with the password as the only line: what sudo did not read is still there."""

BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")

_START = """\
while IFS= read -r line; do [ "$line" != "$0" ] || exec "$@"; done
exit 1
"""

UNIT_ABSENT = 97
"""Exit status of following a unit that the host knows nothing of."""

_UNIT = """\
unit=$1 seen=$2 body=$3 dir=/run/fedwiz
log=$dir/$unit.log rc=$dir/$unit.rc
umask 077
mkdir -p "$dir" && chmod 700 "$dir" || exit 1
if [ -z "$body" ]; then [ -e "$log" ] || exit 97
elif (set -C; : >"$log") 2>/dev/null; then
  rm -f "$rc"
  # Half a script must not run.
  printf '%s\\n' "$body" >"$dir/$unit.sh" ||
    { rm -f "$log" "$dir/$unit.sh"; echo "$dir: no space left on device" >&2; exit 1; }
  systemctl reset-failed "$unit.service" >/dev/null 2>&1
  systemd-run --quiet --unit="$unit" /bin/sh "$dir/$unit.sh" </dev/null ||
    { code=$?; rm -f "$log" "$dir/$unit.sh"; exit "$code"; }
fi
silent=0 turn=0
while :; do
  ended=
  if [ -e "$rc" ] || [ "$silent" -ge 2 ]; then ended=yes; fi
  size=$(wc -c <"$log")
  if [ "$size" -gt "$seen" ]; then
    tail -c "+$((seen + 1))" "$log" | head -c "$((size - seen))"
    seen=$size
  fi
  [ -z "$ended" ] || break
  turn=$((turn + 1))
  [ $((turn % 10)) -ne 0 ] || case $(systemctl show -p ActiveState "$unit.service" 2>/dev/null) in
    *=active | *=activating | *=deactivating | *=reloading) silent=0 ;;
    *) silent=$((silent + 1)) ;;
  esac
  sleep 0.1 2>/dev/null || sleep 1
done
if [ -s "$rc" ]; then exit "$(cat "$rc")"; fi
if [ -e "$rc" ]; then
  echo "$unit ended, and how can't be told: $dir: no space left on device" >&2
  exit 1
fi
echo "$unit was killed before it could end" >&2
exit 137
"""
"""Starts the unit unless its log is there already, then follows the log to the unit's end.

What the unit was to say comes from files, so it does not matter who started it, or how often
the connection was cut: the log is the lock too.  Without a body it only follows, and with
`seen` it leaves out as many bytes as were told already.
"""

_BODY = """\
exec >>{log} 2>&1 </dev/null
cd /
env -i PATH={path} LC_ALL={locale} HOME=/root timeout -k {grace} {timeout} {command}
echo $? >{rc}.new
mv -f {rc}.new {rc}
"""

_RETIRE = """\
cd /run/fedwiz && for end in rc sh log; do mv -f "$1.$end" "$1.$end.told"; done
"""
_UNIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")


def quoted(word: str) -> str:
    """A word that sh, bash, zsh and fish all read as it is.

    `shlex.quote` is not enough: inside single quotes fish takes a backslash for itself, to zsh
    `=name` is where that program is, and to older fish `%self` is its process.
    """
    return "".join(map(_quoted, _split(word))) or "''"


def _quoted(part: str) -> str:
    if part == "\\":
        return "\\\\"
    return f"'{part}'" if re.fullmatch(r"[=%][\w@%+=:,./-]*", part) else shlex.quote(part)


def _split(word: str) -> list[str]:
    return [part for part in re.split(r"(\\)", word) if part]


def command(*words: str) -> str:
    """Words as the one string that SSH carries."""
    return " ".join(quoted(word) for word in words)


def wire(
    run: Run, *, root: Root = "", marker: str = "", locale: str = "C", seen: int | None = None
) -> str:
    """The command as the host gets it.

    Args:
        run: what is to run; its `argv` is in the result word by word.
        root: how to become root, where the run asks for it.
        marker: for `ask`: the line that follows the password on standard input. sudo reads the
            password, or does not where the host has NOPASSWD; all up to the marker is eaten
            before the command starts, so it sees neither.
        locale: the value of LC_ALL.
        seen: of a unit: only follow it, from so many bytes of its output on.
    """
    words = _unit(run, locale, seen) if run.unit else run.argv
    limit = run.timeout + (ATTACHED if run.unit else 0)
    inner = (
        "/bin/sh",
        "-c",
        'PATH=$PATH:/usr/sbin:/sbin LC_ALL=$1; export PATH LC_ALL; shift; exec timeout "$@"',
        "fedwiz",
        locale,
        "-k",
        str(KILL_GRACE_SECONDS),
        str(limit),
        *words,
    )
    if not (run.sudo and root):
        return "exec " + command(*inner)
    if root == "nopasswd":
        return "exec " + command("env", "LC_ALL=C", "sudo", "-n", "--", *inner)
    return "exec " + ask_sudo("/bin/sh", "-c", _START, marker, *inner)


def ask_sudo(*words: str) -> str:
    """Words run by a sudo that takes the password as the first line of standard input."""
    return command("env", "LC_ALL=C", "sudo", "-S", "-k", "-p", "", "--", *words)


def _unit(run: Run, locale: str, seen: int | None) -> tuple[str, ...]:
    name = unit_name(run)
    if seen is not None or not run.argv:
        return ("/bin/sh", "-c", _UNIT, "fedwiz", name, str(seen or 0), "")
    place = f"/run/fedwiz/{name}"
    body = _BODY.format(
        log=f"{place}.log",
        rc=f"{place}.rc",
        path=PATH,
        locale=locale,
        grace=UNIT_KILL_GRACE_SECONDS,
        timeout=run.timeout,
        command=shlex.join(run.argv),
    )
    return ("/bin/sh", "-c", _UNIT, "fedwiz", name, "0", body)


def unit_name(run: Run) -> str:
    """The unit's name.

    Raises:
        ValueError: it is not one that systemd and a file name can both carry.
    """
    if not _UNIT_NAME.fullmatch(run.unit):
        raise ValueError(f"not a unit's name: {run.unit!r}")
    return run.unit


def retire(run: Run) -> Run:
    """Put away what a unit said, once its end has been seen here.

    Without it a later run that needs the same command would be told of today's.
    """
    return Run(("/bin/sh", "-c", _RETIRE, "fedwiz", unit_name(run)), timeout=20)
