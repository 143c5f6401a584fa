# Confirm that the host can still be reached, so that it does not revert the step.
# Usage: confirm.sh [NAME]...   (none: every armed step)
set -u
code=0
all() { ls -d /run/fedwiz/deadman-* /var/lib/fedwiz/deadman-* 2>/dev/null; } # of reboots
[ $# -gt 0 ] || set -- $(all | sed 's/.*deadman-//')
for name in "$@"; do
  unit=fedwiz-deadman-$name.service
  dir=$(all | grep "/deadman-$name\$" | head -n 1)
  [ -n "$dir" ] || continue
  ln -sT confirmed "$dir/decided" 2>/dev/null # the first to write decides
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
  if [ -e "$dir/boot" ]; then
    rm -f "/etc/systemd/system/$unit" "/etc/systemd/system/multi-user.target.wants/$unit"
    systemctl daemon-reload
  fi
  rm -rf "$dir"
done
exit $code
