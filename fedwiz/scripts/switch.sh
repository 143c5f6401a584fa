# Move docker onto flannel's subnet.  Ends with docker running whatever happens.
# Usage: switch.sh NETWORK SECONDS [STALE]...   (STALE: a device, or a route as `10.9.3.0/24 via
#                                               192.0.2.7`; SECONDS: flanneld gets to be ready)
#        switch.sh --back NETWORK       (from one that ended well, while it is not confirmed)
#        switch.sh --back NETWORK BRIDGE [UNIT]...   (from a reboot: docker0's address before it or
#                                                     -, and what ran of docker's)
set -u
move=yes; [ "$1" != --back ] || { move=no; shift; }
network=$1; shift
[ $move = no ] || { ready=$1; shift; }
due=/run/fedwiz/switch-due # what has to run in the end, one unit a line: also after a kill
guard=/run/fedwiz/deadman-switch # there while a way back may be wanted
mkdir -p -m 0700 /run/fedwiz || exit 1
if [ $move = no ] && [ $# -gt 0 ]; then
  bridge=${1#-}; shift
  printf '%s\n' "$@" >"$due"
elif [ $move = no ]; then
  [ -e "$guard/switched" ] || exit 0
  bridge=$(cat "$guard/bip" 2>/dev/null)
  [ ! -e "$guard/ran" ] || cp "$guard/ran" "$due"
fi
kept=$(mktemp -d /run/fedwiz/kept.XXXXXX) || exit 1
docker=no; socket=no; users=""
if [ $move = yes ]; then
  systemctl -q is-active docker.service && docker=yes
  systemctl -q is-active docker.socket && socket=yes
fi
for unit in $(cat "$due" 2>/dev/null); do
  case $unit in
    docker.service) docker=yes ;;
    docker.socket) socket=yes ;;
    *) users="$users $unit" ;;
  esac
done
ended=no; why="it was stopped"; see=""

say() { printf '%s\n' "$*"; }
fail() { why=$1; see=${2:+"; see \`journalctl -u $2\` there"}; exit 1; } # WHY [UNIT]
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody sets
said() { # what a unit said since it was started, for the cause in it
  say "$1 said:"
  journalctl -u "$1.service" --since "$since" -n 20 --no-pager -o cat
}
note_users() { # UNIT: those that run, and that its stop takes along: an old kubelet requires docker
  for unit in $(systemctl show -p RequiredBy -p BoundBy -p ConsistsOf --value "$1"); do
    case " docker.service docker.socket flanneld.service $users " in *" $unit "*) continue ;; esac
    systemctl -q is-active "$unit" || continue
    users="$users $unit"
    note_users "$unit"
  done
}
start_users() {
  for unit in $users; do
    systemctl -q is-active "$unit" || systemctl start "$unit" || say "$unit did not start again"
  done
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
    if start_docker; then after=", and docker runs as before"; rm -f "$due"
    else after=", and docker does not run"; fi
    start_users
  fi
  say "$why$after$see"
}
take_back() { # what carried docker until now goes; then as if it never had
  note_users docker.service
  systemctl stop docker.socket docker.service
  ip link delete docker0 2>/dev/null
  systemctl stop flanneld.service
  for device in $(ip -o link show 2>/dev/null | sed -n 's/^[0-9]*: \(flannel[^:@]*\)[:@].*/\1/p'); do
    ip link delete "$device"
  done
  ip -4 route show root "$network" | while read -r route; do ip -4 route delete $route; done
  # docker remembers flannel's subnet, also without its options: it has to be told the old one once.
  once=no
  if [ -f "$guard/docker" ]; then cp -p "$guard/docker" "$kept/docker"
  elif [ -n "$bridge" ]; then
    once=yes
    printf 'DOCKER_NETWORK_OPTIONS=" --bip=%s"\n' "$bridge" >"$kept/docker"
  fi
  why="flannel does not carry docker any more"
  back
  [ $once = no ] || rm -f /run/flannel/docker
}
leave() {
  trap - EXIT
  trap '' HUP INT TERM # a second signal must not cut the way back short
  if [ $ended = no ]; then back; code=1; else code=0; fi
  rm -rf "$kept"
  exit $code
}
if [ $move = no ]; then
  take_back
  rm -rf "$kept"
  case $after in *"does not run") exit 1 ;; *) exit 0 ;; esac
fi
trap leave EXIT HUP INT TERM

[ -f /run/flannel/docker ] && cp -p /run/flannel/docker "$kept/docker"
systemctl daemon-reload # an earlier run may have ended before its own
if [ $docker = yes ]; then
  note_users docker.service
  ip -4 -o address show dev docker0 2>/dev/null | sed -n 's/.* inet \([0-9./]*\) .*/\1/p' | head -n 1 >"$kept/bip"
  { echo docker.service; [ $socket = no ] || echo docker.socket; printf '%s\n' $users; } >"$due"
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
for stale in "$@"; do
  case $stale in
    *" via "*) ip -4 route delete $stale 2>/dev/null ;;
    *) ! there "$stale" || ip link delete "$stale" ;;
  esac
done

say "starting flanneld"
since=$(date '+%Y-%m-%d %H:%M:%S')
systemctl start --no-block flanneld.service
end=$(($(now) + ready))
until state=$(systemctl is-active flanneld.service); do
  [ "$state" != failed ] || { said flanneld; fail "flanneld failed" flanneld; } # nothing restarts it
  [ "$(now)" -lt $end ] || { said flanneld; fail "flanneld did not get ready within $ready s" flanneld; }
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
  start_users
fi
if [ -d "$guard" ]; then # it may still be taken back
  [ ! -f "$kept/docker" ] || cp -p "$kept/docker" "$guard/docker"
  [ ! -f "$kept/bip" ] || cp "$kept/bip" "$guard/bip"
  [ ! -e "$due" ] || cp "$due" "$guard/ran"
  : >"$guard/switched"
fi
rm -f "$due"
ended=yes
