# Move docker onto flannel's subnet.  Ends with docker running whatever happens.
# Usage: switch.sh NETWORK [STALE-DEVICE]...
set -u
network=$1; shift
kept=$(mktemp -d /run/fedwiz-switch.XXXXXX) || exit 1
docker=no; socket=no
systemctl -q is-active docker.service && docker=yes
systemctl -q is-active docker.socket && socket=yes
ended=no; why="it was stopped"; see=""

say() { printf '%s\n' "$*"; }
fail() { why=$1; see=${2:+"; see \`journalctl -u $2\` there"}; exit 1; } # WHY [UNIT]
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody sets
said() { # what a unit said since it was started, for the cause in it
  say "$1 said:"
  journalctl -u "$1.service" --since "$since" -n 20 --no-pager -o cat
}
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
  after=""
  if [ $docker = yes ]; then
    start_docker && after=", and docker runs as before" || after=", and docker does not run"
  fi
  say "$why$after$see"
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
  systemctl stop docker.service || fail "docker did not stop" docker
  ! there docker0 || ip link delete docker0 || fail "docker0 did not go"
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
end=$(($(now) + 45))
until state=$(systemctl is-active flanneld.service); do
  [ "$state" != failed ] || { said flanneld; fail "flanneld failed" flanneld; } # nothing restarts it
  [ "$(now)" -lt $end ] || { said flanneld; fail "flanneld did not get ready within 45 s" flanneld; }
  sleep 0.1
done
[ -s /run/flannel/subnet.env ] || fail "flanneld wrote no /run/flannel/subnet.env" flanneld
cat /run/flannel/subnet.env

if [ $docker = yes ]; then
  say "starting docker"
  since=$(date '+%Y-%m-%d %H:%M:%S')
  start_docker || { said docker; fail "docker did not start on flannel's subnet" docker; }
  subnet=$(sed -n 's/^FLANNEL_SUBNET=//p' /run/flannel/subnet.env)
  if ! ip -4 address show dev docker0 | grep -qF "inet $subnet "; then
    systemctl stop docker.service
    fail "docker0 is not $subnet: docker did not take flannel's options" docker
  fi
  say "docker runs on $subnet"
fi
ended=yes
