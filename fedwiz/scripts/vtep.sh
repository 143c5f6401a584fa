# Recreate flannel's vxlan device with another name, VNI or port; all else stays as it is.
# Usage: vtep.sh DEVICE NAME VNI PORT [again]   (again: restart flanneld, but not docker)
set -u
old=$1 name=$2 vni=$3 port=$4 again=${5-}
fail() { echo "$*"; exit 1; }
kept=$(mktemp -d) || fail "there is no room in /tmp"
enabled=no
leave() {
  rm -rf "$kept"
  [ $enabled = no ] || systemctl --quiet enable flanneld.service
}
trap leave EXIT
trap '' HUP INT PIPE TERM # interrupted, it would leave the node without its device

mtu="" mac="" kind="" had_vni="" had_port="" within=no
line=$(ip -o -d link show dev "$old") || fail "there is no $old"
set -f
set -- $line
while [ $# -gt 1 ]; do
  case $within.$1 in
    no.mtu) mtu=$2 ;;
    no.link/ether) mac=$2 ;;
    no.vxlan) within=yes ;;
    yes.addrgenmode) break ;;
    yes.id) had_vni=$2; shift ;;
    yes.dstport) had_port=$2; shift ;;
    yes.ttl) [ "$2" = auto ] || kind="$kind ttl $2"; shift ;;
    yes.local | yes.dev | yes.tos | yes.ageing) kind="$kind $1 $2"; shift ;;
    yes.srcport) kind="$kind $1 $2 $3"; shift 2 ;;
    yes.learning | yes.nolearning | yes.gbp | yes.udpcsum | yes.noudpcsum) kind="$kind $1" ;;
  esac
  shift
done
[ -n "$had_vni" ] && [ -n "$had_port" ] && [ -n "$mac" ] || fail "$old is no vxlan device"

{
  ip -4 -o address show dev "$old" | awk '{ print "address add " $4 " dev DEVICE" }'
  echo "link set dev DEVICE up"
  ip -4 route show dev "$old" | grep -v 'proto kernel' | sed 's/ linkdown//; s/ dead//' |
    awk '{ print "route replace " $0 " dev DEVICE" }'
  ip -4 neighbour show dev "$old" nud permanent |
    awk '$2 == "lladdr" { print "neighbour replace " $1 " lladdr " $3 " dev DEVICE nud permanent" }'
} >"$kept/ip"
bridge fdb show dev "$old" |
  awk '{ for (i = 2; i < NF; i++) if ($i == "dst")
    print "fdb replace " $1 " dev DEVICE dst " $(i + 1) " self permanent" }' >"$kept/fdb"

lay() { # NAME VNI PORT
  ip link add "$1" address "$mac" mtu "$mtu" type vxlan id "$2" dstport "$3" $kind &&
    sed "s/ DEVICE/ $1/" "$kept/ip" | ip -batch - &&
    sed "s/ DEVICE/ $1/" "$kept/fdb" | bridge -batch -
}
ip link delete dev "$old" || fail "$old did not go"
if ! lay "$name" "$vni" "$port"; then
  ip link delete dev "$name" 2>/dev/null
  lay "$old" "$had_vni" "$had_port" || fail "$name could not be made, and $old not be put back"
  fail "$name could not be made; $old is as it was"
fi
echo "$name has VNI $vni and port $port"
[ "$again" = again ] && systemctl --quiet is-active flanneld.service || exit 0
# flanneld still knows the old device.  docker requires an enabled flanneld, and would restart too.
if systemctl --quiet is-enabled flanneld.service; then
  enabled=yes
  systemctl --quiet disable flanneld.service
fi
timeout 60 systemctl restart flanneld.service || fail "flanneld did not start again"
