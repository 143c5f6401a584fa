# Set interfaces' MTUs, then restart flanneld and docker: switch.sh follows.
# Usage: mtu.sh [DEVICE MTU]... -- NETWORK SECONDS
set -u
while [ "$1" != -- ]; do
  ip link set dev "$1" mtu "$2" || exit 1
  shift 2
done
shift
