# Start flanneld anew, as it is told now, and see docker onto its subnet; or take that back.
# Usage: restart.sh SUBNET DOCKER MODE SECONDS [API URL KEY VALUE CA CERT CERT-KEY]
#   SUBNET: keep it; forget subnet.env and put it aside; recall what was put aside.  Others: try,
#           which keeps it and does not wait for flanneld; stop; wait for one that starts; skip it
#   DOCKER: move it where it is not on flannel's subnet; leave it; or options that it starts with
#   MODE: of /etc/sysconfig/flanneld, whose text is on standard input; or -
#   SECONDS: flanneld gets to be ready
#   API: the node's lease is deleted first where it recalls, and in the end KEY gets VALUE,
#        or goes where that is empty
# docker never goes along with flanneld.  What fails is as it was before, and docker runs.
set -u
subnet=$1 docker=$2 mode=$3 ready=$4 api=${5-} url=${6-} key=${7-} value=${8-}
ca=${9-} cert=${10-} cert_key=${11-}
conf=/etc/sysconfig/flanneld env=/run/flannel/subnet.env options=/run/flannel/docker
aside=/run/fedwiz/aside
mkdir -p -m 0700 /run/fedwiz && kept=$(mktemp -d /run/fedwiz/kept.XXXXXX) || exit 1
stopped=no; users=""; ended=no; why="it was stopped"; see=""

say() { printf '%s\n' "$*"; }
fail() { why=$1; see=${2:+"; see \`journalctl -u $2\` there"}; exit 1; } # WHY [UNIT]
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody sets
keep() { for file in "$conf" "$env" "$options"; do [ ! -f "$file" ] || cp -p "$file" "$kept/"; done; }
restore() { # FILE: as it was when this began
  if [ -f "$kept/${1##*/}" ]; then cp -p "$kept/${1##*/}" "$1"; else rm -f "$1"; fi
}
log() { # the last lines of a unit since this began, for the cause in them
  say "$1 said:"
  journalctl -u "$1.service" --after-cursor "$cursor" -n 20 --no-pager -o cat
}
cursor=$(journalctl -n 0 --show-cursor --no-pager | sed -n 's/^-- cursor: //p')

# etcd, by its HTTP API.
ask() {
  curl -sS --noproxy '*' --max-time 5 ${ca:+--cacert "$ca"} ${cert:+--cert "$cert"} \
    ${cert_key:+--key "$cert_key"} "$@" >/dev/null
}
b64() { printf '%s' "$1" | base64 | tr -d '\n'; }
put() { # KEY VALUE
  if [ "$api" = v2 ]; then
    ask --fail -X PUT --data-urlencode "value=$2" -d ttl=86400 "$url/v2/keys$1"
  else ask --fail -d "{\"key\":\"$(b64 "$1")\",\"value\":\"$(b64 "$2")\"}" "$url/v3/kv/put"; fi
}
delete() { # KEY
  if [ "$api" = v2 ]; then ask -X DELETE "$url/v2/keys$1"
  else ask --fail -d "{\"key\":\"$(b64 "$1")\"}" "$url/v3/kv/deleterange"; fi
}
lease_key() { # that of the subnet in subnet.env: its first address is the second of the subnet
  held=$(sed -n 's/^FLANNEL_SUBNET=\([0-9.]*\/[0-9]*\)$/\1/p' "$env")
  [ -n "$held" ] || return
  first=${held%/*}
  echo "${key%/*}/${first%.*}.$((${first##*.} - 1))-${held#*/}"
}

ran=no
case $(systemctl is-active flanneld.service) in active | activating | reloading) ran=yes ;; esac
# flanneld: an enabled one is required by docker, and its stop would take docker along, as does
# each start that systemd tries again.  It is enabled again in the end.
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
  end=$(($(now) + ready))
  until systemctl -q is-active flanneld.service; do
    [ "$(now)" -lt $end ] || { log flanneld; fail "flanneld did not get ready within $ready s" flanneld; }
    sleep 0.1
  done
}

# docker: who needs it goes with it, and comes with it again.
note_users() { # UNIT
  for unit in $(systemctl show -p RequiredBy -p BoundBy -p ConsistsOf --value "$1"); do
    case " docker.service docker.socket flanneld.service $users " in *" $unit "*) continue ;; esac
    systemctl -q is-active "$unit" || continue
    users="$users $unit"
    note_users "$unit"
  done
}
stop_docker() {
  [ $stopped = no ] || return 0
  note_users docker.service
  socket=no; systemctl -q is-active docker.socket && socket=yes
  stopped=yes
  [ $socket = no ] || systemctl stop docker.socket
  systemctl stop docker.service || fail "docker did not stop" docker
  ip link delete docker0 2>/dev/null
}
start_docker() {
  [ $stopped = yes ] || return 0
  [ $socket = no ] || systemctl start docker.socket
  systemctl reset-failed docker.service 2>/dev/null
  systemctl start docker.service || return
  for unit in $users; do
    systemctl -q is-active "$unit" || systemctl start "$unit" || say "$unit did not start again"
  done
  stopped=no
}
on_subnet() {
  ip -4 address show dev docker0 2>/dev/null |
    grep -qF "inet $(sed -n 's/^FLANNEL_SUBNET=//p' "$env" 2>/dev/null || echo -) "
}
move() {
  on_subnet && return
  say "moving docker"
  stop_docker
  mk=/usr/libexec/flannel/mk-docker-opts.sh
  bip=$(sed -n 's/^FLANNEL_SUBNET=/--bip=/p' "$env")
  if ! grep -qsF -e "$bip " "$options"; then # they are another subnet's
    [ -x $mk ] || fail "there is no $mk to write docker's options" flanneld
    $mk -k DOCKER_NETWORK_OPTIONS -d "$options"
  fi
  start_docker || { log docker; fail "docker did not start on flannel's subnet" docker; }
  on_subnet || fail "docker0 is not on flannel's subnet: docker did not take its options" docker
}
start_with() { # OPTIONS: those that docker had; the file is left as it is
  stop_docker
  [ ! -f "$options" ] || mv "$options" "$kept/options"
  printf 'DOCKER_NETWORK_OPTIONS=" %s"\n' "$1" >"$options"
  start_docker; code=$?
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
    start_docker || why="$why, and docker does not run"
    say "$why$see"
  fi
  tie
  rm -rf "$kept"
  exit $code
}
keep
trap leave EXIT
trap 'exit 1' TERM INT
trap '' HUP PIPE # goes on to its end without whoever asked

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
