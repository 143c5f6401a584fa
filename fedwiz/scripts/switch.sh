# Move docker onto flannel's subnet.  Ends with docker running whatever happens.
# Usage: switch.sh NETWORK [STALE-DEVICE]...
set -u
network=$1; shift
kept=$(mktemp -d /run/fedwiz-switch.XXXXXX) || exit 1
docker=no; socket=no
systemctl -q is-active docker.service && docker=yes
systemctl -q is-active docker.socket && socket=yes
ended=no

say() { printf '%s\n' "$*"; }
there() { ip link show dev "$1" >/dev/null 2>&1; }
start_docker() {
  [ $docker = yes ] || return 0
  [ $socket = no ] || systemctl start docker.socket
  systemctl reset-failed docker.service 2>/dev/null
  systemctl start docker.service
}
back() { # flannel did not carry docker: docker as it was, which must not wait for flanneld
  say "taking docker back to what it was"
  systemctl stop flanneld.service
  systemctl disable flanneld.service
  rm -f /run/flannel/docker
  [ -f "$kept/docker" ] && cp -p "$kept/docker" /run/flannel/docker
  systemctl -q is-active docker.service || ip link delete docker0 2>/dev/null
  start_docker && say "docker runs as before"
}
leave() {
  trap - EXIT HUP INT TERM
  if [ $ended = no ]; then back; code=1; else code=0; fi
  rm -rf "$kept"
  exit $code
}
trap leave EXIT HUP INT TERM

[ -f /run/flannel/docker ] && cp -p /run/flannel/docker "$kept/docker"
if [ $docker = yes ]; then
  say "stopping docker"
  [ $socket = no ] || systemctl stop docker.socket
  systemctl stop docker.service || { say "docker did not stop"; exit 1; }
  ! there docker0 || ip link delete docker0 || { say "docker0 did not go"; exit 1; }
fi

systemctl stop flanneld.service 2>/dev/null
systemctl reset-failed flanneld.service 2>/dev/null
if [ -f /run/flannel/subnet.env ] && ! grep -qxF "FLANNEL_NETWORK=$network" /run/flannel/subnet.env; then
  say "forgetting the subnet of an earlier network"
  rm -f /run/flannel/subnet.env /run/flannel/docker
fi
for device in "$@"; do
  ! there "$device" || ip link delete "$device"
done

say "starting flanneld"
since=$(date '+%Y-%m-%d %H:%M:%S')
systemctl start --no-block flanneld.service
tries=0
while ! systemctl -q is-active flanneld.service; do
  tries=$((tries + 1))
  if [ $tries -ge 450 ]; then
    say "flanneld did not get ready within 45 s; it said:"
    journalctl -u flanneld.service --since "$since" -n 20 --no-pager -o cat
    exit 1
  fi
  sleep 0.1
done
[ -s /run/flannel/subnet.env ] || { say "flanneld wrote no /run/flannel/subnet.env"; exit 1; }
cat /run/flannel/subnet.env

if [ $docker = yes ]; then
  say "starting docker"
  since=$(date '+%Y-%m-%d %H:%M:%S')
  if ! start_docker; then
    say "docker did not start on flannel's subnet; it said:"
    journalctl -u docker.service --since "$since" -n 20 --no-pager -o cat
    exit 1
  fi
  subnet=$(sed -n 's/^FLANNEL_SUBNET=//p' /run/flannel/subnet.env)
  if ! ip -4 address show dev docker0 | grep -qF "inet $subnet "; then
    say "docker0 is not $subnet: docker did not take flannel's options"
    systemctl stop docker.service
    exit 1
  fi
  say "docker runs on $subnet"
fi
ended=yes
