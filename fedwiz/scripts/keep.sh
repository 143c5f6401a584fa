# Keep what an install is about to touch: once, whole or not at all, for its way back.
# Usage: keep.sh ZONE WORD...   (standard input: what etcd held)
#   ZONE: of firewalld, or -.  WORD: a file's path, a unit, a sysctl, or a kernel module's name
set -u
umask 077
before=/var/lib/fedwiz/before zone=$1; shift
[ ! -e $before ] || { echo "$before is there already, and stays as it is"; exit; }
mkdir -p -m 0700 /var/lib/fedwiz && new=$(mktemp -d $before.XXXXXX) && mkdir "$new/files" || exit 1
trap 'rm -rf "$new"' EXIT
cd "$new" || exit 1
fail() { echo "$*"; exit 1; }

: >asked && : >absent && : >units && : >sysctls && : >modules || fail "/var/lib has no room"
for word; do
  case $word in
    /*)
      echo "$word" >>asked
      if [ -e "$word" ] || [ -L "$word" ]; then
        cp -a --parents -- "$word" files/ || fail "$word could not be kept"
      fi
      while [ "$word" != / ] && [ ! -e "$word" ]; do # with the folders that an install makes for it
        grep -qxF -e "$word" absent || echo "$word" >>absent
        word=${word%/*}; word=${word:-/}
      done ;;
    *.service | *.socket)
      systemctl show --property=Id,LoadState,ActiveState,UnitFileState,MainPID -- "$word" >>units
      echo >>units ;;
    *.*) sysctl -e "$word" >>sysctls ;;
    br_netfilter) [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo "$word 1" >>modules ;;
    *) [ ! -e "/sys/module/$word" ] || echo "$word 1" >>modules ;;
  esac
done
cat /proc/sys/kernel/hostname /etc/machine-id /proc/sys/kernel/random/boot_id >names
{ uname -r; uname -m; date +%s.%N; } >>names
ip -json -details address show >links
ip -json -4 route show table main >routes
ip address show >addresses; ip route show table all >ways # the same for people
ip -4 -o address show dev docker0 2>/dev/null | sed -n 's/.* inet \([^ ]*\) .*/\1/p' >docker0
rpm -q --qf '%{name} %{version}-%{release}\n' flannel | grep -v ' is not ' >packages
for table in filter nat raw mangle; do
  echo "*$table"; timeout 20 iptables -w 5 -t $table -S 2>/dev/null && echo '#read'
done >rules
: >firewall
if [ "$zone" != - ] && systemctl -q is-active firewalld; then
  echo "zone $zone"
  for when in now later; do
    later=; [ $when = now ] || later=--permanent
    echo "$when ports $(firewall-cmd $later --zone="$zone" --list-ports)"
    echo "$when protocols $(firewall-cmd $later --zone="$zone" --list-protocols)"
    echo "$when sources $(firewall-cmd $later --zone=trusted --list-sources)"
  done
fi >>firewall
cat >etcd || fail "/var/lib has no room"
sync -f . 2>/dev/null
mv -T "$new" $before || fail "$before could not be made"
echo "kept in $before"
