# Hold the cluster's lock and store what the run reports, until standard input ends or is silent.
# Usage: lock.sh TOKEN SECONDS WHO VERB RUN CLUSTER   (SECONDS: the silence that ends it)
# Prints `held new BYTES`, or `held again BYTES` if nobody else has held it since TOKEN did
# (BYTES: how much is stored), then the stored size after each chunk.
# If somebody else holds it: `taken`, then who, and exit status 75.  Anything else is an error.
set -u
token=$1 silence=$2 who=$3 verb=$4 run=$5 cluster=$6
exec 2>&1
umask 077
until # it is not a lock that an undo has just removed
  mkdir -p /run/fedwiz && chmod 700 /run/fedwiz && cd /run/fedwiz || exit 1
  exec 9>>lock
  flock -w 2 -E 75 9 || {
    code=$? tries=0
    [ "$code" -eq 75 ] || exit "$code"
    # The holder is about to write who it is.
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

# sudo drops SSH_CONNECTION; a parent process still has it.
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

# dd takes what is there and does not wait for more.  No child inherits the lock: it ends with
# this shell.
while timeout "$silence" dd bs=65536 count=1 status=none >>"lock.$token" 9>&-; do
  before=$size
  size=$(wc -c <"lock.$token")
  [ "$size" -gt "$before" ] || break # standard input has ended
  echo "$size" || break
done
# After a complete undo the lock goes too, once watchers have seen the run end.
if [ "$verb" = undo ] && [ ! -e /var/lib/fedwiz ] &&
  tail -n 2 "lock.$token" | grep -q '"event":"RunEnded"'; then
  sleep 2
  rm -f lock lock.*
  cd / && rmdir /run/fedwiz
fi
