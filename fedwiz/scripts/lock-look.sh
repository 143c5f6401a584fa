# Report who holds the cluster's lock and what that run has reported; change nothing.
# Usage: lock-look.sh TOKEN OFFSET MOST
# Prints lines `KEY VALUE`: lock, `held` or `free`; who, its holder or the last one, as base64;
# told, what TOKEN's run has reported from OFFSET on, at most MOST bytes, as base64.
set -u
token=$1 offset=$2 most=$3
say() { printf '%s %s\n' "$1" "$(base64 | tr -d '\n')"; }
cd /run/fedwiz 2>/dev/null && [ -e lock ] || { echo lock free; exit 0; }
# The lock first: if it is free, the run has reported everything.
if flock -n -s -E 75 lock true; then
  echo lock free
else
  [ $? -eq 75 ] || exit 1
  echo lock held
fi
head -c 2048 lock.holder 2>/dev/null | say who
[ -z "$token" ] || tail -c "+$((offset + 1))" "lock.$token" 2>/dev/null | head -c "$most" | say told
