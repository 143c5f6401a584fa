# Start a container that does nothing, to ping from and to; it ends by itself.
# Usage: pod-up.sh NAME IMAGE SECONDS
# Says lines `KEY BASE64`: inet, docker, then pid, netns and links, or error; `end` is the last.
set -u
name=$1 image=$2 life=$3
say() { printf '%s %s\n' "$1" "$(base64 | tr -d '\n')"; }
give_up() { printf '%s' "$1" | tail -c 600 | say error; say end </dev/null; exit 0; }

ip -4 address show | grep inet | head -n 100 | say inet
if ! systemctl -q is-active docker.service; then
  echo no | say docker
  give_up "docker is not running"
fi
echo yes | say docker

# First of all what takes everything away again, whatever becomes of this script, of the
# connection and of who asked.
tidy='docker rm -f "$0"; docker image rm -f "$0"; :'
systemd-run --quiet --unit="$name" --on-active="$((life + 20))" --timer-property=AccuracySec=1s \
  sh -c "$tidy" "$name" >/dev/null 2>&1 ||
  setsid sh -c "sleep $((life + 20)); $tidy" "$name" </dev/null >/dev/null 2>&1 &

start() { # IMAGE ENTRYPOINT
  said=$(timeout 40 docker run -d --rm --name "$name" --network bridge --log-driver none \
    --cap-drop ALL --entrypoint "$2" "$1" "$life" 2>&1 </dev/null) && return
  docker rm -f "$name" >/dev/null 2>&1
  return 1
}
own() { # An image of this host's own sleep and its libraries: no registry is asked.
  sleep=$(command -v sleep) || return
  files=$sleep
  # Where all coreutils are one program, sleep may be a script for it.
  [ "$(head -c 2 "$sleep" | tr -d '\0')" != '#!' ] ||
    files="$files $(head -n 1 "$sleep" | sed 's/^#! *//; s/ .*//')"
  libs=$(for file in $files; do ldd "$file" 2>/dev/null; done | grep -o '/[^ ]*' | sort -u)
  # With the folders: docker would make those that are missing so that nobody may enter them.
  said=$(cd / && for file in $files $libs; do
    while [ "$file" != / ]; do echo "${file#/}"; file=$(dirname "$file"); done
  done | sort -u | tar -ch --no-recursion -f - -T - | timeout 40 docker import - "$name" 2>&1) ||
    return
  start "$name" "$sleep"
}
{ docker image inspect "$image" >/dev/null 2>&1 && start "$image" sleep; } || own || give_up "$said"

pid=$(docker inspect -f '{{.State.Pid}}' "$name" 2>&1)
netns=$(readlink "/proc/$pid/ns/net") || give_up "the container ended at once"
[ "$netns" != "$(readlink /proc/1/ns/net)" ] || give_up "the container has no network of its own"
printf '%s' "$pid" | say pid
printf '%s' "$netns" | say netns
nsenter -t "$pid" -n ip -json -details address show | say links
say end </dev/null
