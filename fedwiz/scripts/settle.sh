# After a reboot: wait for flanneld and docker; if flanneld fails, start docker without it.
# Usage: settle.sh docker|alone SECONDS   (timeout for both)
# Runs after lib.sh.
set -u
mode=$1 ready=$2
# If the host has reverted the reboot, confirm.sh reports that.
[ "$(readlink /var/lib/fedwiz/deadman-switch/decided)" != back ] || exit 0
# Where docker.socket alone is enabled, docker starts at its first use.
[ "$mode" = alone ] || systemctl start --no-block docker.service
both_run() {
  systemctl -q is-active flanneld.service || return
  [ "$mode" = alone ] || systemctl -q is-active docker.service
}
if ! within "$ready" both_run; then
  why="flanneld or docker did not come up within $ready s of the reboot"
  say "they said:"
  journalctl -b -u flanneld.service -u docker.service -n 20 --no-pager -o cat
  if [ "$mode" = docker ] && ! systemctl -q is-active docker.service; then
    systemctl stop flanneld.service
    systemctl disable flanneld.service
    rm -f /run/flannel/docker
    if start_docker; then why="$why, and docker runs as before"
    else why="$why, and docker does not run"; fi
  fi
  say "$why; see \`journalctl -b -u flanneld -u docker\` there"
  exit 1
fi
cat /run/flannel/subnet.env
