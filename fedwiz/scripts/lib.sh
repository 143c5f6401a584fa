# Shared functions.  They are sent in front of each script that says `Runs after lib.sh.`
docker_due=no socket=no users="" # what must run at the end: docker, its socket, other units
due=/run/fedwiz/switch-due       # the same, a unit per line, for a run after one that is killed
ended=no why="it was stopped" see=""
pause=0.1

say() { printf '%s\n' "$*"; }
fail() { why=$1; see=${2:+"; see \`journalctl -u $2\` there"}; exit 1; } # WHY [UNIT]
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody can set
within() { # SECONDS COMMAND...: retry the command until it succeeds; 1: timeout
  end=$(($(now) + $1)); shift
  until "$@"; do
    [ "$(now)" -lt $end ] || return 1
    sleep $pause
  done
}
log() { # UNIT: its last lines since $since, which may name the cause
  say "$1 said:"
  journalctl -u "$1.service" "$since" -n 20 --no-pager -o cat
}
there() { ip link show dev "$1" >/dev/null 2>&1; } # DEVICE

# docker, its socket, and the units that need it
separate="docker.service docker.socket flanneld.service"
note_users() { # UNIT: running units that stop with it: an old kubelet requires docker
  for unit in $(systemctl show -p RequiredBy -p BoundBy -p ConsistsOf --value "$1"); do
    case " $separate $users " in *" $unit "*) continue ;; esac
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
stop_docker() {
  [ $socket = no ] || systemctl stop docker.socket
  systemctl stop docker.service || fail "docker did not stop" docker
}
start_docker() {
  [ $socket = no ] || systemctl start docker.socket
  systemctl reset-failed docker.service 2>/dev/null
  systemctl start docker.service
}
read_due() { # what an earlier run was killed before it could start
  for unit in $(cat "$due" 2>/dev/null); do
    case $unit in
      docker.service) docker_due=yes ;;
      docker.socket) socket=yes ;;
      *) users="$users $unit" ;;
    esac
  done
}
write_due() {
  { echo docker.service; [ $socket = no ] || echo docker.socket; printf '%s\n' $users; } >"$due"
}

# etcd's HTTP API; $ca, $cert and $cert_key may be empty
etcd() { # OPTION... URL: curl's
  curl -sS --noproxy '*' --max-time 5 ${ca:+--cacert "$ca"} ${cert:+--cert "$cert"} \
    ${cert_key:+--key "$cert_key"} "$@"
}
b64() { printf '%s' "$1" | base64 | tr -d '\n'; }
