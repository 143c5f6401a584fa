# Start an idle container to ping from and to; it ends by itself.
# Usage: pod-up.sh NAME IMAGE SECONDS [ADDRESS MTU]   (the last two: without docker)
# Prints lines `KEY BASE64`: inet, docker, then pid, netns and links, or error; `end` is the last.
set -u
name=$1 image=$2 life=$3 address=${4-} mtu=${5-}
say() { printf '%s %s\n' "$1" "$(base64 | tr -d '\n')"; }
give_up() { printf '%s' "$1" | tail -c 600 | say error; say end </dev/null; exit 0; }

# Schedule the cleanup, whatever becomes of this script, the connection and the caller.
# It asks first whether docker runs: docker's client would start it.
tidy='systemctl -q is-active docker.service && { docker rm -f "$0"; docker image rm -f "$0"; }
[ ! -e "/run/netns/$0" ] || ip netns delete "$0"'
arm() {
  systemd-run --quiet --unit="$name" --on-active="$((life + 10))" \
    --timer-property=AccuracySec=1s sh -c "$tidy; :" "$name" >/dev/null 2>&1 ||
    setsid sh -c "sleep $((life + 10)); $tidy" "$name" </dev/null >/dev/null 2>&1 &
}

start() { # IMAGE ENTRYPOINT
  said=$(timeout 20 docker run -d --rm --name "$name" --network bridge --log-driver none \
    --cap-drop ALL --entrypoint "$2" "$1" "$life" 2>&1 </dev/null) && return
  docker rm -f "$name" >/dev/null 2>&1
  return 1
}
own() { # An image of this host's own sleep and its libraries: it needs no registry.
  sleep=$(command -v sleep) || return
  files=$sleep
  # Where all of coreutils is one program, sleep may be a script for it.
  [ "$(head -c 2 "$sleep" | tr -d '\0')" != '#!' ] ||
    files="$files $(head -n 1 "$sleep" | sed 's/^#! *//; s/ .*//')"
  libs=$(for file in $files; do ldd "$file" 2>/dev/null; done | grep -o '/[^ ]*' | sort -u)
  # With the directories: docker would make missing ones that nobody may enter.
  said=$(cd / && for file in $files $libs; do
    while [ "$file" != / ]; do echo "${file#/}"; file=$(dirname "$file"); done
  done | sort -u | tar -ch --no-recursion -f - -T - | timeout 20 docker import - "$name" 2>&1) ||
    return
  start "$name" "$sleep"
}
stand_in() { # A namespace behind a link of its own: not quite a container, and reported as such.
  [ -n "$address" ] || return
  link=fwp${name##*-} way=169.254.1.1
  ip netns add "$name" && ip link add "$link" type veth peer name eth0 netns "$name" || return
  set -- $(ip -br link show dev "$link") # NAME STATE MAC FLAGS
  # The gateway is the link's other end, by its MAC: that end needs no address.
  ip link set "$link" mtu "$mtu" up && ip -n "$name" link set lo up &&
    ip -n "$name" link set eth0 mtu "$mtu" up &&
    ip -n "$name" address add "$address/32" dev eth0 && ip -n "$name" route add $way dev eth0 &&
    ip -n "$name" neighbour add $way lladdr "$3" dev eth0 &&
    ip -n "$name" route add default via $way && ip route add "$address/32" dev "$link" || return
  setsid ip netns exec "$name" sleep "$life" </dev/null >/dev/null 2>&1 &
  pid=$! tries=0
  while [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/1/ns/net)" ]; do
    tries=$((tries + 1)); [ $tries -lt 50 ] || return
    sleep 0.1
  done
}

ip -4 address show | grep inet | head -n 100 | say inet
if systemctl -q is-active docker.service; then
  echo yes | say docker
  arm
  { docker image inspect "$image" >/dev/null 2>&1 && start "$image" sleep; } || own || give_up "$said"
  pid=$(docker inspect -f '{{.State.Pid}}' "$name" 2>&1)
else
  echo no | say docker
  arm
  said=$(stand_in 2>&1 && echo "$pid") || give_up "$said"
  pid=$said
fi
netns=$(readlink "/proc/$pid/ns/net") || give_up "the container ended at once"
[ "$netns" != "$(readlink /proc/1/ns/net)" ] || give_up "the container has no network of its own"
printf '%s' "$pid" | say pid
printf '%s' "$netns" | say netns
nsenter -t "$pid" -n ip -json -details address show | say links
say end </dev/null
