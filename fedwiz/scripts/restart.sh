# Restart flanneld with its present settings and move docker onto its subnet; or undo that.
# Usage: restart.sh SUBNET DOCKER MODE SECONDS [API URL KEY VALUE CA CERT CERT-KEY]
#   SUBNET: keep: restart flanneld with it; forget: set subnet.env aside first; recall: put back
#           what was set aside; try: keep it, and do not wait for flanneld; stop: only stop
#           flanneld; wait: only start it, and wait; skip: leave flanneld alone
#   DOCKER: move: where it is not on flannel's subnet; leave; or the options to start it with
#   MODE: of /etc/sysconfig/flanneld, whose text is on standard input; or -: leave that file
#   SECONDS: timeout for flanneld to be ready
#   API: recall first deletes the node's lease; at the end KEY is set to VALUE, or deleted if that
#        is empty
# docker never stops or restarts along with flanneld.  On failure all is reverted, and docker runs.
# Runs after lib.sh.
set -u
subnet=$1 docker=$2 mode=$3 ready=$4 api=${5-} url=${6-} key=${7-} value=${8-}
ca=${9-} cert=${10-} cert_key=${11-}
conf=/etc/sysconfig/flanneld env=/run/flannel/subnet.env options=/run/flannel/docker
aside=/run/fedwiz/aside
mkdir -p -m 0700 /run/fedwiz && kept=$(mktemp -d /run/fedwiz/kept.XXXXXX) || exit 1
stopped=no

keep() { for file in "$conf" "$env" "$options"; do [ ! -f "$file" ] || cp -p "$file" "$kept/"; done; }
restore() { # FILE: as it was at the start
  if [ -f "$kept/${1##*/}" ]; then cp -p "$kept/${1##*/}" "$1"; else rm -f "$1"; fi
}
since=--after-cursor=$(journalctl -n 0 --show-cursor --no-pager | sed -n 's/^-- cursor: //p')

put() { # KEY VALUE
  if [ "$api" = v2 ]; then
    etcd --fail -X PUT --data-urlencode "value=$2" -d ttl=86400 "$url/v2/keys$1"
  else etcd --fail -d "{\"key\":\"$(b64 "$1")\",\"value\":\"$(b64 "$2")\"}" "$url/v3/kv/put"; fi
} >/dev/null
delete() { # KEY
  if [ "$api" = v2 ]; then etcd -X DELETE "$url/v2/keys$1"
  else etcd --fail -d "{\"key\":\"$(b64 "$1")\"}" "$url/v3/kv/deleterange"; fi
} >/dev/null
lease_key() { # of the subnet in subnet.env, whose address there is one higher
  held=$(sed -n 's/^FLANNEL_SUBNET=\([0-9.]*\/[0-9]*\)$/\1/p' "$env")
  [ -n "$held" ] || return
  first=${held%/*}
  echo "${key%/*}/${first%.*}.$((${first##*.} - 1))-${held#*/}"
}

ran=no
case $(systemctl is-active flanneld.service) in active | activating | reloading) ran=yes ;; esac
# docker requires an enabled flanneld: it would stop with it, and again at each start that systemd
# retries.  At the end flanneld is enabled again.
enabled=$(systemctl is-enabled flanneld.service 2>/dev/null)
loose() { [ "$enabled" != enabled ] || systemctl --quiet disable flanneld.service; }
tie() { [ "$enabled" != enabled ] || systemctl --quiet enable flanneld.service; }
stop() {
  loose
  timeout 60 systemctl stop flanneld.service
  [ "$subnet" = stop ] || systemctl reset-failed flanneld.service 2>/dev/null
}
start() {
  systemctl start --no-block flanneld.service
  within "$ready" systemctl -q is-active flanneld.service ||
    { log flanneld; fail "flanneld did not get ready within $ready s" flanneld; }
}

# docker, with the units that need it.
take_down() {
  [ $stopped = no ] || return 0
  note_users docker.service
  systemctl -q is-active docker.socket && socket=yes
  stopped=yes
  stop_docker
  ip link delete docker0 2>/dev/null
}
bring_up() {
  [ $stopped = yes ] || return 0
  start_docker || return
  start_users
  stopped=no
}
on_subnet() {
  ip -4 address show dev docker0 2>/dev/null |
    grep -qF "inet $(sed -n 's/^FLANNEL_SUBNET=//p' "$env" 2>/dev/null || echo -) "
}
move() {
  on_subnet && return
  say "moving docker"
  take_down
  mk=/usr/libexec/flannel/mk-docker-opts.sh
  bip=$(sed -n 's/^FLANNEL_SUBNET=/--bip=/p' "$env")
  if ! grep -qsF -e "$bip " "$options"; then # they are for another subnet
    [ -x $mk ] || fail "there is no $mk to write docker's options" flanneld
    $mk -k DOCKER_NETWORK_OPTIONS -d "$options"
  fi
  bring_up || { log docker; fail "docker did not start on flannel's subnet" docker; }
  on_subnet || fail "docker0 is not on flannel's subnet: docker did not take its options" docker
}
start_with() { # OPTIONS: docker's earlier ones; the file stays as it is
  take_down
  [ ! -f "$options" ] || mv "$options" "$kept/options"
  printf 'DOCKER_NETWORK_OPTIONS=" %s"\n' "$1" >"$options"
  bring_up; code=$?
  rm -f "$options"
  [ ! -f "$kept/options" ] || mv "$kept/options" "$options"
  [ $code = 0 ] || { log docker; fail "docker did not start as it was" docker; }
}

leave() {
  trap - EXIT
  trap '' TERM INT
  code=0
  if [ $ended = no ]; then
    code=1
    say "taking it back"
    case $subnet in skip | wait) ;; *)
      stop
      restore "$conf"; restore "$env"; restore "$options"
      [ $ran = no ] || systemctl start --no-block flanneld.service ;;
    esac
    bring_up || why="$why, and docker does not run"
    say "$why$see"
  fi
  tie
  rm -rf "$kept"
  exit $code
}
keep
trap leave EXIT
trap 'exit 1' TERM INT
trap '' HUP PIPE # carries on without the caller

if [ "$subnet" = wait ]; then
  start
elif [ "$subnet" != skip ]; then
  say "stopping flanneld, and nothing else"
  stop
  if [ "$mode" != - ]; then
    cat >"$conf.new" && chmod "$mode" "$conf.new" && mv "$conf.new" "$conf" || fail "$conf was not written"
  fi
  case $subnet in
    forget) rm -rf "$aside"; mkdir "$aside" || fail "$aside can't be made"; for file in "$env" "$options"; do [ ! -f "$file" ] || mv "$file" "$aside/"; done ;;
    recall)
      if [ -n "$api" ] && now=$(lease_key); then delete "$now"; fi
      for file in subnet.env docker; do [ ! -f "$aside/$file" ] || cp -p "$aside/$file" /run/flannel/; done ;;
  esac
  case $subnet in
    stop) ;;
    try) systemctl start --no-block flanneld.service ;;
    *) say "starting flanneld"; start; cat "$env" ;;
  esac
fi
case $docker in
  move) ! systemctl -q is-active docker.service || move ;;
  leave) ;;
  *) start_with "$docker" ;;
esac
if [ -n "$api" ]; then
  if [ -n "$value" ]; then put "$key" "$value"; else delete "$key"; fi || fail "etcd did not take $key"
fi
ended=yes
