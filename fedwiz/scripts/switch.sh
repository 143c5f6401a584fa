# Move docker onto flannel's subnet.  Whatever happens, docker runs at the end.
# Usage: switch.sh NETWORK SECONDS [STALE]...
#            (SECONDS: timeout for flanneld to be ready; STALE: a device, or a route as
#            `10.9.3.0/24 via 192.0.2.7`)
#        switch.sh --back NETWORK
#            (revert one that succeeded and is not confirmed)
#        switch.sh --back NETWORK BRIDGE [UNIT]...
#            (revert a reboot; BRIDGE: docker0's address before it, or -; UNIT: what ran of docker)
# Runs after lib.sh.
set -u
move=yes; [ "$1" != --back ] || { move=no; shift; }
network=$1; shift
[ $move = no ] || { ready=$1; shift; }
guard=/run/fedwiz/deadman-switch # there while the step may be reverted
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
if [ $move = yes ]; then
  systemctl -q is-active docker.service && docker_due=yes
  systemctl -q is-active docker.socket && socket=yes
fi
read_due

back() { # flannel failed: docker as it was, which must not wait for flanneld
  say "taking docker back to what it was"
  systemctl stop flanneld.service
  systemctl disable flanneld.service
  rm -f /run/flannel/docker
  [ -f "$kept/docker" ] && cp -p "$kept/docker" /run/flannel/docker
  systemctl -q is-active docker.service || ip link delete docker0 2>/dev/null
  after=""
  if [ $docker_due = yes ]; then
    if start_docker; then after=", and docker runs as before"; rm -f "$due"
    else after=", and docker does not run"; fi
    start_users
  fi
  say "$why$after$see"
}
take_back() { # remove flannel's network, then docker as it was
  note_users docker.service
  systemctl stop docker.socket docker.service
  ip link delete docker0 2>/dev/null
  systemctl stop flanneld.service
  for device in $(ip -o link show 2>/dev/null | sed -n 's/^[0-9]*: \(flannel[^:@]*\)[:@].*/\1/p'); do
    ip link delete "$device"
  done
  ip -4 route show root "$network" | while read -r route; do ip -4 route delete $route; done
  # docker remembers flannel's subnet even without its options: start it with the old one once.
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
  trap '' HUP INT TERM # a second signal must not cut this short
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
systemctl daemon-reload # an earlier run may have ended before it did
if [ $docker_due = yes ]; then
  note_users docker.service
  ip -4 -o address show dev docker0 2>/dev/null | sed -n 's/.* inet \([0-9./]*\) .*/\1/p' | head -n 1 >"$kept/bip"
  write_due
  say "stopping docker"
  stop_docker
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
since=$(date '+--since=%Y-%m-%d %H:%M:%S')
systemctl start --no-block flanneld.service
decided() { state=$(systemctl is-active flanneld.service) || [ "$state" = failed ]; }
within "$ready" decided || state=late
case $state in
  failed) log flanneld; fail "flanneld failed" flanneld ;; # nothing restarts it
  late) log flanneld; fail "flanneld did not get ready within $ready s" flanneld ;;
esac
[ -s /run/flannel/subnet.env ] || fail "flanneld wrote no /run/flannel/subnet.env" flanneld
cat /run/flannel/subnet.env

if [ $docker_due = yes ]; then
  say "starting docker"
  since=$(date '+--since=%Y-%m-%d %H:%M:%S')
  start_docker || { log docker; fail "docker did not start on flannel's subnet" docker; }
  subnet=$(sed -n 's/^FLANNEL_SUBNET=//p' /run/flannel/subnet.env)
  if ! ip -4 address show dev docker0 | grep -qF "inet $subnet "; then
    systemctl stop docker.service
    fail "docker0 is not $subnet: docker did not take flannel's options" docker
  fi
  say "docker runs on $subnet"
  start_users
fi
if [ -d "$guard" ]; then # it may still be reverted
  [ ! -f "$kept/docker" ] || cp -p "$kept/docker" "$guard/docker"
  [ ! -f "$kept/bip" ] || cp "$kept/bip" "$guard/bip"
  [ ! -e "$due" ] || cp "$due" "$guard/ran"
  : >"$guard/switched"
fi
rm -f "$due"
ended=yes
