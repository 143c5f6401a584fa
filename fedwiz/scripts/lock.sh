# Hold the cluster's lock, and keep what the run tells, until standard input ends or is silent.
# Usage: lock.sh TOKEN SECONDS WHO VERB RUN CLUSTER   (SECONDS of silence end it)
# Says `held new BYTES`, or `held again BYTES` where nobody else has had it since this TOKEN did
# (BYTES of what it told are kept here), then for each piece that came how many bytes there are.
# Where somebody else has it: `taken`, then who, and status 75.  Anything else says why not.
set -u
token=$1 silence=$2 who=$3 verb=$4 run=$5 cluster=$6
exec 2>&1
umask 077
until # it is not the one that an undo has just removed
  mkdir -p /run/fedwiz && chmod 700 /run/fedwiz && cd /run/fedwiz || exit 1
  exec 9>>lock
  flock -w 2 -E 75 9 || {
    code=$? tries=0
    [ "$code" -eq 75 ] || exit "$code"
    # Whoever has it is about to say who that is.
    until [ -s lock.holder ] || [ $tries -ge 20 ]; do tries=$((tries + 1)); sleep 0.1; done
    echo taken
    head -c 2048 lock.holder 2>/dev/null
    exit 75
  }
  [ "/proc/$$/fd/9" -ef lock ]
do :; done
kept=new since=
if [ -e "lock.$token" ]; then
  kept=again since=$(sed -n 's/^since //p' lock.holder 2>/dev/null)
fi
for old in lock.?*; do [ "$old" = "lock.$token" ] || rm -f "$old"; done
: >>"lock.$token"

# sudo takes SSH_CONNECTION away; a process above it still has it.
pid=$$ from=
while [ -z "$from" ] && [ "${pid:-0}" -gt 1 ]; do
  from=$(tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" |
    sed -n 's/^SSH_CONNECTION=\([^ ]*\).*/\1/p' | head -n 1)
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
done
printf 'token %s\nwho %s\nfrom %s\nsince %s\nverb %s\nrun %s\ncluster %s\n' "$token" "$who" \
  "${from:--}" "${since:-$(date +%s)}" "$verb" "$run" "$cluster" >lock.new &&
  mv -f lock.new lock.holder || exit 1
size=$(wc -c <"lock.$token")
echo "held $kept $size"

# dd takes what there is, and does not wait for more.  Nothing that runs here keeps the lock:
# it is this shell's alone, and ends with it.
while timeout "$silence" dd bs=65536 count=1 status=none >>"lock.$token" 9>&-; do
  before=$size
  size=$(wc -c <"lock.$token")
  [ "$size" -gt "$before" ] || break # standard input has ended
  echo "$size" || break
done
# An undo that has left nothing of fedwiz leaves no lock, once who watches has seen its end.
if [ "$verb" = undo ] && [ ! -e /var/lib/fedwiz ] &&
  tail -n 2 "lock.$token" | grep -q '"event":"RunEnded"'; then
  sleep 2
  rm -f lock lock.*
  cd / && rmdir /run/fedwiz
fi
