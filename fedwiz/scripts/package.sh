# Run a dnf command once nobody else works with packages; while waiting, report who does.
# Usage: package.sh [COMMAND...]   (dnf and its arguments; none: only report who does)
set -u
named() { # PID: print it and its command, if it runs
  case $1 in "" | *[!0-9]*) return 1 ;; esac
  [ -d "/proc/$1" ] && echo "$1 $(tr '\0\n' '  ' <"/proc/$1/cmdline" | head -c 200)"
}
holder() { # print `PID command` of who holds a dnf or rpm lock; 1: nobody
  for file in /run/dnf/*.pid /var/cache/dnf/*.pid /var/lib/dnf/*.pid /run/dnf.pid; do # dnf 4
    [ -f "$file" ] && named "$(head -c 20 "$file")" && return
  done
  for file in /var/lib/dnf/system-repo.lock /run/dnf/rpmtransaction.lock "$(rpm -E %_dbpath)/.rpm.lock"; do
    inode=$(stat -c %i "$file" 2>/dev/null) || continue # dnf 5 and rpm: kernel locks
    for pid in $(sed -n "/->/d; s/.* WRITE \([0-9]*\) [^ ]*:$inode .*/\1/p" /proc/locks); do
      # The inode number alone could be another file system's.
      stat -L -c %i "/proc/$pid/fd/"* 2>/dev/null | grep -qx "$inode" && named "$pid" && return
    done
  done
  return 1
}
if [ $# = 0 ]; then holder; exit 0; fi
for try in 1 2 3; do
  turn=0
  while who=$(holder); do
    [ $((turn % 5)) != 0 ] || echo "waiting for process ${who%% *}, which works with packages: ${who#* }"
    turn=$((turn + 1))
    sleep 1
  done
  "$@" && exit
  code=$?
  holder >/dev/null || break # somebody was faster: dnf 5 does not always wait
done
echo "dnf ended with status $code; see what it said there"
exit $code
