# Arm a dead-man switch: the host reverts the step by itself unless confirm.sh runs in time.
# Usage: arm.sh NAME SECONDS [boot]   (standard input: shell that reverts it, up to `# end`)
#   boot: the step is a reboot; SECONDS count from the boot, and without one nothing is reverted
# The countdown pauses while a unit runs that must not be interrupted.
set -u
name=$1 seconds=$2 boot=${3-} unit=fedwiz-deadman-$1.service
dir=/run/fedwiz/deadman-$name file=/etc/systemd/system/$unit
[ -z "$boot" ] || dir=/var/lib/fedwiz/deadman-$name # a reboot empties /run
umask 077
mkdir -p "${dir%/*}" || exit 1
if [ "$(readlink "$dir/decided")" = back ] && systemctl -q is-active "$unit"; then
  echo "an earlier $name is just being taken back; run again in a minute"
  exit 1
fi
systemctl stop "$unit" 2>/dev/null
rm -rf "$dir"
mkdir "$dir" && cat >"$dir/back" || exit 1
if [ "$(tail -n 1 "$dir/back")" != "# end" ]; then
  rm -rf "$dir"
  echo "the way back from $name did not arrive whole; run again"
  exit 1
fi
cat >"$dir/wait" <<'END'
dir=$1 left=$2 unit=fedwiz-deadman-${1##*/deadman-}.service
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody can set
busy() {
  systemctl list-units --plain --no-legend --state=active,activating,deactivating \
    'fedwiz-package*' 'fedwiz-switch*' 'fedwiz-settle*' | grep -q .
}
forget() { # remove what the next boot would start
  [ -e "$dir/boot" ] || return 0
  rm -f "/etc/systemd/system/$unit" "/etc/systemd/system/multi-user.target.wants/$unit"
  systemctl daemon-reload
}
last=$(now)
[ ! -L "$dir/decided" ] || left=0 # the host went down while it was reverting
while [ "$left" -gt 0 ]; do
  sleep 1
  at=$(now)
  busy || left=$((left - at + last))
  last=$at
done
if [ "$(cat "$dir/boot" 2>/dev/null)" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then
  ln -sT confirmed "$dir/decided" 2>/dev/null || exit 0
  echo "this host has not rebooted: there is nothing to take back"
  forget
  rm -rf "$dir"
  exit 0
fi
if ! ln -sT back "$dir/decided" 2>/dev/null; then # the first to write decides
  [ "$(readlink "$dir/decided")" = back ] && [ ! -e "$dir/code" ] || exit 0
fi
echo "nobody has confirmed that this host can still be reached: taking the step back"
timeout -k 120 400 sh "$dir/back" >"$dir/said" 2>&1 </dev/null
echo $? >"$dir/code"
cat "$dir/said"
forget
END
systemctl reset-failed "$unit" 2>/dev/null
if [ -z "$boot" ]; then
  systemd-run --quiet --unit="$unit" /bin/sh "$dir/wait" "$dir" "$seconds" </dev/null ||
    { rm -rf "$dir"; exit 1; }
  exit
fi
cat /proc/sys/kernel/random/boot_id >"$dir/boot" &&
  cat >"$file" <<END &&
# Written by fedwiz; it goes as soon as the step is confirmed, or taken back.
[Unit]
Description=Take $name back, unless somebody confirms that this host can still be reached

[Service]
ExecStart=/bin/sh $dir/wait $dir $seconds

[Install]
WantedBy=multi-user.target
END
  chmod 0644 "$file" && { [ ! -e /sys/fs/selinux/enforce ] || restorecon "$file"; } &&
  systemctl daemon-reload && systemctl -q enable --now "$unit" ||
  { rm -rf "$dir" "$file" "${file%/*}/multi-user.target.wants/$unit"; systemctl daemon-reload; exit 1; }
