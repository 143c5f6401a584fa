# Say that the host can still be reached, so that it takes no step back.
# Usage: confirm.sh [NAME]...   (none: every step that waits for it)
set -u
code=0
cd /run/fedwiz 2>/dev/null || exit 0
[ $# -gt 0 ] || set -- $(ls -d deadman-* 2>/dev/null | sed 's/^deadman-//')
for name in "$@"; do
  dir=/run/fedwiz/deadman-$name unit=fedwiz-deadman-$name.service
  [ -d "$dir" ] || continue
  ln -sT confirmed "$dir/decided" 2>/dev/null # whoever is first decides
  if [ "$(readlink "$dir/decided")" = confirmed ]; then
    systemctl stop "$unit" 2>/dev/null
    echo "$name is confirmed"
  else
    while systemctl -q is-active "$unit"; do sleep 0.2; done
    code=1
    cat "$dir/said"
    if [ "$(cat "$dir/code")" = 0 ]; then
      echo "$name was taken back, since no new connection to the host showed in time that it can be reached"
    else
      echo "$name was not confirmed in time, and its way back failed; see \`journalctl -u $unit\` there"
    fi
  fi
  rm -rf "$dir"
done
exit $code
