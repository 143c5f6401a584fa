# Say who has the cluster's lock, and what that run has told; changes nothing.
# Usage: lock-look.sh TOKEN OFFSET MOST
# Says lines `KEY VALUE`: lock, `held` or `free`; who, the base64 of who has it, or had it last;
# told, the base64 of what the run of TOKEN told, MOST bytes at most, from OFFSET on.
set -u
token=$1 offset=$2 most=$3
say() { printf '%s %s\n' "$1" "$(base64 | tr -d '\n')"; }
cd /run/fedwiz 2>/dev/null && [ -e lock ] || { echo lock free; exit 0; }
# First the lock: of a run that has let go of it, all is there by now.
if flock -n -s -E 75 lock true; then
  echo lock free
else
  [ $? -eq 75 ] || exit 1
  echo lock held
fi
head -c 2048 lock.holder 2>/dev/null | say who
[ -z "$token" ] || tail -c "+$((offset + 1))" "lock.$token" 2>/dev/null | head -c "$most" | say told
