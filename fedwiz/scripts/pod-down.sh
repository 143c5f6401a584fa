# Print what a container's namespace counted, then remove all that pod-up.sh made.
# Usage: pod-down.sh NAME PID NETNS
# Prints `gone` if the container has ended by itself, the counts of iptables-save, then `end`.
set -u
name=$1 pid=$2 netns=$3
here=no
[ "$(readlink "/proc/$pid/ns/net")" = "$netns" ] && here=yes
[ $here = yes ] || [ "$pid" = 0 ] || echo gone
[ $here = no ] || nsenter -t "$pid" -n iptables-save -c -t filter | grep -F -- '-A INPUT '
{
  # docker's client would start a stopped docker.
  if systemctl -q is-active docker.service; then
    docker rm -f "$name"
    docker image rm -f "$name"
  fi
  if [ -e "/run/netns/$name" ]; then
    [ $here = no ] || kill "$pid"
    ip netns delete "$name"
  fi
  systemctl stop "$name.timer"
} >/dev/null 2>&1
echo end
