# Have the host take a step back by itself, unless somebody shows that it can still be reached.
# Usage: arm.sh NAME SECONDS   (the way back on standard input: shell, and `# end` as its last line)
# SECONDS do not go by while something works here that must not be cut in half.
set -u
name=$1 seconds=$2 unit=fedwiz-deadman-$1.service dir=/run/fedwiz/deadman-$1
umask 077
mkdir -p /run/fedwiz || exit 1
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
dir=$1 left=$2
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody sets
busy() {
  systemctl list-units --plain --no-legend --state=active,activating,deactivating \
    'fedwiz-package*' 'fedwiz-switch*' 'fedwiz-settle*' | grep -q .
}
last=$(now)
while [ "$left" -gt 0 ]; do
  sleep 1
  at=$(now)
  busy || left=$((left - at + last))
  last=$at
done
ln -sT back "$dir/decided" 2>/dev/null || exit 0 # whoever is first decides
echo "nobody has confirmed that this host can still be reached: taking the step back"
timeout -k 120 400 sh "$dir/back" >"$dir/said" 2>&1 </dev/null
echo $? >"$dir/code"
cat "$dir/said"
END
systemctl reset-failed "$unit" 2>/dev/null
systemd-run --quiet --unit="$unit" /bin/sh "$dir/wait" "$dir" "$seconds" </dev/null ||
  { rm -rf "$dir"; exit 1; }
