# Say what a container's namespace counted, then take away all that pod-up.sh made.
# Usage: pod-down.sh NAME PID NETNS
set -u
name=$1 pid=$2 netns=$3
if [ "$(readlink "/proc/$pid/ns/net")" = "$netns" ]; then
  nsenter -t "$pid" -n iptables-save -c -t filter | grep -F -- '-A INPUT '
fi
{
  docker rm -f "$name"
  docker image rm -f "$name"
  systemctl stop "$name.timer"
} >/dev/null 2>&1
echo end
