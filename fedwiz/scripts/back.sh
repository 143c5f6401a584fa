# Take docker off flannel's subnet and restore what keep.sh backed up before the install.
# Usage: back.sh DOCKER FLANNELD ENABLED ITEM...
#   DOCKER: move: stop it, delete docker0, start it at the end; alone: do not start it; or leave
#   FLANNELD: off; leave; or SECONDS: restart it as restored; they are the timeout to be ready
#   ENABLED: enabled, disabled, or leave
#   ITEM: a file's path, a route as `10.9.3.0/24 via 192.0.2.7`, or a device's name
# Whatever happens, docker runs at the end.
# Runs after lib.sh.
set -u
docker=$1 flanneld=$2 enabled=$3; shift 3
case $flanneld in off | leave) ;; *) ready=$flanneld flanneld=on ;; esac
before=/var/lib/fedwiz/before
mkdir -p -m 0700 /run/fedwiz || exit 1
separate="$separate fedwiz-forward.service"
stopped=no code=0

# docker reuses docker0's last address until it has started with another one once.
once=/run/systemd/system/docker.service.d/99-fedwiz-once.conf
remind() {
  had=$(head -n 1 $before/docker0)
  [ "$docker" = move ] && [ "$flanneld" != on ] && [ -n "$had" ] || return
  ! grep -qs '"bip"' /etc/docker/daemon.json || return # docker refuses both at once
  words=$(systemctl show -p ExecStart docker.service | sed -n 's/.* argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | tail -n 1)
  [ -n "$words" ] && mkdir -p "${once%/*}" || return
  printf '[Service]\nExecStart=\nExecStart=%s --bip=%s\n' "$words" "$had" >$once
  systemctl daemon-reload
}
forget() { # the option of that one start; docker, if it runs, has used it
  [ -e $once ] || return 0
  rm -f $once; rmdir "${once%/*}" 2>/dev/null
  systemctl daemon-reload
}
start_again() {
  [ $stopped = yes ] || return 0
  stopped=no
  say "starting docker"
  remind
  start_docker || { forget; systemctl start docker.service; } ||
    { code=1; why="docker did not start; see \`journalctl -u docker\` there"; }
  forget
  start_users
}
leave() {
  trap - EXIT
  trap '' HUP INT TERM # a second signal must not cut this short
  if [ $ended = no ]; then
    code=1
    systemctl daemon-reload
    start_again
  fi
  [ $code = 0 ] && rm -f "$due" || say "$why"
  exit $code
}
restore() { # PATH: from the backup; or remove it, and the directories made for it
  if [ -e "$before/files$1" ] || [ -L "$before/files$1" ]; then
    mkdir -p "${1%/*}"
    # Copy, then rename: nobody ever sees half a file.
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
  read_due
  systemctl -q is-active docker.socket && socket=yes
  note_users docker.service
  write_due
  [ "$docker" = alone ] || stopped=yes
  say "stopping docker"
  stop_docker
fi
if [ -e /etc/systemd/system/fedwiz-forward.service ]; then
  # Stopping it removes its rule, even if it has exited.
  systemctl disable fedwiz-forward.service 2>/dev/null
  systemctl stop fedwiz-forward.service
fi
# First: docker requires an enabled flanneld, and would stop with it.
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
  within "$ready" systemctl -q is-active flanneld.service ||
    say "flanneld did not get ready within $ready s"
fi
[ "$enabled" != enabled ] || systemctl -q enable flanneld.service
start_again
if [ "$docker" = move ] && [ $code = 0 ]; then
  has=$(ip -4 -o address show dev docker0 2>/dev/null | sed -n 's/.* inet \([^ ]*\) .*/\1/p')
  had=$(cat $before/docker0)
  if [ "$has" = "$had" ]; then say "docker runs on ${has:-no subnet}, as before"
  else say "docker runs on ${has:-no subnet}, and ran on ${had:-none} before"; fi
fi
ended=yes
