#!/usr/bin/env bash
# Guess:    after `--add-port=8472/udp` has said "success", `--query-port=8472/udp` says yes; and it
#           says yes before that if the zone has 8000-9000/udp open.
# Happens:  firewall-offline-cmd looks for the very text "8472" in the list: within a range the
#           answer is no. A script that then adds the port is told of success and gets the same no
#           ever after, because the next reading of the zone folds the port into the range again.
# Versions: firewalld 1.3.3 (Debian 12's), firewall-offline-cmd.
# Source:   firewall/client.py, queryPort of the zone's settings (a plain "in"), against
#           firewall/core/io/policy.py, which merges ports and ranges as it reads (since pull
#           request 807). It works on a zone's files in a folder of its own; no firewall is touched.
set -uo pipefail
[ "$(id -u)" = 0 ] || { echo "firewall-offline-cmd wants root" >&2; exit 3; }
[ -x /usr/bin/python3.11 ] || { echo "no Python 3.11 of Debian 12's" >&2; exit 3; }
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
(cd "$dir" && apt-get -o APT::Sandbox::User=root download -qq \
  firewalld=1.3.3-1~deb12u2 python3-firewall=1.3.3-1~deb12u2 python3-nftables=1.0.6-2+deb12u2 \
  libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 libmnl0=1.0.4-3 libjansson4=2.14-2 \
  python3-cap-ng=0.8.3-1+b3 libcap-ng0=0.8.3-1+b3 python3-dbus=1.3.2-4+b1 python3-gi=3.42.2-3+b1 \
  libgirepository-1.0-1=1.74.0-3 gir1.2-glib-2.0=1.74.0-3 &&
  for deb in *.deb; do dpkg-deb -x "$deb" root || exit; done) >&2 || exit 3
mkdir "$dir/conf"
offline() {
  PYTHONPATH=$dir/root/usr/lib/python3/dist-packages \
    LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu) \
    GI_TYPELIB_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu/girepository-1.0) \
    /usr/bin/python3.11 "$dir/root/usr/bin/firewall-offline-cmd" \
    --system-config "$dir/conf" --default-config "$dir/root/usr/lib/firewalld" \
    --zone=public "$@" 2>/dev/null
}

seen=$(
  echo "add 8000-9000: $(offline --add-port=8000-9000/udp)"
  echo "query 8472: $(offline --query-port=8472/udp)"
  echo "add 8472: $(offline --add-port=8472/udp)"
  echo "query 8472: $(offline --query-port=8472/udp)"
  echo "list: $(offline --list-ports)"
)
want='add 8000-9000: success
query 8472: no
add 8472: success
query 8472: no
list: 8000-9000/udp'
printf '%s\n' "$seen"
[ "$seen" = "$want" ]
