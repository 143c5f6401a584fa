# After a reboot: wait for flanneld and docker; where flanneld fails, docker runs without it.
# Usage: settle.sh docker|alone
set -u
tries=0
until systemctl -q is-active flanneld.service && { [ "$1" = alone ] || systemctl -q is-active docker.service; }; do
  tries=$((tries + 1))
  if [ $tries -ge 900 ]; then
    echo "flanneld or docker did not come up within 90 s of the reboot; they said:"
    journalctl -b -u flanneld.service -u docker.service -n 20 --no-pager -o cat
    if [ "$1" = docker ] && ! systemctl -q is-active docker.service; then
      systemctl stop flanneld.service
      systemctl disable flanneld.service
      rm -f /run/flannel/docker
      systemctl reset-failed docker.service 2>/dev/null
      systemctl start docker.service && echo "docker runs as before"
    fi
    exit 1
  fi
  sleep 0.1
done
cat /run/flannel/subnet.env
