# Wait until the way to every peer is there; where one is missing, have flanneld look again.
# Usage: peers.sh KIND PEER...   (KIND: fdb for vxlan, route for host-gw; PEER: a node's address)
set -u
kind=$1; shift
missing() {
  for peer in "$@"; do
    if [ "$kind" = fdb ]; then bridge fdb show | grep -qF " dst $peer "
    else ip -4 route show via "$peer" | grep -q .
    fi || printf '%s ' "$peer"
  done
}
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody sets
wait_for() { # SECONDS PEER...
  end=$(($(now) + $1)); shift
  while
    lost=$(missing "$@")
    [ -n "$lost" ] || exit 0
    [ "$(now)" -lt $end ]
  do sleep 0.2; done
}
wait_for 10 "$@"
# flanneld 0.18.0 to 0.21.2 loses events when nodes start together; a new one reads all leases.
# An enabled flanneld is required by docker, and its restart would take docker along.
echo "no way to $lost: flanneld looks again"
trap 'systemctl --quiet enable flanneld.service' EXIT
trap 'exit 1' HUP INT PIPE TERM # dash goes without its EXIT otherwise, and no boot would start it
systemctl --quiet disable flanneld.service
timeout 60 systemctl restart flanneld.service
systemctl --quiet enable flanneld.service
trap - EXIT
wait_for 30 "$@"
echo "still no way to $lost"
journalctl -u flanneld.service -n 20 --no-pager -o cat
exit 1
