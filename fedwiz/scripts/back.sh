# Take docker off flannel's subnet, and put back what was kept before the install.
# Usage: back.sh DOCKER FLANNELD ENABLED ITEM...
#   DOCKER: move it: stop it, delete docker0, start it in the end; alone: the same, not started; leave
#   FLANNELD: off, leave, or SECONDS: stopped, started again as it was kept, and given them to be ready
#   ENABLED: enabled, disabled, or leave
#   ITEM: a file's path, a route as `10.9.3.0/24 via 192.0.2.7`, or a device's name
# Ends with docker running whatever happens.
set -u
docker=$1 flanneld=$2 enabled=$3; shift 3
case $flanneld in off | leave) ;; *) ready=$flanneld flanneld=on ;; esac
before=/var/lib/fedwiz/before
due=/run/fedwiz/switch-due # what has to run in the end, one unit a line: also after a kill
mkdir -p -m 0700 /run/fedwiz || exit 1
socket=no; users=""; stopped=no; ended=no; why="it was stopped"; code=0

say() { printf '%s\n' "$*"; }
fail() { why=$1; exit 1; }
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody sets
there() { ip link show dev "$1" >/dev/null 2>&1; }
note_users() { # UNIT: those that run, and that its stop takes along: an old kubelet requires docker
  for unit in $(systemctl show -p RequiredBy -p BoundBy -p ConsistsOf --value "$1"); do
    case " docker.service docker.socket flanneld.service fedwiz-forward.service $users " in
      *" $unit "*) continue ;;
    esac
    systemctl -q is-active "$unit" || continue
    users="$users $unit"
    note_users "$unit"
  done
}
# docker gives docker0 the address that it had last, until it is told another one once.
once=/run/systemd/system/docker.service.d/99-fedwiz-once.conf
remind() {
  had=$(head -n 1 $before/docker0)
  [ "$docker" = move ] && [ "$flanneld" != on ] && [ -n "$had" ] || return
  ! grep -qs '"bip"' /etc/docker/daemon.json || return # both at once it refuses
  words=$(systemctl show -p ExecStart docker.service | sed -n 's/.* argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | tail -n 1)
  [ -n "$words" ] && mkdir -p "${once%/*}" || return
  printf '[Service]\nExecStart=\nExecStart=%s --bip=%s\n' "$words" "$had" >$once
  systemctl daemon-reload
}
forget() { # what it was told; the one that runs has taken it
  [ -e $once ] || return 0
  rm -f $once; rmdir "${once%/*}" 2>/dev/null
  systemctl daemon-reload
}
start_docker() {
  [ $stopped = yes ] || return 0
  stopped=no
  say "starting docker"
  remind
  [ $socket = no ] || systemctl start docker.socket
  systemctl reset-failed docker.service 2>/dev/null
  systemctl start docker.service || { forget; systemctl start docker.service; } || { code=1; why="docker did not start; see \`journalctl -u docker\` there"; }
  forget
  for unit in $users; do
    systemctl -q is-active "$unit" || systemctl start "$unit" || say "$unit did not start again"
  done
}
leave() {
  trap - EXIT
  trap '' HUP INT TERM # a second signal must not cut the way back short
  if [ $ended = no ]; then
    code=1
    systemctl daemon-reload
    start_docker
  fi
  [ $code = 0 ] && rm -f "$due" || say "$why"
  exit $code
}
restore() { # PATH: as it was kept, or gone, with the folders that were made for it
  if [ -e "$before/files$1" ] || [ -L "$before/files$1" ]; then
    mkdir -p "${1%/*}"
    # Beside it first: nobody ever sees half of it.
    cp -a "$before/files$1" "$1.fedwiz-back" && mv -f "$1.fedwiz-back" "$1" || fail "$1 could not be put back"
    ! command -v restorecon >/dev/null || restorecon "$1" 2>/dev/null
    say "$1 is as it was"
  elif grep -qxF -e "$1" "$before/absent"; then
    rm -f "$1" || fail "$1 could not be removed"
    say "$1 is gone"
    dir=${1%/*}
    while [ -n "$dir" ] && grep -qxF -e "$dir" "$before/absent"; do
      rmdir "$dir" 2>/dev/null || break
      dir=${dir%/*}
    done
  else
    say "$1 stays: nothing was kept of it"
  fi
}
[ -d $before ] || { echo "there is no $before any more"; exit 1; }
trap leave EXIT HUP INT TERM

if [ "$docker" != leave ]; then
  for unit in $(cat "$due" 2>/dev/null); do
    case $unit in docker.service) ;; docker.socket) socket=yes ;; *) users="$users $unit" ;; esac
  done
  systemctl -q is-active docker.socket && socket=yes
  note_users docker.service
  { echo docker.service; [ $socket = no ] || echo docker.socket; printf '%s\n' $users; } >"$due"
  [ "$docker" = alone ] || stopped=yes
  say "stopping docker"
  [ $socket = no ] || systemctl stop docker.socket
  systemctl stop docker.service || fail "docker did not stop"
fi
if [ -e /etc/systemd/system/fedwiz-forward.service ]; then
  # Also the stop of one that has ended takes its rule away.
  systemctl disable fedwiz-forward.service 2>/dev/null
  systemctl stop fedwiz-forward.service
fi
# First: an enabled one is required by docker, and its stop would take docker along.
[ "$enabled" = leave ] || systemctl -q disable flanneld.service 2>/dev/null
if [ "$flanneld" != leave ]; then
  systemctl stop flanneld.service 2>/dev/null
  systemctl reset-failed flanneld.service 2>/dev/null
fi
[ "$docker" = leave ] || ! there docker0 || ip link delete docker0 || fail "docker0 did not go"
network=no
for item; do
  case $item in
    /etc/NetworkManager/*) restore "$item"; network=yes ;;
    /*) restore "$item" ;;
    *" via "*) ip -4 route delete $item 2>/dev/null && say "the route $item is gone" ;;
    *) ! there "$item" || { ip link delete "$item" && say "$item is gone"; } ;;
  esac
done
if [ "$flanneld" = off ] && grep -qxF /run/flannel "$before/absent"; then rm -rf /run/flannel; fi
systemctl daemon-reload
systemctl reset-failed fedwiz-forward.service 2>/dev/null
[ $network = no ] || ! systemctl -q is-active NetworkManager.service || systemctl reload NetworkManager.service
if [ "$flanneld" = on ]; then
  say "starting flanneld as it was"
  systemctl start --no-block flanneld.service
  end=$(($(now) + ready))
  until systemctl -q is-active flanneld.service; do
    [ "$(now)" -lt $end ] || { say "flanneld did not get ready within $ready s"; break; }
    sleep 0.1
  done
fi
[ "$enabled" != enabled ] || systemctl -q enable flanneld.service
start_docker
if [ "$docker" = move ] && [ $code = 0 ]; then
  has=$(ip -4 -o address show dev docker0 2>/dev/null | sed -n 's/.* inet \([^ ]*\) .*/\1/p')
  had=$(cat $before/docker0)
  if [ "$has" = "$had" ]; then say "docker runs on ${has:-no subnet}, as before"
  else say "docker runs on ${has:-no subnet}, and ran on ${had:-none} before"; fi
fi
ended=yes
