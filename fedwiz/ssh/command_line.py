"""Builds the command line that is sent to a host: the command itself, wrapped.

The wrapper never changes a word of the command. It provides root, a plain environment, a time limit
enforced by the host and, for commands that must not be interrupted, a transient systemd unit.
"""

import re
import shlex
from typing import Literal, TypeAlias

from fedwiz.model.actions import Run

Root: TypeAlias = Literal["", "nopasswd", "ask"]
"""How a session becomes root: not at all (it is root, or runs without), or through sudo."""

KILL_GRACE_SECONDS = 10
"""Seconds between the TERM and the KILL of a command that timed out."""

UNIT_KILL_GRACE_SECONDS = 120
"""The same for a unit, which must have time to revert its changes first."""

ATTACHED = UNIT_KILL_GRACE_SECONDS + 30
"""Seconds that following a unit may take beyond the unit's own limit."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

GREETING = "fedwiz-greets"
GREET = f"echo {GREETING}; id -u; LC_ALL=C.UTF-8 locale charmap 2>/dev/null || echo none"
"""Sent once per session: does a shell answer, is it root, and is there a UTF-8 locale."""

NEEDLESS = "needless"
TRY_SUDO = f"if IFS= read -r line; then echo {NEEDLESS}; fi; id -u"
"""Run through sudo with the password as the only line; the line is still there if sudo did not read
it, as with NOPASSWD."""

BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")

_START = """\
while IFS= read -r line; do [ "$line" != "$0" ] || exec "$@"; done
exit 1
"""

UNIT_ABSENT = 97
"""Exit status of following a unit that the host does not know."""

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
"""Starts the unit unless its log exists, then follows the log until the unit ends.

All output comes from files, so it does not matter who started the unit, or how often the connection
was lost: the log also serves as the lock. Without a body it only follows, and it skips the first
`seen` bytes, which were delivered already."""

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
    """Quote a word so that sh, bash, zsh and fish all read it literally.

    `shlex.quote` is not enough: fish treats a backslash inside single quotes as an escape, zsh
    expands `=name` to the path of that program, and older fish expands `%self` to its process id.
    """
    return "".join(map(_quoted, _split(word))) or "''"


def _quoted(part: str) -> str:
    if part == "\\":
        return "\\\\"
    return f"'{part}'" if re.fullmatch(r"[=%][\w@%+=:,./-]*", part) else shlex.quote(part)


def _split(word: str) -> list[str]:
    return [part for part in re.split(r"(\\)", word) if part]


def command(*words: str) -> str:
    """Join words into the single string that SSH carries."""
    return " ".join(quoted(word) for word in words)


def wire(
    run: Run, *, root: Root = "", marker: str = "", locale: str = "C", seen: int | None = None
) -> str:
    """The command line as sent to the host.

    Args:
        run: the command; its `argv` appears in the result word by word.
        root: how to become root, if the run needs it.
        marker: for `ask`: the line that follows the password on standard input. sudo reads the
            password, or leaves it unread if the host has NOPASSWD; everything up to the marker
            is discarded before the command starts, so it sees neither.
        locale: the value of LC_ALL.
        seen: for a unit: only follow it, from this byte of its output on.
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
    """Run words through a sudo that reads the password from the first line of standard input."""
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
    """The validated name of the unit.

    Raises:
        ValueError: systemd or a file name could not carry it.
    """
    if not _UNIT_NAME.fullmatch(run.unit):
        raise ValueError(f"not a unit's name: {run.unit!r}")
    return run.unit


def retire(run: Run) -> Run:
    """Put a unit's output aside once its end has been seen.

    Otherwise a later run of the same command would receive today's output.
    """
    return Run(("/bin/sh", "-c", _RETIRE, "fedwiz", unit_name(run)), timeout=20)
