# Wait for every peer's fdb entry or route; if one stays missing, restart flanneld.
# Usage: peers.sh KIND PEER...   (KIND: fdb for vxlan, route for host-gw; PEER: a node's address)
# Runs after lib.sh.
set -u
kind=$1; shift
pause=0.2
missing() {
  for peer in "$@"; do
    if [ "$kind" = fdb ]; then bridge fdb show | grep -qF " dst $peer "
    else ip -4 route show via "$peer" | grep -q .
    fi || printf '%s ' "$peer"
  done
}
none_missing() {
  lost=$(missing "$@")
  [ -z "$lost" ]
}
within 10 none_missing "$@" && exit 0
# flanneld 0.18.0 to 0.21.2 loses events when nodes start together; a restart reads all leases.
# docker requires an enabled flanneld, and would restart with it.
say "no way to $lost: flanneld looks again"
trap 'systemctl --quiet enable flanneld.service' EXIT
trap 'exit 1' HUP INT PIPE TERM # else dash skips the EXIT trap, and flanneld stays disabled
systemctl --quiet disable flanneld.service
timeout 60 systemctl restart flanneld.service
systemctl --quiet enable flanneld.service
trap - EXIT
within 30 none_missing "$@" && exit 0
say "still no way to $lost"
journalctl -u flanneld.service -n 20 --no-pager -o cat
exit 1
