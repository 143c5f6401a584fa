# Listen on a UDP port, in a unit that ends by itself; udp-tell.sh reports what arrived.
# Usage: udp-listen.sh NAME PORT SECONDS MOST   (MOST: datagrams to store)
# Prints one word: `ready`; `held BASE64`, by whom, from ss; `another`, if another check is trying
# the port; `notool`; or `failed BASE64`.
set -u
name=$1 port=$2 life=$3 most=$4
hex=$(printf %04X "$port")
bound() { grep -q "^ *[0-9]*: [0-9A-F]*:$hex " /proc/net/udp /proc/net/udp6 2>/dev/null; }
tried() { # whether a unit of this kind has the port
  [ -n "$(systemctl list-units --plain --no-legend --state=active,activating,deactivating \
    'udp-fedwiz-*.service' 2>/dev/null)" ]
}
tell() { printf '%s %s\n' "$1" "$(tail -c 600 | base64 | tr -d '\n')"; exit 0; }

tries=0
while bound; do
  # That unit may have ended in between.
  tried || ! bound || { ss -Hlunp "sport = :$port" 2>/dev/null | tell held; exit 0; }
  [ $tries -lt 15 ] || { echo another; exit 0; }
  tries=$((tries + 1))
  sleep 0.2
done
command -v systemd-run >/dev/null && command -v systemd-socket-activate >/dev/null ||
  { echo notool; exit 0; }
# The unit's directory goes when it ends, in whatever way.  dd writes each datagram as it arrives.
said=$(systemd-run --quiet --collect --unit="$name" --description="fedwiz tries a UDP port" \
  -p RuntimeMaxSec="$life" -p RuntimeDirectory="$name" -p RuntimeDirectoryMode=0700 \
  sh -c 'exec 2>"/run/$0/said"; exec systemd-socket-activate --datagram --listen="0.0.0.0:$1" \
    sh -c "exec dd bs=2048 count=$2 status=none <&3 >/run/$0/heard"' "$name" "$port" "$most" 2>&1) ||
  { printf %s "$said" | tell failed; exit 0; }
tries=0
until bound; do
  if ! systemctl -q is-active "$name.service" || [ $tries -ge 100 ]; then
    cat "/run/$name/said" 2>/dev/null | tell failed
    exit 0
  fi
  tries=$((tries + 1))
  sleep 0.03
done
echo ready
