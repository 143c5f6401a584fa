# Count the pings that reach a container's network namespace, by source address.
# Usage: pod-count.sh PID NETNS ADDRESS...
set -u
pid=$1 netns=$2; shift 2
# The PID may have been reused: then do nothing.
[ "$(readlink "/proc/$pid/ns/net")" = "$netns" ] || { echo "the container is gone"; exit 1; }
rules=$(
  echo '*filter'
  for address in "$@"; do echo "-A INPUT -s $address/32 -p icmp -m icmp --icmp-type 8"; done
  echo COMMIT
)
count() { printf '%s\n' "$rules" | nsenter -t "$pid" -n iptables-restore "$@"; }
# Old versions of iptables have no -w.
count -w 5 2>/dev/null || count
