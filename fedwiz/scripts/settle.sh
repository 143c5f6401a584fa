# After a reboot: wait for flanneld and docker; where flanneld fails, docker runs without it.
# Usage: settle.sh docker|alone SECONDS   (both of them get to come up)
set -u
ready=$2
now() { read -r up _ </proc/uptime; echo "${up%.*}"; } # a clock that nobody sets
# Where the host has taken the reboot back, who confirms it hears of that.
[ "$(readlink /var/lib/fedwiz/deadman-switch/decided)" != back ] || exit 0
# Whoever enables docker.socket alone has docker start at its first use.
[ "$1" = alone ] || systemctl start --no-block docker.service
end=$(($(now) + ready))
until systemctl -q is-active flanneld.service && { [ "$1" = alone ] || systemctl -q is-active docker.service; }; do
  if [ "$(now)" -ge $end ]; then
    why="flanneld or docker did not come up within $ready s of the reboot"
    echo "they said:"
    journalctl -b -u flanneld.service -u docker.service -n 20 --no-pager -o cat
    if [ "$1" = docker ] && ! systemctl -q is-active docker.service; then
      systemctl stop flanneld.service
      systemctl disable flanneld.service
      rm -f /run/flannel/docker
      systemctl reset-failed docker.service 2>/dev/null
      if systemctl start docker.service; then why="$why, and docker runs as before"
      else why="$why, and docker does not run"; fi
    fi
    echo "$why; see \`journalctl -b -u flanneld -u docker\` there"
    exit 1
  fi
  sleep 0.1
done
cat /run/flannel/subnet.env
