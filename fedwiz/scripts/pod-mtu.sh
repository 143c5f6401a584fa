# Find the largest packet that passes unfragmented, from a container's namespace to others and
# from one of this host's addresses to other hosts; in parallel, in about 0.5 s, 10 s at most.
# Usage: pod-mtu.sh PID NETNS SOURCE [ADDRESS BYTES PUBLIC BYTES]...   (-: skip it)
# Prints `size ADDRESS BYTES` for each, the largest that came back (0: none did), then `end`;
# `nodf` if this host's ping can't forbid fragments.
set -u
export LC_ALL=C
pid=$1 netns=$2 source=$3; shift 3
[ "$(readlink "/proc/$pid/ns/net")" = "$netns" ] || { echo "the container is gone"; exit 1; }
case $(ping -V 2>&1) in *iputils*) ;; *) echo nodf; exit 0 ;; esac
least=84
crosses() { # BYTES COUNT SECONDS: at least one of the pings comes back
  said=$(timeout "$3" $ping -n -c "$2" -i 0.2 -W 1 -M do -s $(($1 - 28)) "$to" 2>&1 </dev/null)
  case $said in *' bytes from '*) return 0 ;; esac
  # The MTU that the kernel or a router reports.
  most=$(printf '%s\n' "$said" | sed -n 's/.*mtu *= *\([0-9]\{2,5\}\).*/\1/p' | tail -n 1)
  [ -z "$most" ] || told=$most
  return 1
}
largest() { # ADDRESS BYTES PING...
  to=$1 high=$2 low=0 told=0; shift 2; ping=$*
  # Three tries: one packet may be lost on any network.
  if crosses "$high" 3 3; then
    low=$high
  elif crosses $least 3 3; then
    low=$least
    while [ $((high - low)) -gt 1 ]; do
      middle=$(((low + high) / 2))
      if [ "$told" -gt "$low" ] && [ "$told" -lt "$high" ]; then middle=$told; fi
      if crosses "$middle" 1 0.5; then
        low=$middle
        [ "$middle" != "$told" ] || break
      else
        high=$middle
      fi
    done
  fi
  # One short write, so that parallel lines do not mix.
  printf 'size %s %s\n' "$to" "$low"
}
while [ $# -ge 4 ]; do
  largest "$1" "$2" nsenter -t "$pid" -n ping &
  [ "$3" = - ] || largest "$3" "$4" ping -I "$source" &
  shift 4
done
wait
echo end
